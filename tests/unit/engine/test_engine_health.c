/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Health, alerts and breakers, as a program sees them. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "support/exposition.h"

enum { LONG_MS = 60000 };

static void a_new_store_is_healthy(void **state)
{
    const struct engine_rig *rig = *state;
    struct stoa_health health = STOA_HEALTH_INIT;
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_HEALTHY);
    assert_int_equal(health.reason_count, 0);
    assert_int_equal(health.violations, 0);
    assert_true(health.version >= 1);
    assert_string_equal(stoa_health_name(health.state), "healthy");
}

/* A limit of one byte is passed at the first look. */
static void open_with_a_memory_limit(struct engine_rig *rig)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_alert_limits limits = STOA_ALERT_LIMITS_INIT;
    engine_rig_close(rig);
    limits.limit[STOA_ALERT_MEMORY] = 1;
    options.alert_limits = &limits;
    options.alert_seconds = 1;
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
}

static void a_passed_limit_degrades_it_and_is_told(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_health health = STOA_HEALTH_INIT;
    open_with_a_memory_limit(rig);
    int fd = stoa_health_fd(rig->stoa);
    assert_true(fd >= 0);
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_HEALTHY);
    assert_int_equal(stoa_wait_health(rig->stoa, health.version, LONG_MS, &health), 0);
    assert_int_equal(health.state, STOA_DEGRADED);
    assert_int_equal(health.reason_count, 1);
    assert_non_null(strstr(health.reasons[0].text, "memory"));
    assert_int_equal(health.alerts, 1 << STOA_ALERT_MEMORY);
    assert_int_equal(health.violations, 1);
    char *text = NULL;
    assert_int_equal(stoa_metrics_text(rig->stoa, &text, NULL), 0);
    assert_true(exposition_value(text, "stoa_health") == STOA_DEGRADED);
    assert_true(exposition_value(text, "stoa_alert_violations_total{alert=\"memory\"}") == 1);
    assert_true(exposition_value(text, "stoa_alert_active{alert=\"memory\"}") == 1);
    stoa_free(text);
}

/* Look COUNT absent state keys up, from FIRST on. */
static void look_up_absent_keys(struct stoa *stoa, uint64_t first, uint64_t count)
{
    for (uint64_t key = first; key < first + count; key++) {
        struct stoa_value value;
        assert_int_equal(
            stoa_get_state_view(stoa, (struct stoa_bytes){(const uint8_t *)&key, 8}, &value, NULL),
            STOA_ENOTFOUND);
    }
}

static void a_low_hit_rate_is_an_alert_until_reads_hit_again(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_health health = STOA_HEALTH_INIT;
    const uint32_t bit = 1U << STOA_ALERT_HIT_RATE;
    options.alert_seconds = 1;
    engine_rig_close(rig);
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
    for (uint64_t key = 1; (health.alerts & bit) == 0; key += 100) {
        look_up_absent_keys(rig->stoa, key, 100); /* each for the first time */
        (void)stoa_wait_health(rig->stoa, health.version, 100, &health);
    }
    assert_int_equal(health.state, STOA_DEGRADED);
    while ((health.alerts & bit) != 0) {
        look_up_absent_keys(rig->stoa, 1, 100); /* remembered as absent */
        (void)stoa_wait_health(rig->stoa, health.version, 100, &health);
    }
    char *text = NULL;
    assert_int_equal(stoa_metrics_text(rig->stoa, &text, NULL), 0);
    assert_true(exposition_value(text, "stoa_alert_violations_total{alert=\"hit_rate\"}") == 1);
    assert_true(exposition_value(text, "stoa_alert_active{alert=\"hit_rate\"}") == 0);
    assert_true(exposition_value(text, "stoa_cache_misses_total{class=\"state\"}") >= 100);
    assert_true(exposition_value(text, "stoa_cache_hits_total{class=\"state\"}") >= 100);
    assert_true(exposition_value(text, "stoa_cache_objects{class=\"state\"}") >= 100);
    assert_true(exposition_value(text, "stoa_cache_tier_hits_total{tier=\"hot\"}") >= 100);
    assert_true(exposition_value(text, "stoa_cache_held_bytes") > 0);
    stoa_free(text);
}

static void a_change_makes_the_descriptor_readable_until_it_is_asked(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_health health = STOA_HEALTH_INIT;
    open_with_a_memory_limit(rig);
    struct pollfd wait = {.fd = stoa_health_fd(rig->stoa), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, LONG_MS), 1);
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_DEGRADED);
    assert_int_equal(poll(&wait, 1, 0), 0);
}

static void open_with_watermarks(struct engine_rig *rig, struct stoa_watermarks marks, int wanted)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    maintenance.space = marks;
    options.maintenance = &maintenance;
    engine_rig_close(rig);
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), wanted);
}

static double space_level(struct stoa *stoa)
{
    char *text;
    assert_int_equal(stoa_metrics_text(stoa, &text, NULL), 0);
    const char *line = strstr(text, "\nstoa_disk_space_level ");
    assert_non_null(line);
    double level = strtod(line + strlen("\nstoa_disk_space_level "), NULL);
    stoa_free(text);
    return level;
}

static void low_space_warns_then_stops_jobs_then_writes(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_health health = STOA_HEALTH_INIT;
    struct stoa_job_options job = STOA_JOB_OPTIONS_INIT;
    struct stoa_job_info infos[STOA_JOBS];
    size_t count;
    engine_rig_put(rig, 1, 3);
    open_with_watermarks(rig, (struct stoa_watermarks){.warn = UINT64_MAX}, 0);
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_DEGRADED);
    assert_non_null(strstr(health.reasons[0].text, "space"));
    assert_true(space_level(rig->stoa) == 1);
    job.job = STOA_JOB_COMPACT;
    assert_int_equal(stoa_run_job(rig->stoa, &job, NULL, NULL), 0);

    open_with_watermarks(rig, (struct stoa_watermarks){.warn = UINT64_MAX, .stop = UINT64_MAX}, 0);
    assert_true(space_level(rig->stoa) == 2);
    assert_int_equal(stoa_start_job(rig->stoa, &job, NULL), 0);
    do {
        (void)stoa_wait_health(rig->stoa, health.version, 10, &health);
        assert_int_equal(stoa_list_jobs(rig->stoa, infos, STOA_JOBS, &count, NULL), 0);
        assert_int_equal(infos[STOA_JOB_COMPACT].active, 1);
    } while (infos[STOA_JOB_COMPACT].state != STOA_JOB_WAITING);
    assert_non_null(strstr(infos[STOA_JOB_COMPACT].text, "space"));
    engine_rig_put(rig, 4, 5); /* writes go on */
    assert_int_equal(stoa_cancel_job(rig->stoa, STOA_JOB_COMPACT, NULL), 0);

    struct stoa_watermarks all = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    open_with_watermarks(rig, all, 0);
    struct stoa_store_block put = engine_rig_put_of(rig, 6);
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), STOA_ENOSPACE);
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_READ_ONLY);
    assert_int_equal(health.reasons[0].code, STOA_ENOSPACE);
    assert_true(space_level(rig->stoa) == 3);
    engine_rig_expect(rig->stoa, rig->chain, 1, 5); /* reads go on */

    all.stop = 1000; /* below the last */
    open_with_watermarks(rig, all, STOA_EINVAL);
    rig->stoa = NULL;
    engine_rig_open(rig); /* there was enough all the time */
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(health.state, STOA_HEALTHY);
    assert_true(space_level(rig->stoa) == 0);
    engine_rig_put(rig, 6, 7);
}

static void what_does_not_change_times_out(void **state)
{
    const struct engine_rig *rig = *state;
    struct stoa_health health = STOA_HEALTH_INIT;
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    assert_int_equal(stoa_wait_health(rig->stoa, health.version, 1, &health), STOA_ETIMEOUT);
    assert_int_equal(health.state, STOA_HEALTHY);
}

static void a_breaker_opens_half_opens_and_closes_and_health_shows_it(void **state)
{
    const struct engine_rig *rig = *state;
    struct stoa_breaker_options options = STOA_BREAKER_OPTIONS_INIT;
    struct stoa_breaker *breaker = NULL;
    struct stoa_health health = STOA_HEALTH_INIT;
    options.failures = 2;
    options.pause_ms = 1;
    options.stoa = rig->stoa;
    assert_int_equal(stoa_breaker_create(&options, &breaker), 0);
    assert_int_equal(stoa_get_health(rig->stoa, &health), 0);
    stoa_breaker_report(breaker, STOA_EREFUSED); /* of the request: no failure */
    stoa_breaker_report(breaker, STOA_EIO);
    assert_int_equal(stoa_breaker_get_state(breaker), STOA_BREAKER_CLOSED);
    stoa_breaker_report(breaker, STOA_EIO);
    assert_int_equal(stoa_wait_health(rig->stoa, health.version, LONG_MS, &health), 0);
    assert_int_equal(health.state, STOA_DEGRADED);
    assert_int_equal(health.breakers_open, 1);
    assert_int_equal(stoa_breaker_get_state(breaker), STOA_BREAKER_HALF_OPEN);
    assert_int_equal(stoa_breaker_allow(breaker), 0);
    assert_int_equal(stoa_breaker_allow(breaker), STOA_EBUSY);
    stoa_breaker_report(breaker, 0);
    assert_int_equal(stoa_breaker_get_state(breaker), STOA_BREAKER_CLOSED);
    assert_int_equal(stoa_wait_health(rig->stoa, health.version, LONG_MS, &health), 0);
    assert_int_equal(health.state, STOA_HEALTHY);
    char *text = NULL;
    assert_int_equal(stoa_metrics_text(rig->stoa, &text, NULL), 0);
    assert_true(exposition_value(text, "stoa_breaker_trips_total") == 1);
    assert_true(exposition_value(text, "stoa_breaker_refusals_total") == 1);
    stoa_free(text);
    stoa_breaker_destroy(breaker);
}

static void bad_arguments_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_breaker *breaker;
    struct stoa_health health = {.size = sizeof(health) + 1};
    struct stoa_breaker_options options = STOA_BREAKER_OPTIONS_INIT;
    struct stoa_options open_options = engine_rig_options(rig);
    struct stoa_alert_limits limits = {.size = 1};
    struct stoa *stoa;
    assert_int_equal(stoa_get_health(rig->stoa, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_health(rig->stoa, &health), STOA_EINVAL);
    assert_int_equal(stoa_wait_health(rig->stoa, 0, 0, &health), STOA_EINVAL);
    assert_int_equal(stoa_breaker_create(NULL, NULL), STOA_EINVAL);
    options.pause_ms = 10;
    options.pause_max_ms = 9;
    assert_int_equal(stoa_breaker_create(&options, &breaker), STOA_EINVAL);
    open_options.alert_limits = &limits;
    assert_int_equal(stoa_open(rig->directory, &open_options, &stoa, NULL), STOA_EINVAL);
    assert_null(stoa_health_name((enum stoa_health_state)9));
    stoa_breaker_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(a_new_store_is_healthy),
        ENGINE_RIG_BOTH(a_passed_limit_degrades_it_and_is_told),
        ENGINE_RIG_BOTH(a_low_hit_rate_is_an_alert_until_reads_hit_again),
        ENGINE_RIG_BOTH(a_change_makes_the_descriptor_readable_until_it_is_asked),
        ENGINE_RIG_BOTH(low_space_warns_then_stops_jobs_then_writes),
        ENGINE_RIG_BOTH(what_does_not_change_times_out),
        ENGINE_RIG_BOTH(a_breaker_opens_half_opens_and_closes_and_health_shows_it),
        ENGINE_RIG_BOTH(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
