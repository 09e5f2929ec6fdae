/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_init.c: creating a store. */
#include <inttypes.h>

#include "chain/genesis.h"
#include "render/json_writer.h"
#include "stoa/byte_input.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/sheet.h"

enum { HASH_SIZE = 32, PIECE_SIZE = 1 << 20 };

/* What the new store will begin with; nothing where no genesis file is given. */
struct beginning {
    struct buffer text; /* of the file */
    bool has_genesis;
    uint8_t hash[HASH_SIZE];
    uint64_t chain_id;
    size_t account_count;
};

static int read_file(const char *path, struct buffer *out, struct error_detail *detail)
{
    struct byte_input *input = NULL;
    int result = byte_input_open(path, &input, detail);
    size_t count = 1;
    while (result == 0 && count > 0) {
        result = buffer_reserve(out, PIECE_SIZE);
        if (result != 0) {
            (void)error_set(detail, result, "no memory");
            break;
        }
        result = byte_input_read(input, out->data + out->size, PIECE_SIZE, &count, detail);
        out->size += result == 0 ? count : 0;
    }
    byte_input_close(input);
    return result;
}

static int read_genesis(const char *path, struct beginning *out, struct error_detail *detail)
{
    int result = read_file(path, &out->text, detail);
    if (result != 0) {
        return result;
    }
    struct genesis genesis;
    result = genesis_parse(buffer_bytes(&out->text), &genesis, detail);
    if (result != 0) {
        return result;
    }
    out->has_genesis = true;
    memcpy(out->hash, genesis.hash, HASH_SIZE);
    out->chain_id = genesis.chain_id;
    out->account_count = genesis.account_count;
    genesis_deinit(&genesis);
    return 0;
}

static bool print_json(const struct options *options, const struct beginning *beginning)
{
    struct buffer buffer;
    struct json_writer json;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    json_writer_object_begin(&json, NULL);
    json_writer_text(&json, "directory", options->directory);
    json_writer_hex_or_null(&json, "genesisHash", beginning->has_genesis ? beginning->hash : NULL,
                            HASH_SIZE);
    if (beginning->chain_id != 0) {
        json_writer_quantity(&json, "chainId", beginning->chain_id);
    } else {
        json_writer_null(&json, "chainId");
    }
    json_writer_object_end(&json);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

static bool print_text(const struct options *options, const struct beginning *beginning)
{
    struct sheet sheet;
    sheet_init(&sheet);
    sheet_line(&sheet, "store", "%s", options->directory);
    if (beginning->has_genesis) {
        char text[SHEET_TEXT_SIZE];
        sheet_hex(&sheet, "genesis", beginning->hash, HASH_SIZE);
        sheet_line(&sheet, "accounts", "%s", sheet_count_text(beginning->account_count, text));
    } else {
        sheet_line(&sheet, "genesis", "the first block stored, number 0");
    }
    if (beginning->chain_id != 0) {
        sheet_line(&sheet, "chain id", "%" PRIu64, beginning->chain_id);
    }
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

static int create(const struct options *options, struct beginning *beginning)
{
    struct stoa_create_options create_options = STOA_CREATE_OPTIONS_INIT;
    create_options.chain_id = options->chain_id;
    if (beginning->has_genesis) {
        create_options.genesis_json = (const char *)beginning->text.data;
        create_options.genesis_json_size = beginning->text.size;
    }
    struct stoa_detail detail = {.code = 0};
    int result = stoa_create(options->directory, &create_options, &detail);
    if (result != 0) {
        return command_fail(result, &detail, options->directory);
    }
    if (options->chain_id != 0) {
        beginning->chain_id = options->chain_id;
    }
    bool printed = options->json ? print_json(options, beginning) : print_text(options, beginning);
    return printed ? COMMAND_DONE : COMMAND_FAILED;
}

int command_init_run(const struct options *options)
{
    struct beginning beginning = {.has_genesis = false};
    int status = COMMAND_DONE;
    if (options->genesis != NULL) {
        struct error_detail detail = {.code = 0};
        int result = read_genesis(options->genesis, &beginning, &detail);
        if (result != 0) {
            console_error("%s: %s", options->genesis, detail.text);
            status = COMMAND_FAILED;
        }
    }
    if (status == COMMAND_DONE) {
        status = create(options, &beginning);
    }
    buffer_deinit(&beginning.text);
    return status;
}
