/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/dead_letters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum { LETTERS = 8 };

struct fixture {
    struct dead_letters *box;
    struct dead_letter letters[LETTERS];
    unsigned released[LETTERS];
};

static void note_release(void *context, struct dead_letter *letter)
{
    struct fixture *fixture = context;
    fixture->released[letter - fixture->letters]++;
}

static void set_up(struct fixture *fixture, size_t count_max, uint64_t size_max, uint64_t age_ns)
{
    struct dead_letters_options options = {
        .count_max = count_max,
        .size_max = size_max,
        .age_ns = age_ns,
        .release = note_release,
        .context = fixture,
    };
    *fixture = (struct fixture){.box = dead_letters_create(&options)};
    assert_non_null(fixture->box);
}

static void add(struct fixture *fixture, unsigned index, size_t size, uint64_t now_ns)
{
    fixture->letters[index].size = size;
    dead_letters_add(fixture->box, &fixture->letters[index], now_ns);
}

static struct dead_letters_counts counts_of(const struct fixture *fixture)
{
    struct dead_letters_counts counts;
    dead_letters_count(fixture->box, &counts);
    return counts;
}

static void letters_are_listed_oldest_first_and_found_by_id(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 0, 0, 0);
    for (unsigned i = 0; i < 3; i++) {
        add(&fixture, i, 10, i);
    }
    struct dead_letter *letter = dead_letters_first(fixture.box);
    for (unsigned i = 0; i < 3; i++, letter = letter->next) {
        assert_ptr_equal(letter, &fixture.letters[i]);
        assert_true(letter->id == i + 1);
        assert_ptr_equal(dead_letters_find(fixture.box, i + 1), letter);
    }
    assert_null(letter);
    assert_null(dead_letters_find(fixture.box, 4));
    dead_letters_destroy(fixture.box);
    assert_int_equal(fixture.released[0] + fixture.released[1] + fixture.released[2], 3);
}

static void full_box_pushes_out_the_oldest(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, 0, 0);
    add(&fixture, 0, 1, 0);
    add(&fixture, 1, 1, 0);
    add(&fixture, 2, 1, 0);
    assert_int_equal(fixture.released[0], 1);
    assert_ptr_equal(dead_letters_first(fixture.box), &fixture.letters[1]);
    assert_true(counts_of(&fixture).displaced == 1);
    assert_true(counts_of(&fixture).kept == 2);
    dead_letters_destroy(fixture.box);
}

static void bytes_are_bounded_as_well(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 0, 100, 0);
    add(&fixture, 0, 60, 0);
    add(&fixture, 1, 40, 0);
    assert_int_equal(fixture.released[0], 0);
    add(&fixture, 2, 41, 0);
    assert_int_equal(fixture.released[0], 1);
    assert_true(counts_of(&fixture).size == 81);
    dead_letters_destroy(fixture.box);
}

static void letter_larger_than_the_box_leaves_the_others_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 0, 100, 0);
    add(&fixture, 0, 60, 0);
    add(&fixture, 1, 101, 0);
    assert_int_equal(fixture.released[0], 0);
    assert_int_equal(fixture.released[1], 1);
    assert_true(counts_of(&fixture).displaced == 1);
    assert_true(counts_of(&fixture).added == 2);
    dead_letters_destroy(fixture.box);
}

static void old_letters_go_and_are_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 0, 0, 100);
    add(&fixture, 0, 1, 1000);
    add(&fixture, 1, 1, 1050);
    dead_letters_age(fixture.box, 1099);
    assert_int_equal(fixture.released[0], 0);
    dead_letters_age(fixture.box, 1100);
    assert_int_equal(fixture.released[0], 1);
    assert_int_equal(fixture.released[1], 0);
    add(&fixture, 2, 1, 1150); /* a new one drives out what is too old by then */
    assert_int_equal(fixture.released[1], 1);
    assert_true(counts_of(&fixture).aged == 2);
    dead_letters_destroy(fixture.box);
}

static void taken_letter_is_the_callers_and_comes_back_under_its_id(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 0, 0, 0);
    add(&fixture, 0, 5, 0);
    add(&fixture, 1, 5, 0);
    add(&fixture, 2, 5, 0);
    dead_letters_take(fixture.box, &fixture.letters[1]);
    assert_int_equal(fixture.released[1], 0);
    assert_null(dead_letters_find(fixture.box, 2));
    assert_ptr_equal(fixture.letters[0].next, &fixture.letters[2]);
    add(&fixture, 1, 5, 0);
    assert_ptr_equal(dead_letters_find(fixture.box, 2), &fixture.letters[1]);
    dead_letters_drop(fixture.box, &fixture.letters[0]);
    assert_int_equal(fixture.released[0], 1);
    assert_true(counts_of(&fixture).taken == 1);
    assert_true(counts_of(&fixture).dropped == 1);
    assert_true(counts_of(&fixture).kept == 2);
    dead_letters_destroy(fixture.box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_listed_oldest_first_and_found_by_id),
        cmocka_unit_test(full_box_pushes_out_the_oldest),
        cmocka_unit_test(bytes_are_bounded_as_well),
        cmocka_unit_test(letter_larger_than_the_box_leaves_the_others_alone),
        cmocka_unit_test(old_letters_go_and_are_counted),
        cmocka_unit_test(taken_letter_is_the_callers_and_comes_back_under_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
