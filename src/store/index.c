/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/index_private.h"
#include "store/state_key.h"

static const char table_heights[] = INDEX_TABLE_HEIGHTS;
static const char table_blocks[] = INDEX_TABLE_BLOCKS;
static const char table_sides[] = INDEX_TABLE_SIDES;
static const char table_meta[] = INDEX_META_TABLE;
static const char key_applied[] = "applied";   /* by the last batch */
static const char key_complete[] = "complete"; /* by the last one that came with its tries */
static const char key_tries_floor[] = "tries-floor";

const struct index_tries index_tries_of_batch = {.held = false};

struct runs *index_runs_at(const struct index *index, unsigned place)
{
    ensure(place < INDEX_RUNS);
    return place == 0   ? index->transactions
           : place == 1 ? index->state
           : place == 2 ? index->trie
                        : index->postings[place - INDEX_RUNS_FIXED];
}

int index_each(const struct index *index, int (*each)(void *context, struct runs *runs),
               void *context)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < INDEX_RUNS; i++) {
        result = each(context, index_runs_at(index, i));
    }
    return result;
}

static int read_applied(struct kv_session *session, struct bytes key, uint64_t store_id,
                        struct place_applied *out_applied, struct error_detail *detail)
{
    struct bytes value;
    int result = kv_get(session, table_meta, key, &value, detail);
    if (result == STOA_ENOTFOUND) {
        *out_applied = (struct place_applied){.store_id = store_id};
        return 0;
    }
    if (result != 0) {
        return result;
    }
    struct place_applied applied;
    if (place_decode_applied(value, &applied) != 0) {
        return error_set(detail, STOA_ECORRUPT, "tables: the applied position is not readable");
    }
    if (applied.store_id != store_id) {
        return error_set(detail, STOA_ECORRUPT, "tables: they belong to another store");
    }
    *out_applied = applied;
    return 0;
}

static struct bytes meta_key(const char *key)
{
    return bytes_of(key, strlen(key));
}

/* How far the tables are. */
static int read_meta(struct index *index, struct kv_session *session, uint64_t store_id,
                     struct place_applied *out_applied, struct error_detail *detail)
{
    struct bytes value;
    int result = read_applied(session, meta_key(key_applied), store_id, out_applied, detail);
    if (result != 0) {
        return result;
    }
    index->newest = out_applied->position.sequence;
    result = kv_get(session, table_meta, meta_key(key_tries_floor), &value, detail);
    if (result == 0 && value.size != sizeof(uint64_t)) {
        return error_set(detail, STOA_ECORRUPT, "tables: the floor of the tries is not readable");
    }
    if (result == 0) {
        index->tries_floor = bytes_load_be64(value.data);
    }
    return result == 0 || result == STOA_ENOTFOUND
               ? read_applied(session, meta_key(key_complete), store_id, out_applied, detail)
               : result;
}

uint64_t index_newest(const struct index *index)
{
    return index->newest;
}

int index_open(struct kv *kv, struct kv_session *session, uint64_t store_id,
               struct index **out_index, struct place_applied *out_applied,
               struct error_detail *detail)
{
    ensure(kv == session->kv);
    struct index *index = memory_alloc_zeroed(1, sizeof(*index));
    if (index == NULL) {
        return error_set(detail, STOA_ENOMEM, "open tables");
    }
    int result = kv_table_create(session, table_heights, KV_ORDERED, detail);
    if (result == 0) {
        result = kv_table_create(session, table_blocks, KV_POINT, detail);
    }
    if (result == 0) {
        result = kv_table_create(session, table_sides, KV_ORDERED, detail);
    }
    if (result == 0) {
        result = kv_table_create(session, table_meta, KV_POINT, detail);
    }
    if (result == 0) {
        result = runs_open(session, "transactions", PLACE_TRANSACTION_PREFIX_SIZE,
                           &index->transactions, detail);
    }
    if (result == 0) {
        result = runs_open(session, "state", STATE_KEY_SPREAD_SIZE, &index->state, detail);
    }
    if (result == 0) {
        result = runs_open(session, "trie", TRIE_LAYER_SPREAD_SIZE, &index->trie, detail);
    }
    if (result == 0) {
        result = runs_open(session, "addresses", PLACE_POSTING_PREFIX_SIZE,
                           &index->postings[POSTING_ADDRESS], detail);
    }
    if (result == 0) {
        result = runs_open(session, "logs", PLACE_POSTING_PREFIX_SIZE,
                           &index->postings[POSTING_LOG], detail);
    }
    if (result == 0) {
        result = read_meta(index, session, store_id, out_applied, detail);
    }
    if (result != 0) {
        index_close(index);
        return result;
    }
    *out_index = index;
    return 0;
}

void index_close(struct index *index)
{
    if (index == NULL) {
        return;
    }
    for (unsigned i = 0; i < INDEX_RUNS; i++) {
        runs_close(index_runs_at(index, i));
    }
    memory_free(index->entries);
    memory_free(index->shorts);
    memory_free(index->keys);
    memory_free(index->rows);
    arena_deinit(&index->cut);
    memory_free(index);
}

/* Room for WANTED items of ITEM_SIZE bytes, whose old content goes. What is not written costs no
 * memory, so there is some more. */
static int scratch(void **array, size_t *capacity, size_t wanted, size_t item_size)
{
    if (wanted <= *capacity) {
        return 0;
    }
    memory_free(*array);
    *array = NULL;
    *capacity = 0;
    if (wanted > SIZE_MAX / 2 / item_size) {
        return STOA_ENOMEM;
    }
    wanted += wanted / 4;
    *array = memory_alloc(wanted * item_size);
    if (*array == NULL) {
        return STOA_ENOMEM;
    }
    *capacity = wanted;
    return 0;
}

/* Of the keys that load_state makes. */
static size_t state_key_bytes(const struct pending *batch)
{
    size_t count = pending_change_count(batch);
    size_t size = count * (STATE_KEY_SPREAD_SIZE + 1 + RUNS_VERSION_SIZE);
    for (size_t i = 0; i < count; i++) {
        struct pending_change change;
        pending_change_at(batch, i, &change);
        size += change.key.size;
    }
    return size;
}

int index_reserve_scratch(struct index *index, const struct pending *batch,
                          const struct index_tries *tries)
{
    size_t transactions = pending_transaction_count(batch);
    size_t changes = pending_change_count(batch);
    size_t entries = transactions > changes ? transactions : changes;
    size_t shorts = transactions;
    for (unsigned kind = 0; kind < POSTING_KINDS; kind++) {
        size_t total = pending_posting_total(batch, kind);
        shorts = shorts > total ? shorts : total;
    }
    size_t rows = 2 * pending_block_count(batch);
    size_t transaction_keys = transactions * PLACE_TRANSACTION_KEY_MAX;
    size_t state_keys = state_key_bytes(batch);
    size_t keys = transaction_keys > state_keys ? transaction_keys : state_keys;
    size_t records;
    size_t trie_keys = index_trie_key_bytes(batch, tries, &records);
    keys = keys > trie_keys ? keys : trie_keys;
    entries = entries > records ? entries : records;
    if (scratch((void **)&index->entries, &index->entry_capacity, entries,
                sizeof(*index->entries)) != 0 ||
        scratch((void **)&index->shorts, &index->short_capacity, 2 * shorts,
                sizeof(*index->shorts)) != 0 ||
        scratch((void **)&index->keys, &index->key_capacity, keys, 1) != 0 ||
        scratch((void **)&index->rows, &index->row_capacity, rows, sizeof(*index->rows)) != 0) {
        return STOA_ENOMEM;
    }
    return 0;
}

/* Whether the keys of all of them are short. */
static bool load_shorts(struct index *index, const struct pending *batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pending_transaction *transaction = pending_transaction_at(batch, i);
        uint8_t key[PLACE_TRANSACTION_KEY_MAX] = {0};
        size_t size = place_encode_transaction_key(transaction->prefix, transaction->height,
                                                   transaction->index, key);
        if (size > RUNS_SHORT_KEY_MAX) {
            return false;
        }
        index->shorts[i] = (struct runs_short){
            .high = bytes_load_be64(key),
            .low = bytes_load_be64(key + 8),
            .key_size = (uint8_t)size,
            .removed = transaction->removed,
        };
    }
    return true;
}

static int load_transactions(struct index *index, struct kv_session *session,
                             const struct pending *batch, struct error_detail *detail)
{
    size_t count = pending_transaction_count(batch);
    if (load_shorts(index, batch, count)) {
        return runs_load_short(index->transactions, session, index->shorts, count, detail);
    }
    for (size_t i = 0; i < count; i++) {
        const struct pending_transaction *transaction = pending_transaction_at(batch, i);
        uint8_t *key = index->keys + i * PLACE_TRANSACTION_KEY_MAX;
        size_t size = place_encode_transaction_key(transaction->prefix, transaction->height,
                                                   transaction->index, key);
        index->entries[i] =
            (struct runs_entry){.key = bytes_of(key, size), .removed = transaction->removed};
    }
    return runs_load(index->transactions, session, index->entries, count, detail);
}

static int load_state(struct index *index, struct kv_session *session, const struct pending *batch,
                      struct error_detail *detail)
{
    size_t count = pending_change_count(batch);
    uint8_t *key = index->keys;
    for (size_t i = 0; i < count; i += STATE_KEY_BASES_MAX) {
        struct pending_change changes[STATE_KEY_BASES_MAX];
        struct bytes keys[STATE_KEY_BASES_MAX];
        uint8_t bases[STATE_KEY_BASES_MAX][STATE_KEY_BASE_MAX];
        size_t sizes[STATE_KEY_BASES_MAX];
        size_t left = count - i < STATE_KEY_BASES_MAX ? count - i : STATE_KEY_BASES_MAX;
        for (size_t j = 0; j < left; j++) {
            pending_change_at(batch, i + j, &changes[j]);
            keys[j] = changes[j].key;
        }
        state_key_bases(keys, left, bases, sizes);
        for (size_t j = 0; j < left; j++) {
            size_t size = sizes[j];
            memcpy(key, bases[j], size);
            runs_version_key(key, size, changes[j].height);
            size += RUNS_VERSION_SIZE;
            index->entries[i + j] = (struct runs_entry){.key = bytes_of(key, size),
                                                        .value = changes[j].value,
                                                        .removed = changes[j].withdrawn,
                                                        .absent = changes[j].removed};
            key += size;
        }
    }
    ensure(key <= index->keys + index->key_capacity);
    return runs_load(index->state, session, index->entries, count, detail);
}

static int load_postings(struct index *index, struct kv_session *session,
                         const struct pending *batch, enum posting_kind kind,
                         struct error_detail *detail)
{
    size_t count = 0;
    for (size_t i = 0; i < pending_postings_count(batch); i++) {
        const struct pending_postings *block = pending_postings_at(batch, i);
        for (size_t j = 0; j < block->kinds[kind].count; j++) {
            const struct posting *posting = &block->kinds[kind].postings[j];
            uint8_t key[PLACE_POSTING_KEY_MAX] = {0};
            static_assert(sizeof(key) == 16, "such keys are short");
            size_t size = place_encode_posting_key(posting, block->height, key);
            index->shorts[count++] = (struct runs_short){
                .high = bytes_load_be64(key),
                .low = bytes_load_be64(key + 8),
                .key_size = (uint8_t)size,
                .value_size = kind == POSTING_ADDRESS,
                .value = posting->roles,
                .removed = block->removed,
            };
        }
    }
    ensure(count == pending_posting_total(batch, kind));
    return runs_load_short(index->postings[kind], session, index->shorts, count, detail);
}

int index_load_runs(struct index *index, struct kv_session *session, const struct pending *batch,
                    const struct index_tries *tries, unsigned place, struct error_detail *detail)
{
    return place == 0   ? load_transactions(index, session, batch, detail)
           : place == 1 ? load_state(index, session, batch, detail)
           : place == 2 ? index_load_trie(index, session, batch, tries, detail)
                        : load_postings(index, session, batch, place - INDEX_RUNS_FIXED, detail);
}

/* Of a block that only changes were added to: 0 where its row is there, with a map or without.
 * STOA_ENOTFOUND. */
static int keep_height(struct kv_session *session, const uint8_t key[PLACE_HEIGHT_KEY_SIZE],
                       struct bytes wanted, struct error_detail *detail)
{
    struct bytes there;
    int result =
        kv_get(session, table_heights, bytes_of(key, PLACE_HEIGHT_KEY_SIZE), &there, detail);
    return result == 0 && !place_is_of_height(there, wanted) ? STOA_ENOTFOUND : result;
}

/* The heights of the batch, and those that the chain had before it and has no more. */
static int put_heights(struct kv_session *session, const struct pending *batch,
                       const struct place_applied *before, const struct place_applied *applied,
                       struct error_detail *detail)
{
    uint8_t key[PLACE_HEIGHT_KEY_SIZE];
    for (size_t i = 0; i < pending_canonical_count(batch); i++) {
        const struct pending_block *block = pending_canonical_at(batch, i);
        uint8_t value[PLACE_HEIGHT_VALUE_MAX];
        struct place_height place = {
            .position = block->position,
            .front = block->front,
            .body_map = block->body_map,
        };
        memcpy(place.hash, block->hash, 32);
        place_encode_height_key(block->height, key);
        size_t size = place_encode_height(&place, value);
        struct bytes wanted = bytes_of(value, size);
        int result = block->updated ? keep_height(session, key, wanted, detail) : STOA_ENOTFOUND;
        if (result == STOA_ENOTFOUND) {
            result = kv_put(session, table_heights, bytes_of(key, sizeof(key)), wanted, detail);
        }
        if (result != 0) {
            return result;
        }
    }
    for (uint64_t height = applied->head_height; before->has_head && height < before->head_height;
         height++) {
        place_encode_height_key(height + 1, key);
        int result = kv_remove(session, table_heights, bytes_of(key, sizeof(key)), detail);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct block_row *left = a;
    const struct block_row *right = b;
    int order = memcmp(left->hash, right->hash, 32);
    return order != 0 ? order : left->block < right->block ? -1 : left->block > right->block;
}

/* What the table of sides says of a block: there while it is off the canonical chain. */
static int put_side(struct kv_session *session, const struct pending_block *block,
                    struct error_detail *detail)
{
    uint8_t key[PLACE_SIDE_KEY_SIZE];
    uint8_t value[PLACE_SIDE_VALUE_SIZE];
    place_encode_side_key(block->height, block->hash, key);
    if (!block->side) {
        return block->moved ? kv_remove(session, table_sides, bytes_of(key, sizeof(key)), detail)
                            : 0;
    }
    struct branches_block side = {
        .position = block->position,
        .state_position = block->state_position,
    };
    memcpy(side.parent_hash, block->parent_hash, 32);
    memcpy(side.total_difficulty, block->total_difficulty, 32);
    place_encode_side(&side, value);
    return kv_put(session, table_sides, bytes_of(key, sizeof(key)), bytes_of(value, sizeof(value)),
                  detail);
}

static int put_row(struct kv_session *session, const struct block_row *row,
                   struct error_detail *detail)
{
    uint8_t value[PLACE_BLOCK_VALUE_SIZE];
    struct place_block place = {
        .height = row->block->height,
        .position = row->block->position,
        .state_position = row->block->state_position,
        .flags = row->flags,
        .front = row->block->front,
    };
    place_encode_block(&place, value);
    int result = kv_put(session, table_blocks, bytes_of(row->hash, 32),
                        bytes_of(value, sizeof(value)), detail);
    return result == 0 && (row->flags & PLACE_ENVELOPE) == 0 ? put_side(session, row->block, detail)
                                                             : result;
}

/* A block that changed sides in the batch is in it more than once: the last time counts. */
static int put_blocks(struct index *index, struct kv_session *session, const struct pending *batch,
                      struct error_detail *detail)
{
    size_t count = 0;
    for (size_t i = 0; i < pending_block_count(batch); i++) {
        const struct pending_block *block = pending_block_at(batch, i);
        unsigned flags = block->side ? PLACE_SIDE : 0;
        index->rows[count++] = (struct block_row){block->hash, block, flags};
        if (block->has_envelope) {
            index->rows[count++] =
                (struct block_row){block->envelope_hash, block, flags | PLACE_ENVELOPE};
        }
    }
    if (count != 0) { /* else there may be no rows yet */
        qsort(index->rows, count, sizeof(*index->rows), compare_rows);
    }
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct block_row *row = &index->rows[i];
        if (i + 1 == count || memcmp(row->hash, row[1].hash, 32) != 0) {
            result = put_row(session, row, detail);
        }
    }
    return result;
}

static int put_applied(struct kv_session *session, const struct place_applied *applied,
                       const struct index_tries *tries, struct error_detail *detail)
{
    uint8_t value[PLACE_APPLIED_SIZE];
    uint8_t floor[sizeof(uint64_t)];
    place_encode_applied(applied, value);
    int result =
        kv_put(session, table_meta, meta_key(key_applied), bytes_of(value, sizeof(value)), detail);
    if (result == 0 && !tries->held) {
        place_encode_applied(tries->complete != NULL ? tries->complete : applied, value);
        result = kv_put(session, table_meta, meta_key(key_complete), bytes_of(value, sizeof(value)),
                        detail);
    }
    if (result == 0 && tries->floor != 0) {
        bytes_store_be64(floor, tries->floor);
        result = kv_put(session, table_meta, meta_key(key_tries_floor),
                        bytes_of(floor, sizeof(floor)), detail);
    }
    return result;
}

/* The transaction that makes a batch visible: mutable tables, lists of runs, applied position. */
static int commit_batch(struct index *index, struct kv_session *session,
                        const struct pending *batch, const struct place_applied *applied,
                        const struct index_tries *tries, struct error_detail *detail)
{
    int result = kv_begin(session, detail);
    if (result != 0) {
        return result;
    }
    struct place_applied before;
    result = read_applied(session, meta_key(key_applied), applied->store_id, &before, detail);
    if (result == 0) {
        result = put_heights(session, batch, &before, applied, detail);
    }
    if (result == 0) {
        result = put_blocks(index, session, batch, detail);
    }
    for (unsigned i = 0; result == 0 && i < INDEX_RUNS; i++) {
        result = runs_record(index_runs_at(index, i), session, detail);
    }
    if (result == 0) {
        result = put_applied(session, applied, tries, detail);
    }
    if (result != 0) {
        kv_rollback(session);
        return result;
    }
    return kv_commit(session, detail);
}

int index_apply(struct index *index, struct kv_session *session, const struct pending *batch,
                const struct place_applied *applied, const struct index_tries *tries,
                struct error_detail *detail)
{
    if (index_reserve_scratch(index, batch, tries) != 0) {
        return error_set(detail, STOA_ENOMEM, "apply %zu blocks", pending_block_count(batch));
    }
    unsigned loaded = 0;
    int result = 0;
    while (result == 0 && loaded < INDEX_RUNS) {
        result = index_load_runs(index, session, batch, tries, loaded, detail);
        loaded += result == 0;
    }
    /* A merge that changed the list of runs in the same moment makes the transaction fail: once
     * more. */
    bool again = result == 0;
    for (unsigned turns = 0; again; turns++) {
        result = commit_batch(index, session, batch, applied, tries, detail);
        again = result == STOA_EBUSY && turns < INDEX_COMMIT_TRIES;
    }
    if (result != 0) {
        error_prefix(detail, "apply %zu blocks", pending_block_count(batch));
    }
    for (unsigned i = 0; i < loaded; i++) {
        if (result == 0) {
            runs_publish(index_runs_at(index, i));
        } else {
            runs_discard(index_runs_at(index, i), session);
        }
    }
    return result;
}

static uint64_t floor_of(const struct index *index, const struct runs *runs,
                         const struct index_floors *floors)
{
    return runs == index->state ? floors->values : runs == index->trie ? floors->tries : 0;
}

/* State first: it is read most. */
static struct runs *merge_candidate(const struct index *index, const struct index_floors *floors)
{
    if (runs_merge_versions_due(index->state, floors->values)) {
        return index->state;
    }
    for (unsigned i = 0; i < INDEX_RUNS; i++) {
        struct runs *runs = index_runs_at(index, i);
        if (runs_merge_versions_due(runs, floor_of(index, runs, floors))) {
            return runs;
        }
    }
    return NULL;
}

bool index_merge_due(const struct index *index, const struct index_floors *floors)
{
    return merge_candidate(index, floors) != NULL;
}

int index_merge(struct index *index, struct kv_session *session, const struct index_floors *floors,
                const struct runs_stop *stop, bool *out_merged, struct error_detail *detail)
{
    struct runs *due = merge_candidate(index, floors);
    *out_merged = due != NULL;
    return due == NULL
               ? 0
               : runs_merge_versions(due, session, floor_of(index, due, floors), stop, detail);
}

int index_optimize(struct index *index, struct kv_session *session, unsigned place,
                   const struct index_floors *floors, const struct runs_stop *stop,
                   struct error_detail *detail)
{
    ensure(place < INDEX_RUNS);
    struct runs *runs = index_runs_at(index, place);
    return runs_merge_all(runs, session, floor_of(index, runs, floors), stop, detail);
}

int index_prune(struct index *index, struct kv_session *session, const struct index_floors *floors,
                const struct runs_stop *stop, struct error_detail *detail)
{
    int result = runs_prune_versions(index->state, session, floors->values, stop, detail);
    return result == 0 ? runs_prune_versions(index->trie, session, floors->tries, stop, detail)
                       : result;
}

void index_get_floors(const struct index *index, struct index_floors *out_floors)
{
    uint64_t tries = runs_floor(index->trie);
    *out_floors = (struct index_floors){
        .values = runs_floor(index->state),
        .tries = tries > index->tries_floor ? tries : index->tries_floor,
    };
}

int index_find_height(struct index *index, struct kv_session *session, uint64_t height,
                      uint8_t out_hash[32], struct index_place *out_place,
                      struct error_detail *detail)
{
    (void)index; /* the mutable tables are found by name */
    uint8_t key[PLACE_HEIGHT_KEY_SIZE];
    struct bytes value;
    place_encode_height_key(height, key);
    int result = kv_get(session, table_heights, bytes_of(key, sizeof(key)), &value, detail);
    if (result != 0) {
        return result;
    }
    struct place_height place;
    if (place_decode_height(value, &place) != 0) {
        return error_set(detail, STOA_ECORRUPT, "tables: height %llu is not readable",
                         (unsigned long long)height);
    }
    memcpy(out_hash, place.hash, 32);
    *out_place = (struct index_place){
        .height = height,
        .position = place.position,
        .front = place.front,
        .canonical = true,
        .body_map = place.body_map,
    };
    return 0;
}

int index_find_hash(struct index *index, struct kv_session *session, const uint8_t hash[32],
                    struct index_place *out_place, struct error_detail *detail)
{
    struct bytes value;
    int result = kv_get(session, table_blocks, bytes_of(hash, 32), &value, detail);
    if (result != 0) {
        return result;
    }
    struct place_block block;
    if (place_decode_block(value, &block) != 0) {
        return error_set(detail, STOA_ECORRUPT, "tables: a block's place is not readable");
    }
    (void)index; /* as above */
    *out_place = (struct index_place){
        .height = block.height,
        .position = block.position,
        .state_position = block.state_position,
        .front = block.front,
        .canonical = (block.flags & PLACE_SIDE) == 0,
    };
    return 0;
}

int index_each_side(struct index *index, struct kv_session *session, uint64_t height,
                    int (*side)(void *context, const struct branches_block *block), void *context,
                    struct error_detail *detail)
{
    struct kv_cursor *cursor;
    uint8_t from[PLACE_HEIGHT_KEY_SIZE];
    (void)index; /* as above */
    int result = kv_cursor_open(session, table_sides, &cursor, detail);
    if (result != 0) {
        return result;
    }
    place_encode_height_key(height, from);
    result = kv_cursor_seek(cursor, bytes_of(from, sizeof(from)), detail);
    while (result == 0) {
        struct bytes key;
        struct bytes value;
        struct branches_block block;
        kv_cursor_current(cursor, &key, &value);
        if (place_decode_side(key, value, &block) != 0) {
            result = error_set(detail, STOA_ECORRUPT, "tables: a side block is not readable");
        } else {
            result = side(context, &block);
        }
        result = result == 0 ? kv_cursor_next(cursor, detail) : result;
    }
    kv_cursor_close(cursor);
    return result == STOA_ENOTFOUND ? 0 : result;
}

struct candidates {
    struct index_transaction *out;
    size_t count;
};

static int add_candidate(void *context, struct bytes key, struct bytes value)
{
    struct candidates *candidates = context;
    uint64_t prefix;
    (void)value; /* empty */
    if (candidates->count == INDEX_CANDIDATES_MAX) {
        return STOA_ETOOBIG;
    }
    struct index_transaction *candidate = &candidates->out[candidates->count];
    int result = place_decode_transaction_key(key, &prefix, &candidate->height, &candidate->index);
    candidates->count += result == 0;
    return result;
}

/* The spans of those wanted that the block with PARTS' hash has. False: it is read whole. */
static bool find_parts(const struct index_place *place, uint32_t index, struct index_parts *parts)
{
    parts->there = 0;
    for (unsigned part = 0; part < BODY_PARTS; part++) {
        if ((parts->wanted & 1U << part) == 0 ||
            (part != BODY_TRANSACTION && !body_map_has(place->body_map, part))) {
            continue;
        }
        if (!body_map_find(place->body_map, parts->hash, part, index, &parts->spans[part])) {
            return false;
        }
        parts->there |= 1U << part;
    }
    return true;
}

int index_find_transaction(struct index *index, struct kv_session *session, const uint8_t hash[32],
                           struct index_transaction out_candidates[INDEX_CANDIDATES_MAX],
                           size_t *out_count, struct index_parts *parts,
                           struct error_detail *detail)
{
    struct candidates candidates = {.out = out_candidates};
    struct runs_version *version = runs_acquire(index->transactions);
    int result = runs_prefix(version, session, bytes_of(hash, PLACE_TRANSACTION_PREFIX_SIZE),
                             add_candidate, &candidates, detail);
    runs_release(index->transactions, version);
    if (result != 0) {
        return result;
    }
    for (size_t i = 0; i < candidates.count; i++) {
        uint8_t block_hash[32];
        struct index_place place;
        result =
            index_find_height(index, session, out_candidates[i].height, block_hash, &place, detail);
        if (result != 0 && result != STOA_ENOTFOUND) {
            return result;
        }
        if (result == STOA_ENOTFOUND) {
            place.position = (struct ledger_position){.sequence = 0};
        }
        out_candidates[i].position = place.position;
        if (result == 0 && candidates.count == 1 && parts != NULL) {
            parts->position = place.position;
            memcpy(parts->hash, block_hash, 32);
            parts->known = parts->wanted != 0 && find_parts(&place, out_candidates[i].index, parts);
        }
    }
    *out_count = candidates.count;
    return 0;
}

int index_find_state(struct index *index, struct kv_session *session, struct bytes key,
                     uint64_t *bound, struct bytes *out_value, struct error_detail *detail)
{
    uint8_t base[STATE_KEY_BASE_MAX];
    size_t size = state_key_base(key, base);
    struct runs_version *version = runs_acquire(index->state);
    int result = runs_get_version(version, session, bytes_of(base, size), bound, out_value, detail);
    runs_release(index->state, version);
    return result;
}

struct runs *index_transactions(const struct index *index)
{
    return index->transactions;
}

struct runs *index_postings(const struct index *index, enum posting_kind kind)
{
    ensure((unsigned)kind < POSTING_KINDS);
    return index->postings[kind];
}

int index_check_posting(struct index *index, struct kv_session *session,
                        const struct posting *posting, uint64_t height, struct error_detail *detail)
{
    uint8_t key[PLACE_POSTING_KEY_MAX];
    size_t size = place_encode_posting_key(posting, height, key);
    struct runs *runs = index_postings(index, posting->kind);
    struct runs_version *version = runs_acquire(runs);
    struct bytes value;
    int result = runs_get(version, session, bytes_of(key, size), &value, detail);
    if (result == 0) {
        bool same = posting->kind == POSTING_ADDRESS
                        ? value.size == 1 && value.data[0] == posting->roles
                        : value.size == 0;
        result = same ? 0 : STOA_ENOTFOUND;
    }
    runs_release(runs, version);
    return result;
}
