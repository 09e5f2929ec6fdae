/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_query.c: the commands that find what has to do with contracts, topics and addresses.
 * Answers are fetched and printed page by page, so that memory does not grow with them. */
#include <inttypes.h>
#include <string.h>

#include "render/json_log.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"

enum {
    ADDRESS_SIZE = 20,
    HASH_SIZE = 32,
    PAGE_LOGS = 2000,
    PAGE_ENTRIES = 2000,
    HISTORY_LIMIT_DEFAULT = 50,
};

/* An answer that is printed while it grows. */
struct pages {
    struct answer answer;
    uint64_t left; /* of the limit */
};

static void pages_init(struct pages *pages, const struct options *options, uint64_t limit)
{
    answer_init(&pages->answer, options);
    pages->left = limit;
    json_writer_array_begin(&pages->answer.json, NULL);
}

/* Print what there is. False, with a message, where that fails. */
static bool pages_print(struct pages *pages)
{
    struct answer *answer = &pages->answer;
    bool printed = !answer->options->json     ? sheet_print(&answer->sheet)
                   : answer->json.result != 0 ? true /* pages_end tells */
                                              : console_write(&answer->buffer);
    buffer_clear(&answer->buffer);
    buffer_clear(&answer->sheet.text);
    return printed;
}

/* The end of it, unless it ended with STATUS before. Returns the exit status. */
static int pages_end(struct pages *pages, int status)
{
    struct answer *answer = &pages->answer;
    if (status == COMMAND_DONE && answer->options->json) {
        json_writer_array_end(&answer->json);
        status = answer_print(answer);
    }
    answer_deinit(answer);
    return status;
}
static unsigned page_limit(const struct pages *pages, unsigned most)
{
    return pages->left < most ? (unsigned)pages->left : most;
}

static struct stoa_cursor cursor_of(const struct options *options)
{
    struct stoa_cursor cursor = {.anchor_height = bytes_load_be64(options->cursor)};
    memcpy(cursor.anchor_hash, options->cursor + 8, HASH_SIZE);
    cursor.spot = bytes_load_be64(options->cursor + 8 + HASH_SIZE);
    return cursor;
}

/* That there may be more, and how to come by it. */
static void tell_cursor(const char *command, const struct stoa_cursor *cursor)
{
    uint8_t bytes[OPTIONS_CURSOR_SIZE];
    char text[2 * OPTIONS_CURSOR_SIZE + 1];
    bytes_store_be64(bytes, cursor->anchor_height);
    memcpy(bytes + 8, cursor->anchor_hash, HASH_SIZE);
    bytes_store_be64(bytes + 8 + HASH_SIZE, cursor->spot);
    bytes_to_hex(bytes, sizeof(bytes), text);
    console_error("%s: there may be more: --cursor=0x%s", command, text);
}

/* ---- logs ---- */

static void add_log_json(struct json_writer *json, const struct stoa_log *log)
{
    struct json_log input = {
        .address = log->address,
        .topic_count = log->topic_count,
        .data = command_bytes(log->data),
        .height = log->height,
        .timestamp = log->timestamp,
        .block_hash = log->block_hash,
        .transaction_hash = log->transaction_hash,
        .transaction_index = log->transaction_index,
        .log_index = log->log_index,
    };
    for (unsigned i = 0; i < log->topic_count; i++) {
        input.topics[i] = log->topics[i];
    }
    json_log_append(json, NULL, &input);
}

static void add_log_text(struct sheet *sheet, const struct stoa_log *log)
{
    sheet_line(sheet, "log", "%" PRIu32 " of block %" PRIu64, log->log_index, log->height);
    sheet_hex(sheet, "  address", log->address, ADDRESS_SIZE);
    for (unsigned i = 0; i < log->topic_count; i++) {
        sheet_hex(sheet, i == 0 ? "  topics" : "", log->topics[i], HASH_SIZE);
    }
    sheet_hex(sheet, "  data", log->data.data, log->data.size);
    sheet_hex(sheet, "  block", log->block_hash, HASH_SIZE);
    sheet_time(sheet, "  time", log->timestamp);
    sheet_hex(sheet, "  transaction", log->transaction_hash, HASH_SIZE);
    sheet_line(sheet, "  place", "%" PRIu32, log->transaction_index);
}

static bool fill_filter(const struct options *options, struct stoa_log_filter *filter)
{
    if (options->has_block && (options->has_from || options->has_to)) {
        console_error("logs: of one block or of a range, not both");
        return false;
    }
    filter->block_hash = options->has_block ? options->block : NULL;
    filter->from = options->from;
    filter->to = options->has_to ? options->to : UINT64_MAX;
    if (filter->from > filter->to) {
        console_error("logs: from %" PRIu64 " is above to %" PRIu64, filter->from, filter->to);
        return false;
    }
    filter->cursor = cursor_of(options);
    filter->addresses = options->addresses.data;
    filter->address_count = options->addresses.size / ADDRESS_SIZE;
    filter->topic_count = options->topic_count;
    for (unsigned i = 0; i < options->topic_count; i++) {
        filter->topics[i].topics = options->topics[i].data;
        filter->topics[i].count = options->topics[i].size / HASH_SIZE;
    }
    return true;
}

/* A range that ends above the head would look whole and not be; one without a beginning begins with
 * what is kept. */
static int check_range(struct stoa *stoa, const struct options *options,
                       struct stoa_log_filter *filter)
{
    struct stoa_head head;
    uint64_t highest = options->has_to && options->to > options->from ? options->to : options->from;
    struct stoa_stats stats = STOA_STATS_INIT;
    if (!options->has_from && !options->has_block && stoa_get_stats(stoa, &stats) == 0) {
        filter->from = stats.logs_from; /* all that there is */
    }
    if (stoa_get_head(stoa, &head) == 0 &&
        (head.empty != 0 ? highest != 0 : highest > head.height)) {
        console_error("logs: block %" PRIu64 " is above the head", highest);
        return COMMAND_FAILED;
    }
    return COMMAND_DONE;
}

/* One page of logs: fetched, printed, the filter moved on. *OUT_MORE: there is another. */
static int next_logs(struct stoa *stoa, struct pages *pages, struct stoa_log_filter *filter,
                     bool *out_more)
{
    struct stoa_logs logs;
    struct stoa_detail detail = {.code = 0};
    filter->limit = page_limit(pages, PAGE_LOGS);
    int result = stoa_query_logs(stoa, filter, &logs, &detail);
    if (result != 0) {
        return command_fail(result, &detail, "logs");
    }
    struct answer *answer = &pages->answer;
    for (size_t i = 0; i < logs.count; i++) {
        if (answer->options->json) {
            add_log_json(&answer->json, &logs.logs[i]);
        } else {
            add_log_text(&answer->sheet, &logs.logs[i]);
        }
    }
    pages->left -= logs.count;
    filter->cursor = logs.cursor;
    *out_more = logs.more != 0;
    stoa_free(logs.logs);
    return pages_print(pages) ? COMMAND_DONE : COMMAND_FAILED;
}

int command_query_logs(const struct options *options)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa *stoa;
    if (!fill_filter(options, &filter)) {
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct pages pages;
    bool more = true;
    status = check_range(stoa, options, &filter);
    pages_init(&pages, options, options->limit != 0 ? options->limit : UINT64_MAX);
    while (status == COMMAND_DONE && more && pages.left != 0) {
        status = next_logs(stoa, &pages, &filter, &more);
    }
    status = pages_end(&pages, status);
    if (status == COMMAND_DONE && more) {
        tell_cursor("logs", &filter.cursor);
    }
    return command_close(stoa, status);
}

/* ---- history ---- */

static const struct {
    unsigned role;
    const char *name;
} roles[] = {
    {STOA_ROLE_SENDER, "sender"},         {STOA_ROLE_RECIPIENT, "recipient"},
    {STOA_ROLE_CREATED, "created"},       {STOA_ROLE_EMITTER, "emitter"},
    {STOA_ROLE_WITHDRAWAL, "withdrawal"},
};

enum { ROLES = sizeof(roles) / sizeof(roles[0]) };

static void add_entry_json(struct json_writer *json, const struct stoa_history_entry *entry)
{
    json_writer_object_begin(json, NULL);
    json_writer_quantity(json, "blockNumber", entry->height);
    json_writer_hex(json, "blockHash", entry->block_hash, HASH_SIZE);
    json_writer_quantity(json, "blockTimestamp", entry->timestamp);
    if (entry->roles == STOA_ROLE_WITHDRAWAL) {
        json_writer_null(json, "transactionHash");
        json_writer_null(json, "transactionIndex");
    } else {
        json_writer_hex(json, "transactionHash", entry->transaction_hash, HASH_SIZE);
        json_writer_quantity(json, "transactionIndex", entry->index);
    }
    json_writer_array_begin(json, "roles");
    for (size_t i = 0; i < ROLES; i++) {
        if ((entry->roles & roles[i].role) != 0) {
            json_writer_text(json, NULL, roles[i].name);
        }
    }
    json_writer_array_end(json);
    json_writer_object_end(json);
}

static void add_entry_text(struct sheet *sheet, const struct stoa_history_entry *entry)
{
    char text[64] = "";
    for (size_t i = 0; i < ROLES; i++) {
        if ((entry->roles & roles[i].role) != 0) {
            strcat(text, text[0] == '\0' ? "" : ", ");
            strcat(text, roles[i].name);
        }
    }
    if (entry->roles == STOA_ROLE_WITHDRAWAL) {
        sheet_line(sheet, "block", "%" PRIu64, entry->height);
    } else {
        sheet_line(sheet, "transaction", "%" PRIu32 " of block %" PRIu64, entry->index,
                   entry->height);
        sheet_hex(sheet, "  hash", entry->transaction_hash, HASH_SIZE);
    }
    sheet_time(sheet, "  time", entry->timestamp);
    sheet_line(sheet, "  as", "%s", text);
}

/* As next_logs. */
static int next_entries(struct stoa *stoa, struct pages *pages, struct stoa_history_query *query,
                        unsigned *missing, bool *out_more)
{
    struct stoa_history history;
    struct stoa_detail detail = {.code = 0};
    query->limit = page_limit(pages, PAGE_ENTRIES);
    int result = stoa_get_address_transactions(stoa, query, &history, &detail);
    if (result != 0) {
        return command_fail(result, &detail, "history");
    }
    struct answer *answer = &pages->answer;
    for (size_t i = 0; i < history.count; i++) {
        if (answer->options->json) {
            add_entry_json(&answer->json, &history.entries[i]);
        } else {
            add_entry_text(&answer->sheet, &history.entries[i]);
        }
    }
    pages->left -= history.count;
    query->cursor = history.cursor;
    *missing |= history.missing;
    *out_more = history.more != 0;
    stoa_free(history.entries);
    return pages_print(pages) ? COMMAND_DONE : COMMAND_FAILED;
}

int command_query_history(const struct options *options)
{
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    const char *name = options->arguments[0];
    struct stoa *stoa;
    if (bytes_from_hex(name, strlen(name), query.address, ADDRESS_SIZE) != ADDRESS_SIZE) {
        console_error("%s: no address", name);
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct pages pages;
    bool more = !options->has_before || options->before != 0;
    unsigned missing = 0;
    query.to = options->has_before && more ? options->before - 1 : UINT64_MAX;
    query.oldest_first = options->oldest_first;
    query.cursor = cursor_of(options);
    pages_init(&pages, options, options->limit != 0 ? options->limit : HISTORY_LIMIT_DEFAULT);
    while (status == COMMAND_DONE && more && pages.left != 0) {
        status = next_entries(stoa, &pages, &query, &missing, &more);
    }
    status = pages_end(&pages, status);
    if (status == COMMAND_DONE && more && pages.left == 0) {
        tell_cursor("history", &query.cursor);
    }
    if (status == COMMAND_DONE && (missing & STOA_MISSING_RECEIPTS) != 0) {
        console_error("warning: blocks were stored without receipts, so their logs are not known");
    }
    if (status == COMMAND_DONE && (missing & STOA_MISSING_SENDERS) != 0) {
        console_error("warning: blocks were stored without senders, so who sent is not known");
    }
    return command_close(stoa, status);
}
