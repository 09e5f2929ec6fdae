/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "made_chain.h"

#include <stdio.h>

#include "base/memory.h"
#include "chain/keccak.h"
#include "chain/trie.h"
#include "made_genesis.h"
#include "made_rlp.h"
#include "made_signer.h"

enum { BLOCK_GAS_LIMIT = 30000000, BLOB_GAS = 131072, BLOB_GAS_TARGET = 3 * BLOB_GAS };

struct made_chain {
    uint64_t seed;
    uint64_t first;
    uint64_t count;
    struct made_block *blocks;
    struct buffer genesis_json;
    uint8_t genesis_hash[32];

    /* While blocks are made. */
    struct made_signer *signer;
    uint8_t parent_hash[32];
    uint8_t grandparent_hash[32];
    uint64_t base_fee; /* of the parent */
    uint64_t gas_used;
    uint64_t excess_blob_gas;
    uint64_t blob_gas_used;
    uint64_t withdrawal_index;
    const struct made_chain *rival; /* whose transactions are taken; NULL: nobody's */
    uint64_t rival_block;           /* where the next one is */
    size_t rival_index;
};

/* One block under way. */
struct making {
    struct made_chain *chain;
    struct made_random random;
    struct made_block *block;
    struct buffer transactions; /* payloads of the body's lists */
    struct buffer uncles;
    struct buffer withdrawals;
    struct buffer receipts;
    size_t withdrawal_count;
    struct bytes withdrawal_views[16];
    uint8_t bloom[256];
    struct made_header header;
};

/* ---- transactions ---- */

static enum made_kind pick_kind(struct making *making)
{
    static const uint64_t since[MADE_KIND_COUNT] = {
        [MADE_LEGACY_OLD] = 0,
        [MADE_LEGACY] = MADE_FORK_SPURIOUS,
        [MADE_ACCESS_LIST] = MADE_FORK_BERLIN,
        [MADE_DYNAMIC_FEE] = MADE_FORK_LONDON,
        [MADE_BLOB] = MADE_FORK_CANCUN,
        [MADE_SET_CODE] = MADE_FORK_PRAGUE,
    };
    for (;;) {
        unsigned kind = (unsigned)made_random_below(&making->random, MADE_KIND_COUNT);
        if (since[kind] <= making->block->number) {
            return (enum made_kind)kind;
        }
    }
}

static void bloom_add(uint8_t bloom[256], const uint8_t *value, size_t size)
{
    uint8_t hash[32];
    keccak_256(value, size, hash);
    for (unsigned i = 0; i < 6; i += 2) {
        unsigned bit = (((unsigned)hash[i] << 8) | hash[i + 1]) & 2047;
        bloom[255 - bit / 8] = (uint8_t)(bloom[255 - bit / 8] | (1U << (bit % 8)));
    }
}

static void put_logs(struct made_random *random, struct buffer *out, uint8_t bloom[256])
{
    struct buffer logs, entry, topics;
    buffer_init(&logs);
    buffer_init(&entry);
    buffer_init(&topics);
    for (uint64_t i = made_random_below(random, 4); i > 0; i--) {
        uint8_t bytes[120];
        buffer_clear(&entry);
        buffer_clear(&topics);
        /* Few emitters and few first topics, so that log queries find several. */
        struct made_random common = made_random_of(77, made_random_below(random, 8));
        made_random_fill(&common, bytes, 20);
        bloom_add(bloom, bytes, 20);
        made_rlp_string(&entry, bytes, 20);
        uint64_t topic_count = made_random_below(random, 5);
        for (uint64_t j = 0; j < topic_count; j++) {
            made_random_fill(j == 0 ? &common : random, bytes, 32);
            bloom_add(bloom, bytes, 32);
            made_rlp_string(&topics, bytes, 32);
        }
        made_rlp_list(&entry, &topics);
        size_t size = made_random_below(random, sizeof(bytes) + 1);
        made_random_fill(random, bytes, size);
        made_rlp_string(&entry, bytes, size);
        made_rlp_list(&logs, &entry);
    }
    made_rlp_list(out, &logs);
    buffer_deinit(&topics);
    buffer_deinit(&entry);
    buffer_deinit(&logs);
}

/* The consensus encoding of a receipt, appended to OUT. Before Byzantium it has an intermediate
 * state root in place of the status. */
static void put_receipt(struct making *making, unsigned type, struct buffer *out)
{
    struct made_random *random = &making->random;
    struct buffer logs, payload;
    buffer_init(&logs);
    buffer_init(&payload);
    uint8_t bloom[256] = {0};
    bool failed = made_random_below(random, 10) == 0;
    if (failed) {
        made_rlp_raw(&logs, "\xc0", 1);
    } else {
        put_logs(random, &logs, bloom);
    }
    if (making->block->number < MADE_FORK_BYZANTIUM) {
        uint8_t root[32];
        made_random_fill(random, root, sizeof(root));
        made_rlp_string(&payload, root, sizeof(root));
    } else {
        made_rlp_uint(&payload, failed ? 0 : 1);
    }
    made_rlp_uint(&payload, making->header.gas_used);
    made_rlp_string(&payload, bloom, sizeof(bloom));
    made_rlp_raw(&payload, logs.data, logs.size);
    if (type > 0) {
        made_rlp_raw(out, &(uint8_t){(uint8_t)type}, 1);
    }
    made_rlp_list(out, &payload);
    for (unsigned i = 0; i < sizeof(bloom); i++) {
        making->bloom[i] |= bloom[i];
    }
    buffer_deinit(&payload);
    buffer_deinit(&logs);
}

/* The rival's next transaction, where its turn has come. NULL: make one. */
static const struct made_transaction *next_of_rival(struct making *making)
{
    struct made_chain *chain = making->chain;
    if (chain->rival == NULL || made_random_below(&making->random, 3) == 0) {
        return NULL;
    }
    for (;;) {
        const struct made_block *block = made_chain_block(chain->rival, chain->rival_block);
        if (block == NULL || block->number > making->block->number + 1) {
            return NULL;
        }
        if (chain->rival_index == block->transaction_count) {
            chain->rival_block++;
            chain->rival_index = 0;
            continue;
        }
        const struct made_transaction *next = &block->transactions[chain->rival_index++];
        if (next->type != 3) { /* blobs count in the header */
            return next;
        }
    }
}

static void take_transaction(struct making *making, const struct made_transaction *taken,
                             struct made_transaction *out)
{
    struct buffer *bodies = &making->block->bodies;
    *out = *taken;
    made_rlp_raw(&making->block->senders, taken->sender, sizeof(taken->sender));
    made_rlp_raw(bodies, taken->envelope.data, taken->envelope.size);
    making->header.gas_used += made_random_between(&making->random, 21000, 500000);
    size_t before = bodies->size;
    put_receipt(making, taken->type, bodies);
    out->envelope = bytes_of(NULL, taken->envelope.size);
    out->receipt = bytes_of(NULL, bodies->size - before);
}

static void add_transaction(struct making *making, struct made_transaction *out)
{
    struct made_signed made;
    const struct made_transaction *taken = next_of_rival(making);
    if (taken != NULL) {
        take_transaction(making, taken, out);
        return;
    }
    enum made_kind kind = pick_kind(making);
    made_signer_sign(making->chain->signer, kind, making->header.base_fee, &making->random, &made);
    making->header.gas_used += made_random_between(&making->random, 21000, 500000);
    making->header.blob_gas_used += (uint64_t)made.blob_count * BLOB_GAS;

    memcpy(out->hash, made.hash, sizeof(out->hash));
    memcpy(out->sender, made.sender, sizeof(out->sender));
    memcpy(out->created, made.created, sizeof(out->created));
    out->type = made.type;
    out->creates = made.creates;
    made_rlp_raw(&making->block->senders, made.sender, sizeof(made.sender));

    /* Sizes now, addresses when the buffer has stopped growing. */
    struct buffer *bodies = &making->block->bodies;
    made_rlp_raw(bodies, made.envelope.data, made.envelope.size);
    out->envelope = bytes_of(NULL, made.envelope.size);
    size_t before = bodies->size;
    put_receipt(making, made.type, bodies);
    out->receipt = bytes_of(NULL, bodies->size - before);
    buffer_deinit(&made.envelope);
}

static void add_transactions(struct making *making)
{
    struct made_block *block = making->block;
    /* Now and then an empty block, now and then a larger one. */
    uint64_t dice = made_random_below(&making->random, 16);
    uint64_t count = dice == 0   ? 0
                     : dice == 1 ? made_random_between(&making->random, 20, 40)
                                 : made_random_between(&making->random, 1, 8);
    block->transaction_count = count;
    block->transactions = memory_alloc_zeroed(count + 1, sizeof(*block->transactions));
    struct bytes *views = memory_alloc_zeroed(count + 1, sizeof(*views));
    ensure(block->transactions != NULL && views != NULL);
    for (uint64_t i = 0; i < count; i++) {
        add_transaction(making, &block->transactions[i]);
    }
    const uint8_t *at = block->bodies.data;
    for (uint64_t i = 0; i < count; i++) {
        struct made_transaction *transaction = &block->transactions[i];
        transaction->envelope.data = at;
        at += transaction->envelope.size;
        transaction->receipt.data = at;
        at += transaction->receipt.size;
        made_rlp_envelope(&making->transactions, transaction->envelope);
        made_rlp_envelope(&making->receipts, transaction->receipt);
    }
    for (uint64_t i = 0; i < count; i++) {
        views[i] = block->transactions[i].envelope;
    }
    ensure(trie_ordered_root(views, count, making->header.transactions_root) == 0);
    for (uint64_t i = 0; i < count; i++) {
        views[i] = block->transactions[i].receipt;
    }
    ensure(trie_ordered_root(views, count, making->header.receipts_root) == 0);
    memcpy(making->header.bloom, making->bloom, sizeof(making->bloom));
    memory_free(views);
    made_rlp_list(&block->receipts, &making->receipts);
}

/* ---- uncles and withdrawals ---- */

static void add_uncles(struct making *making)
{
    uint64_t number = making->block->number;
    bool may = number >= making->chain->first + 2 && number < MADE_FORK_MERGE;
    uint64_t count = may ? made_random_below(&making->random, 3) : 0;
    struct buffer list;
    buffer_init(&list);
    for (uint64_t i = 0; i < count; i++) {
        struct made_header uncle;
        made_header_init(&uncle, number - 1, &making->random);
        memcpy(uncle.parent_hash, making->chain->grandparent_hash, 32);
        uncle.base_fee = made_header_has_base_fee(number - 1) ? making->chain->base_fee : 0;
        uncle.gas_limit = BLOCK_GAS_LIMIT;
        uint8_t hash[32];
        made_header_encode(&uncle, &making->uncles, hash);
    }
    made_rlp_list(&list, &making->uncles);
    keccak_256(list.data, list.size, making->header.uncles_hash);
    buffer_deinit(&list);
}

static void add_withdrawals(struct making *making)
{
    if (making->block->number < MADE_FORK_SHANGHAI) {
        return;
    }
    size_t count = made_random_below(&making->random, 5) == 0
                       ? 0
                       : made_random_between(&making->random, 1, 16);
    struct buffer entry;
    buffer_init(&entry);
    for (size_t i = 0; i < count; i++) {
        uint8_t address[20];
        buffer_clear(&entry);
        made_random_fill(&making->random, address, sizeof(address));
        made_rlp_uint(&entry, making->chain->withdrawal_index++);
        made_rlp_uint(&entry, made_random_below(&making->random, 100000));
        made_rlp_string(&entry, address, sizeof(address));
        made_rlp_uint(&entry, made_random_below(&making->random, 20000000));
        size_t before = making->withdrawals.size;
        made_rlp_list(&making->withdrawals, &entry);
        making->withdrawal_views[i] = bytes_of(NULL, making->withdrawals.size - before);
    }
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        making->withdrawal_views[i].data = making->withdrawals.data + offset;
        offset += making->withdrawal_views[i].size;
    }
    buffer_deinit(&entry);
    ensure(trie_ordered_root(making->withdrawal_views, count, making->header.withdrawals_root) ==
           0);
}

/* ---- a block ---- */

/* EIP-1559: a tenth and a bit up or down with the gas that the parent used. */
static uint64_t next_base_fee(const struct made_chain *chain, uint64_t number)
{
    if (number <= MADE_FORK_LONDON) {
        return made_header_has_base_fee(number) ? 1000000000 : 0;
    }
    uint64_t target = BLOCK_GAS_LIMIT / 2;
    if (chain->gas_used > target) {
        uint64_t delta = chain->base_fee * (chain->gas_used - target) / target / 8;
        return chain->base_fee + (delta > 0 ? delta : 1);
    }
    return chain->base_fee - chain->base_fee * (target - chain->gas_used) / target / 8;
}

static void prepare_header(struct making *making)
{
    struct made_chain *chain = making->chain;
    struct made_header *header = &making->header;
    uint64_t number = making->block->number;
    made_header_init(header, number, &making->random);
    memcpy(header->parent_hash, chain->parent_hash, 32);
    header->gas_limit = BLOCK_GAS_LIMIT;
    header->base_fee = next_base_fee(chain, number);
    if (number > MADE_FORK_CANCUN) {
        uint64_t blobs = chain->excess_blob_gas + chain->blob_gas_used;
        header->excess_blob_gas = blobs > BLOB_GAS_TARGET ? blobs - BLOB_GAS_TARGET : 0;
    }
}

static void assemble(struct making *making)
{
    struct made_block *block = making->block;
    struct buffer payload;
    buffer_init(&payload);
    made_header_encode(&making->header, &payload, block->hash);
    made_rlp_list(&payload, &making->transactions);
    made_rlp_list(&payload, &making->uncles);
    if (block->number >= MADE_FORK_SHANGHAI) {
        made_rlp_list(&payload, &making->withdrawals);
    }
    made_rlp_list(&block->block, &payload);
    buffer_deinit(&payload);
    memcpy(block->parent_hash, making->header.parent_hash, 32);
    memcpy(block->state_root, making->header.state_root, 32);
    bytes_store_be64(block->difficulty + 24, making->header.difficulty);
}

static void make_block(struct made_chain *chain, struct made_block *block)
{
    struct making making = {
        .chain = chain,
        .block = block,
        .random = made_random_of(chain->seed, block->number),
    };
    prepare_header(&making);
    add_transactions(&making);
    add_uncles(&making);
    add_withdrawals(&making);
    assemble(&making);

    memcpy(chain->grandparent_hash, chain->parent_hash, 32);
    memcpy(chain->parent_hash, block->hash, 32);
    chain->base_fee = making.header.base_fee;
    chain->gas_used = making.header.gas_used;
    chain->excess_blob_gas = making.header.excess_blob_gas;
    chain->blob_gas_used = making.header.blob_gas_used;
    buffer_deinit(&making.transactions);
    buffer_deinit(&making.uncles);
    buffer_deinit(&making.withdrawals);
    buffer_deinit(&making.receipts);
}

static void make_blocks(struct made_chain *chain)
{
    chain->signer = made_signer_create(chain->seed, MADE_CHAIN_ID);
    chain->blocks = memory_alloc_zeroed(chain->count + 1, sizeof(*chain->blocks));
    ensure(chain->blocks != NULL);
    for (uint64_t i = 0; i < chain->count; i++) {
        chain->blocks[i].number = chain->first + i;
        make_block(chain, &chain->blocks[i]);
    }
    made_signer_destroy(chain->signer);
    chain->signer = NULL;
}

struct made_chain *made_chain_create(uint64_t seed, uint64_t count)
{
    struct made_chain *chain = memory_alloc_zeroed(1, sizeof(*chain));
    ensure(chain != NULL);
    chain->seed = seed;
    chain->first = 1;
    chain->count = count;
    struct made_signer *signer = made_signer_create(seed, MADE_CHAIN_ID);
    made_genesis(seed, signer, &chain->genesis_json, chain->genesis_hash);
    made_signer_destroy(signer);
    memcpy(chain->parent_hash, chain->genesis_hash, 32);
    make_blocks(chain);
    return chain;
}

static struct made_chain *create_branch(const struct made_chain *base, uint64_t height,
                                        uint64_t seed, uint64_t count, bool rival)
{
    const struct made_block *parent = made_chain_block(base, height);
    ensure(parent != NULL || height == 0);
    struct made_chain *chain = memory_alloc_zeroed(1, sizeof(*chain));
    ensure(chain != NULL);
    chain->seed = seed;
    chain->first = height + 1;
    chain->count = count;
    chain->base_fee = 1000000000;
    chain->gas_used = BLOCK_GAS_LIMIT / 2;
    made_rlp_raw(&chain->genesis_json, base->genesis_json.data, base->genesis_json.size);
    memcpy(chain->genesis_hash, base->genesis_hash, 32);
    memcpy(chain->parent_hash, parent != NULL ? parent->hash : base->genesis_hash, 32);
    chain->rival = rival ? base : NULL;
    chain->rival_block = height + 1;
    make_blocks(chain);
    chain->rival = NULL;
    return chain;
}

struct made_chain *made_chain_create_branch(const struct made_chain *base, uint64_t height,
                                            uint64_t seed, uint64_t count)
{
    return create_branch(base, height, seed, count, false);
}

struct made_chain *made_chain_create_rival(const struct made_chain *base, uint64_t height,
                                           uint64_t seed, uint64_t count)
{
    return create_branch(base, height, seed, count, true);
}

void made_chain_destroy(struct made_chain *chain)
{
    if (chain == NULL) {
        return;
    }
    for (uint64_t i = 0; i < chain->count; i++) {
        struct made_block *block = &chain->blocks[i];
        buffer_deinit(&block->block);
        buffer_deinit(&block->receipts);
        buffer_deinit(&block->senders);
        buffer_deinit(&block->bodies);
        memory_free(block->transactions);
    }
    memory_free(chain->blocks);
    buffer_deinit(&chain->genesis_json);
    memory_free(chain);
}

/* ---- reading ---- */

struct bytes made_chain_genesis_json(const struct made_chain *chain)
{
    return buffer_bytes(&chain->genesis_json);
}

const uint8_t *made_chain_genesis_hash(const struct made_chain *chain)
{
    return chain->genesis_hash;
}

uint64_t made_chain_first(const struct made_chain *chain)
{
    return chain->first;
}

uint64_t made_chain_count(const struct made_chain *chain)
{
    return chain->count;
}

const struct made_block *made_chain_block(const struct made_chain *chain, uint64_t number)
{
    if (number < chain->first || number - chain->first >= chain->count) {
        return NULL;
    }
    return &chain->blocks[number - chain->first];
}

void made_chain_export(const struct made_chain *chain, struct buffer *out)
{
    for (uint64_t i = 0; i < chain->count; i++) {
        made_rlp_raw(out, chain->blocks[i].block.data, chain->blocks[i].block.size);
    }
}

static void put_hex(struct buffer *out, const void *data, size_t size)
{
    made_rlp_raw(out, "\"0x", 3);
    ensure(buffer_reserve(out, size * 2 + 1) == 0);
    bytes_to_hex(data, size, (char *)out->data + out->size);
    out->size += size * 2;
    made_rlp_raw(out, "\"", 1);
}

static void put_text(struct buffer *out, const char *text)
{
    made_rlp_raw(out, text, strlen(text));
}

void made_chain_execution(const struct made_block *block, struct buffer *out)
{
    ensure(buffer_append_format(
               out, "{\"number\":%llu,\"hash\":", (unsigned long long)block->number) == 0);
    put_hex(out, block->hash, 32);
    put_text(out, ",\"stateRoot\":");
    put_hex(out, block->state_root, 32);
    put_text(out, ",\"txs\":[");
    for (size_t i = 0; i < block->transaction_count; i++) {
        const struct made_transaction *transaction = &block->transactions[i];
        put_text(out, i == 0 ? "{\"hash\":" : ",{\"hash\":");
        put_hex(out, transaction->hash, 32);
        put_text(out, ",\"from\":");
        put_hex(out, transaction->sender, 20);
        ensure(buffer_append_format(out, ",\"type\":%u", transaction->type) == 0);
        if (transaction->creates) {
            put_text(out, ",\"created\":");
            put_hex(out, transaction->created, 20);
        }
        put_text(out, "}");
    }
    put_text(out, "],\"receipts\":[");
    for (size_t i = 0; i < block->transaction_count; i++) {
        if (i > 0) {
            put_text(out, ",");
        }
        put_hex(out, block->transactions[i].receipt.data, block->transactions[i].receipt.size);
    }
    put_text(out, "]}\n");
}
