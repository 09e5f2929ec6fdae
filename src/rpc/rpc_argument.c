/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_argument.h"

#include "base/ensure.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20, HASH_TEXT_SIZE = 2 + 2 * HASH_SIZE };

const json_t *rpc_argument_at(const struct rpc_call *call, size_t index)
{
    const json_t *value = json_array_get(call->params, index);
    return json_is_null(value) ? NULL : value;
}

static bool invalid(struct rpc_call *call, size_t index, const char *why)
{
    (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid argument %zu: %s", index, why);
    return false;
}

static bool missing(struct rpc_call *call, size_t index)
{
    (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "missing value for required argument %zu", index);
    return false;
}

static bool has_prefix(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

bool rpc_argument_fixed(struct rpc_call *call, size_t index, const json_t *value, size_t size,
                        const char *name, uint8_t *out)
{
    if (value == NULL) {
        return missing(call, index);
    }
    const char *text = json_string_value(value);
    if (text == NULL || !has_prefix(text)) {
        const char *what = text == NULL ? "non-string" : "hex string without 0x prefix";
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid argument %zu: json: cannot unmarshal %s into Go value of type "
                            "common.%s",
                            index, what, name);
        return false;
    }
    size_t length = strlen(text) - 2;
    if (length != 2 * size) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid argument %zu: hex string has length %zu, want %zu for "
                            "common.%s",
                            index, length, 2 * size, name);
        return false;
    }
    if (bytes_from_hex(text + 2, length, out, size) != (ptrdiff_t)size) {
        return invalid(call, index, "invalid hex string");
    }
    return true;
}

bool rpc_argument_hash(struct rpc_call *call, size_t index, uint8_t out[32])
{
    return rpc_argument_fixed(call, index, rpc_argument_at(call, index), HASH_SIZE, "Hash", out);
}

bool rpc_argument_address(struct rpc_call *call, size_t index, uint8_t out[20])
{
    return rpc_argument_fixed(call, index, rpc_argument_at(call, index), ADDRESS_SIZE, "Address",
                              out);
}

const char *rpc_argument_parse_quantity(const char *text, uint64_t *out)
{
    if (text[0] == '\0') {
        return "empty hex string";
    }
    if (!has_prefix(text)) {
        return "hex string without 0x prefix";
    }
    const char *digits = text + 2;
    if (digits[0] == '\0') {
        return "hex string \"0x\"";
    }
    if (digits[0] == '0' && digits[1] != '\0') {
        return "hex number with leading zero digits";
    }
    uint64_t value = 0;
    for (const char *p = digits; *p != '\0'; p++) {
        static const char all[] = "0123456789abcdef";
        char lower = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
        const char *found = strchr(all, lower);
        if (found == NULL) {
            return "invalid hex string";
        }
        if (value >> 60 != 0) {
            return "hex number > 64 bits";
        }
        value = value << 4 | (uint64_t)(found - all);
    }
    *out = value;
    return NULL;
}

bool rpc_argument_quantity(struct rpc_call *call, size_t index, uint64_t *out)
{
    const json_t *value = rpc_argument_at(call, index);
    if (value == NULL) {
        return missing(call, index);
    }
    const char *text = json_string_value(value);
    if (text == NULL) {
        return invalid(call, index, "a quantity is a text of 0x and hex digits");
    }
    const char *why = rpc_argument_parse_quantity(text, out);
    return why == NULL || invalid(call, index, why);
}

bool rpc_argument_number(struct rpc_call *call, size_t index, uint64_t *out)
{
    const json_t *value = rpc_argument_at(call, index);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    return rpc_argument_quantity(call, index, out);
}

bool rpc_argument_bool(struct rpc_call *call, size_t index, bool otherwise, bool *out)
{
    const json_t *value = rpc_argument_at(call, index);
    if (value != NULL && !json_is_boolean(value)) {
        return invalid(call, index, "neither true nor false");
    }
    *out = value == NULL ? otherwise : json_is_true(value);
    return true;
}

static bool parse_tag(const char *text, struct rpc_place *out)
{
    static const struct {
        const char *name;
        enum rpc_tag tag;
    } tags[] = {
        {"latest", RPC_LATEST}, {"pending", RPC_LATEST},      {"earliest", RPC_EARLIEST},
        {"safe", RPC_SAFE},     {"finalized", RPC_FINALIZED},
    };
    for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
        if (strcmp(text, tags[i].name) == 0) {
            out->tag = tags[i].tag;
            return true;
        }
    }
    return false;
}

/* {"blockNumber": …} or {"blockHash": …, "requireCanonical": …} */
static bool parse_object(struct rpc_call *call, size_t index, const json_t *value,
                         struct rpc_place *out)
{
    const json_t *number = json_object_get(value, "blockNumber");
    const json_t *hash = json_object_get(value, "blockHash");
    const json_t *canonical = json_object_get(value, "requireCanonical");
    if (number != NULL && hash != NULL) {
        return invalid(call, index,
                       "cannot specify both BlockHash and BlockNumber, choose one or the other");
    }
    if (canonical != NULL && !json_is_boolean(canonical)) {
        return invalid(call, index, "requireCanonical is neither true nor false");
    }
    out->require_canonical = json_is_true(canonical);
    if (hash != NULL) {
        out->tag = RPC_BY_HASH;
        return rpc_argument_fixed(call, index, hash, HASH_SIZE, "Hash", out->hash);
    }
    if (!json_is_string(number)) {
        return invalid(call, index, "neither blockHash nor blockNumber");
    }
    return rpc_argument_place(call, index, number, false, out);
}

bool rpc_argument_place(struct rpc_call *call, size_t index, const json_t *value, bool any_hash,
                        struct rpc_place *out)
{
    *out = (struct rpc_place){.tag = RPC_LATEST};
    if (value == NULL) {
        return true;
    }
    if (any_hash && json_is_object(value)) {
        return parse_object(call, index, value, out);
    }
    const char *text = json_string_value(value);
    if (text == NULL) {
        return invalid(call, index, "a block is a quantity or a tag");
    }
    if (parse_tag(text, out)) {
        return true;
    }
    if (any_hash && strlen(text) == HASH_TEXT_SIZE) {
        out->tag = RPC_BY_HASH;
        return rpc_argument_fixed(call, index, value, HASH_SIZE, "Hash", out->hash);
    }
    out->tag = RPC_BY_HEIGHT;
    const char *why = rpc_argument_parse_quantity(text, &out->height);
    if (why == NULL && out->height > INT64_MAX) {
        why = "block number larger than int64";
    }
    return why == NULL || invalid(call, index, why);
}

static bool known_tag(struct rpc_call *call, enum rpc_tag tag, struct stoa_block_key *out)
{
    struct stoa_head head;
    int result = stoa_get_head(call->stoa, &head);
    if (result != 0) {
        (void)rpc_call_fail_store(call, result, NULL, "head");
        return false;
    }
    bool safe = tag == RPC_SAFE;
    if (safe ? !head.has_safe : !head.has_finalized) {
        (void)rpc_call_fail(call, RPC_UNKNOWN_BLOCK, "%s block not found",
                            safe ? "safe" : "finalized");
        return false;
    }
    out->by = STOA_BY_HASH;
    memcpy(out->hash, safe ? head.safe_hash : head.finalized_hash, HASH_SIZE);
    return true;
}

bool rpc_argument_key(struct rpc_call *call, const struct rpc_place *place,
                      struct stoa_block_key *out)
{
    *out = (struct stoa_block_key){.by = STOA_LATEST};
    switch (place->tag) {
    case RPC_LATEST:
        return true;
    case RPC_EARLIEST:
        out->by = STOA_BY_HEIGHT;
        return true;
    case RPC_BY_HEIGHT:
        out->by = STOA_BY_HEIGHT;
        out->height = place->height;
        return true;
    case RPC_BY_HASH:
        out->by = STOA_BY_HASH;
        memcpy(out->hash, place->hash, HASH_SIZE);
        return true;
    case RPC_SAFE:
    case RPC_FINALIZED:
        return known_tag(call, place->tag, out);
    }
    ensure(false);
    return false;
}

bool rpc_argument_block(struct rpc_call *call, size_t index, bool any_hash,
                        struct stoa_block_key *out)
{
    struct rpc_place place;
    return rpc_argument_place(call, index, rpc_argument_at(call, index), any_hash, &place) &&
           rpc_argument_key(call, &place, out);
}
