/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa.h: the storage engine of a validator node. The only header a user needs.
 *
 * Handles are opaque. Calls return 0 or a negative STOA_E… (stoa/error.h) and may fill a struct
 * stoa_detail. Option structs begin with their size, so that old programs run with new libraries:
 * initialise with the STOA_…_INIT macros. One process has a store open at a time; any thread of it
 * may call with the handle, any number at once; only stoa_close must be the last. No callback ever
 * runs on a foreign thread: what was submitted is reaped from a queue. A handle does not survive
 * fork(2): the child has neither its threads nor its lock, must not call with it, and may only
 * exec or exit; what it opens itself it may use. No call is safe in a signal handler. */
#ifndef STOA_H
#define STOA_H

#include <stddef.h>
#include <stdint.h>

#include "stoa/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stoa; /* an open store */

/* What went wrong, for a person. */
struct stoa_detail {
    int code;
    int os_error; /* errno, or 0 */
    char text[384];
};

/* A view. Who hands it out says how long it lives. */
struct stoa_bytes {
    const uint8_t *data;
    size_t size;
};

const char *stoa_version(void);

/* ---- creating, opening, closing ---- */

struct stoa_create_options {
    size_t size;
    const char *genesis_json; /* text of a geth-style genesis file; NULL: the first block stored,
                                 number 0, is the genesis */
    size_t genesis_json_size;
    uint64_t
        chain_id; /* 0: from the genesis, or unknown (then signatures of any chain are accepted) */
    uint32_t segment_size; /* of the first ledger segment, bytes. 32 MiB */
};
#define STOA_CREATE_OPTIONS_INIT                          \
    {                                                     \
        sizeof(struct stoa_create_options), NULL, 0, 0, 0 \
    }

/* Make a store in DIRECTORY, which must not exist or be empty. It appears whole or not at all. */
int stoa_create(const char *directory, const struct stoa_create_options *options,
                struct stoa_detail *detail);

enum stoa_io {
    STOA_IO_AUTO = 0, /* io_uring, or threads with a warning where the machine refuses it */
    STOA_IO_RING = 1,
    STOA_IO_THREADS = 2,
};

/* What the cache tells apart. */
enum stoa_cache_class {
    STOA_CACHE_BLOCKS,  /* blocks with receipts, senders and envelope */
    STOA_CACHE_PLACES,  /* where transactions are */
    STOA_CACHE_HEIGHTS, /* which block is at a height; the head */
    STOA_CACHE_STATE,   /* values of state keys */
    STOA_CACHE_HEADERS, /* of many more blocks than those that are there whole */
    STOA_CACHE_CLASSES
};

enum stoa_cache_preset {
    STOA_PRESET_BALANCED = 0,
    STOA_PRESET_SYNC,  /* catching up: state before blocks */
    STOA_PRESET_QUERY, /* answering many questions: blocks with their receipts before state */
    STOA_PRESET_WRITE, /* producing blocks: many of the newest, and the state they touch */
};

/* When a write is answered. Whatever it changes is out of the cache, or new in it, before that. */
enum stoa_write_policy {
    STOA_WRITE_BACK = 0,    /* when it is durable and readable; the tables get it behind that, many
                               blocks at once. One that is STOA_BUFFERED sooner */
    STOA_WRITE_THROUGH = 1, /* when the tables hold it as well: nothing that was answered is
                               pending. Writes that come together share a transaction of theirs */
};

#define STOA_NO_CACHE UINT64_MAX      /* as capacity: none */
#define STOA_NO_TIME_LIMIT UINT32_MAX /* as time to live: none */
#define STOA_NO_PACKED UINT32_MAX     /* as packed share: none */

/* The cache: hot objects in memory of a fixed size, read in place by any thread. */
struct stoa_cache_options {
    size_t size;
    uint64_t capacity;                         /* bytes in all, never exceeded. 256 MiB */
    int preset;                                /* STOA_PRESET_BALANCED */
    uint64_t budget[STOA_CACHE_CLASSES];       /* bytes of it a class. 0: as the preset says */
    uint32_t time_to_live[STOA_CACHE_CLASSES]; /* seconds. State 300, others none */
    unsigned head_blocks; /* the newest so many blocks and the state they changed stay. 0: as the
                             preset says */
    int touch;            /* 1: take and touch all memory at open */
    int cold;             /* 1: do not warm it up in the background after opening. 0 */
    int policy;           /* STOA_WRITE_BACK. Also without a cache */
    unsigned
        packed_share; /* percent of the blocks' budget, at most 90, in which large blocks that
                         were read and had to leave are kept compressed. 0: as the preset says */
};
#define STOA_CACHE_OPTIONS_INIT                    \
    {                                              \
        .size = sizeof(struct stoa_cache_options), \
    }

/* What the store watches: stoa/alert.def. */
enum stoa_alert {
#define STOA_ALERT(name, text, limit, help) STOA_ALERT_##name,
#include "stoa/alert.def"
#undef STOA_ALERT
    STOA_ALERT_END
};

/* From where on an alert is raised. 0: its default (stoa/alert.def); negative: never. */
struct stoa_alert_limits {
    size_t size;
    double limit[STOA_ALERT_END];
};
#define STOA_ALERT_LIMITS_INIT                   \
    {                                            \
        .size = sizeof(struct stoa_alert_limits) \
    }

#define STOA_NO_RESTARTS UINT32_MAX

/* The jobs of upkeep: stoa/job.def. */
enum stoa_job {
#define STOA_JOB(name, text, every, bytes, operations, help) STOA_JOB_##name,
#include "stoa/job.def"
#undef STOA_JOB
    STOA_JOBS
};

#define STOA_JOB_NEVER UINT32_MAX /* as every_seconds: only when it is asked for */

/* When a job runs by itself, and how fast. Where it is 0, as stoa/job.def has it. */
struct stoa_job_schedule {
    uint32_t every_seconds; /* after its last end */
    uint64_t threshold;     /* or when so many bytes have gathered, of what the job is for */
    uint16_t window_from; /* minutes of the day, UTC: it begins and goes on only in between, also */
    uint16_t window_to;   /* over midnight. Both the same: at any time */
    uint64_t bytes_per_second;
    uint64_t operations_per_second;
};

/* Free bytes of the file system below which it is told (health), jobs that need space wait, and
 * writes are refused (STOA_ENOSPACE) while reads go on; each by itself ends when there is room
 * again. 0: 2 GiB or a twentieth of the file system, 512 MiB or a fiftieth, whichever is less; 8
 * MiB. What is pending has room twice on top of the last one. */
struct stoa_watermarks {
    uint64_t warn;
    uint64_t stop;
    uint64_t refuse; /* not above the others, where they are given */
};

struct stoa_maintenance {
    size_t size;
    struct stoa_watermarks space;
    int off; /* 1: but for checkpoints no job begins by itself, nor goes on where the last process
                left it */
    /* Where STOA_JOB_BACKUP puts backups, copied; NULL or empty: it runs only when it is asked for,
     * with a path. The BACKUP_KEEP newest stay. 7 */
    const char *backup_directory;
    unsigned backup_keep;
    struct stoa_job_schedule jobs[STOA_JOBS];
    /* What STOA_JOB_PRUNE keeps where it runs by schedule, in blocks back from the head, as the
     * members of struct stoa_job_options with these names; all 0: it only runs when it is asked. */
    uint64_t keep_history;
    uint64_t keep_tries;
    uint64_t keep_bodies;
    uint64_t keep_receipts;
    uint64_t keep_logs;
    uint64_t keep_transactions;
    /* STOA_JOB_ARCHIVE by schedule: as the member of struct stoa_job_options; 0: it only runs when
     * it is asked. */
    uint64_t archive_keep;
};
#define STOA_MAINTENANCE_INIT                   \
    {                                           \
        .size = sizeof(struct stoa_maintenance) \
    }

struct stoa_options {
    size_t size;
    enum stoa_io io;             /* STOA_IO_AUTO */
    uint64_t table_cache_size;   /* bytes of table cache. 256 MiB */
    uint32_t segment_size;       /* of new ledger segments, bytes. 32 MiB */
    unsigned table_workers;      /* threads that read tables. 16 */
    unsigned verify_workers;     /* threads that verify blocks. The number of processors */
    unsigned checkpoint_seconds; /* time between checkpoints of the tables. 30 */
    int bulk; /* 1: loading much: blocks are reserved, not zeroed, ahead of the ledger. 0 */
    /* Progress of a rebuild during open, from the thread that opens: DONE of TOTAL frames of the
     * ledger. May be NULL. */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total);
    void *progress_context;
    uint64_t unwind_max; /* how many blocks a change of branch may take off the chain. 4,096 */
    const struct stoa_alert_limits *alert_limits; /* copied; NULL: the defaults */
    unsigned alert_seconds;                       /* between two looks at them. 10 */
    const struct stoa_cache_options *cache;       /* NULL: the defaults. Copied */
    /* A write or flush that failed, tables that are damaged or stop: the store is opened again
     * under its handle. Views stay valid, nothing acknowledged is lost. Writes that were in the
     * ledger's hands are answered STOA_ESTOPPED with STOA_EFFECT_UNKNOWN; others, and reads that
     * need the tables, wait. This is done at most so often within RESTART_SECONDS; then the store
     * is read-only (STOA_EREADONLY, and health says why) until it is closed. At most 64.
     * STOA_NO_RESTARTS: at the first failure. 10 */
    unsigned restarts_max;
    unsigned restart_seconds;      /* 300 */
    unsigned restart_pause_ms;     /* before the second within that time; the first is at once. It
                                      doubles, and half of it is drawn by lot. 500 */
    unsigned restart_pause_max_ms; /* 60,000 */
    /* How many blocks back from the head values of the state, and its tries (for roots and proofs),
     * are answered. What is older is refused with STOA_EPRUNED and dropped when runs are merged; it
     * does not come back where more is kept later. A change of branch goes no deeper. 0: all are
     * kept; else 64 at least */
    uint64_t history_blocks;
    uint64_t trie_history_blocks;
    uint64_t trie_cache_size;                   /* bytes for the state's tries in memory. 96 MiB */
    const struct stoa_maintenance *maintenance; /* NULL: the defaults. Copied */
};
#define STOA_OPTIONS_INIT                    \
    {                                        \
        .size = sizeof(struct stoa_options), \
    }

/* Open a store and recover it. STOA_ENOTFOUND: no store there. STOA_ELOCKED, STOA_EVERSION,
 * STOA_EREADONLY, STOA_EPERM, STOA_ECORRUPT. On success DETAIL's text may hold a warning (code 0),
 * or is empty. */
int stoa_open(const char *directory, const struct stoa_options *options, struct stoa **out_stoa,
              struct stoa_detail *detail);

/* How to reach a daemon. 0, NULL: the defaults. */
struct stoa_connect_options {
    size_t size;
    const void *token; /* where the daemon wants one, on TCP; copied */
    size_t token_size;
    const char *name;      /* of this program, for the daemon's log. Copied */
    unsigned connect_ms;   /* how long stoa_connect tries. 5,000 */
    unsigned reconnect_ms; /* how long calls wait for a connection that broke to come back, until
                              they fail; calls that come then fail at once, until a try, now and
                              then, succeeds. 10,000 */
    unsigned silence_ms;   /* a daemon that says nothing for so long, while something is asked of
                              it, is held for gone. 10,000 */
};
#define STOA_CONNECT_OPTIONS_INIT                    \
    {                                                \
        .size = sizeof(struct stoa_connect_options), \
    }

/* A handle on the store that a daemon, stoad(8), serves at ADDRESS: a path of its socket (with a
 * slash), or "127.0.0.1:PORT". Every call of this header works with it; those that the daemon's
 * roles do not allow return STOA_EPERM.
 *
 * Where the connection breaks it is made again, and what only reads is asked again. A write that
 * was sent and not answered is completed with STOA_ECLOSED and STOA_EFFECT_UNKNOWN; one that was
 * not sent waits. stoa_completion_fd may be readable without a completion: then stoa_reap has other
 * work, and returns 0. No thread is started but by stoa_health_fd: the work is done by the threads
 * that wait in calls.
 *
 * STOA_ENOTFOUND: nobody listens there. STOA_EPERM: the token is wrong, or this user has no role.
 * STOA_EVERSION: it speaks another version of the protocol. STOA_EBUSY: it has too many
 * connections. */
int stoa_connect(const char *address, const struct stoa_connect_options *options,
                 struct stoa **out_stoa, struct stoa_detail *detail);

/* Finish what was submitted (completions not reaped are dropped), apply, checkpoint, close. No
 * other call with the handle may be under way. The handle is gone whatever is returned, but for
 * STOA_EBUSY: views have not been released (DETAIL says how many); the store stays open, release
 * them and close again. NULL is allowed. */
int stoa_close(struct stoa *stoa, struct stoa_detail *detail);

/* The handle will be closed soon: what takes long (a verification, an analysis, an index that is
 * made anew, jobs of upkeep) ends with STOA_ECANCELED, as does what comes of that kind from now on,
 * and nothing that failed is tried again. All else goes on. stoa_close does this first; a host that
 * lets requests end before it closes calls it ahead. Returns when that has ended. Of a store in
 * another process: nothing. NULL is allowed. */
void stoa_prepare_close(struct stoa *stoa);

/* ---- storing ---- */

/* Parts of verification that a caller may turn off. */
enum {
    STOA_SKIP_TRANSACTIONS_ROOT = 1 << 0,
    STOA_SKIP_UNCLES_HASH = 1 << 1,
    STOA_SKIP_WITHDRAWALS_ROOT = 1 << 2,
    STOA_SKIP_RECEIPTS = 1 << 3, /* receipts root, bloom, gas */
    STOA_SKIP_SENDERS =
        1 << 4, /* do not recover senders: those given are taken, or none are kept */
    STOA_SKIP_STATE_ROOT =
        1 << 5, /* of blocks with STOA_STORE_STATE; it is computed all the same */
    STOA_SKIP_ALL = (1 << 6) - 1,
};

/* One change of the raw key-value state: VALUE replaces what KEY had; a NULL value.data removes it.
 */
struct stoa_change {
    struct stoa_bytes key; /* 1 to 128 bytes */
    struct stoa_bytes value;
};

/* What a block makes of an account. The hash of no code is Keccak-256 of nothing. */
struct stoa_account_change {
    uint8_t address[20];
    unsigned flags; /* STOA_ACCOUNT_… */
    uint64_t nonce;
    uint8_t balance[32]; /* big-endian */
    uint8_t code_hash[32];
};

enum {
    STOA_ACCOUNT_REMOVED = 1 << 0, /* it is gone, with its storage; the fields are not looked at */
    STOA_ACCOUNT_WIPED = 1 << 1, /* it was removed and made again: only slots of this block hold */
};

/* What a block makes of a slot of an account's storage. */
struct stoa_slot_change {
    uint8_t address[20];
    uint8_t slot[32];  /* its number, big-endian */
    uint8_t value[32]; /* zero: cleared */
};

/* A block to store. All it points at stays valid and unchanged until the call or the completion. */
struct stoa_store_block {
    size_t size;
    struct stoa_bytes block; /* RLP as the chain has it */
    struct stoa_bytes
        receipts; /* RLP list (legacy receipts as lists, typed as strings); data NULL: none */
    const uint8_t *expected_hash;      /* 32 bytes; NULL: whatever it hashes to */
    const uint8_t *senders;            /* 20 bytes a transaction; NULL: recovered unless skipped */
    const struct stoa_change *changes; /* state changes of the block; at most one a key */
    size_t change_count;
    struct stoa_bytes envelope;   /* opaque, kept with the block; data NULL: none */
    const uint8_t *envelope_hash; /* 32 bytes, with an envelope: the block is found by it as well */
    unsigned skip;                /* STOA_SKIP_… */
    unsigned flags;               /* STOA_STORE_… */
    /* With STOA_STORE_STATE: at most one change an account and one a slot. */
    const struct stoa_account_change *accounts;
    size_t account_count;
    const struct stoa_slot_change *slots;
    size_t slot_count;
    const struct stoa_bytes *codes; /* those that the block brought */
    size_t code_count;
};
#define STOA_STORE_BLOCK_INIT                                                                  \
    {                                                                                          \
        sizeof(struct stoa_store_block), {NULL, 0}, {NULL, 0}, NULL, NULL, NULL, 0, {NULL, 0}, \
            NULL, 0, 0, NULL, 0, NULL, 0, NULL, 0                                              \
    }

enum {
    STOA_STORE_SIDE = 1 << 0,      /* keep it readable by hash, leave the canonical chain alone; the
                                      parent must be stored */
    STOA_STORE_CANONICAL = 1 << 1, /* it becomes the head, whatever branch its parent is on: the
                                      change of branch is one step with storing it, and refused
                                      as stoa_update_head would. Not with STOA_STORE_SIDE */
    STOA_STORE_STATE = 1 << 2,     /* accounts, slots and codes are all that the block changed. From
                                      a block on that is stored without, the state is not known */
};

/* Store durably; without STOA_STORE_SIDE the block's parent is the head, and it becomes the head.
 * STOA_EREFUSED and STOA_EINVAL name the field in DETAIL; STOA_EEXISTS: stored already, nothing
 * changed. STOA_ESTOPPED: a write or flush failed, and the block may have been stored: store it
 * again. STOA_EREADONLY: the store could not be mended. */
int stoa_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                     struct stoa_detail *detail);

/* The receipts of a block that was stored without them, canonical or not. */
struct stoa_store_receipts {
    size_t size;
    const uint8_t *block_hash;  /* 32 bytes; its envelope's will do */
    struct stoa_bytes receipts; /* as struct stoa_store_block has them */
    unsigned skip;              /* STOA_SKIP_RECEIPTS: do not hold them against the header */
};
#define STOA_STORE_RECEIPTS_INIT                    \
    {                                               \
        .size = sizeof(struct stoa_store_receipts), \
    }

/* Store them durably, and index their logs: from then on it is as if they had come with the block,
 * which is written once more for that. STOA_ENOTFOUND: the block is not stored; STOA_EEXISTS: it
 * has receipts; STOA_EREFUSED, STOA_EINVAL: they are not its receipts, DETAIL says why; STOA_EBUSY:
 * an index is being made anew. Logs have no message of their own (STOA_MESSAGE_STORE_LOGS is
 * answered with STOA_ENOTSUP): only in its receipts can a block's header vouch for them. */
int stoa_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                        struct stoa_detail *detail);

/* Changes of the raw state that come without a block: all of them or none, and readable at once. Of
 * a key that is named twice the last change counts. Changes that wait together become one frame of
 * the ledger, with each key once; each call is answered on its own.
 *
 * They belong to the block that is the head when they take effect, in the order of stores: they are
 * versions at its height, above what the block itself changed (stoa_get_state_at), leave the
 * canonical chain when that block leaves it, and come back with it. */
struct stoa_state_update {
    size_t size;
    const struct stoa_change *changes;
    size_t change_count; /* 1 at least */
};
#define STOA_STATE_UPDATE_INIT                   \
    {                                            \
        .size = sizeof(struct stoa_state_update) \
    }

/* STOA_EREFUSED: the store has no block yet. STOA_EINVAL, STOA_ETOOBIG: DETAIL names the change. */
int stoa_update_state(struct stoa *stoa, const struct stoa_state_update *update,
                      struct stoa_detail *detail);

enum stoa_item_kind {
    STOA_ITEM_PUT,    /* KEY has VALUE, which may be empty */
    STOA_ITEM_DELETE, /* KEY has none */
    STOA_ITEM_BLOCK,  /* BLOCK is stored, with all that goes with it, as stoa_store_block does */
    STOA_ITEM_HEAD,   /* HASH is the head, as stoa_update_head makes it */
};

struct stoa_item {
    int kind;
    struct stoa_bytes key; /* raw, 1 to 128 bytes */
    struct stoa_bytes value;
    const struct stoa_store_block *block;
    const uint8_t *hash; /* 32 bytes */
};

/* Several changes as one: all of them or none, durable and readable at the same moment, and after a
 * crash all or none. An item that is refused refuses the whole, and DETAIL names it.
 *
 * Any number of blocks, with their receipts and changes, each behind its parent; the flags of each
 * say what it is to the chain that the items before it make. One change of head at most, behind the
 * blocks, to one of them or to a stored block: then that is the head, whatever their flags say.
 * What is put and deleted belongs to the block that is the head afterwards (see stoa_state_update),
 * above what that block's own changes say; of a key that is named twice the last item counts.
 * STOA_EEXISTS: a block is stored already. The first block of an empty store is stored alone. */
struct stoa_batch {
    size_t size;
    const struct stoa_item *items;
    size_t item_count; /* 1 at least */
};
#define STOA_BATCH_INIT                   \
    {                                     \
        .size = sizeof(struct stoa_batch) \
    }

int stoa_batch_write(struct stoa *stoa, const struct stoa_batch *batch, struct stoa_detail *detail);

/* ---- branches ---- */

/* Make the stored block HASH the head. Its branch, down to where it forks off the canonical chain,
 * becomes canonical: heights, transactions, receipts, logs and state of the blocks above the fork
 * are those of the new branch from the moment this returns, in every query, and after any crash
 * either all of them or none. The blocks that leave the chain stay readable by hash. HASH may also
 * be a block of the canonical chain: what is above it leaves. 0 where it is the head already.
 *
 * Takes effect in the order of stores. STOA_ENOTFOUND: no such block. STOA_EREFUSED: the branch
 * forks off below the finalized block, or deeper than unwind_max. STOA_ECORRUPT: a frame of either
 * branch is damaged; nothing has changed. */
int stoa_update_head(struct stoa *stoa, const uint8_t hash[32], struct stoa_detail *detail);

struct stoa_block_key;

/* The finalized block, of the canonical chain: neither it nor what is below it ever leaves the
 * chain. It only rises: STOA_EREFUSED where it is above KEY's block, or that is not canonical. The
 * safe block is never below it. Durable when this returns. */
int stoa_set_finalized(struct stoa *stoa, const struct stoa_block_key *key,
                       struct stoa_detail *detail);

/* The safe block, of the canonical chain. It only rises, but for a change of branch below it, which
 * takes it back to where the branches part. */
int stoa_set_safe(struct stoa *stoa, const struct stoa_block_key *key, struct stoa_detail *detail);

/* A branch, by its tip: the head, or a block off the canonical chain that no other builds on. */
struct stoa_branch {
    uint8_t hash[32];
    uint64_t height;
    uint8_t total_difficulty[32];
    int canonical;        /* it is the head */
    uint64_t fork_height; /* the highest block that it shares with the canonical chain */
    uint8_t fork_hash[32];
};

/* The tips from which stoa_update_head can choose, the head first, then by falling total
 * difficulty: up to CAPACITY of them. *OUT_COUNT is how many there are. */
int stoa_get_branches(struct stoa *stoa, struct stoa_branch *out, size_t capacity,
                      size_t *out_count, struct stoa_detail *detail);

/* ---- reading ---- */

enum { STOA_BY_HEIGHT, STOA_BY_HASH, STOA_LATEST };

/* Which block: by height of the canonical chain, by its hash (or its envelope's), or the head. With
 * ALONE not 0 stoa_get_block need not bring what is stored with the block (receipts, senders,
 * envelope): it reads less then. */
struct stoa_block_key {
    int by;
    uint64_t height;
    uint8_t hash[32];
    int alone;
};

/* A stored block: views into the store's memory until stoa_release. */
struct stoa_block {
    uint8_t hash[32];
    uint64_t height;
    uint8_t
        total_difficulty[32]; /* big-endian: sum of difficulties from the genesis to this block */
    int canonical;
    struct stoa_bytes block;    /* RLP */
    struct stoa_bytes receipts; /* RLP list; data NULL: none are stored */
    struct stoa_bytes senders;  /* 20 bytes a transaction; data NULL: none are stored */
    struct stoa_bytes envelope;
    struct stoa_view *view; /* what stoa_release takes */
    int receipts_pruned;    /* not 0: they were stored, but are not kept any more */
};

/* STOA_ENOTFOUND, STOA_ECORRUPT (file, offset and height in DETAIL); STOA_EPRUNED: only its header
 * is kept, DETAIL names the heights of which all is. */
int stoa_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                   struct stoa_block *out_block, struct stoa_detail *detail);

/* A block's header alone. */
struct stoa_header {
    uint8_t hash[32];
    uint64_t height;
    uint8_t total_difficulty[32];
    int canonical;
    struct stoa_bytes header; /* RLP */
    struct stoa_view *view;   /* what stoa_release takes; NULL in a range */
};

/* As stoa_get_block. */
int stoa_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                    struct stoa_header *out_header, struct stoa_detail *detail);

/* 0: it is stored, on the canonical chain where it is asked for by height. STOA_ENOTFOUND: it is
 * not. Looks it up and does not read it. */
int stoa_block_exists(struct stoa *stoa, const struct stoa_block_key *key,
                      struct stoa_detail *detail);

struct stoa_transaction {
    struct stoa_block block; /* its block; release this one's view */
    uint32_t index;
    uint8_t hash[32];
    struct stoa_bytes transaction; /* consensus encoding: list, or type byte and payload */
    struct stoa_bytes receipt;     /* consensus encoding; data NULL: none is stored */
    const uint8_t *sender;         /* 20 bytes, or NULL */
};

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail);

/* The same of PARTS of it (STOA_PART_… together, not 0): what else there is need not come, and of
 * the block no more than hash, height and view. Where the block is large and not in the cache, some
 * KiB are read then in its place; over a socket nothing else is sent. */
enum {
    STOA_PART_TRANSACTION = 1 << 0,
    STOA_PART_RECEIPT = 1 << 1,
    STOA_PART_SENDER = 1 << 2,
};
int stoa_get_transaction_parts(struct stoa *stoa, const uint8_t hash[32], unsigned parts,
                               struct stoa_transaction *out_transaction,
                               struct stoa_detail *detail);

/* Current value of a raw state key: an owned copy that the caller frees with stoa_free. */
int stoa_get_state(struct stoa *stoa, struct stoa_bytes key, struct stoa_bytes *out_value,
                   struct stoa_detail *detail);
void stoa_free(void *pointer);

/* What an address has to do with a transaction. */
enum {
    STOA_ROLE_SENDER = 1 << 0,
    STOA_ROLE_RECIPIENT = 1 << 1,
    STOA_ROLE_CREATED = 1 << 2,    /* the contract that the transaction creates, if it succeeds */
    STOA_ROLE_WITHDRAWAL = 1 << 3, /* receives a withdrawal or peg-in of the block */
    STOA_ROLE_EMITTER = 1 << 4,    /* its logs are in the transaction's receipt */
    STOA_ROLE_ALL = (1 << 5) - 1,
};

/* ---- queries ----
 *
 * Each is answered over one state of the chain: where the branch changes meanwhile it is made
 * again, STOA_EBUSY where that happens too often. What comes after LIMIT answers, or after TIME_MS,
 * is asked for with the cursor of the answer: then MORE is not 0. A cursor is good as long as the
 * block that it was made at is canonical; STOA_EBUSY: it is not, begin again. */

enum {
    STOA_MISSING_RECEIPTS = 1 << 0, /* of some block in the range: its logs are not known */
    STOA_MISSING_SENDERS = 1 << 1,  /* likewise: who sent its transactions is not known */
};

/* Where to go on. Its content is the store's. */
struct stoa_cursor {
    uint64_t spot; /* 0 with ANCHOR_HEIGHT 0 and no hash: from the start */
    uint64_t anchor_height;
    uint8_t anchor_hash[32];
};

/* Alternatives for a log's topic at one place; COUNT 0: any, but there must be one. */
struct stoa_topics {
    const uint8_t *topics; /* 32 bytes each */
    size_t count;
};

struct stoa_log_filter {
    size_t size;
    const uint8_t *block_hash; /* logs of this block, whatever its branch; NULL: of a range */
    uint64_t from;             /* of the canonical chain, both included */
    uint64_t to;               /* above the head: up to it */
    const uint8_t *addresses;  /* 20 bytes each, any of them; */
    size_t address_count;      /* 0: of any address */
    struct stoa_topics topics[4];
    unsigned topic_count; /* a log with fewer topics does not match */
    unsigned limit;       /* logs; 0: 10,000 */
    unsigned time_ms;     /* 0: as long as it takes */
    int allow_missing;    /* 0: a range with blocks whose receipts are not stored is refused */
    struct stoa_cursor cursor;
};
#define STOA_LOG_FILTER_INIT                                      \
    {                                                             \
        .size = sizeof(struct stoa_log_filter), .to = UINT64_MAX, \
    }

enum { STOA_LOG_ALTERNATIVES_MAX = 1000 }; /* addresses and topics of a filter, all together */

struct stoa_log {
    uint8_t address[20];
    uint8_t topics[4][32];
    unsigned topic_count;
    struct stoa_bytes data;
    uint64_t height;
    uint64_t timestamp; /* of the block */
    uint8_t block_hash[32];
    uint8_t transaction_hash[32];
    uint32_t transaction_index;
    uint32_t log_index; /* in the block */
};

/* In order of height and index. */
struct stoa_logs {
    struct stoa_log *logs; /* owned, with their data: stoa_free, also where COUNT is 0 */
    size_t count;
    int more;
    struct stoa_cursor cursor;
    unsigned missing;        /* STOA_MISSING_RECEIPTS, where allowed */
    uint64_t missing_height; /* the first of them */
};

/* STOA_ENOTFOUND: the block of BLOCK_HASH is not stored, or receipts in the range are not (DETAIL
 * names the first height). STOA_EINVAL: from above to, too many alternatives. */
int stoa_query_logs(struct stoa *stoa, const struct stoa_log_filter *filter,
                    struct stoa_logs *out_logs, struct stoa_detail *detail);

struct stoa_history_query {
    size_t size;
    uint8_t address[20];
    unsigned roles;   /* STOA_ROLE_…; 0: all */
    int oldest_first; /* 0: newest first */
    uint64_t from;    /* heights, both included */
    uint64_t to;      /* above the head: up to it */
    unsigned limit;   /* 0: 50; at most 10,000 */
    unsigned time_ms; /* 0: as long as it takes */
    struct stoa_cursor cursor;
};
#define STOA_HISTORY_QUERY_INIT                                      \
    {                                                                \
        .size = sizeof(struct stoa_history_query), .to = UINT64_MAX, \
    }

/* In a block its withdrawals (which make one entry) come after its transactions. */
struct stoa_history_entry {
    uint64_t height;
    uint32_t index;               /* of the transaction; 0 for withdrawals */
    unsigned roles;               /* STOA_ROLE_…; STOA_ROLE_WITHDRAWAL alone: no transaction */
    uint8_t transaction_hash[32]; /* zeros for withdrawals */
    uint8_t block_hash[32];
    uint64_t timestamp;
};

struct stoa_history {
    struct stoa_history_entry *entries; /* owned: stoa_free, also where COUNT is 0 */
    size_t count;
    int more;
    struct stoa_cursor cursor;
    unsigned missing; /* STOA_MISSING_…: the range has blocks that cannot tell of some roles */
};

/* The transactions that an address has to do with. Never STOA_ENOTFOUND: none is an answer. */
int stoa_get_address_transactions(struct stoa *stoa, const struct stoa_history_query *query,
                                  struct stoa_history *out_history, struct stoa_detail *detail);

enum { STOA_RANGE_MAX = 1000 };

/* Blocks of the canonical chain from height FROM on, COUNT at most (1 to STOA_RANGE_MAX), as many
 * as are there and fit 64 MiB, but one at least: *OUT_COUNT. All of one branch: each is the parent
 * of the next. Release each. STOA_ENOTFOUND: the first is not there. */
struct stoa_block_range {
    uint64_t from;
    size_t count;
};
int stoa_get_block_range(struct stoa *stoa, const struct stoa_block_range *range,
                         struct stoa_block *out_blocks, size_t *out_count,
                         struct stoa_detail *detail);

/* The headers of such a range, as many as are there. */
struct stoa_headers {
    struct stoa_header *headers; /* owned, with what they point at: stoa_free; no views */
    size_t count;
};
int stoa_get_header_range(struct stoa *stoa, const struct stoa_block_range *range,
                          struct stoa_headers *out_headers, struct stoa_detail *detail);

/* stoa_get_state without a copy: VALUE lives until stoa_release of VIEW. */
struct stoa_value {
    struct stoa_bytes value;
    struct stoa_view *view;
};

int stoa_get_state_view(struct stoa *stoa, struct stoa_bytes key, struct stoa_value *out_value,
                        struct stoa_detail *detail);

/* What a block changed in the state, by itself and by updates while it was the head. */
struct stoa_slot_changed {
    uint8_t address[20];
    uint8_t slot_hash[32]; /* Keccak-256 of its number */
    uint8_t value[32];     /* zero: cleared */
};

struct stoa_block_changes {
    uint8_t hash[32];
    uint64_t height;
    int complete; /* 1: all that it changed in accounts, storage and code (STOA_STORE_STATE) */
    const struct stoa_account_change *accounts;
    size_t account_count;
    const struct stoa_slot_changed *slots;
    size_t slot_count;
    const struct stoa_bytes *codes;
    size_t code_count;
    const struct stoa_change *changes; /* of raw keys, in their order, the last of each */
    size_t change_count;
};

/* The changes of a block, on any branch. All of OUT_CHANGES is one piece of memory: stoa_free.
 * STOA_ENOTFOUND, STOA_ECORRUPT. */
int stoa_get_block_changes(struct stoa *stoa, const struct stoa_block_key *key,
                           struct stoa_block_changes **out_changes, struct stoa_detail *detail);

#define STOA_AT_HEAD UINT64_MAX

/* The same as of HEIGHT of the canonical chain, or STOA_AT_HEAD. STOA_ENOTFOUND also where the
 * chain is not that high. */
struct stoa_state_at {
    struct stoa_bytes key;
    uint64_t height;
};
int stoa_get_state_at(struct stoa *stoa, const struct stoa_state_at *at,
                      struct stoa_bytes *out_value, struct stoa_detail *detail);

/* What of the state of accounts: as of HEIGHT, or STOA_AT_HEAD. The genesis file's accounts are the
 * state at height 0; later blocks have one where all up to them were stored with STOA_STORE_STATE.
 * STOA_EPRUNED: it is not kept any more; DETAIL names what is. STOA_ENOTSUP: the state at that
 * height is not known, and DETAIL names a block that was stored without. STOA_ENOTFOUND: the chain
 * is not that high (DETAIL says so), or there is no such account or code. */
struct stoa_state_query {
    uint8_t address[20];
    uint8_t slot[32]; /* of storage: its number; of code: its hash */
    uint64_t height;
};

struct stoa_account {
    uint64_t nonce;
    uint8_t balance[32]; /* big-endian */
    uint8_t code_hash[32];
};

int stoa_get_account(struct stoa *stoa, const struct stoa_state_query *query,
                     struct stoa_account *out_account, struct stoa_detail *detail);

/* Zero where there is no such slot or account. */
int stoa_get_storage(struct stoa *stoa, const struct stoa_state_query *query, uint8_t out_value[32],
                     struct stoa_detail *detail);

/* An owned copy, stoa_free. */
int stoa_get_code(struct stoa *stoa, const struct stoa_state_query *query,
                  struct stoa_bytes *out_code, struct stoa_detail *detail);

struct stoa_head {
    int empty; /* 1: no block yet; the rest is then 0 */
    uint64_t height;
    uint8_t hash[32];
    uint8_t total_difficulty[32];
    uint8_t genesis_hash[32];
    uint64_t chain_id; /* 0: unknown */
    int has_safe;      /* stoa_set_safe; never below the finalized block */
    uint64_t safe_height;
    uint8_t safe_hash[32];
    int has_finalized; /* stoa_set_finalized */
    uint64_t finalized_height;
    uint8_t finalized_hash[32];
};

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head);

/* Give back what a view shows. From any thread; NULL is allowed. */
void stoa_release(struct stoa_view *view);

/* ---- messages, many at once ---- */

/* Every message of a store, by stoa/message.def. */
enum stoa_message {
    STOA_MESSAGE_NONE = 0,
#define STOA_MESSAGE(name, text, priority, kind) STOA_MESSAGE_##name,
#include "stoa/message.def"
#undef STOA_MESSAGE
    STOA_MESSAGE_END
};

/* "StoreBlock"; "None" for what is none. */
const char *stoa_message_name(enum stoa_message message);

/* Of messages that wait, those of a higher priority go first, eight for four for two for one, so
 * that low ones never starve. Messages of one thread and one priority keep their order. */
enum stoa_priority {
    STOA_PRIORITY_DEFAULT = 0, /* the message's own, see stoa/message.def */
    STOA_PRIORITY_LOW,
    STOA_PRIORITY_NORMAL,
    STOA_PRIORITY_HIGH,
    STOA_PRIORITY_CRITICAL,
};

/* How to treat a message. NULL in place of one: the defaults. */
struct stoa_call {
    size_t size;
    uint64_t tag;            /* the submitter's, comes back in the completion */
    uint64_t correlation_id; /* 0: one is made, unique within the handle, from 1 << 63 on */
    int priority;            /* STOA_PRIORITY_… */
    int durability;          /* STOA_DURABLE, STOA_BUFFERED */
    /* After this time, from the submission on, it is answered with STOA_ETIMEOUT, whatever it waits
     * for. 0: no deadline. A store with a deadline is copied when it is submitted. Until then what
     * fails in a way that can pass (STOA_EBUSY, STOA_ENOMEM, STOA_ENOSPACE; STOA_EIO of a read) is
     * tried again, after 500 ms and then twice as long each time, up to a minute, half of it drawn
     * by lot; without a deadline the first failure is the answer. Stores of later blocks do not
     * wait for one that is tried again: they are refused. What was not done of a write in its time
     * becomes a dead letter. While the store verifies on request, deadlines wait. */
    uint32_t deadline_ms;
    unsigned flags; /* STOA_CALL_… */
    unsigned parts; /* of a transaction's get: STOA_PART_…, as stoa_get_transaction_parts. 0: all */
};
enum {
    STOA_CALL_NO_RETRY = 1 << 0, /* answer the first failure; no dead letter */
    STOA_CALL_MORE = 1 << 1, /* another follows at once: over a socket they are sent together, at
                                the latest by stoa_reap. Else it is of no account */
};
enum {
    STOA_DURABLE, /* a store is answered when it is on stable storage and readable */
    STOA_BUFFERED /* of a stored block or changes of state: answered when verified and given to the
                     ledger. Readable soon, durable after stoa_sync. Copied when submitted */
};
#define STOA_CALL_INIT                    \
    {                                     \
        .size = sizeof(struct stoa_call), \
    }

/* In C, a call that carries no more than a tag. It lives as long as the block it stands in. */
#define STOA_TAG(value) \
    (&(const struct stoa_call){.size = sizeof(struct stoa_call), .tag = (value)})

/* What became of a message that failed. */
enum stoa_effect {
    STOA_EFFECT_DONE,    /* it did not fail */
    STOA_EFFECT_NONE,    /* nothing was done */
    STOA_EFFECT_UNKNOWN, /* it may have been done: the next open tells. Storing the block again is
                            safe (STOA_EEXISTS where it was) */
};

struct stoa_stats;
struct stoa_cache_stats;
struct stoa_health;
struct stoa_verify_report;
struct stoa_damage;
struct stoa_analysis;
struct stoa_job_info;
struct stoa_job_options;
struct stoa_copy_info;
struct stoa_archive;
struct stoa_storage;

/* What was submitted, done. */
struct stoa_completion {
    uint64_t tag;
    uint64_t correlation_id;
    enum stoa_message message;
    enum stoa_effect effect;
    unsigned tries; /* how often it was tried */
    int result;
    struct stoa_block block;             /* of a get */
    struct stoa_transaction transaction; /* of a transaction's get: then use this, not block */
    struct stoa_bytes value; /* of a get of state, storage (32 bytes) or code: owned, stoa_free */
    struct stoa_account account; /* of an account's get */
    struct stoa_proof *proof;    /* of a proof: owned, stoa_free */
    struct stoa_logs logs;       /* of a query of logs */
    struct stoa_history history; /* of an address's transactions */
    struct stoa_block *blocks;   /* of a range: BLOCK_COUNT of them, stoa_free; */
    size_t block_count;          /* release each */
    struct stoa_header header;   /* of one; release it */
    struct stoa_headers headers; /* of a range of headers */
    struct stoa_head head;       /* of the head */
    /* Of what is asked of the store itself, by their names; of a verification also where it found
     * damage. Owned, stoa_free. */
    struct stoa_stats *stats;
    struct stoa_cache_stats *cache_stats;
    struct stoa_health *health;
    struct stoa_branch *branches; /* BRANCH_COUNT of them, as stoa_get_branches */
    size_t branch_count;
    struct stoa_verify_report *verified;
    struct stoa_damage *damages; /* DAMAGE_COUNT of them, with their texts */
    size_t damage_count;
    struct stoa_analysis *analysis;
    struct stoa_job_info *jobs; /* of a job that was run with options: how it ended, also where it
                                   failed; of a list: all. JOB_COUNT of them, stoa_free */
    size_t job_count;
    struct stoa_copy_info *copies; /* of a list of snapshots: COPY_COUNT of them, with their texts.
                                      stoa_free */
    size_t copy_count;
    struct stoa_archive *archive; /* of a query of the archive: owned, stoa_free */
    struct stoa_storage *storage; /* of a query of the storage: likewise */
    uint8_t
        hash[32]; /* of a store: the block's; of an update: its block's; of a state root: that */
    uint64_t height;
    struct stoa_detail detail;
};

/* STOA_EBUSY: too many are under way; reap first. Stores take effect in the order submitted; when
 * one fails, later ones that build on it fail as well. They complete in that order where they
 * succeed; a refusal may come before the answers of stores submitted earlier. */
int stoa_submit_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                            const struct stoa_call *call);
int stoa_submit_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                               const struct stoa_call *call);
int stoa_submit_update_state(struct stoa *stoa, const struct stoa_state_update *update,
                             const struct stoa_call *call);
int stoa_submit_batch_write(struct stoa *stoa, const struct stoa_batch *batch,
                            const struct stoa_call *call);
int stoa_submit_update_head(struct stoa *stoa, const uint8_t hash[32],
                            const struct stoa_call *call);
int stoa_submit_set_finalized(struct stoa *stoa, const struct stoa_block_key *key,
                              const struct stoa_call *call);
int stoa_submit_set_safe(struct stoa *stoa, const struct stoa_block_key *key,
                         const struct stoa_call *call);
int stoa_submit_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                          const struct stoa_call *call);
int stoa_submit_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                           const struct stoa_call *call);
int stoa_submit_block_exists(struct stoa *stoa, const struct stoa_block_key *key,
                             const struct stoa_call *call);
int stoa_submit_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                                const struct stoa_call *call);
int stoa_submit_get_state(struct stoa *stoa, struct stoa_bytes key,
                          const struct stoa_call *call); /* KEY is copied */

/* What the filter or query points at is the caller's until the completion. */
int stoa_submit_query_logs(struct stoa *stoa, const struct stoa_log_filter *filter,
                           const struct stoa_call *call);
int stoa_submit_get_address_transactions(struct stoa *stoa, const struct stoa_history_query *query,
                                         const struct stoa_call *call);
int stoa_submit_get_block_range(struct stoa *stoa, const struct stoa_block_range *range,
                                const struct stoa_call *call);
int stoa_submit_get_header_range(struct stoa *stoa, const struct stoa_block_range *range,
                                 const struct stoa_call *call);
int stoa_submit_get_state_at(struct stoa *stoa, const struct stoa_state_at *at,
                             const struct stoa_call *call);
int stoa_submit_get_account(struct stoa *stoa, const struct stoa_state_query *query,
                            const struct stoa_call *call);
int stoa_submit_get_storage(struct stoa *stoa, const struct stoa_state_query *query,
                            const struct stoa_call *call);
int stoa_submit_get_code(struct stoa *stoa, const struct stoa_state_query *query,
                         const struct stoa_call *call);
struct stoa_proof_query;
int stoa_submit_get_proof(struct stoa *stoa, const struct stoa_proof_query *query,
                          const struct stoa_call *call); /* the slots are copied */
int stoa_submit_get_state_root(struct stoa *stoa, uint64_t height, const struct stoa_call *call);

/* What is asked of the store itself, and upkeep. A checkpoint and an index that is made anew let
 * all else go on; a verification and an analysis do not. */
int stoa_submit_get_head(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_get_branches(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_get_stats(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_get_cache_stats(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_get_health(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_checkpoint(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_verify(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_verify_deep(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_analyze(struct stoa *stoa, const struct stoa_call *call);
/* As stoa_rebuild_index; stoa_cancel and its deadline stop it. */
int stoa_submit_rebuild_index(struct stoa *stoa, int index, const struct stoa_call *call);
/* As stoa_run_job; OPTIONS are copied. A deadline, and stoa_cancel, end it. */
int stoa_submit_job(struct stoa *stoa, const struct stoa_job_options *options,
                    const struct stoa_call *call);
int stoa_submit_list_jobs(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_flush_cache(struct stoa *stoa, const struct stoa_call *call);
int stoa_submit_warm_cache(struct stoa *stoa, const struct stoa_call *call);

/* Any message by its number, for programs that pass messages on. ARGUMENT is what the typed form
 * takes (a struct stoa_store_block, struct stoa_state_update, struct stoa_batch, struct
 * stoa_block_key, 32 bytes of hash, struct stoa_bytes, struct stoa_state_at, struct
 * stoa_state_query, struct stoa_proof_query, a height, an int of an index or a job, struct
 * stoa_job_options; NULL of those without).
 * GetReceipt is answered as GetTransaction, GetBlockReceipts as GetBlock: with all of it.
 * STOA_ENOTSUP: this version does not serve it. */
int stoa_submit(struct stoa *stoa, enum stoa_message message, const void *argument,
                const struct stoa_call *call);

/* The same, and wait for its completion. Returns the completion's result. */
int stoa_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
             const struct stoa_call *call, struct stoa_completion *out_completion);

/* Take a message back. 0: it is completed with STOA_ECANCELED, nothing of it was done.
 * STOA_ENOTFOUND: none with this id is under way, or it was answered already. STOA_EBUSY: it is a
 * write, or a query of logs without a deadline, and too late for that: it completes as it would
 * have. Of several with one id the first is meant. */
int stoa_cancel(struct stoa *stoa, uint64_t correlation_id);

/* Wait until every buffered store that was answered is durable. Where one of them was not to be
 * made durable since the last stoa_sync, this says why; blocks that build on it were not stored
 * either. */
int stoa_sync(struct stoa *stoa, struct stoa_detail *detail);

/* Take up to COUNT completions of submitted calls, waiting up to TIMEOUT_MS (-1: for ever) for the
 * first. Returns how many. 0 where the time passed, or at once where nothing is under way. */
int stoa_reap(struct stoa *stoa, struct stoa_completion *out, unsigned count, int timeout_ms);

/* A descriptor to poll: readable exactly while there is a completion to reap. Owned by the handle.
 * Or a negative STOA_E…. */
int stoa_completion_fd(struct stoa *stoa);

/* ---- dead letters ---- */

/* Writes that had a deadline and were not done in their time: 10,000 at most, 64 MiB at most, for
 * an hour; what comes on top pushes out the oldest. They are kept in memory and end with the
 * handle. (Reads are not kept: nobody waits for them any more.) */
struct stoa_dead_letter {
    uint64_t id; /* of the letter, from 1 on */
    uint64_t correlation_id;
    enum stoa_message message;
    int reason; /* what it was answered with last */
    unsigned tries;
    uint64_t age_ms; /* since it came in, or came back */
    uint64_t bytes;
    char text[128]; /* the reason, for a person */
};

/* The oldest CAPACITY of them. *OUT_COUNT is how many there are. */
int stoa_dead_letters_list(struct stoa *stoa, struct stoa_dead_letter *out, size_t capacity,
                           size_t *out_count);

/* Try a letter again, once, and wait for its result. It is gone where that is 0, or STOA_EEXISTS;
 * otherwise it is back in the box, with its new reason. STOA_ENOTFOUND: there is none with ID. */
int stoa_dead_letters_retry(struct stoa *stoa, uint64_t id, struct stoa_detail *detail);

/* Forget the letter, or all with id 0. STOA_ENOTFOUND. */
int stoa_dead_letters_drop(struct stoa *stoa, uint64_t id);

/* Since the store was opened. */
struct stoa_dead_letter_counts {
    size_t size;
    uint64_t kept;       /* now */
    uint64_t kept_bytes; /* now */
    uint64_t added;      /* those that came back too */
    uint64_t retried;
    uint64_t dropped;   /* by stoa_dead_letters_drop */
    uint64_t aged;      /* let go of after an hour */
    uint64_t displaced; /* pushed out by newer ones, or too big to be kept */
};
#define STOA_DEAD_LETTER_COUNTS_INIT                   \
    {                                                  \
        .size = sizeof(struct stoa_dead_letter_counts) \
    }

int stoa_dead_letters_count(struct stoa *stoa, struct stoa_dead_letter_counts *out_counts);

/* ---- upkeep ---- */

/* Apply everything to the tables and make them durable, so that the next open replays nothing. */
int stoa_checkpoint(struct stoa *stoa, struct stoa_detail *detail);

struct stoa_damage {
    const char *file;
    uint64_t offset;
    uint64_t size;
    uint64_t height;
    int has_height;
    const char *what;
};

struct stoa_verify_report {
    uint64_t segments;
    uint64_t frames;
    uint64_t bytes;
    uint64_t blocks;
    uint64_t transactions;
    uint64_t receipts;
    uint64_t damages;
    /* Of stoa_verify_deep. */
    uint64_t changes;    /* of blocks, found in the history */
    uint64_t roots;      /* worked out from the changes of a block */
    uint64_t full_roots; /* from all values */
    int noted; /* 1: the store keeps a note of it (stoa_query_storage); negative: why not */
};

/* Read and check everything: each byte of the ledger, each block against its header, each index
 * entry both ways, the state root as of each block. DAMAGE is called on the calling thread. Returns
 * 0, STOA_ECORRUPT where damage was found, or why it could not go on. */
int stoa_verify(struct stoa *stoa, void (*damage)(void *context, const struct stoa_damage *damage),
                void *context, struct stoa_verify_report *out_report, struct stoa_detail *detail);

/* The same, and the state from its values: the root of all of them, as of the lowest height that is
 * kept and as of the highest; that the history has each change of each block that is kept; and the
 * root that the changes of each make of the tries as of the block before. Takes long, and some 200
 * bytes of memory an account. */
int stoa_verify_deep(struct stoa *stoa,
                     void (*damage)(void *context, const struct stoa_damage *damage), void *context,
                     struct stoa_verify_report *out_report, struct stoa_detail *detail);

/* What the state is made of, as of the head; and what its history takes. */
struct stoa_analysis {
    size_t size;
    uint64_t height;
    uint64_t accounts;
    uint64_t contracts; /* of them: with code */
    uint64_t slots;
    uint64_t codes; /* every one that a block brought */
    uint64_t code_bytes;
    uint64_t raw_keys;
    uint64_t raw_bytes;           /* keys and values */
    uint64_t value_versions;      /* entries of the index of values, of all heights that are kept */
    uint64_t value_version_bytes; /* keys and values */
    uint64_t trie_branches;       /* nodes of the state's tries */
    uint64_t trie_extensions;
    uint64_t trie_leaves;
    uint64_t trie_records; /* in which they are kept */
    uint64_t trie_record_bytes;
    uint64_t trie_versions; /* as above */
    uint64_t trie_version_bytes;
};
#define STOA_ANALYSIS_INIT                   \
    {                                        \
        .size = sizeof(struct stoa_analysis) \
    }

/* Count it, by reading all of it. Other calls wait meanwhile. */
int stoa_analyze(struct stoa *stoa, struct stoa_analysis *out_analysis, struct stoa_detail *detail);

/* ---- jobs of upkeep ----
 *
 * They run beside everything else, in small steps: by their schedule (struct stoa_maintenance), or
 * when they are asked for. While blocks are written they give way. A job that was under way when
 * the process ended goes on where it was, when the store is opened again with its maintenance on,
 * or when it is asked for with the same options. */

enum {
    STOA_JOB_DRY_RUN = 1 << 0, /* find out what it would do, and do nothing */
    STOA_JOB_HURRY = 1 << 1,   /* without budget, and without giving way */
    STOA_JOB_DETACH = 1 << 2,  /* of a message: it is answered when the job has begun */
};

struct stoa_job_options {
    size_t size;
    int job;                   /* STOA_JOB_… */
    unsigned flags;            /* STOA_JOB_DRY_RUN and so on */
    uint64_t bytes_per_second; /* 0: as by schedule, also the next */
    uint64_t operations_per_second;
    uint64_t from; /* heights, of jobs that take a range */
    uint64_t to;
    const char *name; /* of what it makes, at most 63 characters; copied, as the next */
    const char *path; /* where to; at most 1,023 */
    /* STOA_JOB_PRUNE: for how many blocks back from the head values of the state, and its tries,
     * stay. 0: as they are kept now; else 64 at least. What is above the finalized block stays. */
    uint64_t keep_history;
    uint64_t keep_tries;
    /* STOA_JOB_BACKUP, whose directory is PATH: how many of the newest stay, 0: as by schedule,
     * STOA_KEEP_ALL: all; and 1 where it shares no file with the backups before. */
    unsigned keep;
    int full;
    /* STOA_JOB_PRUNE, likewise: for how many blocks back transactions, uncles and withdrawals stay
     * (headers always do), receipts, what logs and what transactions are found by. Nothing stays
     * without what it is read from: receipts no longer than transactions, logs no longer than
     * receipts. All six 0: as by schedule. */
    uint64_t keep_bodies;
    uint64_t keep_receipts;
    uint64_t keep_logs;
    uint64_t keep_transactions;
    /* STOA_JOB_ARCHIVE: for how many blocks back from the head segments stay as they are (0: as by
     * schedule, or up to the finalized block, above which all do); those with blocks FROM to TO (0:
     * any) are packed, or unpacked where UNARCHIVE is 1. */
    uint64_t archive_keep;
    int unarchive;
};
#define STOA_KEEP_ALL UINT32_MAX
#define STOA_JOB_OPTIONS_INIT                   \
    {                                           \
        .size = sizeof(struct stoa_job_options) \
    }

enum stoa_job_state {
    STOA_JOB_IDLE,
    STOA_JOB_RUNNING,
    STOA_JOB_WAITING, /* it has begun, and waits for its window, for space, for another job */
    STOA_JOB_PAUSED,  /* until it is resumed, also over restarts */
};

/* "idle", "running", "waiting", "paused". */
const char *stoa_job_state_name(int state);

enum { STOA_JOB_FACTS_MAX = 24 };

/* A result of a job, by name: "freedBytes". */
struct stoa_job_fact {
    char name[32];
    uint64_t value;
};

struct stoa_job_info {
    int job;
    int state;       /* STOA_JOB_… */
    int active;      /* 1: it has begun and not ended */
    unsigned flags;  /* it began with, STOA_JOB_… */
    int interrupted; /* 1: it was under way when the last process ended, and has not gone on */
    uint64_t done;   /* of TOTAL, in steps of the job's own size; 0 of 0: not known yet */
    uint64_t total;
    uint64_t bytes; /* that it moved, in this run or the last */
    uint64_t operations;
    uint64_t elapsed_ms;   /* of this run, or the last */
    uint64_t remaining_ms; /* estimated; UINT64_MAX: not known */
    uint64_t started; /* seconds since 1970: this run, or the last one that is known; 0: none */
    uint64_t ended;   /* the last run */
    uint64_t next;    /* when it is due by its schedule; 0: it has none */
    uint64_t runs;    /* ended, since the store was created, as far as the tables know */
    uint64_t failures;
    int last_result; /* STOA_E… */
    char last_error[160];
    char text[128]; /* what it is at, or waits for */
    unsigned fact_count;
    struct stoa_job_fact facts[STOA_JOB_FACTS_MAX]; /* of this run or the last */
};

/* "checkpoint" and so on, and what it is for; NULL for what is none. */
const char *stoa_job_name(int job);
const char *stoa_job_help(int job);

/* Begin a job, or go on with it. It goes on when this returns. STOA_EBUSY: it is under way, or
 * paused (STOA_JOB_CHECKPOINT: it will be done again). STOA_EINVAL. */
int stoa_start_job(struct stoa *stoa, const struct stoa_job_options *options,
                   struct stoa_detail *detail);

/* The same, and wait for its end. OUT_INFO (may be NULL) tells how it ended, also where that is an
 * error: STOA_ECANCELED where it was canceled or the store was closed. */
int stoa_run_job(struct stoa *stoa, const struct stoa_job_options *options,
                 struct stoa_job_info *out_info, struct stoa_detail *detail);

/* Up to CAPACITY jobs in the order of stoa/job.def. *OUT_COUNT is how many there are. */
int stoa_list_jobs(struct stoa *stoa, struct stoa_job_info *out, size_t capacity, size_t *out_count,
                   struct stoa_detail *detail);

/* A job that is paused holds still at its next step and does not begin by its schedule, until it is
 * resumed; also after the store was closed. */
int stoa_pause_job(struct stoa *stoa, int job, struct stoa_detail *detail);
int stoa_resume_job(struct stoa *stoa, int job, struct stoa_detail *detail);

/* End a job for good: what it did stays done, and it does not go on. STOA_ENOTFOUND: it does not
 * run. */
int stoa_cancel_job(struct stoa *stoa, int job, struct stoa_detail *detail);

/* The indexes that can be made anew by themselves. */
enum stoa_index {
    STOA_INDEX_TRANSACTIONS, /* where transactions are */
    STOA_INDEX_ADDRESSES,    /* which transactions addresses have to do with */
    STOA_INDEX_LOGS,         /* which blocks have logs of contracts and topics */
    STOA_INDEX_STATE,        /* the values of the state, by height */
    STOA_INDEX_HEIGHTS,      /* which block is at a height of the canonical chain */
    STOA_INDEXES
};

/* "transactions" and so on; NULL for what is none. */
const char *stoa_index_name(int index);

/* Make INDEX anew from the ledger while the store serves: what is there is used until the new one
 * takes its place, whole (heights are mended one by one), and durable when this returns. PROGRESS
 * (may be NULL) is called on the calling thread a few times a second with the blocks DONE of TOTAL,
 * and stops it with a result that is not 0. STOA_ECANCELED: it was stopped, by that, a close or
 * damaged tables; where the process ends meanwhile it is stopped as well. The next one of the same
 * index goes on where it was, but for blocks that could still leave the canonical chain.
 * STOA_EBUSY: one is under way. */
int stoa_rebuild_index(struct stoa *stoa, int index,
                       int (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       struct stoa_detail *detail);

struct stoa_stats {
    size_t size;
    uint64_t blocks; /* canonical */
    uint64_t ledger_segments;
    uint64_t ledger_bytes; /* of the files */
    uint64_t ledger_sequence;
    uint64_t applied_sequence;
    uint64_t pending_blocks; /* durable, not yet in the tables */
    uint64_t table_bytes;
    uint64_t frame_bytes;   /* appended since open */
    uint64_t written_bytes; /* to the ledger's files since open */
    uint64_t groups;        /* group commits since open */
    uint64_t appends;
    uint64_t recovered_blocks; /* replayed into the tables at open */
    uint64_t cut_bytes;        /* of a torn tail at open */
    int rebuilt_tables;        /* 1: this open rebuilt them from the ledger */
    int stopped;               /* 1: a write or flush failed; reads go on */
    char io[32];               /* "io_uring" or "threads" */
    char io_features[256];
    /* The state is known as of the heights below this: all of them, or those up to a block that was
     * stored without its changes. */
    uint64_t state_heights;
    uint64_t history_from;      /* the lowest height as of which values are kept */
    uint64_t trie_history_from; /* likewise roots and proofs */
    uint64_t bodies_from;       /* the lowest height whose transactions are kept */
    uint64_t receipts_from;     /* likewise receipts, */
    uint64_t logs_from;         /* what logs are found by, */
    uint64_t transactions_from; /* what transactions are found by */
};
#define STOA_STATS_INIT                   \
    {                                     \
        .size = sizeof(struct stoa_stats) \
    }

int stoa_get_stats(struct stoa *stoa, struct stoa_stats *out_stats);

/* ---- proofs ---- */

/* An account and slots of its storage with what proves them, as EIP-1186 has it: the encodings of
 * the trie's nodes on the way to each, the root's first. */
struct stoa_proof_slot {
    uint8_t key[32];   /* the slot's number */
    uint8_t value[32]; /* zero: there is none */
    const struct stoa_bytes *nodes;
    size_t node_count;
};

struct stoa_proof {
    uint8_t address[20];
    uint64_t nonce;
    uint8_t balance[32]; /* big-endian */
    uint8_t code_hash[32];
    uint8_t storage_root[32];
    const struct stoa_bytes *nodes;
    size_t node_count;
    const struct stoa_proof_slot *slots;
    size_t slot_count;
};

/* What is to be proved, as of HEIGHT, or STOA_AT_HEAD. */
struct stoa_proof_query {
    uint8_t address[20];
    uint64_t height;
    const uint8_t *slots; /* their numbers, 32 bytes each */
    size_t slot_count;    /* at most STOA_PROOF_SLOTS_MAX */
};
enum { STOA_PROOF_SLOTS_MAX = 1024 };

/* The account and slots of QUERY, there or not, with what proves them. All of OUT_PROOF is one
 * piece of memory: stoa_free. STOA_ENOTSUP, and STOA_ENOTFOUND where the chain is not that high: as
 * of stoa_get_account. */
int stoa_get_proof(struct stoa *stoa, const struct stoa_proof_query *query,
                   struct stoa_proof **out_proof, struct stoa_detail *detail);

/* The root of the state's trie as of HEIGHT, or STOA_AT_HEAD; errors likewise. It is that of the
 * header, but for blocks that were stored with STOA_SKIP_STATE_ROOT. */
int stoa_get_state_root(struct stoa *stoa, uint64_t height, uint8_t out_root[32],
                        struct stoa_detail *detail);

/* Whether PROOF shows all that it says in the state of STATE_ROOT (of a header that the caller
 * trusts). An account that does not exist has nonce and balance 0 and the hashes of no code and no
 * storage, or zero for them. Needs no store; any thread. 0: it does. STOA_EREFUSED: it does not;
 * DETAIL says what is wrong. STOA_EINVAL: a pointer is missing. */
int stoa_proof_verify(const uint8_t state_root[32], const struct stoa_proof *proof,
                      struct stoa_detail *detail);

/* ---- metrics ---- */

enum stoa_metric_kind { STOA_METRIC_COUNTER, STOA_METRIC_GAUGE, STOA_METRIC_HISTOGRAM };

/* One value of a row of stoa/metrics.def, in seconds, bytes or pieces. */
struct stoa_metric {
    size_t size;
    enum stoa_metric_kind kind;
    const char *name;
    const char *help;
    const char *label;       /* its name; NULL: the row has none */
    const char *label_value; /* "StoreBlock" */
    double value;            /* of a counter or gauge */
    uint64_t count;          /* of a histogram: how many values, their sum, the largest, and what */
    double sum;              /* half, 95 and 99 of a hundred values do not exceed (never too low, */
    double max;              /* at most a sixteenth too high) */
    double p50;
    double p95;
    double p99;
};

/* Tell EACH every value since open, on the calling thread; of rows with labels those that are not
 * 0. Cheap, and never waits for the store. */
int stoa_metrics_list(struct stoa *stoa,
                      void (*each)(void *context, const struct stoa_metric *metric), void *context);

/* All of them as Prometheus' text format (version 0.0.4), for an HTTP answer: an owned, terminated
 * text that the caller frees with stoa_free. OUT_SIZE (may be NULL) is without the terminator.
 * STOA_ENOMEM. */
int stoa_metrics_text(struct stoa *stoa, char **out_text, size_t *out_size);

/* "block_store_time"; NULL for what is none. */
const char *stoa_alert_name(enum stoa_alert alert);

/* ---- the cache ---- */

enum { STOA_TIER_HEAD, STOA_TIER_HOT, STOA_TIER_PACKED, STOA_TIERS };

struct stoa_cache_class_stats {
    uint64_t hits[STOA_TIERS];
    uint64_t misses;
    uint64_t stale; /* of the misses: it was there, but too old or of a branch that was left */
    uint64_t bytes[STOA_TIERS];
    uint64_t objects[STOA_TIERS];
    uint64_t budget; /* bytes */
    uint64_t inserts;
    uint64_t replaced; /* of the inserts: a newer value for a key */
    uint64_t returned; /* of the inserts: evicted a short while before */
    uint64_t evictions;
    uint64_t expirations;
    uint64_t dropped; /* because what they said was no longer so */
    uint64_t refused; /* not stored: no room, or outdated meanwhile */
};

struct stoa_cache_stats {
    size_t size;
    uint64_t limit; /* bytes; 0: there is no cache */
    uint64_t held; /* of them; above only for as long as views keep a cache that was made smaller */
    uint64_t leaving; /* evicted, and still in use by views */
    uint64_t warmed;  /* blocks and state keys read since open to warm it up */
    int warming;      /* 1: still at it; it waits for who asks, so this may take long */
    struct stoa_cache_class_stats classes[STOA_CACHE_CLASSES];
};
#define STOA_CACHE_STATS_INIT                   \
    {                                           \
        .size = sizeof(struct stoa_cache_stats) \
    }

/* "blocks" and so on; NULL for what is none. */
const char *stoa_cache_class_name(int cache_class);

int stoa_get_cache_stats(struct stoa *stoa, struct stoa_cache_stats *out_stats);

/* Change the cache's size while it is in use; budgets keep their shares. STOA_EINVAL: below 1 MiB,
 * or the store was opened without a cache. STOA_ENOMEM: no memory, or far below (an eighth of)
 * the size that the store was opened with. */
int stoa_resize_cache(struct stoa *stoa, uint64_t size, struct stoa_detail *detail);

/* Empty it. Views stay valid. */
int stoa_flush_cache(struct stoa *stoa, struct stoa_detail *detail);

/* Read the newest blocks and the state keys that were used most before the store was closed, in the
 * background, as opening does. STOA_EBUSY: that is under way. */
int stoa_warm_cache(struct stoa *stoa, struct stoa_detail *detail);

/* ---- health ---- */

enum stoa_health_state {
    STOA_HEALTHY,
    STOA_DEGRADED,  /* it serves everything, but something is not as it should be */
    STOA_READ_ONLY, /* nothing can be stored; what is stored is served */
    STOA_FAILED,    /* nor can all of it be read */
};

/* "healthy", "degraded", "read-only", "failed". */
const char *stoa_health_name(enum stoa_health_state state);

enum { STOA_REASONS_MAX = 16 };

struct stoa_reason {
    int code; /* STOA_E…; 0: an alert or another sign */
    char text[248];
};

struct stoa_health {
    size_t size;
    enum stoa_health_state state;
    unsigned reason_count;
    uint64_t version;    /* of the state and its reasons: higher after each change, from 1 */
    uint64_t violations; /* times that an alert's limit was passed, since open */
    uint32_t alerts;     /* active ones: 1 << STOA_ALERT_… */
    unsigned breakers_open;
    struct stoa_reason reasons[STOA_REASONS_MAX]; /* the worst first */
    uint64_t restarts; /* times that ledger or tables were opened again, since open */
};
#define STOA_HEALTH_INIT                   \
    {                                      \
        .size = sizeof(struct stoa_health) \
    }

/* How the store is: a copy of what it found at its last look, at most half a second ago. Cheap, any
 * thread, never waits for the store's work. */
int stoa_get_health(struct stoa *stoa, struct stoa_health *out_health);

/* Wait up to TIMEOUT_MS (-1: for ever) until its version is another than SEEN (0: at once).
 * STOA_ETIMEOUT: it did not change. */
int stoa_wait_health(struct stoa *stoa, uint64_t seen, int timeout_ms,
                     struct stoa_health *out_health);

/* A descriptor to poll: readable when health changed after the last stoa_get_health or
 * stoa_wait_health. Owned by the handle. Or a negative STOA_E…. */
int stoa_health_fd(struct stoa *stoa);

/* ---- circuit breakers ---- */

/* Kept by a caller around its calls, so that it does not press a store that fails: ask
 * stoa_breaker_allow before a call, tell stoa_breaker_report its result after. Any thread. */
struct stoa_breaker;

struct stoa_breaker_options {
    size_t size;
    unsigned failures;     /* in a row that open it. 5 */
    unsigned probes;       /* calls let through when half open, which all must succeed. 1 */
    unsigned pause_ms;     /* before it is half open; doubles each time it opens again. 500 */
    unsigned pause_max_ms; /* 60,000 */
    struct stoa *stoa;     /* whose health and metrics show it; outlives it. NULL: nobody's */
};
#define STOA_BREAKER_OPTIONS_INIT                             \
    {                                                         \
        sizeof(struct stoa_breaker_options), 0, 0, 0, 0, NULL \
    }

enum stoa_breaker_state { STOA_BREAKER_CLOSED, STOA_BREAKER_OPEN, STOA_BREAKER_HALF_OPEN };

/* OPTIONS may be NULL. STOA_EINVAL, STOA_ENOMEM. */
int stoa_breaker_create(const struct stoa_breaker_options *options,
                        struct stoa_breaker **out_breaker);
void stoa_breaker_destroy(struct stoa_breaker *breaker);

/* 0: call, then report. STOA_EBUSY: do not. */
int stoa_breaker_allow(struct stoa_breaker *breaker);

/* RESULT of the call. What speaks of the store counts as failure (STOA_EIO, ENOMEM, EBUSY,
 * ETIMEOUT, ENOSPACE, EREADONLY, ESTOPPED, ECLOSED), what speaks of the request does not. */
void stoa_breaker_report(struct stoa_breaker *breaker, int result);

enum stoa_breaker_state stoa_breaker_get_state(struct stoa_breaker *breaker);

#include "stoa/archive.h"
#include "stoa/copies.h"
#include "stoa/storage.h"

#ifdef __cplusplus
}
#endif

#endif
