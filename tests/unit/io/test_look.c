/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking for what comes, on a loop whose clock the test sets: how long, and when not. */
#include "io/look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEP_NS = 10000, TURN_NS = 2 * STEP_NS, LOOK_NS = 3 * TURN_NS, SLICE_NS = 4000000 };

struct clock {
    struct io io; /* first */
    uint64_t now_ns;
    uint64_t step_ns; /* each time that it is asked for */
};

static uint64_t tell_time(struct io *io)
{
    struct clock *clock = (struct clock *)(void *)io;
    clock->now_ns += clock->step_ns;
    return clock->now_ns;
}

static const struct io_ops clock_ops = {.name = "clock", .now_ns = tell_time};

static struct clock clock_with_room(void)
{
    return (struct clock){
        .io = {.ops = &clock_ops}, .now_ns = UINT64_C(1) << 40, .step_ns = STEP_NS};
}

/* How often one looks. */
static unsigned look(struct clock *clock, uint64_t for_ns)
{
    struct look look;
    unsigned count = 0;
    for (bool on = look_begin(&look, &clock->io, for_ns); on; on = look_again(&look)) {
        count++;
    }
    return count;
}

/* Let on again after a slice of another's, then as quick as ever. */
static void look_in_a_crowd(struct clock *clock)
{
    clock->step_ns = SLICE_NS;
    assert_int_equal(look(clock, LOOK_NS), 1);
    clock->step_ns = STEP_NS;
}

/* How long nobody looks from now on. */
static uint64_t pause_of(struct clock *clock)
{
    struct look look;
    uint64_t begin_ns = clock->now_ns;
    clock->step_ns = 0;
    while (!look_begin(&look, &clock->io, 1)) {
        clock->now_ns += 1000000;
    }
    clock->step_ns = STEP_NS;
    return clock->now_ns - begin_ns;
}

static void with_room_one_looks_for_as_long_as_was_said(void **state)
{
    (void)state;
    struct clock clock = clock_with_room();
    assert_int_equal(look(&clock, LOOK_NS), LOOK_NS / TURN_NS);
    assert_int_equal(look(&clock, LOOK_NS), LOOK_NS / TURN_NS);
    assert_int_equal(look(&clock, 0), 0);
}

static void in_a_crowd_nobody_looks_for_a_while(void **state)
{
    (void)state;
    struct clock clock = clock_with_room();
    look_in_a_crowd(&clock);
    assert_int_equal(look(&clock, LOOK_NS), 0);
    assert_in_range(pause_of(&clock), 10000000, 20000000);
    assert_int_equal(look(&clock, LOOK_NS), LOOK_NS / TURN_NS);
}

static void as_long_as_it_is_crowded_pauses_grow_to_a_second(void **state)
{
    (void)state;
    struct clock clock = clock_with_room();
    uint64_t before_ns = 0;
    for (unsigned i = 0; i < 6; i++) {
        look_in_a_crowd(&clock);
        uint64_t pause_ns = pause_of(&clock);
        assert_true(pause_ns > before_ns + before_ns / 2);
        before_ns = pause_ns;
    }
    for (unsigned i = 0; i < 6; i++) {
        look_in_a_crowd(&clock);
        assert_in_range(pause_of(&clock), 500000000, 1100000000);
    }
}

static void with_room_again_pauses_begin_anew(void **state)
{
    (void)state;
    struct clock clock = clock_with_room();
    for (unsigned i = 0; i < 6; i++) {
        look_in_a_crowd(&clock);
        (void)pause_of(&clock);
    }
    assert_int_equal(look(&clock, LOOK_NS), LOOK_NS / TURN_NS);
    look_in_a_crowd(&clock);
    assert_in_range(pause_of(&clock), 10000000, 20000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_room_one_looks_for_as_long_as_was_said),
        cmocka_unit_test(in_a_crowd_nobody_looks_for_a_while),
        cmocka_unit_test(as_long_as_it_is_crowded_pauses_grow_to_a_second),
        cmocka_unit_test(with_room_again_pauses_begin_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
