/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One suite for both implementations of kv.h. */
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

#include "kv_suite.h"
#include "support/fixture.h"

static struct bytes text(const char *characters)
{
    return bytes_of(characters, strlen(characters));
}

static void make(struct kv_fixture *fixture, const char *table)
{
    kv_suite_expect(kv_table_create(fixture->session, table, KV_POINT, &fixture->detail), 0,
                    fixture);
}

static void put(struct kv_fixture *fixture, const char *table, const char *key, const char *value)
{
    kv_suite_expect(kv_put(fixture->session, table, text(key), text(value), &fixture->detail), 0,
                    fixture);
}

static void holds_for(struct kv_session *session, const char *table, const char *key,
                      const char *value)
{
    struct error_detail detail = {0};
    struct bytes found;
    int result = kv_get(session, table, text(key), &found, &detail);
    if (value == NULL) {
        assert_int_equal(result, STOA_ENOTFOUND);
        return;
    }
    if (result != 0) {
        print_error("get %s from %s: %d %s\n", key, table, result, detail.text);
    }
    assert_int_equal(result, 0);
    assert_true(bytes_equal(found, text(value)));
}

static void holds(struct kv_fixture *fixture, const char *table, const char *key, const char *value)
{
    holds_for(fixture->session, table, key, value);
}

static void at(struct kv_cursor *cursor, const char *key)
{
    struct bytes found_key;
    struct bytes found_value;
    kv_cursor_current(cursor, &found_key, &found_value);
    assert_true(bytes_equal(found_key, text(key)));
}

static void count_table(void *context, const char *table)
{
    (void)table;
    ++*(unsigned *)context;
}

static unsigned table_count(struct kv_fixture *fixture)
{
    unsigned count = 0;
    kv_suite_expect(kv_table_list(fixture->session, count_table, &count, &fixture->detail), 0,
                    fixture);
    return count;
}

static void what_is_put_is_got_until_removed(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    holds(f, "a", "k", NULL);
    put(f, "a", "k", "one");
    holds(f, "a", "k", "one");
    put(f, "a", "k", "another");
    holds(f, "a", "k", "another");
    put(f, "a", "empty", "");
    holds(f, "a", "empty", "");
    kv_suite_expect(kv_remove(f->session, "a", text("k"), &f->detail), 0, f);
    holds(f, "a", "k", NULL);
    kv_suite_expect(kv_remove(f->session, "a", text("k"), &f->detail), 0, f);
    holds(f, "a", "empty", "");
}

static void the_first_key_from_any_on_is_found(void **state)
{
    struct kv_fixture *f = *state;
    struct bytes key;
    struct bytes value;
    make(f, "a");
    kv_suite_expect(kv_get_from(f->session, "a", text("b"), &key, &value, &f->detail),
                    STOA_ENOTFOUND, f);
    put(f, "a", "b", "one");
    put(f, "a", "bb", "two");
    put(f, "a", "d", "three");
    const char *const from[] = {"a", "b", "ba", "bb", "bbb", "c", "d"};
    const char *const wanted[] = {"b", "b", "bb", "bb", "d", "d", "d"};
    const char *const values[] = {"one", "one", "two", "two", "three", "three", "three"};
    for (unsigned i = 0; i < 7; i++) {
        kv_suite_expect(kv_get_from(f->session, "a", text(from[i]), &key, &value, &f->detail), 0,
                        f);
        assert_true(bytes_equal(key, text(wanted[i])));
        assert_true(bytes_equal(value, text(values[i])));
    }
    kv_suite_expect(kv_get_from(f->session, "a", key, &key, &value, &f->detail), 0,
                    f); /* its own view */
    kv_suite_expect(kv_get_from(f->session, "a", text("da"), &key, &value, &f->detail),
                    STOA_ENOTFOUND, f);
    kv_suite_expect(kv_get_from(f->session, "none", text("a"), &key, &value, &f->detail),
                    STOA_EINVAL, f);
}

static void sizes_at_the_limits_are_kept_and_beyond_refused(void **state)
{
    struct kv_fixture *f = *state;
    static uint8_t key[KV_KEY_SIZE_MAX + 1];
    size_t size = KV_VALUE_SIZE_MAX;
    uint8_t *value = malloc(size + 1);
    assert_non_null(value);
    memset(key, 0xff, sizeof(key));
    memset(value, 7, size + 1);
    make(f, "a");
    struct bytes full = bytes_of(key, KV_KEY_SIZE_MAX);
    kv_suite_expect(kv_put(f->session, "a", full, bytes_of(value, size), &f->detail), 0, f);
    struct bytes found;
    kv_suite_expect(kv_get(f->session, "a", full, &found, &f->detail), 0, f);
    assert_true(bytes_equal(found, bytes_of(value, size)));
    kv_suite_expect(kv_put(f->session, "a", full, bytes_of(value, size + 1), &f->detail),
                    STOA_ETOOBIG, f);
    struct bytes over = bytes_of(key, KV_KEY_SIZE_MAX + 1);
    kv_suite_expect(kv_put(f->session, "a", over, text("v"), &f->detail), STOA_ETOOBIG, f);
    kv_suite_expect(kv_get(f->session, "a", over, &found, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_remove(f->session, "a", over, &f->detail), 0, f);
    kv_suite_expect(kv_put(f->session, "a", text(""), text("v"), &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_get(f->session, "a", text(""), &found, &f->detail), STOA_ENOTFOUND, f);
    put(f, "a", "x", "one byte");
    holds(f, "a", "x", "one byte");
    free(value);
}

static void a_name_that_is_none_is_refused(void **state)
{
    struct kv_fixture *f = *state;
    char name[KV_NAME_SIZE_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[KV_NAME_SIZE_MAX + 1] = '\0';
    kv_suite_expect(kv_table_create(f->session, name, KV_POINT, &f->detail), STOA_EINVAL, f);
    name[KV_NAME_SIZE_MAX] = '\0';
    kv_suite_expect(kv_table_create(f->session, name, KV_ORDERED, &f->detail), 0, f);
    put(f, name, "k", "v");
    holds(f, name, "k", "v");
    kv_suite_expect(kv_table_create(f->session, "", KV_POINT, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_table_create(f->session, "../a", KV_POINT, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_table_drop(f->session, "A", &f->detail), STOA_EINVAL, f);
    struct bytes found;
    kv_suite_expect(kv_get(f->session, "absent", text("k"), &found, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_put(f->session, "absent", text("k"), text("v"), &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_remove(f->session, "absent", text("k"), &f->detail), STOA_EINVAL, f);
    struct kv_cursor *cursor;
    kv_suite_expect(kv_cursor_open(f->session, "absent", &cursor, &f->detail), STOA_EINVAL, f);
    assert_int_equal(table_count(f), 1);
}

static void a_cursor_walks_in_order_and_stops_at_the_ends(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    struct kv_cursor *c;
    kv_suite_expect(kv_cursor_open(f->session, "a", &c, &f->detail), 0, f);
    kv_suite_expect(kv_cursor_next(c, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_previous(c, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_seek(c, text(""), &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_seek(c, text("b"), &f->detail), STOA_ENOTFOUND, f);
    put(f, "a", "d", "4");
    put(f, "a", "b", "2");
    put(f, "a", "bb", "3");
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "b");
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "bb");
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "d");
    kv_suite_expect(kv_cursor_next(c, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_previous(c, &f->detail), 0, f);
    at(c, "d");
    kv_suite_expect(kv_cursor_previous(c, &f->detail), 0, f);
    at(c, "bb");
    kv_suite_expect(kv_cursor_seek(c, text("bc"), &f->detail), 0, f);
    at(c, "d");
    kv_suite_expect(kv_cursor_previous(c, &f->detail), 0, f);
    at(c, "bb");
    kv_suite_expect(kv_cursor_seek(c, text("b"), &f->detail), 0, f);
    at(c, "b");
    kv_suite_expect(kv_cursor_previous(c, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_seek(c, text(""), &f->detail), 0, f);
    at(c, "b");
    kv_suite_expect(kv_cursor_seek(c, text("e"), &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "b");
    kv_cursor_close(c);
}

static void a_transaction_shows_when_committed_and_not_when_rolled_back(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    make(f, "b");
    put(f, "a", "k", "old");
    struct kv_session *other;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    put(f, "a", "k", "new");
    put(f, "b", "k", "new");
    holds(f, "a", "k", "new");
    holds_for(other, "a", "k", "old");
    holds_for(other, "b", "k", NULL);
    kv_rollback(f->session);
    holds(f, "a", "k", "old");
    holds(f, "b", "k", NULL);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(kv_remove(f->session, "a", text("k"), &f->detail), 0, f);
    put(f, "b", "k", "new");
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    holds_for(other, "a", "k", NULL);
    holds_for(other, "b", "k", "new");
    kv_session_close(other);
}

static void a_transaction_reads_one_moment(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    put(f, "a", "a", "old");
    put(f, "a", "c", "old");
    struct kv_session *other;
    struct kv_cursor *c;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_begin(other, &f->detail), 0, f);
    holds_for(other, "a", "a", "old");
    kv_suite_expect(kv_cursor_open(other, "a", &c, &f->detail), 0, f);
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    put(f, "a", "a", "new");
    put(f, "a", "b", "new");
    kv_suite_expect(kv_remove(f->session, "a", text("c"), &f->detail), 0, f);
    holds_for(other, "a", "a", "old");
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "c");
    kv_suite_expect(kv_cursor_next(c, &f->detail), STOA_ENOTFOUND, f);
    kv_suite_expect(kv_commit(other, &f->detail), 0, f);
    holds_for(other, "a", "a", "new");
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    at(c, "b");
    kv_suite_expect(kv_cursor_next(c, &f->detail), STOA_ENOTFOUND, f);
    kv_session_close(other); /* closes the cursor */
}

static void two_transactions_on_one_key_do_not_both_win(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    struct kv_session *other;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(kv_begin(other, &f->detail), 0, f);
    put(f, "a", "k", "first");
    kv_suite_expect(kv_put(other, "a", text("k"), text("second"), &f->detail), STOA_EBUSY, f);
    kv_rollback(other);
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    holds_for(other, "a", "k", "first");
    kv_suite_expect(kv_begin(other, &f->detail), 0, f);
    holds_for(other, "a", "k", "first");
    put(f, "a", "k", "third");
    kv_suite_expect(kv_put(other, "a", text("k"), text("lost"), &f->detail), STOA_EBUSY, f);
    kv_rollback(other);
    holds(f, "a", "k", "third");
    kv_session_close(other);
}

static void what_does_not_belong_in_a_transaction_is_refused(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    kv_suite_expect(kv_commit(f->session, &f->detail), STOA_EINVAL, f);
    kv_rollback(f->session); /* of nothing: harmless */
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    struct kv_bulk *bulk;
    kv_suite_expect(kv_begin(f->session, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_table_create(f->session, "b", KV_POINT, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_bulk_open(f->session, "c", KV_ORDERED, &bulk, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), STOA_EINVAL, f);
    put(f, "a", "k", "v");
    kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
    holds(f, "a", "k", "v");
}

static void load(struct kv_fixture *f, const char *table, unsigned count)
{
    struct kv_bulk *bulk;
    kv_suite_expect(kv_bulk_open(f->session, table, KV_ORDERED, &bulk, &f->detail), 0, f);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", i);
        kv_suite_expect(kv_bulk_put(bulk, text(key), text(key), &f->detail), 0, f);
    }
    kv_suite_expect(kv_bulk_close(bulk, &f->detail), 0, f);
}

static void a_bulk_load_is_seen_whole_after_close(void **state)
{
    struct kv_fixture *f = *state;
    struct kv_session *other;
    struct kv_bulk *bulk;
    struct bytes found;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_bulk_open(f->session, "a", KV_ORDERED, &bulk, &f->detail), 0, f);
    kv_suite_expect(kv_bulk_put(bulk, text("x"), text("1"), &f->detail), 0, f);
    assert_int_equal(table_count(f), 0);
    kv_suite_expect(kv_get(other, "a", text("x"), &found, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_bulk_open(other, "a", KV_ORDERED, &bulk, &f->detail), STOA_EEXISTS, f);
    kv_suite_expect(kv_table_create(other, "a", KV_ORDERED, &f->detail), STOA_EBUSY, f);
    kv_suite_expect(kv_table_drop(other, "a", &f->detail), STOA_EBUSY, f);
    kv_suite_expect(kv_checkpoint(other, &f->detail), 0, f);
    kv_suite_expect(kv_bulk_put(bulk, text("y"), text("2"), &f->detail), 0, f);
    kv_suite_expect(kv_bulk_close(bulk, &f->detail), 0, f);
    assert_int_equal(table_count(f), 1);
    holds_for(other, "a", "x", "1");
    holds_for(other, "a", "y", "2");
    kv_suite_expect(kv_bulk_open(f->session, "a", KV_ORDERED, &bulk, &f->detail), STOA_EEXISTS, f);
    load(f, "b", 20000);
    holds(f, "b", "00019999", "00019999");
    holds(f, "b", "00020000", NULL);
    load(f, "none", 0);
    holds(f, "none", "k", NULL);
    kv_session_close(other);
}

static void a_bulk_load_out_of_order_leaves_nothing(void **state)
{
    struct kv_fixture *f = *state;
    struct kv_bulk *bulk;
    for (int round = 0; round < 3; round++) {
        const char *bad = round == 0 ? "b" : round == 1 ? "a" : "";
        kv_suite_expect(kv_bulk_open(f->session, "a", KV_ORDERED, &bulk, &f->detail), 0, f);
        kv_suite_expect(kv_bulk_put(bulk, text("b"), text("1"), &f->detail), 0, f);
        kv_suite_expect(kv_bulk_put(bulk, text(bad), text("2"), &f->detail), STOA_EINVAL, f);
        kv_suite_expect(kv_bulk_put(bulk, text("c"), text("3"), &f->detail), STOA_EINVAL, f);
        kv_suite_expect(kv_bulk_close(bulk, &f->detail), STOA_EINVAL, f);
        assert_int_equal(table_count(f), 0);
        kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), STOA_ENOTFOUND, f);
    }
    struct kv_session *other;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_bulk_open(other, "a", KV_ORDERED, &bulk, &f->detail), 0, f);
    kv_session_close(other); /* gives the load up */
    load(f, "a", 1);
    holds(f, "a", "00000000", "00000000");
}

static void a_dropped_table_is_gone_and_its_name_free(void **state)
{
    struct kv_fixture *f = *state;
    struct kv_session *other;
    struct kv_cursor *c;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), STOA_ENOTFOUND, f);
    make(f, "a");
    make(f, "a");
    put(f, "a", "k", "old");
    holds_for(other, "a", "k", "old"); /* an idle session that has met the table */
    kv_suite_expect(kv_cursor_open(other, "a", &c, &f->detail), 0, f);
    kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), STOA_EBUSY, f);
    holds(f, "a", "k", "old");
    kv_cursor_close(c);
    kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), 0, f);
    assert_int_equal(table_count(f), 0);
    struct bytes found;
    kv_suite_expect(kv_get(f->session, "a", text("k"), &found, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_get(other, "a", text("k"), &found, &f->detail), STOA_EINVAL, f);
    load(f, "a", 3);
    holds_for(other, "a", "k", NULL);
    holds_for(other, "a", "00000002", "00000002");
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    kv_session_close(other);
    kv_fixture_reopen(f);
    holds(f, "a", "00000002", "00000002");
    assert_int_equal(table_count(f), 1);
}

static void dropped_tables_give_their_space_back_at_a_checkpoint(void **state)
{
    struct kv_fixture *f = *state;
    struct kv_session *idle;
    kv_suite_expect(kv_session_open(f->kv, &idle, &f->detail), 0, f);
    load(f, "big", 200000);
    holds_for(idle, "big", "00000007", "00000007");
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    struct kv_statistics before;
    struct kv_statistics after;
    kv_statistics(f->session, &before);
    assert_true(before.file_bytes > 1000000);
    kv_suite_expect(kv_table_drop(f->session, "big", &f->detail), 0, f);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    kv_statistics(f->session, &after);
    assert_true(after.file_bytes < before.file_bytes / 4);
    kv_session_close(idle);
}

static void only_a_checkpoint_makes_durable_and_all_of_it(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    put(f, "a", "k", "one");
    load(f, "run-1", 100);
    make(f, "doomed");
    put(f, "doomed", "k", "v");
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    put(f, "a", "k", "two");
    put(f, "a", "l", "two");
    make(f, "b");
    put(f, "b", "k", "two");
    load(f, "run-2", 100);
    kv_suite_expect(kv_table_drop(f->session, "doomed", &f->detail), 0, f);
    kv_fixture_reopen(f);
    assert_int_equal(table_count(f), 3);
    holds(f, "a", "k", "one");
    holds(f, "a", "l", NULL);
    holds(f, "run-1", "00000099", "00000099");
    holds(f, "doomed", "k", "v");
    put(f, "a", "k", "three");
    make(f, "b");
    put(f, "b", "k", "three");
    load(f, "run-2", 50);
    kv_suite_expect(kv_table_drop(f->session, "doomed", &f->detail), 0, f);
    kv_suite_expect(kv_table_drop(f->session, "run-1", &f->detail), 0, f);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    kv_fixture_reopen(f);
    assert_int_equal(table_count(f), 3);
    holds(f, "a", "k", "three");
    holds(f, "b", "k", "three");
    holds(f, "run-2", "00000049", "00000049");
    holds(f, "run-2", "00000050", NULL);
    kv_fixture_reopen(f); /* with nothing written since */
    holds(f, "b", "k", "three");
}

static void an_open_transaction_is_not_in_a_checkpoint(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    put(f, "a", "k", "one");
    struct kv_session *other;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_begin(other, &f->detail), 0, f);
    kv_suite_expect(kv_put(other, "a", text("k"), text("two"), &f->detail), 0, f);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    kv_suite_expect(kv_commit(other, &f->detail), 0, f);
    holds(f, "a", "k", "two");
    kv_session_close(other);
    kv_fixture_reopen(f);
    holds(f, "a", "k", "one");
}

static void sessions_close_what_was_left_open(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    struct kv_session *other;
    struct kv_cursor *c;
    kv_suite_expect(kv_session_open(f->kv, &other, &f->detail), 0, f);
    kv_suite_expect(kv_begin(other, &f->detail), 0, f);
    kv_suite_expect(kv_put(other, "a", text("k"), text("v"), &f->detail), 0, f);
    kv_suite_expect(kv_cursor_open(other, "a", &c, &f->detail), 0, f);
    kv_suite_expect(kv_cursor_next(c, &f->detail), 0, f);
    kv_session_close(other);
    holds(f, "a", "k", NULL);
    kv_suite_expect(kv_table_drop(f->session, "a", &f->detail), 0, f);
}

static void many_tables_are_met_by_one_session(void **state)
{
    struct kv_fixture *f = *state;
    char name[16];
    for (unsigned i = 0; i < 210; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        make(f, name);
        put(f, name, "k", name);
    }
    for (unsigned i = 0; i < 210; i += 3) {
        snprintf(name, sizeof(name), "t%u", i);
        kv_suite_expect(kv_table_drop(f->session, name, &f->detail), 0, f);
    }
    for (unsigned i = 0; i < 210; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        struct bytes found;
        if (i % 3 == 0) {
            kv_suite_expect(kv_get(f->session, name, text("k"), &found, &f->detail), STOA_EINVAL,
                            f);
        } else {
            holds(f, name, "k", name);
        }
    }
    assert_int_equal(table_count(f), 140);
}

static void statistics_tell_what_is_held(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "a");
    struct kv_statistics s;
    char key[16];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        put(f, "a", key, key);
    }
    kv_statistics(f->session, &s);
    assert_true(s.cache_dirty_bytes >= 20000 * 8);
    assert_true(s.cache_bytes >= s.cache_dirty_bytes);
    assert_int_equal(s.lookaside_entries, 0);
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    uint64_t dirty = s.cache_dirty_bytes;
    kv_statistics(f->session, &s);
    assert_true(s.cache_dirty_bytes < dirty / 2);
    assert_true(s.written_bytes >= 20000 * 8);
    assert_true(s.file_bytes >= 20000 * 8);
}

enum { MODEL_KEYS = 300 };

struct model {
    uint32_t now[MODEL_KEYS];     /* 0: absent */
    uint32_t began[MODEL_KEYS];   /* what a rollback brings back */
    uint32_t durable[MODEL_KEYS]; /* what a reopening brings back */
};

static struct bytes model_key(unsigned key, uint8_t out[4])
{
    bytes_store_be32(out, key * 2654435761u);
    return bytes_of(out, key % 2 == 0 ? 4 : 3);
}

static void model_check(struct kv_fixture *f, const struct model *model)
{
    unsigned wanted = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        uint8_t key[4];
        struct bytes found;
        int result = kv_get(f->session, "m", model_key(i, key), &found, &f->detail);
        kv_suite_expect(result, model->now[i] == 0 ? STOA_ENOTFOUND : 0, f);
        wanted += model->now[i] != 0;
        if (result == 0) {
            assert_int_equal(found.size, 4 + model->now[i] % 50);
            assert_int_equal(bytes_load_be32(found.data), model->now[i]);
        }
    }
    struct kv_cursor *c;
    kv_suite_expect(kv_cursor_open(f->session, "m", &c, &f->detail), 0, f);
    unsigned seen = 0;
    uint8_t last[4] = {0};
    size_t last_size = 0;
    int result;
    while ((result = kv_cursor_next(c, &f->detail)) == 0) {
        struct bytes key;
        struct bytes value;
        kv_cursor_current(c, &key, &value);
        assert_true(bytes_compare(bytes_of(last, last_size), key) < 0);
        memcpy(last, key.data, key.size);
        last_size = key.size;
        seen++;
    }
    kv_suite_expect(result, STOA_ENOTFOUND, f);
    assert_int_equal(seen, wanted);
    kv_cursor_close(c);
}

static void model_write(struct kv_fixture *f, struct model *model, uint64_t *state)
{
    uint8_t key_space[4];
    uint8_t value[64] = {0};
    unsigned key = (unsigned)fixture_random_below(state, MODEL_KEYS);
    if (fixture_random_below(state, 4) == 0) {
        kv_suite_expect(kv_remove(f->session, "m", model_key(key, key_space), &f->detail), 0, f);
        model->now[key] = 0;
        return;
    }
    uint32_t number = (uint32_t)fixture_random_below(state, 1000000) + 1;
    bytes_store_be32(value, number);
    kv_suite_expect(kv_put(f->session, "m", model_key(key, key_space),
                           bytes_of(value, 4 + number % 50), &f->detail),
                    0, f);
    model->now[key] = number;
}

static void a_table_is_compacted_and_keeps_what_it_has(void **state)
{
    enum { ROWS = 6000, KEPT = 50, VALUE = 2000 };
    static uint8_t value[VALUE];
    struct kv_fixture *f = *state;
    struct kv_table_size before;
    struct kv_table_size after;
    char key[16];
    uint64_t random = 11;
    make(f, "a");
    make(f, "b");
    put(f, "b", "k", "v");
    kv_suite_expect(kv_table_size(f->session, "x", &before, &f->detail), STOA_EINVAL, f);
    kv_suite_expect(kv_table_compact(f->session, "x", 1, &f->detail), STOA_EINVAL, f);
    for (unsigned i = 0; i < ROWS; i++) {
        for (unsigned j = 0; j < VALUE; j += 8) { /* nothing that packs well */
            uint64_t word = fixture_random(&random);
            memcpy(value + j, &word, 8);
        }
        snprintf(key, sizeof(key), "%06u", i);
        kv_suite_expect(kv_put(f->session, "a", text(key), bytes_of(value, VALUE), &f->detail), 0,
                        f);
    }
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "%06u", i);
        if (i % (ROWS / KEPT) != 0) {
            kv_suite_expect(kv_remove(f->session, "a", text(key), &f->detail), 0, f);
        }
    }
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    kv_suite_expect(kv_table_size(f->session, "a", &before, &f->detail), 0, f);
    assert_true(before.file_bytes >= before.free_bytes);
    assert_true(!f->on_disk || before.free_bytes > before.file_bytes / 2);
    kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
    kv_suite_expect(kv_table_compact(f->session, "a", 1, &f->detail), STOA_EINVAL, f);
    kv_rollback(f->session);
    for (unsigned i = 0; i < 10; i++) {
        kv_suite_expect(kv_table_compact(f->session, "a", 1, &f->detail), 0, f);
    }
    kv_suite_expect(kv_table_size(f->session, "a", &after, &f->detail), 0, f);
    assert_true(!f->on_disk || after.file_bytes < before.file_bytes / 2);
    put(f, "b", "after", "w");
    kv_fixture_reopen(f); /* what compacting made durable is whole */
    holds(f, "b", "k", "v");
    for (unsigned i = 0; i < ROWS; i++) {
        struct bytes found;
        snprintf(key, sizeof(key), "%06u", i);
        kv_suite_expect(kv_get(f->session, "a", text(key), &found, &f->detail),
                        i % (ROWS / KEPT) == 0 ? 0 : STOA_ENOTFOUND, f);
    }
}

static void random_operations_match_a_plain_model(void **state)
{
    struct kv_fixture *f = *state;
    uint64_t random = fixture_seed();
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    make(f, "m");
    kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
    for (int round = 0; round < 60; round++) {
        memcpy(model->began, model->now, sizeof(model->now));
        bool transaction = fixture_random_below(&random, 2) == 0;
        if (transaction) {
            kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
        }
        for (uint64_t i = fixture_random_below(&random, 100); i > 0; i--) {
            model_write(f, model, &random);
        }
        if (fixture_random_below(&random, 4) == 0) {
            model_check(f, model);
        }
        if (transaction && fixture_random_below(&random, 3) == 0) {
            kv_rollback(f->session);
            memcpy(model->now, model->began, sizeof(model->now));
        } else if (transaction) {
            kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
        }
        if (fixture_random_below(&random, 6) == 0) {
            kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
            memcpy(model->durable, model->now, sizeof(model->now));
        }
        if (fixture_random_below(&random, 10) == 0) {
            kv_fixture_reopen(f);
            memcpy(model->now, model->durable, sizeof(model->now));
        }
        if (fixture_random_below(&random, 4) == 0) {
            model_check(f, model);
        }
    }
    model_check(f, model);
    free(model);
}

struct reader {
    struct kv *kv;
    atomic_bool stop;
    atomic_uint rounds;
    atomic_uint failures;
};

static void *read_pairs(void *context)
{
    struct reader *reader = context;
    struct kv_session *session;
    if (kv_session_open(reader->kv, &session, NULL) != 0) {
        atomic_fetch_add(&reader->failures, 1);
        return NULL;
    }
    while (!atomic_load(&reader->stop)) {
        struct bytes value;
        char first[32] = {0};
        bool good = kv_begin(session, NULL) == 0 &&
                    kv_get(session, "left", text("k"), &value, NULL) == 0 &&
                    value.size < sizeof(first);
        if (good) {
            memcpy(first, value.data, value.size);
            good = kv_get(session, "right", text("k"), &value, NULL) == 0 &&
                   bytes_equal(value, text(first));
        }
        if (!good) {
            atomic_fetch_add(&reader->failures, 1);
        }
        kv_rollback(session);
        atomic_fetch_add(&reader->rounds, 1);
    }
    kv_session_close(session);
    return NULL;
}

static void readers_in_threads_see_whole_transactions(void **state)
{
    struct kv_fixture *f = *state;
    make(f, "left");
    make(f, "right");
    put(f, "left", "k", "0");
    put(f, "right", "k", "0");
    struct reader reader = {.kv = f->kv};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &reader), 0);
    }
    for (unsigned i = 0; i < 100 || atomic_load(&reader.rounds) < 100; i++) {
        char value[32];
        snprintf(value, sizeof(value), "%u", i);
        kv_suite_expect(kv_begin(f->session, &f->detail), 0, f);
        put(f, "left", "k", value);
        put(f, "right", "k", value);
        kv_suite_expect(kv_commit(f->session, &f->detail), 0, f);
        if (i % 20 == 0) { /* tables come and go beside the readers, checkpoints too */
            load(f, "passing", 10);
            kv_suite_expect(kv_table_drop(f->session, "passing", &f->detail), 0, f);
            kv_suite_expect(kv_checkpoint(f->session, &f->detail), 0, f);
        }
    }
    atomic_store(&reader.stop, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&reader.failures), 0);
}

static void a_store_that_is_open_is_not_opened_twice(void **state)
{
    struct kv_fixture *f = *state;
    struct kv_fixture second = *f;
    assert_int_equal(kv_fixture_open(&second), STOA_ELOCKED);
    make(f, "a");
    put(f, "a", "k", "v");
    holds(f, "a", "k", "v");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_put_is_got_until_removed),
    cmocka_unit_test(the_first_key_from_any_on_is_found),
    cmocka_unit_test(sizes_at_the_limits_are_kept_and_beyond_refused),
    cmocka_unit_test(a_name_that_is_none_is_refused),
    cmocka_unit_test(a_cursor_walks_in_order_and_stops_at_the_ends),
    cmocka_unit_test(a_transaction_shows_when_committed_and_not_when_rolled_back),
    cmocka_unit_test(a_transaction_reads_one_moment),
    cmocka_unit_test(two_transactions_on_one_key_do_not_both_win),
    cmocka_unit_test(what_does_not_belong_in_a_transaction_is_refused),
    cmocka_unit_test(a_bulk_load_is_seen_whole_after_close),
    cmocka_unit_test(a_bulk_load_out_of_order_leaves_nothing),
    cmocka_unit_test(a_dropped_table_is_gone_and_its_name_free),
    cmocka_unit_test(dropped_tables_give_their_space_back_at_a_checkpoint),
    cmocka_unit_test(only_a_checkpoint_makes_durable_and_all_of_it),
    cmocka_unit_test(an_open_transaction_is_not_in_a_checkpoint),
    cmocka_unit_test(sessions_close_what_was_left_open),
    cmocka_unit_test(many_tables_are_met_by_one_session),
    cmocka_unit_test(statistics_tell_what_is_held),
    cmocka_unit_test(a_table_is_compacted_and_keeps_what_it_has),
    cmocka_unit_test(random_operations_match_a_plain_model),
    cmocka_unit_test(readers_in_threads_see_whole_transactions),
    cmocka_unit_test(a_store_that_is_open_is_not_opened_twice),
};

int main(void)
{
    return kv_suite_run(tests, sizeof(tests) / sizeof(tests[0]));
}
