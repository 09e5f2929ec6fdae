/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_copies.c: backup, restore, snapshot. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/interrupt.h"

/* A verb and what it takes. */
struct verb {
    const char *name;
    size_t arguments; /* after it */
    size_t arguments_max;
    int (*run)(const struct options *options);
};

static int run_verb(const struct options *options, const struct verb *verbs, size_t count,
                    const char *all)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options->arguments[0], verbs[i].name) == 0) {
            size_t given = options->argument_count - 1;
            if (given < verbs[i].arguments || given > verbs[i].arguments_max) {
                break;
            }
            return verbs[i].run(options);
        }
    }
    console_error("%s: %s", options->arguments[0], all);
    return COMMAND_USAGE;
}

static int show_copied(void *context, uint64_t done, uint64_t total)
{
    const char *what = context;
    if (console_progress_due()) {
        char moved[SHEET_TEXT_SIZE];
        char all[SHEET_TEXT_SIZE];
        console_progress("%s: %s of %s", what, sheet_size_text(done, moved),
                         sheet_size_text(total, all));
    }
    return interrupt_requested() ? 1 : 0;
}

static struct stoa_pace pace_of(const struct options *options, const char *what)
{
    struct stoa_pace pace = STOA_PACE_INIT;
    pace.bytes_per_second = options->rate;
    pace.progress = show_copied;
    pace.context = (void *)(uintptr_t)what;
    interrupt_catch();
    return pace;
}

/* What a call came to: no directory is as no store. */
static int fail_copy(int result, const struct stoa_detail *detail, const char *what)
{
    int status = command_fail(result, detail, what);
    return result == STOA_ENOTFOUND ? COMMAND_NO_STORE : status;
}

/* ---- what is shown ---- */

static void add_size(struct answer *answer, const char *key, const char *name, uint64_t bytes)
{
    char text[SHEET_TEXT_SIZE];
    json_writer_number(&answer->json, key, bytes);
    sheet_line(&answer->sheet, name, "%s", sheet_size_text(bytes, text));
}

static void add_info(struct answer *answer, const struct stoa_copy_info *info)
{
    struct json_writer *json = &answer->json;
    char store[20];
    json_writer_number(json, "created", info->created);
    sheet_time(&answer->sheet, "created", info->created);
    (void)snprintf(store, sizeof(store), "%016" PRIx64, info->store_id);
    json_writer_text(json, "store", store);
    json_writer_number(json, "chainId", info->chain_id);
    json_writer_number(json, "number", info->height);
    sheet_line(&answer->sheet, "block", "%" PRIu64, info->height);
    json_writer_hex(json, "hash", info->hash, 32);
    sheet_hex(&answer->sheet, "hash", info->hash, 32);
    json_writer_hex(json, "stateRoot", info->state_root, 32);
    sheet_hex(&answer->sheet, "state root", info->state_root, 32);
    json_writer_number(json, "files", info->files);
    add_size(answer, "bytes", "size", info->bytes);
    add_size(answer, "ownBytes", "of its own", info->own_bytes);
}

static int add_copy(void *context, const struct stoa_copy_info *info)
{
    struct answer *answer = context;
    json_writer_object_begin(&answer->json, NULL);
    if (info->name != NULL) {
        json_writer_text(&answer->json, "name", info->name);
        sheet_line(&answer->sheet, "snapshot", "%s", info->name);
    } else {
        json_writer_number(&answer->json, "backup", info->number);
        sheet_line(&answer->sheet, "backup", "%" PRIu64, info->number);
    }
    if (info->damaged != NULL) {
        json_writer_text(&answer->json, "damage", info->damaged);
        sheet_line(&answer->sheet, "damaged", "%s", info->damaged);
    } else {
        add_info(answer, info);
    }
    json_writer_object_end(&answer->json);
    return 0;
}

/* ---- backup ---- */

static int create_backup(const struct options *options)
{
    struct stoa_backup_options wanted = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_pace pace = pace_of(options, "backup");
    struct stoa_copy_info info;
    struct stoa_detail detail = {.code = 0};
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    wanted.full = options->full ? 1 : 0;
    wanted.keep = (unsigned)options->keep;
    wanted.pace = &pace;
    int result = stoa_backup(stoa, options->arguments[1], &wanted, &info, &detail);
    console_progress_clear();
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, "backup"));
    }
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_number(&answer.json, "backup", info.number);
    sheet_line(&answer.sheet, "backup", "%" PRIu64, info.number);
    add_info(&answer, &info);
    json_writer_number(&answer.json, "removed", info.removed);
    sheet_line(&answer.sheet, "removed", "%" PRIu64 " older", info.removed);
    json_writer_object_end(&answer.json);
    return command_close(stoa, answer_finish(&answer));
}

static int list_backups(const struct options *options)
{
    struct answer answer;
    struct stoa_detail detail = {.code = 0};
    answer_init(&answer, options);
    json_writer_array_begin(&answer.json, NULL);
    int result = stoa_backup_list(options->arguments[1], add_copy, &answer, &detail);
    json_writer_array_end(&answer.json);
    if (result != 0) {
        answer_deinit(&answer);
        return fail_copy(result, &detail, options->arguments[1]);
    }
    return answer_finish(&answer);
}

static void add_damage(void *context, const char *file, const char *what)
{
    struct answer *answer = context;
    json_writer_object_begin(&answer->json, NULL);
    json_writer_text(&answer->json, "file", file);
    json_writer_text(&answer->json, "what", what);
    json_writer_object_end(&answer->json);
    sheet_add(&answer->sheet, "damage: %s: %s\n", file, what);
}

static int verify_backups(const struct options *options)
{
    struct answer answer;
    struct stoa_pace pace = pace_of(options, "verify");
    struct stoa_backup_check check;
    struct stoa_detail detail = {.code = 0};
    uint64_t number = 0;
    if (options->argument_count == 3 &&
        (!options_parse_number(options->arguments[2], &number) || number == 0)) {
        console_error("%s: no number of a backup", options->arguments[2]);
        return COMMAND_USAGE;
    }
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_array_begin(&answer.json, "damage");
    int result = stoa_backup_verify(options->arguments[1], number, &pace, add_damage, &answer,
                                    &check, &detail);
    console_progress_clear();
    json_writer_array_end(&answer.json);
    json_writer_number(&answer.json, "backups", check.backups);
    json_writer_number(&answer.json, "files", check.files);
    json_writer_number(&answer.json, "bytes", check.bytes);
    json_writer_number(&answer.json, "damages", check.damages);
    json_writer_object_end(&answer.json);
    sheet_line(&answer.sheet, "backups", "%" PRIu64, check.backups);
    sheet_line(&answer.sheet, "files", "%" PRIu64, check.files);
    sheet_line(&answer.sheet, "bytes", "%" PRIu64, check.bytes);
    sheet_line(&answer.sheet, "damages", "%" PRIu64, check.damages);
    int status = COMMAND_DONE;
    if (result == 0 || result == STOA_ECORRUPT) {
        status = answer_print(&answer);
    }
    answer_deinit(&answer);
    return result == 0 ? status : fail_copy(result, &detail, "verify");
}

static int prune_backups(const struct options *options)
{
    uint64_t removed = 0;
    struct stoa_detail detail = {.code = 0};
    if (options->keep == 0) {
        console_error("prune: --keep says how many stay");
        return COMMAND_USAGE;
    }
    int result =
        stoa_backup_prune(options->arguments[1], (unsigned)options->keep, &removed, &detail);
    if (result != 0) {
        return fail_copy(result, &detail, options->arguments[1]);
    }
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_number(&answer.json, "removed", removed);
    json_writer_object_end(&answer.json);
    sheet_line(&answer.sheet, "removed", "%" PRIu64, removed);
    return answer_finish(&answer);
}

int command_copies_backup(const struct options *options)
{
    static const struct verb verbs[] = {{"create", 1, 1, create_backup},
                                        {"list", 1, 1, list_backups},
                                        {"verify", 1, 2, verify_backups},
                                        {"prune", 1, 1, prune_backups}};
    return run_verb(options, verbs, 4,
                    "it is backup create DIR, list DIR, verify DIR [N] or prune DIR");
}

/* ---- restoring ---- */

static struct stoa_restore_options restore_options_of(const struct options *options,
                                                      const struct stoa_pace *pace)
{
    struct stoa_restore_options wanted = STOA_RESTORE_OPTIONS_INIT;
    wanted.has_height = options->has_to ? 1 : 0;
    wanted.height = options->to;
    wanted.pace = pace;
    return wanted;
}

static int show_restored(const struct options *options, const struct stoa_restore_report *report)
{
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_number(&answer.json, "number", report->height);
    sheet_line(&answer.sheet, "block", "%" PRIu64, report->height);
    json_writer_hex(&answer.json, "hash", report->hash, 32);
    sheet_hex(&answer.sheet, "hash", report->hash, 32);
    json_writer_hex(&answer.json, "stateRoot", report->state_root, 32);
    sheet_hex(&answer.sheet, "state root", report->state_root, 32);
    json_writer_number(&answer.json, "files", report->files);
    add_size(&answer, "bytes", "size", report->bytes);
    json_writer_number(&answer.json, "copyMs", report->copy_ms);
    json_writer_number(&answer.json, "tablesMs", report->tables_ms);
    json_writer_number(&answer.json, "verifyMs", report->verify_ms);
    sheet_line(&answer.sheet, "took",
               "%" PRIu64 " ms to copy, %" PRIu64 " ms to make the tables, %" PRIu64
               " ms to verify",
               report->copy_ms, report->tables_ms, report->verify_ms);
    json_writer_object_end(&answer.json);
    return answer_finish(&answer);
}

int command_copies_restore(const struct options *options)
{
    struct stoa_pace pace = pace_of(options, "restore");
    struct stoa_restore_options wanted = restore_options_of(options, &pace);
    struct stoa_restore_report report;
    struct stoa_detail detail = {.code = 0};
    int result =
        stoa_restore(options->arguments[0], options->arguments[1], &wanted, &report, &detail);
    console_progress_clear();
    return result == 0 ? show_restored(options, &report) : fail_copy(result, &detail, "restore");
}

/* ---- snapshots ---- */

/* Which of them is shown. */
struct showing {
    struct answer answer;
    const char *name;
};

static int add_named(void *context, const struct stoa_copy_info *info)
{
    struct showing *showing = context;
    return strcmp(info->name, showing->name) == 0 ? add_copy(&showing->answer, info) : 0;
}

static int create_snapshot(const struct options *options)
{
    struct stoa *stoa;
    struct stoa_detail detail = {.code = 0};
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct showing showing = {.name = options->arguments[1]};
    int result = stoa_create_snapshot(stoa, showing.name, &detail);
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, "snapshot"));
    }
    answer_init(&showing.answer, options);
    result = stoa_list_snapshots(stoa, add_named, &showing, &detail);
    if (result != 0) {
        answer_deinit(&showing.answer);
        return command_close(stoa, command_fail(result, &detail, "snapshot"));
    }
    return command_close(stoa, answer_finish(&showing.answer));
}

static int list_snapshots(const struct options *options)
{
    struct stoa *stoa;
    struct answer answer;
    struct stoa_detail detail = {.code = 0};
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    answer_init(&answer, options);
    json_writer_array_begin(&answer.json, NULL);
    int result = stoa_list_snapshots(stoa, add_copy, &answer, &detail);
    json_writer_array_end(&answer.json);
    if (result != 0) {
        answer_deinit(&answer);
        return command_close(stoa, command_fail(result, &detail, "snapshot"));
    }
    return command_close(stoa, answer_finish(&answer));
}

static int restore_snapshot(const struct options *options)
{
    struct stoa *stoa;
    struct stoa_pace pace = pace_of(options, "restore");
    struct stoa_restore_options wanted = restore_options_of(options, &pace);
    struct stoa_restore_report report;
    struct stoa_detail detail = {.code = 0};
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    int result = stoa_restore_snapshot(stoa, options->arguments[1], options->arguments[2], &wanted,
                                       &report, &detail);
    console_progress_clear();
    return command_close(stoa, result == 0 ? show_restored(options, &report)
                                           : command_fail(result, &detail, "snapshot"));
}

static int drop_snapshot(const struct options *options)
{
    struct stoa *stoa;
    struct stoa_detail detail = {.code = 0};
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    int result = stoa_drop_snapshot(stoa, options->arguments[1], &detail);
    return command_close(stoa,
                         result == 0 ? COMMAND_DONE : command_fail(result, &detail, "snapshot"));
}

int command_copies_snapshot(const struct options *options)
{
    static const struct verb verbs[] = {{"create", 1, 1, create_snapshot},
                                        {"list", 0, 0, list_snapshots},
                                        {"restore", 2, 2, restore_snapshot},
                                        {"drop", 1, 1, drop_snapshot}};
    return run_verb(options, verbs, 4,
                    "it is snapshot create NAME, list, restore NAME DIR or drop NAME");
}
