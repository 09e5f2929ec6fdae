/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/simstate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain/genesis.h"
#include "chain/keccak.h"
#include "support/fixture.h"
#include "support/state_lines.h"
#include "support/trie_table.h"

enum { ADDRESSES = 7, NUMBERS = 5 };

void simstate_fill(const uint8_t hash[32], struct simstate_changes *changes,
                   struct stoa_store_block *put)
{
    uint64_t random = bytes_load_be64(hash + 12);
    unsigned first = (unsigned)fixture_random_below(&random, ADDRESSES);
    memset(changes, 0, sizeof(*changes));
    put->accounts = changes->accounts;
    put->slots = changes->slots;
    put->flags |= STOA_STORE_STATE;
    put->skip |= STOA_SKIP_STATE_ROOT; /* nothing was executed */
    for (unsigned i = 0; i < SIMSTATE_ACCOUNTS; i++) {
        struct stoa_account_change *account = &changes->accounts[put->account_count++];
        uint64_t kind = fixture_random_below(&random, 8);
        account->address[0] = (uint8_t)(0xa0 + (first + 2 * i) % ADDRESSES);
        account->flags = kind == 0 ? STOA_ACCOUNT_REMOVED : kind == 1 ? STOA_ACCOUNT_WIPED : 0;
        account->nonce = hash[i];
        account->balance[31] = hash[4 + i];
        keccak_256(NULL, 0, account->code_hash);
        uint64_t slots = kind == 0 ? 0 : fixture_random_below(&random, 3);
        unsigned number = (unsigned)fixture_random_below(&random, NUMBERS);
        for (unsigned j = 0; j < slots; j++) {
            struct stoa_slot_change *slot = &changes->slots[put->slot_count++];
            memcpy(slot->address, account->address, 20);
            slot->slot[31] = (uint8_t)((number + j) % NUMBERS);
            slot->value[31] = fixture_random_below(&random, 3) == 0 ? 0 : hash[8 + j];
        }
    }
}

static int compare_slots(const void *a, const void *b)
{
    return memcmp(((const struct state_slot_change *)a)->key_hash,
                  ((const struct state_slot_change *)b)->key_hash, 32);
}

static int compare_accounts(const void *a, const void *b)
{
    return memcmp(((const struct state_account_change *)a)->address_hash,
                  ((const struct state_account_change *)b)->address_hash, 32);
}

static void apply(struct trie_table *table, struct trie_task *task, const uint8_t hash[32],
                  uint8_t out_root[32])
{
    struct simstate_changes changes;
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct state_account_change accounts[SIMSTATE_ACCOUNTS] = {{.flags = 0}};
    struct state_slot_change slots[SIMSTATE_SLOTS];
    size_t slot_count = 0;
    simstate_fill(hash, &changes, &put);
    for (size_t i = 0; i < put.account_count; i++) {
        const struct stoa_account_change *from = &put.accounts[i];
        struct state_account_change *to = &accounts[i];
        *to = (struct state_account_change){.nonce = from->nonce, .slots = slots + slot_count};
        to->flags = (from->flags & STOA_ACCOUNT_REMOVED) != 0 ? STATE_ACCOUNT_REMOVED
                    : (from->flags & STOA_ACCOUNT_WIPED) != 0
                        ? STATE_ACCOUNT_FIELDS | STATE_ACCOUNT_WIPED
                        : STATE_ACCOUNT_FIELDS;
        keccak_256(from->address, 20, to->address_hash);
        memcpy(to->balance, from->balance, 32);
        memcpy(to->code_hash, from->code_hash, 32);
        for (size_t j = 0; j < put.slot_count; j++) {
            if (memcmp(put.slots[j].address, from->address, 20) == 0) {
                keccak_256(put.slots[j].slot, 32, slots[slot_count].key_hash);
                memcpy(slots[slot_count++].value, put.slots[j].value, 32);
                to->slot_count++;
            }
        }
        qsort(to->slots, to->slot_count, sizeof(*to->slots), compare_slots);
    }
    qsort(accounts, put.account_count, sizeof(accounts[0]), compare_accounts);
    assert_int_equal(state_update_run(task, accounts, put.account_count, out_root), 0);
    trie_table_apply(table, &task->writes);
    trie_task_reset(task);
}

void simstate_root(struct bytes genesis_json, const uint8_t *const *hashes, size_t count,
                   uint8_t out_root[32])
{
    struct genesis genesis;
    struct state_lines lines;
    struct trie_table *table = trie_table_create();
    struct trie_reader reader = trie_table_reader(table);
    struct trie_task task;
    trie_task_init(&task, &reader);
    assert_int_equal(genesis_parse(genesis_json, &genesis, NULL), 0);
    state_lines_genesis(&genesis, &lines);
    assert_int_equal(state_update_run(&task, lines.accounts, lines.count, out_root), 0);
    trie_table_apply(table, &task.writes);
    trie_task_reset(&task);
    for (size_t i = 0; i < count; i++) {
        apply(table, &task, hashes[i], out_root);
    }
    state_lines_deinit(&lines);
    genesis_deinit(&genesis);
    trie_task_deinit(&task);
    trie_table_destroy(table);
}
