/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/tries.h"

#include <stdlib.h>

#include "base/ensure.h"
#include "chain/keccak_many.h"
#include "store/record.h"
#include "store/state_change.h"
#include "store/state_key.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, HASHED_AT_ONCE = 32 };

/* ---- reading ---- */

/* In the caches: STOA_ENOTFOUND where they do not know. */
static int read_cached(const struct tries_reader *reader, struct bytes base,
                       struct bytes *out_record)
{
    int result = STOA_ENOTFOUND;
    if (reader->overlay != NULL) {
        result = trie_cache_find(reader->overlay, base, UINT64_MAX, reader->scratch, out_record);
    }
    return result == STOA_ENOTFOUND
               ? trie_cache_find(reader->cache, base, reader->bound, reader->scratch, out_record)
               : result;
}

static int read_record(void *context, struct bytes trie, struct bytes path,
                       struct bytes *out_record, struct error_detail *detail)
{
    struct tries_reader *reader = context;
    uint8_t key[TRIE_LAYER_BASE_MAX];
    ensure(reader->scratch != NULL);
    if (path.size > TRIE_LAYER_PATH_MAX) {
        return error_set(detail, STOA_ECORRUPT, "trie: a path of %zu nibbles", path.size);
    }
    struct bytes base = bytes_of(key, trie_layer_base(trie, path, key));
    int result = read_cached(reader, base, out_record);
    if (result == 0) {
        return out_record->size == 0 ? STOA_ENOTFOUND : 0;
    }
    if (result != STOA_ENOTFOUND) {
        return error_set(detail, result, "trie: a record in memory");
    }
    uint64_t height = reader->bound < reader->table_bound ? reader->bound : reader->table_bound;
    result = index_find_trie(reader->index, reader->session, base, &height, reader->scratch,
                             out_record, detail);
    if (result == 0 && reader->found != NULL) {
        struct trie_layer_entry entry = {.base = base, .record = *out_record, .height = height};
        result = trie_layer_add_found(reader->found, &entry);
    }
    return result;
}

static void fetch_ahead(void *context, struct bytes trie, struct bytes path, unsigned step,
                        uint64_t *place)
{
    static const enum trie_cache_step steps[TRIE_READER_STEPS] = {
        TRIE_CACHE_BUCKET, TRIE_CACHE_ENTRY, TRIE_CACHE_RECORD};
    const struct tries_reader *reader = context;
    uint8_t key[TRIE_LAYER_BASE_MAX];
    if (step == 0 && path.size <= TRIE_LAYER_PATH_MAX) {
        *place = trie_cache_hash(bytes_of(key, trie_layer_base(trie, path, key)));
    }
    if (path.size <= TRIE_LAYER_PATH_MAX) {
        trie_cache_fetch_ahead(reader->cache, *place, steps[step]);
    }
}

struct trie_reader tries_reader_of(struct tries_reader *reader)
{
    return (struct trie_reader){.read = read_record, .ahead = fetch_ahead, .context = reader};
}

/* ---- the changes of a block ---- */

/* One of them, by the hash of its account, then of its slot. */
struct item {
    uint8_t address_hash[32];
    uint8_t slot_hash[32];
    size_t order;
    unsigned domain;
    bool removed;
    struct bytes value;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    int order = memcmp(left->address_hash, right->address_hash, HASH_SIZE);
    if (order == 0 && (left->domain == STATE_KEY_SLOT) != (right->domain == STATE_KEY_SLOT)) {
        return left->domain == STATE_KEY_SLOT ? 1 : -1;
    }
    if (order == 0) {
        order = memcmp(left->slot_hash, right->slot_hash, HASH_SIZE);
    }
    return order != 0 ? order : left->order < right->order ? -1 : 1;
}

static int no_memory(struct tries_work *work)
{
    return error_set(&work->detail, STOA_ENOMEM, "update of the state's tries");
}

static size_t count_changes(struct bytes changes)
{
    struct record_change change;
    size_t count = 0;
    while (record_next_change(&changes, &change) == 0) {
        count++;
    }
    return count;
}

/* The hashes of COUNT items' addresses, which follow their keys' domains. */
static void hash_addresses(struct item *items, const struct bytes *addresses, size_t count)
{
    uint8_t hashes[HASHED_AT_ONCE][KECCAK_SIZE];
    keccak_256_many(addresses, count, hashes);
    for (size_t i = 0; i < count; i++) {
        memcpy(items[i].address_hash, hashes[i], KECCAK_SIZE);
    }
}

static int take_items(struct tries_work *work, struct bytes changes, struct item *items,
                      size_t *out_count)
{
    struct record_change change;
    struct bytes addresses[HASHED_AT_ONCE];
    size_t waiting = 0;
    size_t count = 0;
    int result;
    while ((result = record_next_change(&changes, &change)) == 0) {
        unsigned domain = change.key.data[0];
        if (domain != STATE_KEY_ACCOUNT && domain != STATE_KEY_SLOT && domain != STATE_KEY_WIPED) {
            continue;
        }
        if (change.key.size !=
            (size_t)1 + ADDRESS_SIZE + (domain == STATE_KEY_SLOT ? HASH_SIZE : 0)) {
            return error_set(&work->detail, STOA_ECORRUPT, "state changes: a key of %zu bytes",
                             change.key.size);
        }
        struct item *item = &items[count];
        *item = (struct item){
            .order = count, .domain = domain, .removed = change.removed, .value = change.value};
        if (domain == STATE_KEY_SLOT) {
            memcpy(item->slot_hash, change.key.data + 1 + ADDRESS_SIZE, HASH_SIZE);
        }
        count++;
        addresses[waiting++] = bytes_of(change.key.data + 1, ADDRESS_SIZE);
        if (waiting == HASHED_AT_ONCE) {
            hash_addresses(&items[count - waiting], addresses, waiting);
            waiting = 0;
        }
    }
    if (waiting != 0) {
        hash_addresses(&items[count - waiting], addresses, waiting);
    }
    *out_count = count;
    return result == STOA_ENOTFOUND ? 0 : error_set(&work->detail, STOA_ECORRUPT, "state changes");
}

static int take_account(struct tries_work *work, struct state_account_change *account,
                        const struct item *item)
{
    if (item->domain == STATE_KEY_WIPED) {
        account->flags |= STATE_ACCOUNT_WIPED;
        return 0;
    }
    if (item->removed) {
        account->flags |= STATE_ACCOUNT_REMOVED;
        return 0;
    }
    struct stoa_account fields;
    int result = state_change_read_account(item->value, &fields, &work->detail);
    account->flags |= STATE_ACCOUNT_FIELDS;
    account->nonce = fields.nonce;
    memcpy(account->balance, fields.balance, sizeof(account->balance));
    memcpy(account->code_hash, fields.code_hash, sizeof(account->code_hash));
    return result;
}

static int take_slot(struct tries_work *work, struct state_account_change *account,
                     const struct item *item)
{
    struct state_slot_change *slot = &account->slots[account->slot_count];
    if (account->slot_count != 0 && memcmp(slot[-1].key_hash, item->slot_hash, HASH_SIZE) == 0) {
        slot--; /* the last one counts */
    } else {
        account->slot_count++;
    }
    if (item->value.size > HASH_SIZE) {
        return error_set(&work->detail, STOA_ECORRUPT, "state changes: a slot of %zu bytes",
                         item->value.size);
    }
    if ((account->flags & STATE_ACCOUNT_REMOVED) != 0 && !item->removed) {
        return error_set(&work->detail, STOA_EREFUSED,
                         "slots: one is set of an account that is removed");
    }
    memset(slot->value, 0, sizeof(slot->value));
    memcpy(slot->key_hash, item->slot_hash, HASH_SIZE);
    if (!item->removed && item->value.size != 0) {
        memcpy(slot->value + HASH_SIZE - item->value.size, item->value.data, item->value.size);
    }
    return 0;
}

static int take_changes(struct tries_work *work, struct bytes changes)
{
    struct arena *arena = &work->tasks[0].arena;
    size_t count = count_changes(changes);
    struct item *items = arena_alloc(arena, count * sizeof(*items));
    struct state_account_change *accounts = arena_alloc(arena, count * sizeof(*accounts));
    struct state_slot_change *slots = arena_alloc(arena, count * sizeof(*slots));
    if (items == NULL || accounts == NULL || slots == NULL) {
        return no_memory(work);
    }
    int result = take_items(work, changes, items, &count);
    if (result != 0) {
        return result;
    }
    qsort(items, count, sizeof(*items), compare_items);
    work->accounts = accounts;
    work->account_count = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        const struct item *item = &items[i];
        if (i == 0 || memcmp(items[i - 1].address_hash, item->address_hash, HASH_SIZE) != 0) {
            struct state_account_change *account = &accounts[work->account_count++];
            *account = (struct state_account_change){.slots = slots + i};
            memcpy(account->address_hash, item->address_hash, HASH_SIZE);
        }
        struct state_account_change *account = &accounts[work->account_count - 1];
        result = item->domain == STATE_KEY_SLOT ? take_slot(work, account, item)
                                                : take_account(work, account, item);
    }
    return result;
}

bool tries_is_marked(struct bytes changes)
{
    struct record_change change;
    return record_next_change(&changes, &change) == 0 && change.key.size == 1 &&
           change.key.data[0] == STATE_KEY_MARK;
}

/* ---- computing ---- */

void tries_work_init(struct tries_work *work)
{
    *work = (struct tries_work){.height = 0};
    for (unsigned i = 0; i < TRIES_TASKS; i++) {
        struct trie_reader reader = tries_reader_of(&work->readers[i]);
        trie_task_init(&work->tasks[i], &reader);
        buffer_init(&work->found[i]);
        buffer_init(&work->scratch[i]);
    }
}

void tries_work_deinit(struct tries_work *work)
{
    for (unsigned i = 0; i < TRIES_TASKS; i++) {
        trie_task_deinit(&work->tasks[i]);
        buffer_deinit(&work->found[i]);
        buffer_deinit(&work->scratch[i]);
    }
    trie_layer_release(work->layer);
    work->layer = NULL;
}

/* What a caller's changes cannot be is said as a refusal. */
static int failed(struct tries_work *work, const struct trie_task *task, int result)
{
    work->detail = task->detail;
    if (result == STOA_EINVAL) {
        return error_set(&work->detail, STOA_EREFUSED, "state: %s", task->detail.text);
    }
    return result;
}

int tries_begin(struct tries_work *work, const struct tries_reader *reader, struct bytes changes,
                uint64_t height, bool keep_found)
{
    ensure(work->layer == NULL);
    for (unsigned i = 0; i < TRIES_TASKS; i++) {
        work->readers[i] = *reader;
        work->readers[i].scratch = &work->scratch[i];
        work->readers[i].found = keep_found ? &work->found[i] : NULL;
        trie_task_reset(&work->tasks[i]);
        buffer_clear(&work->found[i]);
    }
    work->height = height;
    work->keep_found = keep_found;
    work->parts = 0;
    work->detail = (struct error_detail){.code = 0};
    int result = take_changes(work, changes);
    if (result != 0) {
        return result;
    }
    result = state_update_begin(&work->update, &work->tasks[0], work->accounts, work->account_count,
                                &work->parts);
    return result == 0 ? 0 : failed(work, &work->tasks[0], result);
}

int tries_part(struct tries_work *work, struct kv_session *session, unsigned index, unsigned count)
{
    ensure(index < count && count <= TRIES_TASKS);
    work->readers[index].session = session;
    for (unsigned part = index; part < work->parts; part += count) {
        int result = state_update_part(&work->update, &work->tasks[index], part);
        if (result != 0) {
            struct error_detail *detail = &work->tasks[index].detail;
            return detail->code == 0 ? error_set(detail, result, "state trie") : result;
        }
    }
    return 0;
}

/* EACH for all writes; those of the end, in the first task, are the last. */
static int each_write(const struct tries_work *work,
                      int (*each)(void *context, const struct trie_write *write), void *context)
{
    int result = 0;
    for (unsigned i = 1; i <= TRIES_TASKS; i++) {
        const struct trie_write *write = work->tasks[i % TRIES_TASKS].writes.first;
        for (; result == 0 && write != NULL; write = write->next) {
            result = each(context, write);
        }
    }
    return result;
}

static int add_to_layer(void *context, const struct trie_write *write)
{
    uint8_t base[TRIE_LAYER_BASE_MAX];
    size_t size = trie_layer_base(write->trie, write->path, base);
    return trie_layer_add(context, bytes_of(base, size), write->record);
}

static int make_layer(struct tries_work *work)
{
    work->layer = trie_layer_create(work->height);
    if (work->layer == NULL) {
        return no_memory(work);
    }
    if (work->in_place) {
        work->layer->work = work;
        return 0;
    }
    int result = each_write(work, add_to_layer, work->layer);
    for (unsigned i = 0; result == 0 && work->keep_found && i < TRIES_TASKS; i++) {
        result = buffer_append(&work->layer->found, work->found[i].data, work->found[i].size);
    }
    return result == 0 ? 0 : no_memory(work);
}

int tries_end(struct tries_work *work, struct kv_session *session)
{
    for (unsigned i = 0; i < TRIES_TASKS; i++) { /* a part may have failed */
        if (work->tasks[i].detail.code != 0) {
            return failed(work, &work->tasks[i], work->tasks[i].detail.code);
        }
    }
    work->readers[0].session = session;
    int result = state_update_end(&work->update, &work->tasks[0], work->root);
    if (result != 0) {
        return failed(work, &work->tasks[0], result);
    }
    result = make_layer(work);
    if (result != 0) {
        trie_layer_release(work->layer);
        work->layer = NULL;
    }
    return result;
}

int tries_run(struct tries_work *work, const struct tries_reader *reader, struct bytes changes,
              uint64_t height, bool keep_found)
{
    int result = tries_begin(work, reader, changes, height, keep_found);
    if (result == 0 && work->parts != 0) {
        result = tries_part(work, reader->session, 0, 1);
        result = result == 0 ? 0 : failed(work, &work->tasks[0], result);
    }
    return result == 0 ? tries_end(work, reader->session) : result;
}

static int keep_found(struct trie_cache *cache, struct bytes found)
{
    struct trie_layer_entry entry;
    int result = 0;
    while (result == 0 && trie_layer_next(&found, &entry)) {
        result = trie_cache_keep(cache, entry.base, entry.record, entry.height);
    }
    return result;
}

struct merging {
    struct trie_cache *cache;
    uint64_t height;
    uint64_t below;
};

static int merge_write(void *context, const struct trie_write *write)
{
    const struct merging *merging = context;
    uint8_t base[TRIE_LAYER_BASE_MAX];
    size_t size = trie_layer_base(write->trie, write->path, base);
    return trie_cache_put(merging->cache, bytes_of(base, size), write->record, merging->height,
                          merging->below);
}

int tries_merge(struct trie_cache *cache, const struct trie_layer *layer, uint64_t below)
{
    struct trie_layer_entry entry;
    struct bytes cursor = buffer_bytes(&layer->entries);
    int result = 0;
    if (layer->work != NULL) {
        struct merging merging = {.cache = cache, .height = layer->height, .below = below};
        result = each_write(layer->work, merge_write, &merging);
        for (unsigned i = 0; result == 0 && i < TRIES_TASKS; i++) {
            result = keep_found(cache, buffer_bytes(&layer->work->found[i]));
        }
        return result;
    }
    while (result == 0 && trie_layer_next(&cursor, &entry)) {
        result = trie_cache_put(cache, entry.base, entry.record, layer->height, below);
    }
    return result == 0 ? keep_found(cache, buffer_bytes(&layer->found)) : result;
}
