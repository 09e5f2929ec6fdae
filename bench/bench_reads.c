/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_reads.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "support/made_random.h"

/* Percent of each kind, in the order of enum bench_kind. */
static const unsigned shares_hot[BENCH_KINDS] = {50, 20, 15, 15};
static const unsigned shares_cold[BENCH_KINDS] = {30, 30, 30, 10};

static enum bench_kind draw_kind(struct made_random *random, const unsigned shares[BENCH_KINDS])
{
    uint64_t drawn = made_random_below(random, 100);
    unsigned kind = 0;
    while (drawn >= shares[kind]) {
        drawn -= shares[kind++];
    }
    ensure(kind < BENCH_KINDS);
    return (enum bench_kind)kind;
}

static void set_pick(const struct bench_pick *pick, struct bench_read *read)
{
    memcpy(read->key, pick->hash, 32);
    read->sum = read->kind == BENCH_RECEIPT ? pick->receipt_sum : pick->sum;
}

static void set_state(const struct bench_blocks *blocks, const struct bench_kept *kept,
                      uint32_t key_number, struct bench_read *read)
{
    bench_blocks_key(blocks, key_number, read->key);
    read->sum = kept->state_sums[key_number];
}

static void set_block(const struct bench_blocks *blocks, uint64_t number, struct bench_read *read)
{
    const struct bench_memo *memo = bench_blocks_memo(blocks, number);
    memcpy(read->key, memo->hash, 32);
    read->sum = memo->sum;
}

/* What reads are chosen from. */
struct choice {
    const struct bench_blocks *blocks;
    const struct bench_kept *kept;
    uint64_t next; /* blocks below it are stored */
    /* By key number: it is about to change, so that nobody can say what a read brings. NULL: none
     * is. */
    uint8_t *changing;
};

static bool is_known(const struct choice *choice, uint32_t key_number)
{
    return choice->kept->state_sums[key_number] != 0 &&
           (choice->changing == NULL || choice->changing[key_number] == 0);
}

static void choose_hot(const struct choice *choice, struct made_random *random,
                       struct bench_read *read)
{
    const struct bench_blocks *blocks = choice->blocks;
    uint64_t newest = choice->next < BENCH_HOT_BLOCKS ? choice->next : BENCH_HOT_BLOCKS;
    uint64_t number = choice->next - 1 - made_random_below(random, newest);
    const struct bench_hot *hot = bench_blocks_hot(blocks, number);
    read->kind = draw_kind(random, shares_hot);
    if (read->kind == BENCH_STATE) {
        uint32_t key_number;
        do {
            key_number = hot->key_numbers[made_random_below(random, MADE_LOAD_CHANGES)];
        } while (!is_known(choice, key_number));
        set_state(blocks, choice->kept, key_number, read);
    } else if (read->kind == BENCH_BLOCK) {
        set_block(blocks, number, read);
    } else {
        set_pick(&hot->picks[made_random_below(random, MADE_LOAD_TRANSACTIONS)], read);
    }
}

static void choose_cold(const struct choice *choice, struct made_random *random,
                        struct bench_read *read)
{
    const struct bench_blocks *blocks = choice->blocks;
    uint64_t number = made_random_below(random, choice->kept->imported);
    read->kind = draw_kind(random, shares_cold);
    if (read->kind == BENCH_STATE) {
        uint32_t key_number;
        do {
            key_number = (uint32_t)made_random_below(random, MADE_LOAD_KEYS);
        } while (!is_known(choice, key_number));
        set_state(blocks, choice->kept, key_number, read);
    } else if (read->kind == BENCH_BLOCK) {
        set_block(blocks, number, read);
    } else {
        set_pick(&bench_blocks_memo(blocks, number)->picks[made_random_below(random, BENCH_PICKS)],
                 read);
    }
}

static void choose_of_slice(const struct bench_blocks *blocks, struct made_random *random,
                            struct bench_read *read)
{
    size_t count;
    const struct bench_block *slice = bench_blocks_slice(blocks, &count);
    const struct bench_block *block = &slice[made_random_below(random, count)];
    read->kind = BENCH_BLOCK;
    read->sum = bench_sum(block->block.data, block->block.size);
    memcpy(read->key, block->hash, 32);
}

static uint8_t *mark_changing(const struct bench_blocks *blocks)
{
    size_t count;
    const struct bench_block *slice = bench_blocks_slice(blocks, &count);
    uint8_t *changing = memory_alloc_zeroed(MADE_LOAD_KEYS, 1);
    ensure(changing != NULL);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < slice[i].change_count; k++) {
            changing[slice[i].key_numbers[k]] = 1;
        }
    }
    return changing;
}

void bench_reads_choose(const struct bench_blocks *blocks, const struct bench_kept *kept,
                        const struct bench_order *order, struct bench_read *out, size_t count)
{
    struct made_random random = made_random_of(order->salt, 5);
    struct choice choice = {.blocks = blocks, .kept = kept, .next = bench_blocks_next(blocks)};
    if (order->mix == BENCH_MIX_HALF) {
        size_t size;
        choice.next = bench_blocks_slice(blocks, &size)->number;
    }
    if (order->mix == BENCH_MIX_HALF || order->action == BENCH_CHECK) {
        choice.changing = mark_changing(blocks);
    }
    for (size_t i = 0; i < count; i++) {
        if (order->mix == BENCH_MIX_SLICE) {
            choose_of_slice(blocks, &random, &out[i]);
        } else if (order->mix == BENCH_MIX_COLD || (order->mix == BENCH_MIX_HALF && i % 2 == 1)) {
            choose_cold(&choice, &random, &out[i]);
        } else {
            choose_hot(&choice, &random, &out[i]);
        }
    }
    memory_free(choice.changing);
}
