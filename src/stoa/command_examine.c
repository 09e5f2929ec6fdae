/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_examine.c: what the state is made of, and what a block changed in it. */
#include <inttypes.h>
#include <stddef.h>

#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/command_storage.h"
#include "stoa/console.h"

enum { ADDRESS_SIZE = 20, WORD_SIZE = 32 };

struct figure {
    const char *key;
    const char *name;
    size_t offset;
    bool size;
};

#define FIGURE(key, name, member)                                \
    {                                                            \
        key, name, offsetof(struct stoa_analysis, member), false \
    }
#define SIZE(key, name, member)                                 \
    {                                                           \
        key, name, offsetof(struct stoa_analysis, member), true \
    }

static const struct figure figures[] = {
    FIGURE("accounts", "accounts", accounts),
    FIGURE("contracts", "  with code", contracts),
    FIGURE("slots", "slots", slots),
    FIGURE("codes", "codes", codes),
    SIZE("codeBytes", "  size", code_bytes),
    FIGURE("rawKeys", "raw keys", raw_keys),
    SIZE("rawBytes", "  size", raw_bytes),
    FIGURE("valueVersions", "value versions", value_versions),
    SIZE("valueVersionBytes", "  size", value_version_bytes),
    FIGURE("trieBranches", "trie branches", trie_branches),
    FIGURE("trieExtensions", "trie extensions", trie_extensions),
    FIGURE("trieLeaves", "trie leaves", trie_leaves),
    FIGURE("trieRecords", "trie records", trie_records),
    SIZE("trieRecordBytes", "  size", trie_record_bytes),
    FIGURE("trieVersions", "trie versions", trie_versions),
    SIZE("trieVersionBytes", "  size", trie_version_bytes),
};

static void add_figure(struct answer *answer, const struct options *options,
                       const struct figure *figure, const struct stoa_analysis *analysis)
{
    uint64_t value;
    char text[SHEET_TEXT_SIZE];
    memcpy(&value, (const uint8_t *)analysis + figure->offset, sizeof(value));
    if (options->json) {
        json_writer_number(&answer->json, figure->key, value);
    } else if (figure->size) {
        sheet_line(&answer->sheet, figure->name, "%s", sheet_size_text(value, text));
    } else {
        sheet_line(&answer->sheet, figure->name, "%s", sheet_count_text(value, text));
    }
}

static int print_analysis(const struct options *options, const struct stoa_analysis *analysis)
{
    struct answer answer;
    answer_init(&answer, options);
    if (options->json) {
        json_writer_object_begin(&answer.json, NULL);
        json_writer_quantity(&answer.json, "number", analysis->height);
    } else {
        sheet_line(&answer.sheet, "block", "%" PRIu64, analysis->height);
    }
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        add_figure(&answer, options, &figures[i], analysis);
    }
    if (options->json) {
        json_writer_object_end(&answer.json);
    }
    return answer_finish(&answer);
}

int command_examine_analyze(const struct options *options)
{
    struct stoa *stoa;
    if (options->storage) {
        return command_storage_show(options);
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_analysis analysis = STOA_ANALYSIS_INIT;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_analyze(stoa, &analysis, &detail);
    status =
        result == 0 ? print_analysis(options, &analysis) : command_fail(result, &detail, "analyze");
    return command_close(stoa, status);
}

/* ---- the changes of a block ---- */

static void add_account_json(struct json_writer *json, const struct stoa_account_change *account)
{
    json_writer_object_begin(json, NULL);
    json_writer_hex(json, "address", account->address, ADDRESS_SIZE);
    json_writer_bool(json, "removed", (account->flags & STOA_ACCOUNT_REMOVED) != 0);
    json_writer_bool(json, "wiped", account->flags != 0);
    if ((account->flags & STOA_ACCOUNT_REMOVED) == 0) {
        json_writer_quantity(json, "nonce", account->nonce);
        json_writer_quantity256(json, "balance", account->balance);
        json_writer_hex(json, "codeHash", account->code_hash, WORD_SIZE);
    }
    json_writer_object_end(json);
}

static void add_changes_json(struct json_writer *json, const struct stoa_block_changes *changes)
{
    json_writer_object_begin(json, NULL);
    json_writer_quantity(json, "number", changes->height);
    json_writer_hex(json, "hash", changes->hash, WORD_SIZE);
    json_writer_bool(json, "complete", changes->complete != 0);
    json_writer_array_begin(json, "accounts");
    for (size_t i = 0; i < changes->account_count; i++) {
        add_account_json(json, &changes->accounts[i]);
    }
    json_writer_array_end(json);
    json_writer_array_begin(json, "slots");
    for (size_t i = 0; i < changes->slot_count; i++) {
        json_writer_object_begin(json, NULL);
        json_writer_hex(json, "address", changes->slots[i].address, ADDRESS_SIZE);
        json_writer_hex(json, "slotHash", changes->slots[i].slot_hash, WORD_SIZE);
        json_writer_hex(json, "value", changes->slots[i].value, WORD_SIZE);
        json_writer_object_end(json);
    }
    json_writer_array_end(json);
    json_writer_array_begin(json, "codes");
    for (size_t i = 0; i < changes->code_count; i++) {
        json_writer_hex(json, NULL, changes->codes[i].data, changes->codes[i].size);
    }
    json_writer_array_end(json);
    json_writer_array_begin(json, "raw");
    for (size_t i = 0; i < changes->change_count; i++) {
        const struct stoa_change *change = &changes->changes[i];
        json_writer_object_begin(json, NULL);
        json_writer_hex(json, "key", change->key.data, change->key.size);
        if (change->value.data == NULL) {
            json_writer_null(json, "value");
        } else {
            json_writer_hex(json, "value", change->value.data, change->value.size);
        }
        json_writer_object_end(json);
    }
    json_writer_array_end(json);
    json_writer_object_end(json);
}

static void add_changes_text(struct sheet *sheet, const struct stoa_block_changes *changes)
{
    sheet_line(sheet, "block", "%" PRIu64, changes->height);
    sheet_hex(sheet, "hash", changes->hash, WORD_SIZE);
    sheet_line(sheet, "accounts, slots", changes->complete != 0 ? "all" : "not given");
    for (size_t i = 0; i < changes->account_count; i++) {
        const struct stoa_account_change *account = &changes->accounts[i];
        sheet_hex(sheet, "account", account->address, ADDRESS_SIZE);
        if ((account->flags & STOA_ACCOUNT_REMOVED) != 0) {
            sheet_line(sheet, "  removed", "with its storage");
            continue;
        }
        if (account->flags != 0) {
            sheet_line(sheet, "  storage", "emptied before");
        }
        sheet_line(sheet, "  nonce", "%" PRIu64, account->nonce);
        sheet_decimal(sheet, "  balance", account->balance);
        sheet_hex(sheet, "  code hash", account->code_hash, WORD_SIZE);
    }
    for (size_t i = 0; i < changes->slot_count; i++) {
        sheet_hex(sheet, "slot of", changes->slots[i].address, ADDRESS_SIZE);
        sheet_hex(sheet, "  hash", changes->slots[i].slot_hash, WORD_SIZE);
        sheet_hex(sheet, "  value", changes->slots[i].value, WORD_SIZE);
    }
    for (size_t i = 0; i < changes->code_count; i++) {
        sheet_line(sheet, "code", "%zu bytes", changes->codes[i].size);
    }
    for (size_t i = 0; i < changes->change_count; i++) {
        const struct stoa_change *change = &changes->changes[i];
        sheet_hex(sheet, "raw key", change->key.data, change->key.size);
        if (change->value.data == NULL) {
            sheet_line(sheet, "  removed", "%s", "");
        } else {
            sheet_hex(sheet, "  value", change->value.data, change->value.size);
        }
    }
}

int command_examine_changes(const struct options *options, const char *block)
{
    struct stoa_block_key key;
    struct stoa *stoa;
    if (!command_parse_key(block, &key)) {
        console_error("%s: no block", block);
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_block_changes *changes = NULL;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_block_changes(stoa, &key, &changes, &detail);
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, block));
    }
    struct answer answer;
    answer_init(&answer, options);
    if (options->json) {
        add_changes_json(&answer.json, changes);
    } else {
        add_changes_text(&answer.sheet, changes);
    }
    stoa_free(changes);
    return command_close(stoa, answer_finish(&answer));
}
