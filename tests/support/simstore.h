/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simstore.h: a whole store on a simulated machine, with blocking calls for tests: the disk and the
 * memory of the tables' last checkpoint outlive each opening, as they do a crash. One thread. */
#ifndef SIMSTORE_H
#define SIMSTORE_H

#include "io/io_sim.h"
#include "maint/job.h"
#include "store/store.h"
#include "support/made_chain.h"

struct simstore {
    struct io_disk *disk;
    struct kv_memory_disk *tables;
    struct io *io;
    struct store *store;
    struct jobs *jobs; /* where WITH_JOBS */
    bool with_jobs;
    const struct job_kind *const *kinds; /* NULL: the real ones */
    struct stoa_maintenance maintenance; /* off, but for what a test sets */
    struct error_detail detail;          /* of the last call */
    uint32_t segment_size;
    uint32_t first_segment_size; /* of the one that comes with the store; 0: as ever */
    uint64_t unwind_max;         /* 0: as ever */
    bool write_through;
    uint64_t history_blocks;
    uint64_t trie_history_blocks;
    uint64_t trie_cache_size;           /* 0: as ever */
    uint64_t cache_size;                /* 0: none. Else reads at the head ask it first, as those
                                           of the engine's callers do */
    struct cache *cache;                /* while the store is open */
    bool (*is_stopping)(void *context); /* as of store_options */
    void *stopping_context;
};

/* A machine without a store. */
void simstore_init(struct simstore *sim, uint64_t seed);
void simstore_deinit(struct simstore *sim);

/* Power on, and off in an orderly way: a loop on the disk. */
void simstore_power(struct simstore *sim, const struct io_sim_options *options);
void simstore_unpower(struct simstore *sim);

/* Results as of store.h; STOA_ECLOSED where power was cut meanwhile. */
int simstore_create(struct simstore *sim, const struct made_chain *chain);
int simstore_open(struct simstore *sim);
int simstore_close(struct simstore *sim);

/* For another store on SIM's machine, which is opened by store_open, and has no cache. */
struct simstore simstore_beside(const struct simstore *sim);

/* Power is gone: what is left of the disk is chosen by SEED. */
void simstore_cut(struct simstore *sim, uint64_t seed, bool torn);

/* After a life that OPTIONS drove: orderly where it was WHOLE, else with a cut; then the power is
 * on again, without a cut, and the store open. */
void simstore_restart(struct simstore *sim, const struct io_sim_options *options, bool whole,
                      uint64_t seed);

/* How many seeds: COUNT, or as many as STOA_SIM_SEEDS says. */
uint64_t simstore_seeds(uint64_t count);

/* Run with the power cut at the first I/O, then STEP later and so on, until RUN says by false that
 * it came too late for anything; which is below CUTS_MAX. */
void simstore_cut_everywhere(uint64_t seed, uint64_t step, uint64_t cuts_max,
                             bool (*run)(void *context, uint64_t seed, uint64_t cut_at),
                             void *context);

/* The tables are lost. */
void simstore_lose_tables(struct simstore *sim);

/* A put of BLOCK of a made chain, with receipts. */
struct stoa_store_block simstore_put_of(const struct made_block *block);

int simstore_put(struct simstore *sim, const struct stoa_store_block *block);
int simstore_receipts(struct simstore *sim, const struct made_block *block); /* of a stored one */
int simstore_update(struct simstore *sim, const struct stoa_change *changes, size_t count);
/* COUNT values of SIZE random bytes: they fill segments. A store begins with a segment of 32 MiB,
 * which simstore_fill_first_segment fills, so that small ones follow. */
void simstore_fill(struct simstore *sim, uint64_t seed, unsigned count, size_t size);
void simstore_fill_first_segment(struct simstore *sim);

/* BATCH, with changes of the head it leaves. */
int simstore_batch(struct simstore *sim, struct store_batch *batch,
                   const struct stoa_change *changes, size_t count);
int simstore_update_head(struct simstore *sim, const uint8_t hash[32]);

/* KIND: STORE_SET_SAFE or STORE_SET_FINALIZED. */
int simstore_set_mark(struct simstore *sim, enum store_request_kind kind, uint64_t height);
int simstore_get(struct simstore *sim, const struct stoa_block_key *key,
                 struct stoa_block *out_block);
int simstore_get_transaction(struct simstore *sim, const uint8_t hash[32],
                             struct stoa_transaction *out_transaction);
int simstore_get_state(struct simstore *sim, const char *key, struct bytes *out_value);
int simstore_get_state_root(struct simstore *sim, uint64_t height, uint8_t out_root[32]);
int simstore_get_state_at(struct simstore *sim, const char *key, uint64_t height,
                          struct bytes *out_value);

/* Blocks FIRST to LAST of CHAIN are there by height and hash, with receipts, and each transaction
 * by its hash. */
void simstore_expect(struct simstore *sim, const struct made_chain *chain, uint64_t first,
                     uint64_t last);

/* What is found is the caller's: memory_free. */
int simstore_query_logs(struct simstore *sim, const struct stoa_log_filter *filter,
                        struct stoa_logs *out_logs);
int simstore_query_history(struct simstore *sim, const struct stoa_history_query *query,
                           struct stoa_history *out_history);

/* Run job NUMBER to its end; OUT_INFO may be NULL. */
int simstore_run_job(struct simstore *sim, enum stoa_job number, const struct job_order *order,
                     struct stoa_job_info *out_info);

/* Make INDEX anew. */
int simstore_rebuild(struct simstore *sim, enum store_index index);

/* Where the store is now, however long it has to settle. */
struct store_point simstore_point(struct simstore *sim);

/* What store_verify says; the number of damages it told goes to OUT_DAMAGES (may be NULL). */
int simstore_verify(struct simstore *sim, unsigned *out_damages);

#endif
