/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.h: blocks, heights, transactions, receipts and raw state on a ledger and its tables. One
 * loop thread owns it: all calls are made on that thread and all callbacks run there, from io_run.
 * Blocking work runs on workers.
 *
 * The same code runs under the engine (io_uring or threads, WiredTiger) and in simulation (io_sim,
 * kv_memory). */
#ifndef STORE_H
#define STORE_H

#include "cache/cache.h"
#include "io/io.h"
#include "ledger/ledger.h"
#include "stoa.h"
#include "tables/kv.h"

struct store;

/* How deep a change of branch may go, in blocks, where nothing else is said. */
enum { STORE_UNWIND_DEFAULT = 4096 };

/* The fewest blocks back that the state is kept. */
enum { STORE_RETENTION_MIN = 64 };

struct store_options {
    struct io *io;
    const char *directory;
    uint64_t table_cache_size;    /* 0: 256 MiB */
    uint64_t trie_cache_size;     /* of the state's tries; 0: 96 MiB */
    uint32_t segment_size;        /* 0: LEDGER_SEGMENT_SIZE_DEFAULT */
    unsigned table_workers;       /* 0: 16 */
    unsigned verify_workers;      /* 0: processors */
    uint64_t checkpoint_ns;       /* 0: 30 s */
    uint64_t unwind_max;          /* blocks; 0: STORE_UNWIND_DEFAULT */
    uint64_t history_blocks;      /* of values kept; 0: all, else STORE_RETENTION_MIN at least */
    uint64_t trie_history_blocks; /* likewise of the state's tries */
    uint64_t space_reserve;       /* free bytes below which nothing is written; 0: 8 MiB */
    bool bulk;
    bool plain; /* to measure what indexes cost: transactions, addresses, logs are not indexed */
    bool write_through;  /* writes are answered when the tables hold them, too */
    struct cache *cache; /* the caller's; outlives the store. NULL: none */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total);
    void *progress_context;
    /* Asked often while the store opens, verifies or analyzes: true ends that with
     * STOA_ECANCELED. NULL: never. */
    bool (*is_stopping)(void *context);
    void *stopping_context;
    struct kv_memory_disk
        *memory_tables; /* simulation: tables live there instead of in WiredTiger */
};

/* Make a store in DIRECTORY (through IO, so that a simulated one is made the same way). Blocking.
 */
int store_create(struct io *io, const char *directory, const struct stoa_create_options *options,
                 struct error_detail *detail);

/* Open and recover. Blocking: runs the loop. On success the detail may hold a warning with code 0.
 */
int store_open(const struct store_options *options, struct store **out_store,
               struct error_detail *detail);

/* Finish, apply, checkpoint, close. Blocking. No view may be out. The store is gone in any case.
 * NULL is allowed. */
int store_close(struct store *store, struct error_detail *detail);

/* Each turn of the loop, where the store has a cache: blocks that left it may come back packed. */
void store_pack(struct store *store);

/* Free everything, finish nothing: after a simulated power cut. */
void store_abandon(struct store *store);

/* A view handed out: the frame's buffer, until released. HOME and NEXT are for whoever brings it
 * back. */
struct stoa_view {
    struct store *store;
    struct ledger_read read;
    void *home;
    struct stoa_view *next;
    struct stoa_view *made_next; /* the store's: of all it made */
};

/* A request, embedded in its owner; filled, submitted, done on the loop: from io_run, or already
 * from inside store_submit where the answer is at hand. Results as in stoa.h. */
enum store_request_kind {
    STORE_PUT_BLOCK,
    STORE_GET_BLOCK,
    STORE_GET_TRANSACTION,
    STORE_GET_STATE,
    STORE_GET_ACCOUNT,
    STORE_GET_STORAGE,
    STORE_GET_CODE,
    STORE_GET_PROOF,
    STORE_GET_STATE_ROOT,
    STORE_QUERY_LOGS,
    STORE_QUERY_HISTORY,
    STORE_GET_RANGE,
    STORE_GET_HEADERS,
    STORE_BLOCK_EXISTS,
    STORE_CHECKPOINT,  /* what is acknowledged is in the tables, and they are durable */
    STORE_UPDATE_HEAD, /* this and what follows: in the order of stores */
    STORE_SET_SAFE,
    STORE_SET_FINALIZED,
    STORE_UPDATE_STATE, /* the changes in PUT, which has nothing else */
    STORE_BATCH,        /* BATCH, and with it the changes in PUT, which has nothing else */
    STORE_RECEIPTS,     /* those in PUT, of the block with its expected hash, which was stored
                           without; of PUT's skip STOA_SKIP_RECEIPTS counts */
};

/* Blocks and a change of head, as one. */
struct store_batch {
    const struct stoa_store_block *blocks; /* a parent before its child */
    size_t block_count;
    const uint8_t *head; /* the head afterwards, whatever the blocks' flags say; or NULL */
    size_t failed; /* out: the block that the result is about; block_count: the head; else SIZE_MAX
                    */
};

struct store_request {
    enum store_request_kind kind;
    struct stoa_store_block put; /* STORE_PUT_BLOCK, STORE_UPDATE_STATE */
    struct store_batch *batch;   /* STORE_BATCH; the caller's */
    struct prepare *prepared;    /* STORE_PUT_BLOCK: PUT verified by its submitter (prepare_verify,
                                    with the chain's id), whose buffers are exchanged for others; or
                                    NULL: a worker verifies it */
    struct stoa_block_key key;   /* STORE_GET_BLOCK, STORE_BLOCK_EXISTS, STORE_SET_… */
    uint8_t hash[32];            /* STORE_GET_TRANSACTION, STORE_UPDATE_HEAD; out: STORE_PUT_BLOCK,
                                    STORE_SET_…, STORE_GET_STATE_ROOT */
    unsigned parts; /* STORE_GET_TRANSACTION: STOA_PART_…, the rest need not come; 0: all */
    struct bytes state_key;                  /* STORE_GET_STATE; valid until done */
    struct stoa_log_filter log_filter;       /* STORE_QUERY_LOGS; what it points at likewise */
    struct stoa_history_query history_query; /* STORE_QUERY_HISTORY */
    struct stoa_block_range range;           /* STORE_GET_RANGE, STORE_GET_HEADERS */
    struct stoa_state_query query;           /* of the state; STORE_GET_STATE: its height only */
    bool header_only; /* STORE_GET_BLOCK: nothing else of the block is looked at */
    bool pruned_too; /* STORE_GET_RANGE: what is below the floors comes as it is, or as what is left
                      */
    bool keep;       /* STORE_GET_BLOCK: it will be asked for, the cache takes it at once */
    void (*done)(struct store_request *request);
    void (*on_append)(struct store_request *request); /* STORE_PUT_BLOCK, STORE_UPDATE_STATE: runs
                                                         once it was given to the ledger, or
                                                         NULL */
    void *context;

    int result;
    bool appended; /* STORE_PUT_BLOCK, out: it was given to the ledger, so that a failure does not
                      say that it is not there */
    struct error_detail detail;
    uint64_t height;
    struct stoa_block block;             /* views until store_view_release(block.view) */
    struct stoa_transaction transaction; /* likewise, of transaction.block.view */
    struct bytes value; /* of the state: memory_alloc'ed, the caller's; storage: 32 bytes */
    struct stoa_account account;         /* STORE_GET_ACCOUNT */
    struct stoa_proof_query proof_query; /* STORE_GET_PROOF; likewise */
    struct stoa_proof *proof;            /* likewise: memory_alloc'ed in one piece, the caller's */
    struct stoa_logs logs;               /* STORE_QUERY_LOGS; likewise, as the next two */
    struct stoa_history history;         /* STORE_QUERY_HISTORY */
    struct stoa_block *blocks;           /* STORE_GET_RANGE; each with its view */
    size_t block_count;
    struct stoa_headers headers; /* STORE_GET_HEADERS; memory_alloc'ed, the caller's */
    struct store_request *next;  /* the store's, until done */
    void *work;                  /* the store's */
};

struct prepare;

void store_submit(struct store *store, struct store_request *request);

/* The chain's id; 0: any. */
uint64_t store_chain_id(const struct store *store);

/* Call off a REQUEST that is not done. True: it was not given to the ledger and never will be; it
 * ends with RESULT, soon. False: it is too late, or a read; it ends as it would have. */
bool store_cancel(struct store *store, struct store_request *request, int result);

/* Submitted and not done. */
unsigned store_pending(const struct store *store);

/* Views handed out and not given back. */
unsigned store_views_out(const struct store *store);

/* Objects of the cache that the store itself holds, as a view would. */
unsigned store_objects_held(const struct store *store);

/* True where a write or flush of the ledger failed, the tables are damaged or stopped, or take
 * nothing any more: no put is taken then, and reads that need damaged tables fail. */
bool store_is_broken(const struct store *store, struct error_detail *detail);
/* Whether a read that failed is to be made again once the tables are mended. */
bool store_tables_damaged(const struct store *store);

/* Open what is broken again, in place: the ledger, which then ends at the last acknowledged frame,
 * and the tables, made anew from the ledger where they are damaged. It blocks, running the loop; no
 * request may be pending; views stay valid. Where it fails the store is as broken as before and it
 * can be tried again; meanwhile reads of the tables and puts end with its result. */
int store_reopen(struct store *store, struct error_detail *detail);

/* Nobody will mend a broken store: from now on it is read-only, because of WHY. */
void store_give_up(struct store *store, const struct error_detail *why);

/* STOA_ENOSPACE: too little is free for writing to go on. */
int store_check_space(struct store *store, struct error_detail *detail);

/* The cache was cleared: it gets the head. */
void store_refresh_cache(struct store *store);

/* 0; or why nothing can be stored now; why what is stored cannot all be read. */
int store_check_writing(struct store *store, struct error_detail *detail);
int store_check_reading(struct store *store, struct error_detail *detail);

/* Give a view back; on the loop thread. (The engine brings views of other threads home.) */
void store_view_release(struct stoa_view *view);

void store_get_head(const struct store *store, struct stoa_head *out_head);

/* A state of the store that a copy of its files can be brought back to: all that was acknowledged,
 * and nothing else. */
struct store_point {
    struct ledger_end end;
    struct stoa_head head;
    uint64_t store_id;
};

/* STOA_EBUSY: none can be told now, but soon. STOA_ENOTFOUND: nothing is stored yet. */
int store_get_point(const struct store *store, struct store_point *out_point);

uint64_t store_get_id(const struct store *store);

/* Where it is. */
const char *store_directory(const struct store *store);

/* Its ledger, to be looked at while nothing else is asked of the store. */
struct ledger *store_ledger(const struct store *store);

/* Counts what makes answers about the canonical chain old: each change of branch, and its arrival
 * in the tables. A query that takes several steps begins again where this has changed meanwhile. */
uint64_t store_branch_epoch(const struct store *store);

/* As stoa_get_branches. */
int store_get_branches(const struct store *store, struct stoa_branch *out, size_t capacity,
                       size_t *out_count);

void store_get_stats(struct store *store, struct stoa_stats *out_stats);

/* Blocking: run the loop until everything durable is applied and checkpointed. */
int store_checkpoint(struct store *store, struct error_detail *detail);

/* ---- indexes made anew from the ledger, one at a time, while the store serves ---- */

enum store_index {
    STORE_INDEX_TRANSACTIONS,
    STORE_INDEX_ADDRESSES,
    STORE_INDEX_LOGS,
    STORE_INDEX_STATE,
    STORE_INDEX_HEIGHTS,
};

/* Embedded in its owner, who leaves it alone until DONE, which runs on the loop. */
struct store_rebuild {
    enum store_index index;
    void (*done)(struct store_rebuild *rebuild);
    void *context;

    int result; /* STOA_EBUSY: another is under way; STOA_ECANCELED: it was stopped, and the next
                   one of this index goes on where it was */
    struct error_detail detail;
    uint64_t done_blocks; /* so far, on the loop */
    uint64_t total_blocks;
};

/* DONE may run before this returns. It is no request: nothing waits for it but closing and mending,
 * which stop it. */
void store_rebuild_start(struct store *store, struct store_rebuild *rebuild);
void store_rebuild_stop(struct store *store); /* soon */

/* Blocking: as stoa_verify, or as stoa_verify_deep. */
int store_verify(struct store *store, bool deep,
                 void (*damage)(void *context, const struct stoa_damage *damage), void *context,
                 struct stoa_verify_report *out_report, struct error_detail *detail);

/* Blocking: as stoa_get_block_changes, and as stoa_analyze. */
int store_get_changes(struct store *store, const struct stoa_block_key *key,
                      struct stoa_block_changes **out_changes, struct error_detail *detail);
int store_analyze(struct store *store, struct stoa_analysis *out_analysis,
                  struct error_detail *detail);

#endif
