/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_block.h"

#include "chain/keccak.h"
#include "render/json_block.h"
#include "rpc/rpc_argument.h"

enum { HASH_SIZE = 32 };

/* ---- getting at them ---- */

int rpc_block_get(struct rpc_call *call, const struct stoa_block_key *key, struct rpc_block *out)
{
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_block(call->stoa, key, &out->stored, &detail);
    if (result == STOA_ENOTFOUND) {
        return result;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "block");
    }
    struct error_detail why;
    if (block_decode(rpc_block_bytes(out->stored.block), &out->block, &why) != 0) {
        stoa_release(out->stored.view);
        return rpc_call_fail_render(call, &why, "block");
    }
    return 0;
}

void rpc_block_release(struct rpc_block *block)
{
    stoa_release(block->stored.view);
    block->stored.view = NULL;
}

int rpc_block_get_argument(struct rpc_call *call, size_t index, bool any_hash,
                           struct rpc_block *out)
{
    struct stoa_block_key key;
    if (!rpc_argument_block(call, index, any_hash, &key)) {
        return -1;
    }
    return rpc_block_get(call, &key, out);
}

int rpc_block_get_header(struct rpc_call *call, const struct stoa_block_key *key,
                         struct rpc_header *out)
{
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_header(call->stoa, key, &out->stored, &detail);
    if (result == STOA_ENOTFOUND) {
        return result;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "header");
    }
    struct error_detail why;
    if (header_decode(rpc_block_bytes(out->stored.header), &out->header, &why) != 0) {
        stoa_release(out->stored.view);
        return rpc_call_fail_render(call, &why, "header");
    }
    return 0;
}

/* What RESULT of getting a block is as an answer, where it is not 0: null, or the error told. */
static int answer_none(struct rpc_call *call, int result)
{
    if (result != STOA_ENOTFOUND) {
        return -1;
    }
    json_writer_null(call->writer, NULL);
    return 0;
}

/* The key of a hash as argument 0. */
static bool hash_key(struct rpc_call *call, struct stoa_block_key *out)
{
    *out = (struct stoa_block_key){.by = STOA_BY_HASH};
    return rpc_argument_hash(call, 0, out->hash);
}

/* Argument 0 as a height or tag, or with BY_HASH as a hash. */
static int get_first(struct rpc_call *call, bool by_hash, struct rpc_block *out)
{
    if (!by_hash) {
        return rpc_block_get_argument(call, 0, false, out);
    }
    struct stoa_block_key key;
    return hash_key(call, &key) ? rpc_block_get(call, &key, out) : -1;
}

/* ---- blocks ---- */

int rpc_block_number(struct rpc_call *call)
{
    struct stoa_head head;
    int result = stoa_get_head(call->stoa, &head);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "head");
    }
    json_writer_quantity(call->writer, NULL, head.height);
    return 0;
}

static int answer_block(struct rpc_call *call, bool by_hash)
{
    bool full;
    struct rpc_block found;
    if (!rpc_argument_bool(call, 1, false, &full)) {
        return -1;
    }
    int result = get_first(call, by_hash, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    struct json_block shown = {
        .block = &found.block,
        .senders = rpc_block_bytes(found.stored.senders),
        .full = full,
    };
    struct error_detail why;
    result = json_block_append(call->writer, NULL, &shown, &why);
    if (result != 0) {
        result = rpc_call_fail_render(call, &why, "block");
    }
    rpc_block_release(&found);
    return result;
}

int rpc_block_by_number(struct rpc_call *call)
{
    return answer_block(call, false);
}

int rpc_block_by_hash(struct rpc_call *call)
{
    return answer_block(call, true);
}

static int answer_count(struct rpc_call *call, bool by_hash, bool uncles)
{
    struct rpc_block found;
    int result = get_first(call, by_hash, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    json_writer_quantity(call->writer, NULL,
                         uncles ? found.block.uncle_count : found.block.transaction_count);
    rpc_block_release(&found);
    return 0;
}

int rpc_block_count_by_number(struct rpc_call *call)
{
    return answer_count(call, false, false);
}

int rpc_block_count_by_hash(struct rpc_call *call)
{
    return answer_count(call, true, false);
}

int rpc_block_uncle_count_by_number(struct rpc_call *call)
{
    return answer_count(call, false, true);
}

int rpc_block_uncle_count_by_hash(struct rpc_call *call)
{
    return answer_count(call, true, true);
}

/* ---- uncles ---- */

/* The INDEX-th uncle of BLOCK as a block without a body: STOA_ENOTFOUND, STOA_EINVAL. */
static int find_uncle(const struct block *block, uint64_t index, struct bytes *out_encoding,
                      struct error_detail *why)
{
    struct bytes cursor = block->uncles;
    struct bytes uncles;
    int result = rlp_read_list(&cursor, &uncles, why);
    for (uint64_t i = 0; result == 0 && uncles.size > 0; i++) {
        struct rlp_item uncle;
        result = rlp_read(&uncles, &uncle, why);
        if (result == 0 && i == index) {
            *out_encoding = uncle.encoding;
            return 0;
        }
    }
    return result != 0 ? result : STOA_ENOTFOUND;
}

static int answer_uncle(struct rpc_call *call, bool by_hash)
{
    uint64_t index;
    struct rpc_block found;
    if (!rpc_argument_quantity(call, 1, &index)) {
        return -1;
    }
    int result = get_first(call, by_hash, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    struct bytes encoding;
    struct header header;
    struct error_detail why;
    result = find_uncle(&found.block, index, &encoding, &why);
    if (result == 0) {
        result = header_decode(encoding, &header, &why);
    }
    if (result == 0) {
        uint8_t hash[HASH_SIZE];
        header_hash(&header, hash);
        json_block_append_uncle(call->writer, NULL, &header, hash);
    } else if (result == STOA_ENOTFOUND) {
        json_writer_null(call->writer, NULL);
        result = 0;
    } else {
        result = rpc_call_fail_render(call, &why, "uncle");
    }
    rpc_block_release(&found);
    return result;
}

int rpc_block_uncle_by_number(struct rpc_call *call)
{
    return answer_uncle(call, false);
}

int rpc_block_uncle_by_hash(struct rpc_call *call)
{
    return answer_uncle(call, true);
}

/* ---- encodings ---- */

int rpc_block_raw(struct rpc_call *call)
{
    struct rpc_block found;
    int result = rpc_block_get_argument(call, 0, true, &found);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "block not found") : -1;
    }
    json_writer_hex(call->writer, NULL, found.stored.block.data, found.stored.block.size);
    rpc_block_release(&found);
    return 0;
}

int rpc_block_raw_header(struct rpc_call *call)
{
    struct stoa_block_key key;
    struct rpc_header found;
    if (!rpc_argument_block(call, 0, true, &key)) {
        return -1;
    }
    int result = rpc_block_get_header(call, &key, &found);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "header not found") : -1;
    }
    json_writer_hex(call->writer, NULL, found.stored.header.data, found.stored.header.size);
    stoa_release(found.stored.view);
    return 0;
}

/* ---- headers ---- */

static int answer_header(struct rpc_call *call, const struct stoa_block_key *key)
{
    struct rpc_header found;
    int result = rpc_block_get_header(call, key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    json_block_append_header(call->writer, NULL, &found.header, found.stored.hash);
    stoa_release(found.stored.view);
    return 0;
}

int rpc_block_header_by_number(struct rpc_call *call)
{
    struct stoa_block_key key;
    return rpc_argument_block(call, 0, false, &key) ? answer_header(call, &key) : -1;
}

int rpc_block_header_by_hash(struct rpc_call *call)
{
    struct stoa_block_key key;
    return hash_key(call, &key) ? answer_header(call, &key) : -1;
}
