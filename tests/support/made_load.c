/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "made_load.h"

#include <math.h>
#include <secp256k1.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/keccak.h"
#include "chain/receipt.h"
#include "chain/trie.h"
#include "made_random.h"
#include "made_rlp.h"
#include "store/posting.h"

enum { SENDER_COUNT = 20000, RECIPIENT_COUNT = 200000, CONTRACT_COUNT = 500 };

struct made_load {
    uint64_t seed;
    struct buffer payload; /* scratch */
    struct buffer list;
    struct buffer body;
    uint32_t *stamps; /* by key number: the last block that took it, plus one */
    bool rooted;
    unsigned transactions; /* of a block */
    unsigned changes;
    uint8_t bloom[256]; /* of the block that is made */
    uint8_t transactions_root[32];
    uint8_t receipts_root[32];
};

struct made_load *made_load_create(uint64_t seed)
{
    struct made_load *load = memory_alloc_zeroed(1, sizeof(*load));
    ensure(load != NULL);
    load->seed = seed;
    load->transactions = MADE_LOAD_TRANSACTIONS;
    load->changes = MADE_LOAD_CHANGES;
    load->stamps = memory_alloc_zeroed(MADE_LOAD_KEYS, sizeof(*load->stamps));
    ensure(load->stamps != NULL);
    return load;
}

void made_load_set_rooted(struct made_load *load)
{
    load->rooted = true;
}

void made_load_set_shape(struct made_load *load, unsigned transactions, unsigned changes)
{
    ensure(transactions <= MADE_LOAD_TRANSACTIONS);
    ensure(changes <= MADE_LOAD_CHANGES);
    ensure(!load->rooted);
    load->transactions = transactions;
    load->changes = changes;
}

void made_load_key(const struct made_load *load, uint32_t number, uint8_t out[32])
{
    struct made_random key = made_random_of(load->seed ^ 4, number);
    made_random_fill(&key, out, 32);
}

void made_load_destroy(struct made_load *load)
{
    if (load == NULL) {
        return;
    }
    buffer_deinit(&load->payload);
    buffer_deinit(&load->list);
    buffer_deinit(&load->body);
    memory_free(load->stamps);
    memory_free(load);
}

void made_load_block_deinit(struct made_load_block *block)
{
    buffer_deinit(&block->block);
    buffer_deinit(&block->receipts);
    buffer_deinit(&block->state);
    buffer_deinit(&block->postings);
}

void made_load_index(struct made_load_block *made)
{
    struct block block;
    int result = block_decode(buffer_bytes(&made->block), &block, NULL);
    ensure(result == 0);
    buffer_clear(&made->postings);
    result = posting_compute(&made->postings, &block,
                             bytes_of(made->senders[0], 20 * (size_t)made->transaction_count),
                             buffer_bytes(&made->receipts));
    ensure(result == 0);
}

uint64_t made_load_logical_size(const struct made_load_block *block)
{
    return block->block.size + block->receipts.size + 20 * (uint64_t)block->transaction_count +
           block->state.size;
}

/* A number below COUNT with probability falling as 1 / (number + 1): Zipf's law. */
static uint64_t draw_zipf(struct made_random *random, uint64_t count)
{
    double unit = (double)(made_random_next(random) >> 11) * 0x1p-53;
    uint64_t drawn = (uint64_t)exp2(unit * log2((double)count + 1)) - 1;
    return drawn < count ? drawn : count - 1;
}

/* The address with this number in a population: the same bytes whenever it comes. */
static void fill_address(uint64_t seed, uint64_t population, uint64_t number, uint8_t out[20])
{
    struct made_random random = made_random_of(seed ^ population, number);
    made_random_fill(&random, out, 20);
}

static void put_amount(struct buffer *out, struct made_random *random, size_t size_max)
{
    uint8_t bytes[32] = {0};
    size_t size = 1 + made_random_below(random, size_max);
    made_random_fill(random, bytes + 32 - size, size);
    made_rlp_uint256(out, bytes);
}

/* R of a signature is where a point of the curve lies: then somebody's key can be recovered. */
static bool is_signature_of_somebody(const uint8_t r[32])
{
    uint8_t point[33] = {2};
    secp256k1_pubkey parsed;
    memcpy(point + 1, r, 32);
    return secp256k1_ec_pubkey_parse(secp256k1_context_static, &parsed, point, sizeof(point)) == 1;
}

/* Two in three are transfers of about 115 bytes; the rest calls with 4 to 260 bytes of input. Type
 * 2 mostly, some legacy. */
static bool put_transaction(struct made_load *load, struct made_random *random, uint8_t hash[32],
                            struct buffer *out)
{
    bool legacy = made_random_below(random, 5) == 0;
    bool call = made_random_below(random, 3) == 0;
    uint8_t bytes[260];
    struct buffer *payload = &load->payload;
    buffer_clear(payload);
    if (!legacy) {
        made_rlp_uint(payload, 1);
    }
    made_rlp_uint(payload, made_random_below(random, 100000));
    if (!legacy) {
        put_amount(payload, random, 4);
    }
    put_amount(payload, random, 5);
    made_rlp_uint(payload, call ? made_random_between(random, 60000, 400000) : 21000);
    fill_address(load->seed, call ? 3 : 2,
                 draw_zipf(random, call ? CONTRACT_COUNT : RECIPIENT_COUNT), bytes);
    made_rlp_string(payload, bytes, 20);
    put_amount(payload, random, 8);
    size_t size = call ? 4 + 32 * made_random_below(random, 9) : 0;
    made_random_fill(random, bytes, size);
    made_rlp_string(payload, bytes, size);
    if (!legacy) {
        made_rlp_raw(payload, "\xc0", 1); /* empty access list */
    }
    made_rlp_uint(payload, (legacy ? 37 : 0) + made_random_below(random, 2));
    made_random_fill(random, bytes, 64);
    bytes[0] |= 1;
    while (load->rooted && !is_signature_of_somebody(bytes)) {
        made_random_fill(random, bytes, 32);
        bytes[0] |= 1; /* it is an integer of 32 bytes */
    }
    bytes[32] = (uint8_t)((bytes[32] & 0x7f) | 1);
    made_rlp_string(payload, bytes, 32);
    made_rlp_string(payload, bytes + 32, 32);

    struct buffer *envelope = &load->list;
    buffer_clear(envelope);
    if (!legacy) {
        made_rlp_raw(envelope, "\x02", 1);
    }
    made_rlp_list(envelope, payload);
    keccak_256(envelope->data, envelope->size, hash);
    made_rlp_envelope(out, buffer_bytes(envelope));
    return legacy;
}

static void set_bloom_bits(const struct made_load *load, uint8_t bloom[256], const uint8_t *value,
                           size_t size)
{
    if (load->rooted) {
        receipt_bloom_add(bloom, bytes_of(value, size));
        return;
    }
    for (unsigned i = 0; i < 6; i += 2) { /* as many bits, without the hash */
        unsigned bit = (((unsigned)value[i] << 8) | value[i + 1]) & 2047;
        bloom[bit / 8] = (uint8_t)(bloom[bit / 8] | (1U << (bit % 8)));
    }
}

/* One log of three topics in three receipts of ten, as of a token's transfer. */
static void put_receipt(struct made_load *load, struct made_random *random, bool legacy,
                        uint64_t gas_used, struct buffer *out)
{
    struct buffer *payload = &load->payload;
    struct buffer *list = &load->list;
    uint8_t bloom[256] = {0};
    uint8_t log[20 + 3 * 32 + 32];
    bool has_log = made_random_below(random, 10) < 3;
    if (has_log) {
        fill_address(load->seed, 3, draw_zipf(random, CONTRACT_COUNT), log);
        made_random_fill(random, log + 20, sizeof(log) - 20);
        memset(log + 20, 0xdd, 32); /* the event's name */
        for (unsigned i = 0; i < 4; i++) {
            set_bloom_bits(load, bloom, i == 0 ? log : log + 20 + (i - 1) * 32, i == 0 ? 20 : 32);
        }
    }
    for (unsigned i = 0; i < sizeof(bloom); i++) {
        load->bloom[i] |= bloom[i];
    }
    buffer_clear(payload);
    made_rlp_uint(payload, made_random_below(random, 20) == 0 ? 0 : 1);
    made_rlp_uint(payload, gas_used);
    made_rlp_string(payload, bloom, sizeof(bloom));
    uint64_t topics_size = 3 * 33;
    uint64_t log_size = 21 + rlp_list_size(topics_size) + 33;
    ensure(rlp_append_list_prefix(payload, has_log ? rlp_list_size(log_size) : 0) == 0);
    if (has_log) {
        ensure(rlp_append_list_prefix(payload, log_size) == 0);
        made_rlp_string(payload, log, 20);
        ensure(rlp_append_list_prefix(payload, topics_size) == 0);
        for (unsigned i = 0; i < 3; i++) {
            made_rlp_string(payload, log + 20 + i * 32, 32);
        }
        made_rlp_string(payload, log + 20 + 96, 32);
    }
    buffer_clear(list);
    if (!legacy) {
        made_rlp_raw(list, "\x02", 1);
    }
    made_rlp_list(list, payload);
    made_rlp_envelope(out, buffer_bytes(list));
}

static void make_changes(struct made_load *load, struct made_random *random,
                         struct made_load_block *out)
{
    enum { KEY_SIZE = 32, VALUE_MIN = 32, VALUE_MAX = 100 };
    uint32_t stamp = (uint32_t)out->number + 1;
    buffer_clear(&out->state);
    ensure(buffer_reserve(&out->state, (size_t)MADE_LOAD_CHANGES * (KEY_SIZE + VALUE_MAX)) == 0);
    uint8_t *at = out->state.data;
    for (unsigned i = 0; i < load->changes; i++) {
        uint64_t number = 0;
        do {
            number = draw_zipf(random, MADE_LOAD_KEYS);
        } while (load->stamps[number] == stamp);
        load->stamps[number] = stamp;
        out->key_numbers[i] = (uint32_t)number;
        made_load_key(load, (uint32_t)number, at);
        size_t size = made_random_below(random, 3) > 0
                          ? VALUE_MIN
                          : made_random_between(random, VALUE_MIN, VALUE_MAX);
        made_random_fill(random, at + KEY_SIZE, size);
        out->changes[i].key = (struct stoa_bytes){at, KEY_SIZE};
        out->changes[i].value = (struct stoa_bytes){at + KEY_SIZE, size};
        at += KEY_SIZE + size;
    }
    out->state.size = (size_t)(at - out->state.data);
    /* As a stamp is unique to a block number only, a block made twice must not see its own. */
    for (unsigned i = 0; i < load->changes; i++) {
        load->stamps[out->key_numbers[i]] = 0;
    }
}

/* The root of the items that NEXT walks. */
static void find_root(struct bytes items,
                      int (*next)(struct bytes *cursor, struct bytes *out_item,
                                  struct error_detail *detail),
                      uint8_t out[32])
{
    struct bytes values[MADE_LOAD_TRANSACTIONS];
    for (unsigned i = 0; i < MADE_LOAD_TRANSACTIONS; i++) {
        ensure(next(&items, &values[i], NULL) == 0);
    }
    ensure(trie_ordered_root(values, MADE_LOAD_TRANSACTIONS, out) == 0);
}

static void find_roots(struct made_load *load, const struct buffer *receipts)
{
    struct bytes cursor = buffer_bytes(receipts);
    struct bytes payload;
    ensure(rlp_read_list(&cursor, &payload, NULL) == 0);
    find_root(buffer_bytes(&load->body), block_next_transaction, load->transactions_root);
    find_root(payload, receipt_next, load->receipts_root);
}

/* A header of London's 16 fields. */
static void put_header(const struct made_load *load, const struct made_load_block *block,
                       const uint8_t parent_hash[32], uint64_t gas_used, struct made_random *random,
                       struct buffer *out)
{
    uint8_t bytes[256];
    made_rlp_string(out, parent_hash, 32);
    keccak_256("\xc0", 1, bytes);
    made_rlp_string(out, bytes, 32);
    made_random_fill(random, bytes, 20);
    made_rlp_string(out, bytes, 20);
    for (unsigned i = 0; i < 3; i++) { /* roots */
        made_random_fill(random, bytes, 32);
        const uint8_t *root = i == 1 ? load->transactions_root : load->receipts_root;
        made_rlp_string(out, load->rooted && i != 0 ? root : bytes, 32);
    }
    made_random_fill(random, bytes, sizeof(bytes));
    made_rlp_string(out, load->rooted ? load->bloom : bytes, sizeof(bytes));
    made_rlp_uint(out, 1); /* difficulty */
    made_rlp_uint(out, block->number);
    made_rlp_uint(out, 60000000);
    made_rlp_uint(out, gas_used);
    made_rlp_uint(out, 1700000000 + block->number * 2);
    made_rlp_string(out, "made", 4);
    made_random_fill(random, bytes, 40);
    made_rlp_string(out, bytes, 32);
    made_rlp_string(out, bytes + 32, 8);
    made_rlp_uint(out, 1000000000); /* base fee */
}

void made_load_make(struct made_load *load, uint64_t number, const uint8_t parent_hash[32],
                    struct made_load_block *out)
{
    struct made_random random = made_random_of(load->seed, number);
    bool legacy[MADE_LOAD_TRANSACTIONS];
    out->number = number;
    out->transaction_count = load->transactions;
    out->change_count = load->changes;
    buffer_clear(&load->body);
    for (unsigned i = 0; i < load->transactions; i++) {
        fill_address(load->seed, 1, made_random_below(&random, SENDER_COUNT), out->senders[i]);
        legacy[i] = put_transaction(load, &random, out->transaction_hashes[i], &load->body);
    }
    buffer_clear(&out->block); /* for a while: the receipts' payload */
    memset(load->bloom, 0, sizeof(load->bloom));
    uint64_t gas_used = 0;
    for (unsigned i = 0; i < load->transactions; i++) {
        gas_used += made_random_between(&random, 21000, 200000);
        put_receipt(load, &random, legacy[i], gas_used, &out->block);
    }
    buffer_clear(&out->receipts);
    made_rlp_list(&out->receipts, &out->block);
    if (load->rooted) {
        find_roots(load, &out->receipts);
    }
    make_changes(load, &random, out);

    buffer_clear(&load->payload);
    put_header(load, out, parent_hash, gas_used, &random, &load->payload);
    buffer_clear(&load->list);
    made_rlp_list(&load->list, &load->payload);
    keccak_256(load->list.data, load->list.size, out->hash);
    made_rlp_list(&load->list, &load->body);
    made_rlp_raw(&load->list, "\xc0", 1);
    buffer_clear(&out->block);
    made_rlp_list(&out->block, &load->list);
}
