/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/pending.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "store/body_map.h"
#include "store/record.h"
#include "store/state_key.h"

/* Arrays in pieces, which lie in the chunks: growing one moves nothing and, where a chunk was made
 * ahead of need, touches no new memory. */
struct pieces {
    void **at;
    size_t count;
    size_t capacity;
};

enum { PIECE_ITEMS = 4096 };

/* Hash chains over arrays: a slot holds an index + 1, 0 is the end. The links lie in an array
 * beside the items. */
struct chains {
    uint32_t *heads;     /* in a chunk */
    uint32_t head_count; /* a power of two */
    struct pieces links;
};

struct change {
    uint64_t hash;
    uint64_t height;
    const uint8_t *key;
    const uint8_t *value;
    uint32_t value_size;
    uint16_t key_size;
    bool removed;
    bool withdrawn;
};

enum {
    CHUNK_SIZE = 4 << 20,
    CHUNK_ALIGNMENT = 64,
    PAGE_SIZE = 4096,
    HEADS_MIN = 1 << 10,
    HEADS_FEW = 1 << 13, /* up to here they double */
    HEADS_MAX = 1 << 18, /* and then are all there ever are, so that no large table is made anew */
};

struct pending_chunk {
    struct pending_chunk *next;
    size_t size; /* of data */
    size_t used;
    uint8_t data[];
};

struct pending {
    struct pending_block *blocks;
    size_t block_count;
    size_t block_capacity;
    struct chains
        block_chains;    /* two links a block: 2 * index by hash, 2 * index + 1 by envelope hash */
    uint32_t *canonical; /* indexes of canonical blocks, heights rising by one */
    size_t canonical_count;
    size_t canonical_capacity;
    uint64_t cut; /* the canonical chain was taken back to below this height; UINT64_MAX: not */
    struct pieces transactions; /* struct pending_transaction */
    size_t transaction_count;
    struct chains transaction_chains;
    struct pieces changes; /* struct change */
    size_t change_count;
    struct chains change_chains;
    struct pending_postings *postings;
    size_t postings_count;
    size_t postings_capacity;
    size_t posting_totals[POSTING_KINDS];
    struct trie_layer *layers;
    struct trie_layer **layers_last;
    uint64_t gap;                 /* lowest height that has a gap entry in here; UINT64_MAX: none */
    struct pending_chunk *chunks; /* the one in use first */
    struct pending_chunk *spare;
    size_t size;
};

struct pending *pending_create(void)
{
    struct pending *pending = memory_alloc_zeroed(1, sizeof(*pending));
    if (pending != NULL) {
        pending->cut = UINT64_MAX;
        pending->gap = UINT64_MAX;
        pending->layers_last = &pending->layers;
    }
    return pending;
}

static void chunks_free(struct pending_chunk *chunk)
{
    while (chunk != NULL) {
        struct pending_chunk *next = chunk->next;
        memory_free(chunk);
        chunk = next;
    }
}

static void drop_layers(struct pending *pending)
{
    while (pending->layers != NULL) {
        struct trie_layer *layer = pending->layers;
        pending->layers = layer->next;
        trie_layer_release(layer);
    }
    pending->layers_last = &pending->layers;
}

void pending_destroy(struct pending *pending)
{
    if (pending == NULL) {
        return;
    }
    drop_layers(pending);
    memory_free(pending->blocks);
    memory_free(pending->canonical);
    memory_free(pending->transactions.at);
    memory_free(pending->changes.at);
    memory_free(pending->postings);
    memory_free(pending->block_chains.links.at);
    memory_free(pending->transaction_chains.links.at);
    memory_free(pending->change_chains.links.at);
    chunks_free(pending->chunks);
    chunks_free(pending->spare);
    memory_free(pending);
}

/* The chunk goes that they are in. */
static void chains_clear(struct chains *chains)
{
    chains->heads = NULL;
    chains->head_count = 0;
    chains->links.count = 0;
}

void pending_clear(struct pending *pending)
{
    pending->block_count = 0;
    pending->canonical_count = 0;
    pending->cut = UINT64_MAX;
    pending->transaction_count = 0;
    pending->transactions.count = 0;
    pending->change_count = 0;
    pending->changes.count = 0;
    pending->postings_count = 0;
    memset(pending->posting_totals, 0, sizeof(pending->posting_totals));
    pending->gap = UINT64_MAX;
    pending->size = 0;
    drop_layers(pending);
    chains_clear(&pending->block_chains);
    chains_clear(&pending->transaction_chains);
    chains_clear(&pending->change_chains);
    while (pending->chunks != NULL) {
        struct pending_chunk *chunk = pending->chunks;
        pending->chunks = chunk->next;
        if (chunk->size == CHUNK_SIZE) {
            chunk->used = 0;
            chunk->next = pending->spare;
            pending->spare = chunk;
        } else {
            memory_free(chunk);
        }
    }
}

/* Room for WANTED items in an array that doubles. */
static int grow(void **array, size_t *capacity, size_t wanted, size_t item_size)
{
    if (wanted <= *capacity) {
        return 0;
    }
    size_t next = *capacity < 64 ? 64 : *capacity;
    while (next < wanted) {
        next *= 2;
    }
    size_t bytes;
    if (__builtin_mul_overflow(next, item_size, &bytes)) {
        return STOA_ENOMEM;
    }
    void *grown = memory_resize(*array, bytes);
    if (grown == NULL) {
        return STOA_ENOMEM;
    }
    *array = grown;
    *capacity = next;
    return 0;
}

struct pending_chunk *pending_chunk_make(void)
{
    struct pending_chunk *chunk = memory_alloc(sizeof(*chunk) + CHUNK_SIZE);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct pending_chunk){.size = CHUNK_SIZE};
    for (size_t i = 0; i < CHUNK_SIZE; i += PAGE_SIZE) {
        chunk->data[i] = 0;
    }
    return chunk;
}

void pending_chunk_free(struct pending_chunk *chunk)
{
    memory_free(chunk);
}

void pending_chunk_give(struct pending *pending, struct pending_chunk *chunk)
{
    chunk->next = pending->spare;
    pending->spare = chunk;
}

bool pending_wants_chunk(const struct pending *pending)
{
    const struct pending_chunk *chunk = pending->chunks;
    return pending->spare == NULL && chunk != NULL && chunk->used > chunk->size / 4;
}

/* Room for SIZE bytes in the chunk in use, so that a following copy cannot fail. */
static int reserve_bytes(struct pending *pending, size_t size)
{
    struct pending_chunk *chunk = pending->chunks;
    if (chunk != NULL && chunk->size - chunk->used >= size) {
        return 0;
    }
    if (size <= CHUNK_SIZE && pending->spare != NULL) {
        chunk = pending->spare;
        pending->spare = chunk->next;
    } else {
        size_t room = size < CHUNK_SIZE ? CHUNK_SIZE : size;
        chunk = memory_alloc(sizeof(*chunk) + room);
        if (chunk == NULL) {
            return STOA_ENOMEM;
        }
        chunk->size = room;
        chunk->used = 0;
    }
    chunk->next = pending->chunks;
    pending->chunks = chunk;
    return 0;
}

/* SIZE bytes of the chunk in use or another. NULL: no memory. */
static void *carve(struct pending *pending, size_t size)
{
    if (reserve_bytes(pending, size + CHUNK_ALIGNMENT) != 0) {
        return NULL;
    }
    struct pending_chunk *chunk = pending->chunks;
    chunk->used += -(uintptr_t)(chunk->data + chunk->used) % CHUNK_ALIGNMENT;
    void *out = chunk->data + chunk->used;
    chunk->used += size;
    return out;
}

/* Room for WANTED items in pieces. */
static int pieces_reserve(struct pending *pending, struct pieces *pieces, size_t wanted,
                          size_t item_size)
{
    while (pieces->count * PIECE_ITEMS < wanted) {
        if (grow((void **)&pieces->at, &pieces->capacity, pieces->count + 1, sizeof(*pieces->at)) !=
            0) {
            return STOA_ENOMEM;
        }
        void *piece = carve(pending, PIECE_ITEMS * item_size);
        if (piece == NULL) {
            return STOA_ENOMEM;
        }
        pieces->at[pieces->count++] = piece;
    }
    return 0;
}

static struct change *change_of(const struct pending *pending, size_t index)
{
    struct change *piece = pending->changes.at[index / PIECE_ITEMS];
    return &piece[index % PIECE_ITEMS];
}

static struct pending_transaction *transaction_of(const struct pending *pending, size_t index)
{
    struct pending_transaction *piece = pending->transactions.at[index / PIECE_ITEMS];
    return &piece[index % PIECE_ITEMS];
}

static uint32_t *link_of(const struct chains *chains, size_t index)
{
    uint32_t *piece = chains->links.at[index / PIECE_ITEMS];
    return &piece[index % PIECE_ITEMS];
}

static uint32_t *chains_head(const struct chains *chains, uint64_t hash)
{
    return &chains->heads[(hash ^ hash >> 32) & (chains->head_count - 1)];
}

static void chains_add(struct chains *chains, uint64_t hash, size_t index)
{
    uint32_t *head = chains_head(chains, hash);
    *link_of(chains, index) = *head;
    *head = (uint32_t)index + 1;
}

/* Room for WANTED links, with about as many heads. HASH_OF gives the hash of each present link when
 * heads are made anew. */
static int
chains_reserve(struct pending *pending, struct chains *chains, size_t wanted, size_t present,
               bool (*hash_of)(const struct pending *pending, size_t index, uint64_t *out_hash))
{
    if (wanted >= UINT32_MAX ||
        pieces_reserve(pending, &chains->links, wanted, sizeof(uint32_t)) != 0) {
        return STOA_ENOMEM;
    }
    if (chains->head_count >= wanted || chains->head_count == HEADS_MAX) {
        return 0;
    }
    uint32_t count = chains->head_count < HEADS_MIN ? HEADS_MIN : chains->head_count;
    while (count < wanted && count < HEADS_FEW) {
        count *= 2;
    }
    count = count < wanted ? HEADS_MAX : count;
    uint32_t *heads = carve(pending, count * sizeof(*heads));
    if (heads == NULL) {
        return STOA_ENOMEM;
    }
    memset(heads, 0, count * sizeof(*heads));
    chains->heads = heads;
    chains->head_count = count;
    for (size_t i = 0; i < present; i++) {
        uint64_t hash;
        if (hash_of(pending, i, &hash)) {
            chains_add(chains, hash, i);
        }
    }
    return 0;
}

static bool block_hash_of(const struct pending *pending, size_t index, uint64_t *out_hash)
{
    const struct pending_block *block = &pending->blocks[index / 2];
    *out_hash = bytes_load_be64(index % 2 == 0 ? block->hash : block->envelope_hash);
    return index % 2 == 0 || block->has_envelope;
}

static bool transaction_hash_of(const struct pending *pending, size_t index, uint64_t *out_hash)
{
    *out_hash = transaction_of(pending, index)->prefix;
    return true;
}

static bool change_hash_of(const struct pending *pending, size_t index, uint64_t *out_hash)
{
    *out_hash = change_of(pending, index)->hash;
    return true;
}

uint64_t pending_key_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

/* The heads are more than the processor's caches hold: they are fetched some changes ahead. */
enum { AHEAD = 16 };

static void add_change(struct pending *pending, const struct record_change *given, uint64_t hash,
                       uint64_t height, bool withdrawn)
{
    *change_of(pending, pending->change_count) = (struct change){
        .hash = hash,
        .height = height,
        .key = given->key.data,
        .key_size = (uint16_t)given->key.size,
        .value = given->value.data,
        .value_size = (uint32_t)given->value.size,
        .removed = given->removed,
        .withdrawn = withdrawn,
    };
    chains_add(&pending->change_chains, hash, pending->change_count++);
}

/* A block that does not say all it changed in the state: from it on the state is not known. One
 * entry a batch will do. */
static void add_gap(struct pending *pending, uint64_t height, bool withdrawn)
{
    static const uint8_t key = STATE_KEY_GAP;
    if (!withdrawn && pending->gap <= height) {
        return;
    }
    if (!withdrawn) {
        pending->gap = height;
    } else if (pending->gap >= height) {
        pending->gap = UINT64_MAX;
    }
    struct record_change change = {.key = bytes_of(&key, 1)};
    add_change(pending, &change, pending_key_hash(change.key), height, withdrawn);
}

/* Copy the changes into the batch and add each. Room was reserved. Returns whether the block says
 * all it changed in the state. */
static bool add_changes(struct pending *pending, const struct pending_entries *entries,
                        uint64_t height)
{
    if (entries->changes.size == 0) {
        return false;
    }
    bool marked = false;
    struct pending_chunk *chunk = pending->chunks;
    uint8_t *copy = chunk->data + chunk->used;
    memcpy(copy, entries->changes.data, entries->changes.size);
    chunk->used += entries->changes.size;
    pending->size += entries->changes.size;
    struct bytes cursor = bytes_of(copy, entries->changes.size);
    for (size_t i = 0; i < entries->hash_count; i++) {
        struct record_change change;
        int result = record_next_change(&cursor, &change);
        ensure(result == 0); /* as many as there are hashes */
        if (i + AHEAD < entries->hash_count) {
            __builtin_prefetch(chains_head(&pending->change_chains, entries->hashes[i + AHEAD]));
        }
        if (change.key.size == 1 && change.key.data[0] == STATE_KEY_MARK) {
            marked = true;
            continue;
        }
        add_change(pending, &change, entries->hashes[i], height, entries->removed);
    }
    ensure(cursor.size == 0);
    return marked;
}

enum { POSTING_ALIGNMENT = 8 };

/* Copy the postings of a block into the batch. Room was reserved. */
static void add_postings(struct pending *pending, uint64_t height,
                         const struct pending_entries *entries)
{
    size_t size = entries->posting_count * sizeof(struct posting);
    if (size == 0) {
        return;
    }
    struct pending_chunk *chunk = pending->chunks;
    size_t skip = -chunk->used % POSTING_ALIGNMENT;
    void *copy = chunk->data + chunk->used + skip;
    memcpy(copy, entries->postings, size);
    chunk->used += skip + size;
    pending->size += size;
    struct pending_postings *postings = &pending->postings[pending->postings_count++];
    *postings = (struct pending_postings){.height = height, .removed = entries->removed};
    for (unsigned kind = 0; kind < POSTING_KINDS; kind++) {
        postings->kinds[kind] = posting_of_kind(copy, entries->posting_count, kind);
        pending->posting_totals[kind] += postings->kinds[kind].count;
    }
    postings->missing = posting_has_missing(&postings->kinds[POSTING_LOG]);
}

int pending_reserve(struct pending *pending, const struct pending_room *room)
{
    size_t blocks = pending->block_count + room->blocks;
    size_t transactions = pending->transaction_count + room->transactions;
    size_t changes = pending->change_count + room->changes + room->blocks; /* each may have a gap */
    if (grow((void **)&pending->blocks, &pending->block_capacity, blocks,
             sizeof(*pending->blocks)) != 0 ||
        grow((void **)&pending->canonical, &pending->canonical_capacity, blocks,
             sizeof(*pending->canonical)) != 0 ||
        pieces_reserve(pending, &pending->transactions, transactions,
                       sizeof(struct pending_transaction)) != 0 ||
        pieces_reserve(pending, &pending->changes, changes, sizeof(struct change)) != 0 ||
        grow((void **)&pending->postings, &pending->postings_capacity,
             pending->postings_count + room->blocks, sizeof(*pending->postings)) != 0 ||
        chains_reserve(pending, &pending->block_chains, 2 * blocks, 2 * pending->block_count,
                       block_hash_of) != 0 ||
        chains_reserve(pending, &pending->transaction_chains, transactions,
                       pending->transaction_count, transaction_hash_of) != 0 ||
        chains_reserve(pending, &pending->change_chains, changes, pending->change_count,
                       change_hash_of) != 0) {
        return STOA_ENOMEM;
    }
    return reserve_bytes(pending, room->change_bytes +
                                      room->blocks * (POSTING_ALIGNMENT + BODY_MAP_SIZE_MAX) +
                                      room->postings * sizeof(struct posting));
}

/* Copied into the batch. Room was reserved. */
static struct bytes add_body_map(struct pending *pending, struct bytes body_map)
{
    ensure(body_map.size <= BODY_MAP_SIZE_MAX);
    if (body_map.size == 0) {
        return bytes_of(NULL, 0);
    }
    struct pending_chunk *chunk = pending->chunks;
    uint8_t *copy = chunk->data + chunk->used;
    memcpy(copy, body_map.data, body_map.size);
    chunk->used += body_map.size;
    pending->size += body_map.size;
    return bytes_of(copy, body_map.size);
}

/* BODY_MAP is what the block has in this batch: BLOCK may be of another. */
static size_t add_block(struct pending *pending, const struct pending_block *block,
                        struct bytes body_map)
{
    size_t index = pending->block_count++;
    pending->blocks[index] = *block;
    pending->blocks[index].updated = false;
    pending->blocks[index].body_map = add_body_map(pending, body_map);
    pending->size += sizeof(*block);
    chains_add(&pending->block_chains, bytes_load_be64(block->hash), 2 * index);
    if (block->has_envelope) {
        chains_add(&pending->block_chains, bytes_load_be64(block->envelope_hash), 2 * index + 1);
    }
    return index;
}

void pending_add_layer(struct pending *pending, struct trie_layer *layer)
{
    layer->next = NULL;
    *pending->layers_last = layer;
    pending->layers_last = &layer->next;
    pending->size += layer->entries.size;
}

int pending_add(struct pending *pending, const struct pending_block *block,
                const struct pending_entries *entries)
{
    static const struct pending_entries none; /* a side block changes nothing but itself */
    entries = entries == NULL || (block->side && !entries->removed) ? &none : entries;
    size_t transactions = entries->prefix_count;
    struct pending_room room = {
        .blocks = 1,
        .transactions = transactions,
        .changes = entries->hash_count,
        .change_bytes = entries->changes.size,
        .postings = entries->posting_count,
    };
    int result = pending_reserve(pending, &room);
    if (result != 0) {
        return result;
    }
    size_t index =
        add_block(pending, block, entries->removed ? bytes_of(NULL, 0) : entries->body_map);
    pending->size += transactions * sizeof(struct pending_transaction);
    if (!block->side) {
        ensure(pending->canonical_count != 0
                   ? pending_canonical_at(pending, pending->canonical_count - 1)->height + 1 ==
                         block->height
                   : pending->cut == UINT64_MAX || pending->cut == block->height);
        pending->canonical[pending->canonical_count++] = (uint32_t)index;
    }
    for (size_t i = 0; i < transactions; i++) {
        size_t at = pending->transaction_count++;
        *transaction_of(pending, at) = (struct pending_transaction){
            .prefix = entries->prefixes[i],
            .height = block->height,
            .index = (uint32_t)i,
            .removed = entries->removed,
        };
        chains_add(&pending->transaction_chains, entries->prefixes[i], at);
    }
    bool marked = add_changes(pending, entries, block->height);
    if (!marked && entries != &none) {
        add_gap(pending, block->height, entries->removed);
    }
    add_postings(pending, block->height, entries);
    if (entries->layer != NULL) {
        entries->layer->withdrawn = entries->removed;
        pending_add_layer(pending, entries->layer);
    }
    return 0;
}

int pending_replace(struct pending *pending, const struct pending_block *block,
                    const struct pending_entries *entries, size_t count)
{
    struct pending_room room = {.blocks =
                                    1 + count}; /* the lists of postings have room by blocks */
    for (size_t i = 0; i < count; i++) {
        room.postings += entries[i].posting_count;
    }
    ensure(pending->block_count == 0 && pending->cut == UINT64_MAX);
    int result = pending_reserve(pending, &room);
    if (result != 0) {
        return result;
    }
    size_t index = add_block(pending, block, block->body_map);
    if (!block->side) {
        pending->canonical[pending->canonical_count++] = (uint32_t)index;
    }
    for (size_t i = 0; i < count; i++) {
        add_postings(pending, block->height, &entries[i]);
    }
    return 0;
}

bool pending_replaces(const struct pending *pending)
{
    return pending->block_count == 1 && pending->blocks[0].replaced.sequence != 0;
}

int pending_update(struct pending *pending, const struct pending_block *block,
                   const struct pending_entries *entries)
{
    struct pending_room room = {
        .blocks = 1, .changes = entries->hash_count, .change_bytes = entries->changes.size};
    ensure(!block->side && entries->prefix_count == 0 && entries->posting_count == 0);
    int result = pending_reserve(pending, &room);
    if (result != 0) {
        return result;
    }
    if (pending->canonical_count != 0) {
        struct pending_block *known =
            &pending->blocks[pending->canonical[pending->canonical_count - 1]];
        ensure(known->height == block->height && memcmp(known->hash, block->hash, 32) == 0);
        known->state_position = block->state_position;
    } else {
        size_t index = add_block(pending, block, bytes_of(NULL, 0));
        pending->blocks[index].updated = true;
        pending->canonical[pending->canonical_count++] = (uint32_t)index;
    }
    (void)add_changes(pending, entries, block->height); /* whether it has a mark is the block's */
    return 0;
}

void pending_cut(struct pending *pending, uint64_t height)
{
    while (pending->canonical_count != 0 &&
           pending_canonical_at(pending, pending->canonical_count - 1)->height >= height) {
        pending->canonical_count--;
    }
    pending->cut = height < pending->cut ? height : pending->cut;
}

bool pending_is_cut(const struct pending *pending, uint64_t height)
{
    return height >= pending->cut;
}

uint64_t pending_cut_from(const struct pending *pending)
{
    return pending->cut;
}

size_t pending_block_count(const struct pending *pending)
{
    return pending->block_count;
}

size_t pending_transaction_count(const struct pending *pending)
{
    return pending->transaction_count;
}

size_t pending_change_count(const struct pending *pending)
{
    return pending->change_count;
}

size_t pending_postings_count(const struct pending *pending)
{
    return pending->postings_count;
}

size_t pending_posting_total(const struct pending *pending, enum posting_kind kind)
{
    return pending->posting_totals[kind];
}

const struct trie_layer *pending_layers(const struct pending *pending)
{
    return pending->layers;
}

const struct pending_postings *pending_postings_at(const struct pending *pending, size_t index)
{
    ensure(index < pending->postings_count);
    return &pending->postings[index];
}

size_t pending_size(const struct pending *pending)
{
    return pending->size;
}

const struct pending_block *pending_block_at(const struct pending *pending, size_t index)
{
    ensure(index < pending->block_count);
    return &pending->blocks[index];
}

size_t pending_canonical_count(const struct pending *pending)
{
    return pending->canonical_count;
}

const struct pending_block *pending_canonical_at(const struct pending *pending, size_t index)
{
    ensure(index < pending->canonical_count);
    return &pending->blocks[pending->canonical[index]];
}

const struct pending_transaction *pending_transaction_at(const struct pending *pending,
                                                         size_t index)
{
    ensure(index < pending->transaction_count);
    return transaction_of(pending, index);
}

static void change_view(const struct change *change, struct pending_change *out_change)
{
    *out_change = (struct pending_change){
        .key = bytes_of(change->key, change->key_size),
        .value = bytes_of(change->value, change->value_size),
        .height = change->height,
        .removed = change->removed,
        .withdrawn = change->withdrawn,
    };
}

void pending_change_at(const struct pending *pending, size_t index,
                       struct pending_change *out_change)
{
    ensure(index < pending->change_count);
    change_view(change_of(pending, index), out_change);
}

const struct pending_block *pending_find_hash(const struct pending *pending, const uint8_t hash[32])
{
    if (pending->block_count == 0) {
        return NULL;
    }
    uint32_t link = *chains_head(&pending->block_chains, bytes_load_be64(hash));
    while (link != 0) {
        size_t index = link - 1;
        const struct pending_block *block = &pending->blocks[index / 2];
        if (memcmp(index % 2 == 0 ? block->hash : block->envelope_hash, hash, 32) == 0) {
            return block;
        }
        link = *link_of(&pending->block_chains, index);
    }
    return NULL;
}

const struct pending_block *pending_find_height(const struct pending *pending, uint64_t height)
{
    if (pending->canonical_count == 0) {
        return NULL;
    }
    uint64_t first = pending->blocks[pending->canonical[0]].height;
    if (height < first || height - first >= pending->canonical_count) {
        return NULL;
    }
    const struct pending_block *block = &pending->blocks[pending->canonical[height - first]];
    ensure(block->height == height && !block->side);
    return block;
}

const struct pending_transaction *pending_find_transaction(const struct pending *pending,
                                                           uint64_t prefix, size_t *cursor)
{
    if (pending->transaction_count == 0) {
        return NULL;
    }
    const struct chains *chains = &pending->transaction_chains;
    uint32_t link = *cursor == SIZE_MAX ? *chains_head(chains, prefix) : *link_of(chains, *cursor);
    while (link != 0) {
        size_t index = link - 1;
        if (transaction_of(pending, index)->prefix == prefix) {
            *cursor = index;
            return transaction_of(pending, index);
        }
        link = *link_of(chains, index);
    }
    return NULL;
}

/* Newest first: when a change is met, whatever withdrew it was met before. What was withdrawn took
 * everything above it along. */
bool pending_find_change(const struct pending *pending, struct bytes key, uint64_t *bound,
                         struct pending_change *out_change, bool *out_done)
{
    *out_done = false;
    if (pending->change_count == 0) {
        return false;
    }
    uint64_t hash = pending_key_hash(key);
    uint32_t link = *chains_head(&pending->change_chains, hash);
    for (; link != 0; link = *link_of(&pending->change_chains, link - 1)) {
        const struct change *change = change_of(pending, link - 1);
        if (change->hash != hash || change->height > *bound || change->key_size != key.size ||
            memcmp(change->key, key.data, key.size) != 0) {
            continue;
        }
        if (!change->withdrawn) {
            change_view(change, out_change);
            return true;
        }
        if (change->height == 0) {
            *out_done = true;
            return false;
        }
        *bound = change->height - 1;
    }
    return false;
}
