/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/command_jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "render/json_job.h"
#include "stoa/command_archive.h"
#include "stoa/console.h"
#include "stoa/interrupt.h"
#include "stoa/sheet.h"

enum { LOOK_MS = 200, PERCENT = 100 };

/* ---- what is shown of a job ---- */

static void add_fact(struct sheet *sheet, const struct stoa_job_fact *fact)
{
    char text[SHEET_TEXT_SIZE];
    size_t length = strlen(fact->name);
    bool size = length >= 5 && strcasecmp(fact->name + length - 5, "bytes") == 0;
    sheet_line(sheet, fact->name, "%s",
               size ? sheet_size_text(fact->value, text) : sheet_count_text(fact->value, text));
}

void command_jobs_add(struct sheet *sheet, const struct stoa_job_info *info)
{
    char ended[SHEET_TEXT_SIZE];
    char progress[SHEET_TEXT_SIZE] = "";
    const char *result = info->ended == 0 ? "" : info->last_result == 0 ? ", done" : ", failed";
    if (info->active != 0 && info->total != 0) {
        (void)snprintf(progress, sizeof(progress), " %u %%",
                       (unsigned)((double)info->done * PERCENT / (double)info->total));
    }
    sheet_line(sheet, stoa_job_name(info->job), "%s%s%s%s%s; last %s%s%s%s",
               stoa_job_state_name(info->state), progress,
               info->interrupted != 0 ? ", interrupted" : "", info->text[0] != '\0' ? ", " : "",
               info->text, sheet_time_text(info->ended, ended), result,
               info->last_error[0] != '\0' ? ": " : "", info->last_error);
}

static bool print_list(const struct options *options, const struct stoa_job_info *infos,
                       size_t count)
{
    struct buffer buffer;
    struct json_writer json;
    struct sheet sheet;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    sheet_init(&sheet);
    json_writer_array_begin(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        json_job_append(&json, NULL, &infos[i]);
        command_jobs_add(&sheet, &infos[i]);
    }
    json_writer_array_end(&json);
    bool printed = options->json ? console_write_json(&json, &buffer) : sheet_print(&sheet);
    buffer_deinit(&buffer);
    sheet_deinit(&sheet);
    return printed;
}

static bool print_end(const struct options *options, const struct stoa_job_info *info)
{
    struct buffer buffer;
    struct json_writer json;
    struct sheet sheet;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    sheet_init(&sheet);
    json_job_append(&json, NULL, info);
    sheet_line(&sheet, stoa_job_name(info->job), "%s in %.3f s",
               (info->flags & STOA_JOB_DRY_RUN) != 0 ? "dry run done" : "done",
               (double)info->elapsed_ms / 1e3);
    for (unsigned i = 0; i < info->fact_count; i++) {
        add_fact(&sheet, &info->facts[i]);
    }
    bool printed = options->json ? console_write_json(&json, &buffer) : sheet_print(&sheet);
    buffer_deinit(&buffer);
    sheet_deinit(&sheet);
    return printed;
}

/* ---- a job that is run ---- */

static void show_progress(struct stoa *stoa, int job)
{
    struct stoa_job_info infos[STOA_JOBS];
    size_t count = 0;
    if (!console_progress_due() || stoa_list_jobs(stoa, infos, STOA_JOBS, &count, NULL) != 0 ||
        (size_t)job >= count) {
        return;
    }
    const struct stoa_job_info *info = &infos[job];
    if (info->remaining_ms != UINT64_MAX) {
        console_progress("%s: %" PRIu64 " of %" PRIu64 ", %.0f s left %s", stoa_job_name(job),
                         info->done, info->total, (double)info->remaining_ms / 1e3, info->text);
    } else {
        console_progress("%s: %" PRIu64 " of %" PRIu64 " %s", stoa_job_name(job), info->done,
                         info->total, info->text);
    }
}

/* Its end. False: an interrupt came before it. */
static bool wait_for_end(struct stoa *stoa, int job, struct stoa_completion *out)
{
    while (stoa_reap(stoa, out, 1, LOOK_MS) == 0) {
        if (interrupt_requested()) {
            return false;
        }
        show_progress(stoa, job);
    }
    return true;
}

int command_jobs_wait(struct stoa *stoa, const struct stoa_job_options *job,
                      struct stoa_completion *out)
{
    int result = stoa_submit_job(stoa, job, NULL);
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        return command_fail(result, &detail, stoa_job_name(job->job));
    }
    bool ended = wait_for_end(stoa, job->job, out);
    console_progress_clear();
    if (!ended) {
        console_error("%s: interrupted; it goes on where it was when it is run again",
                      stoa_job_name(job->job));
        return COMMAND_FAILED;
    }
    return COMMAND_DONE;
}

static int run(struct stoa *stoa, const struct options *options, const struct stoa_job_options *job)
{
    struct stoa_completion completion;
    int status = command_jobs_wait(stoa, job, &completion);
    if (status != COMMAND_DONE) {
        return status;
    }
    if (completion.result != 0) {
        status = command_fail(completion.result, &completion.detail, stoa_job_name(job->job));
    } else if (completion.job_count == 1 && !print_end(options, completion.jobs)) {
        status = COMMAND_FAILED;
    }
    stoa_free(completion.jobs);
    return status;
}

int command_jobs_run(const struct options *options, const struct stoa_job_options *job)
{
    struct stoa_job_options asked = *job;
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    asked.flags |= options->dry_run ? (unsigned)STOA_JOB_DRY_RUN : 0;
    interrupt_catch();
    status = run(stoa, options, &asked);
    return command_close(stoa, status);
}

static int run_plain(const struct options *options, int number)
{
    struct stoa_job_options job = STOA_JOB_OPTIONS_INIT;
    job.job = number;
    return command_jobs_run(options, &job);
}

int command_jobs_checkpoint(const struct options *options)
{
    return run_plain(options, STOA_JOB_CHECKPOINT);
}

static int run_archive(const struct options *options, bool back)
{
    struct stoa_job_options job = STOA_JOB_OPTIONS_INIT;
    if (options->has_to && options->to == 0) {
        console_error("--to: there is no segment of block 0 alone");
        return COMMAND_USAGE;
    }
    job.job = STOA_JOB_ARCHIVE;
    job.bytes_per_second = options->rate;
    job.from = options->from;
    job.to = options->to;
    job.archive_keep = options->archive_keep;
    job.unarchive = back ? 1 : 0;
    return command_jobs_run(options, &job);
}

int command_jobs_archive(const struct options *options)
{
    if (options->argument_count != 0) {
        if (strcmp(options->arguments[0], "list") == 0) {
            return command_archive_list(options);
        }
        console_error("%s: it is archive, or archive list", options->arguments[0]);
        return COMMAND_USAGE;
    }
    return run_archive(options, false);
}

int command_jobs_unarchive(const struct options *options)
{
    return run_archive(options, true);
}

int command_jobs_prune(const struct options *options)
{
    struct stoa_job_options job = STOA_JOB_OPTIONS_INIT;
    if (!options->has_keep) {
        console_error("prune: say what to keep: --preset, or --keep-bodies and so on");
        return COMMAND_USAGE;
    }
    job.job = STOA_JOB_PRUNE;
    job.keep_history = options->keep_history;
    job.keep_tries = options->keep_tries;
    job.keep_bodies = options->keep_bodies;
    job.keep_receipts = options->keep_receipts;
    job.keep_logs = options->keep_logs;
    job.keep_transactions = options->keep_transactions;
    return command_jobs_run(options, &job);
}

int command_jobs_compact(const struct options *options)
{
    return run_plain(options, STOA_JOB_COMPACT);
}

int command_jobs_optimize(const struct options *options)
{
    return run_plain(options, STOA_JOB_OPTIMIZE);
}

/* ---- all jobs ---- */

static int find_job(const char *name)
{
    for (int i = 0; i < STOA_JOBS; i++) {
        if (strcmp(stoa_job_name(i), name) == 0) {
            return i;
        }
    }
    return -1;
}

static const struct {
    const char *name;
    int (*tell)(struct stoa *stoa, int job, struct stoa_detail *detail);
} verbs[] = {
    {"pause", stoa_pause_job},
    {"resume", stoa_resume_job},
    {"cancel", stoa_cancel_job},
};

/* The verb and the job of the line, or -1 for the verb where it has none. False, told: it is wrong.
 */
static bool take_words(const struct options *options, int *out_verb, int *out_job)
{
    *out_verb = -1;
    *out_job = -1;
    if (options->argument_count == 0) {
        return true;
    }
    for (int i = 0; i < (int)(sizeof(verbs) / sizeof(verbs[0])); i++) {
        *out_verb = strcmp(options->arguments[0], verbs[i].name) == 0 ? i : *out_verb;
    }
    if (*out_verb < 0 || options->argument_count != 2) {
        console_error("jobs: pause, resume or cancel, and the name of a job");
        return false;
    }
    *out_job = find_job(options->arguments[1]);
    if (*out_job < 0) {
        console_error("%s: no such job; stoa jobs lists them", options->arguments[1]);
    }
    return *out_job >= 0;
}

int command_jobs_list(const struct options *options)
{
    struct stoa_job_info infos[STOA_JOBS];
    struct stoa_detail detail = {.code = 0};
    struct stoa *stoa;
    size_t count = 0;
    int verb;
    int job;
    if (!take_words(options, &verb, &job)) {
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    int result = verb < 0 ? 0 : verbs[verb].tell(stoa, job, &detail);
    if (result == 0) {
        result = stoa_list_jobs(stoa, infos, STOA_JOBS, &count, &detail);
    }
    if (result != 0) {
        status = command_fail(result, &detail, "jobs");
    } else if (verb < 0 ? !print_list(options, infos, count)
                        : !print_list(options, &infos[job], 1)) {
        status = COMMAND_FAILED;
    }
    return command_close(stoa, status);
}
