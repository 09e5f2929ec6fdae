/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runs_private.h: what the files of runs.h share.
 *
 * Stored: in table "runs" one record an index, its list of runs; in table "filters" each run's
 * filter in chunks; each run in table run-INDEX-NUMBER, in pages (run_page.h). A run that no list
 * names, and its chunks, are leftovers and go at open. Where versions were dropped, INDEX-floor in
 * table "runs" says below which height. What is made anew beside an index has a list of its own
 * (INDEX-new), and tables and filters named and numbered as the index's own are. */
#ifndef RUNS_PRIVATE_H
#define RUNS_PRIVATE_H

#include <pthread.h>

#include "base/buffer.h"
#include "tables/filter.h"
#include "tables/run_reader.h"
#include "tables/runs.h"

#define RUNS_LIST_TABLE "runs"
#define RUNS_FILTER_TABLE "filters"

struct run {
    uint32_t references; /* versions, and the writer while it is not published; under runs.lock */
    uint8_t level;
    uint64_t number;
    uint64_t entry_count;
    struct filter filter;
    size_t filter_size; /* bytes of a key that the filter holds; 0: all */
    uint16_t min_size;
    uint16_t max_size;
    uint8_t min[KV_KEY_SIZE_MAX];
    uint8_t max[KV_KEY_SIZE_MAX];
    char table[KV_NAME_SIZE_MAX + 1];
    struct run *next; /* among the retired */
};

struct runs_version {
    uint32_t references; /* under runs.lock */
    size_t count;
    struct run *list[]; /* newest first, so levels never fall */
};

struct runs {
    char name[RUNS_NAME_SIZE_MAX + 1];
    char list_name[RUNS_NAME_SIZE_MAX + 5]; /* in the table of lists: its name, or with "-new" */
    struct runs *base;                      /* of what is made anew: the index it is made for */
    struct runs *anew;                      /* what is made in its place, or NULL */
    pthread_mutex_t *changing;              /* the list, stored and current; taken before lock */
    pthread_mutex_t *lock; /* current, references, retired, merge_count, next_number, floor */
    size_t filter_size;
    struct runs_version *current;
    struct run *retired; /* in no version: to be dropped by the writer */
    uint64_t merge_count;
    uint64_t next_number;
    uint64_t floor;                /* of runs_merge_versions, as stored; under lock */
    struct run *loaded;            /* by runs_load, not yet published; the loading thread's */
    struct runs_version *recorded; /* what runs_publish makes current; changing is held */
};

/* Where runs are made (runs_load and runs_merge): a bulk load that gathers what a run knows of
 * itself. */
enum { RUNS_FILTER_AHEAD = 16 };
struct runs_maker {
    struct run *run;
    struct kv_bulk *bulk;
    struct run_page_maker page;
    uint64_t key_bound;    /* that the filter was made for */
    uint64_t filter_count; /* of keys that the filter holds: of those that begin alike, one */
    uint64_t ahead[RUNS_FILTER_AHEAD]; /* hashes of the last ones, on their way into it */
    size_t filter_size;                /* of the last one */
    uint8_t filter_key[KV_KEY_SIZE_MAX];
};

/* What of KEY a run's filter holds. */
static inline struct bytes runs_filter_key(size_t filter_size, struct bytes key)
{
    return filter_size != 0 && filter_size < key.size ? bytes_of(key.data, filter_size) : key;
}

/* False: RUN has no key that begins with PREFIX, whose runs_prefix_hash is HASH. */
bool runs_may_hold(const struct run *run, struct bytes prefix, uint64_t hash);
uint64_t runs_prefix_hash(const struct runs_version *version, struct bytes prefix);

/* Take and let go runs->changing. */
void runs_change_begin(struct runs *runs);
void runs_change_end(struct runs *runs);

/* A number no run of the index has had. */
uint64_t runs_take_number(struct runs *runs);

/* For at most KEY_BOUND keys. */
int runs_maker_open(struct runs_maker *maker, struct runs *runs, struct kv_session *session,
                    uint64_t key_bound, struct error_detail *detail);
int runs_maker_put(struct runs_maker *maker, const struct runs_entry *entry,
                   struct error_detail *detail);

/* Finish, keep the filter in its table, and hand over the run; where FAILURE is not 0, or nothing
 * was put (OUT_RUN is then NULL), nothing is left. Returns FAILURE or its own. */
int runs_maker_close(struct runs_maker *maker, struct runs *runs, struct kv_session *session,
                     int failure, struct run **out_run, struct error_detail *detail);

/* An index without a list yet. NULL: no memory. */
struct runs *runs_create(const char *name, size_t filter_size);

struct run *runs_run_create(const struct runs *runs, uint64_t number);
void runs_run_destroy(struct run *run);

/* A version of COUNT runs, nothing in it, with one reference. NULL: no memory. */
struct runs_version *runs_version_create(size_t count);

/* Make VERSION current in place of the one that is. */
void runs_version_install(struct runs *runs, struct runs_version *version);

/* Drop what no version names any more and nobody has open. Not in a transaction. */
void runs_drop_retired(struct runs *runs, struct kv_session *session);

/* Put the run, that nobody else knows, among the retired. */
void runs_retire(struct runs *runs, struct run *run);

/* runs_list.c */
int runs_list_write(const struct runs *runs, struct kv_session *session,
                    const struct runs_version *version, struct error_detail *detail);
int runs_list_remove(const struct runs *runs, struct kv_session *session,
                     struct error_detail *detail);
int runs_list_read(struct runs *runs, struct kv_session *session, struct runs_version **out_version,
                   struct error_detail *detail);
int runs_list_write_filter(const struct runs *runs, struct kv_session *session,
                           const struct run *run, struct error_detail *detail);
int runs_list_remove_filter(const struct runs *runs, struct kv_session *session, uint64_t number,
                            struct error_detail *detail);

/* The floor of versions that was used, 0 where none was. */
int runs_list_write_floor(const struct runs *runs, struct kv_session *session, uint64_t floor,
                          struct error_detail *detail);
int runs_list_read_floor(const struct runs *runs, struct kv_session *session, uint64_t *out_floor,
                         struct error_detail *detail);

/* Read the filters of all runs in VERSION, remove those of others. */
int runs_list_read_filters(const struct runs *runs, struct kv_session *session,
                           const struct runs_version *version, struct error_detail *detail);

/* runs_anew.c: what was begun to take the place of RUNS, if it has runs. */
int runs_anew_read(struct runs *runs, struct kv_session *session, struct error_detail *detail);

/* runs_sort.c: the order of ENTRIES, by key, equal keys as they came. OUT_ORDER is owned by the
 * caller (memory_free). */
int runs_sort(const struct runs_entry *entries, size_t count, uint32_t **out_order);

/* runs_short.c: by key, equal keys as they came. SCRATCH has room for COUNT. */
void runs_sort_short(struct runs_short *entries, size_t count, struct runs_short *scratch);

/* runs_iterator.c: the newest entry of each key that begins with a prefix, in key order. */
struct runs_iterator;
int runs_iterator_create(struct run *const *list, size_t count, struct kv_session *session,
                         struct bytes prefix, struct runs_iterator **out_iterator,
                         struct error_detail *detail);
void runs_iterator_destroy(struct runs_iterator *iterator);

/* STOA_ENOTFOUND at the end. The views live until the next call. */
int runs_iterator_next(struct runs_iterator *iterator, struct runs_entry *out_entry,
                       struct error_detail *detail);

#endif
