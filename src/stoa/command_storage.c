/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/command_storage.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "render/json_job.h"
#include "stoa.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/command_jobs.h"
#include "stoa/console.h"

struct total {
    const char *key;
    const char *name;
    size_t offset;
    enum { TOTAL_SIZE, TOTAL_COUNT, TOTAL_PERCENT } form;
};

#define TOTAL(key, name, member, form)                         \
    {                                                          \
        key, name, offsetof(struct stoa_storage, member), form \
    }

static const struct total totals[] = {
    TOTAL("ledgerBytes", "ledger", ledger_bytes, TOTAL_SIZE),
    TOTAL("spareBytes", "  ready to be written", spare_bytes, TOTAL_SIZE),
    TOTAL("archiveBytes", "archive", archive_bytes, TOTAL_SIZE),
    TOTAL("deadBytes", "  dead in both", dead_bytes, TOTAL_SIZE),
    TOTAL("tableBytes", "tables", table_bytes, TOTAL_SIZE),
    TOTAL("tableFreeBytes", "  free inside", table_free_bytes, TOTAL_SIZE),
    TOTAL("fragmentation", "  fragmentation", fragmentation, TOTAL_PERCENT),
    TOTAL("snapshots", "snapshots", snapshots, TOTAL_COUNT),
    TOTAL("snapshotBytes", "  of their own", snapshot_bytes, TOTAL_SIZE),
    TOTAL("segments", "segments", segments, TOTAL_COUNT),
    TOTAL("damagedSegments", "  damaged", damaged, TOTAL_COUNT),
    TOTAL("damages", "damages", damages, TOTAL_COUNT),
    TOTAL("missingRuns", "runs without a table", missing, TOTAL_COUNT),
    TOTAL("replayBytes", "to be replayed", replay_bytes, TOTAL_SIZE),
};

static void add_totals(struct answer *answer, const struct stoa_storage *storage)
{
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        char text[SHEET_TEXT_SIZE];
        uint64_t value;
        memcpy(&value, (const uint8_t *)storage + totals[i].offset, sizeof(value));
        json_writer_number(&answer->json, totals[i].key, value);
        if (totals[i].form == TOTAL_PERCENT) {
            sheet_line(&answer->sheet, totals[i].name, "%" PRIu64 " %%", value);
        } else {
            sheet_line(&answer->sheet, totals[i].name, "%s",
                       totals[i].form == TOTAL_SIZE ? sheet_size_text(value, text)
                                                    : sheet_count_text(value, text));
        }
    }
}

static void add_table(struct answer *answer, const struct stoa_storage_table *table)
{
    struct json_writer *json = &answer->json;
    char size[SHEET_TEXT_SIZE];
    char unused[SHEET_TEXT_SIZE];
    json_writer_object_begin(json, NULL);
    json_writer_text(json, "table", table->name);
    json_writer_number(json, "bytes", table->bytes);
    json_writer_number(json, "freeBytes", table->free_bytes);
    (void)sheet_size_text(table->bytes, size);
    (void)sheet_size_text(table->free_bytes, unused);
    if (table->level >= 0) {
        json_writer_text(json, "index", table->index);
        json_writer_number(json, "level", (uint64_t)table->level);
        json_writer_number(json, "entries", table->entries);
        sheet_line(&answer->sheet, table->name, "%s, %s free, %s, level %d, %" PRIu64 " entries",
                   size, unused, table->index, table->level, table->entries);
    } else {
        sheet_line(&answer->sheet, table->name, "%s, %s free", size, unused);
    }
    json_writer_object_end(json);
}

static void add_index(struct answer *answer, const struct stoa_storage_index *index)
{
    struct json_writer *json = &answer->json;
    char size[SHEET_TEXT_SIZE];
    json_writer_object_begin(json, NULL);
    json_writer_text(json, "index", index->name);
    json_writer_number(json, "runs", index->runs);
    json_writer_number(json, "entries", index->entries);
    json_writer_number(json, "bytes", index->bytes);
    json_writer_number(json, "missingRuns", index->missing);
    json_writer_object_end(json);
    sheet_line(&answer->sheet, index->name, "%" PRIu64 " runs, %" PRIu64 " entries, %s%s",
               index->runs, index->entries, sheet_size_text(index->bytes, size),
               index->missing != 0 ? ", runs are missing" : "");
}

static void add_segment(struct answer *answer, const struct stoa_storage_segment *segment)
{
    struct json_writer *json = &answer->json;
    const char *form = stoa_segment_form_name(segment->form);
    char name[24];
    char size[SHEET_TEXT_SIZE];
    char dead[SHEET_TEXT_SIZE];
    json_writer_object_begin(json, NULL);
    json_writer_number(json, "segment", segment->number);
    json_writer_text(json, "form", form != NULL ? form : "");
    json_writer_bool(json, "damaged", segment->damaged != 0);
    json_writer_number(json, "from", segment->from);
    json_writer_number(json, "to", segment->to);
    json_writer_number(json, "blocks", segment->blocks);
    json_writer_number(json, "frames", segment->frames);
    json_writer_number(json, "bytes", segment->bytes);
    json_writer_number(json, "deadBytes", segment->dead_bytes);
    json_writer_object_end(json);
    (void)snprintf(name, sizeof(name), "%08" PRIu64, segment->number);
    sheet_line(&answer->sheet, name,
               "%s, %s, %s dead, heights %" PRIu64 " to %" PRIu64 ", %" PRIu64 " frames%s",
               form != NULL ? form : "", sheet_size_text(segment->bytes, size),
               sheet_size_text(segment->dead_bytes, dead), segment->from, segment->to,
               segment->frames, segment->damaged != 0 ? ", damaged" : "");
}

static void add_lists(struct answer *answer, const struct stoa_storage *storage)
{
    struct json_writer *json = &answer->json;
    sheet_add(&answer->sheet, "tables\n");
    json_writer_array_begin(json, "tables");
    for (size_t i = 0; i < storage->table_count; i++) {
        add_table(answer, &storage->tables[i]);
    }
    json_writer_array_end(json);
    sheet_add(&answer->sheet, "indexes\n");
    json_writer_array_begin(json, "indexes");
    for (size_t i = 0; i < storage->index_count; i++) {
        add_index(answer, &storage->indexes[i]);
    }
    json_writer_array_end(json);
    sheet_add(&answer->sheet, "segments\n");
    json_writer_array_begin(json, "list");
    for (size_t i = 0; i < storage->segment_count; i++) {
        add_segment(answer, &storage->list[i]);
    }
    json_writer_array_end(json);
}

static void add_jobs(struct answer *answer, const struct stoa_job_info *infos, size_t count)
{
    sheet_add(&answer->sheet, "jobs\n");
    json_writer_array_begin(&answer->json, "jobs");
    for (size_t i = 0; i < count; i++) {
        json_job_append(&answer->json, NULL, &infos[i]);
        command_jobs_add(&answer->sheet, &infos[i]);
    }
    json_writer_array_end(&answer->json);
}

static void add_verification(struct answer *answer, const struct stoa_verification *verification)
{
    struct json_writer *json = &answer->json;
    const struct stoa_verify_report *report = &verification->report;
    char ended[SHEET_TEXT_SIZE];
    char bytes[SHEET_TEXT_SIZE];
    const char *depth = verification->deep != 0 ? "deep" : "plain";
    json_writer_object_begin(json, NULL);
    json_writer_text(json, "depth", depth);
    json_writer_text(json, "result", stoa_error_name(verification->result));
    json_writer_number(json, "began", verification->began);
    json_writer_number(json, "ended", verification->ended);
    json_writer_number(json, "height", verification->height);
    command_upkeep_add_report(json, report);
    json_writer_object_end(json);
    (void)sheet_time_text(verification->ended, ended);
    sheet_line(
        &answer->sheet, depth,
        "%s, %s, %" PRIu64 " damages, %" PRIu64 " blocks, %" PRIu64 " frames, %s, head %" PRIu64,
        ended, verification->result == 0 ? "sound" : "damaged", report->damages, report->blocks,
        report->frames, sheet_size_text(report->bytes, bytes), verification->height);
}

static void add_verifications(struct answer *answer, const struct stoa_storage *storage)
{
    sheet_add(&answer->sheet,
              storage->verification_count != 0 ? "verifications\n" : "never verified\n");
    json_writer_array_begin(&answer->json, "verifications");
    for (size_t i = 0; i < storage->verification_count; i++) {
        add_verification(answer, &storage->verifications[i]);
    }
    json_writer_array_end(&answer->json);
}

static void add_advice(struct answer *answer, const struct stoa_storage *storage)
{
    sheet_add(&answer->sheet, storage->advice_count != 0 ? "recommended\n" : "nothing to do\n");
    json_writer_array_begin(&answer->json, "advice");
    for (size_t i = 0; i < storage->advice_count; i++) {
        const struct stoa_storage_advice *advice = &storage->advice[i];
        json_writer_object_begin(&answer->json, NULL);
        json_writer_text(&answer->json, "action", advice->action);
        json_writer_text(&answer->json, "reason", advice->reason);
        json_writer_object_end(&answer->json);
        sheet_line(&answer->sheet, advice->action, "%s", advice->reason);
    }
    json_writer_array_end(&answer->json);
}

static int print(const struct options *options, const struct stoa_storage *storage,
                 const struct stoa_job_info *infos, size_t count)
{
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    add_totals(&answer, storage);
    add_lists(&answer, storage);
    add_jobs(&answer, infos, count);
    add_verifications(&answer, storage);
    add_advice(&answer, storage);
    json_writer_object_end(&answer.json);
    return answer_finish(&answer);
}

int command_storage_show(const struct options *options)
{
    struct stoa *stoa;
    struct stoa_storage *storage = NULL;
    struct stoa_job_info infos[STOA_JOBS];
    size_t count = 0;
    struct stoa_detail detail = {.code = 0};
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    int result = stoa_query_storage(stoa, &storage, &detail);
    if (result == 0) {
        result = stoa_list_jobs(stoa, infos, STOA_JOBS, &count, &detail);
    }
    status = result == 0 ? print(options, storage, infos, count < STOA_JOBS ? count : STOA_JOBS)
                         : command_fail(result, &detail, "analyze");
    stoa_free(storage);
    return command_close(stoa, status);
}
