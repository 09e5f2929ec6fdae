/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_show.c: the commands that look something up: each opens the store, gets one thing, and
 * shows it as text, JSON or hexadecimal digits. */
#include <inttypes.h>
#include <string.h>

#include "base/ensure.h"
#include "render/json_block.h"
#include "render/json_receipt.h"
#include "render/json_transaction.h"
#include "stoa/answer.h"
#include "stoa/block_text.h"
#include "stoa/command.h"
#include "stoa/console.h"

enum { HASH_SIZE = 32, BLOCKS_AT_ONCE = 64 };

/* What a command was asked for, and where its answer grows. */
struct show {
    const struct options *options;
    const char *what; /* for messages: "block 7" */
    struct answer answer;
    struct error_detail detail;
};

typedef int show_block_function(struct show *show, const struct stoa_block *stored,
                                const struct block *block);
typedef int show_transaction_function(struct show *show, const struct stoa_transaction *stored,
                                      const struct block *block);

static void show_init(struct show *show, const struct options *options)
{
    *show = (struct show){.options = options};
    answer_init(&show->answer, options);
}

static void show_deinit(struct show *show)
{
    answer_deinit(&show->answer);
}

/* Print the answer, unless making it failed with RESULT. Returns an exit status. */
static int show_finish(struct show *show, int result)
{
    if (result != 0) {
        const char *text = show->detail.text[0] != '\0' ? show->detail.text : stoa_strerror(result);
        console_error("%s: %s", show->options->arguments[0], text);
        return result == STOA_ECORRUPT ? COMMAND_DAMAGE : COMMAND_FAILED;
    }
    return answer_print(&show->answer);
}

static void show_raw(struct show *show, struct bytes encoding)
{
    if (show->options->json) {
        json_writer_hex(&show->answer.json, NULL, encoding.data, encoding.size);
    } else {
        sheet_add_hex(&show->answer.sheet, encoding.data, encoding.size);
        sheet_add(&show->answer.sheet, "\n");
    }
}

static bool parse_hash(const char *text, uint8_t out[HASH_SIZE])
{
    return bytes_from_hex(text, strlen(text), out, HASH_SIZE) == HASH_SIZE;
}

bool command_parse_key(const char *text, struct stoa_block_key *out)
{
    *out = (struct stoa_block_key){.by = STOA_LATEST};
    if (strcmp(text, "latest") == 0) {
        return true;
    }
    if (options_parse_number(text, &out->height)) {
        out->by = STOA_BY_HEIGHT;
        return true;
    }
    out->by = STOA_BY_HASH;
    return parse_hash(text, out->hash);
}

static int show_one_header(struct show *show, const struct stoa_block *stored,
                           const struct block *block)
{
    (void)stored;
    if (show->options->raw) {
        show_raw(show, block->header.encoding);
    } else if (show->options->json) {
        json_block_append_header(&show->answer.json, NULL, &block->header, block->hash);
    } else {
        block_text_header(&show->answer.sheet, &block->header, block->hash);
    }
    return 0;
}

/* As that of a block that was read whole. */
static int decode_header(const struct stoa_header *stored, struct block *out_block,
                         struct error_detail *detail)
{
    *out_block = (struct block){.encoding = bytes_of(NULL, 0)};
    memcpy(out_block->hash, stored->hash, sizeof(out_block->hash));
    return header_decode(command_bytes(stored->header), &out_block->header, detail);
}

/* The block of KEY; HEADER_ONLY: its header is all that is read, and all that OUT_BLOCK has. */
static int get_block(struct stoa *stoa, const struct stoa_block_key *key, bool header_only,
                     struct stoa_block *out_stored, struct block *out_block,
                     struct stoa_detail *detail)
{
    struct error_detail why;
    if (!header_only) {
        int result = stoa_get_block(stoa, key, out_stored, detail);
        return result != 0 ? result
                           : block_decode(command_bytes(out_stored->block), out_block, &why);
    }
    struct stoa_header header;
    int result = stoa_get_header(stoa, key, &header, detail);
    *out_stored = (struct stoa_block){.view = result == 0 ? header.view : NULL};
    return result != 0 ? result : decode_header(&header, out_block, &why);
}

/* Open, get the block that the first argument names, have FUNCTION show it, close. */
static int show_block_with(const struct options *options, show_block_function *function)
{
    const char *name = options->arguments[0];
    struct stoa_block_key key;
    if (!command_parse_key(name, &key)) {
        console_error("%s: neither a number, nor a hash, nor latest", name);
        return COMMAND_USAGE;
    }
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_block stored = {.view = NULL};
    struct block block;
    struct stoa_detail detail = {.code = 0};
    int result = get_block(stoa, &key, function == show_one_header, &stored, &block, &detail);
    if (result != 0) {
        stoa_release(stored.view);
        return command_close(stoa, command_fail(result, &detail, name));
    }
    struct show show;
    show_init(&show, options);
    status = show_finish(&show, function(&show, &stored, &block));
    show_deinit(&show);
    stoa_release(stored.view);
    return command_close(stoa, status);
}

/* The blocks from A to B that "A..B" means; B may be "latest", which is then UINT64_MAX. False:
 * TEXT is none. */
static bool parse_range(const char *text, uint64_t *out_from, uint64_t *out_to)
{
    char first[32];
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof(first)) {
        return false;
    }
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = '\0';
    *out_to = UINT64_MAX;
    return options_parse_number(first, out_from) &&
           (strcmp(dots + 2, "latest") == 0 || options_parse_number(dots + 2, out_to));
}

/* Add one block of several to the answer, and print what has gathered. Returns an exit status. */
static int show_next(struct show *show, const struct stoa_block *stored, const struct block *block,
                     show_block_function *function, bool first)
{
    bool text = !show->options->json && !show->options->raw;
    if (text && !first) {
        sheet_add(&show->answer.sheet, "\n");
    }
    int result = function(show, stored, block);
    if (result != 0) {
        return show_finish(show, result);
    }
    bool printed = !show->options->json
                       ? sheet_print(&show->answer.sheet)
                       : show->answer.json.result != 0 || console_write(&show->answer.buffer);
    buffer_clear(&show->answer.buffer);
    buffer_clear(&show->answer.sheet.text);
    return printed ? COMMAND_DONE : COMMAND_FAILED;
}

/* Some blocks of RANGE, which moves on. Returns an exit status. */
static int show_some(struct show *show, struct stoa *stoa, struct stoa_block_range *range,
                     show_block_function *function, bool first)
{
    struct stoa_block blocks[BLOCKS_AT_ONCE];
    struct stoa_block_range some = *range;
    struct stoa_detail detail = {.code = 0};
    size_t count = 0;
    some.count = range->count < BLOCKS_AT_ONCE ? range->count : BLOCKS_AT_ONCE;
    int result = stoa_get_block_range(stoa, &some, blocks, &count, &detail);
    if (result != 0) {
        return command_fail(result, &detail, show->options->arguments[0]);
    }
    int status = COMMAND_DONE;
    for (size_t i = 0; i < count; i++) {
        struct block block;
        result = block_decode(command_bytes(blocks[i].block), &block, &show->detail);
        if (status == COMMAND_DONE) {
            status = result != 0 ? show_finish(show, result)
                                 : show_next(show, &blocks[i], &block, function, first && i == 0);
        }
        stoa_release(blocks[i].view);
    }
    range->from += count;
    range->count -= count;
    return status;
}

/* The same of their headers, which are all that is read. */
static int show_some_headers(struct show *show, struct stoa *stoa, struct stoa_block_range *range,
                             bool first)
{
    struct stoa_headers headers;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_header_range(stoa, range, &headers, &detail);
    if (result != 0) {
        return command_fail(result, &detail, show->options->arguments[0]);
    }
    int status = COMMAND_DONE;
    for (size_t i = 0; i < headers.count && status == COMMAND_DONE; i++) {
        struct block block;
        result = decode_header(&headers.headers[i], &block, &show->detail);
        status = result != 0 ? show_finish(show, result)
                             : show_next(show, NULL, &block, show_one_header, first && i == 0);
    }
    range->from += headers.count;
    range->count -= headers.count;
    stoa_free(headers.headers);
    return status;
}

/* How many blocks FROM to TO (UINT64_MAX: the head) are. Returns an exit status. */
static int count_range(struct stoa *stoa, const char *name, uint64_t from, uint64_t to,
                       size_t *out_count)
{
    struct stoa_head head;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_head(stoa, &head);
    if (result != 0) {
        return command_fail(result, &detail, "head");
    }
    to = to == UINT64_MAX ? head.height : to;
    if (head.empty != 0 || from > head.height || to > head.height) {
        console_error("%s: it ends above the head", name);
        return COMMAND_FAILED;
    }
    if (to - from >= STOA_RANGE_MAX) {
        console_error("%s: %" PRIu64 " blocks; at most %d at once", name, to - from + 1,
                      STOA_RANGE_MAX);
        return COMMAND_FAILED;
    }
    *out_count = to - from + 1;
    return COMMAND_DONE;
}

/* The blocks from FROM to TO, or the head; printed while they are read. */
static int show_range_with(const struct options *options, uint64_t from, uint64_t to,
                           show_block_function *function)
{
    const char *name = options->arguments[0];
    if (from > to) {
        console_error("%s: it ends before it begins", name);
        return COMMAND_USAGE;
    }
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_block_range range = {from, 0};
    status = count_range(stoa, name, from, to, &range.count);
    struct show show;
    show_init(&show, options);
    json_writer_array_begin(&show.answer.json, NULL);
    while (status == COMMAND_DONE && range.count != 0) {
        bool first = range.from == from;
        status = function == show_one_header ? show_some_headers(&show, stoa, &range, first)
                                             : show_some(&show, stoa, &range, function, first);
    }
    if (status == COMMAND_DONE && options->json) {
        json_writer_array_end(&show.answer.json);
        status = show_finish(&show, 0);
    }
    show_deinit(&show);
    return command_close(stoa, status);
}

static int show_transaction_with(const struct options *options, show_transaction_function *function)
{
    const char *name = options->arguments[0];
    uint8_t hash[HASH_SIZE];
    if (!parse_hash(name, hash)) {
        console_error("%s: no transaction hash", name);
        return COMMAND_USAGE;
    }
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_transaction stored;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_transaction(stoa, hash, &stored, &detail);
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, name));
    }
    struct show show;
    show_init(&show, options);
    struct block block;
    result = block_decode(command_bytes(stored.block.block), &block, &show.detail);
    if (result == 0) {
        result = function(&show, &stored, &block);
    }
    status = show_finish(&show, result);
    show_deinit(&show);
    stoa_release(stored.block.view);
    return command_close(stoa, status);
}

static int show_one_block(struct show *show, const struct stoa_block *stored,
                          const struct block *block)
{
    struct bytes senders = command_bytes(stored->senders);
    if (show->options->raw) {
        show_raw(show, block->encoding);
        return 0;
    }
    if (show->options->json) {
        struct json_block input = {
            .block = block,
            .senders = senders,
            .total_difficulty = stored->total_difficulty,
            .full = true,
        };
        return json_block_append(&show->answer.json, NULL, &input, &show->detail);
    }
    block_text_header(&show->answer.sheet, &block->header, block->hash);
    sheet_line(&show->answer.sheet, "branch", stored->canonical != 0 ? "canonical" : "side");
    return block_text_body(&show->answer.sheet, block, senders, stored->total_difficulty,
                           &show->detail);
}

static int show_one_transaction(struct show *show, const struct stoa_transaction *stored,
                                const struct block *block)
{
    struct bytes envelope = command_bytes(stored->transaction);
    if (show->options->raw) {
        show_raw(show, envelope);
        return 0;
    }
    if (show->options->json) {
        struct json_transaction input = {
            .block = block,
            .index = stored->index,
            .envelope = envelope,
            .sender = stored->sender,
        };
        return json_transaction_append(&show->answer.json, NULL, &input, &show->detail);
    }
    return block_text_transaction(&show->answer.sheet, block, stored->index, envelope,
                                  stored->sender, &show->detail);
}

static int no_receipts(struct show *show, const struct stoa_block *stored,
                       const struct block *block)
{
    if (stored->receipts_pruned != 0) {
        return error_set(&show->detail, STOA_EPRUNED,
                         "receipts of block %" PRIu64 " are not kept any more",
                         block->header.number);
    }
    return error_set(&show->detail, STOA_ENOTFOUND, "block %" PRIu64 " was stored without receipts",
                     block->header.number);
}

static int show_step(struct show *show, const struct receipt_walk_step *step)
{
    if (show->options->raw) {
        show_raw(show, step->receipt.envelope);
        return 0;
    }
    if (show->options->json) {
        return json_receipt_append(&show->answer.json, NULL, step, &show->detail);
    }
    return block_text_receipt(&show->answer.sheet, step, &show->detail);
}

static int show_one_receipt(struct show *show, const struct stoa_transaction *stored,
                            const struct block *block)
{
    if (stored->receipt.data == NULL) {
        return no_receipts(show, &stored->block, block);
    }
    struct receipt_walk walk;
    struct receipt_walk_step step;
    int result = receipt_walk_init(&walk, block, command_bytes(stored->block.receipts),
                                   command_bytes(stored->block.senders), &show->detail);
    for (uint32_t i = 0; result == 0 && i <= stored->index; i++) {
        result = receipt_walk_next(&walk, &step, &show->detail);
    }
    return result != 0 ? result : show_step(show, &step);
}

static int show_all_receipts(struct show *show, const struct stoa_block *stored,
                             const struct block *block)
{
    if (stored->receipts.data == NULL && block->transaction_count > 0) {
        return no_receipts(show, stored, block);
    }
    struct receipt_walk walk;
    int result = receipt_walk_init(&walk, block, command_bytes(stored->receipts),
                                   command_bytes(stored->senders), &show->detail);
    if (result != 0) {
        return result;
    }
    bool text = !show->options->json && !show->options->raw;
    if (show->options->json) {
        json_writer_array_begin(&show->answer.json, NULL);
    }
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct receipt_walk_step step;
        result = receipt_walk_next(&walk, &step, &show->detail);
        if (result == 0 && text && i > 0) {
            sheet_add(&show->answer.sheet, "\n");
        }
        if (result == 0) {
            result = show_step(show, &step);
        }
        if (result != 0) {
            return result;
        }
    }
    if (show->options->json) {
        json_writer_array_end(&show->answer.json);
    } else if (text && block->transaction_count == 0) {
        sheet_add(&show->answer.sheet, "no receipts: the block has no transactions\n");
    }
    return 0;
}

static void add_mark_json(struct json_writer *json, const char *name, int present, uint64_t height,
                          const uint8_t hash[HASH_SIZE])
{
    if (present == 0) {
        json_writer_null(json, name);
        return;
    }
    json_writer_object_begin(json, name);
    json_writer_quantity(json, "number", height);
    json_writer_hex(json, "hash", hash, HASH_SIZE);
    json_writer_object_end(json);
}

static void add_mark_text(struct sheet *sheet, const char *name, int present, uint64_t height,
                          const uint8_t hash[HASH_SIZE])
{
    if (present != 0) {
        char text[2 * HASH_SIZE + 1];
        bytes_to_hex(hash, HASH_SIZE, text);
        sheet_line(sheet, name, "%" PRIu64 " 0x%s", height, text);
    }
}

static void add_head_json(struct json_writer *json, const struct stoa_head *head,
                          const struct stoa_stats *stats)
{
    json_writer_object_begin(json, NULL);
    json_writer_quantity(json, "number", head->height);
    json_writer_hex(json, "hash", head->hash, HASH_SIZE);
    json_writer_quantity256(json, "totalDifficulty", head->total_difficulty);
    json_writer_hex(json, "genesisHash", head->genesis_hash, HASH_SIZE);
    if (head->chain_id != 0) {
        json_writer_quantity(json, "chainId", head->chain_id);
    } else {
        json_writer_null(json, "chainId");
    }
    add_mark_json(json, "safe", head->has_safe, head->safe_height, head->safe_hash);
    add_mark_json(json, "finalized", head->has_finalized, head->finalized_height,
                  head->finalized_hash);
    if (stats->state_heights == 0) {
        json_writer_null(json, "state");
    } else {
        json_writer_object_begin(json, "state");
        json_writer_quantity(json, "complete", stats->state_heights - 1);
        json_writer_quantity(json, "valuesFrom", stats->history_from);
        json_writer_quantity(json, "proofsFrom", stats->trie_history_from);
        json_writer_object_end(json);
    }
    json_writer_object_end(json);
}

static void add_head_text(struct sheet *sheet, const struct stoa_head *head,
                          const struct stoa_stats *stats)
{
    sheet_line(sheet, "block", "%" PRIu64, head->height);
    sheet_hex(sheet, "hash", head->hash, HASH_SIZE);
    sheet_decimal(sheet, "total difficulty", head->total_difficulty);
    sheet_hex(sheet, "genesis", head->genesis_hash, HASH_SIZE);
    if (head->chain_id != 0) {
        sheet_line(sheet, "chain id", "%" PRIu64, head->chain_id);
    }
    add_mark_text(sheet, "safe", head->has_safe, head->safe_height, head->safe_hash);
    add_mark_text(sheet, "finalized", head->has_finalized, head->finalized_height,
                  head->finalized_hash);
    if (stats->state_heights != 0) {
        sheet_line(sheet, "state",
                   "complete to block %" PRIu64 ", values from %" PRIu64 ", proofs from %" PRIu64,
                   stats->state_heights - 1, stats->history_from, stats->trie_history_from);
    }
}

int command_show_head(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_head head;
    struct stoa_stats stats = STOA_STATS_INIT;
    int result = stoa_get_head(stoa, &head);
    if (result == 0) {
        result = stoa_get_stats(stoa, &stats);
    }
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        return command_close(stoa, command_fail(result, &detail, "head"));
    }
    struct show show;
    show_init(&show, options);
    if (options->json && head.empty != 0) {
        json_writer_null(&show.answer.json, NULL);
    } else if (options->json) {
        add_head_json(&show.answer.json, &head, &stats);
    } else if (head.empty != 0) {
        sheet_add(&show.answer.sheet, "no block is stored\n");
    } else {
        add_head_text(&show.answer.sheet, &head, &stats);
    }
    status = show_finish(&show, 0);
    show_deinit(&show);
    return command_close(stoa, status);
}

static int show_one_or_range(const struct options *options, show_block_function *function)
{
    uint64_t from;
    uint64_t to;
    return parse_range(options->arguments[0], &from, &to)
               ? show_range_with(options, from, to, function)
               : show_block_with(options, function);
}

int command_show_block(const struct options *options)
{
    return show_one_or_range(options, show_one_block);
}

int command_show_header(const struct options *options)
{
    return show_one_or_range(options, show_one_header);
}

int command_show_transaction(const struct options *options)
{
    return show_transaction_with(options, show_one_transaction);
}

int command_show_receipt(const struct options *options)
{
    return show_transaction_with(options, show_one_receipt);
}

int command_show_receipts(const struct options *options)
{
    return show_block_with(options, show_all_receipts);
}
