/* SPDX-License-Identifier: GPL-3.0-or-later */
/* As geth reads a genesis file: the names of members are compared without case, null is the same as
 * absent, numbers are JSON numbers or strings of decimal or 0x-hex digits, members it does not know
 * are ignored. Stricter in one thing: a stateRoot that is given must be that of the alloc. */
#include "chain/genesis.h"

#include <inttypes.h>
#include <jansson.h>
#include <strings.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak.h"
#include "chain/rlp.h"
#include "chain/trie.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20, BLOOM_SIZE = 256, NONCE_SIZE = 8 };

#define DEFAULT_GAS_LIMIT UINT64_C(4712388) /* where the file says 0 */
#define DEFAULT_BASE_FEE UINT64_C(1000000000)
#define EXACT_REAL_MAX 9007199254740992.0 /* 2^53: integers up to here are exact as doubles */

static const uint8_t empty_list_hash[HASH_SIZE] = {
    0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5, 0x67, 0xb6, 0xcc, 0xd4, 0x1a,
    0xd3, 0x12, 0x45, 0x1b, 0x94, 0x8a, 0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47,
};

/* SHA-256 of nothing: the requests hash of a block without requests. */
static const uint8_t empty_requests_hash[HASH_SIZE] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

struct fields {
    uint8_t parent_hash[HASH_SIZE];
    uint8_t coinbase[ADDRESS_SIZE];
    uint8_t mix_hash[HASH_SIZE];
    uint8_t difficulty[32];
    uint8_t base_fee[32];
    uint64_t nonce;
    uint64_t timestamp;
    uint64_t gas_limit;
    uint64_t gas_used;
    uint64_t blob_gas_used;
    uint64_t excess_blob_gas;
    struct buffer extra_data;
    bool has_base_fee;
    bool shanghai;
    bool cancun;
    bool prague;
};

/* ---- members ---- */

/* NULL in OUT: absent. STOA_EINVAL: there more than once. */
static int find_member(const json_t *object, const char *name, const json_t **out,
                       struct error_detail *detail)
{
    *out = NULL;
    bool found = false;
    const char *key;
    json_t *value;
    /* jansson's iteration wants a pointer to what it does not change. */
    void *iterator = json_object_iter((json_t *)(uintptr_t)object);
    for (; iterator != NULL;
         iterator = json_object_iter_next((json_t *)(uintptr_t)object, iterator)) {
        key = json_object_iter_key(iterator);
        value = json_object_iter_value(iterator);
        if (strcasecmp(key, name) != 0) {
            continue;
        }
        if (found) {
            return error_set(detail, STOA_EINVAL, "%s: there more than once", name);
        }
        found = true;
        *out = json_is_null(value) ? NULL : value;
    }
    return 0;
}

/* VALUE = 10 * VALUE + DIGIT. False where it has no room. */
static bool append_decimal(uint8_t value[32], unsigned digit)
{
    unsigned carry = digit;
    for (size_t i = 32; i > 0; i--) {
        unsigned sum = value[i - 1] * 10u + carry;
        value[i - 1] = (uint8_t)sum;
        carry = sum >> 8;
    }
    return carry == 0;
}

static bool number_from_hex(const char *digits, uint8_t out[32])
{
    while (digits[0] == '0' && digits[1] != '\0') {
        digits++;
    }
    char padded[65];
    size_t length = strlen(digits);
    if (length == 0 || length > 64) {
        return false;
    }
    memset(padded, '0', 64 - length);
    memcpy(padded + 64 - length, digits, length + 1);
    return padded[1] != 'x' && padded[1] != 'X' && bytes_from_hex(padded, 64, out, 32) == 32;
}

static bool number_from_text(const char *text, uint8_t out[32])
{
    memset(out, 0, 32);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        return number_from_hex(text + 2, out);
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || !append_decimal(out, (unsigned)(*text - '0'))) {
            return false;
        }
    }
    return true;
}

static bool number_from_json(const json_t *value, uint8_t out[32])
{
    if (json_is_string(value)) {
        return number_from_text(json_string_value(value), out);
    }
    memset(out, 0, 32);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        bytes_store_be64(out + 24, (uint64_t)json_integer_value(value));
        return true;
    }
    if (json_is_real(value)) {
        double real = json_real_value(value);
        if (real >= 0 && real <= EXACT_REAL_MAX && real == (double)(uint64_t)real) {
            bytes_store_be64(out + 24, (uint64_t)real);
            return true;
        }
    }
    return false;
}

/* OUT stays as it is where the member is absent; OUT_THERE may be NULL. */
static int read_uint256(const json_t *object, const char *name, uint8_t out[32], bool *out_there,
                        struct error_detail *detail)
{
    const json_t *value;
    int result = find_member(object, name, &value, detail);
    if (result != 0) {
        return result;
    }
    if (out_there != NULL) {
        *out_there = value != NULL;
    }
    if (value != NULL && !number_from_json(value, out)) {
        return error_set(detail, STOA_EINVAL, "%s: not a number of at most 256 bits", name);
    }
    return 0;
}

static int read_uint64(const json_t *object, const char *name, uint64_t *out, bool *out_there,
                       struct error_detail *detail)
{
    static const uint8_t zeros[24];
    uint8_t wide[32];
    bool there = false;
    int result = read_uint256(object, name, wide, &there, detail);
    if (result != 0) {
        return result;
    }
    if (out_there != NULL) {
        *out_there = there;
    }
    if (!there) {
        return 0;
    }
    if (memcmp(wide, zeros, sizeof(zeros)) != 0) {
        return error_set(detail, STOA_EINVAL, "%s: longer than 64 bits", name);
    }
    *out = bytes_load_be64(wide + 24);
    return 0;
}

static int read_fixed(const json_t *object, const char *name, uint8_t *out, size_t size,
                      struct error_detail *detail)
{
    const json_t *value;
    int result = find_member(object, name, &value, detail);
    if (result != 0 || value == NULL) {
        return result;
    }
    if (!json_is_string(value) ||
        bytes_from_hex(json_string_value(value), json_string_length(value), out, size) !=
            (ptrdiff_t)size) {
        return error_set(detail, STOA_EINVAL, "%s: not %zu bytes in hex", name, size);
    }
    return 0;
}

static int read_bytes(const json_t *object, const char *name, struct buffer *out,
                      struct error_detail *detail)
{
    const json_t *value;
    int result = find_member(object, name, &value, detail);
    if (result != 0 || value == NULL) {
        return result;
    }
    if (!json_is_string(value)) {
        return error_set(detail, STOA_EINVAL, "%s: not a string of hex digits", name);
    }
    size_t length = json_string_length(value);
    if (buffer_reserve(out, length / 2 + 1) != 0) {
        return error_set(detail, STOA_ENOMEM, "%s: no memory", name);
    }
    ptrdiff_t size = bytes_from_hex(json_string_value(value), length, out->data, length / 2);
    if (size < 0) {
        return error_set(detail, STOA_EINVAL, "%s: not a string of hex digits", name);
    }
    out->size = (size_t)size;
    return 0;
}

/* ---- alloc ---- */

static bool is_zero(const uint8_t value[32])
{
    static const uint8_t zero[32];
    return memcmp(value, zero, sizeof(zero)) == 0;
}

/* Hex digits of at most 32 bytes, right-aligned. */
static bool read_word(const char *text, size_t length, uint8_t out[32])
{
    uint8_t bytes[32];
    ptrdiff_t size = bytes_from_hex(text, length, bytes, sizeof(bytes));
    if (size < 0) {
        return false;
    }
    memset(out, 0, 32);
    memcpy(out + 32 - (size_t)size, bytes, (size_t)size);
    return true;
}

static int read_slots(const json_t *object, struct genesis_account *account,
                      struct error_detail *detail)
{
    const json_t *storage;
    int result = find_member(object, "storage", &storage, detail);
    if (result != 0 || storage == NULL) {
        return result;
    }
    if (!json_is_object(storage)) {
        return error_set(detail, STOA_EINVAL, "storage: not an object");
    }
    account->slots = memory_alloc_zeroed(json_object_size(storage), sizeof(*account->slots));
    if (account->slots == NULL) {
        return error_set(detail, STOA_ENOMEM, "storage: no memory");
    }
    json_t *walked = (json_t *)(uintptr_t)storage;
    for (void *i = json_object_iter(walked); i != NULL; i = json_object_iter_next(walked, i)) {
        const char *key = json_object_iter_key(i);
        const json_t *value = json_object_iter_value(i);
        struct genesis_slot *slot = &account->slots[account->slot_count];
        if (!read_word(key, strlen(key), slot->key)) {
            return error_set(detail, STOA_EINVAL, "storage: slot %.80s: not hex of 32 bytes", key);
        }
        if (!json_is_string(value) ||
            !read_word(json_string_value(value), json_string_length(value), slot->value)) {
            return error_set(detail, STOA_EINVAL, "storage: slot %.80s: value: not hex of 32 bytes",
                             key);
        }
        if (!is_zero(slot->value)) { /* a cleared slot is not in the trie */
            account->slot_count++;
        }
    }
    return 0;
}

static int read_account(const char *address, const json_t *object, struct genesis_account *account,
                        struct error_detail *detail)
{
    buffer_init(&account->code);
    if (bytes_from_hex(address, strlen(address), account->address, ADDRESS_SIZE) != ADDRESS_SIZE) {
        return error_set(detail, STOA_EINVAL, "not an address of 20 bytes in hex");
    }
    if (!json_is_object(object)) {
        return error_set(detail, STOA_EINVAL, "not an object");
    }
    bool there = false;
    int result = read_uint256(object, "balance", account->balance, &there, detail);
    if (result == 0 && !there) {
        result = error_set(detail, STOA_EINVAL, "balance: missing");
    }
    if (result == 0) {
        result = read_uint64(object, "nonce", &account->nonce, NULL, detail);
    }
    if (result == 0) {
        result = read_bytes(object, "code", &account->code, detail);
    }
    if (result == 0) {
        result = read_slots(object, account, detail);
    }
    return result;
}

static int read_alloc(const json_t *root, struct genesis *genesis, struct error_detail *detail)
{
    const json_t *alloc;
    int result = find_member(root, "alloc", &alloc, detail);
    if (result != 0) {
        return result;
    }
    if (alloc == NULL || !json_is_object(alloc)) {
        return error_set(detail, STOA_EINVAL,
                         alloc == NULL ? "alloc: missing" : "alloc: not an object");
    }
    genesis->accounts = memory_alloc_zeroed(json_object_size(alloc), sizeof(*genesis->accounts));
    if (genesis->accounts == NULL) {
        return error_set(detail, STOA_ENOMEM, "alloc: no memory");
    }
    json_t *walked = (json_t *)(uintptr_t)alloc;
    for (void *i = json_object_iter(walked); i != NULL; i = json_object_iter_next(walked, i)) {
        struct genesis_account *account = &genesis->accounts[genesis->account_count++];
        const char *address = json_object_iter_key(i);
        result = read_account(address, json_object_iter_value(i), account, detail);
        if (result != 0) {
            (void)error_prefix(detail, "alloc: %.80s", address); /* the code is at hand */
            return result;
        }
    }
    return 0;
}

/* ---- state root ---- */

static int storage_root(const struct genesis_account *account, uint8_t out_root[HASH_SIZE])
{
    struct buffer values;
    buffer_init(&values);
    struct trie_pair *pairs = memory_alloc_zeroed(account->slot_count, sizeof(*pairs));
    /* A value takes at most 33 bytes: reserved once, so that views into the buffer stay. */
    int result = pairs == NULL ? STOA_ENOMEM : buffer_reserve(&values, 33 * account->slot_count);
    for (size_t i = 0; result == 0 && i < account->slot_count; i++) {
        const struct genesis_slot *slot = &account->slots[i];
        size_t start = values.size;
        result = rlp_append_uint256(&values, slot->value);
        pairs[i].key = bytes_of(slot->key, HASH_SIZE);
        pairs[i].value = bytes_of(values.data + start, values.size - start);
    }
    if (result == 0) {
        result = trie_secure_root(pairs, account->slot_count, out_root);
    }
    memory_free(pairs);
    buffer_deinit(&values);
    return result;
}

/* At most ACCOUNT_SIZE_MAX bytes. */
enum { ACCOUNT_SIZE_MAX = 2 + 9 + 33 + 33 + 33 };

static int append_account(struct buffer *buffer, const struct genesis_account *account,
                          struct error_detail *detail)
{
    uint8_t code_hash[HASH_SIZE];
    uint8_t root[HASH_SIZE];
    keccak_256(account->code.data, account->code.size, code_hash);
    int result = storage_root(account, root);
    if (result != 0) {
        char address[2 * ADDRESS_SIZE + 1];
        bytes_to_hex(account->address, ADDRESS_SIZE, address);
        return error_set(detail, result, "alloc: 0x%s: storage: %s", address,
                         result == STOA_EINVAL ? "a slot is there twice" : "no memory");
    }
    uint8_t scratch[ACCOUNT_SIZE_MAX];
    struct buffer payload = {.data = scratch, .size = 0, .capacity = sizeof(scratch)};
    if (rlp_append_uint64(&payload, account->nonce) != 0 ||
        rlp_append_uint256(&payload, account->balance) != 0 ||
        rlp_append_string(&payload, bytes_of(root, HASH_SIZE)) != 0 ||
        rlp_append_string(&payload, bytes_of(code_hash, HASH_SIZE)) != 0 ||
        rlp_append_list_prefix(buffer, payload.size) != 0 ||
        buffer_append(buffer, payload.data, payload.size) != 0) {
        return error_set(detail, STOA_ENOMEM, "alloc: no memory");
    }
    ensure(payload.data == scratch);
    return 0;
}

static int compute_state_root(struct genesis *genesis, struct error_detail *detail)
{
    size_t count = genesis->account_count;
    struct buffer values;
    buffer_init(&values);
    struct trie_pair *pairs = memory_alloc_zeroed(count, sizeof(*pairs));
    int result = 0;
    if (pairs == NULL || buffer_reserve(&values, count * ACCOUNT_SIZE_MAX) != 0) {
        result = error_set(detail, STOA_ENOMEM, "alloc: no memory");
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        const struct genesis_account *account = &genesis->accounts[i];
        size_t start = values.size;
        result = append_account(&values, account, detail);
        pairs[i].key = bytes_of(account->address, ADDRESS_SIZE);
        pairs[i].value = bytes_of(values.data + start, values.size - start);
    }
    if (result == 0) {
        result = trie_secure_root(pairs, count, genesis->state_root);
        if (result != 0) {
            (void)error_set(detail, result, "alloc: %s",
                            result == STOA_EINVAL ? "an address is there twice" : "no memory");
        }
    }
    memory_free(pairs);
    buffer_deinit(&values);
    return result;
}

/* ---- block 0 ---- */

/* Whether CONFIG switches NAME on at POINT, a height or a time. */
static int fork_is_on(const json_t *config, const char *name, uint64_t point, bool *out,
                      struct error_detail *detail)
{
    uint64_t from = 0;
    bool there = false;
    int result = read_uint64(config, name, &from, &there, detail);
    *out = there && from <= point;
    return result;
}

static int read_config(const json_t *root, struct fields *fields, uint64_t *out_chain_id,
                       struct error_detail *detail)
{
    const json_t *config;
    int result = find_member(root, "config", &config, detail);
    if (result != 0 || config == NULL) {
        return result;
    }
    if (!json_is_object(config)) {
        return error_set(detail, STOA_EINVAL, "config: not an object");
    }
    bool london = false;
    if ((result = read_uint64(config, "chainId", out_chain_id, NULL, detail)) != 0 ||
        (result = fork_is_on(config, "londonBlock", 0, &london, detail)) != 0 ||
        (result = fork_is_on(config, "shanghaiTime", fields->timestamp, &fields->shanghai,
                             detail)) != 0 ||
        (result = fork_is_on(config, "cancunTime", fields->timestamp, &fields->cancun, detail)) !=
            0 ||
        (result = fork_is_on(config, "pragueTime", fields->timestamp, &fields->prague, detail)) !=
            0) {
        (void)error_prefix(detail, "config"); /* the code is at hand */
        return result;
    }
    /* Each fork's header fields stand behind those of the one before it. */
    fields->shanghai = fields->shanghai && london;
    if ((fields->cancun && !fields->shanghai) || (fields->prague && !fields->cancun)) {
        return error_set(detail, STOA_EINVAL, "config: %s: on without the fork before it",
                         fields->cancun ? "cancunTime" : "pragueTime");
    }
    if (london && !fields->has_base_fee) {
        bytes_store_be64(fields->base_fee + 24, DEFAULT_BASE_FEE);
        fields->has_base_fee = true;
    }
    return 0;
}

static int require(const char *name, bool there, struct error_detail *detail)
{
    return there ? 0 : error_set(detail, STOA_EINVAL, "%s: missing", name);
}

static int read_fields(const json_t *root, struct fields *fields, struct error_detail *detail)
{
    uint64_t number = 0;
    bool has_limit = false;
    bool has_difficulty = false;
    int result;
    if ((result = read_fixed(root, "parentHash", fields->parent_hash, HASH_SIZE, detail)) != 0 ||
        (result = read_fixed(root, "coinbase", fields->coinbase, ADDRESS_SIZE, detail)) != 0 ||
        (result = read_fixed(root, "mixHash", fields->mix_hash, HASH_SIZE, detail)) != 0 ||
        (result = read_uint256(root, "difficulty", fields->difficulty, &has_difficulty, detail)) !=
            0 ||
        (result = require("difficulty", has_difficulty, detail)) != 0 ||
        (result = read_uint256(root, "baseFeePerGas", fields->base_fee, &fields->has_base_fee,
                               detail)) != 0 ||
        (result = read_uint64(root, "nonce", &fields->nonce, NULL, detail)) != 0 ||
        (result = read_uint64(root, "timestamp", &fields->timestamp, NULL, detail)) != 0 ||
        (result = read_uint64(root, "gasLimit", &fields->gas_limit, &has_limit, detail)) != 0 ||
        (result = require("gasLimit", has_limit, detail)) != 0 ||
        (result = read_uint64(root, "gasUsed", &fields->gas_used, NULL, detail)) != 0 ||
        (result = read_uint64(root, "blobGasUsed", &fields->blob_gas_used, NULL, detail)) != 0 ||
        (result = read_uint64(root, "excessBlobGas", &fields->excess_blob_gas, NULL, detail)) !=
            0 ||
        (result = read_uint64(root, "number", &number, NULL, detail)) != 0 ||
        (result = read_bytes(root, "extraData", &fields->extra_data, detail)) != 0) {
        return result;
    }
    if (number != 0) {
        return error_set(detail, STOA_EINVAL, "number: %" PRIu64 " where 0 belongs", number);
    }
    if (fields->gas_limit == 0) {
        fields->gas_limit = DEFAULT_GAS_LIMIT;
    }
    return 0;
}

static int append_hash(struct buffer *buffer, const uint8_t hash[HASH_SIZE])
{
    return rlp_append_string(buffer, bytes_of(hash, HASH_SIZE));
}

/* The fields that forks added, in their order. */
static bool append_fork_fields(struct buffer *to, const struct fields *fields)
{
    static const uint8_t zero_hash[HASH_SIZE];
    if (fields->has_base_fee && rlp_append_uint256(to, fields->base_fee) != 0) {
        return false;
    }
    if (fields->shanghai && append_hash(to, trie_empty_root) != 0) {
        return false;
    }
    if (fields->cancun &&
        (rlp_append_uint64(to, fields->blob_gas_used) != 0 ||
         rlp_append_uint64(to, fields->excess_blob_gas) != 0 || append_hash(to, zero_hash) != 0)) {
        return false;
    }
    return !fields->prague || append_hash(to, empty_requests_hash) == 0;
}

static bool append_header_payload(struct buffer *to, const struct fields *fields,
                                  const uint8_t state_root[HASH_SIZE])
{
    static const uint8_t bloom[BLOOM_SIZE];
    uint8_t nonce[NONCE_SIZE];
    bytes_store_be64(nonce, fields->nonce);
    return append_hash(to, fields->parent_hash) == 0 && append_hash(to, empty_list_hash) == 0 &&
           rlp_append_string(to, bytes_of(fields->coinbase, ADDRESS_SIZE)) == 0 &&
           append_hash(to, state_root) == 0 && append_hash(to, trie_empty_root) == 0 &&
           append_hash(to, trie_empty_root) == 0 &&
           rlp_append_string(to, bytes_of(bloom, BLOOM_SIZE)) == 0 &&
           rlp_append_uint256(to, fields->difficulty) == 0 && rlp_append_uint64(to, 0) == 0 &&
           rlp_append_uint64(to, fields->gas_limit) == 0 &&
           rlp_append_uint64(to, fields->gas_used) == 0 &&
           rlp_append_uint64(to, fields->timestamp) == 0 &&
           rlp_append_string(to, buffer_bytes(&fields->extra_data)) == 0 &&
           append_hash(to, fields->mix_hash) == 0 &&
           rlp_append_string(to, bytes_of(nonce, NONCE_SIZE)) == 0 &&
           append_fork_fields(to, fields);
}

static int build_block(struct genesis *genesis, const struct fields *fields,
                       struct error_detail *detail)
{
    size_t empty_lists = fields->shanghai ? 3 : 2; /* transactions, uncles, withdrawals */
    struct buffer payload;
    buffer_init(&payload);
    int result = STOA_ENOMEM;
    if (!append_header_payload(&payload, fields, genesis->state_root)) {
        goto fail;
    }
    size_t header_size = rlp_list_size(payload.size);
    if (rlp_append_list_prefix(&genesis->block, header_size + empty_lists) != 0) {
        goto fail;
    }
    size_t header_start = genesis->block.size;
    if (rlp_append_list_prefix(&genesis->block, payload.size) != 0 ||
        buffer_append(&genesis->block, payload.data, payload.size) != 0 ||
        buffer_append(&genesis->block, "\xc0\xc0\xc0", empty_lists) != 0) {
        goto fail;
    }
    keccak_256(genesis->block.data + header_start, header_size, genesis->hash);
    result = 0;
fail:
    buffer_deinit(&payload);
    return result == 0 ? 0 : error_set(detail, result, "block 0: no memory");
}

/* ---- public ---- */

/* Integers of more than 63 bits (the total difficulty in mainnet's config is one) make jansson
 * refuse the text unless all integers are read as doubles. */
static json_t *load(struct bytes text, struct error_detail *detail)
{
    json_error_t error = {.line = 0};
    const char *chars = (const char *)text.data;
    json_t *root = json_loadb(chars, text.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        root =
            json_loadb(chars, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (root == NULL) {
        bool memory = json_error_code(&error) == json_error_out_of_memory;
        (void)error_set(detail, memory ? STOA_ENOMEM : STOA_EINVAL, "line %d, column %d: %s",
                        error.line, error.column, error.text); /* NULL is what says so */
    }
    return root;
}

static int check_stated_root(const json_t *root, const struct genesis *genesis,
                             struct error_detail *detail)
{
    uint8_t stated[HASH_SIZE];
    memcpy(stated, genesis->state_root, HASH_SIZE);
    int result = read_fixed(root, "stateRoot", stated, HASH_SIZE, detail);
    if (result == 0 && memcmp(stated, genesis->state_root, HASH_SIZE) != 0) {
        char text[2 * HASH_SIZE + 1];
        bytes_to_hex(genesis->state_root, HASH_SIZE, text);
        result = error_set(detail, STOA_EINVAL, "stateRoot: the alloc gives 0x%s", text);
    }
    return result;
}

static int append_dumped(const char *text, size_t size, void *out)
{
    return buffer_append(out, text, size) == 0 ? 0 : -1;
}

static int keep_config(const json_t *root, struct genesis *genesis, struct error_detail *detail)
{
    const json_t *config;
    int result = find_member(root, "config", &config, detail);
    if (result == 0 && config != NULL &&
        json_dump_callback(config, append_dumped, &genesis->config, JSON_COMPACT) != 0) {
        result = error_set(detail, STOA_ENOMEM, "config: %s", stoa_strerror(STOA_ENOMEM));
    }
    return result;
}

static int parse_root(const json_t *root, struct genesis *genesis, struct fields *fields,
                      struct error_detail *detail)
{
    if (!json_is_object(root)) {
        return error_set(detail, STOA_EINVAL, "not a JSON object");
    }
    int result;
    if ((result = read_fields(root, fields, detail)) != 0 ||
        (result = read_config(root, fields, &genesis->chain_id, detail)) != 0 ||
        (result = keep_config(root, genesis, detail)) != 0 ||
        (result = read_alloc(root, genesis, detail)) != 0 ||
        (result = compute_state_root(genesis, detail)) != 0 ||
        (result = check_stated_root(root, genesis, detail)) != 0) {
        return result;
    }
    return build_block(genesis, fields, detail);
}

int genesis_parse(struct bytes text, struct genesis *out_genesis, struct error_detail *detail)
{
    *out_genesis = (struct genesis){.chain_id = 0};
    struct error_detail own = {.code = STOA_EINVAL};
    detail = detail == NULL ? &own : detail;
    json_t *root = load(text.size == 0 ? bytes_of("", 0) : text, detail);
    if (root == NULL) {
        return detail->code;
    }
    struct fields fields = {.nonce = 0};
    int result = parse_root(root, out_genesis, &fields, detail);
    buffer_deinit(&fields.extra_data);
    json_decref(root);
    if (result != 0) {
        genesis_deinit(out_genesis);
    }
    return result;
}

void genesis_deinit(struct genesis *genesis)
{
    for (size_t i = 0; i < genesis->account_count; i++) {
        buffer_deinit(&genesis->accounts[i].code);
        memory_free(genesis->accounts[i].slots);
    }
    memory_free(genesis->accounts);
    buffer_deinit(&genesis->config);
    buffer_deinit(&genesis->block);
    *genesis = (struct genesis){.chain_id = 0};
}
