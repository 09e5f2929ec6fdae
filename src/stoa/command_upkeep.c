/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_upkeep.c: the commands that look at the store itself. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "render/json_writer.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/interrupt.h"
#include "stoa/sheet.h"

struct damages {
    bool json;
    struct json_writer writer;
};

static void note_damage(void *context, const struct stoa_damage *damage)
{
    struct damages *damages = context;
    if (damages->json) {
        struct json_writer *json = &damages->writer;
        json_writer_object_begin(json, NULL);
        json_writer_text(json, "file", damage->file);
        json_writer_number(json, "offset", damage->offset);
        json_writer_number(json, "size", damage->size);
        if (damage->has_height != 0) {
            json_writer_quantity(json, "number", damage->height);
        } else {
            json_writer_null(json, "number");
        }
        json_writer_text(json, "what", damage->what);
        json_writer_object_end(json);
        return;
    }
    char height[32] = "";
    if (damage->has_height != 0) {
        (void)snprintf(height, sizeof(height), ", block %" PRIu64, damage->height);
    }
    /* A failure shows again when the summary is printed. */
    (void)console_print("damage: %s, offset %" PRIu64 ", %" PRIu64 " bytes%s: %s\n", damage->file,
                        damage->offset, damage->size, height, damage->what);
}

void command_upkeep_add_report(struct json_writer *json, const struct stoa_verify_report *report)
{
    json_writer_number(json, "segments", report->segments);
    json_writer_number(json, "frames", report->frames);
    json_writer_number(json, "bytes", report->bytes);
    json_writer_number(json, "blocks", report->blocks);
    json_writer_number(json, "transactions", report->transactions);
    json_writer_number(json, "receipts", report->receipts);
    json_writer_number(json, "stateChanges", report->changes);
    json_writer_number(json, "stateRoots", report->roots);
    json_writer_number(json, "fullStateRoots", report->full_roots);
    json_writer_number(json, "damages", report->damages);
}

static void add_count(struct sheet *sheet, const char *name, uint64_t value)
{
    char text[SHEET_TEXT_SIZE];
    sheet_line(sheet, name, "%s", sheet_count_text(value, text));
}

static void add_size(struct sheet *sheet, const char *name, uint64_t value)
{
    char text[SHEET_TEXT_SIZE];
    sheet_line(sheet, name, "%s", sheet_size_text(value, text));
}

static bool print_report(const struct stoa_verify_report *report)
{
    struct sheet sheet;
    sheet_init(&sheet);
    add_count(&sheet, "segments", report->segments);
    add_count(&sheet, "frames", report->frames);
    add_size(&sheet, "bytes", report->bytes);
    add_count(&sheet, "blocks", report->blocks);
    add_count(&sheet, "transactions", report->transactions);
    add_count(&sheet, "receipts", report->receipts);
    if (report->full_roots != 0) {
        add_count(&sheet, "state changes", report->changes);
        add_count(&sheet, "state roots", report->roots);
        add_count(&sheet, "full state roots", report->full_roots);
    }
    add_count(&sheet, "damages", report->damages);
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

int command_upkeep_verify(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct buffer buffer;
    buffer_init(&buffer);
    struct damages damages = {.json = options->json};
    json_writer_init(&damages.writer, &buffer);
    if (options->json) {
        json_writer_object_begin(&damages.writer, NULL);
        json_writer_array_begin(&damages.writer, "damage");
    }
    struct stoa_verify_report report = {.segments = 0};
    struct stoa_detail detail = {.code = 0};
    int result = options->deep ? stoa_verify_deep(stoa, note_damage, &damages, &report, &detail)
                               : stoa_verify(stoa, note_damage, &damages, &report, &detail);
    bool printed;
    if (options->json) {
        json_writer_array_end(&damages.writer);
        command_upkeep_add_report(&damages.writer, &report);
        json_writer_bool(&damages.writer, "noted", report.noted == 1);
        json_writer_object_end(&damages.writer);
        printed = console_write_json(&damages.writer, &buffer);
    } else {
        printed = print_report(&report);
    }
    buffer_deinit(&buffer);
    if (report.noted < 0) { /* what came out is as true without */
        console_error("verify: no note of it is kept: %s", stoa_strerror(report.noted));
    }
    if (result != 0) {
        status = command_fail(result, &detail, "verify");
    } else if (!printed) {
        status = COMMAND_FAILED;
    }
    return command_close(stoa, status);
}

static uint64_t sum_of_tiers(const uint64_t values[STOA_TIERS])
{
    return values[STOA_TIER_HEAD] + values[STOA_TIER_HOT] + values[STOA_TIER_PACKED];
}

static void add_cache_json(struct json_writer *json, const struct stoa_cache_stats *cache)
{
    json_writer_object_begin(json, "cache");
    json_writer_number(json, "limit", cache->limit);
    json_writer_number(json, "held", cache->held);
    for (int i = 0; i < STOA_CACHE_CLASSES; i++) {
        const struct stoa_cache_class_stats *class = &cache->classes[i];
        json_writer_object_begin(json, stoa_cache_class_name(i));
        json_writer_number(json, "budget", class->budget);
        json_writer_number(json, "bytes", sum_of_tiers(class->bytes));
        json_writer_number(json, "packedBytes", class->bytes[STOA_TIER_PACKED]);
        json_writer_number(json, "objects", sum_of_tiers(class->objects));
        json_writer_number(json, "hits", sum_of_tiers(class->hits));
        json_writer_number(json, "misses", class->misses);
        json_writer_number(json, "evictions", class->evictions);
        json_writer_number(json, "expirations", class->expirations);
        json_writer_object_end(json);
    }
    json_writer_object_end(json);
}

static void add_cache(struct sheet *sheet, const struct stoa_cache_stats *cache)
{
    char bytes[SHEET_TEXT_SIZE];
    char limit[SHEET_TEXT_SIZE];
    sheet_line(sheet, "cache", "%s of %s", sheet_size_text(cache->held, bytes),
               sheet_size_text(cache->limit, limit));
    for (int i = 0; i < STOA_CACHE_CLASSES; i++) {
        const struct stoa_cache_class_stats *class = &cache->classes[i];
        char name[SHEET_TEXT_SIZE];
        (void)snprintf(name, sizeof(name), "  %s", stoa_cache_class_name(i));
        sheet_line(sheet, name, "%" PRIu64 " in %s; %" PRIu64 " hits, %" PRIu64 " misses",
                   sum_of_tiers(class->objects), sheet_size_text(sum_of_tiers(class->bytes), bytes),
                   sum_of_tiers(class->hits), class->misses);
    }
}

static bool print_stats_json(const struct stoa_stats *stats, const struct stoa_cache_stats *cache)
{
    struct buffer buffer;
    struct json_writer json;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    json_writer_object_begin(&json, NULL);
    json_writer_number(&json, "blocks", stats->blocks);
    json_writer_number(&json, "ledgerSegments", stats->ledger_segments);
    json_writer_number(&json, "ledgerBytes", stats->ledger_bytes);
    json_writer_number(&json, "ledgerSequence", stats->ledger_sequence);
    json_writer_number(&json, "appliedSequence", stats->applied_sequence);
    json_writer_number(&json, "pendingBlocks", stats->pending_blocks);
    json_writer_number(&json, "tableBytes", stats->table_bytes);
    json_writer_number(&json, "frameBytes", stats->frame_bytes);
    json_writer_number(&json, "writtenBytes", stats->written_bytes);
    json_writer_number(&json, "groups", stats->groups);
    json_writer_number(&json, "appends", stats->appends);
    json_writer_number(&json, "recoveredBlocks", stats->recovered_blocks);
    json_writer_number(&json, "cutBytes", stats->cut_bytes);
    json_writer_number(&json, "stateHeights", stats->state_heights);
    json_writer_number(&json, "historyFrom", stats->history_from);
    json_writer_number(&json, "trieHistoryFrom", stats->trie_history_from);
    json_writer_number(&json, "bodiesFrom", stats->bodies_from);
    json_writer_number(&json, "receiptsFrom", stats->receipts_from);
    json_writer_number(&json, "logsFrom", stats->logs_from);
    json_writer_number(&json, "transactionsFrom", stats->transactions_from);
    json_writer_bool(&json, "rebuiltTables", stats->rebuilt_tables != 0);
    json_writer_bool(&json, "stopped", stats->stopped != 0);
    json_writer_text(&json, "io", stats->io);
    json_writer_text(&json, "ioFeatures", stats->io_features);
    add_cache_json(&json, cache);
    json_writer_object_end(&json);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

/* Each message that was answered, with its times. */
static void add_times(void *context, const struct stoa_metric *metric)
{
    if (metric->kind == STOA_METRIC_HISTOGRAM && metric->count != 0 &&
        strcmp(metric->name, "stoa_message_seconds") == 0) {
        sheet_line(context, metric->label_value,
                   "%" PRIu64 ": p50 %.3f ms, p95 %.3f ms, p99 %.3f ms, max %.3f ms", metric->count,
                   metric->p50 * 1e3, metric->p95 * 1e3, metric->p99 * 1e3, metric->max * 1e3);
    }
}

static bool print_stats(struct stoa *stoa, const struct stoa_stats *stats,
                        const struct stoa_cache_stats *cache)
{
    struct sheet sheet;
    sheet_init(&sheet);
    add_count(&sheet, "blocks", stats->blocks);
    add_count(&sheet, "ledger segments", stats->ledger_segments);
    add_size(&sheet, "ledger size", stats->ledger_bytes);
    add_count(&sheet, "ledger sequence", stats->ledger_sequence);
    add_count(&sheet, "applied sequence", stats->applied_sequence);
    add_count(&sheet, "pending blocks", stats->pending_blocks);
    add_size(&sheet, "table size", stats->table_bytes);
    if (stats->state_heights == 0) {
        sheet_line(&sheet, "state", "not known");
    } else {
        sheet_line(&sheet, "state", "complete to block %" PRIu64, stats->state_heights - 1);
        sheet_line(&sheet, "  values", "from block %" PRIu64, stats->history_from);
        sheet_line(&sheet, "  proofs", "from block %" PRIu64, stats->trie_history_from);
    }
    if (stats->transactions_from != 0 || stats->logs_from != 0) { /* all others are lower */
        sheet_line(&sheet, "transactions", "from block %" PRIu64, stats->bodies_from);
        sheet_line(&sheet, "  found by hash", "from block %" PRIu64, stats->transactions_from);
        sheet_line(&sheet, "receipts", "from block %" PRIu64, stats->receipts_from);
        sheet_line(&sheet, "  found logs", "from block %" PRIu64, stats->logs_from);
    }
    sheet_add(&sheet, "since open\n");
    add_size(&sheet, "  frames", stats->frame_bytes);
    add_size(&sheet, "  written", stats->written_bytes);
    add_count(&sheet, "  groups", stats->groups);
    add_count(&sheet, "  appends", stats->appends);
    add_count(&sheet, "  replayed blocks", stats->recovered_blocks);
    add_size(&sheet, "  cut torn tail", stats->cut_bytes);
    sheet_line(&sheet, "  tables", stats->rebuilt_tables != 0 ? "rebuilt" : "kept");
    sheet_line(&sheet, "  writing", stats->stopped != 0 ? "stopped after a failure" : "possible");
    sheet_line(&sheet, "io", "%s%s%s", stats->io, stats->io_features[0] != '\0' ? ": " : "",
               stats->io_features);
    add_cache(&sheet, cache);
    (void)stoa_metrics_list(stoa, add_times, &sheet); /* it cannot fail with a function */
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

static bool print_prometheus(struct stoa *stoa)
{
    char *text;
    int result = stoa_metrics_text(stoa, &text, NULL);
    if (result != 0) {
        console_error("stats: %s", stoa_strerror(result));
        return false;
    }
    bool printed = console_print("%s", text);
    stoa_free(text);
    return printed;
}

int command_upkeep_stats(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    if (options->prometheus) {
        return command_close(stoa, print_prometheus(stoa) ? COMMAND_DONE : COMMAND_FAILED);
    }
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_cache_stats cache = STOA_CACHE_STATS_INIT;
    int result = stoa_get_stats(stoa, &stats);
    if (result == 0) {
        result = stoa_get_cache_stats(stoa, &cache);
    }
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        return command_close(stoa, command_fail(result, &detail, "stats"));
    }
    bool printed =
        options->json ? print_stats_json(&stats, &cache) : print_stats(stoa, &stats, &cache);
    return command_close(stoa, printed ? COMMAND_DONE : COMMAND_FAILED);
}

struct reindexing {
    const char *name;
};

/* Interrupted, it goes on the next time. */
static int show_reindexing(void *context, uint64_t done, uint64_t total)
{
    const struct reindexing *reindexing = context;
    console_progress("%s: block %" PRIu64 " of %" PRIu64, reindexing->name, done, total);
    return interrupt_requested() ? 1 : 0;
}

/* Make one index anew, or say why not. Returns an exit status. */
static int reindex(struct stoa *stoa, int index)
{
    struct reindexing reindexing = {.name = stoa_index_name(index)};
    struct stoa_detail detail = {.code = 0};
    int result = stoa_rebuild_index(stoa, index, show_reindexing, &reindexing, &detail);
    console_progress_clear();
    return result == 0 ? COMMAND_DONE : command_fail(result, &detail, reindexing.name);
}

static bool print_reindexed(const struct options *options, const int *indexes, size_t count)
{
    struct buffer buffer;
    struct json_writer json;
    struct sheet sheet;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    sheet_init(&sheet);
    json_writer_array_begin(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        json_writer_text(&json, NULL, stoa_index_name(indexes[i]));
        sheet_add(&sheet, "%s made anew\n", stoa_index_name(indexes[i]));
    }
    json_writer_array_end(&json);
    bool printed = options->json ? console_write_json(&json, &buffer) : sheet_print(&sheet);
    buffer_deinit(&buffer);
    sheet_deinit(&sheet);
    return printed;
}

int command_upkeep_reindex(const struct options *options)
{
    int indexes[STOA_INDEXES];
    size_t count = 0;
    for (int i = STOA_INDEXES - 1; i >= 0; i--) { /* heights first: the others go by them */
        if (options->argument_count == 0 ||
            strcmp(options->arguments[0], stoa_index_name(i)) == 0) {
            indexes[count++] = i;
        }
    }
    if (count == 0) {
        console_error("%s: no index; there are transactions, addresses, logs, state and heights",
                      options->arguments[0]);
        return COMMAND_USAGE;
    }
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    interrupt_catch();
    for (size_t i = 0; i < count && status == COMMAND_DONE; i++) {
        status = reindex(stoa, indexes[i]);
    }
    if (status == COMMAND_DONE && !print_reindexed(options, indexes, count)) {
        status = COMMAND_FAILED;
    }
    return command_close(stoa, status);
}
