/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the store is, for its operator and its callers. The loop looks twice a second, holds what was
 * counted against the alerts' limits, and publishes a copy under a mutex that is held for no longer
 * than copying takes; so asking never waits for the store's work. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

static const uint64_t second_ns = 1000000000;
static const uint64_t look_ns = 500000000;
enum { ALERT_SECONDS_DEFAULT = 10, TIMED_COUNT = 5, MESSAGES_MIN = 20 };

/* Alerts on the time of messages. */
struct timed {
    enum stoa_alert alert;
    enum stoa_message messages[2];
};

static const struct timed timed[TIMED_COUNT] = {
    {STOA_ALERT_STORE_TIME, {STOA_MESSAGE_STORE_BLOCK, STOA_MESSAGE_NONE}},
    {STOA_ALERT_READ_TIME, {STOA_MESSAGE_GET_BLOCK, STOA_MESSAGE_GET_BLOCK_BY_HEIGHT}},
    {STOA_ALERT_STATE_UPDATE_TIME, {STOA_MESSAGE_UPDATE_STATE, STOA_MESSAGE_NONE}},
    {STOA_ALERT_STATE_READ_TIME, {STOA_MESSAGE_GET_STATE, STOA_MESSAGE_NONE}},
    {STOA_ALERT_BATCH_TIME, {STOA_MESSAGE_BATCH_WRITE, STOA_MESSAGE_NONE}},
};

struct engine_health {
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct stoa_health now;
    int fd; /* -1 until asked for */

    _Atomic(unsigned) breakers_open; /* orders nothing */

    /* The loop's. */
    struct io_request timer;
    double limits[STOA_ALERT_END];
    double found[STOA_ALERT_END]; /* at the last look */
    uint64_t alert_ns;
    uint64_t alerts_looked_ns;
    uint64_t violations;
    uint32_t alerts;
    struct histogram_snapshot before[TIMED_COUNT][2]; /* as of the last look at the alerts */
    struct histogram_snapshot here;
    uint64_t messages_before;
    uint64_t errors_before;
    uint64_t hits_before;
    uint64_t misses_before;
};

static const char *const state_names[] = {
    [STOA_HEALTHY] = "healthy",
    [STOA_DEGRADED] = "degraded",
    [STOA_READ_ONLY] = "read-only",
    [STOA_FAILED] = "failed",
};

#define STOA_ALERT(name, text, limit, help) [STOA_ALERT_##name] = (limit),
static const double limits_default[STOA_ALERT_END] = {
#include "stoa/alert.def"
};
#undef STOA_ALERT

#define STOA_ALERT(name, text, limit, help) [STOA_ALERT_##name] = (help),
static const char *const alert_helps[STOA_ALERT_END] = {
#include "stoa/alert.def"
};
#undef STOA_ALERT

const char *stoa_health_name(enum stoa_health_state state)
{
    return state <= STOA_FAILED ? state_names[state] : NULL;
}

/* ---- alerts ---- */

static void judge(struct engine_health *health, struct metrics *metrics, enum stoa_alert alert,
                  double found, bool passed)
{
    uint32_t bit = UINT32_C(1) << alert;
    passed = passed && health->limits[alert] >= 0;
    health->found[alert] = found;
    if (passed && (health->alerts & bit) == 0) {
        health->violations++;
        metrics_count(metrics, METRICS_VIOLATIONS + alert, 1);
    }
    health->alerts = passed ? health->alerts | bit : health->alerts & ~bit;
    metrics_set(metrics, METRICS_ALERTS + alert, passed);
}

/* The longest that all but one in a hundred took of each kind, since the last look. */
static void judge_times(struct engine_health *health, struct metrics *metrics)
{
    for (unsigned i = 0; i < TIMED_COUNT; i++) {
        double worst = 0;
        for (unsigned j = 0; j < 2 && timed[i].messages[j] != STOA_MESSAGE_NONE; j++) {
            histogram_read(&metrics->histograms[METRICS_MESSAGE_TIME + timed[i].messages[j]],
                           &health->here);
            struct histogram_snapshot copy = health->here;
            histogram_subtract(&copy, &health->before[i][j]);
            health->before[i][j] = health->here;
            double seconds = (double)histogram_quantile(&copy, 99, 100) / (double)second_ns;
            worst = seconds > worst ? seconds : worst;
        }
        judge(health, metrics, timed[i].alert, worst, worst > health->limits[timed[i].alert]);
    }
}

static uint64_t sum(const struct metrics *metrics, unsigned first, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += metrics_get(metrics, first + i);
    }
    return total;
}

/* PART of WHOLE since the last look; too few say nothing. */
static double share_since(uint64_t part, uint64_t whole, uint64_t *part_before,
                          uint64_t *whole_before, bool *out_enough)
{
    uint64_t some = part - *part_before;
    uint64_t all = whole - *whole_before;
    *part_before = part;
    *whole_before = whole;
    *out_enough = all >= MESSAGES_MIN;
    return all == 0 ? 0 : (double)some / (double)all;
}

static void judge_shares(struct engine_health *health, struct metrics *metrics)
{
    bool enough;
    double share = share_since(sum(metrics, METRICS_MESSAGE_ERRORS, METRICS_VALUES_MESSAGE),
                               sum(metrics, METRICS_MESSAGES, METRICS_VALUES_MESSAGE),
                               &health->errors_before, &health->messages_before, &enough);
    judge(health, metrics, STOA_ALERT_ERROR_RATE, share,
          enough && share > health->limits[STOA_ALERT_ERROR_RATE]);
    uint64_t hits = sum(metrics, METRICS_CACHE_HITS, METRICS_VALUES_CLASS);
    uint64_t all = hits + sum(metrics, METRICS_CACHE_MISSES, METRICS_VALUES_CLASS);
    share = share_since(hits, all, &health->hits_before, &health->misses_before, &enough);
    judge(health, metrics, STOA_ALERT_HIT_RATE, share,
          enough && share < health->limits[STOA_ALERT_HIT_RATE]);
}

void engine_health_tell_cache(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->health->mutex); /* so that no counter goes back */
    engine_metrics_cache(stoa);
    pthread_mutex_unlock(&stoa->health->mutex);
}

static void look_at_alerts(struct stoa *stoa)
{
    struct engine_health *health = stoa->health;
    uint64_t bytes = io_resident_bytes();
    metrics_set(stoa->metrics, METRICS_MEMORY, bytes);
    engine_health_tell_cache(stoa);
    judge_times(health, stoa->metrics);
    judge_shares(health, stoa->metrics);
    judge(health, stoa->metrics, STOA_ALERT_MEMORY, (double)bytes,
          (double)bytes > health->limits[STOA_ALERT_MEMORY]);
}

/* ---- state ---- */

static void add_reason(struct stoa_health *to, enum stoa_health_state state, int code,
                       const char *text)
{
    to->state = state > to->state ? state : to->state;
    if (to->reason_count < STOA_REASONS_MAX) {
        struct stoa_reason *reason = &to->reasons[to->reason_count++];
        reason->code = code;
        snprintf(reason->text, sizeof(reason->text), "%.*s", (int)sizeof(reason->text) - 1, text);
    }
}

static uint64_t mark_of(uint64_t set, uint64_t most, uint64_t total, uint64_t part)
{
    uint64_t share = total / part;
    return set != 0 ? set : share < most ? share : most;
}

/* What the free space of the disk says; REFUSED: writes are, already. */
static void find_space(struct stoa *stoa, bool refused, struct stoa_health *out)
{
    static const uint64_t warn_bytes = UINT64_C(2) << 30;
    static const uint64_t stop_bytes = UINT64_C(512) << 20;
    const struct stoa_watermarks *marks = &stoa->maintenance.space;
    char text[sizeof(out->reasons[0].text)];
    uint64_t free_bytes;
    uint64_t total;
    if (io_space(stoa->io, stoa->directory, &free_bytes, &total) != 0) {
        return; /* writing says why */
    }
    uint64_t warn = mark_of(marks->warn, warn_bytes, total, 20);
    uint64_t stop = mark_of(marks->stop, stop_bytes, total, 50);
    unsigned level = refused ? 3 : free_bytes < stop ? 2 : free_bytes < warn ? 1 : 0;
    metrics_set(stoa->metrics, METRICS_SPACE_LEVEL, level);
    jobs_set_short_of_space(stoa->jobs, free_bytes < stop);
    if (level == 1 || level == 2) {
        snprintf(text, sizeof(text), "space is low: less than %" PRIu64 " bytes are free%s",
                 level == 2 ? stop : warn, level == 2 ? "; jobs that need some wait" : "");
        add_reason(out, STOA_DEGRADED, 0, text);
    }
}

/* What scrubbing found and no later scrub found sound. */
static void find_damage(struct stoa *stoa, struct stoa_health *out)
{
    char text[sizeof(out->reasons[0].text)];
    char height[32] = "";
    if (stoa->jobs == NULL) {
        return;
    }
    const struct job_damages *damages = jobs_damages(stoa->jobs, STOA_JOB_SCRUB);
    metrics_set(stoa->metrics, METRICS_SCRUB_DAMAGES, damages->count + damages->more);
    if (damages->count == 0) {
        return;
    }
    const struct job_damage *first = &damages->items[0];
    if (first->has_height) {
        snprintf(height, sizeof(height), ", block %" PRIu64, first->height);
    }
    snprintf(text, sizeof(text),
             "scrubbing found %" PRIu64 " damaged places, the first in %s, offset %" PRIu64
             "%s: %s; repair mends them",
             damages->count + damages->more, first->file, first->offset, height, first->what);
    add_reason(out, STOA_DEGRADED, STOA_ECORRUPT, text);
}

static void find_state(struct stoa *stoa, struct stoa_health *out)
{
    struct engine_health *health = stoa->health;
    struct error_detail detail = {.code = 0};
    *out = (struct stoa_health)STOA_HEALTH_INIT;
    bool again =
        engine_supervise_holds(stoa); /* it serves what it can, and is at work on the rest */
    if (again) {
        char text[sizeof(out->reasons[0].text)];
        snprintf(text, sizeof(text), "it is being opened again: %.200s",
                 stoa->supervision.why.text);
        add_reason(out, STOA_DEGRADED, stoa->supervision.why.code, text);
    }
    int result = store_check_reading(stoa->store, &detail);
    if (result != 0) {
        add_reason(out, again ? STOA_DEGRADED : STOA_FAILED, result, detail.text);
    }
    detail = (struct error_detail){.code = 0};
    result = store_check_writing(stoa->store, &detail);
    if (result != 0) {
        add_reason(out, again ? STOA_DEGRADED : STOA_READ_ONLY, result, detail.text);
    }
    find_space(stoa, result == STOA_ENOSPACE, out);
    find_damage(stoa, out);
    for (unsigned i = 0; i < STOA_ALERT_END; i++) {
        if ((health->alerts >> i & 1) != 0) {
            char text[sizeof(out->reasons[0].text)];
            snprintf(text, sizeof(text), "%s: %s: the limit is %g",
                     stoa_alert_name((enum stoa_alert)i), alert_helps[i], health->limits[i]);
            add_reason(out, STOA_DEGRADED, 0, text);
        }
    }
    out->breakers_open = atomic_load_explicit(&health->breakers_open, memory_order_relaxed);
    if (out->breakers_open != 0) {
        add_reason(out, STOA_DEGRADED, 0, "a circuit breaker of a caller is not closed");
    }
    if (metrics_get(stoa->metrics, METRICS_TABLE_LOOKASIDE) != 0) {
        add_reason(out, STOA_DEGRADED, 0, "the tables use a lookaside file, which must stay empty");
    }
    out->restarts = stoa->supervision.restarts;
    out->violations = health->violations;
    out->alerts = health->alerts;
}

static bool is_other(const struct stoa_health *a, const struct stoa_health *b)
{
    bool other = a->state != b->state || a->reason_count != b->reason_count;
    for (unsigned i = 0; !other && i < a->reason_count; i++) {
        other = a->reasons[i].code != b->reasons[i].code ||
                strcmp(a->reasons[i].text, b->reasons[i].text) != 0;
    }
    return other;
}

void engine_health_look(struct stoa *stoa)
{
    struct engine_health *health = stoa->health;
    struct stoa_health found;
    find_state(stoa, &found);
    metrics_set(stoa->metrics, METRICS_HEALTH, found.state);
    metrics_set(stoa->metrics, METRICS_BREAKERS_OPEN, found.breakers_open);
    pthread_mutex_lock(&health->mutex);
    bool other = health->now.version == 0 || is_other(&found, &health->now);
    found.version = health->now.version + other;
    health->now = found;
    if (other) {
        pthread_cond_broadcast(&health->changed);
    }
    if (other && health->fd >= 0) {
        (void)eventfd_write(health->fd, 1); /* it cannot overflow in anyone's life */
    }
    pthread_mutex_unlock(&health->mutex);
}

static void tick(struct io_request *timer)
{
    struct stoa *stoa = timer->context;
    struct engine_health *health = stoa->health;
    uint64_t now = io_now_ns(stoa->io);
    if (timer->result == STOA_ECANCELED) {
        return;
    }
    if (now - health->alerts_looked_ns >= health->alert_ns) {
        health->alerts_looked_ns = now;
        look_at_alerts(stoa);
    }
    engine_health_look(stoa);
    engine_serve_tell_rebuild(stoa);
    timer->deadline_ns = now + (health->alert_ns < look_ns ? health->alert_ns : look_ns);
    io_submit(stoa->io, timer);
}

/* ---- life ---- */

static void set_limits(struct engine_health *health, const struct stoa_alert_limits *given)
{
    struct stoa_alert_limits own = STOA_ALERT_LIMITS_INIT;
    if (given != NULL) {
        memcpy(&own, given, given->size);
    }
    for (unsigned i = 0; i < STOA_ALERT_END; i++) {
        bool set = own.limit[i] < 0 || own.limit[i] > 0;
        health->limits[i] = set ? own.limit[i] : limits_default[i];
    }
}

int engine_health_init(struct stoa *stoa)
{
    struct engine_health *health = memory_alloc_zeroed(1, sizeof(*health));
    if (health == NULL) {
        return STOA_ENOMEM;
    }
    unsigned seconds = stoa->options.alert_seconds;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&health->mutex, NULL);
    pthread_cond_init(&health->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    health->fd = -1;
    health->alert_ns = (seconds != 0 ? seconds : ALERT_SECONDS_DEFAULT) * second_ns;
    set_limits(health, stoa->options.alert_limits);
    stoa->health = health;
    return 0;
}

void engine_health_deinit(struct stoa *stoa)
{
    struct engine_health *health = stoa->health;
    if (health != NULL) {
        if (health->fd >= 0) {
            close(health->fd);
        }
        pthread_cond_destroy(&health->changed);
        pthread_mutex_destroy(&health->mutex);
        memory_free(health);
    }
}

void engine_health_start(struct stoa *stoa)
{
    struct engine_health *health = stoa->health;
    uint64_t now = io_now_ns(stoa->io);
    health->alerts_looked_ns = now;
    engine_health_look(stoa);
    health->timer = (struct io_request){
        .op = IO_TIMER, .deadline_ns = now + look_ns, .done = tick, .context = stoa};
    io_submit(stoa->io, &health->timer);
}

void engine_health_stop(struct stoa *stoa)
{
    struct io_request *timer = &stoa->health->timer;
    (void)io_cancel(stoa->io, timer); /* it may have run out already */
    while (timer->pending && io_run(stoa->io, LOOP_WAIT_NS) >= 0) {
        (void)io_cancel(stoa->io, timer); /* or begun again */
    }
}

void engine_health_count_breaker(struct stoa *stoa, bool open)
{
    _Atomic(unsigned) *count = &stoa->health->breakers_open;
    if (open) {
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    } else {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    }
}

/* ---- asking ---- */

/* With the mutex held. */
static void give(struct engine_health *health, struct stoa_health *out)
{
    size_t size = out->size;
    memcpy(out, &health->now, size);
    out->size = size;
    if (health->fd >= 0) {
        eventfd_t ignored;
        (void)eventfd_read(health->fd, &ignored); /* EAGAIN where nothing had changed */
    }
}

int stoa_get_health(struct stoa *stoa, struct stoa_health *out_health)
{
    if (out_health == NULL || !engine_size_is_valid(out_health->size, sizeof(*out_health))) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return engine_remote_get_health(stoa, out_health);
    }
    struct engine_health *health = stoa->health;
    pthread_mutex_lock(&health->mutex);
    give(health, out_health);
    pthread_mutex_unlock(&health->mutex);
    return 0;
}

int stoa_wait_health(struct stoa *stoa, uint64_t seen, int timeout_ms,
                     struct stoa_health *out_health)
{
    if (out_health == NULL || !engine_size_is_valid(out_health->size, sizeof(*out_health))) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return engine_remote_wait_health(stoa, seen, timeout_ms, out_health);
    }
    struct engine_health *health = stoa->health;
    uint64_t until = io_now_ns(stoa->io) + (timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000 : 0);
    struct timespec time = {.tv_sec = (time_t)(until / second_ns),
                            .tv_nsec = (long)(until % second_ns)};
    int waited = 0;
    pthread_mutex_lock(&health->mutex);
    while (health->now.version == seen && waited == 0) {
        waited = timeout_ms < 0 ? pthread_cond_wait(&health->changed, &health->mutex)
                                : pthread_cond_timedwait(&health->changed, &health->mutex, &time);
    }
    bool changed = health->now.version != seen;
    give(health, out_health);
    pthread_mutex_unlock(&health->mutex);
    return changed ? 0 : STOA_ETIMEOUT;
}

int stoa_health_fd(struct stoa *stoa)
{
    if (stoa->remote != NULL) {
        return stoa->remote->health_fd(stoa->remote_state);
    }
    struct engine_health *health = stoa->health;
    pthread_mutex_lock(&health->mutex);
    if (health->fd < 0) {
        health->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    int fd = health->fd < 0 ? error_from_errno(errno) : health->fd;
    pthread_mutex_unlock(&health->mutex);
    return fd;
}
