/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making runs: the bulk load behind runs_load, and merges. A merge takes all runs of one level.
 * Levels never fall from the newest run to the oldest, so these stand together in the list and the
 * new run takes their place, one level up. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

static_assert(RUNS_VALUE_SIZE_MAX + RUN_PAGE_OVERHEAD_MAX <= KV_VALUE_SIZE_MAX, "a page with one");

enum { STOP_EVERY = 4096, FILTER_ROUND = 16 * FILTER_BLOCK_SIZE, LEVEL_MAX = UINT8_MAX };

int runs_maker_open(struct runs_maker *maker, struct runs *runs, struct kv_session *session,
                    uint64_t key_bound, struct error_detail *detail)
{
    maker->key_bound = key_bound;
    maker->filter_count = 0;
    run_page_maker_init(&maker->page);
    maker->run = runs_run_create(runs, runs_take_number(runs));
    uint64_t size = (filter_size(key_bound) + FILTER_ROUND - 1) / FILTER_ROUND * FILTER_ROUND;
    if (maker->run == NULL || filter_init(&maker->run->filter, size) != 0) {
        runs_run_destroy(maker->run);
        return error_set(detail, STOA_ENOMEM, "make run of %s: out of memory", runs->name);
    }
    int result = kv_bulk_open(session, maker->run->table, KV_ORDERED, &maker->bulk, detail);
    if (result != 0) {
        runs_run_destroy(maker->run);
    }
    return result;
}

/* Put the page that is full, or the last one, into the table. */
static int put_page(struct runs_maker *maker, struct error_detail *detail)
{
    struct bytes key;
    struct bytes page;
    if (run_page_maker_take(&maker->page, &key, &page) != 0) {
        return error_set(detail, STOA_ENOMEM, "make %s: out of memory", maker->run->table);
    }
    return page.size == 0 ? 0 : kv_bulk_put(maker->bulk, key, page, detail);
}

/* A filter is more than the processor's caches hold: its places are fetched some keys ahead. */
static void add_hash(struct runs_maker *maker, uint64_t hash)
{
    uint64_t *place = &maker->ahead[maker->filter_count % RUNS_FILTER_AHEAD];
    if (maker->filter_count >= RUNS_FILTER_AHEAD) {
        filter_add(&maker->run->filter, *place);
    }
    *place = hash;
    filter_prefetch(&maker->run->filter, hash);
    maker->filter_count++;
}

/* What is on its way into the filter comes in. */
static void finish_filter(struct runs_maker *maker)
{
    uint64_t count = maker->filter_count;
    for (uint64_t i = 0; i < count && i < RUNS_FILTER_AHEAD; i++) {
        filter_add(&maker->run->filter, maker->ahead[i]);
    }
}

/* Keys come in order, so those that are the same to the filter come together. */
static void add_to_filter(struct runs_maker *maker, struct bytes key)
{
    if (maker->filter_count == 0 ||
        !bytes_equal(key, bytes_of(maker->filter_key, maker->filter_size))) {
        add_hash(maker, filter_hash(key));
        memcpy(maker->filter_key, key.data, key.size);
        maker->filter_size = key.size;
    }
}

int runs_maker_put(struct runs_maker *maker, const struct runs_entry *entry,
                   struct error_detail *detail)
{
    struct run *run = maker->run;
    enum run_tag tag = entry->removed  ? RUN_TAG_REMOVED
                       : entry->absent ? RUN_TAG_ABSENT
                                       : RUN_TAG_VALUE;
    struct bytes value = tag == RUN_TAG_VALUE ? entry->value : bytes_of(NULL, 0);
    int result = 0;
    if (entry->key.size == 0 || entry->key.size > KV_KEY_SIZE_MAX ||
        value.size > RUNS_VALUE_SIZE_MAX) {
        return error_set(detail, entry->key.size == 0 ? STOA_EINVAL : STOA_ETOOBIG,
                         "make %s: a key of %zu, a value of %zu bytes", run->table, entry->key.size,
                         value.size);
    }
    if (!run_page_maker_has_room(&maker->page, entry->key, value)) {
        result = put_page(maker, detail);
    }
    if (result != 0) {
        return result;
    }
    if (run_page_maker_put(&maker->page, entry->key, value, tag) != 0) {
        return error_set(detail, STOA_ENOMEM, "make %s: out of memory", run->table);
    }
    add_to_filter(maker, runs_filter_key(run->filter_size, entry->key));
    if (run->entry_count == 0) {
        memcpy(run->min, entry->key.data, entry->key.size);
        run->min_size = (uint16_t)entry->key.size;
    }
    memcpy(run->max, entry->key.data, entry->key.size);
    run->max_size = (uint16_t)entry->key.size;
    run->entry_count++;
    ensure(run->entry_count <= maker->key_bound);
    return 0;
}

int runs_maker_close(struct runs_maker *maker, struct runs *runs, struct kv_session *session,
                     int failure, struct run **out_run, struct error_detail *detail)
{
    struct run *run = maker->run;
    failure = failure != 0 ? failure : put_page(maker, detail);
    int closed = kv_bulk_close(maker->bulk, failure == 0 ? detail : NULL);
    int result = failure != 0 ? failure : closed;
    run_page_maker_deinit(&maker->page);
    bool keep = result == 0 && run->entry_count != 0;
    if (keep) {
        finish_filter(maker);
        while (run->filter.block_count % 2 == 0 &&
               run->filter.block_count / 2 * FILTER_BLOCK_SIZE >=
                   filter_size(maker->filter_count)) {
            filter_fold(&run->filter, 2);
        }
        result = runs_list_write_filter(runs, session, run, detail);
        keep = result == 0;
    }
    if (keep) {
        *out_run = run;
        return 0;
    }
    if (closed == 0) {
        runs_retire(runs, run);
        runs_drop_retired(runs, session);
    } else {
        runs_run_destroy(run); /* its table went with the bulk load */
    }
    *out_run = NULL;
    return result;
}

/* Where in VERSION the lowest level that is due begins, and how many runs it has. */
static bool find_due(const struct runs_version *version, size_t *out_first, size_t *out_count)
{
    for (size_t first = 0; first < version->count;) {
        size_t end = first + 1;
        while (end < version->count && version->list[end]->level == version->list[first]->level) {
            end++;
        }
        if (end - first >= RUNS_FANOUT && version->list[first]->level < LEVEL_MAX) {
            *out_first = first;
            *out_count = end - first;
            return true;
        }
        first = end;
    }
    return false;
}

bool runs_merge_due(const struct runs *runs)
{
    size_t first;
    size_t count;
    int result = pthread_mutex_lock(runs->lock);
    ensure(result == 0);
    bool due = find_due(runs->current, &first, &count);
    result = pthread_mutex_unlock(runs->lock);
    ensure(result == 0);
    return due;
}

/* Whether what came on top of the oldest run is as much as that. Then pruning pays: each entry is
 * moved a bounded number of times on the average. */
static bool has_doubled(const struct runs_version *version)
{
    uint64_t newer = 0;
    for (size_t i = 0; i + 1 < version->count; i++) {
        newer += version->list[i]->entry_count;
    }
    return version->count > 2 && newer >= version->list[version->count - 1]->entry_count;
}

bool runs_merge_versions_due(const struct runs *runs, uint64_t floor)
{
    size_t first;
    size_t count;
    int result = pthread_mutex_lock(runs->lock);
    ensure(result == 0);
    bool due = find_due(runs->current, &first, &count) ||
               (floor > runs->floor && has_doubled(runs->current));
    result = pthread_mutex_unlock(runs->lock);
    ensure(result == 0);
    return due;
}

enum extent {
    DUE,     /* what the levels, or the floor, ask for */
    LAGGING, /* all runs, where the floor is above what has been used; else nothing */
    ALL,     /* all runs, where there is more than one */
};

struct merge {
    struct runs *runs;
    struct kv_session *session;
    const struct runs_version *version;
    size_t first;
    size_t count;
    bool (*stop)(void *context);
    void *context;
    uint64_t floor; /* of versions; 0: all are kept */
    enum extent extent;
    uint64_t (*height_of)(struct bytes key); /* not versions: the floor is of this; or NULL */
    uint8_t level;                           /* of what comes out */
};

/* The versions of one base, the highest first. */
struct versions {
    uint64_t floor;
    bool settled; /* one at or below the floor has been seen: older ones go */
    bool last;    /* there is no older run */
    size_t base_size;
    uint8_t base[KV_KEY_SIZE_MAX];
};

/* Whether ENTRY is not needed any more. */
static bool is_outdated(struct versions *versions, const struct runs_entry *entry)
{
    ensure(entry->key.size > RUNS_VERSION_SIZE);
    size_t size = entry->key.size - RUNS_VERSION_SIZE;
    if (size != versions->base_size || memcmp(versions->base, entry->key.data, size) != 0) {
        memcpy(versions->base, entry->key.data, size);
        versions->base_size = size;
        versions->settled = false;
    }
    if (~bytes_load_be64(entry->key.data + size) > versions->floor) {
        return false;
    }
    if (versions->settled) {
        return true;
    }
    versions->settled = !entry->removed;
    return versions->settled && entry->absent && versions->last;
}

static int copy_entries(const struct merge *merge, struct runs_maker *maker,
                        struct runs_iterator *iterator, struct error_detail *detail)
{
    bool last = merge->first + merge->count == merge->version->count;
    struct versions versions = {.floor = merge->floor, .last = last};
    struct runs_entry entry;
    uint64_t seen = 0;
    int result;
    while ((result = runs_iterator_next(iterator, &entry, detail)) == 0) {
        if (seen++ % STOP_EVERY == 0 && merge->stop != NULL && merge->stop(merge->context)) {
            return error_set(detail, STOA_ECANCELED, "merge runs of %s: stopped",
                             merge->runs->name);
        }
        bool outdated = merge->height_of != NULL
                            ? merge->height_of(entry.key) < merge->floor
                            : merge->floor != 0 && is_outdated(&versions, &entry);
        if (!outdated && !(entry.removed && last)) {
            result = runs_maker_put(maker, &entry, detail);
            if (result != 0) {
                return result;
            }
        }
    }
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* The merged run, NULL where only tombstones were left. */
static int make_merged(const struct merge *merge, struct run **out_run, struct error_detail *detail)
{
    struct run *const *list = merge->version->list + merge->first;
    uint64_t bound = 0;
    for (size_t i = 0; i < merge->count; i++) {
        bound += list[i]->entry_count;
    }
    struct runs_iterator *iterator;
    int result = runs_iterator_create(list, merge->count, merge->session, bytes_of(NULL, 0),
                                      &iterator, detail);
    if (result != 0) {
        return result;
    }
    struct runs_maker maker;
    result = runs_maker_open(&maker, merge->runs, merge->session, bound, detail);
    if (result != 0) {
        runs_iterator_destroy(iterator);
        return result;
    }
    result = copy_entries(merge, &maker, iterator, detail);
    runs_iterator_destroy(iterator);
    result = runs_maker_close(&maker, merge->runs, merge->session, result, out_run, detail);
    if (result == 0 && *out_run != NULL) {
        (*out_run)->level = merge->level;
    }
    return result;
}

static int commit_list(const struct merge *merge, const struct runs_version *version,
                       struct error_detail *detail)
{
    int result = kv_begin(merge->session, detail);
    if (result != 0) {
        return result;
    }
    result = runs_list_write(merge->runs, merge->session, version, detail);
    if (result == 0 && merge->floor > merge->runs->floor) { /* changed by merging alone */
        result = runs_list_write_floor(merge->runs, merge->session, merge->floor, detail);
    }
    if (result == 0) {
        return kv_commit(merge->session, detail);
    }
    kv_rollback(merge->session);
    return result;
}

/* The list as it is now, with RUN (or nothing) where the merged ones stand: runs may have been
 * loaded in front of them meanwhile. */
static struct runs_version *splice(const struct merge *merge, struct run *run)
{
    const struct runs_version *now = merge->runs->current; /* changing is held */
    struct run *const *merged = merge->version->list + merge->first;
    size_t first = 0;
    while (first < now->count && now->list[first] != merged[0]) {
        first++;
    }
    ensure(first + merge->count <= now->count);
    struct runs_version *version = runs_version_create(now->count - merge->count + (run != NULL));
    if (version == NULL) {
        return NULL;
    }
    size_t place = 0;
    for (size_t i = 0; i < now->count; i++) {
        if (i == first && run != NULL) {
            version->list[place++] = run;
        }
        if (i < first || i >= first + merge->count) {
            version->list[place++] = now->list[i];
        } else {
            ensure(now->list[i] == merged[i - first]);
        }
    }
    ensure(place == version->count);
    return version;
}

/* Put RUN (or nothing) where the merged ones stand, in the store and for readers. */
static int replace_merged(const struct merge *merge, struct run *run, struct error_detail *detail)
{
    runs_change_begin(merge->runs);
    struct runs_version *version = splice(merge, run);
    int result = version == NULL ? error_set(detail, STOA_ENOMEM, "merge runs of %s: out of memory",
                                             merge->runs->name)
                                 : commit_list(merge, version, detail);
    if (result == 0) {
        runs_version_install(merge->runs, version);
    } else {
        memory_free(version);
    }
    runs_change_end(merge->runs);
    return result;
}

static void note_merge(struct runs *runs, uint64_t floor)
{
    int locked = pthread_mutex_lock(runs->lock);
    ensure(locked == 0);
    runs->merge_count++;
    runs->floor = floor > runs->floor ? floor : runs->floor;
    locked = pthread_mutex_unlock(runs->lock);
    ensure(locked == 0);
}

/* Which runs are to be merged. False: none. Versions go only together with all that was loaded
 * later: a version that seems to be the one to keep may be withdrawn there. */
static bool find_work(struct merge *merge)
{
    const struct runs_version *version = merge->version;
    if (merge->extent == ALL) {
        uint8_t first = version->count > 1 ? version->list[0]->level : 0;
        uint8_t last = version->count > 1 ? version->list[version->count - 1]->level : 0;
        merge->first = 0;
        merge->count = version->count;
        merge->level = first == last && last < LEVEL_MAX ? (uint8_t)(last + 1) : last;
        return version->count > 1;
    }
    bool rises = merge->floor > merge->runs->floor;
    if (rises && version->count != 0 && (merge->extent == LAGGING || has_doubled(version))) {
        merge->first = 0;
        merge->count = version->count;
        merge->level = version->list[version->count - 1]->level;
        return true;
    }
    if (merge->extent == LAGGING || !find_due(version, &merge->first, &merge->count)) {
        return false;
    }
    merge->level = (uint8_t)(version->list[merge->first]->level + 1);
    if (merge->floor != 0) {
        merge->count += merge->first;
        merge->first = 0;
    }
    return true;
}

static int merge_now(struct merge merge, struct error_detail *detail)
{
    struct runs *runs = merge.runs;
    struct kv_session *session = merge.session;
    runs_drop_retired(runs, session);
    struct runs_version *version = runs_acquire(runs);
    merge.version = version;
    int result = 0;
    if (find_work(&merge)) {
        struct run *run = NULL;
        result = make_merged(&merge, &run, detail);
        if (result == 0) {
            result = replace_merged(&merge, run, detail);
            if (result != 0 && run != NULL) {
                runs_retire(runs, run);
            } else if (result == 0) {
                note_merge(runs, merge.floor);
            }
        }
    }
    runs_release(runs, version);
    runs_drop_retired(runs, session);
    return result;
}

static int merge_versions(struct runs *runs, struct kv_session *session, uint64_t floor,
                          enum extent extent, const struct runs_stop *stop,
                          struct error_detail *detail)
{
    return merge_now((struct merge){.runs = runs,
                                    .session = session,
                                    .stop = stop->stop,
                                    .context = stop->context,
                                    .floor = floor,
                                    .extent = extent},
                     detail);
}

int runs_prune_heights(struct runs *runs, struct kv_session *session, uint64_t floor,
                       uint64_t (*height_of)(struct bytes key), const struct runs_stop *stop,
                       struct error_detail *detail)
{
    return merge_now((struct merge){.runs = runs,
                                    .session = session,
                                    .stop = stop->stop,
                                    .context = stop->context,
                                    .floor = floor,
                                    .extent = LAGGING,
                                    .height_of = height_of},
                     detail);
}

int runs_merge_versions(struct runs *runs, struct kv_session *session, uint64_t floor,
                        const struct runs_stop *stop, struct error_detail *detail)
{
    return merge_versions(runs, session, floor, DUE, stop, detail);
}

int runs_prune_versions(struct runs *runs, struct kv_session *session, uint64_t floor,
                        const struct runs_stop *stop, struct error_detail *detail)
{
    return merge_versions(runs, session, floor, LAGGING, stop, detail);
}

int runs_merge_all(struct runs *runs, struct kv_session *session, uint64_t floor,
                   const struct runs_stop *stop, struct error_detail *detail)
{
    return merge_versions(runs, session, floor, ALL, stop, detail);
}

int runs_merge(struct runs *runs, struct kv_session *session, bool (*stop)(void *context),
               void *context, struct error_detail *detail)
{
    return runs_merge_versions(runs, session, 0, &(struct runs_stop){stop, context}, detail);
}
