/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of the tries in the tables, several versions an entry, over a change of branch. */
#include "store/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/trie_layer.h"

enum { STORE_ID = 7 };

struct rig {
    struct kv_memory_disk *disk;
    struct kv *kv;
    struct kv_session *session;
    struct index *index;
    struct place_applied applied;
    struct pending *batch;
    struct trie_cache *cache;
};

static void set_up(struct rig *rig)
{
    struct error_detail detail;
    rig->disk = kv_memory_disk_create();
    assert_int_equal(kv_memory_open(rig->disk, &rig->kv, &detail), 0);
    assert_int_equal(kv_session_open(rig->kv, &rig->session, &detail), 0);
    assert_int_equal(
        index_open(rig->kv, rig->session, STORE_ID, &rig->index, &rig->applied, &detail), 0);
    rig->batch = pending_create();
    rig->cache = trie_cache_create(SIZE_MAX);
    assert_non_null(rig->batch);
    assert_non_null(rig->cache);
}

static void tear_down(struct rig *rig)
{
    trie_cache_destroy(rig->cache);
    pending_destroy(rig->batch);
    index_close(rig->index);
    kv_session_close(rig->session);
    kv_close(rig->kv);
    kv_memory_disk_destroy(rig->disk);
}

/* The base of the record NAME. */
static struct bytes base_of(uint8_t name, uint8_t out[TRIE_LAYER_BASE_MAX])
{
    return bytes_of(out, trie_layer_base(bytes_of(NULL, 0), bytes_of(&name, 1), out));
}

static struct bytes text_of(uint8_t name, uint64_t height, const char *branch, char out[64])
{
    (void)snprintf(out, 64, "record %u as height %llu of %s made it", name,
                   (unsigned long long)height, branch);
    return bytes_of(out, strlen(out));
}

static void put(struct rig *rig, uint8_t name, uint64_t height)
{
    uint8_t base[TRIE_LAYER_BASE_MAX];
    char text[64];
    assert_int_equal(trie_cache_put(rig->cache, base_of(name, base),
                                    text_of(name, height, "main", text), height, 0),
                     0);
}

static void apply(struct rig *rig, const struct index_tries *tries)
{
    struct error_detail detail;
    rig->applied.position.sequence++;
    assert_int_equal(
        index_apply(rig->index, rig->session, rig->batch, &rig->applied, tries, &detail), 0);
    pending_clear(rig->batch);
}

/* What the cache has of heights from BELOW to LAST comes into the tables. */
static void flush(struct rig *rig, uint64_t below, uint64_t last)
{
    struct buffer versions;
    struct arena memory;
    buffer_init(&versions);
    arena_init(&memory);
    assert_int_equal(trie_cache_gather(rig->cache, below, last, &memory, &versions), 0);
    struct index_tries tries = {
        .versions = (const void *)versions.data,
        .count = versions.size / sizeof(struct trie_cache_version),
    };
    apply(rig, &tries);
    arena_deinit(&memory);
    buffer_deinit(&versions);
}

static void add_layer(struct rig *rig, uint8_t name, uint64_t height, const char *branch,
                      bool withdrawn)
{
    uint8_t base[TRIE_LAYER_BASE_MAX];
    char text[64];
    struct trie_layer *layer = trie_layer_create(height);
    assert_non_null(layer);
    layer->withdrawn = withdrawn;
    assert_int_equal(
        trie_layer_add(layer, base_of(name, base), text_of(name, height, branch, text)), 0);
    pending_add_layer(rig->batch, layer);
}

/* As of BOUND the record is what HEIGHT made it; HEIGHT 0: there is none. */
static void check(struct rig *rig, uint8_t name, uint64_t bound, uint64_t height,
                  const char *branch)
{
    uint8_t base[TRIE_LAYER_BASE_MAX];
    char text[64];
    struct buffer scratch;
    struct bytes record;
    struct error_detail detail;
    buffer_init(&scratch);
    int result = index_find_trie(rig->index, rig->session, base_of(name, base), &bound, &scratch,
                                 &record, &detail);
    if (height == 0) {
        assert_int_equal(result, STOA_ENOTFOUND);
    } else {
        assert_int_equal(result, 0);
        assert_int_equal(bound, height);
        assert_true(bytes_equal(record, text_of(name, height, branch, text)));
    }
    buffer_deinit(&scratch);
}

static void each_version_is_found_by_its_height(void **context)
{
    (void)context;
    struct rig rig;
    set_up(&rig);
    for (uint64_t height = 2; height <= 40; height += 2) {
        put(&rig, 1, height);
    }
    put(&rig, 2, 21);
    flush(&rig, 0, 19);
    flush(&rig, 20, 40);
    check(&rig, 1, 1, 0, NULL);
    for (uint64_t height = 2; height <= 41; height++) {
        check(&rig, 1, height, height / 2 * 2, "main");
    }
    check(&rig, 2, 20, 0, NULL);
    check(&rig, 2, UINT64_MAX, 21, "main");
    tear_down(&rig);
}

static void a_change_of_branch_takes_versions_out_of_entries(void **context)
{
    (void)context;
    struct rig rig;
    set_up(&rig);
    for (uint64_t height = 1; height <= 9; height++) {
        put(&rig, 1, height);
    }
    put(&rig, 2, 5);
    put(&rig, 3, 8);
    put(&rig, 3, 9);
    put(&rig, 4, 4);
    put(&rig, 4, 9);
    flush(&rig, 0, 9);
    /* Back to 7, and on from there. */
    pending_cut(rig.batch, 8);
    for (uint64_t height = 8; height <= 9; height++) {
        add_layer(&rig, 1, height, "main", true);
        add_layer(&rig, 3, height, "main", true);
    }
    add_layer(&rig, 4, 9, "main", true);
    add_layer(&rig, 3, 9, "the other branch", false);
    apply(&rig, &(struct index_tries){.held = false});
    for (uint64_t height = 1; height <= 7; height++) {
        check(&rig, 1, height, height, "main");
    }
    check(&rig, 1, UINT64_MAX, 7, "main");
    check(&rig, 2, UINT64_MAX, 5, "main");
    check(&rig, 3, 8, 0, NULL);
    check(&rig, 3, 9, 9, "the other branch");
    check(&rig, 4, UINT64_MAX, 4, "main");
    tear_down(&rig);
}

static void of_two_changes_in_a_batch_the_deeper_one_counts(void **context)
{
    (void)context;
    struct rig rig;
    set_up(&rig);
    for (uint64_t height = 1; height <= 9; height++) {
        put(&rig, 1, height);
    }
    flush(&rig, 0, 9);
    pending_cut(rig.batch, 8);
    for (uint64_t height = 8; height <= 9; height++) {
        add_layer(&rig, 1, height, "main", true);
    }
    add_layer(&rig, 1, 8, "the other branch", false);
    pending_cut(rig.batch, 5);
    for (uint64_t height = 5; height <= 8; height++) {
        add_layer(&rig, 1, height, height == 8 ? "the other branch" : "main", true);
    }
    add_layer(&rig, 1, 6, "a third", false);
    apply(&rig, &(struct index_tries){.held = false});
    for (uint64_t height = 1; height <= 4; height++) {
        check(&rig, 1, height, height, "main");
    }
    check(&rig, 1, 5, 4, "main");
    check(&rig, 1, UINT64_MAX, 6, "a third");
    tear_down(&rig);
}

/* What was held back comes with the first change of branch, and the second goes below it. */
static void a_second_change_takes_versions_out_of_what_comes_with_the_first(void **context)
{
    (void)context;
    struct rig rig;
    struct buffer versions;
    struct arena memory;
    set_up(&rig);
    buffer_init(&versions);
    arena_init(&memory);
    for (uint64_t height = 1; height <= 7; height++) {
        put(&rig, 1, height);
    }
    assert_int_equal(trie_cache_gather(rig.cache, 0, 7, &memory, &versions), 0);
    const struct trie_cache_version *version = (const void *)versions.data;
    assert_int_equal(versions.size, sizeof(*version));
    struct trie_layer *held = trie_layer_create(7);
    struct trie_layer_entry entry = {version->key, version->record, version->height};
    assert_non_null(held);
    assert_int_equal(trie_layer_add_older(held, &entry), 0);
    pending_cut(rig.batch, 8);
    pending_add_layer(rig.batch, held);
    pending_cut(rig.batch, 5);
    for (uint64_t height = 5; height <= 7; height++) {
        add_layer(&rig, 1, height, "main", true);
    }
    apply(&rig, &(struct index_tries){.held = false});
    for (uint64_t height = 1; height <= 4; height++) {
        check(&rig, 1, height, height, "main");
    }
    check(&rig, 1, UINT64_MAX, 4, "main");
    arena_deinit(&memory);
    buffer_deinit(&versions);
    tear_down(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_is_found_by_its_height),
        cmocka_unit_test(a_change_of_branch_takes_versions_out_of_entries),
        cmocka_unit_test(of_two_changes_in_a_batch_the_deeper_one_counts),
        cmocka_unit_test(a_second_change_takes_versions_out_of_what_comes_with_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
