/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runs.h: an index kept as immutable sorted tables ("runs"), merged by levels, the newest entry of
 * a key winning.
 *
 * Random inserts are what a B-tree does worst and sorted bulk loads what it does best. So entries
 * of a range of the ledger are sorted in memory and bulk-loaded as one new table; when RUNS_FANOUT
 * runs of a level exist they are merged into one of the next. Each run has a small filter (about 10
 * bits a key) in memory that settles most point lookups; filters are kept in a table and loaded at
 * open without reading the runs.
 *
 * A `struct runs` is one such index ("transactions", "state"). The list of runs lives in the kv
 * table "runs"; adding a run and replacing merged ones change it inside the caller's transaction,
 * together with the applied ledger position; tables no list names are dropped at open.
 *
 * Threads: one thread loads (runs_load, runs_record, runs_publish, runs_discard), one merges
 * (runs_merge) beside it, and any number read, each with its own session. Loading and merging take
 * turns only while they change the list: from runs_record to runs_publish or runs_discard, and at a
 * merge's end. Readers hold a version (runs_acquire … runs_release) of the list, counted under a
 * mutex that is held for no longer than that. A run that was merged away goes on a list when no
 * version names it any more, and a writer drops it at its next call, so that readers never write.
 * What it cannot drop yet it tries again later; what is left at a crash goes at open.
 */
#ifndef RUNS_H
#define RUNS_H

#include "tables/kv.h"

enum { RUNS_FANOUT = 8, RUNS_NAME_SIZE_MAX = 16, RUNS_VALUE_SIZE_MAX = KV_VALUE_SIZE_MAX - 300 };

struct runs;
struct runs_version;

struct runs_entry {
    struct bytes key;
    struct bytes value;
    bool removed; /* a tombstone: the key is absent, whatever older runs say */
    bool absent;  /* of a version: from it on there is no value (see runs_get_version) */
};

/* Open the index NAME, making it where absent. The filters hold the first FILTER_SIZE bytes of each
 * key (0: all of it), always the same for an index: with it runs_prefix is as quick as runs_get for
 * prefixes at least that long. STOA_ECORRUPT: the list, a table it names or a
 * filter is damaged. Not in a transaction. */
int runs_open(struct kv_session *session, const char *name, size_t filter_size,
              struct runs **out_runs, struct error_detail *detail);
void runs_close(struct runs *runs);

/* Sort ENTRIES (COUNT of them, the array is reordered; of equal keys the last one wins) and
 * bulk-load them as a new run that nobody sees yet. Not in a transaction. With COUNT 0 nothing
 * happens, here and in record, publish and discard. STOA_EBUSY: a loaded run was neither published
 * nor discarded. STOA_ETOOBIG: a value is larger than RUNS_VALUE_SIZE_MAX. */
int runs_load(struct runs *runs, struct kv_session *session, struct runs_entry *entries,
              size_t count, struct error_detail *detail);

/* The same of keys of at most 16 bytes with values of at most one, which sort in half the time and
 * memory: ENTRIES has room for 2 * COUNT, and the second half is used to sort. */
enum { RUNS_SHORT_KEY_MAX = 16 };
struct runs_short {
    uint64_t high; /* the key's bytes as a number, zeros behind it */
    uint64_t low;
    uint8_t key_size;
    uint8_t value_size;
    uint8_t value;
    bool removed;
};
int runs_load_short(struct runs *runs, struct kv_session *session, struct runs_short *entries,
                    size_t count, struct error_detail *detail);

/* Write the list with the loaded run into the caller's open transaction. After the caller's commit,
 * runs_publish makes readers see it; after a rollback, record again in another transaction, or
 * runs_discard drops the table. runs_publish only after a commit of what was recorded. */
int runs_record(struct runs *runs, struct kv_session *session, struct error_detail *detail);
void runs_publish(struct runs *runs);
void runs_discard(struct runs *runs, struct kv_session *session);

/* True where some level has RUNS_FANOUT runs or more. */
bool runs_merge_due(const struct runs *runs);

/* Merge the lowest level that is due: makes the new table, commits the list in a transaction of its
 * own, publishes, and drops tables no reader holds. Tombstones vanish in a merge into the last
 * level. 0 also where nothing is due. Returns after at most one merge. Not in a transaction, and
 * not by the thread that is between runs_record and runs_publish. STOP (may be NULL) is polled
 * every few thousand entries; when it says true the merge is given up with STOA_ECANCELED. */
int runs_merge(struct runs *runs, struct kv_session *session, bool (*stop)(void *context),
               void *context, struct error_detail *detail);

/* The same for an index of versions (see runs_get_version) of which those older than the newest one
 * at or below FLOOR will not be asked for any more: they go in merges, which therefore take newer
 * runs along, and once what came on top of the oldest run is as much as that, all runs are merged.
 * Nothing at or below FLOOR is withdrawn from now on, and what has been is published. The highest
 * FLOOR that has been used is kept with the list. 0: as runs_merge. */
struct runs_stop {
    bool (*stop)(void *context);
    void *context;
};
bool runs_merge_versions_due(const struct runs *runs, uint64_t floor);
int runs_merge_versions(struct runs *runs, struct kv_session *session, uint64_t floor,
                        const struct runs_stop *stop, struct error_detail *detail);
/* All runs at once, now, where FLOOR is above what has been used; else nothing. */
int runs_prune_versions(struct runs *runs, struct kv_session *session, uint64_t floor,
                        const struct runs_stop *stop, struct error_detail *detail);
/* All runs of any other index at once, now, without the entries for which HEIGHT_OF is below FLOOR,
 * where FLOOR is above what has been used; else nothing. */
int runs_prune_heights(struct runs *runs, struct kv_session *session, uint64_t floor,
                       uint64_t (*height_of)(struct bytes key), const struct runs_stop *stop,
                       struct error_detail *detail);
uint64_t runs_floor(const struct runs *runs);

/* All runs at once, now, into one, where there is more than one; of an index of versions without
 * those that FLOOR lets go, of any other with FLOOR 0. Otherwise as runs_merge, whose place it
 * takes meanwhile. */
int runs_merge_all(struct runs *runs, struct kv_session *session, uint64_t floor,
                   const struct runs_stop *stop, struct error_detail *detail);

/* Any thread. */
struct runs_version *runs_acquire(struct runs *runs);
void runs_release(struct runs *runs, struct runs_version *version);

/* The newest value of KEY, valid until the session's next call. STOA_ENOTFOUND. */
int runs_get(struct runs_version *version, struct kv_session *session, struct bytes key,
             struct bytes *out_value, struct error_detail *detail);

/* An index of versions: its keys are a base and then a version, inverted (runs_version_key), so
 * that of one base the highest version comes first. Bases are all of one size or none begins
 * another. Versions of a base are loaded in rising order, but that all from one on may be
 * withdrawn: by tombstones, one for each, in one run, which may hold what follows as well. So the
 * newest run that has a live version says which is the highest one. */
enum { RUNS_VERSION_SIZE = 8 };

/* Put VERSION behind the base of BASE_SIZE bytes in KEY. */
void runs_version_key(uint8_t *key, size_t base_size, uint64_t version);

/* The highest version of BASE that is at most *BOUND, which becomes it. The value is valid until
 * the session's next call. STOA_ENOTFOUND: there is none, or it says absent; BOUND may then be
 * lower all the same. */
int runs_get_version(struct runs_version *version, struct kv_session *session, struct bytes base,
                     uint64_t *bound, struct bytes *out_value, struct error_detail *detail);

/* Every entry whose key begins with PREFIX, in key order, newest of each key, tombstones left out,
 * and absent ones not. Otherwise as runs_prefix. */
int runs_walk(struct runs_version *version, struct kv_session *session, struct bytes prefix,
              int (*entry)(void *context, const struct runs_entry *entry), void *context,
              struct error_detail *detail);

/* Every entry whose key begins with PREFIX, in key order, newest of each key, tombstones left out.
 * The callback returns non-zero to end with that result. Views live until it returns. */
int runs_prefix(struct runs_version *version, struct kv_session *session, struct bytes prefix,
                int (*entry)(void *context, struct bytes key, struct bytes value), void *context,
                struct error_detail *detail);

/* ---- an index made anew beside itself ----
 *
 * While it is in use, what shall take its place is filled like any index (runs_load … runs_publish,
 * runs_merge) by one thread; it is kept over a close, and readers do not see it. Then, while nobody
 * loads or merges the index itself, the new runs become its runs in one transaction. */

/* What takes the place of RUNS, made where there is none yet. Only for the calls named above and
 * those below; it goes with RUNS. STOA_ENOMEM. */
int runs_anew_open(struct runs *runs, struct runs **out_anew, struct error_detail *detail);

/* Count what was loaded into ANEW as its own, without writing its list: it is lost at a close that
 * comes before runs_anew_publish. In place of runs_record and runs_publish. STOA_ENOMEM. */
int runs_anew_keep(struct runs *anew, struct error_detail *detail);

/* Write its list as that of RUNS into the caller's open transaction; then runs_anew_publish after
 * the commit, or runs_anew_cancel after a rollback. */
int runs_anew_record(struct runs *runs, struct kv_session *session, struct error_detail *detail);
void runs_anew_publish(struct runs *runs);
void runs_anew_cancel(struct runs *runs);

/* Forget it, in the caller's open transaction; after its commit runs_anew_drop, which takes its
 * tables away. Nothing happens where there is none. */
int runs_anew_record_drop(struct runs *runs, struct kv_session *session,
                          struct error_detail *detail);
void runs_anew_drop(struct runs *runs, struct kv_session *session);

/* Read what is in the tables of the runs, the newest first, so that it is in memory for whoever
 * looks something up: as many bytes as are left, which become fewer. STOP is polled every now and
 * then; when it says true: STOA_ECANCELED. */
struct runs_warm {
    uint64_t bytes_left;
    bool (*stop)(void *context);
    void *context;
};
int runs_warm(struct runs *runs, struct kv_session *session, struct runs_warm *warm,
              struct error_detail *detail);

/* A run of an index. */
struct runs_run {
    const char *table;
    unsigned level;
    uint64_t entries;
};
/* Each run that readers see now, the newest first: none of them is dropped meanwhile. EACH returns
 * non-zero to end with that result. Any thread. */
int runs_each(struct runs *runs, int (*each)(void *context, const struct runs_run *run),
              void *context);

/* What the index is called. */
const char *runs_name(const struct runs *runs);

struct runs_stats {
    uint64_t run_count;
    uint64_t entry_count; /* with duplicates and tombstones */
    uint64_t filter_bytes;
    uint64_t merge_count; /* since open */
};
void runs_stats(const struct runs *runs, struct runs_stats *out_stats);

#endif
