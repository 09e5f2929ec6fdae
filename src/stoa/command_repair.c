/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_repair.c: scrub and repair. */
#include <inttypes.h>
#include <stdio.h>

#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/command_jobs.h"
#include "stoa/interrupt.h"

static void add_place(struct answer *answer, const char *file, uint64_t offset, uint64_t size,
                      const uint64_t *height)
{
    struct json_writer *json = &answer->json;
    json_writer_text(json, "file", file);
    json_writer_number(json, "offset", offset);
    json_writer_number(json, "size", size);
    sheet_add(&answer->sheet, "damage: %s, offset %" PRIu64 ", %" PRIu64 " bytes", file, offset,
              size);
    if (height != NULL) {
        json_writer_quantity(json, "number", *height);
        sheet_add(&answer->sheet, ", block %" PRIu64, *height);
    } else {
        json_writer_null(json, "number");
    }
}

static void add_damage(void *context, const struct stoa_damage *damage)
{
    struct answer *answer = context;
    json_writer_object_begin(&answer->json, NULL);
    add_place(answer, damage->file, damage->offset, damage->size,
              damage->has_height != 0 ? &damage->height : NULL);
    json_writer_text(&answer->json, "what", damage->what);
    sheet_add(&answer->sheet, ": %s\n", damage->what);
    json_writer_object_end(&answer->json);
}

static void add_number(struct answer *answer, const char *key, uint64_t value)
{
    json_writer_number(&answer->json, key, value);
    sheet_line(&answer->sheet, key, "%" PRIu64, value);
}

/* What was found, with the figures of the run that ended. */
static int show_scrubbed(struct stoa *stoa, const struct options *options)
{
    struct stoa_scrub_report report;
    struct stoa_detail detail = {.code = 0};
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_array_begin(&answer.json, "damage");
    int result = stoa_list_damages(stoa, add_damage, &answer, &report, &detail);
    if (result != 0) {
        answer_deinit(&answer);
        return command_fail(result, &detail, "scrub");
    }
    json_writer_array_end(&answer.json);
    add_number(&answer, "segments", report.segments);
    add_number(&answer, "frames", report.frames);
    add_number(&answer, "bytes", report.bytes);
    add_number(&answer, "damages", report.damages);
    json_writer_object_end(&answer.json);
    return answer_finish(&answer);
}

int command_repair_scrub(const struct options *options)
{
    struct stoa_job_options job = STOA_JOB_OPTIONS_INIT;
    struct stoa_completion completion;
    struct stoa *stoa;
    job.job = STOA_JOB_SCRUB;
    job.bytes_per_second = options->rate;
    if (options->dry_run) {
        return command_jobs_run(options, &job);
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    interrupt_catch();
    status = command_jobs_wait(stoa, &job, &completion);
    if (status != COMMAND_DONE) {
        return command_close(stoa, status);
    }
    if (completion.result == 0 || completion.result == STOA_ECORRUPT) {
        status = show_scrubbed(stoa, options);
    }
    if (completion.result != 0) {
        status = command_fail(completion.result, &completion.detail, "scrub");
    }
    stoa_free(completion.jobs);
    return command_close(stoa, status);
}

static void add_mended(void *context, const struct stoa_repair_damage *damage)
{
    struct answer *answer = context;
    json_writer_object_begin(&answer->json, NULL);
    add_place(answer, damage->file, damage->offset, damage->size,
              damage->has_height != 0 ? &damage->height : NULL);
    json_writer_text(&answer->json, "what", damage->what);
    if (damage->source != NULL) {
        json_writer_text(&answer->json, "source", damage->source);
        sheet_add(&answer->sheet, ": %s: mended from %s\n", damage->what, damage->source);
    } else {
        json_writer_null(&answer->json, "source");
        sheet_add(&answer->sheet, ": %s: no source has it\n", damage->what);
    }
    json_writer_object_end(&answer->json);
}

int command_repair_run(const struct options *options)
{
    struct stoa_repair_report report;
    struct stoa_detail detail = {.code = 0};
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_array_begin(&answer.json, "damage");
    int result = stoa_repair(options->directory, options->sources, options->source_count,
                             add_mended, &answer, &report, &detail);
    json_writer_array_end(&answer.json);
    add_number(&answer, "damages", report.damages);
    add_number(&answer, "mended", report.mended);
    add_number(&answer, "left", report.left);
    json_writer_bool(&answer.json, "rebuiltTables", report.rebuilt_tables != 0);
    sheet_line(&answer.sheet, "tables", "%s", report.rebuilt_tables != 0 ? "made anew" : "kept");
    json_writer_object_end(&answer.json);
    int status = COMMAND_DONE;
    if (result == 0 || result == STOA_ECORRUPT) {
        status = answer_print(&answer);
    }
    answer_deinit(&answer);
    if (result == 0) {
        return status;
    }
    status = command_fail(result, &detail, "repair");
    return result == STOA_ENOTFOUND ? COMMAND_NO_STORE : status;
}
