/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_explorer.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "render/json_block.h"
#include "render/json_receipt.h"
#include "render/wide.h"
#include "rpc/rpc_argument.h"
#include "rpc/rpc_state.h"
#include "rpc/rpc_transaction.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20, PAGE_MAX = 1000, LEVEL = 8 };

int rpc_explorer_level(struct rpc_call *call)
{
    json_writer_number(call->writer, NULL, LEVEL);
    return 0;
}

int rpc_explorer_has_code(struct rpc_call *call)
{
    uint8_t address[ADDRESS_SIZE];
    struct rpc_state_place place;
    struct stoa_bytes code = {.data = NULL};
    if (!rpc_argument_address(call, 0, address) || !rpc_state_place(call, 1, &place)) {
        return -1;
    }
    int result = rpc_state_get_code(call, address, place.height, &code);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return -1;
    }
    json_writer_bool(call->writer, NULL, result == 0 && code.size > 0);
    if (result == 0) {
        stoa_free((void *)(uintptr_t)code.data);
    }
    return rpc_state_still(call, &place) ? 0 : -1;
}

static int answer_none(struct rpc_call *call, int result)
{
    if (result != STOA_ENOTFOUND) {
        return -1;
    }
    json_writer_null(call->writer, NULL);
    return 0;
}

/* ---- a block ---- */

/* What the transactions of FOUND paid together for gas. */
static int sum_fees(struct rpc_call *call, const struct rpc_block *found, uint8_t out[32])
{
    struct receipt_walk walk;
    struct receipt_walk_step step;
    struct error_detail why;
    struct wide sum = wide_of(0);
    int result = receipt_walk_init(&walk, &found->block, rpc_block_bytes(found->stored.receipts),
                                   rpc_block_bytes(found->stored.senders), &why);
    while (result == 0) {
        result = receipt_walk_next(&walk, &step, &why);
        struct wide fee = wide_load(step.gas_price);
        if (result == 0 &&
            (!wide_multiply(&fee, step.gas_used, &fee) || !wide_add(&sum, &fee, &sum))) {
            result = error_set(&why, STOA_EINVAL, "more than 256 bits");
        }
    }
    if (result != STOA_ENOTFOUND) {
        return rpc_call_fail_render(call, &why, "fees");
    }
    wide_store(&sum, out);
    return 0;
}

/* What mining the block brought is a rule of the chain that is not stored: where there is proof of
 * work it is told as unknown, with zeros. */
static int write_details(struct rpc_call *call, const struct rpc_block *found)
{
    uint8_t fees[32];
    struct error_detail why;
    struct json_block shown = {
        .block = &found->block,
        .senders = rpc_block_bytes(found->stored.senders),
        .total_difficulty = found->stored.total_difficulty,
        .counted = true,
    };
    if (!rpc_transaction_has_receipts(call, found) || sum_fees(call, found, fees) != 0) {
        return -1;
    }
    json_writer_object_begin(call->writer, NULL);
    if (json_block_append(call->writer, "block", &shown, &why) != 0) {
        return rpc_call_fail_render(call, &why, "block");
    }
    json_writer_object_begin(call->writer, "issuance");
    json_writer_quantity(call->writer, "blockReward", 0);
    json_writer_quantity(call->writer, "uncleReward", 0);
    json_writer_quantity(call->writer, "issuance", 0);
    json_writer_object_end(call->writer);
    json_writer_quantity256(call->writer, "totalFees", fees);
    json_writer_object_end(call->writer);
    return 0;
}

static int answer_details(struct rpc_call *call, const struct stoa_block_key *key)
{
    struct rpc_block found;
    int result = rpc_block_get(call, key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = write_details(call, &found);
    rpc_block_release(&found);
    return result;
}

/* Argument INDEX as a height, plain or as a quantity, or a tag. */
static bool read_block(struct rpc_call *call, size_t index, struct stoa_block_key *out)
{
    *out = (struct stoa_block_key){.by = STOA_BY_HEIGHT};
    return json_is_integer(rpc_argument_at(call, index))
               ? rpc_argument_number(call, index, &out->height)
               : rpc_argument_block(call, index, false, out);
}

int rpc_explorer_details(struct rpc_call *call)
{
    struct stoa_block_key key;
    return read_block(call, 0, &key) ? answer_details(call, &key) : -1;
}

int rpc_explorer_details_by_hash(struct rpc_call *call)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    return rpc_argument_hash(call, 0, key.hash) ? answer_details(call, &key) : -1;
}

/* Receipts FIRST to FIRST + COUNT of a block, as an array under KEY. */
static int write_receipts(struct rpc_call *call, const char *key, const struct rpc_block *found,
                          size_t first, size_t count)
{
    struct receipt_walk walk;
    struct receipt_walk_step step;
    struct error_detail why;
    int result = receipt_walk_init(&walk, &found->block, rpc_block_bytes(found->stored.receipts),
                                   rpc_block_bytes(found->stored.senders), &why);
    json_writer_array_begin(call->writer, key);
    while (result == 0) {
        result = receipt_walk_next(&walk, &step, &why);
        if (result == 0 && step.index >= first && step.index - first < count) {
            result = json_receipt_append(call->writer, NULL, &step, &why);
        }
    }
    if (result != STOA_ENOTFOUND) {
        return rpc_call_fail_render(call, &why, "receipts");
    }
    json_writer_array_end(call->writer);
    return 0;
}

/* A page of a block's transactions: page 0 has its last ones. */
static int write_page(struct rpc_call *call, const struct rpc_block *found, uint64_t page,
                      uint64_t page_size)
{
    uint64_t count = found->block.transaction_count;
    uint64_t skipped = page > count / page_size ? count : page * page_size;
    uint64_t end = skipped < count ? count - skipped : 0;
    uint64_t first = end > page_size ? end - page_size : 0;
    struct error_detail why;
    struct json_block shown = {
        .block = &found->block,
        .senders = rpc_block_bytes(found->stored.senders),
        .total_difficulty = found->stored.total_difficulty,
        .full = true,
        .counted = true,
        .first = (size_t)first,
        .count = (size_t)(end - first),
    };
    json_writer_object_begin(call->writer, NULL);
    if (json_block_append(call->writer, "fullblock", &shown, &why) != 0) {
        return rpc_call_fail_render(call, &why, "block");
    }
    if (write_receipts(call, "receipts", found, shown.first, shown.count) != 0) {
        return -1;
    }
    json_writer_object_end(call->writer);
    return 0;
}

/* Argument INDEX as the size of a page. */
static bool read_page_size(struct rpc_call *call, size_t index, uint64_t *out)
{
    if (!rpc_argument_number(call, index, out)) {
        return false;
    }
    if (*out == 0 || *out > PAGE_MAX) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid argument %zu: a page has 1 to %d entries", index, PAGE_MAX);
        return false;
    }
    return true;
}

int rpc_explorer_transactions(struct rpc_call *call)
{
    struct stoa_block_key key;
    uint64_t page;
    uint64_t page_size;
    struct rpc_block found;
    if (!read_block(call, 0, &key) || !rpc_argument_number(call, 1, &page) ||
        !read_page_size(call, 2, &page_size)) {
        return -1;
    }
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    result =
        rpc_transaction_has_receipts(call, &found) ? write_page(call, &found, page, page_size) : -1;
    rpc_block_release(&found);
    return result;
}

/* ---- an address ---- */

/* Transactions of an address: at least a page of them, and all of the last block. */
struct search {
    struct stoa_history_query query;
    uint64_t page_size;
    size_t count;
    bool more;
    struct stoa_history_entry *entries; /* owned: COUNT of them, memory_free */
};

static int add_entries(struct rpc_call *call, struct search *search,
                       const struct stoa_history *found, bool *out_full)
{
    struct stoa_history_entry *grown = memory_resize(
        search->entries, (search->count + found->count + 1) * sizeof(*search->entries));
    if (grown == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    search->entries = grown;
    for (size_t i = 0; i < found->count; i++) {
        const struct stoa_history_entry *entry = &found->entries[i];
        if (entry->roles == STOA_ROLE_WITHDRAWAL) {
            continue; /* no transaction */
        }
        if (search->count >= search->page_size &&
            entry->height != grown[search->count - 1].height) {
            *out_full = true;
            return 0;
        }
        grown[search->count++] = *entry;
    }
    return 0;
}

static int find_entries(struct rpc_call *call, struct search *search)
{
    bool full = false;
    bool more = true;
    int result = 0;
    search->query.limit = (unsigned)search->page_size + 1;
    while (result == 0 && more && !full) {
        struct stoa_history found;
        struct stoa_detail detail = {.code = 0};
        search->query.time_ms = rpc_call_rest_ms(call);
        if (!rpc_call_go_on(call)) {
            return -1;
        }
        result = stoa_get_address_transactions(call->stoa, &search->query, &found, &detail);
        if (result != 0) {
            return rpc_call_fail_store(call, result, &detail, "transactions");
        }
        result = add_entries(call, search, &found, &full);
        more = found.more != 0;
        search->query.cursor = found.cursor;
        stoa_free(found.entries);
    }
    search->more = full;
    return result;
}

/* Write transaction I of what was found, or its receipt. */
static int write_found(struct rpc_call *call, const struct stoa_history_entry *entry, bool receipt)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct rpc_block found;
    memcpy(key.hash, entry->block_hash, HASH_SIZE);
    if (!rpc_call_go_on(call)) {
        return -1;
    }
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "block not found") : -1;
    }
    if (!receipt) {
        result = rpc_transaction_write(call, &found, entry->index);
    } else if (rpc_transaction_has_receipts(call, &found)) {
        result = rpc_transaction_write_receipt(call, &found, entry->index);
    } else {
        result = -1;
    }
    rpc_block_release(&found);
    return result;
}

/* Newest first, whatever order they were looked for in. */
static int write_search(struct rpc_call *call, const struct search *search)
{
    bool after = search->query.oldest_first != 0;
    int result = 0;
    json_writer_object_begin(call->writer, NULL);
    for (int receipts = 0; receipts < 2 && result == 0; receipts++) {
        json_writer_array_begin(call->writer, receipts != 0 ? "receipts" : "txs");
        for (size_t i = 0; i < search->count && result == 0; i++) {
            size_t at = after ? search->count - 1 - i : i;
            result = write_found(call, &search->entries[at], receipts != 0);
        }
        if (result == 0) {
            json_writer_array_end(call->writer);
        }
    }
    if (result != 0) {
        return -1;
    }
    bool at_head = after ? !search->more : search->query.to == UINT64_MAX;
    bool at_end = after ? search->query.from == 0 : !search->more;
    json_writer_bool(call->writer, "firstPage", at_head);
    json_writer_bool(call->writer, "lastPage", at_end);
    json_writer_object_end(call->writer);
    return 0;
}

static int answer_search(struct rpc_call *call, bool after)
{
    struct search search = {.query = STOA_HISTORY_QUERY_INIT};
    uint64_t height;
    if (!rpc_argument_address(call, 0, search.query.address) ||
        !rpc_argument_number(call, 1, &height) || !read_page_size(call, 2, &search.page_size)) {
        return -1;
    }
    search.query.oldest_first = after;
    if (after && height != 0) {
        search.query.from = height == UINT64_MAX ? height : height + 1;
    } else if (!after && height != 0) {
        search.query.to = height - 1; /* 0: from the newest on */
    }
    int result = find_entries(call, &search);
    if (result == 0) {
        result = write_search(call, &search);
    }
    memory_free(search.entries);
    return result;
}

int rpc_explorer_search_before(struct rpc_call *call)
{
    return answer_search(call, false);
}

int rpc_explorer_search_after(struct rpc_call *call)
{
    return answer_search(call, true);
}

/* ---- looking for a height ---- */

/* The lowest height from 0 to LAST where REACHED says so; LAST + 1 where it does nowhere. -1: the
 * error is told. */
typedef int reached_function(struct rpc_call *call, uint64_t height, const void *what);

static int search_heights(struct rpc_call *call, uint64_t last, reached_function *reached,
                          const void *what, uint64_t *out)
{
    uint64_t low = 0;
    uint64_t high = last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int result = rpc_call_go_on(call) ? reached(call, middle, what) : -1;
        if (result < 0) {
            return -1;
        }
        if (result > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *out = low;
    return 0;
}

static int get_head(struct rpc_call *call, struct stoa_head *out)
{
    int result = stoa_get_head(call->stoa, out);
    if (result == 0 && out->empty) {
        result = STOA_ENOTFOUND;
    }
    return result == 0 ? 0 : rpc_call_fail_store(call, result, NULL, "head");
}

struct nonce_asked {
    uint8_t address[ADDRESS_SIZE];
    uint64_t nonce;
};

static int has_sent(struct rpc_call *call, uint64_t height, const void *what)
{
    const struct nonce_asked *asked = what;
    struct stoa_account account;
    int result = rpc_state_get_account(call, asked->address, height, &account);
    return result == 0 ? account.nonce > asked->nonce : result;
}

/* Write the hash of the transaction of BLOCK that was asked for, or null. */
static int write_sent(struct rpc_call *call, const struct rpc_block *found,
                      const struct nonce_asked *asked)
{
    struct bytes cursor = found->block.transactions;
    struct bytes senders = rpc_block_bytes(found->stored.senders);
    struct error_detail why;
    for (size_t i = 0; i < found->block.transaction_count; i++) {
        struct bytes envelope;
        struct transaction transaction;
        int result = block_next_transaction(&cursor, &envelope, &why);
        if (result == 0) {
            result = transaction_decode(envelope, &transaction, &why);
        }
        if (result != 0) {
            return rpc_call_fail_render(call, &why, "transaction");
        }
        bool sent = senders.size >= (i + 1) * ADDRESS_SIZE &&
                    memcmp(senders.data + i * ADDRESS_SIZE, asked->address, ADDRESS_SIZE) == 0;
        if (sent && transaction.nonce == asked->nonce) {
            uint8_t hash[HASH_SIZE];
            transaction_hash(envelope, hash);
            json_writer_hex(call->writer, NULL, hash, HASH_SIZE);
            return 0;
        }
    }
    json_writer_null(call->writer, NULL);
    return 0;
}

int rpc_explorer_by_nonce(struct rpc_call *call)
{
    struct nonce_asked asked;
    struct stoa_head head;
    struct rpc_block found;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT};
    if (!rpc_argument_address(call, 0, asked.address) ||
        !rpc_argument_number(call, 1, &asked.nonce) || get_head(call, &head) != 0 ||
        search_heights(call, head.height, has_sent, &asked, &key.height) != 0) {
        return -1;
    }
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = write_sent(call, &found, &asked);
    rpc_block_release(&found);
    return result;
}

int rpc_explorer_creator(struct rpc_call *call)
{
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history found;
    struct stoa_detail detail = {.code = 0};
    struct rpc_block block;
    size_t index;
    query.roles = STOA_ROLE_CREATED;
    query.limit = 1;
    query.time_ms = rpc_call_rest_ms(call);
    if (!rpc_argument_address(call, 0, query.address)) {
        return -1;
    }
    int result = stoa_get_address_transactions(call->stoa, &query, &found, &detail);
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "transactions");
    }
    uint8_t hash[HASH_SIZE] = {0};
    bool created = found.count > 0;
    if (created) {
        memcpy(hash, found.entries[0].transaction_hash, HASH_SIZE);
    }
    stoa_free(found.entries);
    result = created ? rpc_transaction_find(call, hash, &block, &index) : STOA_ENOTFOUND;
    if (result != 0) {
        return answer_none(call, result);
    }
    struct bytes senders = rpc_block_bytes(block.stored.senders);
    bool known = senders.size >= (index + 1) * ADDRESS_SIZE;
    json_writer_object_begin(call->writer, NULL);
    json_writer_hex(call->writer, "hash", hash, HASH_SIZE);
    json_writer_hex_or_null(call->writer, "creator",
                            known ? senders.data + index * ADDRESS_SIZE : NULL, ADDRESS_SIZE);
    json_writer_object_end(call->writer);
    rpc_block_release(&block);
    return 0;
}

/* ---- erigon_ ---- */

static int is_later(struct rpc_call *call, uint64_t height, const void *what)
{
    const uint64_t *timestamp = what;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct rpc_header found;
    int result = rpc_block_get_header(call, &key, &found);
    if (result == STOA_ENOTFOUND) {
        return 1;
    }
    if (result != 0) {
        return -1;
    }
    bool later = found.header.timestamp > *timestamp;
    stoa_release(found.stored.view);
    return later;
}

/* The newest block that is not later than the time asked for. */
int rpc_explorer_by_timestamp(struct rpc_call *call)
{
    uint64_t timestamp;
    uint64_t height;
    bool full;
    struct stoa_head head;
    struct rpc_block found;
    struct error_detail why;
    if (!rpc_argument_number(call, 0, &timestamp) || !rpc_argument_bool(call, 1, false, &full) ||
        get_head(call, &head) != 0 ||
        search_heights(call, head.height, is_later, &timestamp, &height) != 0) {
        return -1;
    }
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height == 0 ? 0 : height - 1};
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    struct json_block shown = {
        .block = &found.block,
        .senders = rpc_block_bytes(found.stored.senders),
        .full = full,
    };
    result = json_block_append(call->writer, NULL, &shown, &why);
    if (result != 0) {
        result = rpc_call_fail_render(call, &why, "block");
    }
    rpc_block_release(&found);
    return result;
}

int rpc_explorer_receipts_by_hash(struct rpc_call *call)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct rpc_block found;
    if (!rpc_argument_hash(call, 0, key.hash)) {
        return -1;
    }
    int result = rpc_block_get(call, &key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = rpc_transaction_has_receipts(call, &found)
                 ? rpc_transaction_write_receipts(call, &found)
                 : -1;
    rpc_block_release(&found);
    return result;
}
