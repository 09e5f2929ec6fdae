/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a block changed in the state, read from its frames in the ledger: the one that came with it
 * and the updates made while it was the head, newest first. Blocks, running the loop. */
#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/state_change.h"
#include "store/store_private.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32 };

struct raw_change {
    struct bytes key;
    struct bytes value;
    bool removed;
    size_t order; /* lower: newer */
};

struct gathering {
    struct store *store;
    struct error_detail *detail;
    struct ledger_position next;
    struct buffer frames; /* changes of each, the newest first */
    bool complete;
    struct buffer raw; /* struct raw_change */
    struct buffer accounts;
    struct buffer slots;
    struct buffer codes; /* struct bytes */
};

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

/* One frame more. */
static int read_frame(struct gathering *gathering, const uint8_t hash[HASH_SIZE])
{
    bool done = false;
    struct ledger_read read = {.position = gathering->next, .done = note_read, .context = &done};
    ledger_read(gathering->store->ledger, &read);
    while (!done) {
        int ran = io_run(gathering->store->io, 1000000000);
        if (ran < 0) {
            return error_set(gathering->detail, ran, "read the changes of a block");
        }
    }
    if (read.result != 0) {
        if (gathering->detail != NULL) {
            *gathering->detail = read.detail;
        }
        ledger_read_release(&read);
        return read.result;
    }
    const uint8_t *named;
    struct bytes changes;
    int result = read.kind != LEDGER_STATE
                     ? STOA_ECORRUPT
                     : record_decode_state(read.payload, &named, &changes, gathering->detail);
    if (result == 0 && memcmp(named, hash, HASH_SIZE) != 0) {
        result = STOA_ECORRUPT;
    }
    if (result == 0) {
        uint64_t before = gathering->next.sequence;
        if (!record_is_update(read.payload, &gathering->next)) {
            gathering->next.sequence = 0;
        }
        result = gathering->next.sequence >= before ? STOA_ECORRUPT : 0;
    }
    result = result == 0 ? buffer_append(&gathering->frames, changes.data, changes.size) : result;
    ledger_read_release(&read);
    return result == 0 ? 0 : error_set(gathering->detail, result, "the changes of a block");
}

static int take_account(struct gathering *gathering, const struct record_change *change,
                        const uint8_t *wiped)
{
    struct stoa_account_change account = {.flags = 0};
    struct stoa_account fields;
    memcpy(account.address, change->key.data + 1, ADDRESS_SIZE);
    if (change->removed) {
        account.flags = STOA_ACCOUNT_REMOVED;
    } else {
        int result = state_change_read_account(change->value, &fields, gathering->detail);
        if (result != 0) {
            return result;
        }
        account.nonce = fields.nonce;
        memcpy(account.balance, fields.balance, HASH_SIZE);
        memcpy(account.code_hash, fields.code_hash, HASH_SIZE);
        if (wiped != NULL && memcmp(wiped, account.address, ADDRESS_SIZE) == 0) {
            account.flags = STOA_ACCOUNT_WIPED;
        }
    }
    return buffer_append(&gathering->accounts, &account, sizeof(account));
}

static int take_slot(struct gathering *gathering, const struct record_change *change)
{
    struct stoa_slot_changed slot = {.value = {0}};
    if (change->key.size != 1 + ADDRESS_SIZE + HASH_SIZE || change->value.size > HASH_SIZE) {
        return STOA_ECORRUPT;
    }
    memcpy(slot.address, change->key.data + 1, ADDRESS_SIZE);
    memcpy(slot.slot_hash, change->key.data + 1 + ADDRESS_SIZE, HASH_SIZE);
    if (!change->removed && change->value.size != 0) {
        memcpy(slot.value + HASH_SIZE - change->value.size, change->value.data, change->value.size);
    }
    return buffer_append(&gathering->slots, &slot, sizeof(slot));
}

static int take_change(struct gathering *gathering, const struct record_change *change,
                       const uint8_t **wiped)
{
    unsigned domain = change->key.data[0];
    bool account = domain == STATE_KEY_ACCOUNT || domain == STATE_KEY_WIPED;
    if (account && change->key.size != 1 + ADDRESS_SIZE) {
        return STOA_ECORRUPT;
    }
    if (domain == STATE_KEY_ACCOUNT) {
        return take_account(gathering, change, *wiped);
    }
    if (domain == STATE_KEY_SLOT) {
        return take_slot(gathering, change);
    }
    if (domain == STATE_KEY_WIPED) {
        *wiped = change->key.data + 1; /* the account comes next */
    } else if (domain == STATE_KEY_CODE) {
        return buffer_append(&gathering->codes, &change->value, sizeof(change->value));
    } else if (domain == STATE_KEY_RAW) {
        struct raw_change raw = {.key = bytes_of(change->key.data + 1, change->key.size - 1),
                                 .value = change->value,
                                 .removed = change->removed,
                                 .order = gathering->raw.size};
        return buffer_append(&gathering->raw, &raw, sizeof(raw));
    } else if (domain == STATE_KEY_MARK) {
        gathering->complete = true;
    }
    return 0;
}

static int compare_raw(const void *a, const void *b)
{
    const struct raw_change *left = a;
    const struct raw_change *right = b;
    int order = bytes_compare(left->key, right->key);
    return order != 0 ? order : left->order < right->order ? -1 : 1;
}

/* Of each key the newest change, in the order of keys. Returns how many. */
static size_t settle_raw(struct gathering *gathering)
{
    struct raw_change *raw = (struct raw_change *)(void *)gathering->raw.data;
    size_t count = gathering->raw.size / sizeof(*raw);
    size_t kept = 0;
    if (count != 0) {
        qsort(raw, count, sizeof(*raw), compare_raw);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !bytes_equal(raw[kept - 1].key, raw[i].key)) {
            raw[kept++] = raw[i];
        }
    }
    return kept;
}

static struct stoa_bytes place(uint8_t **at, struct bytes bytes)
{
    struct stoa_bytes placed = {*at, bytes.size};
    if (bytes.size != 0) {
        memcpy(*at, bytes.data, bytes.size);
    }
    *at += bytes.size;
    return placed;
}

/* All in one piece of memory. */
static struct stoa_block_changes *assemble(struct gathering *gathering)
{
    const struct raw_change *raw = (const struct raw_change *)(const void *)gathering->raw.data;
    const struct bytes *codes = (const struct bytes *)(const void *)gathering->codes.data;
    size_t raw_count = settle_raw(gathering);
    size_t code_count = gathering->codes.size / sizeof(*codes);
    size_t size = sizeof(struct stoa_block_changes) + raw_count * sizeof(struct stoa_change) +
                  code_count * sizeof(struct stoa_bytes) + gathering->accounts.size +
                  gathering->slots.size + gathering->frames.size;
    struct stoa_block_changes *out = memory_alloc_zeroed(1, size);
    if (out == NULL) {
        return NULL;
    }
    struct stoa_change *changes = (struct stoa_change *)(out + 1);
    struct stoa_bytes *placed = (struct stoa_bytes *)(changes + raw_count);
    struct stoa_account_change *accounts = (struct stoa_account_change *)(placed + code_count);
    uint8_t *slots = (uint8_t *)accounts + gathering->accounts.size;
    uint8_t *at = slots + gathering->slots.size;
    if (gathering->accounts.size != 0) {
        memcpy(accounts, gathering->accounts.data, gathering->accounts.size);
    }
    if (gathering->slots.size != 0) {
        memcpy(slots, gathering->slots.data, gathering->slots.size);
    }
    for (size_t i = 0; i < raw_count; i++) {
        changes[i].key = place(&at, raw[i].key);
        changes[i].value = place(&at, raw[i].value);
        changes[i].value.data = raw[i].removed ? NULL : changes[i].value.data;
    }
    for (size_t i = 0; i < code_count; i++) {
        placed[i] = place(&at, codes[i]);
    }
    ensure(at <= (uint8_t *)out + size);
    out->complete = gathering->complete;
    out->accounts = accounts;
    out->account_count = gathering->accounts.size / sizeof(*accounts);
    out->slots = (struct stoa_slot_changed *)(void *)slots;
    out->slot_count = gathering->slots.size / sizeof(*out->slots);
    out->codes = placed;
    out->code_count = code_count;
    out->changes = changes;
    out->change_count = raw_count;
    return out;
}

static int gather(struct gathering *gathering, const uint8_t hash[HASH_SIZE])
{
    int result = 0;
    while (result == 0 && gathering->next.sequence != 0) {
        result = read_frame(gathering, hash);
    }
    struct bytes cursor = buffer_bytes(&gathering->frames);
    struct record_change change;
    const uint8_t *wiped = NULL;
    while (result == 0 && (result = record_next_change(&cursor, &change)) == 0) {
        result = take_change(gathering, &change, &wiped);
    }
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* Hash, height and state frame of the block. */
static int find_block(struct store *store, const struct stoa_block_key *key,
                      uint8_t hash[HASH_SIZE], uint64_t *out_height,
                      struct ledger_position *out_position, struct error_detail *detail)
{
    uint64_t height = key->by == STOA_LATEST ? store->head.height : key->height;
    bool settled = false;
    struct index_place at;
    if (!store->head.present || (key->by != STOA_BY_HASH && height > store->head.height)) {
        return STOA_ENOTFOUND;
    }
    const struct pending_block *block = key->by == STOA_BY_HASH
                                            ? store_find_pending_hash(store, key->hash)
                                            : store_find_pending_height(store, height, &settled);
    if (block != NULL) {
        memcpy(hash, block->hash, HASH_SIZE);
        *out_height = block->height;
        *out_position = block->state_position;
        return 0;
    }
    memcpy(hash, key->hash, HASH_SIZE);
    int result = settled ? STOA_ENOTFOUND : 0;
    if (result == 0 && key->by != STOA_BY_HASH) {
        result = index_find_height(store->index, store->session, height, hash, &at, detail);
    }
    if (result == 0) {
        result = index_find_hash(store->index, store->session, hash, &at, detail);
    }
    store_note_tables(store, result);
    if (result == 0) {
        *out_height = at.height;
        *out_position = at.state_position;
    }
    return result;
}

int store_get_changes(struct store *store, const struct stoa_block_key *key,
                      struct stoa_block_changes **out_changes, struct error_detail *detail)
{
    struct gathering gathering = {.store = store, .detail = detail};
    struct stoa_block_changes *changes = NULL;
    uint8_t hash[HASH_SIZE];
    uint64_t height = 0;
    int result = store_settle(store);
    if (result == 0) {
        result = find_block(store, key, hash, &height, &gathering.next, detail);
    }
    if (result != 0) {
        return error_set(detail, result, "changes of a block: %s", stoa_strerror(result));
    }
    buffer_init(&gathering.frames);
    buffer_init(&gathering.raw);
    buffer_init(&gathering.accounts);
    buffer_init(&gathering.slots);
    buffer_init(&gathering.codes);
    result = gather(&gathering, hash);
    if (result == 0) {
        changes = assemble(&gathering);
        result = changes == NULL ? STOA_ENOMEM : 0;
    }
    buffer_deinit(&gathering.frames);
    buffer_deinit(&gathering.raw);
    buffer_deinit(&gathering.accounts);
    buffer_deinit(&gathering.slots);
    buffer_deinit(&gathering.codes);
    if (result != 0) {
        return error_set(detail, result, "changes of block %llu: %s", (unsigned long long)height,
                         stoa_strerror(result));
    }
    memcpy(changes->hash, hash, HASH_SIZE);
    changes->height = height;
    *out_changes = changes;
    return 0;
}
