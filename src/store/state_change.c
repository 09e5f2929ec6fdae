/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/state_change.h"

#include "base/ensure.h"
#include "chain/keccak_many.h"
#include "chain/rlp.h"
#include "store/record.h"
#include "store/state_key.h"

enum { HASH_SIZE = 32, ACCOUNT_SIZE_MAX = 1 + 9 + 33 + 33 };
enum { HASHED_AT_ONCE = 32 };

static int append(struct buffer *out, const uint8_t *key, size_t key_size,
                  const struct bytes *value)
{
    struct record_change change = {
        .key = bytes_of(key, key_size),
        .value = value == NULL ? bytes_of(NULL, 0) : *value,
        .removed = value == NULL,
    };
    return record_append_change(out, &change);
}

/* Integer of 32 bytes as RLP has it. */
static size_t put_number(const uint8_t number[32], uint8_t *to)
{
    size_t zeros = 0;
    while (zeros < 32 && number[zeros] == 0) {
        zeros++;
    }
    size_t size = 32 - zeros;
    if (size == 1 && number[31] < 0x80) {
        to[0] = number[31];
        return 1;
    }
    to[0] = (uint8_t)(0x80 + size);
    memcpy(to + 1, number + zeros, size);
    return 1 + size;
}

static size_t encode_account(const struct stoa_account_change *account,
                             uint8_t out[2 + ACCOUNT_SIZE_MAX])
{
    uint8_t nonce[32] = {0};
    uint8_t fields[ACCOUNT_SIZE_MAX];
    bytes_store_be64(nonce + 24, account->nonce);
    size_t size = put_number(nonce, fields);
    size += put_number(account->balance, fields + size);
    fields[size++] = 0x80 + HASH_SIZE;
    memcpy(fields + size, account->code_hash, HASH_SIZE);
    size += HASH_SIZE;
    size_t prefix = 0;
    if (size < 56) {
        out[prefix++] = (uint8_t)(0xc0 + size);
    } else {
        out[prefix++] = 0xf8;
        out[prefix++] = (uint8_t)size;
    }
    memcpy(out + prefix, fields, size);
    return prefix + size;
}

int state_change_read_account(struct bytes value, struct stoa_account *out_account,
                              struct error_detail *detail)
{
    struct bytes fields;
    const uint8_t *code_hash;
    struct stoa_account account;
    if (rlp_read_list(&value, &fields, NULL) != 0 || value.size != 0 ||
        rlp_read_uint64(&fields, &account.nonce, NULL) != 0 ||
        rlp_read_uint256(&fields, account.balance, NULL) != 0 ||
        rlp_read_fixed(&fields, HASH_SIZE, &code_hash, NULL) != 0 || fields.size != 0) {
        return error_set(detail, STOA_ECORRUPT, "state: the value of an account is none");
    }
    memcpy(account.code_hash, code_hash, HASH_SIZE);
    *out_account = account;
    return 0;
}

static int append_accounts(const struct stoa_store_block *put, struct buffer *out,
                           struct error_detail *detail)
{
    static const struct bytes nothing = {.data = NULL};
    uint8_t key[STATE_KEY_MAX];
    int result = 0;
    for (size_t i = 0; result == 0 && i < put->account_count; i++) {
        const struct stoa_account_change *account = &put->accounts[i];
        if ((account->flags & ~(unsigned)(STOA_ACCOUNT_REMOVED | STOA_ACCOUNT_WIPED)) != 0) {
            return error_set(detail, STOA_EINVAL, "accounts[%zu].flags: unknown", i);
        }
        size_t size = state_key_address(STATE_KEY_WIPED, account->address, key);
        if (account->flags != 0) {
            result = append(out, key, size, &nothing);
        }
        if (result != 0) {
            break;
        }
        size = state_key_address(STATE_KEY_ACCOUNT, account->address, key);
        if ((account->flags & STOA_ACCOUNT_REMOVED) != 0) {
            result = append(out, key, size, NULL);
            continue;
        }
        uint8_t encoded[2 + ACCOUNT_SIZE_MAX];
        struct bytes value = bytes_of(encoded, encode_account(account, encoded));
        result = append(out, key, size, &value);
    }
    return result == 0 ? 0 : error_set(detail, result, "accounts");
}

/* The hashes of COUNT slots' numbers. */
static void hash_slots(const struct stoa_slot_change *slots, size_t count,
                       uint8_t (*out)[KECCAK_SIZE])
{
    struct bytes numbers[HASHED_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = bytes_of(slots[i].slot, sizeof(slots[i].slot));
    }
    keccak_256_many(numbers, count, out);
}

static int append_slots(const struct stoa_store_block *put, struct buffer *out,
                        struct error_detail *detail)
{
    uint8_t hashes[HASHED_AT_ONCE][KECCAK_SIZE];
    uint8_t key[STATE_KEY_MAX];
    int result = 0;
    for (size_t i = 0; result == 0 && i < put->slot_count; i++) {
        const struct stoa_slot_change *slot = &put->slots[i];
        if (i % HASHED_AT_ONCE == 0) {
            size_t left = put->slot_count - i;
            hash_slots(slot, left < HASHED_AT_ONCE ? left : HASHED_AT_ONCE, hashes);
        }
        size_t zeros = 0;
        while (zeros < 32 && slot->value[zeros] == 0) {
            zeros++;
        }
        struct bytes value = bytes_of(slot->value + zeros, 32 - zeros);
        size_t size = state_key_address(STATE_KEY_SLOT, slot->address, key);
        memcpy(key + size, hashes[i % HASHED_AT_ONCE], KECCAK_SIZE);
        size += KECCAK_SIZE;
        result = append(out, key, size, zeros == 32 ? NULL : &value);
    }
    return result == 0 ? 0 : error_set(detail, result, "slots");
}

static int append_codes(const struct stoa_store_block *put, struct buffer *out,
                        struct error_detail *detail)
{
    uint8_t key[STATE_KEY_MAX];
    int result = 0;
    for (size_t i = 0; result == 0 && i < put->code_count; i++) {
        struct bytes code = bytes_of(put->codes[i].data, put->codes[i].size);
        uint8_t hash[KECCAK_SIZE];
        if (code.size > RECORD_CHANGE_VALUE_MAX) {
            return error_set(detail, STOA_ETOOBIG, "codes[%zu]: %zu bytes", i, code.size);
        }
        keccak_256(code.data, code.size, hash);
        result = append(out, key, state_key_code(hash, key), &code);
    }
    return result == 0 ? 0 : error_set(detail, result, "codes");
}

static int append_raw(const struct stoa_store_block *put, struct buffer *out,
                      struct error_detail *detail)
{
    uint8_t key[1 + STATE_KEY_RAW_MAX] = {STATE_KEY_RAW};
    for (size_t i = 0; i < put->change_count; i++) {
        const struct stoa_change *change = &put->changes[i];
        if (change->key.size < 1 || change->key.size > STATE_KEY_RAW_MAX) {
            return error_set(detail, STOA_EINVAL,
                             "changes[%zu].key: %zu bytes; 1 to %d are allowed", i,
                             change->key.size, STATE_KEY_RAW_MAX);
        }
        if (change->value.size > RECORD_CHANGE_VALUE_MAX) {
            return error_set(detail, STOA_ETOOBIG, "changes[%zu].value: %zu bytes", i,
                             change->value.size);
        }
        memcpy(key + 1, change->key.data, change->key.size);
        struct bytes value = bytes_of(change->value.data, change->value.size);
        int result =
            append(out, key, 1 + change->key.size, change->value.data == NULL ? NULL : &value);
        if (result != 0) {
            return error_set(detail, result, "changes");
        }
    }
    return 0;
}

int state_change_append(const struct stoa_store_block *put, struct buffer *out,
                        struct error_detail *detail)
{
    static const struct bytes nothing = {.data = NULL};
    static const uint8_t mark = STATE_KEY_MARK;
    bool given = put->account_count != 0 || put->slot_count != 0 || put->code_count != 0;
    int result = 0;
    if ((put->flags & STOA_STORE_STATE) != 0) {
        result = append(out, &mark, 1, &nothing);
        result = result == 0 ? 0 : error_set(detail, result, "state");
    } else if (given) {
        return error_set(detail, STOA_EINVAL, "accounts, slots, codes: they go with STATE");
    }
    if (result == 0) {
        result = append_accounts(put, out, detail);
    }
    if (result == 0) {
        result = append_slots(put, out, detail);
    }
    if (result == 0) {
        result = append_codes(put, out, detail);
    }
    return result == 0 ? append_raw(put, out, detail) : result;
}
