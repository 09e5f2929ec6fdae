/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_state.c: the commands that look something up in the state, at the head or at a height,
 * and the one that changes raw keys. */
#include <string.h>

#include "base/memory.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"

enum { ADDRESS_SIZE = 20, WORD_SIZE = 32, KEY_MAX = 128 };

static int print_hex(const struct options *options, struct stoa_bytes value)
{
    struct answer answer;
    answer_init(&answer, options);
    if (options->json) {
        json_writer_hex(&answer.json, NULL, value.data, value.size);
    } else {
        sheet_add_hex(&answer.sheet, value.data, value.size);
        sheet_add(&answer.sheet, "\n");
    }
    return answer_finish(&answer);
}

static int print_account(const struct options *options, const struct stoa_account *account)
{
    struct answer answer;
    answer_init(&answer, options);
    if (options->json) {
        json_writer_object_begin(&answer.json, NULL);
        json_writer_quantity(&answer.json, "nonce", account->nonce);
        json_writer_quantity256(&answer.json, "balance", account->balance);
        json_writer_hex(&answer.json, "codeHash", account->code_hash, WORD_SIZE);
        json_writer_object_end(&answer.json);
    } else {
        sheet_line(&answer.sheet, "nonce", "%llu", (unsigned long long)account->nonce);
        sheet_decimal(&answer.sheet, "balance", account->balance);
        sheet_hex(&answer.sheet, "code hash", account->code_hash, WORD_SIZE);
    }
    return answer_finish(&answer);
}

static bool parse_address(const char *text, struct stoa_state_query *query)
{
    if (bytes_from_hex(text, strlen(text), query->address, ADDRESS_SIZE) == ADDRESS_SIZE) {
        return true;
    }
    console_error("%s: no address", text);
    return false;
}

bool command_state_parse_slot(const char *text, uint8_t out[WORD_SIZE])
{
    uint64_t number;
    size_t length = strlen(text);
    memset(out, 0, WORD_SIZE);
    if (options_parse_number(text, &number)) {
        bytes_store_be64(out + WORD_SIZE - 8, number);
        return true;
    }
    char digits[2 * WORD_SIZE];
    if (length < 3 || length - 2 > sizeof(digits) || text[0] != '0' || text[1] != 'x') {
        return false;
    }
    memset(digits, '0', sizeof(digits));
    memcpy(digits + sizeof(digits) - (length - 2), text + 2, length - 2);
    return bytes_from_hex(digits, sizeof(digits), out, WORD_SIZE) == WORD_SIZE;
}

static uint64_t height_of(const struct options *options)
{
    return options->has_at ? options->at : STOA_AT_HEAD;
}

/* The account that the first argument names, at the height asked for, in an open store. */
static int begin(const struct options *options, struct stoa_state_query *query, struct stoa **stoa)
{
    query->height = height_of(options);
    return parse_address(options->arguments[0], query) ? command_open(options, false, stoa)
                                                       : COMMAND_USAGE;
}

/* Tell what a lookup came to; VALUE, where it was found, is freed. */
static int tell_value(const struct options *options, int result, struct stoa_bytes value,
                      const struct stoa_detail *detail, const char *name)
{
    if (result != 0) {
        return command_fail(result, detail, name);
    }
    int status = print_hex(options, value);
    stoa_free((void *)(uintptr_t)value.data);
    return status;
}

int command_state_account(const struct options *options)
{
    struct stoa_state_query query = {.height = 0};
    struct stoa *stoa;
    int status = begin(options, &query, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_account account;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_account(stoa, &query, &account, &detail);
    status = result == 0 ? print_account(options, &account)
                         : command_fail(result, &detail, options->arguments[0]);
    return command_close(stoa, status);
}

int command_state_storage(const struct options *options)
{
    struct stoa_state_query query = {.height = height_of(options)};
    struct stoa *stoa;
    if (!parse_address(options->arguments[0], &query)) {
        return COMMAND_USAGE;
    }
    if (!command_state_parse_slot(options->arguments[1], query.slot)) {
        console_error("%s: no number of a slot", options->arguments[1]);
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    uint8_t value[WORD_SIZE];
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_storage(stoa, &query, value, &detail);
    status = result == 0 ? print_hex(options, (struct stoa_bytes){value, sizeof(value)})
                         : command_fail(result, &detail, options->arguments[0]);
    return command_close(stoa, status);
}

/* The code of an account: none is no failure. */
static int get_code(struct stoa *stoa, struct stoa_state_query *query, struct stoa_bytes *out_code,
                    struct stoa_detail *detail)
{
    static const uint8_t no_code[WORD_SIZE] = {
        0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d,
        0xb2, 0xdc, 0xc7, 0x03, 0xc0, 0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82,
        0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
    };
    struct stoa_account account;
    int result = stoa_get_account(stoa, query, &account, detail);
    if (result != 0) {
        return result;
    }
    if (memcmp(account.code_hash, no_code, WORD_SIZE) == 0) {
        *out_code = (struct stoa_bytes){NULL, 0};
        return 0;
    }
    memcpy(query->slot, account.code_hash, WORD_SIZE);
    return stoa_get_code(stoa, query, out_code, detail);
}

int command_state_code(const struct options *options)
{
    struct stoa_state_query query = {.height = 0};
    struct stoa *stoa;
    int status = begin(options, &query, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_bytes code = {.size = 0};
    struct stoa_detail detail = {.code = 0};
    int result = get_code(stoa, &query, &code, &detail);
    status = tell_value(options, result, code, &detail, options->arguments[0]);
    return command_close(stoa, status);
}

/* A raw key: hexadecimal after 0x, else its characters. */
static bool parse_raw_key(const char *text, uint8_t out[KEY_MAX], size_t *out_size)
{
    size_t length = strlen(text);
    if (strncmp(text, "0x", 2) == 0) {
        ptrdiff_t got = bytes_from_hex(text, length, out, KEY_MAX);
        *out_size = got > 0 ? (size_t)got : 0;
        return got > 0;
    }
    if (length == 0 || length > KEY_MAX) {
        return false;
    }
    memcpy(out, text, length);
    *out_size = length;
    return true;
}

static int run_get(const struct options *options, struct stoa_bytes key)
{
    struct stoa_state_at at = {.key = key, .height = height_of(options)};
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_bytes value = {.size = 0};
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_state_at(stoa, &at, &value, &detail);
    status = tell_value(options, result, value, &detail, options->arguments[1]);
    return command_close(stoa, status);
}

/* VALUE's data is NULL: the key is removed. */
static int run_change(const struct options *options, struct stoa_bytes key, struct stoa_bytes value)
{
    struct stoa_change change = {.key = key, .value = value};
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    update.changes = &change;
    update.change_count = 1;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_update_state(stoa, &update, &detail);
    if (result != 0) {
        status = command_fail(result, &detail, options->arguments[1]);
    }
    return command_close(stoa, status);
}

/* A value: hexadecimal after 0x, else its characters. The caller's to free. */
static uint8_t *parse_raw_value(const char *text, size_t *out_size)
{
    size_t length = strlen(text);
    uint8_t *value = memory_alloc(length + 1);
    bool hex = strncmp(text, "0x", 2) == 0;
    ptrdiff_t got = (ptrdiff_t)length;
    if (value != NULL && hex) {
        got = length == 2 ? 0 : bytes_from_hex(text, length, value, length);
    } else if (value != NULL) {
        memcpy(value, text, length);
    }
    if (value == NULL || got < 0 || (hex && got == 0 && length > 2)) {
        memory_free(value);
        return NULL;
    }
    *out_size = (size_t)got;
    return value;
}

static int run_put(const struct options *options, struct stoa_bytes key)
{
    const char *text = options->arguments[2];
    struct stoa_bytes value = {.size = 0};
    uint8_t *parsed = parse_raw_value(text, &value.size);
    if (parsed == NULL) {
        console_error("%s: no hexadecimal number of whole bytes", text);
        return COMMAND_USAGE;
    }
    value.data = parsed;
    int status = run_change(options, key, value);
    memory_free(parsed);
    return status;
}

int command_state_run(const struct options *options)
{
    const char *verb = options->arguments[0];
    const char *name = options->arguments[1];
    uint8_t raw[KEY_MAX];
    struct stoa_bytes key = {.data = raw};
    if (strcmp(verb, "changes") == 0) {
        if (options->argument_count != 2 || options->has_at) {
            console_error("state changes takes a block, and nothing else");
            return COMMAND_USAGE;
        }
        return command_examine_changes(options, name);
    }
    bool get = strcmp(verb, "get") == 0;
    bool put = strcmp(verb, "put") == 0;
    if (!get && !put && strcmp(verb, "delete") != 0) {
        console_error("%s: neither get, put, delete nor changes", verb);
        return COMMAND_USAGE;
    }
    if (options->argument_count != (put ? 3 : 2)) {
        console_error("state %s takes %s", verb, put ? "a key and a value" : "a key");
        return COMMAND_USAGE;
    }
    if (!get && options->has_at) {
        console_error("state %s changes the state of the head: --at is for get", verb);
        return COMMAND_USAGE;
    }
    if (!parse_raw_key(name, raw, &key.size)) {
        console_error("%s: no key of 1 to %d bytes", name, KEY_MAX);
        return COMMAND_USAGE;
    }
    return get   ? run_get(options, key)
           : put ? run_put(options, key)
                 : run_change(options, key, (struct stoa_bytes){NULL, 0});
}
