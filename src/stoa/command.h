/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command.h: what stoa(1) can be told to do. One row of commands.def is one command; its handler
 * gets the options and returns the exit status. */
#ifndef COMMAND_H
#define COMMAND_H

#include "base/bytes.h"
#include "render/json_writer.h"
#include "stoa.h"
#include "stoa/options.h"

/* Exit statuses, documented in stoa(1). */
enum {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,
    COMMAND_USAGE = 2,
    COMMAND_NO_STORE = 3,
    COMMAND_DAMAGE = 4,
};

struct command {
    const char *name;
    const char *arguments;
    size_t arguments_min;
    size_t arguments_max;
    unsigned groups; /* of options, besides OPTIONS_ALL */
    int (*run)(const struct options *options);
    const char *help;
};

/* NULL: there is no such command. */
const struct command *command_find(const char *name);

/* The INDEX-th of the table; NULL past its end. */
const struct command *command_at(size_t index);

int command_init_run(const struct options *options);
int command_import_run(const struct options *options);
int command_export_run(const struct options *options);
int command_show_head(const struct options *options);
int command_show_block(const struct options *options);
int command_show_header(const struct options *options);
int command_show_transaction(const struct options *options);
int command_show_receipt(const struct options *options);
int command_show_receipts(const struct options *options);
int command_state_account(const struct options *options);
int command_state_storage(const struct options *options);
int command_state_code(const struct options *options);
int command_proof_run(const struct options *options);
int command_state_run(const struct options *options);
int command_examine_analyze(const struct options *options);
int command_upkeep_verify(const struct options *options);
int command_upkeep_reindex(const struct options *options);
int command_copies_backup(const struct options *options);
int command_copies_restore(const struct options *options);
int command_copies_snapshot(const struct options *options);
int command_repair_run(const struct options *options);
int command_repair_scrub(const struct options *options);
int command_health_run(const struct options *options);
int command_upkeep_stats(const struct options *options);
int command_query_logs(const struct options *options);
int command_query_history(const struct options *options);
int command_branch_list(const struct options *options);
int command_branch_set_head(const struct options *options);
int command_branch_set_safe(const struct options *options);
int command_branch_set_finalized(const struct options *options);
int command_jobs_list(const struct options *options);
int command_jobs_archive(const struct options *options);
int command_jobs_optimize(const struct options *options);
int command_jobs_unarchive(const struct options *options);
int command_jobs_prune(const struct options *options);
int command_jobs_compact(const struct options *options);
int command_jobs_checkpoint(const struct options *options);
int command_top_run(const struct options *options);
int command_completion_run(const struct options *options);
int command_help_run(const struct options *options);

/* Show what BLOCK (a number, a hash, latest) changed in the state. */
int command_examine_changes(const struct options *options, const char *block);

/* A number of up to 32 bytes: hexadecimal after 0x, else decimal. False: it is none. */
bool command_state_parse_slot(const char *text, uint8_t out[32]);

/* Open the store of OPTIONS; BULK as in struct stoa_options. Prints what is wrong, or a warning.
 * Returns an exit status; on COMMAND_DONE the caller closes *OUT with command_close. */
int command_open(const struct options *options, bool bulk, struct stoa **out_stoa);

/* Close; returns STATUS, or what a failed close makes of COMMAND_DONE, printed. */
int command_close(struct stoa *stoa, int status);

/* Print "stoa: WHAT: …" for a failed call on an open store. Returns the exit status for RESULT. */
int command_fail(int result, const struct stoa_detail *detail, const char *what);

/* What a verification counted, as members of an object. */
void command_upkeep_add_report(struct json_writer *json, const struct stoa_verify_report *report);

/* TEXT as a number, a hash or "latest". */
bool command_parse_key(const char *text, struct stoa_block_key *out);

static inline struct bytes command_bytes(struct stoa_bytes view)
{
    return bytes_of(view.data, view.size);
}

#endif
