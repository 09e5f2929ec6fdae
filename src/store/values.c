/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/values.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak.h"
#include "chain/trie.h"
#include "state/state_update.h"
#include "store/state_change.h"
#include "store/state_key.h"
#include "store/trie_group.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, PREFIX_SIZE = 8 };

/* An account's fields, or a slot of one. */
struct item {
    uint8_t address[ADDRESS_SIZE];
    uint8_t hash[HASH_SIZE]; /* of a slot */
    bool slot;
    uint64_t height;
    size_t offset; /* of the value, among the values */
    size_t size;
};

struct walk {
    struct index *index;
    struct kv_session *session;
    uint64_t height;
    struct values_visitor *visitor;
    struct error_detail *detail;
    /* The base whose versions come, the highest first. */
    uint8_t base[KV_KEY_SIZE_MAX];
    size_t base_size;
    bool settled;
    /* What came of accounts whose hashes begin alike: nearly always one. */
    uint8_t prefix[PREFIX_SIZE];
    struct buffer items;
    struct buffer values;
    struct buffer slots;
};

/* ---- accounts ---- */

static const struct item *items_of(const struct walk *walk, size_t *out_count)
{
    *out_count = walk->items.size / sizeof(struct item);
    return (const struct item *)(const void *)walk->items.data;
}

/* The height at which ADDRESS lost its storage last; false: never. */
static int find_wiped(struct walk *walk, const uint8_t address[ADDRESS_SIZE], uint64_t *out_height,
                      bool *out_wiped)
{
    uint8_t key[STATE_KEY_MAX];
    struct bytes value;
    size_t size = state_key_address(STATE_KEY_WIPED, address, key);
    *out_height = walk->height;
    int result = index_find_state(walk->index, walk->session, bytes_of(key, size), out_height,
                                  &value, walk->detail);
    *out_wiped = result == 0;
    return result == STOA_ENOTFOUND ? 0 : result;
}

static int gather_slots(struct walk *walk, const struct item *account)
{
    size_t count;
    const struct item *items = items_of(walk, &count);
    uint64_t wiped_at = 0;
    bool wiped = false;
    int result = count == 1 ? 0 : find_wiped(walk, account->address, &wiped_at, &wiped);
    buffer_clear(&walk->slots);
    for (size_t i = 0; result == 0 && i < count; i++) {
        const struct item *item = &items[i];
        if (!item->slot || memcmp(item->address, account->address, ADDRESS_SIZE) != 0 ||
            (wiped && wiped_at > item->height)) {
            continue;
        }
        struct values_slot slot = {.value = bytes_of(walk->values.data + item->offset, item->size)};
        memcpy(slot.hash, item->hash, HASH_SIZE);
        result = buffer_append(&walk->slots, &slot, sizeof(slot));
    }
    return result;
}

/* Those whose hashes began alike are complete. */
static int flush(struct walk *walk)
{
    size_t count;
    const struct item *items = items_of(walk, &count);
    int result = 0;
    for (size_t i = 0; result == 0 && i < count && walk->visitor->account != NULL; i++) {
        if (items[i].slot) {
            continue;
        }
        result = gather_slots(walk, &items[i]);
        struct values_account account = {
            .value = bytes_of(walk->values.data + items[i].offset, items[i].size),
            .slots = (const struct values_slot *)(const void *)walk->slots.data,
            .slot_count = walk->slots.size / sizeof(struct values_slot),
        };
        memcpy(account.address, items[i].address, ADDRESS_SIZE);
        result = result == 0 ? walk->visitor->account(walk->visitor->context, &account) : result;
    }
    buffer_clear(&walk->items);
    buffer_clear(&walk->values);
    return result;
}

static int take_item(struct walk *walk, struct bytes key, unsigned domain, uint64_t height,
                     struct bytes value)
{
    struct item item = {.slot = domain == STATE_KEY_SLOT,
                        .height = height,
                        .offset = walk->values.size,
                        .size = value.size};
    if (key.size != (size_t)ADDRESS_SIZE + (item.slot ? HASH_SIZE : 0)) {
        return error_set(walk->detail, STOA_ECORRUPT, "tables: a state key of %zu bytes", key.size);
    }
    memcpy(item.address, key.data, ADDRESS_SIZE);
    if (item.slot) {
        memcpy(item.hash, key.data + ADDRESS_SIZE, HASH_SIZE);
    }
    int result = buffer_append(&walk->values, value.data, value.size);
    return result == 0 ? buffer_append(&walk->items, &item, sizeof(item)) : result;
}

/* ---- the walk ---- */

/* Whether ENTRY is the version of its base as of the height. */
static bool is_wanted(struct walk *walk, const struct runs_entry *entry, uint64_t *out_version)
{
    size_t size = entry->key.size - RUNS_VERSION_SIZE;
    if (size != walk->base_size || memcmp(walk->base, entry->key.data, size) != 0) {
        memcpy(walk->base, entry->key.data, size);
        walk->base_size = size;
        walk->settled = false;
    }
    *out_version = ~bytes_load_be64(entry->key.data + size);
    if (walk->settled || *out_version > walk->height) {
        return false;
    }
    walk->settled = true;
    return !entry->absent;
}

static int take_entry(void *context, const struct runs_entry *entry)
{
    struct walk *walk = context;
    struct values_visitor *visitor = walk->visitor;
    uint64_t version;
    visitor->versions++;
    visitor->version_bytes += entry->key.size + entry->value.size;
    if (entry->key.size < STATE_KEY_SPREAD_SIZE + 1 + RUNS_VERSION_SIZE) {
        return error_set(walk->detail, STOA_ECORRUPT, "tables: a state key of %zu bytes",
                         entry->key.size);
    }
    if (!is_wanted(walk, entry, &version)) {
        return 0;
    }
    unsigned domain = walk->base[STATE_KEY_SPREAD_SIZE];
    struct bytes key = bytes_of(walk->base + STATE_KEY_SPREAD_SIZE + 1,
                                walk->base_size - STATE_KEY_SPREAD_SIZE - 1);
    if (domain == STATE_KEY_CODE) {
        return visitor->code == NULL ? 0 : visitor->code(visitor->context, entry->value);
    }
    if (domain == STATE_KEY_RAW && key.size > 1) {
        struct bytes name = bytes_of(key.data + 1, key.size - 1);
        return visitor->raw == NULL ? 0 : visitor->raw(visitor->context, name, entry->value);
    }
    if (domain != STATE_KEY_ACCOUNT && domain != STATE_KEY_SLOT) {
        return 0;
    }
    int result = 0;
    if (memcmp(walk->prefix, walk->base, PREFIX_SIZE) != 0) {
        struct buffer value; /* looking up wipes the view */
        buffer_init(&value);
        result = buffer_append(&value, entry->value.data, entry->value.size);
        result = result == 0 ? flush(walk) : result;
        memcpy(walk->prefix, walk->base, PREFIX_SIZE);
        result = result == 0 ? take_item(walk, key, domain, version, buffer_bytes(&value)) : result;
        buffer_deinit(&value);
        return result;
    }
    return take_item(walk, key, domain, version, entry->value);
}

int values_walk(struct index *index, struct kv_session *session, uint64_t height,
                struct values_visitor *visitor, struct error_detail *detail)
{
    struct walk walk = {
        .index = index, .session = session, .height = height, .visitor = visitor, .detail = detail};
    buffer_init(&walk.items);
    buffer_init(&walk.values);
    buffer_init(&walk.slots);
    visitor->versions = 0;
    visitor->version_bytes = 0;
    int result = index_walk_state(index, session, take_entry, &walk, detail);
    result = result == 0 ? flush(&walk) : result;
    buffer_deinit(&walk.items);
    buffer_deinit(&walk.values);
    buffer_deinit(&walk.slots);
    return result == STOA_ENOMEM ? error_set(detail, result, "walk the state") : result;
}

struct record_walk {
    struct walk walk;
    struct values_records *records;
    struct buffer scratch;
};

static int take_record(void *context, const struct runs_entry *entry)
{
    struct record_walk *walk = context;
    uint64_t version;
    walk->records->versions++;
    walk->records->version_bytes += entry->key.size + entry->value.size;
    if (entry->key.size <= RUNS_VERSION_SIZE || !is_wanted(&walk->walk, entry, &version)) {
        return 0;
    }
    struct bytes record;
    int result = trie_group_find(entry->value, version, walk->walk.height, &walk->scratch, &record,
                                 &version, walk->walk.detail);
    return result != 0 || record.size == 0
               ? result
               : walk->records->record(walk->records->context,
                                       bytes_of(walk->walk.base, walk->walk.base_size), record);
}

int values_walk_records(struct index *index, struct kv_session *session, uint64_t height,
                        struct values_records *records, struct error_detail *detail)
{
    struct record_walk walk = {.walk = {.height = height, .detail = detail}, .records = records};
    buffer_init(&walk.scratch);
    records->versions = 0;
    records->version_bytes = 0;
    int result = index_walk_trie(index, session, take_record, &walk, detail);
    buffer_deinit(&walk.scratch);
    return result;
}

/* ---- the root ---- */

struct leaf {
    uint8_t hash[HASH_SIZE];
    size_t offset;
    size_t size;
};

struct rooting {
    struct buffer leaves;
    struct buffer values;
    struct buffer pairs;
    struct buffer slot_values;
    struct error_detail *detail;
};

static int storage_root(struct rooting *rooting, const struct values_account *account,
                        uint8_t out_root[HASH_SIZE])
{
    size_t count = account->slot_count;
    buffer_clear(&rooting->pairs);
    buffer_clear(&rooting->slot_values);
    if (buffer_reserve(&rooting->pairs, count * sizeof(struct trie_pair)) != 0 ||
        buffer_reserve(&rooting->slot_values, count * (HASH_SIZE + 1)) != 0) {
        return STOA_ENOMEM;
    }
    struct trie_pair *pairs = (struct trie_pair *)(void *)rooting->pairs.data;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct values_slot *slot = &account->slots[i];
        uint8_t padded[HASH_SIZE] = {0};
        uint8_t *rlp = rooting->slot_values.data + i * (HASH_SIZE + 1);
        if (slot->value.size == 0) {
            continue; /* cleared */
        }
        if (slot->value.size > HASH_SIZE) {
            return error_set(rooting->detail, STOA_ECORRUPT, "state: a slot of %zu bytes",
                             slot->value.size);
        }
        memcpy(padded + HASH_SIZE - slot->value.size, slot->value.data, slot->value.size);
        pairs[used++] = (struct trie_pair){.key = bytes_of(slot->hash, HASH_SIZE),
                                           .value = bytes_of(rlp, state_slot_encode(padded, rlp))};
    }
    if (used == 0) {
        memcpy(out_root, trie_empty_root, HASH_SIZE);
        return 0;
    }
    return trie_root(pairs, used, out_root);
}

static int add_account(void *context, const struct values_account *from)
{
    struct rooting *rooting = context;
    struct stoa_account fields;
    int result = state_change_read_account(from->value, &fields, rooting->detail);
    if (result != 0) {
        return result;
    }
    struct state_account account = {.nonce = fields.nonce};
    memcpy(account.balance, fields.balance, HASH_SIZE);
    memcpy(account.code_hash, fields.code_hash, HASH_SIZE);
    result = storage_root(rooting, from, account.storage_root);
    struct leaf leaf = {.offset = rooting->values.size};
    keccak_256(from->address, ADDRESS_SIZE, leaf.hash);
    result = result == 0 ? state_account_encode(&account, &rooting->values) : result;
    leaf.size = rooting->values.size - leaf.offset;
    return result == 0 ? buffer_append(&rooting->leaves, &leaf, sizeof(leaf)) : result;
}

static int root_of_accounts(struct rooting *rooting, uint8_t out_root[HASH_SIZE])
{
    const struct leaf *leaves = (const struct leaf *)(const void *)rooting->leaves.data;
    size_t count = rooting->leaves.size / sizeof(*leaves);
    buffer_clear(&rooting->pairs);
    if (count == 0) {
        memcpy(out_root, trie_empty_root, HASH_SIZE);
        return 0;
    }
    if (buffer_reserve(&rooting->pairs, count * sizeof(struct trie_pair)) != 0) {
        return STOA_ENOMEM;
    }
    struct trie_pair *pairs = (struct trie_pair *)(void *)rooting->pairs.data;
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (struct trie_pair){
            .key = bytes_of(leaves[i].hash, HASH_SIZE),
            .value = bytes_of(rooting->values.data + leaves[i].offset, leaves[i].size),
        };
    }
    return trie_root(pairs, count, out_root);
}

int values_root(struct index *index, struct kv_session *session, uint64_t height,
                uint8_t out_root[32], struct error_detail *detail)
{
    struct rooting rooting = {.detail = detail};
    struct values_visitor visitor = {.account = add_account, .context = &rooting};
    buffer_init(&rooting.leaves);
    buffer_init(&rooting.values);
    buffer_init(&rooting.pairs);
    buffer_init(&rooting.slot_values);
    int result = values_walk(index, session, height, &visitor, detail);
    result = result == 0 ? root_of_accounts(&rooting, out_root) : result;
    buffer_deinit(&rooting.leaves);
    buffer_deinit(&rooting.values);
    buffer_deinit(&rooting.pairs);
    buffer_deinit(&rooting.slot_values);
    return result == STOA_ENOMEM ? error_set(detail, result, "root of the values") : result;
}
