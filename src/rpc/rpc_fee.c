/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_fee.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "render/fees.h"
#include "render/receipt_walk.h"
#include "render/wide.h"
#include "rpc/rpc_argument.h"
#include "rpc/rpc_block.h"
#include "rpc/rpc_config.h"

enum {
    PRICE_SIZE = 32,
    ELASTICITY = 2,      /* a block's gas limit over its target */
    BASE_FEE_CHANGE = 8, /* one part in so many that the base fee moves at most */
    HISTORY_MAX = 1024,  /* blocks of eth_feeHistory */
    PERCENTILES_MAX = 100,
    TIP_BLOCKS = 20,     /* whose tips are looked at for a suggestion, */
    TIPS_A_BLOCK = 3,    /* the lowest of each, */
    TIP_PERCENTILE = 60, /* of all of which this one is it */
};

#define GWEI UINT64_C(1000000000)

static void store_number(uint64_t value, uint8_t out[PRICE_SIZE])
{
    struct wide wide = wide_of(value);
    wide_store(&wide, out);
}

/* ---- base fees ---- */

bool rpc_fee_next_base(const struct header *header, uint8_t out[32])
{
    uint64_t target = header->gas_limit / ELASTICITY;
    if (header->field_count <= HEADER_FIELDS_MIN || target == 0) {
        return false;
    }
    bool rises = header->gas_used > target;
    uint64_t distance = rises ? header->gas_used - target : target - header->gas_used;
    struct wide base = wide_load(header->base_fee);
    struct wide step;
    if (!wide_multiply(&base, distance, &step)) {
        return false;
    }
    (void)wide_divide(&step, target, &step);
    (void)wide_divide(&step, BASE_FEE_CHANGE, &step);
    if (rises && wide_is_zero(&step)) {
        step = wide_of(1);
    }
    if (distance != 0 && rises) {
        if (!wide_add(&base, &step, &base)) {
            return false;
        }
    } else if (distance != 0) {
        wide_subtract(&base, &step, &base);
    }
    wide_store(&base, out);
    return true;
}

/* The same, also for the last block before London. OUT is zero before that. */
static void next_base(struct rpc_call *call, const struct header *header, uint8_t out[PRICE_SIZE])
{
    uint64_t first;
    memset(out, 0, PRICE_SIZE);
    if (!rpc_fee_next_base(header, out) && rpc_config_london(call, &first) &&
        header->number + 1 == first) {
        store_number(GWEI, out);
    }
}

static bool is_zero(const uint8_t price[PRICE_SIZE])
{
    struct wide wide = wide_load(price);
    return wide_is_zero(&wide);
}

/* The header of the head: released by the caller. */
static int get_head(struct rpc_call *call, struct rpc_header *out)
{
    struct stoa_block_key key = {.by = STOA_LATEST};
    int result = rpc_block_get_header(call, &key, out);
    return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "the store is empty")
                                    : result;
}

int rpc_fee_base(struct rpc_call *call)
{
    struct rpc_header head;
    uint8_t price[PRICE_SIZE];
    if (get_head(call, &head) != 0) {
        return -1;
    }
    next_base(call, &head.header, price);
    stoa_release(head.stored.view);
    if (is_zero(price)) {
        json_writer_null(call->writer, NULL);
    } else {
        json_writer_quantity256(call->writer, NULL, price);
    }
    return 0;
}

int rpc_fee_blob_base(struct rpc_call *call)
{
    struct rpc_header head;
    uint8_t price[PRICE_SIZE];
    if (get_head(call, &head) != 0) {
        return -1;
    }
    bool known = rpc_config_blob_price(call, &head.header, price);
    stoa_release(head.stored.view);
    if (known) {
        json_writer_quantity256(call->writer, NULL, price);
    } else {
        json_writer_null(call->writer, NULL);
    }
    return 0;
}

/* ---- what transactions paid on top ---- */

struct paid {
    uint8_t tip[PRICE_SIZE]; /* for a unit of gas, above the base fee */
    uint64_t gas_used;       /* 0 where it was not asked for */
};

static int compare_paid(const void *a, const void *b)
{
    return memcmp(((const struct paid *)a)->tip, ((const struct paid *)b)->tip, PRICE_SIZE);
}

static void tip_of(const struct header *header, const uint8_t price[PRICE_SIZE],
                   uint8_t out[PRICE_SIZE])
{
    struct wide tip = wide_load(price);
    struct wide base = wide_load(header->base_fee);
    if (header->field_count <= HEADER_FIELDS_MIN) {
        base = wide_of(0);
    }
    if (wide_compare(&tip, &base) < 0) {
        base = tip;
    }
    wide_subtract(&tip, &base, &tip);
    wide_store(&tip, out);
}

/* What the transactions of FOUND paid, the least first: *OUT is memory_free'd. With GAS also what
 * each used, for which receipts must be there. */
static int get_paid(struct rpc_call *call, const struct rpc_block *found, bool gas,
                    struct paid **out)
{
    const struct block *block = &found->block;
    struct bytes cursor = block->transactions;
    struct receipt_walk walk;
    struct receipt_walk_step step = {.gas_used = 0};
    struct error_detail why;
    struct paid *paid = memory_alloc_zeroed(block->transaction_count + 1, sizeof(*paid));
    if (paid == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    int result = gas ? receipt_walk_init(&walk, block, rpc_block_bytes(found->stored.receipts),
                                         rpc_block_bytes(found->stored.senders), &why)
                     : 0;
    for (size_t i = 0; i < block->transaction_count && result == 0; i++) {
        struct bytes envelope;
        struct transaction transaction;
        uint8_t price[PRICE_SIZE];
        if (gas) {
            result = receipt_walk_next(&walk, &step, &why);
            memcpy(price, step.gas_price, PRICE_SIZE);
        } else {
            result = block_next_transaction(&cursor, &envelope, &why);
            result = result == 0 ? transaction_decode(envelope, &transaction, &why) : result;
            if (result == 0) {
                fees_gas_price(&transaction, &block->header, price);
            }
        }
        if (result == 0) {
            tip_of(&block->header, price, paid[i].tip);
            paid[i].gas_used = step.gas_used;
        }
    }
    if (result != 0) {
        memory_free(paid);
        return rpc_call_fail_render(call, &why, "block");
    }
    qsort(paid, block->transaction_count, sizeof(*paid), compare_paid);
    *out = paid;
    return 0;
}

/* ---- suggestions ---- */

/* Add the lowest tips of the block at KEY to TIPS; *OUT_PARENT is its parent's hash. */
static int gather_tips(struct rpc_call *call, const struct stoa_block_key *key, struct paid *tips,
                       size_t *count, uint8_t out_parent[32])
{
    struct rpc_block found;
    struct paid *paid;
    int result = rpc_block_get(call, key, &found);
    if (result != 0) {
        return result;
    }
    result = get_paid(call, &found, false, &paid);
    if (result == 0) {
        size_t taken = 0;
        for (size_t i = 0; i < found.block.transaction_count && taken < TIPS_A_BLOCK; i++) {
            if (!is_zero(paid[i].tip)) {
                tips[(*count)++] = paid[i];
                taken++;
            }
        }
        memory_free(paid);
        memcpy(out_parent, found.block.header.parent_hash, 32);
    }
    rpc_block_release(&found);
    return result;
}

/* A tip that lets a transaction into one of the next blocks, as far as the last ones tell: 1 gwei
 * where none of them has any. */
static int suggest_tip(struct rpc_call *call, uint8_t out[PRICE_SIZE])
{
    struct paid tips[TIP_BLOCKS * TIPS_A_BLOCK];
    size_t count = 0;
    struct stoa_block_key key = {.by = STOA_LATEST};
    int result = 0;
    for (int i = 0; i < TIP_BLOCKS && result == 0; i++) {
        uint8_t parent[32];
        result = gather_tips(call, &key, tips, &count, parent);
        if (result == 0) {
            key.by = STOA_BY_HASH;
            memcpy(key.hash, parent, sizeof(parent));
        }
    }
    if (result != 0 && result != STOA_ENOTFOUND) {
        return -1;
    }
    store_number(GWEI, out);
    if (count > 0) {
        qsort(tips, count, sizeof(*tips), compare_paid);
        memcpy(out, tips[(count - 1) * TIP_PERCENTILE / 100].tip, PRICE_SIZE);
    }
    return 0;
}

int rpc_fee_priority(struct rpc_call *call)
{
    uint8_t tip[PRICE_SIZE];
    if (suggest_tip(call, tip) != 0) {
        return -1;
    }
    json_writer_quantity256(call->writer, NULL, tip);
    return 0;
}

int rpc_fee_gas_price(struct rpc_call *call)
{
    struct rpc_header head;
    uint8_t price[PRICE_SIZE];
    if (suggest_tip(call, price) != 0 || get_head(call, &head) != 0) {
        return -1;
    }
    struct wide sum = wide_load(price);
    if (head.header.field_count > HEADER_FIELDS_MIN) {
        struct wide base = wide_load(head.header.base_fee);
        (void)wide_add(&sum, &base, &sum); /* past 256 bits nobody pays anyway */
    }
    stoa_release(head.stored.view);
    wide_store(&sum, price);
    json_writer_quantity256(call->writer, NULL, price);
    return 0;
}

/* ---- history ---- */

struct history {
    uint64_t count;
    uint64_t oldest;
    size_t percentile_count;
    double percentiles[PERCENTILES_MAX];
    struct rpc_fee_block {
        uint8_t base[PRICE_SIZE];
        uint8_t blob[PRICE_SIZE];
        double gas_ratio;
        double blob_ratio;
    } blocks[HISTORY_MAX + 1];      /* and the one to come */
    uint8_t (*rewards)[PRICE_SIZE]; /* COUNT times PERCENTILE_COUNT */
};

static bool read_percentiles(struct rpc_call *call, struct history *out)
{
    const json_t *list = rpc_argument_at(call, 2);
    size_t count = json_array_size(list);
    if ((list != NULL && !json_is_array(list)) || count > PERCENTILES_MAX) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid reward percentile: not an array of at most %d numbers",
                            PERCENTILES_MAX);
        return false;
    }
    out->percentile_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        double percentile = json_number_value(value);
        if (!json_is_number(value) || percentile < 0 || percentile > 100 ||
            (i > 0 && percentile < out->percentiles[i - 1])) {
            (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid reward percentile: %f",
                                percentile);
            return false;
        }
        out->percentiles[i] = percentile;
    }
    return true;
}

/* Which blocks: COUNT of them up to the one that argument 1 names. */
static bool read_range(struct rpc_call *call, struct history *out)
{
    uint64_t count;
    struct stoa_block_key key;
    struct stoa_header newest;
    struct stoa_head head;
    if (!rpc_argument_number(call, 0, &count) || !rpc_argument_block(call, 1, false, &key)) {
        return false;
    }
    int result = stoa_get_head(call->stoa, &head);
    if (result == 0 && key.by == STOA_BY_HEIGHT && key.height > head.height) {
        (void)rpc_call_fail(call, RPC_FAILED,
                            "request beyond head block: requested %llu, head %llu",
                            (unsigned long long)key.height, (unsigned long long)head.height);
        return false;
    }
    if (result == 0) {
        result = stoa_get_header(call->stoa, &key, &newest, NULL);
    }
    if (result != 0) {
        (void)rpc_call_fail_store(call, result, NULL, "newest block");
        return false;
    }
    stoa_release(newest.view);
    count = count < HISTORY_MAX ? count : HISTORY_MAX;
    out->count = count <= newest.height ? count : newest.height + 1;
    out->oldest = newest.height + 1 - out->count;
    return true;
}

/* What transactions of FOUND paid at each of the percentiles of its gas. */
static int fill_rewards(struct rpc_call *call, const struct rpc_block *found,
                        const struct history *history, uint8_t (*out)[PRICE_SIZE])
{
    struct paid *paid;
    if (found->stored.receipts.data == NULL && found->block.transaction_count > 0) {
        return rpc_call_fail(call, RPC_FAILED, "receipts of block %llu are not %s",
                             (unsigned long long)found->stored.height,
                             found->stored.receipts_pruned != 0 ? "kept any more" : "stored");
    }
    if (get_paid(call, found, true, &paid) != 0) {
        return -1;
    }
    size_t last = found->block.transaction_count;
    size_t at = 0;
    uint64_t gas = paid[0].gas_used; /* there is one more than transactions */
    for (size_t i = 0; i < history->percentile_count && last > 0; i++) {
        double share = (double)found->block.header.gas_used * history->percentiles[i] / 100;
        while (gas < (uint64_t)share && at + 1 < last) {
            gas += paid[++at].gas_used;
        }
        memcpy(out[i], paid[at].tip, PRICE_SIZE);
    }
    memory_free(paid);
    return 0;
}

static int fill_block(struct rpc_call *call, struct history *history, uint64_t index)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = history->oldest + index};
    struct rpc_fee_block *out = &history->blocks[index];
    struct rpc_block found;
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "block not found") : -1;
    }
    const struct header *header = &found.block.header;
    if (header->field_count > HEADER_FIELDS_MIN) {
        memcpy(out->base, header->base_fee, PRICE_SIZE);
    }
    (void)rpc_config_blob_price(call, header, out->blob);
    out->gas_ratio =
        header->gas_limit == 0 ? 0 : (double)header->gas_used / (double)header->gas_limit;
    out->blob_ratio = rpc_config_blob_ratio(call, header);
    next_base(call, header, history->blocks[index + 1].base);
    rpc_config_next_blob_price(call, header, history->blocks[index + 1].blob);
    if (history->percentile_count > 0) {
        result = fill_rewards(call, &found, history,
                              history->rewards + index * history->percentile_count);
    }
    rpc_block_release(&found);
    return result;
}

static void write_history(struct json_writer *writer, const struct history *history)
{
    json_writer_object_begin(writer, NULL);
    json_writer_quantity(writer, "oldestBlock", history->oldest);
    if (history->percentile_count > 0) {
        json_writer_array_begin(writer, "reward");
        for (uint64_t i = 0; i < history->count; i++) {
            json_writer_array_begin(writer, NULL);
            for (size_t j = 0; j < history->percentile_count; j++) {
                json_writer_quantity256(writer, NULL,
                                        history->rewards[i * history->percentile_count + j]);
            }
            json_writer_array_end(writer);
        }
        json_writer_array_end(writer);
    }
    uint64_t with_next = history->count > 0 ? history->count + 1 : 0;
    json_writer_array_begin(writer, "baseFeePerGas");
    for (uint64_t i = 0; i < with_next; i++) {
        json_writer_quantity256(writer, NULL, history->blocks[i].base);
    }
    json_writer_array_end(writer);
    json_writer_array_begin(writer, "gasUsedRatio");
    for (uint64_t i = 0; i < history->count; i++) {
        json_writer_double(writer, NULL, history->blocks[i].gas_ratio);
    }
    json_writer_array_end(writer);
    json_writer_array_begin(writer, "baseFeePerBlobGas");
    for (uint64_t i = 0; i < with_next; i++) {
        json_writer_quantity256(writer, NULL, history->blocks[i].blob);
    }
    json_writer_array_end(writer);
    json_writer_array_begin(writer, "blobGasUsedRatio");
    for (uint64_t i = 0; i < history->count; i++) {
        json_writer_double(writer, NULL, history->blocks[i].blob_ratio);
    }
    json_writer_array_end(writer);
    json_writer_object_end(writer);
}

static int answer_history(struct rpc_call *call, struct history *history)
{
    if (!read_percentiles(call, history) || !read_range(call, history)) {
        return -1;
    }
    history->rewards = memory_alloc_zeroed(history->count * history->percentile_count + 1,
                                           sizeof(*history->rewards));
    if (history->rewards == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    for (uint64_t i = 0; i < history->count; i++) {
        if (!rpc_call_go_on(call) || fill_block(call, history, i) != 0) {
            return -1;
        }
    }
    write_history(call->writer, history);
    return 0;
}

int rpc_fee_history(struct rpc_call *call)
{
    struct history *history = memory_alloc_zeroed(1, sizeof(*history));
    if (history == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    int result = answer_history(call, history);
    memory_free(history->rewards);
    memory_free(history);
    return result;
}
