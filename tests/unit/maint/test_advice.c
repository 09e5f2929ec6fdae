/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each rule by itself, at its limit and one below, and their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "maint/advice.h"

enum { NOW = 2000000000, DAY = 86400 };

struct world {
    struct stoa_storage storage;
    struct advice_facts facts;
    struct buffer found;
};

/* A store for which nothing is to be done. */
static void begin(struct world *world)
{
    memset(world, 0, sizeof(*world));
    buffer_init(&world->found);
    world->facts.storage = &world->storage;
    world->facts.now = NOW;
    world->facts.sealed = 3;
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        world->facts.jobs[i].ended = NOW - 60;
    }
}

/* ACTIONS, with a comma behind each, is what is found. */
static void expect(struct world *world, const char *actions)
{
    char said[256] = "";
    buffer_clear(&world->found);
    assert_int_equal(advice_find(&world->facts, &world->found), 0);
    const struct stoa_storage_advice *advice = (const void *)world->found.data;
    for (size_t i = 0; i < world->found.size / sizeof(*advice); i++) {
        strcat(said, advice[i].action);
        strcat(said, ",");
        assert_true(advice[i].reason[0] != '\0');
    }
    assert_string_equal(said, actions);
}

static void expect_reason(const struct world *world, const char *part)
{
    const struct stoa_storage_advice *advice = (const void *)world->found.data;
    assert_non_null(strstr(advice[0].reason, part));
}

static void a_store_in_order_needs_nothing(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    expect(&world, "");
    buffer_deinit(&world.found);
}

static void what_is_known_to_be_damaged_is_repaired(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.storage.damages = 2;
    expect(&world, "repair,");
    expect_reason(&world, "2 damaged places");
    world.storage.damages = 0;
    world.storage.damaged = 1;
    expect(&world, "repair,");
    expect_reason(&world, "1 segments are damaged");
    world.storage.damaged = 0;
    world.storage.missing = 1;
    expect(&world, "repair,");
    expect_reason(&world, "reindex");
    world.storage.missing = 0;
    struct stoa_verification verified = {.result = STOA_ECORRUPT, .report.damages = 4};
    world.facts.verified = &verified;
    expect(&world, "repair,");
    expect_reason(&world, "verification found 4 damages");
    verified = (struct stoa_verification){.result = 0};
    expect(&world, "");
    buffer_deinit(&world.found);
}

static void what_has_to_run_now_and_then_is_asked_for_when_it_did_not(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.facts.jobs[STOA_JOB_BACKUP].ended = NOW - DAY;
    world.facts.jobs[STOA_JOB_SCRUB].ended = NOW - 14 * DAY;
    expect(&world, "");
    world.facts.jobs[STOA_JOB_BACKUP].ended--;
    world.facts.jobs[STOA_JOB_SCRUB].ended--;
    expect(&world, "backup,scrub,");
    expect_reason(&world, "1 days ago");
    world.facts.jobs[STOA_JOB_SCRUB].active = 1;
    world.facts.jobs[STOA_JOB_BACKUP].ended = 0;
    expect(&world, "backup,");
    expect_reason(&world, "none yet");
    world.facts.jobs[STOA_JOB_BACKUP].ended = NOW;
    world.facts.jobs[STOA_JOB_BACKUP].last_result = STOA_ENOSPACE;
    expect(&world, "backup,");
    expect_reason(&world, "failed");
    strcpy(world.facts.jobs[STOA_JOB_BACKUP].last_error, "the disk is full");
    expect(&world, "backup,");
    expect_reason(&world, "the disk is full");
    world.facts.jobs[STOA_JOB_BACKUP].active = 1;
    world.facts.jobs[STOA_JOB_SCRUB].active = 0;
    expect(&world, "scrub,");
    world.facts.sealed = 0; /* there is nothing to be scrubbed */
    expect(&world, "");
    buffer_deinit(&world.found);
}

static void bytes_that_can_be_had_back_are_told(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world.storage.replay_bytes = 512 << 20;
    world.facts.prunable = (1 << 20) - 1;
    expect(&world, "");
    world.storage.replay_bytes++;
    world.facts.prunable++;
    world.facts.archivable = 1;
    world.facts.compactable = 7;
    world.storage.fragmentation = 33;
    expect(&world, "checkpoint,prune,archive,compact,");
    expect_reason(&world, "536870913 bytes");
    world.storage.replay_bytes = 0;
    world.facts.prunable = 0;
    world.facts.archivable = 0;
    expect(&world, "compact,");
    expect_reason(&world, "33 %");
    buffer_deinit(&world.found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_in_order_needs_nothing),
        cmocka_unit_test(what_is_known_to_be_damaged_is_repaired),
        cmocka_unit_test(what_has_to_run_now_and_then_is_asked_for_when_it_did_not),
        cmocka_unit_test(bytes_that_can_be_had_back_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
