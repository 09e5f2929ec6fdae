/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs over both stores, against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kv_suite.h"
#include "support/fixture.h"
#include "tables/runs.h"

enum { FILTER_SIZE = 18, KEY_COUNT = 600, KEY_SIZE = 24, LOAD_MAX = 400, VERSIONS = 3 };

/* A value for each key: 0 is absent. */
struct model {
    uint32_t values[KEY_COUNT];
};

/* Keys of several sizes, some beginnings of others, many with the same first bytes. */
static struct bytes key_of(unsigned number, uint8_t out[KEY_SIZE])
{
    memset(out, 0, KEY_SIZE);
    out[0] = (uint8_t)(number % 3);
    out[9] = (uint8_t)(number / 3 % 10);
    bytes_store_be32(out + 17, number / 30);
    size_t size = number % 7 == 0 ? KEY_SIZE : 21; /* zeros more at the end of some */
    return bytes_of(out, size);
}

static struct bytes value_of(uint32_t value, uint8_t out[64])
{
    memset(out, (int)(value & 255), 64);
    bytes_store_le32(out, value);
    return bytes_of(out, 4 + value % 40);
}

static void holds(struct kv_fixture *f, struct runs_version *version, const struct model *model)
{
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        uint8_t key[KEY_SIZE];
        uint8_t space[64];
        struct bytes found;
        int result = runs_get(version, f->session, key_of(i, key), &found, &f->detail);
        kv_suite_expect(result, model->values[i] == 0 ? STOA_ENOTFOUND : 0, f);
        if (result == 0) {
            assert_true(bytes_equal(found, value_of(model->values[i], space)));
        }
    }
}

struct walk {
    const struct model *model;
    struct bytes prefix;
    uint8_t last[KEY_SIZE];
    size_t last_size;
    unsigned seen;
};

static int check_entry(void *context, struct bytes key, struct bytes value)
{
    struct walk *walk = context;
    assert_true(key.size <= KEY_SIZE && key.size >= 21);
    assert_true(walk->last_size == 0 ||
                bytes_compare(bytes_of(walk->last, walk->last_size), key) < 0);
    assert_memory_equal(key.data, walk->prefix.data, walk->prefix.size);
    memcpy(walk->last, key.data, key.size);
    walk->last_size = key.size;
    unsigned number = bytes_load_be32(key.data + 17) * 30 + key.data[9] * 3u + key.data[0];
    assert_true(number < KEY_COUNT);
    uint8_t space[64];
    assert_true(bytes_equal(value, value_of(walk->model->values[number], space)));
    walk->seen++;
    return 0;
}

static void prefixes_hold(struct kv_fixture *f, struct runs_version *version,
                          const struct model *model)
{
    for (size_t size = 0; size <= 10; size += 5) {
        for (unsigned i = 0; i < 30; i++) {
            uint8_t key[KEY_SIZE];
            key_of(i, key);
            struct walk walk = {.model = model, .prefix = bytes_of(key, size)};
            unsigned wanted = 0;
            for (unsigned j = 0; j < KEY_COUNT; j++) {
                uint8_t other[KEY_SIZE];
                key_of(j, other);
                wanted += model->values[j] != 0 && memcmp(other, key, size) == 0;
            }
            kv_suite_expect(
                runs_prefix(version, f->session, walk.prefix, check_entry, &walk, &f->detail), 0,
                f);
            assert_int_equal(walk.seen, wanted);
        }
    }
}

static void matches(struct kv_fixture *f, struct runs *runs, const struct model *model)
{
    struct runs_version *version = runs_acquire(runs);
    holds(f, version, model);
    prefixes_hold(f, version, model);
    runs_release(runs, version);
}

struct load {
    struct runs_entry entries[LOAD_MAX];
    uint8_t keys[LOAD_MAX][KEY_SIZE];
    uint8_t values[LOAD_MAX][64];
    size_t count;
};

static void make_load(struct load *load, struct model *model, uint64_t *random)
{
    load->count = fixture_random_below(random, LOAD_MAX + 1);
    for (size_t i = 0; i < load->count; i++) {
        unsigned number = (unsigned)fixture_random_below(random, KEY_COUNT);
        uint32_t value = (uint32_t)fixture_random_below(random, 1000000) + 1;
        bool removed = fixture_random_below(random, 4) == 0;
        load->entries[i] = (struct runs_entry){.key = key_of(number, load->keys[i]),
                                               .value = value_of(value, load->values[i]),
                                               .removed = removed};
        model->values[number] = removed ? 0 : value;
    }
}

static void commit_load(struct kv_fixture *f, struct runs *runs, struct load *load)
{
    kv_suite_expect(runs_load(runs, f->session, load->entries, load->count, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    runs_publish(runs);
}

static bool always(void *context)
{
    ++*(unsigned *)context;
    return true;
}

static void give_up_a_load(struct kv_fixture *f, struct runs *runs, struct load *load)
{
    kv_suite_expect(runs_load(runs, f->session, load->entries, load->count, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
    kv_rollback(f->session);
    runs_discard(runs, f->session);
}

/* To one run, or none, after it was given up once. */
static void merge_all(struct kv_fixture *f, struct runs *runs)
{
    struct runs_stats before;
    struct runs_stats after;
    unsigned asked = 0;
    struct runs_stop given_up = {always, &asked};
    struct runs_stop never = {NULL, NULL};
    runs_stats(runs, &before);
    kv_suite_expect(runs_merge_all(runs, f->session, 0, &given_up, &f->detail),
                    before.run_count > 1 ? STOA_ECANCELED : 0, f);
    assert_int_equal(asked, before.run_count > 1);
    runs_stats(runs, &after);
    assert_int_equal(after.run_count, before.run_count);
    kv_suite_expect(runs_merge_all(runs, f->session, 0, &never, &f->detail), 0, f);
    runs_stats(runs, &after);
    assert_true(after.run_count <= 1);
    assert_true(after.entry_count <= before.entry_count);
    assert_int_equal(after.merge_count, before.merge_count + (before.run_count > 1));
}

static void random_work_matches_a_plain_model(void **state)
{
    struct kv_fixture *f = *state;
    uint64_t random = fixture_seed();
    struct model model = {{0}};
    struct model durable = {{0}};
    struct model held_model[VERSIONS];
    struct runs_version *held[VERSIONS] = {NULL};
    struct load *load = calloc(1, sizeof(*load));
    assert_non_null(load);
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", FILTER_SIZE, &runs, &f->detail), 0, f);
    for (int round = 0; round < 150; round++) {
        struct model next = model;
        make_load(load, &next, &random);
        if (fixture_random_below(&random, 8) == 0) {
            give_up_a_load(f, runs, load);
        } else {
            commit_load(f, runs, load);
            model = next;
        }
        if (fixture_random_below(&random, 3) != 0) {
            bool due = runs_merge_due(runs);
            unsigned asked = 0;
            if (due && fixture_random_below(&random, 4) == 0) {
                kv_suite_expect(runs_merge(runs, f->session, always, &asked, &f->detail),
                                STOA_ECANCELED, f);
                assert_int_equal(asked, 1);
            }
            kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
        }
        if (fixture_random_below(&random, 12) == 0) {
            merge_all(f, runs);
        }
        size_t slot = fixture_random_below(&random, VERSIONS);
        if (held[slot] != NULL) { /* old versions are read on while merges go on */
            holds(f, held[slot], &held_model[slot]);
            runs_release(runs, held[slot]);
            held[slot] = NULL;
        } else {
            held[slot] = runs_acquire(runs);
            held_model[slot] = model;
        }
        if (fixture_random_below(&random, 6) == 0) {
            kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
            durable = model;
        }
        if (fixture_random_below(&random, 12) == 0) {
            for (size_t i = 0; i < VERSIONS; i++) {
                if (held[i] != NULL) {
                    runs_release(runs, held[i]);
                    held[i] = NULL;
                }
            }
            runs_close(runs);
            kv_fixture_reopen(f);
            model = durable;
            kv_suite_expect(runs_open(f->session, "index", FILTER_SIZE, &runs, &f->detail), 0, f);
        }
        if (fixture_random_below(&random, 10) == 0) {
            matches(f, runs, &model);
        }
    }
    for (size_t i = 0; i < VERSIONS; i++) {
        if (held[i] != NULL) {
            holds(f, held[i], &held_model[i]);
            runs_release(runs, held[i]);
        }
    }
    matches(f, runs, &model);
    runs_close(runs);
    free(load);
}

static void count_table(void *context, const char *table)
{
    *(unsigned *)context += strncmp(table, "run-", 4) == 0;
}

static unsigned run_tables(struct kv_fixture *f)
{
    unsigned count = 0;
    kv_suite_expect(kv_table_list(f->session, count_table, &count, &f->detail), 0, f);
    return count;
}

static unsigned filter_chunks(struct kv_fixture *f)
{
    struct kv_cursor *cursor;
    unsigned count = 0;
    kv_suite_expect(kv_cursor_open(f->session, "filters", &cursor, &f->detail), 0, f);
    while (kv_cursor_next(cursor, &f->detail) == 0) {
        count++;
    }
    kv_cursor_close(cursor);
    return count;
}

static void load_numbers(struct kv_fixture *f, struct runs *runs, uint32_t first, uint32_t count,
                         bool removed)
{
    struct load *load = calloc(1, sizeof(*load));
    assert_non_null(load);
    assert_true(count <= LOAD_MAX);
    for (uint32_t i = 0; i < count; i++) {
        load->entries[i] = (struct runs_entry){.key = key_of(first + i, load->keys[i]),
                                               .value = value_of(first + i + 1, load->values[i]),
                                               .removed = removed};
    }
    load->count = count;
    commit_load(f, runs, load);
    free(load);
}

static void merged_runs_are_dropped_when_no_reader_holds_them(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    struct kv_session *idle;
    kv_suite_expect(kv_session_open(f->kv, &idle, &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    struct runs_version *held = NULL;
    for (uint32_t i = 0; i < RUNS_FANOUT; i++) {
        assert_false(runs_merge_due(runs));
        load_numbers(f, runs, i * 10, 10, false);
    }
    held = runs_acquire(runs);
    uint8_t key[KEY_SIZE];
    struct bytes found;
    kv_suite_expect(runs_get(held, idle, key_of(5, key), &found, &f->detail), 0, f);
    assert_true(runs_merge_due(runs));
    assert_int_equal(run_tables(f), RUNS_FANOUT);
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    assert_false(runs_merge_due(runs));
    assert_int_equal(run_tables(f), RUNS_FANOUT + 1);
    kv_suite_expect(runs_get(held, idle, key_of(75, key), &found, &f->detail), 0, f);
    runs_release(runs, held);
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    assert_int_equal(run_tables(f), 1);
    assert_int_equal(filter_chunks(f), 1);
    struct runs_stats stats;
    runs_stats(runs, &stats);
    assert_int_equal(stats.run_count, 1);
    assert_int_equal(stats.entry_count, 10 * RUNS_FANOUT);
    assert_int_equal(stats.merge_count, 1);
    assert_true(stats.filter_bytes >= 64);
    kv_session_close(idle);
    runs_close(runs);
}

static bool say(void *context)
{
    return *(const bool *)context;
}

static void warming_reads_as_much_as_it_may_and_ends_when_told(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    enum { EACH = 20, TIMES = 3, PLENTY = 1 << 20 };
    bool stop = false;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    struct runs_warm warm = {.bytes_left = PLENTY, .stop = say, .context = &stop};
    kv_suite_expect(runs_warm(runs, f->session, &warm, &f->detail), 0, f);
    assert_int_equal(warm.bytes_left, PLENTY); /* there is nothing */
    for (uint32_t i = 0; i < TIMES; i++) {
        load_numbers(f, runs, i * EACH, EACH, false);
    }
    kv_suite_expect(runs_warm(runs, f->session, &warm, &f->detail), 0, f);
    uint64_t all = PLENTY - warm.bytes_left;
    assert_true(all > TIMES * EACH); /* a byte of each entry at the least */
    warm.bytes_left = all / 2;
    kv_suite_expect(runs_warm(runs, f->session, &warm, &f->detail), 0, f);
    assert_int_equal(warm.bytes_left, 0);
    stop = true;
    warm.bytes_left = PLENTY;
    kv_suite_expect(runs_warm(runs, f->session, &warm, &f->detail), STOA_ECANCELED, f);
    assert_int_equal(warm.bytes_left, PLENTY);
    runs_close(runs);
}

static void tombstones_vanish_in_the_last_level(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    struct runs_stats stats;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    load_numbers(f, runs, 0, 100, false);
    for (uint32_t i = 1; i < RUNS_FANOUT; i++) {
        load_numbers(f, runs, 0, 100, true);
    }
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    runs_stats(runs, &stats);
    assert_int_equal(stats.run_count, 0); /* nothing was left to keep */
    load_numbers(f, runs, 0, 50, false);
    for (uint32_t i = 1; i < RUNS_FANOUT; i++) {
        load_numbers(f, runs, 100, 10, false);
    }
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    for (uint32_t i = 0; i < RUNS_FANOUT; i++) {
        load_numbers(f, runs, 0, 20, true); /* an older level is below: these must stay */
    }
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    runs_stats(runs, &stats);
    assert_int_equal(stats.run_count, 2);
    assert_int_equal(stats.entry_count, 60 + 20);
    struct model model = {{0}};
    for (uint32_t i = 20; i < 50; i++) {
        model.values[i] = i + 1;
    }
    for (uint32_t i = 100; i < 110; i++) {
        model.values[i] = i + 1;
    }
    matches(f, runs, &model);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    runs_close(runs);
    kv_fixture_reopen(f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    matches(f, runs, &model);
    runs_close(runs);
}

static void what_no_list_names_goes_at_open(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    struct runs *other;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index-2", 0, &other, &f->detail), 0, f);
    load_numbers(f, runs, 0, 10, false);
    load_numbers(f, other, 0, 10, false);
    struct load *load = calloc(1, sizeof(*load));
    assert_non_null(load);
    load->entries[0] = (struct runs_entry){.key = key_of(1, load->keys[0]), .removed = true};
    kv_suite_expect(runs_load(runs, f->session, load->entries, 1, &f->detail), 0, f);
    kv_suite_expect(runs_load(runs, f->session, load->entries, 1, &f->detail), STOA_EBUSY, f);
    assert_int_equal(run_tables(f), 3);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    runs_close(runs);
    runs_close(other);
    kv_fixture_reopen(f);
    assert_int_equal(run_tables(f), 3);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    assert_int_equal(run_tables(f), 2);
    kv_suite_expect(runs_open(f->session, "index-2", 0, &other, &f->detail), 0, f);
    assert_int_equal(run_tables(f), 2);
    assert_int_equal(filter_chunks(f), 2);
    struct model model = {{0}};
    for (uint32_t i = 0; i < 10; i++) {
        model.values[i] = i + 1;
    }
    matches(f, runs, &model);
    matches(f, other, &model);
    runs_close(runs);
    runs_close(other);
    free(load);
}

static void a_rolled_back_record_can_be_made_again(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    struct load *load = calloc(1, sizeof(*load));
    assert_non_null(load);
    uint8_t key[KEY_SIZE];
    struct bytes found;
    load->entries[0] =
        (struct runs_entry){.key = key_of(1, load->keys[0]), .value = value_of(7, load->values[0])};
    kv_suite_expect(runs_load(runs, f->session, load->entries, 1, &f->detail), 0, f);
    for (int round = 0; round < 2; round++) {
        kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
        kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
        if (round == 0) {
            kv_rollback(f->session);
        }
        struct runs_version *version = runs_acquire(runs);
        kv_suite_expect(runs_get(version, f->session, key_of(1, key), &found, &f->detail),
                        STOA_ENOTFOUND, f);
        runs_release(runs, version);
    }
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    runs_publish(runs);
    struct runs_version *version = runs_acquire(runs);
    kv_suite_expect(runs_get(version, f->session, key_of(1, key), &found, &f->detail), 0, f);
    runs_release(runs, version);
    kv_suite_expect(runs_load(runs, f->session, load->entries, 0, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    runs_publish(runs);
    runs_discard(runs, f->session);
    runs_close(runs);
    free(load);
}

static int stop_at_second(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    return ++*(int *)context == 2 ? 42 : 0;
}

static void a_prefix_walk_ends_where_the_callback_says(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    load_numbers(f, runs, 0, 100, false);
    load_numbers(f, runs, 50, 100, false);
    struct runs_version *version = runs_acquire(runs);
    int calls = 0;
    kv_suite_expect(
        runs_prefix(version, f->session, bytes_of(NULL, 0), stop_at_second, &calls, &f->detail), 42,
        f);
    assert_int_equal(calls, 2);
    calls = 0;
    uint8_t beyond[2] = {0xff, 0xff};
    kv_suite_expect(
        runs_prefix(version, f->session, bytes_of(beyond, 2), stop_at_second, &calls, &f->detail),
        0, f);
    assert_int_equal(calls, 0);
    runs_release(runs, version);
    runs_close(runs);
}

static void damaged_lists_and_lost_tables_are_found_at_open(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    struct bytes list;
    struct bytes name = bytes_of("index", 5);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    load_numbers(f, runs, 0, 100, false);
    runs_close(runs);
    kv_suite_expect(kv_get(f->session, "runs", name, &list, &f->detail), 0, f);
    uint8_t good[256];
    size_t size = list.size;
    assert_true(size < sizeof(good));
    memcpy(good, list.data, size);
    for (size_t cut = 0; cut < size; cut++) {
        kv_suite_expect(kv_put(f->session, "runs", name, bytes_of(good, cut), &f->detail), 0, f);
        kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), STOA_ECORRUPT, f);
    }
    good[size] = 0;
    kv_suite_expect(kv_put(f->session, "runs", name, bytes_of(good, size + 1), &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), STOA_ECORRUPT, f);
    good[0]++;
    kv_suite_expect(kv_put(f->session, "runs", name, bytes_of(good, size), &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), STOA_EVERSION, f);
    good[0]--;
    kv_suite_expect(kv_put(f->session, "runs", name, bytes_of(good, size), &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    runs_close(runs);
    struct kv_cursor *cursor;
    struct bytes key;
    struct bytes value;
    uint8_t chunk[64];
    kv_suite_expect(kv_cursor_open(f->session, "filters", &cursor, &f->detail), 0, f);
    kv_suite_expect(kv_cursor_next(cursor, &f->detail), 0, f);
    kv_cursor_current(cursor, &key, &value);
    size_t chunk_size = key.size;
    assert_true(chunk_size <= sizeof(chunk));
    memcpy(chunk, key.data, chunk_size);
    kv_cursor_close(cursor);
    kv_suite_expect(kv_remove(f->session, "filters", bytes_of(chunk, chunk_size), &f->detail), 0,
                    f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), STOA_ECORRUPT, f);
    kv_suite_expect(kv_table_drop(f->session, "run-index-0000000001", &f->detail), 0, f);
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), STOA_ECORRUPT, f);
    kv_suite_expect(runs_open(f->session, "", 0, &runs, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(runs_open(f->session, "seventeen-letters", 0, &runs, &f->detail), STOA_EINVAL,
                    f);
}

static void a_failed_allocation_leaves_all_as_it_was(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    for (uint32_t i = 0; i < RUNS_FANOUT; i++) {
        load_numbers(f, runs, i * 20, 40, false);
    }
    struct model model = {{0}};
    for (uint32_t i = 0; i < 20 * RUNS_FANOUT + 20; i++) {
        model.values[i] = i + 1;
    }
    int result;
    uint64_t n = 1;
    do {
        memory_fail_at(n);
        result = runs_merge(runs, f->session, NULL, NULL, &f->detail);
        memory_fail_at(0);
        n += n < 20 ? 1 : 37; /* the twin allocates for each entry */
        if (result != 0) {
            kv_suite_expect(result, STOA_ENOMEM, f);
        }
    } while (result != 0 || runs_merge_due(runs));
    matches(f, runs, &model);
    kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
    assert_int_equal(run_tables(f), 1);
    runs_close(runs);
}

struct reader {
    struct kv *kv;
    struct runs *runs;
    atomic_bool stop;
    atomic_uint rounds;
    atomic_uint failures;
};

static int count_entry(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)context;
    return 0;
}

/* The writer always keeps keys 0 to 99 present. */
static void *read_all(void *context)
{
    struct reader *reader = context;
    struct kv_session *session;
    if (kv_session_open(reader->kv, &session, NULL) != 0) {
        atomic_fetch_add(&reader->failures, 1);
        return NULL;
    }
    while (!atomic_load(&reader->stop)) {
        struct runs_version *version = runs_acquire(reader->runs);
        unsigned seen = 0;
        int result = 0;
        for (unsigned i = 0; i < 100 && result == 0; i++) {
            uint8_t key[KEY_SIZE];
            struct bytes value;
            result = runs_get(version, session, key_of(i, key), &value, NULL);
        }
        result = result != 0
                     ? result
                     : runs_prefix(version, session, bytes_of(NULL, 0), count_entry, &seen, NULL);
        runs_release(reader->runs, version);
        if (result != 0 || seen != 100) {
            atomic_fetch_add(&reader->failures, 1);
        }
        atomic_fetch_add(&reader->rounds, 1);
    }
    kv_session_close(session);
    return NULL;
}

static void readers_in_threads_read_on_while_runs_merge(void **state)
{
    struct kv_fixture *f = *state;
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    load_numbers(f, runs, 0, 100, false);
    struct reader reader = {.kv = f->kv, .runs = runs};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &reader), 0);
    }
    for (uint32_t i = 0; i < 80 || atomic_load(&reader.rounds) < 40; i++) {
        load_numbers(f, runs, i % 60, 40, false);
        if (runs_merge_due(runs)) {
            kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
        }
        if (i % 30 == 29) {
            kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
        }
    }
    atomic_store(&reader.stop, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&reader.failures), 0);
    runs_close(runs);
}

struct merger {
    struct kv_fixture *fixture;
    struct runs *runs;
    atomic_bool stop;
    unsigned merged;
};

static void *merge_on(void *context)
{
    struct merger *merger = context;
    struct error_detail detail;
    struct kv_session *session;
    assert_int_equal(kv_session_open(merger->fixture->kv, &session, &detail), 0);
    while (!atomic_load(&merger->stop) || runs_merge_due(merger->runs)) {
        bool due = runs_merge_due(merger->runs);
        int result = runs_merge(merger->runs, session, NULL, NULL, &detail);
        assert_true(result == 0 || result == STOA_EBUSY);
        merger->merged += due && result == 0;
    }
    kv_session_close(session);
    return NULL;
}

/* As the store does it: where a merge changed the list in the same moment, the transaction is made
 * again. */
static void load_beside_merges(struct kv_fixture *f, struct runs *runs, struct load *load)
{
    kv_suite_expect(runs_load(runs, f->session, load->entries, load->count, &f->detail), 0, f);
    int result;
    do {
        kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
        result = runs_record(runs, f->session, &f->detail);
        if (result == 0) {
            result = kv_commit(f->session, &f->detail);
        } else {
            kv_rollback(f->session);
        }
    } while (result == STOA_EBUSY);
    kv_suite_expect(result, 0, f);
    runs_publish(runs);
}

static void runs_are_loaded_while_another_thread_merges(void **state)
{
    struct kv_fixture *f = *state;
    if (!f->on_disk) {
        return; /* the twin has one writer at a time */
    }
    struct merger merger = {.fixture = f};
    struct model model = {{0}};
    struct load *load = calloc(1, sizeof(*load));
    uint64_t random = fixture_seed();
    pthread_t thread;
    assert_non_null(load);
    kv_suite_expect(runs_open(f->session, "index", FILTER_SIZE, &merger.runs, &f->detail), 0, f);
    assert_int_equal(pthread_create(&thread, NULL, merge_on, &merger), 0);
    for (int round = 0; round < 120; round++) {
        make_load(load, &model, &random);
        load_beside_merges(f, merger.runs, load);
    }
    atomic_store(&merger.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(merger.merged > 0);
    matches(f, merger.runs, &model);
    runs_close(merger.runs);
    kv_suite_expect(runs_open(f->session, "index", FILTER_SIZE, &merger.runs, &f->detail), 0, f);
    matches(f, merger.runs, &model);
    runs_close(merger.runs);
    free(load);
}

static void many_entries_are_sorted(void **state)
{
    struct kv_fixture *f = *state;
    uint64_t random = fixture_seed();
    enum { COUNT = 60000 };
    struct runs_entry *entries = calloc(COUNT, sizeof(*entries));
    uint8_t(*keys)[40] = calloc(COUNT, sizeof(*keys));
    assert_non_null(entries);
    assert_non_null(keys);
    for (size_t i = 0; i < COUNT; i++) { /* few first bytes, so that later ones decide */
        size_t size = 1 + fixture_random_below(&random, 40);
        size_t fixed = fixture_random_below(&random, size);
        fixture_random_fill(&random, keys[i] + fixed, size - fixed);
        entries[i] =
            (struct runs_entry){.key = bytes_of(keys[i], size), .value = bytes_of(keys[i], size)};
    }
    struct runs *runs;
    kv_suite_expect(runs_open(f->session, "index", 0, &runs, &f->detail), 0, f);
    /* The store itself refuses what is not in order. */
    kv_suite_expect(runs_load(runs, f->session, entries, COUNT, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    runs_publish(runs);
    struct runs_version *version = runs_acquire(runs);
    for (size_t i = 0; i < COUNT; i++) {
        struct bytes found;
        kv_suite_expect(runs_get(version, f->session, entries[i].key, &found, &f->detail), 0, f);
        assert_true(bytes_equal(found, entries[i].key));
    }
    runs_release(runs, version);
    runs_close(runs);
    free(entries);
    free(keys);
}

/* ---- versions ---- */

enum { BASES = 40, HEIGHTS = 400, BASE_SIZE = 20 };

/* What each height put: 0 nothing, 1 absent, else the value. */
struct version_model {
    uint32_t values[BASES][HEIGHTS];
    uint32_t head; /* heights below it may have something */
};

struct version_load {
    struct runs_entry entries[BASES * HEIGHTS * 2];
    uint8_t keys[BASES * HEIGHTS * 2][BASE_SIZE + RUNS_VERSION_SIZE];
    uint32_t values[BASES * HEIGHTS * 2];
    size_t count;
};

static void base_of(uint32_t base, uint8_t key[BASE_SIZE])
{
    memset(key, 0, BASE_SIZE);
    bytes_store_le32(key, base / 2);
    key[BASE_SIZE - 1] = (uint8_t)base; /* two a filter's entry */
}

static struct runs_entry *add_version(struct version_load *load, uint32_t base, uint32_t height)
{
    size_t i = load->count++;
    base_of(base, load->keys[i]);
    runs_version_key(load->keys[i], BASE_SIZE, height);
    load->entries[i] =
        (struct runs_entry){.key = bytes_of(load->keys[i], BASE_SIZE + RUNS_VERSION_SIZE)};
    return &load->entries[i];
}

/* Withdraw what is from LINE on, then put the next heights. */
static void change_versions(struct version_model *model, struct version_load *load, uint32_t line,
                            uint32_t heights, uint64_t *random)
{
    load->count = 0;
    for (uint32_t height = line; height < model->head; height++) {
        for (uint32_t base = 0; base < BASES; base++) {
            if (model->values[base][height] != 0) {
                add_version(load, base, height)->removed = true;
                model->values[base][height] = 0;
            }
        }
    }
    model->head = line;
    for (uint32_t i = 0; i < heights && model->head < HEIGHTS; i++, model->head++) {
        for (uint32_t base = 0; base < BASES; base++) {
            uint64_t dice = fixture_random_below(random, base < 3 ? 2 : 30);
            if (dice != 0) {
                continue;
            }
            struct runs_entry *entry = add_version(load, base, model->head);
            uint32_t value = 1 + (uint32_t)fixture_random_below(random, 4);
            model->values[base][model->head] = value;
            load->values[load->count - 1] = value;
            entry->absent = value == 1;
            entry->value = bytes_of(&load->values[load->count - 1], sizeof(value));
        }
    }
}

/* From the height FLOOR on. */
static void check_versions(struct kv_fixture *f, struct runs *runs,
                           const struct version_model *model, uint32_t floor, uint64_t *random)
{
    struct runs_version *version = runs_acquire(runs);
    for (uint32_t base = 0; base < BASES; base++) {
        uint64_t height = fixture_random_below(random, 2) == 0
                              ? UINT64_MAX
                              : floor + fixture_random_below(random, HEIGHTS - floor);
        uint32_t wanted = 0;
        uint64_t found_at = 0;
        for (uint32_t i = 0; i < model->head && i <= height; i++) {
            if (model->values[base][i] != 0) {
                wanted = model->values[base][i];
                found_at = i;
            }
        }
        uint8_t key[BASE_SIZE];
        base_of(base, key);
        struct bytes value;
        kv_suite_expect(runs_get_version(version, f->session, bytes_of(key, BASE_SIZE), &height,
                                         &value, &f->detail),
                        wanted > 1 ? 0 : STOA_ENOTFOUND, f);
        if (wanted > 1) {
            assert_int_equal(height, found_at);
            assert_int_equal(value.size, 4);
            assert_int_equal(bytes_load_le32(value.data), wanted);
        }
    }
    runs_release(runs, version);
}

static void load_versions(struct kv_fixture *f, struct runs *runs, struct version_load *load)
{
    kv_suite_expect(runs_load(runs, f->session, load->entries, load->count, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(runs_record(runs, f->session, &f->detail), 0, f);
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    runs_publish(runs);
}

static void versions_are_found_below_any_bound_whatever_was_withdrawn(void **state)
{
    struct kv_fixture *f = *state;
    struct version_load *load = calloc(1, sizeof(*load));
    struct version_model *model = calloc(1, sizeof(*model));
    assert_true(load != NULL && model != NULL);
    struct runs *runs;
    uint64_t random = fixture_seed();
    kv_suite_expect(runs_open(f->session, "index", 8, &runs, &f->detail), 0, f);
    for (unsigned round = 0; round < 80; round++) {
        bool reorganise = fixture_random_below(&random, 3) == 0;
        uint32_t back = reorganise ? (uint32_t)fixture_random_below(&random, 12) : 0;
        uint32_t line = model->head > back ? model->head - back : 0;
        change_versions(model, load, line, (uint32_t)fixture_random_below(&random, 14), &random);
        load_versions(f, runs, load);
        if (runs_merge_due(runs) && round % 3 != 0) {
            kv_suite_expect(runs_merge(runs, f->session, NULL, NULL, &f->detail), 0, f);
        }
        check_versions(f, runs, model, 0, &random);
    }
    runs_close(runs);
    free(load);
    free(model);
}

static size_t count_versions(const struct version_model *model)
{
    size_t count = 0;
    for (uint32_t base = 0; base < BASES; base++) {
        for (uint32_t height = 0; height < HEIGHTS; height++) {
            count += model->values[base][height] != 0;
        }
    }
    return count;
}

static void versions_below_the_floor_go_and_all_others_stay(void **state)
{
    enum { DEPTH = 20 };
    struct kv_fixture *f = *state;
    struct version_load *load = calloc(1, sizeof(*load));
    struct version_model *model = calloc(1, sizeof(*model));
    const struct runs_stop never = {NULL, NULL};
    assert_true(load != NULL && model != NULL);
    struct runs *runs;
    uint64_t random = fixture_seed();
    uint32_t floor = 0;
    kv_suite_expect(runs_open(f->session, "index", 8, &runs, &f->detail), 0, f);
    for (unsigned round = 0; round < 120; round++) {
        bool reorganise = fixture_random_below(&random, 3) == 0;
        uint32_t back = reorganise ? (uint32_t)fixture_random_below(&random, DEPTH) : 0;
        uint32_t line = model->head > floor + back ? model->head - back : model->head;
        change_versions(model, load, line, (uint32_t)fixture_random_below(&random, 14), &random);
        load_versions(f, runs, load);
        floor = model->head > floor + DEPTH ? model->head - DEPTH : floor;
        if (runs_merge_versions_due(runs, floor) && round % 3 != 0) {
            kv_suite_expect(runs_merge_versions(runs, f->session, floor, &never, &f->detail), 0, f);
            assert_int_equal(runs_floor(runs), floor);
        }
        if (round % 11 == 10) {
            struct runs_stats all;
            kv_suite_expect(runs_merge_all(runs, f->session, floor, &never, &f->detail), 0, f);
            runs_stats(runs, &all);
            assert_true(all.run_count <= 1);
        }
        check_versions(f, runs, model, floor, &random);
        if (round % 16 == 15) {
            uint64_t kept = runs_floor(runs);
            runs_close(runs);
            kv_suite_expect(runs_open(f->session, "index", 8, &runs, &f->detail), 0, f);
            assert_int_equal(runs_floor(runs), kept);
        }
    }
    struct runs_stats stats;
    runs_stats(runs, &stats);
    assert_true(runs_floor(runs) > 0);
    assert_true(stats.entry_count < count_versions(model) / 2);
    runs_close(runs);
    free(load);
    free(model);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(versions_are_found_below_any_bound_whatever_was_withdrawn),
    cmocka_unit_test(versions_below_the_floor_go_and_all_others_stay),
    cmocka_unit_test(random_work_matches_a_plain_model),
    cmocka_unit_test(merged_runs_are_dropped_when_no_reader_holds_them),
    cmocka_unit_test(warming_reads_as_much_as_it_may_and_ends_when_told),
    cmocka_unit_test(tombstones_vanish_in_the_last_level),
    cmocka_unit_test(what_no_list_names_goes_at_open),
    cmocka_unit_test(a_rolled_back_record_can_be_made_again),
    cmocka_unit_test(a_prefix_walk_ends_where_the_callback_says),
    cmocka_unit_test(damaged_lists_and_lost_tables_are_found_at_open),
    cmocka_unit_test(a_failed_allocation_leaves_all_as_it_was),
    cmocka_unit_test(readers_in_threads_read_on_while_runs_merge),
    cmocka_unit_test(runs_are_loaded_while_another_thread_merges),
    cmocka_unit_test(many_entries_are_sorted),
};

int main(void)
{
    return kv_suite_run(tests, sizeof(tests) / sizeof(tests[0]));
}
