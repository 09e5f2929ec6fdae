/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/interrupt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "stoa/byte_input.h"
#include "stoa/error.h"

/* One pipe stands for standard input; its other end stays open, so a read of it would wait. */
static void a_signal_that_came_before_the_read_ends_it(void **state)
{
    (void)state;
    int ends[2];
    uint8_t out[64];
    size_t size = 0;
    struct byte_input *input = NULL;
    struct error_detail detail;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(write(ends[1], "some bytes", 10), 10);
    (void)alarm(60); /* a read that waits for ever fails the test */
    interrupt_catch();
    assert_int_equal(byte_input_open("-", &input, &detail), 0);
    assert_false(interrupt_requested());
    assert_int_equal(raise(SIGTERM), 0);
    assert_true(interrupt_requested());
    assert_int_equal(byte_input_read(input, out, sizeof(out), &size, &detail), 0); /* it is there */
    assert_int_equal(size, 10);
    assert_memory_equal(out, "some bytes", 10);
    assert_int_equal(byte_input_read(input, out, sizeof(out), &size, &detail), STOA_ECANCELED);
    assert_string_equal(detail.text, "interrupted");
    byte_input_close(input);
    (void)alarm(0);
    assert_int_equal(close(ends[0]) + close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_that_came_before_the_read_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
