/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/execution_state.h"

#include <string.h>

#include "chain/keccak.h"

enum { ADDRESS_SIZE = 20, WORD_SIZE = 32 };

void execution_state_deinit(struct execution_state *state)
{
    buffer_deinit(&state->accounts);
    buffer_deinit(&state->slots);
    buffer_deinit(&state->codes);
    buffer_deinit(&state->code_bytes);
}

void execution_state_clear(struct execution_state *state)
{
    state->given = false;
    buffer_clear(&state->accounts);
    buffer_clear(&state->slots);
    buffer_clear(&state->codes);
    buffer_clear(&state->code_bytes);
}

size_t execution_state_bytes(const struct execution_state *state)
{
    return state->accounts.size + state->slots.size + state->codes.size + state->code_bytes.size;
}

static int refuse(struct error_detail *detail, const char *member, const char *what)
{
    return error_set(detail, STOA_EINVAL, "%s: %s", member, what);
}

/* TEXT, 0x and hexadecimal digits, as a number of SIZE bytes, big-endian; EXACT: of so many digits.
 */
static bool read_number(const char *text, uint8_t *out, size_t size, bool exact)
{
    char digits[2 * WORD_SIZE + 1];
    if (text == NULL || text[0] != '0' || text[1] != 'x') {
        return false;
    }
    size_t length = strlen(text + 2);
    if (length > 2 * size || (exact && length != 2 * size)) {
        return false;
    }
    memset(digits, '0', 2 * size - length);
    memcpy(digits + 2 * size - length, text + 2, length);
    return bytes_from_hex(digits, 2 * size, out, size) == (ptrdiff_t)size;
}

static int read_account(const char *address, const json_t *object, struct execution_state *state,
                        struct error_detail *detail)
{
    struct stoa_account_change account = {.flags = 0};
    uint8_t nonce[8];
    if (!read_number(address, account.address, ADDRESS_SIZE, true)) {
        return refuse(detail, "accounts", "no address");
    }
    if (json_is_null(object)) {
        account.flags = STOA_ACCOUNT_REMOVED;
    } else {
        const json_t *code_hash = json_object_get(object, "codeHash");
        if (!read_number(json_string_value(json_object_get(object, "nonce")), nonce, 8, false)) {
            return refuse(detail, "nonce", "no number");
        }
        if (!read_number(json_string_value(json_object_get(object, "balance")), account.balance,
                         WORD_SIZE, false)) {
            return refuse(detail, "balance", "no number");
        }
        account.nonce = bytes_load_be64(nonce);
        keccak_256(NULL, 0, account.code_hash);
        if (code_hash != NULL &&
            !read_number(json_string_value(code_hash), account.code_hash, WORD_SIZE, true)) {
            return refuse(detail, "codeHash", "no hash");
        }
    }
    int result = buffer_append(&state->accounts, &account, sizeof(account));
    return result == 0 ? 0 : error_set(detail, result, "no memory");
}

static int read_slots(const char *address, json_t *object, struct execution_state *state,
                      struct error_detail *detail)
{
    struct stoa_slot_change slot;
    const char *number;
    json_t *value;
    if (!read_number(address, slot.address, ADDRESS_SIZE, true) || !json_is_object(object)) {
        return refuse(detail, "storage", "no address with its slots");
    }
    json_object_foreach(object, number, value)
    {
        if (!read_number(number, slot.slot, WORD_SIZE, false) ||
            !read_number(json_string_value(value), slot.value, WORD_SIZE, false)) {
            return refuse(detail, "storage", "no slot with its value");
        }
        int result = buffer_append(&state->slots, &slot, sizeof(slot));
        if (result != 0) {
            return error_set(detail, result, "no memory");
        }
    }
    return 0;
}

static int read_code(const json_t *value, struct execution_state *state,
                     struct error_detail *detail)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (text == NULL || length < 2 || length % 2 != 0 || text[0] != '0' || text[1] != 'x') {
        return refuse(detail, "codes", "no code");
    }
    size_t size = (length - 2) / 2;
    struct stoa_bytes code = {NULL, size}; /* where it is, once all are read */
    struct buffer *bytes = &state->code_bytes;
    int result = buffer_reserve(bytes, size + 1);
    if (result == 0) {
        result = buffer_append(&state->codes, &code, sizeof(code));
    }
    if (result != 0) {
        return error_set(detail, result, "no memory");
    }
    if (bytes_from_hex(text, length, bytes->data + bytes->size, size) != (ptrdiff_t)size) {
        return refuse(detail, "codes", "bad hexadecimal digits");
    }
    bytes->size += size;
    return 0;
}

static void place_codes(struct execution_state *state)
{
    size_t at = 0;
    for (size_t i = 0; i < state->codes.size; i += sizeof(struct stoa_bytes)) {
        struct stoa_bytes code;
        memcpy(&code, state->codes.data + i, sizeof(code));
        code.data = state->code_bytes.data + at;
        at += code.size;
        memcpy(state->codes.data + i, &code, sizeof(code));
    }
}

int execution_state_read(const json_t *line, struct execution_state *state,
                         struct error_detail *detail)
{
    json_t *accounts = json_object_get(line, "accounts");
    json_t *storage = json_object_get(line, "storage");
    json_t *codes = json_object_get(line, "codes");
    const char *name;
    json_t *value;
    execution_state_clear(state);
    if (accounts == NULL) {
        return storage == NULL ? 0 : refuse(detail, "storage", "without accounts");
    }
    if (!json_is_object(accounts) || (storage != NULL && !json_is_object(storage)) ||
        (codes != NULL && !json_is_object(codes))) {
        return refuse(detail, "accounts, storage, codes", "no objects");
    }
    int result = 0;
    json_object_foreach(accounts, name, value)
    {
        result = result == 0 ? read_account(name, value, state, detail) : result;
    }
    json_object_foreach(storage, name, value)
    {
        result = result == 0 ? read_slots(name, value, state, detail) : result;
    }
    json_object_foreach(codes, name, value)
    {
        result = result == 0 ? read_code(value, state, detail) : result;
    }
    if (result == 0) {
        place_codes(state);
        state->given = true;
    }
    return result;
}

void execution_state_fill(const struct execution_state *state, struct stoa_store_block *put)
{
    if (!state->given) {
        return;
    }
    put->flags |= STOA_STORE_STATE;
    put->accounts = (const void *)state->accounts.data;
    put->account_count = state->accounts.size / sizeof(*put->accounts);
    put->slots = (const void *)state->slots.data;
    put->slot_count = state->slots.size / sizeof(*put->slots);
    put->codes = (const void *)state->codes.data;
    put->code_count = state->codes.size / sizeof(*put->codes);
}
