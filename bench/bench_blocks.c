/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_blocks.h"

#include <string.h>
#include <sys/mman.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_engine.h"
#include "chain/block.h"
#include "chain/receipt.h"

enum { ARENA_BLOCK_MAX = 352 * 1024 }; /* what a block takes in the arena, at most */

/* What the processes share. */
struct shared {
    uint64_t next;
    size_t count; /* of the slice */
    size_t used;  /* bytes of the arena */
    struct bench_block slice[BENCH_SLICE_MAX];
    struct bench_hot hot[BENCH_HOT_KEPT];
};

struct bench_blocks {
    struct shared *shared;
    struct bench_memo *memos; /* shared */
    uint8_t *arena;           /* shared */
    uint64_t blocks_max;
    struct made_load *load;      /* the parent's */
    struct made_load_block made; /* the parent's */
    uint8_t parent_hash[32];
};

void *bench_blocks_share(size_t size)
{
    void *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED) {
        return NULL;
    }
    return shared;
}

struct bench_blocks *bench_blocks_create(uint64_t seed, struct bench_shape shape,
                                         uint64_t blocks_max)
{
    struct bench_blocks *blocks = memory_alloc_zeroed(1, sizeof(*blocks));
    ensure(blocks != NULL);
    blocks->blocks_max = blocks_max;
    blocks->shared = bench_blocks_share(sizeof(*blocks->shared));
    blocks->memos = bench_blocks_share((blocks_max + 1) * sizeof(*blocks->memos));
    blocks->arena = bench_blocks_share((size_t)BENCH_SLICE_MAX * ARENA_BLOCK_MAX);
    if (blocks->shared == NULL || blocks->memos == NULL || blocks->arena == NULL) {
        bench_blocks_destroy(blocks);
        return NULL;
    }
    blocks->load = made_load_create(seed);
    made_load_set_shape(blocks->load, shape.transactions, shape.changes);
    return blocks;
}

static void unshare(void *shared, size_t size)
{
    if (shared != NULL) {
        (void)munmap(shared, size); /* a valid mapping */
    }
}

void bench_blocks_destroy(struct bench_blocks *blocks)
{
    if (blocks == NULL) {
        return;
    }
    unshare(blocks->shared, sizeof(*blocks->shared));
    unshare(blocks->memos, (blocks->blocks_max + 1) * sizeof(*blocks->memos));
    unshare(blocks->arena, (size_t)BENCH_SLICE_MAX * ARENA_BLOCK_MAX);
    made_load_destroy(blocks->load);
    made_load_block_deinit(&blocks->made);
    memory_free(blocks);
}

/* Room in the arena; what a block takes is bounded, so it is always there. */
static void *take(struct bench_blocks *blocks, size_t size)
{
    struct shared *shared = blocks->shared;
    size_t at = (shared->used + 15) / 16 * 16;
    ensure(at + size <= (size_t)BENCH_SLICE_MAX * ARENA_BLOCK_MAX);
    shared->used = at + size;
    return blocks->arena + at;
}

static struct stoa_bytes copy(struct bench_blocks *blocks, const void *data, size_t size)
{
    uint8_t *out = take(blocks, size);
    memcpy(out, data, size);
    return (struct stoa_bytes){out, size};
}

/* Where each transaction and each receipt is. */
static void find_parts(const struct made_load_block *made, struct bench_transaction *out)
{
    struct bytes block = buffer_bytes(&made->block), receipts = buffer_bytes(&made->receipts);
    const uint8_t *block_data = block.data, *receipts_data = receipts.data;
    struct bytes payload, header, transactions, list;
    ensure(rlp_read_list(&block, &payload, NULL) == 0);
    ensure(rlp_read_list(&payload, &header, NULL) == 0);
    ensure(rlp_read_list(&payload, &transactions, NULL) == 0);
    ensure(rlp_read_list(&receipts, &list, NULL) == 0);
    for (unsigned i = 0; i < made->transaction_count; i++) {
        struct bytes envelope, receipt;
        ensure(block_next_transaction(&transactions, &envelope, NULL) == 0);
        ensure(receipt_next(&list, &receipt, NULL) == 0);
        memcpy(out[i].hash, made->transaction_hashes[i], 32);
        out[i].envelope =
            (struct bench_part){(uint32_t)(envelope.data - block_data), (uint32_t)envelope.size};
        out[i].receipt =
            (struct bench_part){(uint32_t)(receipt.data - receipts_data), (uint32_t)receipt.size};
    }
}

static const struct stoa_change *copy_changes(struct bench_blocks *blocks)
{
    const struct made_load_block *made = &blocks->made;
    struct stoa_bytes state = copy(blocks, made->state.data, made->state.size);
    struct stoa_change *changes = take(blocks, made->change_count * sizeof(*changes));
    for (unsigned i = 0; i < made->change_count; i++) {
        const struct stoa_change *from = &made->changes[i];
        changes[i].key =
            (struct stoa_bytes){state.data + (from->key.data - made->state.data), from->key.size};
        changes[i].value = (struct stoa_bytes){state.data + (from->value.data - made->state.data),
                                               from->value.size};
    }
    return changes;
}

static struct bench_pick pick_of(const struct bench_block *block, size_t index)
{
    const struct bench_transaction *from = &block->transactions[index];
    struct bench_pick pick = {
        .sum = bench_sum(block->block.data + from->envelope.offset, from->envelope.size),
        .receipt_sum = bench_sum(block->receipts.data + from->receipt.offset, from->receipt.size),
    };
    memcpy(pick.hash, from->hash, 32);
    return pick;
}

static void remember(struct bench_blocks *blocks, const struct bench_block *block)
{
    struct bench_hot *hot = &blocks->shared->hot[block->number % BENCH_HOT_KEPT];
    for (size_t i = 0; i < block->transaction_count; i++) {
        hot->picks[i] = pick_of(block, i);
    }
    memcpy(hot->key_numbers, block->key_numbers, block->change_count * sizeof(hot->key_numbers[0]));
    if (block->number >= blocks->blocks_max) {
        return;
    }
    struct bench_memo *memo = &blocks->memos[block->number];
    memcpy(memo->hash, block->hash, 32);
    memo->sum = bench_sum(block->block.data, block->block.size);
    for (unsigned i = 0; i < BENCH_PICKS; i++) {
        memo->picks[i] = hot->picks[i * block->transaction_count / BENCH_PICKS];
    }
}

static void make_one(struct bench_blocks *blocks, struct bench_block *block)
{
    struct made_load_block *made = &blocks->made;
    made_load_make(blocks->load, blocks->shared->next++, blocks->parent_hash, made);
    made_load_index(made);
    memcpy(blocks->parent_hash, made->hash, 32);
    struct bench_transaction *transactions =
        take(blocks, made->transaction_count * sizeof(*transactions));
    find_parts(made, transactions);
    *block = (struct bench_block){
        .number = made->number,
        .logical_size = made_load_logical_size(made),
        .block = copy(blocks, made->block.data, made->block.size),
        .receipts = copy(blocks, made->receipts.data, made->receipts.size),
        .senders = copy(blocks, made->senders, 20 * (size_t)made->transaction_count),
        .transactions = transactions,
        .transaction_count = made->transaction_count,
        .changes = copy_changes(blocks),
        .change_count = made->change_count,
        .posting_count = made->postings.size / sizeof(struct posting),
    };
    memcpy(block->hash, made->hash, 32);
    block->key_numbers =
        (const void *)copy(blocks, made->key_numbers, made->change_count * sizeof(uint32_t)).data;
    block->postings = (const void *)copy(blocks, made->postings.data, made->postings.size).data;
    remember(blocks, block);
}

void bench_blocks_make(struct bench_blocks *blocks, size_t count)
{
    ensure(count <= BENCH_SLICE_MAX);
    blocks->shared->used = 0;
    blocks->shared->count = count;
    for (size_t i = 0; i < count; i++) {
        make_one(blocks, &blocks->shared->slice[i]);
    }
}

uint64_t bench_blocks_next(const struct bench_blocks *blocks)
{
    return blocks->shared->next;
}

const struct bench_block *bench_blocks_slice(const struct bench_blocks *blocks, size_t *out_count)
{
    *out_count = blocks->shared->count;
    return blocks->shared->slice;
}

void bench_blocks_touch(const struct bench_blocks *blocks)
{
    enum { PAGE = 4096 };
    volatile uint8_t seen = 0;
    for (size_t at = 0; at < blocks->shared->used; at += PAGE) {
        seen = blocks->arena[at];
    }
    (void)seen; /* reading was the purpose */
}

const struct bench_memo *bench_blocks_memo(const struct bench_blocks *blocks, uint64_t number)
{
    ensure(number < blocks->blocks_max);
    ensure(number < blocks->shared->next);
    return &blocks->memos[number];
}

const struct bench_hot *bench_blocks_hot(const struct bench_blocks *blocks, uint64_t number)
{
    ensure(number < blocks->shared->next);
    ensure(number + BENCH_HOT_KEPT >= blocks->shared->next);
    return &blocks->shared->hot[number % BENCH_HOT_KEPT];
}

void bench_blocks_key(const struct bench_blocks *blocks, uint32_t number, uint8_t out[32])
{
    made_load_key(blocks->load, number, out);
}
