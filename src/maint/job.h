/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job.h: upkeep as jobs: state machines that a timer of the loop drives in small steps, beside
 * full-speed commits.
 *
 * The machine decides when a job begins (its schedule, or somebody asks for it), when its next step
 * is due (its budget of bytes and operations a second; it rests three times as long as it worked
 * while blocks are written, and holds still for a moment while the tables fall behind), and when it
 * ends. A kind of job (struct job_kind) only says what a step is. All of this runs on the loop's
 * thread and never blocks; what blocks or burns the processor is a step's work for a worker.
 *
 * A resume point is a few bytes that the kind gives to job_keep: where to go on. The machine keeps
 * the newest, with order and results, as a note in the store's tables (store_upkeep.h): once a
 * second, at a pause and at the end. It becomes durable with a checkpoint of the tables, so after a
 * kill a job may go on from an older point than it was at: steps are made again, and must bear
 * that. A note that is lost with the tables makes the job begin anew. So nothing of a store may
 * depend on a note; it only saves work.
 *
 * How a job is added:
 *   1. a row at the end of include/stoa/job.def, whose NAME is a row of message.def;
 *   2. src/maint/job_NAME.c with `const struct job_kind job_kind_name`: begin, step, end;
 *   3. options of its own: fields of struct stoa_job_options, copied into struct job_order by
 *      engine_jobs.c (strings have their places; numbers, such as the depths of a prune, go into
 *      `numbers`);
 *   4. a command in src/stoa/commands.def that fills the options and calls command_jobs_run;
 *   5. its lines in stoa(1) and stoa_job_run(3).
 * Listing, pausing, metrics, schedule and dry runs (JOB_DRY_RUN in the order) then work as for all
 * others.
 *
 * A step returns JOB_AGAIN where it did a little by itself; JOB_WAITS where it began something that
 * ends with job_continue (job_work and job_io see to that); JOB_ENDED where nothing is left to do
 * or job_fail was called. A step takes no more than a few hundred microseconds of the loop; a work,
 * where it can be helped, no more than a second, or it looks at job_is_stopping now and then. */
#ifndef JOB_H
#define JOB_H

#include "io/io.h"
#include "io/workers.h"
#include "maint/job_damage.h"
#include "stoa.h"
#include "store/store_upkeep.h"

enum { JOB_NUMBERS_MAX = 16, JOB_NAME_SIZE = 64, JOB_PATH_SIZE = 1024, JOB_POINT_SIZE_MAX = 4096 };

struct job;
struct jobs;

enum { JOB_DRY_RUN = STOA_JOB_DRY_RUN, JOB_HURRY = STOA_JOB_HURRY };

/* What somebody asked for: struct stoa_job_options with its strings. All zero: as by schedule. */
struct job_order {
    unsigned flags; /* STOA_JOB_… */
    uint64_t bytes_per_second;
    uint64_t operations_per_second;
    uint64_t from;
    uint64_t to;
    uint64_t numbers[JOB_NUMBERS_MAX]; /* the kind's own */
    char name[JOB_NAME_SIZE];
    char path[JOB_PATH_SIZE];
};

/* Places in the numbers of an order. */
enum {
    JOB_KEEP_HISTORY,
    JOB_KEEP_TRIES,
    JOB_KEEP_BACKUPS,
    JOB_FULL,
    JOB_KEEP_BODIES,
    JOB_KEEP_RECEIPTS,
    JOB_KEEP_LOGS,
    JOB_KEEP_TRANSACTIONS,
    JOB_ARCHIVE_KEEP,
    JOB_UNARCHIVE,
};

enum job_next { JOB_AGAIN, JOB_WAITS, JOB_ENDED };

enum {
    JOB_TAKES_SPACE = 1 << 0, /* it needs room on the disk: it waits below the watermark */
    JOB_UNNOTED = 1 << 1,     /* nothing of it is worth a note: it is short and runs often */
    JOB_RELIEVES = 1 << 3,    /* the tables fall behind less by it: it does not wait for them */
    JOB_QUEUES = 1 << 2,      /* whoever asks while it runs is served by a run after that */
    JOB_READS = 1 << 4,       /* it changes nothing, so a store in trouble does not stop it */
};

struct job_kind {
    enum stoa_job number;
    unsigned flags;    /* JOB_… */
    uint32_t excludes; /* 1 << number of jobs that may not run beside it */
    size_t state_size;
    uint64_t threshold; /* default for DUE; 0: none */
    /* Begin, with zeroed state; POINT: what job_keep was given last of the same order, or empty. 0,
     * or job_fail's result. END is called in any case. */
    int (*begin)(struct job *job, struct bytes point);
    enum job_next (*step)(struct job *job);
    /* Nothing of the job's is under way. May be NULL. */
    void (*end)(struct job *job);
    /* Whether it has anything to do when its time comes, or has reached THRESHOLD before. Cheap.
     * May be NULL: always, never. */
    bool (*has_work)(struct job *job);
    bool (*is_due)(struct job *job, uint64_t threshold);
};

/* ---- for kinds, on the loop ---- */

void *job_state(struct job *job);
const struct job_order *job_order(const struct job *job);
struct store *job_store(struct job *job);
struct io *job_loop(struct job *job);
const struct stoa_maintenance *job_settings(const struct job *job);
struct error_detail *job_detail(struct job *job); /* for calls that fill one, before job_fail */

/* What it ends with. RESULT; the text, where the detail has none yet, is RESULT's. */
enum job_next job_fail(struct job *job, int result);

/* What a step has cost. On the loop, or inside a work. */
void job_spend(struct job *job, uint64_t bytes, uint64_t operations);
/* These not while a work is under way: the loop shows them to who asks meanwhile. */
void job_progress(struct job *job, uint64_t done, uint64_t total);
/* What it is at, for a person. */
void job_say(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A result by name: told with the job, the last run's are kept. Of the same name the last counts.
 * At most STOA_JOB_FACTS_MAX. */
void job_fact(struct job *job, const char *name, uint64_t value);
uint64_t job_fact_get(const struct job *job, const char *name); /* 0: there is none */

/* What it found damaged, in this run and those before. */
struct job_damages *job_damages(struct job *job);

/* The resume point: at most JOB_POINT_SIZE_MAX bytes, copied. */
void job_keep(struct job *job, struct bytes point);

/* Run RUN on a worker, and step again when it has ended with 0; otherwise the job fails with its
 * result. With TABLES it gets a session of them (and holds no cursor at its end), else NULL. */
enum job_next job_work(struct job *job, bool tables,
                       int (*run)(struct job *job, struct kv_session *session));
/* Inside a work: the store closes or the job is canceled or paused: end soon, with 0. */
bool job_is_stopping(const struct job *job);

/* Step again in a moment: what is wanted cannot be had now. */
enum job_next job_rest(struct job *job);

/* Whether BYTES and a reserve are free where FOLDER of the store is, or is to be made.
 * STOA_ENOSPACE: the detail says what WHAT takes up to. */
int job_check_space(struct job *job, const char *folder, uint64_t bytes, const char *what);

/* Submit REQUEST, whose done and context are the machine's, and step again when it is done. */
enum job_next job_io(struct job *job, struct io_request *request);
/* Begin MERGE by START, which is given it: its stop, done and context are the machine's. The job
 * steps again when it has ended; its result is 0 then, or STOA_EBUSY: it is to be begun again, as
 * the job was paused or somebody else merges. Any other fails the job. */
enum job_next job_merge(struct job *job, struct store_merge *merge,
                        bool (*start)(struct store *store, struct store_merge *merge));
/* Make the tables durable by REQUEST, and step again when they are; otherwise the job fails. */
enum job_next job_save(struct job *job, struct store_request *request);
/* What the step that returned JOB_WAITS began has ended. May be called from inside the step. */
void job_continue(struct job *job);

/* ---- for the engine and tests, on the loop ---- */

struct jobs_options {
    struct store *store;
    struct io *io;
    const struct stoa_maintenance *settings; /* copied; NULL: the defaults */
    const struct job_kind *const *kinds;     /* STOA_JOBS of them; NULL: those of job.def */
};

/* Somebody who waits for a job's end; embedded in its owner until DONE. */
struct job_waiter {
    void (*done)(struct job_waiter *waiter);
    void *context;
    int result;
    struct error_detail detail;
    struct stoa_job_info info; /* as it ended */
    struct job_waiter *next;
};

/* Reads the notes, so blocking; begins what the schedule and the last process left, soon, if
 * settings say so. STOA_ENOMEM. */
int jobs_create(const struct jobs_options *options, struct jobs **out_jobs,
                struct error_detail *detail);
/* Stop all, in order: steps under way end, notes are written, waiters get STOA_ECANCELED. Blocking,
 * before the store is closed. */
void jobs_stop(struct jobs *jobs);
/* After jobs_stop: it was not the end after all. */
void jobs_go_on(struct jobs *jobs);
/* After jobs_stop, or after a power cut in place of it, then after store_abandon. NULL is allowed.
 */
void jobs_destroy(struct jobs *jobs);

/* Begin. DONE (may be NULL as WAITER) is called when it has ended, never before this returns where
 * that is 0. STOA_EBUSY: it is under way, or paused. */
int jobs_start(struct jobs *jobs, enum stoa_job number, const struct job_order *order,
               struct job_waiter *waiter, struct error_detail *detail);
/* It is going to be forgotten: its DONE is not called any more. */
void jobs_forget_waiter(struct jobs *jobs, struct job_waiter *waiter);

/* Kept over a restart: a paused job neither goes on nor begins by schedule. */
int jobs_pause(struct jobs *jobs, enum stoa_job number, struct error_detail *detail);
int jobs_resume(struct jobs *jobs, enum stoa_job number, struct error_detail *detail);
/* It ends with STOA_ECANCELED, soon, and its point is forgotten. STOA_ENOTFOUND: it does not run.
 */
int jobs_cancel(struct jobs *jobs, enum stoa_job number, struct error_detail *detail);

void jobs_info(const struct jobs *jobs, enum stoa_job number, struct stoa_job_info *out_info);
bool jobs_is_active(const struct jobs *jobs, enum stoa_job number);
const struct job_damages *jobs_damages(const struct jobs *jobs, enum stoa_job number);

/* The store is in trouble, WHY: but for checkpoints, which fail by themselves, and what only reads,
 * no step begins, and on a full disk (STOA_ENOSPACE) what is under way ends with that, unless it
 * waits for space; or it is being opened again: none at all. jobs_are_quiet: none is under way. */
enum jobs_hold { JOBS_FREE, JOBS_TROUBLED, JOBS_FROZEN };
void jobs_hold(struct jobs *jobs, enum jobs_hold hold, const struct error_detail *why);
bool jobs_are_quiet(const struct jobs *jobs);
/* Room is short: jobs that need some wait. */
void jobs_set_short_of_space(struct jobs *jobs, bool is_short);

#endif
