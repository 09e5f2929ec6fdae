/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_export.c: writing blocks of the canonical chain to files. Many reads are under way at
 * once; what comes back is put in order in a ring. A file appears under its name only when it is
 * whole. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/era1.h"
#include "chain/rlp.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/file_output.h"
#include "stoa/interrupt.h"
#include "stoa/sheet.h"

enum { AHEAD_MAX = 64, HASH_SIZE = 32 };

struct arrival {
    bool here;
    int result;
    struct stoa_block block;
    struct stoa_detail detail;
};

struct export
{
    const struct options *options;
    struct stoa *stoa;
    struct stoa_head head;
    uint64_t first;
    uint64_t last;
    uint64_t asked;   /* number of the next block to ask for */
    uint64_t written; /* number of the next block to write */
    uint64_t blocks;
    uint64_t bytes;
    struct arrival arrivals[AHEAD_MAX]; /* by number modulo its size */
};

static int fail_detail(const char *path, const struct error_detail *detail, int result)
{
    console_error("%s: %s", path, detail->text[0] != '\0' ? detail->text : stoa_strerror(result));
    return COMMAND_FAILED;
}

/* Ask for blocks as far ahead as the ring goes. */
static int ask(struct export *export)
{
    while (export->asked <= export->last && export->asked - export->written < AHEAD_MAX) {
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = export->asked};
        int result = stoa_submit_get_block(export->stoa, &key, STOA_TAG(export->asked));
        if (result == STOA_EBUSY && export->asked > export->written) {
            return 0;
        }
        if (result != 0) {
            return result;
        }
        export->asked++;
    }
    return 0;
}

static void take_arrivals(struct export *export)
{
    struct stoa_completion completions[AHEAD_MAX];
    int count = stoa_reap(export->stoa, completions, AHEAD_MAX, -1);
    ensure(count > 0);
    for (int i = 0; i < count; i++) {
        const struct stoa_completion *completion = &completions[i];
        ensure(completion->tag >= export->written && completion->tag < export->asked);
        struct arrival *arrival = &export->arrivals[completion->tag % AHEAD_MAX];
        ensure(!arrival->here);
        *arrival = (struct arrival){
            .here = true,
            .result = completion->result,
            .block = completion->block,
            .detail = completion->detail,
        };
    }
}

/* The next block in order: the caller releases its view. Returns an exit status. */
static int next_block(struct export *export, struct stoa_block *out_block)
{
    int result = ask(export);
    struct arrival *arrival = &export->arrivals[export->written % AHEAD_MAX];
    char what[64];
    (void)snprintf(what, sizeof(what), "block %" PRIu64, export->written);
    if (result != 0) {
        struct stoa_detail detail = {.code = result};
        return command_fail(result, &detail, what);
    }
    while (!arrival->here) {
        take_arrivals(export);
    }
    arrival->here = false;
    export->written++;
    if (arrival->result != 0) {
        return command_fail(arrival->result, &arrival->detail, what);
    }
    *out_block = arrival->block;
    export->blocks++;
    export->bytes += arrival->block.block.size;
    console_progress("block %" PRIu64 " of %" PRIu64, out_block->height, export->last);
    return COMMAND_DONE;
}

/* Wait for what was asked for and will not be written. */
static void finish_reads(struct export *export)
{
    while (export->written < export->asked) {
        struct arrival *arrival = &export->arrivals[export->written % AHEAD_MAX];
        while (!arrival->here) {
            take_arrivals(export);
        }
        arrival->here = false;
        if (arrival->result == 0) {
            stoa_release(arrival->block.view);
        }
        export->written++;
    }
}

static int export_rlp(struct export *export, const char *path)
{
    struct file_output *output = NULL;
    struct error_detail detail = {.code = 0};
    int result = file_output_create(path, &output, &detail);
    int status = COMMAND_DONE;
    while (result == 0 && status == COMMAND_DONE && export->written <= export->last &&
           !interrupt_requested()) {
        struct stoa_block block;
        status = next_block(export, &block);
        if (status == COMMAND_DONE) {
            result = file_output_write(output, command_bytes(block.block), &detail);
            stoa_release(block.view);
        }
    }
    if (result == 0 && status == COMMAND_DONE && !interrupt_requested()) {
        result = file_output_commit(output, &detail);
    }
    file_output_destroy(output);
    return result != 0 ? fail_detail(path, &detail, result) : status;
}

/* Append one block to the era1 file that OUT holds. */
static int add_era1_block(struct export *export, struct era1_writer *writer, struct buffer *out)
{
    struct stoa_block block;
    int status = next_block(export, &block);
    if (status != COMMAND_DONE) {
        return status;
    }
    static const uint8_t empty_list[] = {0xc0};
    struct error_detail detail = {.code = 0};
    struct era1_block entry = {
        .number = block.height,
        .block = command_bytes(block.block),
        .receipts = command_bytes(block.receipts),
    };
    memcpy(entry.total_difficulty, block.total_difficulty, HASH_SIZE);
    memcpy(entry.hash, block.hash, HASH_SIZE);
    int result = 0;
    if (entry.receipts.data == NULL) {
        struct bytes cursor = entry.block;
        struct bytes fields;
        struct rlp_item header;
        struct bytes transactions;
        result = rlp_read_list(&cursor, &fields, &detail);
        result = result == 0 ? rlp_read(&fields, &header, &detail) : result;
        result = result == 0 ? rlp_read_list(&fields, &transactions, &detail) : result;
        if (result == 0 && transactions.size > 0) {
            result = error_set(&detail, STOA_ENOTFOUND,
                               "receipts: none are stored, and era1 needs them");
        }
        entry.receipts = bytes_of(empty_list, sizeof(empty_list));
    }
    if (result == 0) {
        result = era1_writer_add(writer, &entry, out, &detail);
    }
    stoa_release(block.view);
    if (result != 0) {
        char what[64];
        (void)snprintf(what, sizeof(what), "block %" PRIu64, entry.number);
        return fail_detail(what, &detail, result);
    }
    return COMMAND_DONE;
}

/* Where the file of epoch EPOCH goes: PATH, or a name in it where it is a directory. */
static int name_era1(const struct export *export, const char *path, uint64_t epoch,
                     const uint8_t accumulator[HASH_SIZE], struct buffer *out)
{
    struct stat info;
    int result;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        char root[9];
        bytes_to_hex(accumulator, 4, root);
        uint64_t chain = export->head.chain_id;
        result = chain == 1          ? buffer_append_format(out, "%s/mainnet", path)
                 : chain == 11155111 ? buffer_append_format(out, "%s/sepolia", path)
                                     : buffer_append_format(out, "%s/chain-%" PRIu64, path, chain);
        if (result == 0) {
            result = buffer_append_format(out, "-%05" PRIu64 "-%s.era1", epoch, root);
        }
    } else {
        result = buffer_append_format(out, "%s", path);
    }
    return result == 0 ? buffer_append(out, "", 1) : result;
}

static int write_era1(const struct export *export, const char *path, uint64_t epoch,
                      struct era1_writer *writer, struct buffer *content)
{
    struct error_detail detail = {.code = 0};
    struct buffer name;
    struct file_output *output = NULL;
    uint8_t accumulator[HASH_SIZE];
    buffer_init(&name);
    int result = era1_writer_finish(writer, content, accumulator, &detail);
    if (result == 0) {
        result = name_era1(export, path, epoch, accumulator, &name);
    }
    if (result == 0) {
        result = file_output_create((const char *)name.data, &output, &detail);
    }
    if (result == 0) {
        result = file_output_write(output, buffer_bytes(content), &detail);
    }
    if (result == 0) {
        result = file_output_commit(output, &detail);
    }
    int status = result == 0 ? COMMAND_DONE : fail_detail(path, &detail, result);
    file_output_destroy(output);
    buffer_deinit(&name);
    return status;
}

static int export_era1(struct export *export, const char *path)
{
    int status = COMMAND_DONE;
    while (status == COMMAND_DONE && export->written <= export->last && !interrupt_requested()) {
        struct buffer content;
        struct era1_writer *writer = NULL;
        uint64_t epoch = export->written / ERA1_BLOCKS_MAX;
        uint64_t end = (epoch + 1) * ERA1_BLOCKS_MAX;
        buffer_init(&content);
        if (era1_writer_create(export->written, &writer) != 0) {
            console_error("%s: no memory", path);
            return COMMAND_FAILED;
        }
        while (status == COMMAND_DONE && export->written <= export->last && export->written < end &&
               !interrupt_requested()) {
            status = add_era1_block(export, writer, &content);
        }
        if (status == COMMAND_DONE && !interrupt_requested()) {
            status = write_era1(export, path, epoch, writer, &content);
        }
        era1_writer_destroy(writer);
        buffer_deinit(&content);
    }
    return status;
}

/* Whether the blocks asked for are there, and fit the format. */
static int check_range(struct export *export, const char *path)
{
    const struct options *options = export->options;
    bool era1 = options->format == OPTIONS_FORMAT_ERA1;
    if (export->head.empty != 0) {
        console_error("no block is stored");
        return COMMAND_FAILED;
    }
    export->first = options->has_from ? options->from : era1 ? 0 : 1;
    export->last = options->has_to ? options->to : export->head.height;
    export->asked = export->first;
    export->written = export->first;
    if (export->last > export->head.height) {
        console_error("block %" PRIu64 ": the head is %" PRIu64, export->last, export->head.height);
        return COMMAND_FAILED;
    }
    if (export->first > export->last && (options->has_from || export->head.height > 0)) {
        console_error("block %" PRIu64 " comes after block %" PRIu64, export->first, export->last);
        return COMMAND_FAILED;
    }
    struct stoa_stats stats = STOA_STATS_INIT;
    (void)stoa_get_stats(export->stoa, &stats); /* else reading the blocks says so */
    uint64_t floor = era1 ? stats.receipts_from : stats.bodies_from;
    if (export->first < floor) {
        console_error("block %" PRIu64
                      " is not kept any more with all that the file has: blocks %" PRIu64
                      " to %" PRIu64 " are",
                      export->first, floor, export->head.height);
        return COMMAND_FAILED;
    }
    if (!era1) {
        return COMMAND_DONE;
    }
    if (export->first % ERA1_BLOCKS_MAX != 0) {
        console_error("an era1 file begins at a multiple of %d, not at block %" PRIu64,
                      ERA1_BLOCKS_MAX, export->first);
        return COMMAND_USAGE;
    }
    struct stat info;
    bool directory = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (export->last / ERA1_BLOCKS_MAX != export->first / ERA1_BLOCKS_MAX && !directory) {
        console_error("%s: blocks %" PRIu64 " to %" PRIu64
                      " need several era1 files: name a directory for them",
                      path, export->first, export->last);
        return COMMAND_USAGE;
    }
    return COMMAND_DONE;
}

/* To standard output, or beside the blocks that went there, to standard error. */
static bool print_summary(const struct export *export, const char *path)
{
    char blocks[SHEET_TEXT_SIZE];
    char size[SHEET_TEXT_SIZE];
    if (strcmp(path, "-") == 0) {
        console_error("exported %s blocks (%s)", sheet_count_text(export->blocks, blocks),
                      sheet_size_text(export->bytes, size));
        return true;
    }
    if (!export->options->json) {
        return console_print("exported %s blocks (%s) to %s\n",
                             sheet_count_text(export->blocks, blocks),
                             sheet_size_text(export->bytes, size), path);
    }
    struct buffer buffer;
    struct json_writer json;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    json_writer_object_begin(&json, NULL);
    json_writer_number(&json, "exported", export->blocks);
    json_writer_number(&json, "bytes", export->bytes);
    json_writer_text(&json, "file", path);
    json_writer_object_end(&json);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

static int run(struct export *export)
{
    const char *path = export->options->arguments[0];
    int result = stoa_get_head(export->stoa, &export->head);
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        return command_fail(result, &detail, "head");
    }
    int status = check_range(export, path);
    if (status != COMMAND_DONE) {
        return status;
    }
    status = export->options->format == OPTIONS_FORMAT_ERA1 ? export_era1(export, path)
                                                            : export_rlp(export, path);
    finish_reads(export);
    if (interrupt_requested()) {
        console_error("interrupted");
        return status == COMMAND_DONE ? COMMAND_FAILED : status;
    }
    if (status == COMMAND_DONE && !print_summary(export, path)) {
        status = COMMAND_FAILED;
    }
    return status;
}

int command_export_run(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    interrupt_catch();
    struct export *export = memory_alloc_zeroed(1, sizeof(*export));
    if (export == NULL) {
        console_error("no memory");
        return command_close(stoa, COMMAND_FAILED);
    }
    export->options = options;
    export->stoa = stoa;
    status = run(export);
    memory_free(export);
    return command_close(stoa, status);
}
