/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/memory.h"
#include "chain/keccak.h"
#include "chain/rlp.h"
#include "chain/trie.h"
#include "stoa/error.h"
#include "support/fixture.h"

enum { PAIRS_MAX = 400, KEY_MAX = 64 };

static void assert_root(const uint8_t root[32], const char *expected)
{
    char text[67] = "0x";
    bytes_to_hex(root, 32, text + 2);
    assert_string_equal(text, expected);
}

/* ---- the reference: the yellow paper's definition, recursive, a buffer a node ---- */

static unsigned nibble(struct bytes key, size_t i)
{
    return i % 2 == 0 ? key.data[i / 2] >> 4 : key.data[i / 2] & 15;
}

static void append_path(struct buffer *node, struct bytes key, size_t from, size_t until, bool leaf)
{
    uint8_t path[1 + KEY_MAX] = {0};
    size_t size = 0;
    bool odd = (until - from) % 2 != 0;
    path[size++] = (uint8_t)((leaf ? 0x20 : 0) | (odd ? 0x10 | nibble(key, from) : 0));
    for (size_t i = from + (odd ? 1 : 0); i < until; i += 2) {
        path[size++] = (uint8_t)(nibble(key, i) << 4 | nibble(key, i + 1));
    }
    assert_int_equal(rlp_append_string(node, bytes_of(path, size)), 0);
}

static void wrap_in_list(struct buffer *node)
{
    struct buffer list;
    buffer_init(&list);
    assert_int_equal(rlp_append_list_prefix(&list, node->size), 0);
    assert_int_equal(buffer_append(&list, node->data, node->size), 0);
    buffer_deinit(node);
    *node = list;
}

static void reference_node(const struct trie_pair *pairs, size_t count, size_t depth,
                           struct buffer *node);

/* What the paper calls n(I, i): a short node itself, else its hash. */
static void append_reference(const struct trie_pair *pairs, size_t count, size_t depth,
                             struct buffer *to)
{
    struct buffer node;
    reference_node(pairs, count, depth, &node);
    if (node.size < 32) {
        assert_int_equal(buffer_append(to, node.data, node.size), 0);
    } else {
        uint8_t hash[32];
        keccak_256(node.data, node.size, hash);
        assert_int_equal(rlp_append_string(to, bytes_of(hash, 32)), 0);
    }
    buffer_deinit(&node);
}

static size_t shared_by_all(const struct trie_pair *pairs, size_t count, size_t depth)
{
    for (size_t at = depth;; at++) {
        for (size_t i = 0; i < count; i++) {
            if (2 * pairs[i].key.size == at ||
                nibble(pairs[i].key, at) != nibble(pairs[0].key, at)) {
                return at;
            }
        }
    }
}

/* What the paper calls c(I, i). */
static void reference_node(const struct trie_pair *pairs, size_t count, size_t depth,
                           struct buffer *node)
{
    buffer_init(node);
    if (count == 1) {
        append_path(node, pairs[0].key, depth, 2 * pairs[0].key.size, true);
        assert_int_equal(rlp_append_string(node, pairs[0].value), 0);
        wrap_in_list(node);
        return;
    }
    size_t shared = shared_by_all(pairs, count, depth);
    if (shared > depth) {
        append_path(node, pairs[0].key, depth, shared, false);
        append_reference(pairs, count, shared, node);
        wrap_in_list(node);
        return;
    }
    for (unsigned child = 0; child < 16; child++) {
        struct trie_pair below[PAIRS_MAX];
        size_t below_count = 0;
        for (size_t i = 0; i < count; i++) {
            if (2 * pairs[i].key.size > depth && nibble(pairs[i].key, depth) == child) {
                below[below_count++] = pairs[i];
            }
        }
        if (below_count == 0) {
            assert_int_equal(rlp_append_string(node, bytes_of(NULL, 0)), 0);
        } else {
            append_reference(below, below_count, depth + 1, node);
        }
    }
    struct bytes value = bytes_of(NULL, 0);
    for (size_t i = 0; i < count; i++) {
        value = 2 * pairs[i].key.size == depth ? pairs[i].value : value;
    }
    assert_int_equal(rlp_append_string(node, value), 0);
    wrap_in_list(node);
}

static void reference_root(const struct trie_pair *pairs, size_t count, uint8_t out[32])
{
    struct buffer node;
    if (count == 0) {
        keccak_256("\x80", 1, out);
        return;
    }
    reference_node(pairs, count, 0, &node);
    keccak_256(node.data, node.size, out);
    buffer_deinit(&node);
}

/* ---- random tries ---- */

struct random_trie {
    struct trie_pair pairs[PAIRS_MAX];
    size_t count;
    uint8_t keys[PAIRS_MAX][KEY_MAX];
    uint8_t values[PAIRS_MAX][600];
};

static bool has_key(const struct random_trie *trie, struct bytes key)
{
    for (size_t i = 0; i < trie->count; i++) {
        if (bytes_equal(trie->pairs[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* Keys of at most KEY_SIZE bytes out of few different nibbles, so that they share a lot and some
 * are prefixes of others; values of at most VALUE_SIZE. */
static void make_random(struct random_trie *trie, uint64_t *random, size_t key_size,
                        size_t value_size)
{
    size_t wanted = fixture_random_below(random, PAIRS_MAX);
    unsigned symbols = 1 + (unsigned)fixture_random_below(random, 16);
    trie->count = 0;
    for (size_t tries = 0; tries < wanted; tries++) {
        uint8_t *key = trie->keys[trie->count];
        size_t size = fixture_random_below(random, key_size + 1);
        for (size_t i = 0; i < size; i++) {
            key[i] = (uint8_t)(fixture_random_below(random, symbols) << 4 |
                               fixture_random_below(random, symbols));
        }
        if (has_key(trie, bytes_of(key, size))) {
            continue;
        }
        uint8_t *value = trie->values[trie->count];
        size_t length = 1 + fixture_random_below(random, value_size);
        fixture_random_fill(random, value, length);
        trie->pairs[trie->count++] =
            (struct trie_pair){.key = bytes_of(key, size), .value = bytes_of(value, length)};
    }
}

static void random_tries_agree_with_the_definition(void **context)
{
    (void)context;
    static struct random_trie trie;
    uint64_t random = fixture_seed();
    static const size_t key_sizes[] = {1, 2, 3, 8, 32, 64};
    static const size_t value_sizes[] = {1, 3, 31, 60, 600};
    for (unsigned round = 0; round < 600; round++) {
        make_random(&trie, &random, key_sizes[round % 6], value_sizes[round / 6 % 5]);
        uint8_t expected[32];
        uint8_t root[32];
        reference_root(trie.pairs, trie.count, expected);
        assert_int_equal(trie_root(trie.pairs, trie.count, root), 0);
        assert_memory_equal(root, expected, 32);
    }
}

static void ordered_roots_agree_with_the_definition(void **context)
{
    (void)context;
    static struct random_trie trie;
    static struct bytes values[PAIRS_MAX];
    uint64_t random = fixture_seed();
    for (size_t count = 0; count < PAIRS_MAX; count++) {
        size_t limit = count % 3 == 0 ? 5 : 300; /* small ones are embedded */
        for (size_t i = 0; i < count; i++) {
            size_t size = 1 + fixture_random_below(&random, limit);
            fixture_random_fill(&random, trie.values[i], size);
            values[i] = bytes_of(trie.values[i], size);
            struct buffer key;
            buffer_init(&key);
            assert_int_equal(rlp_append_uint64(&key, i), 0);
            memcpy(trie.keys[i], key.data, key.size);
            trie.pairs[i] =
                (struct trie_pair){.key = bytes_of(trie.keys[i], key.size), .value = values[i]};
            buffer_deinit(&key);
        }
        uint8_t expected[32];
        uint8_t root[32];
        reference_root(trie.pairs, count, expected);
        uint64_t allocations = memory_allocation_count();
        assert_int_equal(trie_ordered_root(values, count, root), 0);
        assert_int_equal(memory_allocation_count(), allocations);
        assert_memory_equal(root, expected, 32);
    }
}

static void seventy_thousand_values_agree_with_sorted_keys(void **context)
{
    (void)context;
    enum { COUNT = 70000 }; /* keys of one to four bytes */
    struct bytes *values = calloc(COUNT, sizeof(*values));
    struct trie_pair *pairs = calloc(COUNT, sizeof(*pairs));
    struct buffer *keys = calloc(COUNT, sizeof(*keys));
    assert_true(values != NULL && pairs != NULL && keys != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(rlp_append_uint64(&keys[i], i), 0);
        values[i] = buffer_bytes(&keys[i]);
        pairs[i] = (struct trie_pair){.key = values[i], .value = values[i]};
    }
    uint8_t expected[32];
    uint8_t root[32];
    assert_int_equal(trie_root(pairs, COUNT, expected), 0);
    assert_int_equal(trie_ordered_root(values, COUNT, root), 0);
    assert_memory_equal(root, expected, 32);
    for (size_t i = 0; i < COUNT; i++) {
        buffer_deinit(&keys[i]);
    }
    free(keys);
    free(pairs);
    free(values);
}

/* ---- vectors ---- */

/* A string of a vector: hex after 0x, else its characters. */
static struct bytes vector_bytes(const json_t *string)
{
    const char *text = json_string_value(string);
    size_t size = json_string_length(string);
    assert_non_null(text);
    uint8_t *out = malloc(size + 1);
    assert_non_null(out);
    if (size >= 2 && memcmp(text, "0x", 2) == 0) {
        ptrdiff_t got = bytes_from_hex(text, size, out, size);
        assert_true(got >= 0);
        return bytes_of(out, (size_t)got);
    }
    memcpy(out, text, size);
    return bytes_of(out, size);
}

static void free_bytes(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

static void drop_pair(struct trie_pair *pairs, size_t *count, struct bytes key)
{
    for (size_t i = 0; i < *count; i++) {
        if (bytes_equal(pairs[i].key, key)) {
            free_bytes(pairs[i].key);
            free_bytes(pairs[i].value);
            pairs[i] = pairs[--*count];
            return;
        }
    }
}

static void set_pair(struct trie_pair *pairs, size_t *count, const json_t *key, const json_t *value)
{
    struct bytes wanted = vector_bytes(key);
    drop_pair(pairs, count, wanted);
    if (json_is_null(value)) {
        free_bytes(wanted);
        return;
    }
    assert_true(*count < PAIRS_MAX);
    pairs[(*count)++] = (struct trie_pair){.key = wanted, .value = vector_bytes(value)};
}

static void check_vector(const json_t *vector, bool secure)
{
    struct trie_pair pairs[PAIRS_MAX];
    size_t count = 0;
    json_t *in = json_object_get(vector, "in");
    if (json_is_array(in)) { /* in this order, null removes */
        for (size_t i = 0; i < json_array_size(in); i++) {
            json_t *step = json_array_get(in, i);
            set_pair(pairs, &count, json_array_get(step, 0), json_array_get(step, 1));
        }
    } else {
        const char *name;
        json_t *value;
        json_object_foreach(in, name, value)
        {
            json_t *key = json_string(name);
            set_pair(pairs, &count, key, value);
            json_decref(key);
        }
    }
    uint8_t root[32];
    if (secure) {
        assert_int_equal(trie_secure_root(pairs, count, root), 0);
    } else {
        assert_int_equal(trie_root(pairs, count, root), 0);
    }
    assert_root(root, json_string_value(json_object_get(vector, "root")));
    while (count > 0) {
        drop_pair(pairs, &count, pairs[0].key);
    }
}

static void check_vectors(const char *name, bool secure, size_t least)
{
    struct buffer text;
    if (!fixture_load_data(name, &text)) {
        return;
    }
    json_error_t error;
    json_t *vectors =
        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(vectors);
    assert_true(json_object_size(vectors) >= least);
    const char *vector_name;
    json_t *vector;
    json_object_foreach(vectors, vector_name, vector)
    {
        check_vector(vector, secure);
    }
    json_decref(vectors);
    buffer_deinit(&text);
}

static void public_vectors_come_out(void **context)
{
    (void)context;
    check_vectors("vectors/trieanyorder.json", false, 6);
    check_vectors("vectors/trietest.json", false, 3);
}

static void public_secure_vectors_come_out(void **context)
{
    (void)context;
    check_vectors("vectors/trieanyorder_secureTrie.json", true, 6);
    check_vectors("vectors/trietest_secureTrie.json", true, 3);
    check_vectors("vectors/hex_encoded_securetrie_test.json", true, 3);
}

/* ---- edges ---- */

static void the_empty_trie_has_the_known_root(void **context)
{
    (void)context;
    uint8_t root[32];
    uint8_t expected[32];
    keccak_256("\x80", 1, expected);
    assert_memory_equal(trie_empty_root, expected, 32);
    assert_int_equal(trie_root(NULL, 0, root), 0);
    assert_memory_equal(root, expected, 32);
    assert_int_equal(trie_ordered_root(NULL, 0, root), 0);
    assert_memory_equal(root, expected, 32);
    assert_int_equal(trie_secure_root(NULL, 0, root), 0);
    assert_memory_equal(root, expected, 32);
}

static void what_has_no_root_is_refused(void **context)
{
    (void)context;
    uint8_t root[32];
    uint8_t key[KEY_MAX + 1] = {0};
    struct bytes value = bytes_of("v", 1);
    struct trie_pair twice[] = {
        {bytes_of("a", 1), value}, {bytes_of("b", 1), value}, {bytes_of("a", 1), value}};
    assert_int_equal(trie_root(twice, 3, root), STOA_EINVAL);
    assert_int_equal(trie_secure_root(twice, 3, root), STOA_EINVAL);
    struct trie_pair too_long = {bytes_of(key, sizeof(key)), value};
    assert_int_equal(trie_root(&too_long, 1, root), STOA_EINVAL);
    struct trie_pair empty = {bytes_of(key, 1), bytes_of(NULL, 0)};
    assert_int_equal(trie_root(&empty, 1, root), STOA_EINVAL);
    struct bytes values[] = {value, bytes_of(NULL, 0)};
    assert_int_equal(trie_ordered_root(values, 2, root), STOA_EINVAL);
}

static void keys_of_full_length_fill_every_branch(void **context)
{
    (void)context;
    /* Each key leaves the longest one a nibble later: 128 branches open at once. */
    static uint8_t keys[129][KEY_MAX];
    struct trie_pair pairs[129];
    for (size_t i = 0; i < 129; i++) {
        memset(keys[i], 0x11, KEY_MAX);
        if (i < 128) {
            keys[i][i / 2] = (uint8_t)(i % 2 == 0 ? 0x21 : 0x12);
        }
        pairs[i] = (struct trie_pair){.key = bytes_of(keys[i], KEY_MAX),
                                      .value = bytes_of(&keys[i][0], 1)};
    }
    uint8_t expected[32];
    uint8_t root[32];
    reference_root(pairs, 129, expected);
    assert_int_equal(trie_root(pairs, 129, root), 0);
    assert_memory_equal(root, expected, 32);
}

static void no_memory_is_an_error(void **context)
{
    (void)context;
    uint8_t root[32];
    struct trie_pair pair = {bytes_of("a", 1), bytes_of("v", 1)};
    memory_fail_at(1);
    assert_int_equal(trie_secure_root(&pair, 1, root), STOA_ENOMEM);
    memory_fail_at(0);
    assert_int_equal(trie_secure_root(&pair, 1, root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_trie_has_the_known_root),
        cmocka_unit_test(public_vectors_come_out),
        cmocka_unit_test(public_secure_vectors_come_out),
        cmocka_unit_test(random_tries_agree_with_the_definition),
        cmocka_unit_test(ordered_roots_agree_with_the_definition),
        cmocka_unit_test(seventy_thousand_values_agree_with_sorted_keys),
        cmocka_unit_test(keys_of_full_length_fill_every_branch),
        cmocka_unit_test(what_has_no_root_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
