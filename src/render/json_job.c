/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_job.h"

static void append_facts(struct json_writer *writer, const struct stoa_job_info *info)
{
    json_writer_object_begin(writer, "results");
    for (unsigned i = 0; i < info->fact_count; i++) {
        json_writer_number(writer, info->facts[i].name, info->facts[i].value);
    }
    json_writer_object_end(writer);
}

void json_job_append(struct json_writer *writer, const char *key, const struct stoa_job_info *info)
{
    json_writer_object_begin(writer, key);
    json_writer_text(writer, "job", stoa_job_name(info->job));
    json_writer_text(writer, "state", stoa_job_state_name(info->state));
    json_writer_bool(writer, "active", info->active != 0);
    json_writer_bool(writer, "interrupted", info->interrupted != 0);
    json_writer_bool(writer, "dryRun", (info->flags & STOA_JOB_DRY_RUN) != 0);
    json_writer_number(writer, "done", info->done);
    json_writer_number(writer, "total", info->total);
    json_writer_number(writer, "bytes", info->bytes);
    json_writer_number(writer, "operations", info->operations);
    json_writer_number(writer, "elapsedMs", info->elapsed_ms);
    if (info->remaining_ms != UINT64_MAX) {
        json_writer_number(writer, "remainingMs", info->remaining_ms);
    } else {
        json_writer_null(writer, "remainingMs");
    }
    json_writer_number(writer, "started", info->started);
    json_writer_number(writer, "ended", info->ended);
    json_writer_number(writer, "next", info->next);
    json_writer_number(writer, "runs", info->runs);
    json_writer_number(writer, "failures", info->failures);
    json_writer_text(writer, "lastResult", stoa_error_name(info->last_result));
    json_writer_text(writer, "lastError", info->last_error);
    json_writer_text(writer, "text", info->text);
    append_facts(writer, info);
    json_writer_object_end(writer);
}
