/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Circuit breakers for callers: breaker.h behind a mutex, shown by the handle it is attached to. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "actor/breaker.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

enum { FAILURES_DEFAULT = 5, PROBES_DEFAULT = 1, PAUSE_MS_DEFAULT = 500, PAUSE_MS_MAX = 60000 };

struct stoa_breaker {
    pthread_mutex_t mutex;
    struct breaker breaker;
    struct stoa *stoa;
    bool shown; /* counted among the handle's that are not closed */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    int error = clock_gettime(CLOCK_MONOTONIC, &now);
    ensure(error == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int stoa_breaker_create(const struct stoa_breaker_options *options,
                        struct stoa_breaker **out_breaker)
{
    struct stoa_breaker_options own = STOA_BREAKER_OPTIONS_INIT;
    if (out_breaker == NULL ||
        (options != NULL && !engine_size_is_valid(options->size, sizeof(own)))) {
        return STOA_EINVAL;
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    unsigned pause = own.pause_ms != 0 ? own.pause_ms : PAUSE_MS_DEFAULT;
    unsigned pause_max = own.pause_max_ms != 0 ? own.pause_max_ms : PAUSE_MS_MAX;
    if (pause > pause_max && own.pause_max_ms != 0) {
        return STOA_EINVAL;
    }
    struct stoa_breaker *breaker = memory_alloc_zeroed(1, sizeof(*breaker));
    if (breaker == NULL) {
        return STOA_ENOMEM;
    }
    struct breaker_options inner = {
        .failures = own.failures != 0 ? own.failures : FAILURES_DEFAULT,
        .probes = own.probes != 0 ? own.probes : PROBES_DEFAULT,
        .pause_ns = (uint64_t)pause * 1000000,
        .pause_max_ns = (uint64_t)(pause > pause_max ? pause : pause_max) * 1000000,
    };
    breaker_init(&breaker->breaker, &inner);
    pthread_mutex_init(&breaker->mutex, NULL);
    breaker->stoa = own.stoa;
    *out_breaker = breaker;
    return 0;
}

/* With the mutex held. */
static void show(struct stoa_breaker *breaker)
{
    bool open = breaker->breaker.state != BREAKER_CLOSED;
    if (breaker->stoa == NULL || open == breaker->shown) {
        return;
    }
    breaker->shown = open;
    engine_health_count_breaker(breaker->stoa, open);
}

void stoa_breaker_destroy(struct stoa_breaker *breaker)
{
    if (breaker != NULL) {
        breaker->breaker.state = BREAKER_CLOSED;
        show(breaker);
        pthread_mutex_destroy(&breaker->mutex);
        memory_free(breaker);
    }
}

int stoa_breaker_allow(struct stoa_breaker *breaker)
{
    pthread_mutex_lock(&breaker->mutex);
    bool allowed = breaker_allow(&breaker->breaker, now_ns());
    pthread_mutex_unlock(&breaker->mutex);
    if (!allowed && breaker->stoa != NULL) {
        metrics_count(breaker->stoa->metrics, METRICS_BREAKER_REFUSALS, 1);
    }
    return allowed ? 0 : STOA_EBUSY;
}

static bool speaks_of_the_store(int result)
{
    switch (result) {
    case STOA_EIO:
    case STOA_ENOMEM:
    case STOA_EBUSY:
    case STOA_ETIMEOUT:
    case STOA_ENOSPACE:
    case STOA_EREADONLY:
    case STOA_ESTOPPED:
    case STOA_ECLOSED:
        return true;
    default:
        return false;
    }
}

void stoa_breaker_report(struct stoa_breaker *breaker, int result)
{
    pthread_mutex_lock(&breaker->mutex);
    bool tripped = breaker_report(&breaker->breaker, speaks_of_the_store(result), now_ns());
    show(breaker);
    pthread_mutex_unlock(&breaker->mutex);
    if (tripped && breaker->stoa != NULL) {
        metrics_count(breaker->stoa->metrics, METRICS_BREAKER_TRIPS, 1);
    }
}

enum stoa_breaker_state stoa_breaker_get_state(struct stoa_breaker *breaker)
{
    static const enum stoa_breaker_state states[] = {
        [BREAKER_CLOSED] = STOA_BREAKER_CLOSED,
        [BREAKER_OPEN] = STOA_BREAKER_OPEN,
        [BREAKER_HALF_OPEN] = STOA_BREAKER_HALF_OPEN,
    };
    pthread_mutex_lock(&breaker->mutex);
    enum breaker_state state = breaker_look(&breaker->breaker, now_ns());
    pthread_mutex_unlock(&breaker->mutex);
    return states[state];
}
