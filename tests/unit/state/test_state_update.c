/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "chain/keccak.h"
#include "chain/trie.h"
#include "state/state_update.h"
#include "support/fixture.h"
#include "support/state_lines.h"
#include "support/trie_table.h"

struct world {
    struct trie_table *table;
    struct trie_task task;
    uint8_t root[32];
};

static void world_init(struct world *world)
{
    world->table = trie_table_create();
    struct trie_reader reader = trie_table_reader(world->table);
    trie_task_init(&world->task, &reader);
}

static void world_deinit(struct world *world)
{
    trie_task_deinit(&world->task);
    trie_table_destroy(world->table);
}

/* Apply LINES, in parts where there are enough. */
static void advance(struct world *world, struct state_lines *lines)
{
    struct state_update update;
    struct trie_task tasks[TRIE_CHILDREN];
    struct trie_reader reader = trie_table_reader(world->table);
    unsigned parts;
    assert_int_equal(
        state_update_begin(&update, &world->task, lines->accounts, lines->count, &parts), 0);
    for (unsigned i = 0; i < parts; i++) {
        trie_task_init(&tasks[i], &reader);
        assert_int_equal(state_update_part(&update, &tasks[i], i), 0);
    }
    assert_int_equal(state_update_end(&update, &world->task, world->root), 0);
    struct trie_writes all = world->task.writes;
    for (unsigned i = 0; i < parts; i++) {
        if (tasks[i].writes.first != NULL) {
            tasks[i].writes.last->next = all.first;
            all.first = tasks[i].writes.first;
        }
    }
    trie_table_apply(world->table, &all);
    for (unsigned i = 0; i < parts; i++) {
        trie_task_deinit(&tasks[i]);
    }
    trie_task_reset(&world->task);
}

static void start(struct world *world, const struct genesis *genesis)
{
    struct state_lines lines;
    world_init(world);
    state_lines_genesis(genesis, &lines);
    advance(world, &lines);
    state_lines_deinit(&lines);
    assert_memory_equal(world->root, genesis->state_root, 32);
}

/* Every line of FILE moves the state to the root it names. Returns how many there were. */
static size_t follow(struct world *world, const char *file)
{
    struct buffer text;
    if (!fixture_load_data(file, &text)) {
        return 0;
    }
    struct bytes cursor = buffer_bytes(&text);
    size_t count = 0;
    json_t *line;
    while ((line = state_lines_next(&cursor)) != NULL) {
        struct state_lines lines;
        uint8_t expected[32];
        const char *root = json_string_value(json_object_get(line, "stateRoot"));
        assert_int_equal(bytes_from_hex(root, strlen(root), expected, 32), 32);
        state_lines_read(line, &lines);
        advance(world, &lines);
        if (memcmp(world->root, expected, 32) != 0) {
            fail_msg("%s: line %zu", file, count + 1);
        }
        state_lines_deinit(&lines);
        json_decref(line);
        count++;
    }
    buffer_deinit(&text);
    return count;
}

static void every_block_of_every_chain_has_its_state_root(void **context)
{
    (void)context;
    for (size_t i = 0; state_lines_chains[i] != NULL; i++) {
        char genesis_name[128];
        char lines_name[128];
        struct genesis genesis;
        struct world world;
        (void)snprintf(genesis_name, sizeof(genesis_name), "chains/%s/genesis.json",
                       state_lines_chains[i]);
        (void)snprintf(lines_name, sizeof(lines_name), "chains/%s/execution.jsonl",
                       state_lines_chains[i]);
        if (!state_lines_load_genesis(genesis_name, &genesis)) {
            return;
        }
        start(&world, &genesis);
        assert_true(follow(&world, lines_name) >= 9);
        world_deinit(&world);
        genesis_deinit(&genesis);
    }
}

static void the_first_blocks_of_the_mainnet_have_their_state_roots(void **context)
{
    (void)context;
    struct genesis genesis;
    struct world world;
    if (!state_lines_load_genesis("mainnet/genesis.json", &genesis)) {
        return;
    }
    clock_t before = clock();
    start(&world, &genesis);
    assert_int_equal(follow(&world, "mainnet/state-00000-08191.jsonl"), 8192);
    print_message("%.2f s of CPU, reading the files included\n",
                  (double)(clock() - before) / CLOCKS_PER_SEC);
    world_deinit(&world);
    genesis_deinit(&genesis);
}

/* ---- made states ---- */

enum { ACCOUNTS = 500, SLOTS = 40 };

struct made_account {
    bool present;
    uint64_t nonce;
    uint64_t slots[SLOTS];
};

static void hash_number(uint64_t number, uint8_t out[32])
{
    keccak_256(&number, sizeof(number), out);
}

/* The root from nothing. */
static void full_root(const struct made_account *accounts, uint8_t out[32])
{
    static uint8_t keys[ACCOUNTS][8];
    static struct buffer leaves[ACCOUNTS];
    struct trie_pair pairs[ACCOUNTS];
    size_t count = 0;
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        if (!accounts[i].present) {
            continue;
        }
        struct trie_pair slots[SLOTS];
        uint8_t slot_keys[SLOTS][8];
        uint8_t values[SLOTS][33];
        size_t slot_count = 0;
        for (uint64_t j = 0; j < SLOTS; j++) {
            if (accounts[i].slots[j] != 0) {
                uint8_t value[32] = {0};
                bytes_store_le64(slot_keys[slot_count], j);
                bytes_store_be64(value + 24, accounts[i].slots[j]);
                size_t size = state_slot_encode(value, values[slot_count]);
                slots[slot_count] = (struct trie_pair){
                    .key = bytes_of(slot_keys[slot_count], 8),
                    .value = bytes_of(values[slot_count], size),
                };
                slot_count++;
            }
        }
        struct state_account account = {.nonce = accounts[i].nonce};
        memcpy(account.code_hash, state_empty_code_hash, 32);
        assert_int_equal(trie_secure_root(slots, slot_count, account.storage_root), 0);
        bytes_store_le64(keys[count], i);
        buffer_init(&leaves[count]);
        assert_int_equal(state_account_encode(&account, &leaves[count]), 0);
        pairs[count] = (struct trie_pair){.key = bytes_of(keys[count], 8),
                                          .value = buffer_bytes(&leaves[count])};
        count++;
    }
    assert_int_equal(trie_secure_root(pairs, count, out), 0);
    while (count > 0) {
        buffer_deinit(&leaves[--count]);
    }
}

static int by_address(const void *a, const void *b)
{
    const struct state_account_change *left = a;
    const struct state_account_change *right = b;
    return memcmp(left->address_hash, right->address_hash, 32);
}

static int by_slot(const void *a, const void *b)
{
    const struct state_slot_change *left = a;
    const struct state_slot_change *right = b;
    return memcmp(left->key_hash, right->key_hash, 32);
}

/* A change of account NUMBER, made to the model as well. */
static void random_change(struct made_account *account, uint64_t number, uint64_t *random,
                          struct state_account_change *out)
{
    unsigned dice = (unsigned)fixture_random_below(random, 100);
    memset(out, 0, sizeof(*out));
    hash_number(number, out->address_hash);
    memcpy(out->code_hash, state_empty_code_hash, 32);
    if (dice < 15) {
        out->flags = STATE_ACCOUNT_REMOVED;
        memset(account, 0, sizeof(*account));
        return;
    }
    if (dice < 30) { /* made anew within the block */
        out->flags |= STATE_ACCOUNT_WIPED;
        memset(account->slots, 0, sizeof(account->slots));
    }
    if (!account->present || dice < 60) {
        out->flags |= STATE_ACCOUNT_FIELDS;
        out->nonce = fixture_random_below(random, 3);
        account->nonce = out->nonce;
    }
    account->present = true;
    uint64_t wanted = fixture_random_below(random, 12);
    out->slots = calloc(SLOTS, sizeof(*out->slots));
    assert_non_null(out->slots);
    for (uint64_t j = 0; j < SLOTS && out->slot_count < wanted; j++) {
        if (fixture_random_below(random, 3) == 0) {
            struct state_slot_change *slot = &out->slots[out->slot_count++];
            account->slots[j] =
                fixture_random_below(random, 2) == 0 ? 0 : fixture_random(random) >> 3;
            hash_number(j, slot->key_hash);
            bytes_store_be64(slot->value + 24, account->slots[j]);
        }
    }
    qsort(out->slots, out->slot_count, sizeof(*out->slots), by_slot);
}

static void removals_wipes_and_accounts_made_anew_agree_with_full_recomputation(void **context)
{
    (void)context;
    static struct made_account accounts[ACCOUNTS];
    uint64_t random = fixture_seed();
    struct world world;
    world_init(&world);
    memset(accounts, 0, sizeof(accounts));
    for (unsigned block = 0; block < 60; block++) {
        struct state_lines lines = {.count = 0};
        lines.accounts = calloc(ACCOUNTS, sizeof(*lines.accounts));
        assert_non_null(lines.accounts);
        uint64_t one_in = 1 + fixture_random_below(&random, 20);
        for (uint64_t i = 0; i < ACCOUNTS; i++) {
            if (fixture_random_below(&random, one_in) == 0) {
                random_change(&accounts[i], i, &random, &lines.accounts[lines.count++]);
            }
        }
        qsort(lines.accounts, lines.count, sizeof(*lines.accounts), by_address);
        advance(&world, &lines);
        uint8_t expected[32];
        full_root(accounts, expected);
        assert_memory_equal(world.root, expected, 32);
        for (size_t i = 0; i < lines.count; i++) {
            free(lines.accounts[i].slots);
        }
        free(lines.accounts);
    }
    world_deinit(&world);
}

static void removing_everything_leaves_no_record_and_names_every_slot(void **context)
{
    (void)context;
    struct world world;
    world_init(&world);
    struct state_slot_change slots[SLOTS];
    struct state_account_change account = {.flags = STATE_ACCOUNT_FIELDS, .slots = slots};
    for (uint64_t j = 0; j < SLOTS; j++) {
        memset(&slots[j], 1, sizeof(slots[j]));
        hash_number(j, slots[j].key_hash);
        account.slot_count++;
    }
    qsort(slots, SLOTS, sizeof(slots[0]), by_slot);
    struct state_lines lines = {.accounts = &account, .count = 1};
    advance(&world, &lines);
    assert_true(trie_table_count(world.table) > 2);
    account = (struct state_account_change){.flags = STATE_ACCOUNT_REMOVED};
    assert_int_equal(state_update_run(&world.task, &account, 1, world.root), 0);
    assert_memory_equal(world.root, trie_empty_root, 32);
    assert_true(account.existed);
    assert_int_equal(account.leaf.size, 0);
    size_t wiped = 0;
    for (const struct state_wiped_slot *slot = account.wiped; slot != NULL; slot = slot->next) {
        wiped++;
    }
    assert_int_equal(wiped, SLOTS);
    trie_table_apply(world.table, &world.task.writes);
    assert_int_equal(trie_table_count(world.table), 0);
    world_deinit(&world);
}

static void storage_without_an_account_is_refused(void **context)
{
    (void)context;
    struct world world;
    world_init(&world);
    struct state_slot_change slot = {.value = {1}};
    struct state_account_change account = {.slots = &slot, .slot_count = 1};
    assert_int_equal(state_update_run(&world.task, &account, 1, world.root), STOA_EINVAL);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_of_every_chain_has_its_state_root),
        cmocka_unit_test(the_first_blocks_of_the_mainnet_have_their_state_roots),
        cmocka_unit_test(removals_wipes_and_accounts_made_anew_agree_with_full_recomputation),
        cmocka_unit_test(removing_everything_leaves_no_record_and_names_every_slot),
        cmocka_unit_test(storage_without_an_account_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
