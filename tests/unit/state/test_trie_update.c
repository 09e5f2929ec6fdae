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
#include "state/trie_update.h"
#include "support/fixture.h"
#include "support/trie_table.h"

enum { KEYS_MAX = 4096, BATCH_MAX = 700, VALUE_MAX = 120 };

/* Every key that may be in the trie, in order, with its nibbles and its value now. */
struct model_key {
    uint8_t key[TRIE_NIBBLES_MAX / 2];
    uint8_t nibbles[TRIE_NIBBLES_MAX];
    uint8_t value[VALUE_MAX];
    size_t size;
    size_t value_size;
};

struct model {
    struct model_key keys[KEYS_MAX];
    size_t count;
    struct trie_table *table;
    struct trie_task task;
    uint8_t root[32];
};

static int by_key(const void *a, const void *b)
{
    const struct model_key *left = a;
    const struct model_key *right = b;
    return bytes_compare(bytes_of(left->key, left->size), bytes_of(right->key, right->size));
}

static void model_init(struct model *model)
{
    model->count = 0;
    model->table = trie_table_create();
    struct trie_reader reader = trie_table_reader(model->table);
    trie_task_init(&model->task, &reader);
}

static void model_deinit(struct model *model)
{
    trie_task_deinit(&model->task);
    trie_table_destroy(model->table);
}

static void add_key(struct model *model, struct bytes key)
{
    assert_true(model->count < KEYS_MAX);
    struct model_key *added = &model->keys[model->count++];
    memset(added, 0, sizeof(*added));
    memcpy(added->key, key.data, key.size);
    added->size = key.size;
}

static void sort_keys(struct model *model)
{
    qsort(model->keys, model->count, sizeof(model->keys[0]), by_key);
    size_t kept = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (kept == 0 || by_key(&model->keys[kept - 1], &model->keys[i]) != 0) {
            model->keys[kept++] = model->keys[i];
        }
    }
    model->count = kept;
    for (size_t i = 0; i < kept; i++) {
        trie_node_unpack(bytes_of(model->keys[i].key, model->keys[i].size), model->keys[i].nibbles);
    }
}

static void make_keys(struct model *model, uint64_t *random, size_t count, size_t size)
{
    unsigned symbols = 2 + (unsigned)fixture_random_below(random, 15);
    for (size_t i = 0; i < count; i++) {
        uint8_t key[TRIE_NIBBLES_MAX / 2];
        if (size == 32) {
            keccak_256(&i, sizeof(i), key);
            add_key(model, bytes_of(key, 32));
            continue;
        }
        size_t length = fixture_random_below(random, size + 1);
        for (size_t j = 0; j < length; j++) {
            key[j] = (uint8_t)(fixture_random_below(random, symbols) << 4 |
                               fixture_random_below(random, symbols));
        }
        add_key(model, bytes_of(key, length));
    }
    sort_keys(model);
}

static void set_value(struct model_key *key, struct bytes value)
{
    assert_true(value.size <= VALUE_MAX);
    memcpy(key->value, value.data, value.size);
    key->value_size = value.size;
}

/* The root of all values, from nothing. */
static void full_root(const struct model *model, uint8_t out[32])
{
    struct trie_pair *pairs = calloc(model->count + 1, sizeof(*pairs));
    assert_non_null(pairs);
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_key *key = &model->keys[i];
        if (key->value_size > 0) {
            pairs[count++] = (struct trie_pair){.key = bytes_of(key->key, key->size),
                                                .value = bytes_of(key->value, key->value_size)};
        }
    }
    assert_int_equal(trie_root(pairs, count, out), 0);
    free(pairs);
}

/* Change the keys that TOUCHED says; by parts, each with a task of its own, where there are any. */
static void update(struct model *model, const bool *touched)
{
    static struct trie_change changes[KEYS_MAX];
    static struct trie_task tasks[TRIE_CHILDREN];
    struct trie_update update = {.changes = changes};
    for (size_t i = 0; i < model->count; i++) {
        const struct model_key *key = &model->keys[i];
        if (touched[i]) {
            changes[update.count++] =
                (struct trie_change){.key = bytes_of(key->nibbles, 2 * key->size),
                                     .value = bytes_of(key->value, key->value_size)};
        }
    }
    unsigned parts;
    struct trie_writes all = {.first = NULL};
    struct trie_reader reader = trie_table_reader(model->table);
    assert_int_equal(trie_update_begin(&update, &model->task, &parts), 0);
    for (unsigned i = 0; i < parts; i++) {
        trie_task_init(&tasks[i], &reader);
        assert_int_equal(trie_update_part(&update, &tasks[i], i), 0);
    }
    assert_int_equal(trie_update_end(&update, &model->task, model->root), 0);
    all = model->task.writes;
    for (unsigned i = 0; i < parts; i++) {
        if (tasks[i].writes.first != NULL) {
            tasks[i].writes.last->next = all.first;
            all.first = tasks[i].writes.first;
        }
    }
    trie_table_apply(model->table, &all);
    for (unsigned i = 0; i < parts; i++) {
        trie_task_deinit(&tasks[i]);
    }
    trie_task_reset(&model->task);
}

/* The records are those that the same values put into an empty trie leave. */
static void check_records(const struct model *model)
{
    static struct model fresh;
    static bool touched[KEYS_MAX];
    model_init(&fresh);
    fresh.count = model->count;
    memcpy(fresh.keys, model->keys, sizeof(fresh.keys));
    for (size_t i = 0; i < model->count; i++) {
        touched[i] = model->keys[i].value_size > 0;
    }
    update(&fresh, touched);
    assert_memory_equal(fresh.root, model->root, 32);
    assert_true(trie_table_equal(fresh.table, model->table));
    model_deinit(&fresh);
}

static void random_batch(struct model *model, uint64_t *random, size_t batch, size_t value_max,
                         unsigned removals)
{
    static bool touched[KEYS_MAX];
    memset(touched, 0, sizeof(touched));
    for (size_t i = 0; i < batch; i++) {
        size_t index = fixture_random_below(random, model->count);
        struct model_key *key = &model->keys[index];
        touched[index] = true;
        key->value_size = 0;
        if (fixture_random_below(random, 100) >= removals) {
            key->value_size = 1 + fixture_random_below(random, value_max);
            fixture_random_fill(random, key->value, key->value_size);
        }
    }
    update(model, touched);
}

static void random_operations_agree_with_full_recomputation(void **context)
{
    (void)context;
    static struct model model;
    static const size_t sizes[] = {32, 2, 32, 3, 1, 64};
    static const size_t values[] = {VALUE_MAX, 3, 33, 40, 1, 9};
    uint64_t random = fixture_seed();
    size_t operations = 0;
    for (unsigned round = 0; operations < 100000; round++) {
        model_init(&model);
        make_keys(&model, &random, 20 + fixture_random_below(&random, 3000), sizes[round % 6]);
        for (unsigned step = 0; step < 40; step++) {
            /* It grows, shrinks, to nothing at times, and grows again. */
            unsigned removals = step % 10 < 5 ? 20 : step % 10 == 9 ? 100 : 85;
            size_t batch = 1 + fixture_random_below(&random, step % 3 == 0 ? BATCH_MAX : 30);
            random_batch(&model, &random, batch, values[round % 6], removals);
            operations += batch;
            uint8_t expected[32];
            full_root(&model, expected);
            assert_memory_equal(model.root, expected, 32);
            if (step % 5 == 4) {
                check_records(&model);
            }
        }
        for (size_t i = 0; i < model.count; i++) {
            model.keys[i].value_size = 0;
        }
        static bool all[KEYS_MAX];
        memset(all, 1, sizeof(all));
        update(&model, all);
        assert_memory_equal(model.root, trie_empty_root, 32);
        assert_int_equal(trie_table_count(model.table), 0);
        model_deinit(&model);
    }
}

static void what_changes_nothing_writes_nothing(void **context)
{
    (void)context;
    static struct model model;
    uint64_t random = fixture_seed();
    model_init(&model);
    make_keys(&model, &random, 300, 32);
    random_batch(&model, &random, 200, 60, 0);
    uint8_t before[32];
    memcpy(before, model.root, 32);
    for (size_t i = 0; i < model.count; i++) {
        const struct model_key *key = &model.keys[i];
        struct trie_change change = {.key = bytes_of(key->nibbles, 2 * key->size),
                                     .value = bytes_of(key->value, key->value_size)};
        struct trie_update same = {.changes = &change, .count = 1};
        assert_int_equal(trie_update_run(&same, &model.task, model.root), 0);
        assert_memory_equal(model.root, before, 32);
        assert_null(model.task.writes.first);
        trie_task_reset(&model.task);
    }
    assert_int_equal(trie_update_root(bytes_of(NULL, 0), &model.task, model.root), 0);
    assert_memory_equal(model.root, before, 32);
    model_deinit(&model);
}

static int count_leaf(void *context, struct bytes key, struct bytes value)
{
    assert_true(key.size == 64 && value.size > 0);
    ++*(size_t *)context;
    return 0;
}

static void wiping_removes_every_record(void **context)
{
    (void)context;
    static struct model model;
    uint64_t random = fixture_seed();
    for (size_t size = 1; size < 3000; size = size * 3 + 1) {
        model_init(&model);
        make_keys(&model, &random, size, 32);
        static bool touched[KEYS_MAX];
        memset(touched, 1, sizeof(touched));
        for (size_t i = 0; i < model.count; i++) {
            set_value(&model.keys[i], bytes_of(&i, sizeof(i)));
        }
        update(&model, touched);
        size_t leaves = 0;
        assert_int_equal(trie_update_wipe(bytes_of(NULL, 0), &model.task, count_leaf, &leaves), 0);
        assert_int_equal(leaves, model.count);
        trie_table_apply(model.table, &model.task.writes);
        assert_int_equal(trie_table_count(model.table), 0);
        model_deinit(&model);
    }
}

/* ---- vectors ---- */

static struct bytes vector_bytes(const json_t *string, uint8_t *out)
{
    const char *text = json_string_value(string);
    size_t size = json_string_length(string);
    assert_non_null(text);
    if (size >= 2 && memcmp(text, "0x", 2) == 0) {
        ptrdiff_t got = bytes_from_hex(text, size, out, VALUE_MAX);
        assert_true(got >= 0);
        return bytes_of(out, (size_t)got);
    }
    assert_true(size <= VALUE_MAX);
    memcpy(out, text, size);
    return bytes_of(out, size);
}

static struct bytes vector_key(const json_t *string, bool secure, uint8_t *out)
{
    struct bytes key = vector_bytes(string, out);
    if (secure) {
        keccak_256(key.data, key.size, out);
        key = bytes_of(out, 32);
    }
    return key;
}

/* The steps of a vector: pairs of key and value, null to remove. */
static json_t *vector_steps(const json_t *vector)
{
    json_t *in = json_object_get(vector, "in");
    if (json_is_array(in)) {
        return json_incref(in);
    }
    json_t *steps = json_array();
    const char *name;
    json_t *value;
    json_object_foreach(in, name, value)
    {
        json_array_append_new(steps, json_pack("[sO]", name, value));
    }
    return steps;
}

static void run_step(struct model *model, const json_t *step, bool secure)
{
    static bool touched[KEYS_MAX];
    uint8_t out[VALUE_MAX];
    struct bytes wanted = vector_key(json_array_get(step, 0), secure, out);
    const json_t *value = json_array_get(step, 1);
    memset(touched, 0, sizeof(touched));
    for (size_t i = 0; i < model->count; i++) {
        struct model_key *key = &model->keys[i];
        if (bytes_equal(bytes_of(key->key, key->size), wanted)) {
            uint8_t bytes[VALUE_MAX];
            set_value(key, json_is_null(value) ? bytes_of(bytes, 0) : vector_bytes(value, bytes));
            touched[i] = true;
        }
    }
    update(model, touched);
}

/* One by one, in this order or, where that cannot matter, in random ones. */
static void check_vector(const json_t *vector, bool secure, uint64_t *random)
{
    static struct model model;
    json_t *steps = vector_steps(vector);
    size_t count = json_array_size(steps);
    bool any_order = json_is_object(json_object_get(vector, "in"));
    size_t order[64];
    assert_true(count <= 64);
    for (unsigned round = 0; round < (any_order ? 30 : 1); round++) {
        model_init(&model);
        for (size_t i = 0; i < count; i++) {
            uint8_t out[VALUE_MAX];
            add_key(&model, vector_key(json_array_get(json_array_get(steps, i), 0), secure, out));
            size_t other = round == 0 ? i : fixture_random_below(random, i + 1);
            order[i] = order[other];
            order[other] = i;
        }
        sort_keys(&model);
        for (size_t i = 0; i < count; i++) {
            run_step(&model, json_array_get(steps, order[i]), secure);
        }
        char text[67] = "0x";
        bytes_to_hex(model.root, 32, text + 2);
        assert_string_equal(text, json_string_value(json_object_get(vector, "root")));
        check_records(&model);
        model_deinit(&model);
    }
    json_decref(steps);
}

static void check_vectors(const char *name, bool secure, size_t least)
{
    struct buffer text;
    if (!fixture_load_data(name, &text)) {
        return;
    }
    uint64_t random = fixture_seed();
    json_t *vectors = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_object_size(vectors) >= least);
    const char *vector_name;
    json_t *vector;
    json_object_foreach(vectors, vector_name, vector)
    {
        check_vector(vector, secure, &random);
    }
    json_decref(vectors);
    buffer_deinit(&text);
}

static void public_vectors_come_out_in_any_order(void **context)
{
    (void)context;
    check_vectors("vectors/trieanyorder.json", false, 6);
    check_vectors("vectors/trietest.json", false, 3);
    check_vectors("vectors/trieanyorder_secureTrie.json", true, 6);
    check_vectors("vectors/trietest_secureTrie.json", true, 3);
    check_vectors("vectors/hex_encoded_securetrie_test.json", true, 3);
}

/* ---- records ---- */

static void damaged_records_are_refused(void **context)
{
    (void)context;
    static struct model model;
    uint64_t random = fixture_seed();
    model_init(&model);
    make_keys(&model, &random, 60, 3);
    random_batch(&model, &random, 60, 40, 0);
    struct trie_reader reader = trie_table_reader(model.table);
    struct bytes record;
    assert_int_equal(
        reader.read(reader.context, bytes_of(NULL, 0), bytes_of(NULL, 0), &record, NULL), 0);
    struct trie_slot slot = {.kind = TRIE_EMPTY};
    for (size_t size = 0; size < record.size; size++) {
        assert_int_equal(
            trie_node_decode(bytes_of(record.data, size), &model.task.arena, &slot, NULL),
            STOA_ECORRUPT);
    }
    assert_int_equal(trie_node_decode(record, &model.task.arena, &slot, NULL), 0);
    uint8_t *copy = malloc(record.size + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < 8 * record.size; i++) { /* decoded or not: nothing is overrun */
        memcpy(copy, record.data, record.size);
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        (void)trie_node_decode(bytes_of(copy, record.size), &model.task.arena, &slot, NULL);
    }
    memcpy(copy, record.data, record.size);
    copy[record.size] = 0;
    assert_int_equal(
        trie_node_decode(bytes_of(copy, record.size + 1), &model.task.arena, &slot, NULL),
        STOA_ECORRUPT);
    free(copy);
    model_deinit(&model);
}

static void a_missing_record_is_named_as_damage(void **context)
{
    (void)context;
    static struct model model;
    uint64_t random = fixture_seed();
    model_init(&model);
    make_keys(&model, &random, 2000, 32);
    random_batch(&model, &random, 600, 40, 0);
    struct trie_write write = {.path = bytes_of(model.keys[0].nibbles, 1)};
    struct trie_writes writes = {.first = &write, .last = &write};
    trie_table_apply(model.table, &writes);
    struct trie_change change = {.key = bytes_of(model.keys[0].nibbles, 64),
                                 .value = bytes_of("x", 1)};
    struct trie_update update = {.changes = &change, .count = 1};
    assert_int_equal(trie_update_run(&update, &model.task, model.root), STOA_ECORRUPT);
    assert_non_null(strstr(model.task.detail.text, "missing"));
    model_deinit(&model);
}

static void any_failed_allocation_is_an_error(void **context)
{
    (void)context;
    static struct model model;
    uint64_t random = fixture_seed();
    model_init(&model);
    make_keys(&model, &random, 400, 3);
    random_batch(&model, &random, 300, 40, 0);
    static struct trie_change changes[KEYS_MAX];
    struct trie_update update = {.changes = changes};
    for (size_t i = 0; i < model.count; i += 2) {
        changes[update.count++] =
            (struct trie_change){.key = bytes_of(model.keys[i].nibbles, 2 * model.keys[i].size),
                                 .value = bytes_of("value", i % 4 == 0 ? 0 : 5)};
    }
    struct trie_reader reader = trie_table_reader(model.table);
    int result = STOA_ENOMEM;
    unsigned failures = 0;
    for (; result != 0; failures++) {
        struct trie_task task;
        trie_task_init(&task, &reader);
        memory_fail_at(failures + 1);
        result = trie_update_run(&update, &task, model.root);
        memory_fail_at(0);
        assert_true(result == 0 || result == STOA_ENOMEM);
        trie_task_deinit(&task);
    }
    assert_true(failures > 1);
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_vectors_come_out_in_any_order),
        cmocka_unit_test(random_operations_agree_with_full_recomputation),
        cmocka_unit_test(what_changes_nothing_writes_nothing),
        cmocka_unit_test(wiping_removes_every_record),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(a_missing_record_is_named_as_damage),
        cmocka_unit_test(any_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
