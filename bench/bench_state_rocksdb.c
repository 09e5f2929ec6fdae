/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The peer: the tries of the state, a node's encoding under its hash, in RocksDB. A block's changes
 * go into nodes in memory, which are read where they are not there yet; then what is dirty is
 * encoded, hashed and written as one synced batch. Values have their places in leaves only. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_state.h"
#include "chain/keccak.h"
#include "chain/trie.h"
#include "support/made_rlp.h"

enum kind { LEAF, EXTENSION, BRANCH };

struct node;

struct ref {
    struct node *node; /* NULL: not in memory */
    bool present;
    uint8_t hash[32];
};

struct node {
    enum kind kind;
    bool dirty;
    uint64_t used; /* block that came by last */
    uint8_t path_size;
    uint8_t path[64];
    bool account; /* of a leaf */
    uint8_t value[32];
    uint64_t nonce; /* of an account, with what follows */
    uint8_t balance[32];
    uint8_t code_hash[32];
    struct ref storage;
    struct ref *children; /* 16 of a branch, one of an extension */
};

struct bench_state_peer {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *synced;
    rocksdb_readoptions_t *reads;
    rocksdb_writebatch_t *batch;
    struct ref root;
    uint64_t block;
    uint64_t bytes; /* of the nodes in memory */
    uint64_t budget;
    struct buffer payload;
    struct buffer encoding;
};

static void check(char *text)
{
    if (text != NULL) {
        (void)fprintf(stderr, "rocksdb: %s\n", text);
        exit(1);
    }
}

struct bench_state_peer *bench_state_peer_open(const char *directory, uint64_t cache)
{
    struct bench_state_peer *peer = calloc(1, sizeof(*peer));
    ensure(peer != NULL);
    char *text = NULL;
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    peer->cache = rocksdb_cache_create_lru((size_t)(cache / 2));
    peer->budget = cache / 2;
    rocksdb_block_based_options_set_block_cache(table, peer->cache);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    peer->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(peer->options, 1);
    rocksdb_options_set_max_background_jobs(peer->options, 2);
    rocksdb_options_set_write_buffer_size(peer->options, 64 << 20);
    rocksdb_options_set_max_write_buffer_number(peer->options, 4);
    rocksdb_options_set_recycle_log_file_num(peer->options, 4);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(peer->options, 1);
    rocksdb_options_set_compression(peer->options, rocksdb_lz4_compression);
    rocksdb_options_set_block_based_table_factory(peer->options, table);
    rocksdb_block_based_options_destroy(table);
    peer->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(peer->synced, 1);
    peer->reads = rocksdb_readoptions_create();
    peer->batch = rocksdb_writebatch_create();
    peer->db = rocksdb_open(peer->options, directory, &text);
    check(text);
    buffer_init(&peer->payload);
    buffer_init(&peer->encoding);
    return peer;
}

/* ---- nodes ---- */

static size_t node_bytes(const struct node *node)
{
    size_t children = node->kind == BRANCH ? 16 : node->kind == EXTENSION ? 1 : 0;
    return sizeof(*node) + children * sizeof(struct ref) + 32;
}

static struct node *make_node(struct bench_state_peer *peer, enum kind kind)
{
    struct node *node = calloc(1, sizeof(*node));
    ensure(node != NULL);
    node->kind = kind;
    node->used = peer->block;
    if (kind != LEAF) {
        node->children = calloc(kind == BRANCH ? 16 : 1, sizeof(*node->children));
        ensure(node->children != NULL);
    }
    peer->bytes += node_bytes(node);
    return node;
}

static void drop_node(struct bench_state_peer *peer, struct ref *ref)
{
    struct node *node = ref->node;
    if (node == NULL) {
        return;
    }
    for (unsigned i = 0; i < (node->kind == BRANCH ? 16 : node->kind == EXTENSION ? 1 : 0); i++) {
        drop_node(peer, &node->children[i]);
    }
    drop_node(peer, &node->storage);
    peer->bytes -= node_bytes(node);
    free(node->children);
    free(node);
    ref->node = NULL;
}

/* Let go of what no block since BEFORE came by. */
static void prune(struct bench_state_peer *peer, struct ref *ref, uint64_t before)
{
    struct node *node = ref->node;
    if (node == NULL) {
        return;
    }
    if (node->used < before) {
        drop_node(peer, ref);
        return;
    }
    for (unsigned i = 0; i < (node->kind == BRANCH ? 16 : node->kind == EXTENSION ? 1 : 0); i++) {
        prune(peer, &node->children[i], before);
    }
    prune(peer, &node->storage, before);
}

/* Nibbles and kind out of a path as leaves and extensions have it. */
static void unpack_path(struct node *node, struct bytes path)
{
    bool odd = (path.data[0] & 0x10) != 0;
    if (odd) {
        node->path[node->path_size++] = path.data[0] & 0xf;
    }
    for (size_t i = 1; i < path.size; i++) {
        node->path[node->path_size++] = path.data[i] >> 4;
        node->path[node->path_size++] = path.data[i] & 0xf;
    }
}

static void read_value(struct node *node, struct bytes value, bool account)
{
    struct bytes fields;
    const uint8_t *hash;
    node->account = account;
    if (!account) {
        ensure(rlp_read_uint256(&value, node->value, NULL) == 0);
        return;
    }
    ensure(rlp_read_list(&value, &fields, NULL) == 0);
    ensure(rlp_read_uint64(&fields, &node->nonce, NULL) == 0);
    ensure(rlp_read_uint256(&fields, node->balance, NULL) == 0);
    ensure(rlp_read_fixed(&fields, 32, &hash, NULL) == 0);
    memcpy(node->storage.hash, hash, 32);
    node->storage.present = memcmp(hash, trie_empty_root, 32) != 0;
    ensure(rlp_read_fixed(&fields, 32, &hash, NULL) == 0);
    memcpy(node->code_hash, hash, 32);
}

static struct node *decode(struct bench_state_peer *peer, struct bytes rlp, bool account)
{
    struct bytes payload;
    struct bytes string;
    size_t count;
    ensure(rlp_read_list(&rlp, &payload, NULL) == 0);
    ensure(rlp_count(payload, &count, NULL) == 0);
    if (count == 17) {
        struct node *node = make_node(peer, BRANCH);
        for (unsigned i = 0; i < 16; i++) {
            ensure(rlp_read_string(&payload, &string, NULL) == 0);
            node->children[i].present = string.size == 32;
            if (string.size == 32) {
                memcpy(node->children[i].hash, string.data, 32);
            }
        }
        return node;
    }
    ensure(rlp_read_string(&payload, &string, NULL) == 0);
    struct node *node = make_node(peer, (string.data[0] & 0x20) != 0 ? LEAF : EXTENSION);
    unpack_path(node, string);
    ensure(rlp_read_string(&payload, &string, NULL) == 0);
    if (node->kind == LEAF) {
        read_value(node, string, account);
    } else {
        node->children[0].present = true;
        memcpy(node->children[0].hash, string.data, 32);
    }
    return node;
}

static struct node *load(struct bench_state_peer *peer, struct ref *ref, bool account)
{
    if (ref->node == NULL) {
        char *text = NULL;
        size_t size;
        char *found = rocksdb_get(peer->db, peer->reads, (const char *)ref->hash, 32, &size, &text);
        check(text);
        ensure(found != NULL);
        ref->node = decode(peer, bytes_of((const uint8_t *)found, size), account);
        rocksdb_free(found);
    }
    ref->node->used = peer->block;
    return ref->node;
}

/* ---- changing ---- */

static struct node *new_leaf(struct bench_state_peer *peer, const uint8_t *path, size_t size,
                             bool account)
{
    struct node *leaf = make_node(peer, LEAF);
    leaf->dirty = true;
    leaf->account = account;
    leaf->path_size = (uint8_t)size;
    memcpy(leaf->path, path, size);
    return leaf;
}

/* The node's path parts from the key after SAME nibbles: a branch comes between. */
static void split(struct bench_state_peer *peer, struct ref *ref, size_t same)
{
    struct node *node = ref->node;
    struct node *branch = make_node(peer, BRANCH);
    struct ref *under = &branch->children[node->path[same]];
    uint8_t path[64];
    branch->dirty = true;
    memcpy(path, node->path, same);
    under->present = true;
    node->dirty = true;
    node->path_size = (uint8_t)(node->path_size - same - 1);
    memmove(node->path, node->path + same + 1, node->path_size);
    if (node->kind == EXTENSION && node->path_size == 0) {
        *under = node->children[0];
        peer->bytes -= node_bytes(node);
        free(node->children);
        free(node);
    } else {
        under->node = node;
    }
    ref->node = branch;
    if (same != 0) {
        struct node *extension = make_node(peer, EXTENSION);
        extension->dirty = true;
        extension->path_size = (uint8_t)same;
        memcpy(extension->path, path, same);
        extension->children[0] = (struct ref){.node = branch, .present = true};
        ref->node = extension;
    }
}

/* The leaf of KEY, made where there is none; everything on the way is dirty. */
static struct node *reach(struct bench_state_peer *peer, struct ref *ref, const uint8_t *key,
                          size_t size, bool account)
{
    for (;;) {
        if (!ref->present) {
            ref->present = true;
            ref->node = new_leaf(peer, key, size, account);
            return ref->node;
        }
        struct node *node = load(peer, ref, account);
        node->dirty = true;
        if (node->kind != BRANCH) {
            size_t same = 0;
            while (same < node->path_size && node->path[same] == key[same]) {
                same++;
            }
            if (same == node->path_size && node->kind == LEAF) {
                return node;
            }
            if (same < node->path_size) {
                split(peer, ref, same);
                continue;
            }
            key += same;
            size -= same;
            ref = &node->children[0];
            continue;
        }
        ref = &node->children[key[0]];
        key++;
        size--;
    }
}

static void hashed(const uint8_t *data, size_t size, uint8_t nibbles[64])
{
    uint8_t hash[32];
    keccak_256(data, size, hash);
    for (unsigned i = 0; i < 32; i++) {
        nibbles[2 * i] = hash[i] >> 4;
        nibbles[2 * i + 1] = hash[i] & 0xf;
    }
}

/* ---- writing ---- */

static size_t pack_path(const struct node *node, uint8_t out[33])
{
    bool odd = node->path_size % 2 != 0;
    size_t size = 1;
    out[0] = (uint8_t)((node->kind == LEAF ? 0x20 : 0) | (odd ? 0x10 | node->path[0] : 0));
    for (size_t i = odd; i < node->path_size; i += 2) {
        out[size++] = (uint8_t)(node->path[i] << 4 | node->path[i + 1]);
    }
    return size;
}

static void append_value(struct buffer *out, const struct node *node)
{
    uint8_t bytes[128];
    struct buffer fields = {.data = bytes, .capacity = sizeof(bytes)};
    uint8_t list[128];
    struct buffer value = {.data = list, .capacity = sizeof(list)};
    if (!node->account) {
        made_rlp_uint256(&value, node->value);
    } else {
        made_rlp_uint(&fields, node->nonce);
        made_rlp_uint256(&fields, node->balance);
        made_rlp_string(&fields, node->storage.present ? node->storage.hash : trie_empty_root, 32);
        made_rlp_string(&fields, node->code_hash, 32);
        made_rlp_list(&value, &fields);
    }
    made_rlp_string(out, value.data, value.size);
}

static void commit(struct bench_state_peer *peer, struct ref *ref)
{
    struct node *node = ref->node;
    if (node == NULL || !node->dirty) {
        return;
    }
    for (unsigned i = 0; i < (node->kind == BRANCH ? 16 : node->kind == EXTENSION ? 1 : 0); i++) {
        commit(peer, &node->children[i]);
    }
    commit(peer, &node->storage);
    struct buffer *payload = &peer->payload;
    buffer_clear(payload);
    buffer_clear(&peer->encoding);
    if (node->kind == BRANCH) {
        for (unsigned i = 0; i < 16; i++) {
            made_rlp_string(payload, node->children[i].hash, node->children[i].present ? 32 : 0);
        }
        made_rlp_string(payload, NULL, 0);
    } else {
        uint8_t path[33];
        made_rlp_string(payload, path, pack_path(node, path));
        if (node->kind == LEAF) {
            append_value(payload, node);
        } else {
            made_rlp_string(payload, node->children[0].hash, 32);
        }
    }
    made_rlp_list(&peer->encoding, payload);
    keccak_256(peer->encoding.data, peer->encoding.size, ref->hash);
    rocksdb_writebatch_put(peer->batch, (const char *)ref->hash, 32,
                           (const char *)peer->encoding.data, peer->encoding.size);
    node->dirty = false;
}

void bench_state_peer_block(struct bench_state_peer *peer, const struct stoa_store_block *put)
{
    uint8_t key[64];
    char *text = NULL;
    peer->block++;
    for (size_t i = 0; i < put->account_count; i++) {
        const struct stoa_account_change *change = &put->accounts[i];
        hashed(change->address, 20, key);
        struct node *leaf = reach(peer, &peer->root, key, 64, true);
        leaf->nonce = change->nonce;
        memcpy(leaf->balance, change->balance, 32);
        memcpy(leaf->code_hash, change->code_hash, 32);
    }
    for (size_t i = 0; i < put->slot_count; i++) {
        const struct stoa_slot_change *change = &put->slots[i];
        hashed(change->address, 20, key);
        struct node *account = reach(peer, &peer->root, key, 64, true);
        hashed(change->slot, 32, key);
        struct node *leaf = reach(peer, &account->storage, key, 64, false);
        memcpy(leaf->value, change->value, 32);
    }
    commit(peer, &peer->root);
    rocksdb_write(peer->db, peer->synced, peer->batch, &text);
    check(text);
    rocksdb_writebatch_clear(peer->batch);
    for (uint64_t kept = 64; peer->bytes > peer->budget && kept > 0; kept /= 4) {
        prune(peer, &peer->root, peer->block < kept ? 0 : peer->block - kept + 1);
    }
}

void bench_state_peer_flush(struct bench_state_peer *peer)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *text = NULL;
    rocksdb_flush(peer->db, options, &text);
    check(text);
    rocksdb_flushoptions_destroy(options);
    uint64_t busy = 1;
    while (busy != 0) {
        uint64_t compacting = 0;
        uint64_t pending = 0;
        (void)rocksdb_property_int(peer->db, "rocksdb.num-running-compactions", &compacting);
        (void)rocksdb_property_int(peer->db, "rocksdb.compaction-pending", &pending);
        busy = compacting + pending;
    }
}

void bench_state_peer_close(struct bench_state_peer *peer)
{
    drop_node(peer, &peer->root);
    rocksdb_close(peer->db);
    rocksdb_writebatch_destroy(peer->batch);
    rocksdb_readoptions_destroy(peer->reads);
    rocksdb_writeoptions_destroy(peer->synced);
    rocksdb_options_destroy(peer->options);
    rocksdb_cache_destroy(peer->cache);
    buffer_deinit(&peer->payload);
    buffer_deinit(&peer->encoding);
    free(peer);
}
