/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/state_lines.h"

#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak.h"
#include "support/fixture.h"

const char *const state_lines_chains[] = {
    "eapi-2023-07",    "eapi-2023-10", "eapi-2024-01",      "eapi-2025-02", "eapi-2025-10",
    "ethtest-2023-12", "hive-half",    "hive-sync-2023-10", NULL,
};

static void *make(size_t count, size_t size)
{
    void *made = memory_alloc_zeroed(count, size);
    ensure(made != NULL);
    return made;
}

/* Hex of any length, right-aligned. */
static void read_number(const char *text, uint8_t *out, size_t size)
{
    uint8_t bytes[33];
    char padded[80];
    if (strncmp(text, "0x", 2) == 0) {
        text += 2;
    }
    size_t length = strlen(text);
    ensure(length <= 64);
    padded[0] = '0';
    memcpy(padded + length % 2, text, length + 1);
    ptrdiff_t got = bytes_from_hex(padded, length + length % 2, bytes, sizeof(bytes));
    ensure(got >= 0 && (size_t)got <= size);
    memset(out, 0, size);
    memcpy(out + size - (size_t)got, bytes, (size_t)got);
}

static void hash_of_hex(const char *text, size_t size, uint8_t out[32])
{
    uint8_t bytes[32];
    read_number(text, bytes, size);
    keccak_256(bytes, size, out);
}

static int by_address(const void *a, const void *b)
{
    const struct state_account_change *left = a;
    const struct state_account_change *right = b;
    return memcmp(left->address_hash, right->address_hash, 32);
}

static int by_slot(const void *a, const void *b)
{
    const struct state_slot_change *left = a;
    const struct state_slot_change *right = b;
    return memcmp(left->key_hash, right->key_hash, 32);
}

static void read_account(const json_t *object, struct state_account_change *out)
{
    if (json_is_null(object)) {
        out->flags = STATE_ACCOUNT_REMOVED;
        return;
    }
    uint8_t nonce[8];
    const char *code_hash = json_string_value(json_object_get(object, "codeHash"));
    out->flags = STATE_ACCOUNT_FIELDS;
    read_number(json_string_value(json_object_get(object, "nonce")), nonce, 8);
    out->nonce = bytes_load_be64(nonce);
    read_number(json_string_value(json_object_get(object, "balance")), out->balance, 32);
    memcpy(out->code_hash, state_empty_code_hash, 32);
    if (code_hash != NULL) {
        read_number(code_hash, out->code_hash, 32);
    }
}

static void read_slots(const json_t *object, struct state_account_change *out)
{
    const char *key;
    json_t *value;
    out->slots = make(json_object_size(object), sizeof(*out->slots));
    json_t *slots = json_deep_copy(object);
    json_object_foreach(slots, key, value)
    {
        struct state_slot_change *slot = &out->slots[out->slot_count++];
        hash_of_hex(key, 32, slot->key_hash);
        read_number(json_string_value(value), slot->value, 32);
    }
    json_decref(slots);
    if (out->slot_count > 1) {
        qsort(out->slots, out->slot_count, sizeof(*out->slots), by_slot);
    }
}

static void sort(struct state_lines *lines)
{
    if (lines->count > 1) {
        qsort(lines->accounts, lines->count, sizeof(*lines->accounts), by_address);
    }
}

void state_lines_read(const json_t *line, struct state_lines *out)
{
    json_t *accounts = json_object_get(line, "accounts");
    const json_t *storage = json_object_get(line, "storage");
    const char *address;
    json_t *value;
    out->count = 0;
    out->accounts =
        make(json_object_size(accounts) + json_object_size(storage), sizeof(*out->accounts));
    json_object_foreach(accounts, address, value)
    {
        struct state_account_change *account = &out->accounts[out->count++];
        hash_of_hex(address, 20, account->address_hash);
        read_account(value, account);
        const json_t *slots = json_object_get(storage, address);
        if (slots != NULL) {
            read_slots(slots, account);
        }
    }
    json_t *copy = json_deep_copy(storage);
    json_object_foreach(copy, address, value)
    {
        if (json_object_get(accounts, address) == NULL) {
            struct state_account_change *account = &out->accounts[out->count++];
            hash_of_hex(address, 20, account->address_hash);
            read_slots(value, account);
        }
    }
    json_decref(copy);
    sort(out);
}

void state_lines_genesis(const struct genesis *genesis, struct state_lines *out)
{
    out->count = genesis->account_count;
    out->accounts = make(out->count, sizeof(*out->accounts));
    for (size_t i = 0; i < out->count; i++) {
        const struct genesis_account *from = &genesis->accounts[i];
        struct state_account_change *to = &out->accounts[i];
        keccak_256(from->address, 20, to->address_hash);
        to->flags = STATE_ACCOUNT_FIELDS;
        to->nonce = from->nonce;
        memcpy(to->balance, from->balance, 32);
        keccak_256(from->code.data, from->code.size, to->code_hash);
        to->slots = make(from->slot_count, sizeof(*to->slots));
        to->slot_count = from->slot_count;
        for (size_t j = 0; j < from->slot_count; j++) {
            keccak_256(from->slots[j].key, 32, to->slots[j].key_hash);
            memcpy(to->slots[j].value, from->slots[j].value, 32);
        }
        if (to->slot_count > 1) {
            qsort(to->slots, to->slot_count, sizeof(*to->slots), by_slot);
        }
    }
    sort(out);
}

void state_lines_deinit(struct state_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        memory_free(lines->accounts[i].slots);
    }
    memory_free(lines->accounts);
    *lines = (struct state_lines){.count = 0};
}

bool state_lines_load_genesis(const char *name, struct genesis *out)
{
    struct buffer text;
    if (!fixture_load_data(name, &text)) {
        return false;
    }
    int result = genesis_parse(buffer_bytes(&text), out, NULL);
    ensure(result == 0);
    buffer_deinit(&text);
    return true;
}

json_t *state_lines_next(struct bytes *cursor)
{
    if (cursor->size == 0) {
        return NULL;
    }
    const uint8_t *end = memchr(cursor->data, '\n', cursor->size);
    size_t size = end == NULL ? cursor->size : (size_t)(end - cursor->data);
    json_t *line = json_loadb((const char *)cursor->data, size, JSON_REJECT_DUPLICATES, NULL);
    ensure(line != NULL);
    size_t used = size + (end != NULL);
    *cursor = bytes_of(cursor->data + used, cursor->size - used);
    return line;
}
