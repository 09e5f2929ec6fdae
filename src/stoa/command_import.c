/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_import.c: storing the blocks of files.
 *
 * A block goes to the store only when the next one in its file names it as parent, so that a
 * damaged header is found before it is stored; the last block of a file needs no such witness. What
 * is stored already is recognised by the chain itself: as each block names its parent, a file whose
 * block at the head's height is the head agrees with the store in all blocks before. Where such a
 * block is stored without receipts and they are at hand now, they are stored. Everything is
 * checked by the engine's workers while the next blocks are read; the first failure ends the
 * import, and what stood before it in the file is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "render/json_writer.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/import_source.h"
#include "stoa/import_window.h"
#include "stoa/interrupt.h"
#include "stoa/sheet.h"

enum { HASH_SIZE = 32, AGREED_MAX = 1024 };

/* A block that was read and waits for its witness. */
struct waiting {
    bool any;
    uint64_t number;
    uint8_t hash[HASH_SIZE];
    bool stored;              /* already */
    struct import_slot *slot; /* NULL: nothing of it is to be stored */
};

struct import {
    const struct options *options;
    struct stoa *stoa;
    struct import_window *window;
    struct execution_file *execution; /* NULL: none */
    const char *path;                 /* of the file at hand */
    struct import_source *source;
    struct stoa_head head; /* when this file was begun */
    struct waiting waiting;
    bool has_previous;
    uint64_t previous;                     /* number of the block read before, of this file */
    uint8_t agreed[AGREED_MAX][HASH_SIZE]; /* hashes of the last blocks skipped, by number */
    uint64_t agreed_first;                 /* number of the first that is still there */
    uint64_t agreed_end;
    bool lacking_known;
    uint64_t lacking; /* the next stored block without receipts; UINT64_MAX: none */
    uint64_t skipped;
    double started;
};

/* Print "FILE: block N: …" and return the exit status. */
static int refuse(const struct import *import, uint64_t number, const char *text)
{
    console_error("%s: block %" PRIu64 ": %s", import->path, number, text);
    return COMMAND_FAILED;
}

static int refuse_detail(const struct import *import, const struct error_detail *detail, int result)
{
    console_error("%s: %s", import->path,
                  detail->text[0] != '\0' ? detail->text : stoa_strerror(result));
    return COMMAND_FAILED;
}

static void show_progress(const struct import *import)
{
    if (!console_progress_due()) {
        return;
    }
    const struct import_window *window = import->window;
    double seconds = console_seconds() - import->started;
    double rate = seconds > 0 ? (double)window->stored / seconds : 0;
    double fraction = import_source_fraction(import->source);
    char size[SHEET_TEXT_SIZE];
    (void)sheet_size_text(window->stored_bytes, size);
    if (fraction < 0) {
        console_progress("%s: block %" PRIu64 ", %s, %.0f blocks/s", import->path,
                         window->stored_number, size, rate);
    } else {
        console_progress("%s: %.0f %%, block %" PRIu64 ", %s, %.0f blocks/s", import->path,
                         fraction * 100, window->stored_number, size, rate);
    }
}

/* The block of the chain at NUMBER has HASH. */
static int compare_stored(struct import *import, uint64_t number, const uint8_t hash[HASH_SIZE],
                          bool *out_equal)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
    struct stoa_block stored;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_block(import->stoa, &key, &stored, &detail);
    if (result != 0) {
        return command_fail(result, &detail, import->path);
    }
    *out_equal = memcmp(stored.hash, hash, HASH_SIZE) == 0;
    stoa_release(stored.view);
    return COMMAND_DONE;
}

/* The newest block skipped is not the store's: name the first that is not. */
static int refuse_other_branch(struct import *import)
{
    for (uint64_t number = import->agreed_first; number < import->agreed_end; number++) {
        bool equal = false;
        int status = compare_stored(import, number, import->agreed[number % AGREED_MAX], &equal);
        if (status != COMMAND_DONE) {
            return status;
        }
        if (!equal) {
            return refuse(import, number, "hash: the store has a different block at this height");
        }
    }
    ensure(false);
    return COMMAND_FAILED;
}

/* Check that the last block skipped is the one stored. As each names its parent, this holds for all
 * before it in the file as well. */
static int check_agreed(struct import *import)
{
    if (import->agreed_first == import->agreed_end) {
        return COMMAND_DONE;
    }
    uint64_t number = import->agreed_end - 1;
    const uint8_t *hash = import->agreed[number % AGREED_MAX];
    bool equal = memcmp(hash, import->head.hash, HASH_SIZE) == 0;
    if (number != import->head.height) {
        int status = compare_stored(import, number, hash, &equal);
        if (status != COMMAND_DONE) {
            return status;
        }
    }
    if (!equal) {
        return refuse_other_branch(import);
    }
    import->agreed_first = import->agreed_end;
    return COMMAND_DONE;
}

/* Note that block NUMBER with HASH is not above the head, and was confirmed by its successor. */
static int skip_block(struct import *import, const struct waiting *block)
{
    if (import->agreed_first == import->agreed_end) {
        import->agreed_first = block->number;
        import->agreed_end = block->number;
    }
    ensure(block->number == import->agreed_end);
    memcpy(import->agreed[block->number % AGREED_MAX], block->hash, HASH_SIZE);
    import->agreed_end++;
    import->skipped++;
    if (block->number == import->head.height ||
        import->agreed_end - import->agreed_first == AGREED_MAX) {
        return check_agreed(import);
    }
    return COMMAND_DONE;
}

/* The block that waited is good as far as this file can tell: store or skip it. */
static int release_waiting(struct import *import)
{
    struct waiting block = import->waiting;
    import->waiting.any = false;
    import->waiting.slot = NULL;
    int status = block.stored ? skip_block(import, &block) : COMMAND_DONE;
    if (status != COMMAND_DONE && block.slot != NULL) {
        import_window_drop(import->window, block.slot);
    }
    if (status != COMMAND_DONE || block.slot == NULL) {
        return status;
    }
    return import_window_submit(import->window, block.slot) ? COMMAND_DONE : COMMAND_FAILED;
}

static void drop_waiting(struct import *import)
{
    if (import->waiting.slot != NULL) {
        import_window_drop(import->window, import->waiting.slot);
    }
    import->waiting = (struct waiting){.any = false};
}

/* What comes after the block that waits was read with RESULT: does it name it as parent? */
static int confirm_waiting(struct import *import, int result, const struct import_item *item,
                           const struct error_detail *detail)
{
    uint8_t parent[HASH_SIZE];
    if (result == STOA_ENOTFOUND) {
        return release_waiting(import);
    }
    if (result == 0) {
        memcpy(parent, item->parent_hash, HASH_SIZE);
    } else if (!import_source_peek_parent(import->source, parent)) {
        (void)refuse_detail(import, detail, result);
        return refuse(import, import->waiting.number, "left out: nothing good follows it");
    }
    if (memcmp(parent, import->waiting.hash, HASH_SIZE) == 0) {
        return release_waiting(import);
    }
    char text[2][2 * HASH_SIZE + 1];
    bytes_to_hex(import->waiting.hash, HASH_SIZE, text[0]);
    bytes_to_hex(parent, HASH_SIZE, text[1]);
    console_error("%s: block %" PRIu64 ": hash: 0x%s, but parentHash of the next block: 0x%s",
                  import->path, import->waiting.number, text[0], text[1]);
    return COMMAND_FAILED;
}

/* What the execution file says of block NUMBER, into SLOT. STOA_ENOTFOUND: nothing. A genesis block
 * executes nothing. */
static int look_up_execution(struct import *import, uint64_t number, struct import_slot *slot,
                             struct error_detail *detail)
{
    if (import->execution == NULL || number == 0) {
        return STOA_ENOTFOUND;
    }
    int result = execution_file_find(import->execution, number, &slot->execution, detail);
    if (result == 0) {
        slot->has_receipts = slot->has_receipts || slot->execution.has_receipts;
        slot->has_expectations = true;
    }
    return result;
}

static int refuse_execution(const struct import *import, const struct error_detail *detail)
{
    console_error("%s: %s", import->options->execution, detail->text);
    return COMMAND_FAILED;
}

/* The receipts that came with ITEM, if any did. */
static int copy_receipts(const struct import_item *item, struct import_slot *slot)
{
    slot->has_receipts = item->receipts.data != NULL;
    return slot->has_receipts
               ? buffer_append(&slot->execution.receipts, item->receipts.data, item->receipts.size)
               : 0;
}

/* Copy ITEM, and what the execution file says of it, into SLOT. */
static int fill_slot(struct import *import, const struct import_item *item,
                     struct import_slot *slot)
{
    struct error_detail detail = {.code = 0};
    slot->number = item->number;
    memcpy(slot->hash, item->hash, HASH_SIZE);
    int result = buffer_append(&slot->block, item->block.data, item->block.size);
    result = result == 0 ? copy_receipts(item, slot) : result;
    if (result != 0) {
        return refuse(import, item->number, stoa_strerror(result));
    }
    result = look_up_execution(import, item->number, slot, &detail);
    if (result != 0 && import->execution != NULL && item->number != 0) {
        return refuse_execution(import, &detail);
    }
    return COMMAND_DONE;
}

/* ---- receipts of blocks that are stored without ---- */

/* Which block of the chain, from FROM on, is the next that has none: an index knows, so that those
 * that have need not be read. */
static int seek_lacking(struct import *import, uint64_t from)
{
    static const uint8_t nobody[20]; /* no log is wanted */
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs = {.count = 0};
    struct stoa_detail detail = {.code = 0};
    import->lacking = UINT64_MAX;
    import->lacking_known = true;
    if (from > import->head.height) {
        return COMMAND_DONE;
    }
    filter.from = from;
    filter.to = import->head.height;
    filter.addresses = nobody;
    filter.address_count = 1;
    filter.limit = 1;
    filter.allow_missing = 1;
    int result = stoa_query_logs(import->stoa, &filter, &logs, &detail);
    if (result != 0) {
        return command_fail(result, &detail, import->path);
    }
    stoa_free(logs.logs);
    if (logs.missing != 0) {
        import->lacking = logs.missing_height;
    }
    return COMMAND_DONE;
}

/* The receipts of ITEM, whose block is stored without, into SLOT: with *OUT_ANY, where there are
 * any. */
static int fill_receipts(struct import *import, const struct import_item *item,
                         struct import_slot *slot, bool *out_any)
{
    struct error_detail detail = {.code = 0};
    slot->receipts_only = true;
    slot->number = item->number;
    memcpy(slot->hash, item->hash, HASH_SIZE);
    int result = copy_receipts(item, slot);
    if (result != 0) {
        return refuse(import, item->number, stoa_strerror(result));
    }
    result = look_up_execution(import, item->number, slot, &detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return refuse_execution(import, &detail);
    }
    if (slot->has_expectations && memcmp(slot->execution.hash, item->hash, HASH_SIZE) != 0) {
        return refuse(import, item->number, "hash: the execution file names another one");
    }
    *out_any = slot->has_receipts;
    return COMMAND_DONE;
}

/* ITEM's block is stored: where it lacks its receipts, and they are at hand, they go into
 * *OUT_SLOT. */
static int take_receipts(struct import *import, const struct import_item *item,
                         struct import_slot **out_slot)
{
    bool any = false;
    if (import->execution == NULL && item->receipts.data == NULL) {
        return COMMAND_DONE;
    }
    int status = COMMAND_DONE;
    if (!import->lacking_known) {
        status = seek_lacking(import, item->number);
    }
    if (status != COMMAND_DONE || item->number != import->lacking) {
        return status;
    }
    struct import_slot *slot = import_window_take(import->window);
    if (slot == NULL) {
        return COMMAND_FAILED;
    }
    status = fill_receipts(import, item, slot, &any);
    if (status == COMMAND_DONE) {
        status = seek_lacking(import, item->number + 1);
    }
    if (status != COMMAND_DONE || !any) {
        import_window_drop(import->window, slot);
        return status;
    }
    *out_slot = slot;
    return COMMAND_DONE;
}

/* Whether a block of NUMBER can come next in the file and on the store. */
static int check_number(const struct import *import, uint64_t number)
{
    char text[128];
    uint64_t next = import->head.empty != 0 ? 0 : import->head.height + 1;
    if (import->has_previous) {
        if (number == import->previous + 1) {
            return COMMAND_DONE;
        }
        (void)snprintf(text, sizeof(text), "number: follows block %" PRIu64 " in the file",
                       import->previous);
        return refuse(import, number, text);
    }
    if (number <= next ||
        import->options->side) { /* of a side block the store looks for the parent */
        return COMMAND_DONE;
    }
    if (import->head.empty != 0) {
        return refuse(import, number,
                      "number: the store has no genesis block (see init --genesis)");
    }
    (void)snprintf(text, sizeof(text),
                   "number: its parent is not stored, block %" PRIu64 " is next", next);
    return refuse(import, number, text);
}

/* ITEM was read: it now waits for its witness. */
static int accept_item(struct import *import, const struct import_item *item)
{
    int status = check_number(import, item->number);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct import_slot *slot = NULL;
    bool stored =
        import->head.empty == 0 && item->number <= import->head.height && !import->options->side;
    if (stored) {
        status = take_receipts(import, item, &slot);
        if (status != COMMAND_DONE) {
            return status;
        }
    } else {
        slot = import_window_take(import->window);
        if (slot == NULL) {
            return COMMAND_FAILED;
        }
        status = fill_slot(import, item, slot);
        if (status != COMMAND_DONE) {
            import_window_drop(import->window, slot);
            return status;
        }
    }
    import->waiting =
        (struct waiting){.any = true, .number = item->number, .stored = stored, .slot = slot};
    memcpy(import->waiting.hash, item->hash, HASH_SIZE);
    import->has_previous = true;
    import->previous = item->number;
    return COMMAND_DONE;
}

static int import_items(struct import *import)
{
    while (!interrupt_requested()) {
        struct import_item item;
        struct error_detail detail = {.code = 0};
        int result = import_source_next(import->source, &item, &detail);
        if (result == STOA_ECANCELED) {
            break;
        }
        int status = COMMAND_DONE;
        if (import->waiting.any) {
            status = confirm_waiting(import, result, &item, &detail);
        }
        if (status == COMMAND_DONE && result != 0 && result != STOA_ENOTFOUND) {
            status = refuse_detail(import, &detail, result);
        }
        if (status != COMMAND_DONE || result == STOA_ENOTFOUND) {
            return status;
        }
        status = accept_item(import, &item);
        if (status != COMMAND_DONE) {
            return status;
        }
        show_progress(import);
    }
    return COMMAND_DONE;
}

/* Wait for what is under way; print the first failure. */
static int settle(struct import *import, int status)
{
    drop_waiting(import);
    int result = import_window_drain(import->window);
    if (result == 0) {
        return status;
    }
    char what[512];
    (void)snprintf(what, sizeof(what), "%s: block %" PRIu64, import->path,
                   import->window->failed_number);
    return command_fail(result, &import->window->failure_detail, what);
}

static int import_file(struct import *import, const char *path)
{
    import->path = path;
    import->has_previous = false;
    import->agreed_first = import->agreed_end;
    import->lacking_known = false;
    int result = stoa_get_head(import->stoa, &import->head);
    if (result != 0) {
        struct stoa_detail head_detail = {.code = 0};
        return command_fail(result, &head_detail, "head");
    }
    struct error_detail detail = {.code = 0};
    result = import_source_open(path, &import->source, &detail);
    if (result == STOA_ECANCELED) {
        return COMMAND_FAILED;
    }
    if (result != 0) {
        return refuse_detail(import, &detail, result);
    }
    int status = settle(import, import_items(import));
    if (status == COMMAND_DONE) {
        status = check_agreed(import);
    }
    import_source_close(import->source);
    import->source = NULL;
    return status;
}

static void add_summary_json(struct json_writer *json, const struct import *import, double seconds,
                             const struct stoa_head *head)
{
    const struct import_window *window = import->window;
    json_writer_object_begin(json, NULL);
    json_writer_number(json, "imported", window->stored);
    json_writer_number(json, "skipped", import->skipped);
    json_writer_number(json, "receiptsAdded", window->receipts);
    json_writer_number(json, "bytes", window->stored_bytes);
    json_writer_real(json, "seconds", seconds);
    json_writer_real(json, "blocksPerSecond", (double)window->stored / seconds);
    if (head->empty != 0) {
        json_writer_null(json, "head");
    } else {
        json_writer_object_begin(json, "head");
        json_writer_quantity(json, "number", head->height);
        json_writer_hex(json, "hash", head->hash, HASH_SIZE);
        json_writer_object_end(json);
    }
    json_writer_object_end(json);
}

static bool print_summary_json(const struct import *import, double seconds,
                               const struct stoa_head *head)
{
    struct buffer buffer;
    struct json_writer json;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    add_summary_json(&json, import, seconds, head);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

static bool print_summary(const struct import *import, double seconds, const struct stoa_head *head)
{
    const struct import_window *window = import->window;
    char blocks[SHEET_TEXT_SIZE];
    char skipped[SHEET_TEXT_SIZE];
    char size[SHEET_TEXT_SIZE];
    char rate[SHEET_TEXT_SIZE];
    struct sheet sheet;
    sheet_init(&sheet);
    sheet_add(&sheet, "imported %s blocks (%s) in %.2f s, %.0f blocks/s, %s/s; %s already stored\n",
              sheet_count_text(window->stored, blocks), sheet_size_text(window->stored_bytes, size),
              seconds, (double)window->stored / seconds,
              sheet_size_text((uint64_t)((double)window->stored_bytes / seconds), rate),
              sheet_count_text(import->skipped, skipped));
    if (window->receipts != 0) {
        sheet_add(&sheet, "brought their receipts to %s stored blocks\n",
                  sheet_count_text(window->receipts, skipped));
    }
    if (head->empty == 0) {
        sheet_add(&sheet, "head %" PRIu64 " ", head->height);
        sheet_add_hex(&sheet, head->hash, HASH_SIZE);
        sheet_add(&sheet, "\n");
    }
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

/* Import all files, close the store, print what came of it. */
static int run(struct import *import)
{
    int status = COMMAND_DONE;
    const struct options *options = import->options;
    for (size_t i = 0; i < options->argument_count && status == COMMAND_DONE; i++) {
        status = import_file(import, options->arguments[i]);
        if (interrupt_requested()) {
            console_error("interrupted");
            status = status == COMMAND_DONE ? COMMAND_FAILED : status;
        }
    }
    struct stoa_head head = {.empty = 1};
    int result = stoa_get_head(import->stoa, &head);
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        int failed = command_fail(result, &detail, "head");
        status = status == COMMAND_DONE ? failed : status;
    }
    status = command_close(import->stoa, status);
    import->stoa = NULL;
    double seconds = console_seconds() - import->started;
    seconds = seconds > 0 ? seconds : 1e-9;
    bool printed = options->json ? print_summary_json(import, seconds, &head)
                                 : print_summary(import, seconds, &head);
    return printed || status != COMMAND_DONE ? status : COMMAND_FAILED;
}

int command_import_run(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, true, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    interrupt_catch();
    struct import *import = memory_alloc_zeroed(1, sizeof(*import));
    struct error_detail detail = {.code = STOA_ENOMEM, .text = "no memory"};
    int result = STOA_ENOMEM;
    if (import != NULL) {
        *import = (struct import){.options = options, .stoa = stoa, .started = console_seconds()};
        result = import_window_create(stoa, options->skip, options->progress, &import->window);
    }
    if (result == 0) {
        import->window->side = options->side;
    }
    if (result == 0 && options->execution != NULL) {
        result = execution_file_open(options->execution, &import->execution, &detail);
    }
    if (result != 0) {
        console_error("%s%s%s", options->execution != NULL ? options->execution : "",
                      options->execution != NULL ? ": " : "", detail.text);
        status = command_close(stoa, COMMAND_FAILED);
    } else {
        status = run(import);
    }
    if (import != NULL) {
        execution_file_close(import->execution);
        import_window_destroy(import->window);
        memory_free(import);
    }
    return status;
}
