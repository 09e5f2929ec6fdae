/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/storage_survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "ledger/ledger.h"
#include "ledger/segment.h"
#include "maint/job_archive.h"
#include "maint/job_compact.h"
#include "maint/job_prune.h"
#include "maint/snapshot.h"
#include "store/store_folder.h"

enum { PERCENT = 100 };

/* What the worker goes on with. */
struct surveying {
    struct storage_survey *survey;
    const struct store_work *work;
    struct store *store;
    struct kv_session *session;
    struct io *io;
    struct error_detail *detail;
    size_t run_count;                 /* of the tables, those of runs: they are in front, by name */
    struct stoa_storage_index *index; /* that is being looked at */
    int result;
};

const char *stoa_segment_form_name(int form)
{
    static const char *const names[] = {
        [STOA_SEGMENT_LIVE] = "live",
        [STOA_SEGMENT_THINNED] = "thinned",
        [STOA_SEGMENT_PACKED] = "packed",
        [STOA_SEGMENT_SPARE] = "spare",
    };
    return form < 0 || form > STOA_SEGMENT_SPARE ? NULL : names[form];
}

/* ---- on the loop ---- */

static struct stoa_storage_segment segment_of(const struct ledger_survey *found)
{
    return (struct stoa_storage_segment){
        .number = found->number,
        .form = found->spare    ? STOA_SEGMENT_SPARE
                : found->packed ? STOA_SEGMENT_PACKED
                : found->thin   ? STOA_SEGMENT_THINNED
                                : STOA_SEGMENT_LIVE,
        .damaged = found->damaged,
        .from = found->lowest,
        .to = found->highest,
        .blocks = found->blocks,
        .frames = found->frames,
        .bytes = found->bytes,
        .dead_bytes = found->dead_bytes,
    };
}

static int take_unsealed(struct storage_survey *survey, const struct store *store)
{
    struct ledger_stats stats;
    struct ledger_survey found;
    int result = 0;
    ledger_stats(store_ledger(store), &stats);
    survey->sealed = stats.tail_segment != 0 ? stats.tail_segment - 1 : 0;
    survey->thin_last = store_thin_last(store);
    for (uint32_t number = survey->sealed + 1;
         result == 0 && ledger_survey_unsealed(store_ledger(store), number, &found); number++) {
        struct stoa_storage_segment segment = segment_of(&found);
        result = buffer_append(&survey->unsealed, &segment, sizeof(segment));
    }
    return result;
}

/* The number of the segment in a file's name, which may have a folder before it; 0: none. */
static uint64_t number_of(const char *file)
{
    const char *name = strrchr(file, '/');
    return strtoull(name != NULL ? name + 1 : file, NULL, 10);
}

static int take_damages(struct storage_survey *survey, const struct jobs *jobs)
{
    const struct job_damages *damages = jobs_damages(jobs, STOA_JOB_SCRUB);
    int result = 0;
    survey->totals.damages = damages->count + damages->more;
    for (unsigned i = 0; result == 0 && i < damages->count; i++) {
        uint64_t number = number_of(damages->items[i].file);
        result = buffer_append(&survey->damaged, &number, sizeof(number));
    }
    return result;
}

static int take_verified(struct storage_survey *survey, const struct verify_notes *notes)
{
    const struct stoa_verification *newest = verify_notes_newest(notes);
    int result = 0;
    if (newest != NULL) {
        survey->newest = *newest;
        survey->facts.verified = &survey->newest;
    }
    for (unsigned i = 0; result == 0 && i < VERIFY_NOTES; i++) {
        if (notes->kept[i].ended != 0) {
            result = buffer_append(&survey->verified, &notes->kept[i], sizeof(notes->kept[i]));
        }
    }
    return result;
}

int storage_survey_begin(struct storage_survey *survey, struct jobs *jobs, struct store *store,
                         const struct verify_notes *notes, const struct stoa_maintenance *settings)
{
    struct stoa_head head;
    buffer_init(&survey->tables);
    buffer_init(&survey->indexes);
    buffer_init(&survey->segments);
    buffer_init(&survey->advice);
    buffer_init(&survey->verified);
    buffer_init(&survey->unsealed);
    buffer_init(&survey->damaged);
    store_get_head(store, &head);
    survey->kept = store_kept(store);
    survey->archive_to = settings->archive_keep == 0 || head.has_finalized == 0
                             ? 0
                             : job_archive_limit(&head, settings->archive_keep);
    survey->totals.replay_bytes = store_replay_bytes(store);
    for (int i = 0; i < STOA_JOBS; i++) {
        jobs_info(jobs, (enum stoa_job)i, &survey->facts.jobs[i]);
    }
    int result = take_damages(survey, jobs);
    if (result == 0) {
        result = take_verified(survey, notes);
    }
    return result == 0 ? take_unsealed(survey, store) : result;
}

void storage_survey_deinit(struct storage_survey *survey)
{
    buffer_deinit(&survey->tables);
    buffer_deinit(&survey->indexes);
    buffer_deinit(&survey->segments);
    buffer_deinit(&survey->advice);
    buffer_deinit(&survey->verified);
    buffer_deinit(&survey->unsealed);
    buffer_deinit(&survey->damaged);
}

/* ---- on a worker: tables ---- */

static bool is_stopping(const struct surveying *own)
{
    return own->survey->stop != NULL && own->survey->stop(own->survey->context);
}

static int stopped(const struct surveying *own)
{
    return error_set(own->detail, STOA_ECANCELED, "look at what is stored: stopped");
}

static void copy_name(char *out, size_t size, const char *name)
{
    int length = snprintf(out, size, "%s", name);
    ensure(length > 0 && (size_t)length < size);
}

static int add_table(struct surveying *own, struct stoa_storage_table *table,
                     const struct kv_table_size *size)
{
    struct storage_survey *survey = own->survey;
    table->bytes = size->file_bytes;
    table->free_bytes = size->free_bytes;
    survey->totals.table_bytes += size->file_bytes;
    survey->totals.table_free_bytes += size->free_bytes;
    survey->facts.compactable += job_compact_is_worth(size) ? size->free_bytes : 0;
    return buffer_append(&survey->tables, table, sizeof(*table));
}

/* It is in a list that is held, so its table has to be there. */
static int note_run(void *context, const struct runs_run *run)
{
    struct surveying *own = context;
    struct stoa_storage_index *index = own->index;
    struct stoa_storage_table table = {.level = (int)run->level, .entries = run->entries};
    struct kv_table_size size;
    if (is_stopping(own)) {
        return stopped(own);
    }
    index->runs++;
    index->entries += run->entries;
    int result = kv_table_size(own->session, run->table, &size, own->detail);
    if (result == STOA_EINVAL) {
        index->missing++;
        return 0;
    }
    if (result != 0) {
        return result;
    }
    index->bytes += size.file_bytes;
    copy_name(table.name, sizeof(table.name), run->table);
    copy_name(table.index, sizeof(table.index), index->name);
    return add_table(own, &table, &size);
}

static int note_index(void *context, struct runs *runs)
{
    struct surveying *own = context;
    struct stoa_storage_index index = {.name = ""};
    copy_name(index.name, sizeof(index.name), runs_name(runs));
    own->index = &index;
    int result = runs_each(runs, note_run, own);
    own->index = NULL;
    own->survey->totals.missing += index.missing;
    return result == 0 ? buffer_append(&own->survey->indexes, &index, sizeof(index)) : result;
}

static int compare_tables(const void *a, const void *b)
{
    const struct stoa_storage_table *left = a;
    const struct stoa_storage_table *right = b;
    return strcmp(left->name, right->name);
}

static void sort_tables(struct buffer *tables, size_t count)
{
    if (count > 1) {
        qsort(tables->data, count, sizeof(struct stoa_storage_table), compare_tables);
    }
}

static void note_table(void *context, const char *name)
{
    struct surveying *own = context;
    struct stoa_storage_table table = {.level = -1};
    struct kv_table_size size;
    copy_name(table.name, sizeof(table.name), name);
    bool known = own->run_count != 0 && bsearch(&table, own->survey->tables.data, own->run_count,
                                                sizeof(table), compare_tables) != NULL;
    if (known || own->result != 0) {
        return;
    }
    int result = kv_table_size(own->session, name, &size, own->detail);
    if (result != STOA_EINVAL) { /* else it has gone */
        own->result = result != 0 ? result : add_table(own, &table, &size);
    }
}

/* Runs of the indexes first: those that are named by no list are used no more, or not yet. */
static int look_at_tables(struct surveying *own)
{
    struct buffer *tables = &own->survey->tables;
    int result = store_each_index(own->work->store, note_index, own);
    if (result != 0) {
        return result;
    }
    own->run_count = tables->size / sizeof(struct stoa_storage_table);
    sort_tables(tables, own->run_count);
    result = kv_table_list(own->session, note_table, own, own->detail);
    sort_tables(tables, tables->size / sizeof(struct stoa_storage_table));
    return result == 0 ? own->result : result;
}

/* ---- segments ---- */

static uint64_t gain_of(void *context, const struct ledger_frame *frame)
{
    const struct storage_survey *survey = context;
    return store_thin_gain(&survey->kept, frame);
}

static bool is_known_damaged(const struct storage_survey *survey, uint64_t number)
{
    const uint64_t *numbers = (const void *)survey->damaged.data;
    for (size_t i = 0; i < survey->damaged.size / sizeof(*numbers); i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

static void judge(struct storage_survey *survey, const struct stoa_storage_segment *segment)
{
    bool open = segment->number > survey->thin_last;
    bool packed = segment->form == STOA_SEGMENT_PACKED;
    if (segment->damaged != 0 || open) {
        return; /* it stays as it is */
    }
    survey->facts.prunable +=
        job_prune_is_worth(segment->dead_bytes, segment->bytes) ? segment->dead_bytes : 0;
    survey->facts.archivable +=
        !packed && segment->to <= survey->archive_to && survey->archive_to != 0;
}

static int add_segment(struct storage_survey *survey, struct stoa_storage_segment *segment)
{
    struct stoa_storage *totals = &survey->totals;
    bool packed = segment->form == STOA_SEGMENT_PACKED;
    segment->damaged = segment->damaged != 0 || is_known_damaged(survey, segment->number);
    totals->segments++;
    totals->damaged += segment->damaged != 0;
    totals->archive_bytes += packed ? segment->bytes : 0;
    totals->ledger_bytes += packed ? 0 : segment->bytes;
    totals->spare_bytes += segment->form == STOA_SEGMENT_SPARE ? segment->bytes : 0;
    totals->dead_bytes += segment->dead_bytes;
    judge(survey, segment);
    return totals->segments <= STOA_STORAGE_SEGMENTS_MAX
               ? buffer_append(&survey->segments, segment, sizeof(*segment))
               : 0;
}

static int look_at_sealed(struct surveying *own, struct ledger *ledger)
{
    struct storage_survey *survey = own->survey;
    struct ledger_survey_gain gain = {gain_of, survey};
    int result = 0;
    for (uint32_t number = 1; number <= survey->sealed && result == 0; number++) {
        struct ledger_survey found;
        if (is_stopping(own)) {
            return stopped(own);
        }
        result = ledger_survey(ledger, number, &gain, &found, own->detail);
        if (result == 0) {
            struct stoa_storage_segment segment = segment_of(&found);
            result = add_segment(survey, &segment);
        }
    }
    return result;
}

static int look_at_segments(struct surveying *own)
{
    struct storage_survey *survey = own->survey;
    struct stoa_storage_segment *unsealed = (void *)survey->unsealed.data;
    char path[STORE_PATH_SIZE_MAX];
    char archive[STORE_PATH_SIZE_MAX];
    const char *directory = store_directory(own->store);
    struct ledger *ledger = NULL;
    int result = store_folder_path(path, directory, STORE_FOLDER_LEDGER, own->detail);
    if (result == 0) {
        result = store_folder_path(archive, directory, STORE_FOLDER_ARCHIVE, own->detail);
    }
    if (result == 0) {
        struct ledger_options options = {
            .io = own->io, .path = path, .archive = archive, .store_id = store_get_id(own->store)};
        result = ledger_open_sealed(&options, survey->sealed, &ledger, own->detail);
    }
    if (result == 0) {
        result = look_at_sealed(own, ledger);
        ledger_abandon(ledger);
    }
    for (size_t i = 0; result == 0 && i < survey->unsealed.size / sizeof(*unsealed); i++) {
        result = add_segment(survey, &unsealed[i]);
    }
    return result;
}

/* ---- the rest ---- */

static int note_snapshot(void *context, const char *name, const struct manifest *manifest,
                         uint64_t own_bytes, const struct error_detail *why)
{
    struct surveying *own = context;
    (void)name;
    (void)manifest;
    (void)why; /* stoa_list_snapshots tells */
    own->survey->totals.snapshots++;
    own->survey->totals.snapshot_bytes += own_bytes;
    return is_stopping(own) ? stopped(own) : 0;
}

static int advise(struct surveying *own)
{
    struct storage_survey *survey = own->survey;
    struct stoa_storage *totals = &survey->totals;
    struct advice_facts *facts = &survey->facts;
    totals->fragmentation =
        totals->table_bytes == 0 ? 0 : totals->table_free_bytes * PERCENT / totals->table_bytes;
    facts->storage = totals;
    facts->sealed = survey->sealed;
    facts->now = io_wall_ns(own->io) / 1000000000u;
    return advice_find(facts, &survey->advice);
}

int storage_survey_run(struct storage_survey *survey, struct store_work *work, struct io *io,
                       struct kv_session *session)
{
    struct surveying own = {.survey = survey,
                            .work = work,
                            .store = work->store,
                            .session = session,
                            .io = io,
                            .detail = &work->detail};
    int result = look_at_tables(&own);
    if (result == 0) {
        result = look_at_segments(&own);
    }
    if (result == 0) {
        result = snapshot_list(io, store_directory(own.store), note_snapshot, &own, &work->detail);
    }
    if (result == 0) {
        result = advise(&own);
    }
    if (result == STOA_ENOMEM) {
        return error_set(&work->detail, result, "look at what is stored: no memory");
    }
    return result;
}
