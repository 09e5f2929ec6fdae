/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_upkeep.h: what the jobs of upkeep (src/maint) are given of a store: workers that have a
 * session of the tables, notes in the table "meta", how busy it is. All but what a work runs is
 * called on the loop. */
#ifndef STORE_UPKEEP_H
#define STORE_UPKEEP_H

#include "base/buffer.h"
#include "io/workers.h"
#include "store/index.h"
#include "store/store.h"

/* A piece of work for a worker that is nice to all others, embedded in its owner until DONE. Of no
 * kind that readers, applier or merges wait for: it has threads of its own. */
struct store_work {
    struct workers_job job; /* the store's */
    struct store *store;
    int (*run)(struct store_work *work,
               struct kv_session *session); /* holds no cursor at its end */
    void (*done)(struct store_work *work);  /* on the loop, always later */
    void *context;
    bool noted; /* the store's: the tables have something new */
    int result; /* of RUN */
    struct error_detail detail;
};

/* STOA_ESTOPPED: the tables are closed, being opened again; nothing was begun. */
int store_work_start(struct store *store, struct store_work *work);

/* Inside WORK's RUN: keep VALUE under KEY in the table "meta", by a transaction of its own. It is
 * durable with the next checkpoint of the tables, and lost with them. */
int store_note_put(struct store_work *work, struct kv_session *session, const char *key,
                   struct bytes value);
/* Blocking: the same, and it is durable. Refused as a write is, where the store takes none. */
int store_note_keep(struct store *store, const char *key, struct bytes value,
                    struct error_detail *detail);
/* Blocking, while no work is under way. Empty where there is none. */
int store_note_get(struct store *store, const char *key, struct buffer *out,
                   struct error_detail *detail);

/* Inside a work's RUN: each index that is kept in runs, as index_each. */
int store_each_index(const struct store *store, int (*each)(void *context, struct runs *runs),
                     void *context);

/* Inside a work's RUN: read of the indexes that lead to blocks, those of transactions first, as
 * much as a quarter of the tables' cache holds, so that looking something up reads the block alone.
 * STOP: as in runs.h. */
int store_warm_tables(struct store_work *work, struct kv_session *session,
                      bool (*stop)(void *context), void *context);

struct store_load {
    uint64_t groups; /* committed so far: whoever looks twice knows whether somebody writes */
    bool writing;    /* something waits to be written at this moment */
    bool pressed;    /* the tables fall behind, or their cache is full of what is not written */
};
void store_get_load(const struct store *store, struct store_load *out_load);

/* ---- merges on request, in the place of those by levels: store_upkeep.c ---- */

/* Embedded in its owner until DONE. What starts it returns false where it is not now (a merge is
 * under way, or a change of branch comes in); nothing was begun. */
struct store_merge {
    bool (*stop)(void *context);             /* on a worker: end soon, with STOA_ECANCELED */
    void (*done)(struct store_merge *merge); /* on the loop, always later */
    void *context;
    int result;
    struct error_detail detail;
    struct store *store; /* the store's, as the next */
    struct workers_job job;
};

/* ---- old versions of the state, pruned on request: store_retention.c ---- */

/* The lowest heights as of which values and tries are to be kept, where so many blocks back from
 * the head are (0: as many as now); never above the finalized block. STOA_EINVAL: fewer than
 * STORE_RETENTION_MIN; STOA_EREFUSED: no block is finalized. */
int store_prune_target(const struct store *store, uint64_t keep_values, uint64_t keep_tries,
                       struct index_floors *out_target, struct error_detail *detail);

/* Whether all of that is to be merged: values and tries, or the indexes of blocks. Any thread. */
void store_prune_lags(const struct store *store, const struct index_floors *target,
                      const struct prune_floors *kept, bool *out_state, bool *out_indexes);

/* Embedded in its owner until DONE, as the next. */
struct store_prune {
    struct store_merge merge;
    struct index_floors floors; /* store_prune_target's */
    struct prune_floors kept;   /* store_kept's: entries of blocks below go as well */
};

/* All runs of values and of tries are merged, without what is below FLOORS, which is refused from
 * now on. */
bool store_prune_start(struct store *store, struct store_prune *prune);

/* All runs of one index are merged, without what is not kept of the state any more. */
struct store_optimize {
    struct store_merge merge;
    unsigned place;             /* of the index, as store_each_index comes by them */
    struct index_floors floors; /* the store's */
};
bool store_optimize_start(struct store *store, struct store_optimize *optimize);

/* ---- what is kept of blocks: store_prune.c ---- */

struct prune_floors store_kept(const struct store *store);

/* The floors where so many blocks back from the head are kept (0: as many as now); never above the
 * finalized block. STOA_EINVAL: fewer than STORE_RETENTION_MIN, or what cannot be read is to be
 * kept; STOA_EREFUSED: no block is finalized. */
int store_kept_target(const struct store *store, const struct prune_floors *depths,
                      struct prune_floors *out_target, struct error_detail *detail);

/* What is below FLOORS is refused once this is done, for good. Embedded in its owner until DONE. */
struct store_keep {
    struct prune_floors floors; /* store_kept_target's */
    void (*done)(struct store_keep *keep);
    void *context;
    int result;
    struct error_detail detail;
    struct store *store; /* the store's, as what follows */
    struct ledger_append append;
    uint8_t record[PRUNE_RECORD_SIZE];
};
void store_keep_start(struct store *store, struct store_keep *keep);

/* How many bytes of FRAME would go where FLOORS are kept, roughly. Any thread. */
uint64_t store_thin_gain(const struct prune_floors *floors, const struct ledger_frame *frame);

/* A segment without what is below FLOORS, step by step: see struct ledger_thinning, whose out
 * fields count. */
struct store_thin {
    struct prune_floors floors;
    void (*done)(struct store_thin *thin);
    void *context;
    struct ledger_thinning thinning; /* the store's to fill */
};
/* Segments 1 to this can be thinned; 0: none. */
uint32_t store_thin_last(const struct store *store);
int store_thin_start(struct store *store, struct store_thin *thin, uint32_t number);
void store_thin_step(struct store_thin *thin);
void store_thin_stop(struct store_thin *thin);
bool store_is_packed(const struct store *store, uint32_t number);

/* The tables have something that is not durable yet. */
bool store_has_unsaved(const struct store *store);

/* Of the file system that it is on. */
int store_get_space(const struct store *store, uint64_t *out_free, uint64_t *out_total);

/* About how many bytes of the ledger an opening would replay. */
uint64_t store_replay_bytes(const struct store *store);

#endif
