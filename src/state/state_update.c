/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state/state_update.h"

#include "base/ensure.h"
#include "chain/rlp.h"
#include "chain/trie.h"

enum { HASH_SIZE = 32, HASH_NIBBLES = 64 };

const uint8_t state_empty_code_hash[32] = {
    0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0,
    0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
};

int state_account_encode(const struct state_account *account, struct buffer *out)
{
    struct buffer fields;
    buffer_init(&fields);
    int result = rlp_append_uint64(&fields, account->nonce);
    if (result == 0) {
        result = rlp_append_uint256(&fields, account->balance);
    }
    if (result == 0) {
        result = rlp_append_string(&fields, bytes_of(account->storage_root, HASH_SIZE));
    }
    if (result == 0) {
        result = rlp_append_string(&fields, bytes_of(account->code_hash, HASH_SIZE));
    }
    if (result == 0) {
        result = rlp_append_list_prefix(out, fields.size);
    }
    if (result == 0) {
        result = buffer_append(out, fields.data, fields.size);
    }
    buffer_deinit(&fields);
    return result;
}

int state_account_decode(struct bytes leaf, struct state_account *out_account,
                         struct error_detail *detail)
{
    struct bytes fields;
    const uint8_t *storage_root;
    const uint8_t *code_hash;
    struct state_account account;
    int result = rlp_read_list(&leaf, &fields, detail);
    if (result == 0) {
        result = rlp_expect_end(leaf, detail);
    }
    if (result == 0) {
        result = rlp_read_uint64(&fields, &account.nonce, detail);
    }
    if (result == 0) {
        result = rlp_read_uint256(&fields, account.balance, detail);
    }
    if (result == 0) {
        result = rlp_read_fixed(&fields, HASH_SIZE, &storage_root, detail);
    }
    if (result == 0) {
        result = rlp_read_fixed(&fields, HASH_SIZE, &code_hash, detail);
    }
    if (result == 0) {
        result = rlp_expect_end(fields, detail);
    }
    if (result != 0) {
        error_prefix(detail, "account");
        return result;
    }
    memcpy(account.storage_root, storage_root, HASH_SIZE);
    memcpy(account.code_hash, code_hash, HASH_SIZE);
    *out_account = account;
    return 0;
}

size_t state_slot_encode(const uint8_t value[32], uint8_t out[33])
{
    size_t zeros = 0;
    while (zeros < 32 && value[zeros] == 0) {
        zeros++;
    }
    size_t size = 32 - zeros;
    if (size == 1 && value[31] < 0x80) {
        out[0] = value[31];
        return 1;
    }
    out[0] = (uint8_t)(0x80 + size);
    memcpy(out + 1, value + zeros, size);
    return 1 + size;
}

static int no_memory(struct trie_task *task)
{
    return error_set(&task->detail, STOA_ENOMEM, "update of the state");
}

/* ---- an account's storage ---- */

struct wipe {
    struct trie_task *task;
    struct state_account_change *account;
};

static int note_wiped(void *context, struct bytes key, struct bytes value)
{
    struct wipe *wipe = context;
    (void)value;
    struct state_wiped_slot *slot = arena_alloc(&wipe->task->arena, sizeof(*slot));
    if (slot == NULL) {
        return no_memory(wipe->task);
    }
    if (key.size != HASH_NIBBLES) {
        return error_set(&wipe->task->detail, STOA_ECORRUPT, "storage trie: a key of %zu nibbles",
                         key.size);
    }
    for (size_t i = 0; i < HASH_SIZE; i++) {
        slot->key_hash[i] = (uint8_t)(key.data[2 * i] << 4 | key.data[2 * i + 1]);
    }
    slot->next = wipe->account->wiped;
    wipe->account->wiped = slot;
    return 0;
}

static int wipe_storage(struct trie_task *task, struct state_account_change *account)
{
    struct wipe wipe = {.task = task, .account = account};
    return trie_update_wipe(bytes_of(account->address_hash, HASH_SIZE), task, note_wiped, &wipe);
}

/* Put ACCOUNT's slots into its storage (FRESH: an empty trie), but for the hashing. */
static int update_storage(struct trie_task *task, struct state_account_change *account, bool fresh,
                          struct trie_update *update)
{
    static_assert(sizeof(uint8_t[HASH_NIBBLES + 33 + 7]) % 8 == 0, "one piece a slot");
    enum { PIECE = HASH_NIBBLES + 40 };
    size_t count = account->slot_count;
    struct trie_change *changes =
        arena_alloc(&task->arena, count * (sizeof(struct trie_change) + PIECE));
    if (changes == NULL) {
        return no_memory(task);
    }
    uint8_t *pieces = (uint8_t *)(changes + count);
    for (size_t i = 0; i < count; i++) {
        static const uint8_t zero[32];
        const struct state_slot_change *slot = &account->slots[i];
        uint8_t *piece = pieces + i * PIECE;
        trie_node_unpack(bytes_of(slot->key_hash, HASH_SIZE), piece);
        bool cleared = memcmp(slot->value, zero, sizeof(zero)) == 0;
        size_t size = cleared ? 0 : state_slot_encode(slot->value, piece + HASH_NIBBLES);
        changes[i] = (struct trie_change){
            .key = bytes_of(piece, HASH_NIBBLES),
            .value = bytes_of(piece + HASH_NIBBLES, size),
        };
    }
    *update = (struct trie_update){
        .trie = bytes_of(account->address_hash, HASH_SIZE),
        .changes = changes,
        .count = count,
        .fresh = fresh,
    };
    return trie_update_change(update, task);
}

/* ---- accounts ---- */

/* One on its way. */
struct settling {
    struct state_account account;
    struct trie_update storage; /* with changes: an update whose root becomes the account's */
    uint64_t place;             /* the reader's, of the storage's root */
};

static bool has_storage(const struct state_account_change *change,
                        const struct state_account *account)
{
    return change->existed && memcmp(account->storage_root, trie_empty_root, HASH_SIZE) != 0;
}

/* The account that is left of what CHANGE says, but for the root of its storage. */
static int change_account(struct trie_task *task, struct state_account_change *change,
                          struct settling *settling)
{
    struct state_account *account = &settling->account;
    bool had_storage = has_storage(change, account);
    if ((change->flags & STATE_ACCOUNT_REMOVED) != 0) {
        return had_storage ? wipe_storage(task, change) : 0;
    }
    if ((change->flags & STATE_ACCOUNT_FIELDS) != 0) {
        account->nonce = change->nonce;
        memcpy(account->balance, change->balance, sizeof(account->balance));
        memcpy(account->code_hash, change->code_hash, sizeof(account->code_hash));
    } else if (!change->existed) {
        return error_set(&task->detail, STOA_EINVAL, "storage of an account that does not exist");
    }
    bool wiped = (change->flags & STATE_ACCOUNT_WIPED) != 0;
    int result = wiped && had_storage ? wipe_storage(task, change) : 0;
    if (wiped || !had_storage) {
        memcpy(account->storage_root, trie_empty_root, HASH_SIZE);
    }
    if (result == 0 && change->slot_count > 0) {
        result = update_storage(task, change, wiped || !had_storage, &settling->storage);
    }
    return result;
}

/* The account as the leaf's new value, with what its storage has come to. */
static int finish_account(struct trie_task *task, struct trie_change *trie_change,
                          struct state_account_change *change, struct settling *settling)
{
    int result = 0;
    if ((change->flags & STATE_ACCOUNT_REMOVED) != 0) {
        return 0;
    }
    if (settling->storage.count != 0) {
        result = trie_update_root_of(&settling->storage, task, settling->account.storage_root);
    }
    buffer_clear(&task->scratch);
    if (result == 0 && state_account_encode(&settling->account, &task->scratch) != 0) {
        result = no_memory(task);
    }
    if (result != 0) {
        return result;
    }
    change->leaf = arena_copy(&task->arena, buffer_bytes(&task->scratch));
    trie_change->value = change->leaf;
    return change->leaf.data == NULL ? no_memory(task) : 0;
}

/* The accounts as they were; and what will be read of their storage comes near. */
static int begin_accounts(struct trie_task *task, const struct trie_change *trie_changes,
                          struct state_account_change *changes, struct settling *settling,
                          size_t count)
{
    const struct trie_reader *reader = &task->reader;
    for (size_t i = 0; i < count; i++) {
        struct bytes old = trie_changes[i].old;
        settling[i] = (struct settling){.storage = {.count = 0}};
        changes[i].existed = old.size > 0;
        if (changes[i].existed &&
            state_account_decode(old, &settling[i].account, &task->detail) != 0) {
            return error_set(&task->detail, STOA_ECORRUPT, "state trie: a leaf is no account");
        }
    }
    for (unsigned step = 0; reader->ahead != NULL && step < TRIE_READER_STEPS; step++) {
        for (size_t i = 0; i < count; i++) {
            if (changes[i].slot_count != 0 && has_storage(&changes[i], &settling[i].account)) {
                reader->ahead(reader->context, bytes_of(changes[i].address_hash, HASH_SIZE),
                              bytes_of(NULL, 0), step, &settling[i].place);
            }
        }
    }
    return 0;
}

/* Set the values of the accounts' trie, of part INDEX where it has parts: all storage tries on the
 * way are changed first, then hashed together. */
static int settle_accounts(struct state_update *update, struct trie_task *task, unsigned index)
{
    size_t count;
    struct trie_change *trie_changes = trie_update_changes(&update->trie, index, &count);
    struct state_account_change *changes = update->accounts + (trie_changes - update->trie.changes);
    struct settling *settling = arena_alloc(&task->arena, count * sizeof(*settling));
    if (settling == NULL) {
        return no_memory(task);
    }
    int result = trie_update_look_up(&update->trie, task, index);
    if (result == 0) {
        result = begin_accounts(task, trie_changes, changes, settling, count);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = change_account(task, &changes[i], &settling[i]);
    }
    result = result == 0 ? trie_task_hash(task) : result;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = finish_account(task, &trie_changes[i], &changes[i], &settling[i]);
    }
    return result;
}

/* ---- public ---- */

int state_update_begin(struct state_update *update, struct trie_task *task,
                       struct state_account_change *accounts, size_t count, unsigned *out_parts)
{
    struct trie_change *changes =
        arena_alloc(&task->arena, count * (sizeof(struct trie_change) + HASH_NIBBLES));
    if (changes == NULL) {
        return no_memory(task);
    }
    uint8_t *keys = (uint8_t *)(changes + count);
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = keys + i * HASH_NIBBLES;
        trie_node_unpack(bytes_of(accounts[i].address_hash, HASH_SIZE), key);
        changes[i] = (struct trie_change){.key = bytes_of(key, HASH_NIBBLES)};
        accounts[i].leaf = bytes_of(NULL, 0);
        accounts[i].existed = false;
        accounts[i].wiped = NULL;
    }
    update->accounts = accounts;
    update->trie = (struct trie_update){.changes = changes, .count = count};
    return trie_update_begin(&update->trie, task, out_parts);
}

int state_update_part(struct state_update *update, struct trie_task *task, unsigned index)
{
    int result = settle_accounts(update, task, index);
    return result == 0 ? trie_update_part(&update->trie, task, index) : result;
}

int state_update_end(struct state_update *update, struct trie_task *task, uint8_t out_root[32])
{
    int result = update->trie.parted ? 0 : settle_accounts(update, task, 0);
    return result == 0 ? trie_update_end(&update->trie, task, out_root) : result;
}

int state_update_run(struct trie_task *task, struct state_account_change *accounts, size_t count,
                     uint8_t out_root[32])
{
    struct state_update update;
    unsigned parts;
    int result = state_update_begin(&update, task, accounts, count, &parts);
    update.trie.parted = false;
    return result == 0 ? state_update_end(&update, task, out_root) : result;
}
