/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages that the engine serves itself, on the loop: what it is asked about itself, the cache,
 * upkeep. They come, wait and are answered as all others do (engine_deliver.c).
 *
 * What does not fit a completion is a piece of memory of its own, which the completion brings. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

static const uint64_t second_ns = 1000000000;

/* SIZE bytes for OWN's caller. NULL: no memory, and OWN is told so. */
static void *make_report(struct engine_request *own, size_t size)
{
    own->report = memory_alloc_zeroed(1, size);
    if (own->report == NULL) {
        engine_deliver_served(own, STOA_ENOMEM);
    }
    return own->report;
}

static void serve_head(struct engine_request *own)
{
    store_get_head(own->stoa->store, &own->head);
    engine_deliver_served(own, 0);
}

static void serve_stats(struct engine_request *own)
{
    struct stoa_stats *stats = make_report(own, sizeof(*stats));
    if (stats != NULL) {
        store_get_stats(own->stoa->store, stats);
        engine_deliver_served(own, 0);
    }
}

static void serve_cache_stats(struct engine_request *own)
{
    struct stoa_cache_stats *stats = make_report(own, sizeof(*stats));
    if (stats != NULL) {
        stats->size = sizeof(*stats);
        engine_deliver_served(own, stoa_get_cache_stats(own->stoa, stats));
    }
}

static void serve_health(struct engine_request *own)
{
    struct stoa_health *health = make_report(own, sizeof(*health));
    if (health != NULL) {
        health->size = sizeof(*health);
        engine_deliver_served(own, stoa_get_health(own->stoa, health));
    }
}

/* All of them. */
static void serve_branches(struct engine_request *own)
{
    struct store *store = own->stoa->store;
    size_t count = 0;
    int result = store_get_branches(store, NULL, 0, &count);
    if (result == 0 && make_report(own, (count + 1) * sizeof(struct stoa_branch)) == NULL) {
        return;
    }
    if (result == 0) {
        result = store_get_branches(store, own->report, count, &own->report_count);
        ensure(own->report_count == count); /* the loop did nothing else meanwhile */
    }
    engine_deliver_served(own, result);
}

static void serve_flush(struct engine_request *own)
{
    if (own->stoa->cache != NULL) {
        cache_clear(own->stoa->cache);
    }
    engine_deliver_served(own, 0);
}

static void serve_warm(struct engine_request *own)
{
    int result = engine_warm_begin(own->stoa);
    if (result != 0) {
        (void)error_set(&own->request.detail, result, "warm cache: it is being warmed"); /* told */
    }
    engine_deliver_served(own, result);
}

/* ---- verify ---- */

/* What was found: kept in pieces, then made one. */
struct kept_damage {
    struct stoa_damage damage;
    char file[64];
    char what[256];
    struct kept_damage *next;
};

struct kept_damages {
    struct kept_damage *first;
    struct kept_damage **last;
    size_t count;
};

static void keep_damage(void *context, const struct stoa_damage *damage)
{
    struct kept_damages *kept = context;
    if (kept->count == DAMAGES_KEPT_MAX) {
        return; /* the report still counts it */
    }
    struct kept_damage *one = memory_alloc_zeroed(1, sizeof(*one));
    if (one == NULL) {
        return; /* likewise */
    }
    one->damage = *damage;
    (void)snprintf(one->file, sizeof(one->file), "%s", damage->file);
    (void)snprintf(one->what, sizeof(one->what), "%s", damage->what);
    *kept->last = one;
    kept->last = &one->next;
    kept->count++;
}

static size_t text_size(const struct kept_damage *one)
{
    return strlen(one->file) + 1 + strlen(one->what) + 1;
}

static const char *move_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *to = memcpy(*at, text, size);
    *at += size;
    return to;
}

/* The array and the texts behind it, for OWN's caller. */
static void join(struct engine_request *own, const struct kept_damages *kept)
{
    size_t size = kept->count * sizeof(struct stoa_damage);
    for (const struct kept_damage *one = kept->first; one != NULL; one = one->next) {
        size += text_size(one);
    }
    own->damages = kept->count == 0 ? NULL : memory_alloc(size);
    if (own->damages == NULL) {
        return; /* the report counts them */
    }
    char *at = (char *)(own->damages + kept->count);
    for (const struct kept_damage *one = kept->first; one != NULL; one = one->next) {
        struct stoa_damage *damage = &own->damages[own->report_count++];
        *damage = one->damage;
        damage->file = move_text(&at, one->file);
        damage->what = move_text(&at, one->what);
    }
}

/* What the loop does in one piece asks this often (store_options.is_stopping). */
bool engine_serve_is_stopping(void *context)
{
    struct stoa *stoa = context;
    return atomic_load_explicit(&stoa->ending, memory_order_relaxed) ||
           atomic_load_explicit(&stoa->checking, memory_order_relaxed) == ENGINE_CHECK_CANCELED;
}

bool engine_serve_cancel(struct stoa *stoa, uint64_t correlation_id)
{
    uint64_t checking = correlation_id;
    return correlation_id != 0 && atomic_compare_exchange_strong_explicit(
                                      &stoa->checking, &checking, ENGINE_CHECK_CANCELED,
                                      memory_order_relaxed, memory_order_relaxed);
}

/* False: the handle will be closed, and OWN was told. */
static bool is_wanted(struct engine_request *own)
{
    bool ending = atomic_load_explicit(&own->stoa->ending, memory_order_relaxed);
    if (ending) {
        engine_deliver_served(own, error_set(&own->request.detail, STOA_ECANCELED, "stopped"));
    }
    return !ending;
}

static void begin_check(struct engine_request *own)
{
    atomic_store_explicit(&own->stoa->checking, own->entry.id, memory_order_relaxed);
}

/* What it came to, RESULT where it was not canceled before: who did that was told so. */
static int end_check(struct engine_request *own, int result)
{
    uint64_t was = atomic_exchange_explicit(&own->stoa->checking, 0, memory_order_relaxed);
    return was == ENGINE_CHECK_CANCELED
               ? error_set(&own->request.detail, STOA_ECANCELED, "canceled")
               : result;
}

static void forget_kept(struct kept_damages *kept)
{
    while (kept->first != NULL) {
        struct kept_damage *one = kept->first;
        kept->first = one->next;
        memory_free(one);
    }
}

static void tell_verified(struct stoa *stoa, const struct stoa_verification *newest)
{
    metrics_set(stoa->metrics, METRICS_VERIFY_ENDED, newest != NULL ? newest->ended : 0);
    metrics_set(stoa->metrics, METRICS_VERIFY_DAMAGES, newest != NULL ? newest->report.damages : 0);
}

int engine_serve_read_verified(struct stoa *stoa, struct error_detail *detail)
{
    int result = verify_notes_read(&stoa->verified, stoa->store, detail);
    tell_verified(stoa, verify_notes_newest(&stoa->verified));
    return result;
}

/* What came out stays what came out where no note of it can be kept; the report says why. */
static void note_verified(struct stoa *stoa, struct stoa_verification *verification,
                          struct stoa_verify_report *report)
{
    struct error_detail detail = {.code = 0};
    verification->ended = io_wall_ns(stoa->io) / second_ns;
    verification->report = *report;
    int result = verify_notes_keep(&stoa->verified, stoa->store, verification, &detail);
    report->noted = result == 0 ? 1 : result;
    tell_verified(stoa, verification);
}

static void serve_verify(struct engine_request *own)
{
    struct stoa *stoa = own->stoa;
    struct kept_damages kept = {.count = 0};
    struct stoa_verify_report *report = make_report(own, sizeof(*report));
    if (report == NULL || !is_wanted(own)) {
        return;
    }
    int result = 0;
    kept.last = &kept.first;
    while (store_pending(stoa->store) != 0 && result >= 0) { /* it wants the store quiet */
        result = io_run(stoa->io, LOOP_WAIT_NS);
    }
    if (result < 0) {
        engine_deliver_served(own, error_set(&own->request.detail, result, "verify"));
        return;
    }
    struct stoa_head head;
    store_get_head(stoa->store, &head);
    struct stoa_verification verification = {
        .deep = own->index != 0, .began = io_wall_ns(stoa->io) / second_ns, .height = head.height};
    begin_check(own);
    result = store_verify(stoa->store, own->index != 0, keep_damage, &kept, report,
                          &own->request.detail);
    result = end_check(own, result);
    if (result == 0 || result == STOA_ECORRUPT) { /* else what came out before still holds */
        verification.result = result;
        note_verified(stoa, &verification, report);
    }
    join(own, &kept);
    forget_kept(&kept);
    engine_deliver_served(own, result);
}

/* What the scrub under way, or the last one, found. */
static void serve_damages(struct engine_request *own)
{
    struct kept_damages kept = {.count = 0};
    struct stoa_job_info info;
    struct stoa_verify_report *report = make_report(own, sizeof(*report));
    if (report == NULL) {
        return;
    }
    const struct job_damages *damages = jobs_damages(own->stoa->jobs, STOA_JOB_SCRUB);
    kept.last = &kept.first;
    for (unsigned i = 0; i < damages->count; i++) {
        const struct job_damage *found = &damages->items[i];
        keep_damage(&kept, &(struct stoa_damage){.file = found->file,
                                                 .offset = found->offset,
                                                 .size = found->size,
                                                 .has_height = found->has_height ? 1 : 0,
                                                 .height = found->height,
                                                 .what = found->what});
    }
    jobs_info(own->stoa->jobs, STOA_JOB_SCRUB, &info);
    report->segments = engine_jobs_fact(&info, "segments");
    report->frames = engine_jobs_fact(&info, "frames");
    report->bytes = engine_jobs_fact(&info, "bytes");
    report->damages = damages->count + damages->more;
    join(own, &kept);
    forget_kept(&kept);
    engine_deliver_served(own, 0);
}

static void serve_analyze(struct engine_request *own)
{
    struct stoa_analysis *analysis = make_report(own, sizeof(*analysis));
    if (analysis != NULL && is_wanted(own)) {
        begin_check(own);
        int result = store_analyze(own->stoa->store, analysis, &own->request.detail);
        engine_deliver_served(own, end_check(own, result));
    }
}

/* ---- indexes made anew ---- */

void engine_serve_tell_rebuild(struct stoa *stoa)
{
    const struct store_rebuild *rebuild = stoa->rebuilding;
    if (rebuild != NULL) {
        metrics_set(stoa->metrics, METRICS_REBUILD_BLOCKS, rebuild->done_blocks);
        metrics_set(stoa->metrics, METRICS_REBUILD_TOTAL, rebuild->total_blocks);
    }
}

static void rebuild_done(struct store_rebuild *rebuild)
{
    struct engine_request *own = rebuild->context;
    struct stoa *stoa = own->stoa;
    if (stoa->rebuilding == rebuild) { /* else another is under way, and this one was refused */
        engine_serve_tell_rebuild(stoa);
        stoa->rebuilding = NULL;
    }
    own->request.result = rebuild->result;
    own->request.detail = rebuild->detail;
    engine_deliver_done(&own->request);
}

static void serve_rebuild(struct engine_request *own)
{
    static const enum store_index indexes[STOA_INDEXES] = {
        [STOA_INDEX_TRANSACTIONS] = STORE_INDEX_TRANSACTIONS,
        [STOA_INDEX_ADDRESSES] = STORE_INDEX_ADDRESSES,
        [STOA_INDEX_LOGS] = STORE_INDEX_LOGS,
        [STOA_INDEX_STATE] = STORE_INDEX_STATE,
        [STOA_INDEX_HEIGHTS] = STORE_INDEX_HEIGHTS,
    };
    own->rebuild =
        (struct store_rebuild){.index = indexes[own->index], .done = rebuild_done, .context = own};
    engine_deliver_is_in_store(own);
    if (own->stoa->rebuilding == NULL) {
        own->stoa->rebuilding = &own->rebuild;
    }
    store_rebuild_start(own->stoa->store, &own->rebuild);
}

engine_serve_type engine_serve_find(enum stoa_message message)
{
    switch ((int)message) {
    case STOA_MESSAGE_GET_HEAD:
        return serve_head;
    case STOA_MESSAGE_GET_STATS:
        return serve_stats;
    case STOA_MESSAGE_GET_CACHE_STATS:
        return serve_cache_stats;
    case STOA_MESSAGE_GET_HEALTH:
        return serve_health;
    case STOA_MESSAGE_GET_BRANCHES:
        return serve_branches;
    case STOA_MESSAGE_FLUSH_CACHE:
        return serve_flush;
    case STOA_MESSAGE_WARM_CACHE:
        return serve_warm;
    case STOA_MESSAGE_VERIFY:
        return serve_verify;
    case STOA_MESSAGE_ANALYZE_STORE:
        return serve_analyze;
    case STOA_MESSAGE_LIST_SNAPSHOTS:
        return engine_snapshots_serve;
    case STOA_MESSAGE_QUERY_ARCHIVE:
        return engine_archive_serve;
    case STOA_MESSAGE_QUERY_STORAGE:
        return engine_storage_serve;
    case STOA_MESSAGE_LIST_DAMAGES:
        return serve_damages;
    case STOA_MESSAGE_REBUILD_INDEX:
        return serve_rebuild;
    default:
        return engine_jobs_serve(message);
    }
}

int engine_serve_fill(struct engine_request *own, const void *argument)
{
    own->owned = true;
    if (engine_jobs_serve(own->what) != NULL) {
        return engine_jobs_fill(own, argument);
    }
    if (own->what == STOA_MESSAGE_VERIFY) {
        own->index = argument != NULL && *(const int *)argument != 0; /* deep */
        return 0;
    }
    if (own->what == STOA_MESSAGE_QUERY_ARCHIVE) {
        return engine_archive_fill(own, argument);
    }
    if (own->what != STOA_MESSAGE_REBUILD_INDEX) {
        return 0; /* there is none */
    }
    if (argument == NULL || stoa_index_name(*(const int *)argument) == NULL) {
        return STOA_EINVAL;
    }
    own->index = *(const int *)argument;
    own->rebuild =
        (struct store_rebuild){.done_blocks = 0}; /* who waits may look before it begins */
    return 0;
}

void engine_serve_forget(struct engine_request *own)
{
    memory_free(own->report);
    memory_free(own->damages);
    own->report = NULL;
    own->damages = NULL;
}

bool engine_serve_is_last(const struct engine_request *own)
{
    return own->serve == serve_verify || own->serve == serve_analyze;
}

bool engine_serve_stop(struct engine_request *own)
{
    if (own->serve != serve_rebuild) {
        return engine_jobs_stop(own);
    }
    store_rebuild_stop(own->stoa->store);
    return true;
}
