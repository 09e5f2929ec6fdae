/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_private.h: the store's state, shared by store*.c. Everything here belongs to the loop's
 * thread; what a worker may touch is in its job.
 *
 * A block's way (store_put.c):   submitted -> verified by a worker
 *                                -> linked to its parent, in the order submitted
 *                                -> appended to the ledger, while a worker computes its index
 *                                   entries -> durable and indexed, in order
 *                                -> in the open pending batch, head moved, acknowledged.
 * A batch's way (store_apply.c): open -> frozen -> applied by a worker -> cleared.
 * A read's way (store_get.c):    pending batches, newest first -> tables (worker)
 *                                -> one direct read of the frame. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "io/workers.h"
#include "store/branches.h"
#include "store/head_record.h"
#include "store/hot.h"
#include "store/identity.h"
#include "store/index.h"
#include "store/pending.h"
#include "store/prepare.h"
#include "store/record.h"
#include "store/state_key.h"
#include "store/store.h"
#include "store/store_folder.h"
#include "store/tries.h"

enum {
    STORE_BATCH_BLOCKS_MAX = 1024,
    STORE_BATCH_SIZE_MAX = 64 << 20,
    STORE_SPACE_RESERVE =
        8 << 20,              /* bytes that writing leaves free, besides room for what is pending */
    STORE_SPARE_SEGMENTS = 4, /* ready ahead of need */
    STORE_FROZEN_MAX = 3,     /* batches that wait; more, and puts wait */
    STORE_PROBES_MAX = 3,
};

/* What the tables need before they can be trusted again. */
enum store_damage { STORE_SOUND, STORE_REOPEN, STORE_REBUILD };

/* A point of the canonical chain. */
struct store_tip {
    bool present;
    bool damaged;       /* its frame is not readable: nothing can be linked to it */
    bool state_known;   /* all that changed in the state up to it */
    uint64_t state_end; /* the state is known as of the heights below this */
    uint64_t height;
    uint8_t hash[32];
    uint8_t total_difficulty[32];
};

/* How far a block's values are in the cache; places among its changes. */
enum store_fill_stage {
    STORE_FILL_RECORD, /* next: its record is copied */
    STORE_FILL_VALUES, /* its values are */
    STORE_FILL_HINTS,  /* hints are written to those */
    STORE_FILL_READY,
};

struct store_fill {
    enum store_fill_stage stage;
    struct cache_object *record; /* not in reach yet, or NULL; likewise the values */
    struct cache_object *values;
    uint64_t number;   /* of the values */
    bool forget;       /* there was no room for them */
    struct bytes rest; /* changes that have no hint yet */
    size_t next;       /* the first of those */
};

struct store_put {
    struct store *store;
    struct store_request *request;
    struct workers_job verify_job;
    struct workers_job lookup_job;
    struct workers_job index_job;
    struct prepare prepare;
    struct ledger_append state_append; /* only where the block has changes; before the block's */
    struct ledger_append append;
    uint8_t state_header[RECORD_STATE_HEADER_SIZE];
    uint8_t record_header[RECORD_HEADER_SIZE];
    uint8_t total_difficulty[32];
    struct buffer places; /* hot_places.h; empty where they are not wanted */
    struct buffer values; /* what precedes them (hot_values.h); empty where it is not made yet */
    struct buffer value_hashes;
    uint8_t update_header[RECORD_UPDATE_HEADER_SIZE];
    struct pending_block block; /* once it is acknowledged */
    uint64_t cache_sequence;    /* by which it closed its keys in the cache; 0: it has not */
    bool settled;               /* its values are in the cache */
    struct store_fill fill;
    struct store_put *members;      /* updates that share this one's frame; blocks of a batch */
    struct store_batch_work *batch; /* of a batch, its members' too; else NULL */
    bool in_batch;                  /* its frames count with their batch */
    bool update;                    /* changes without a block (store_update.c) */
    bool side;    /* its frame says so; a change of branch then makes it canonical where wanted */
    bool begun;   /* a change of branch or mark: too late to call it off */
    int canceled; /* called off: what it ends with, or 0 */
    bool verified;
    bool looking;
    bool rooted; /* the state's root was computed; prepare.result says whether it is right */
    struct trie_layer *layer; /* that came of it; or NULL */
    bool durable;             /* or failed: append.result says */
    bool indexed;
    /* Answer of the lookup. */
    bool known; /* the block itself is stored */
    bool parent_known;
    struct index_place parent;
    struct parent_read *parent_read; /* under way, for its total difficulty; or NULL */
    int lookup_result;
    uint64_t lookup_failures; /* the store's append_failures when it was made: what it found among
                                 the appended blocks holds until that changes */
    struct store_put *next;
};

struct store_put_queue {
    struct store_put *first;
    struct store_put **last;
    size_t count;
};

/* One key of the state that is asked for, as of BOUND. */
struct store_probe {
    uint8_t key[STATE_KEY_MAX];
    size_t key_size;
    uint64_t bound;
    bool settled;
    bool found;
    uint64_t height;    /* of what was found */
    struct bytes value; /* owned */
};

/* Whoever wants to read the cache of the tries, later. */
struct store_tries_waiter {
    void (*enter)(struct store_tries_waiter *waiter);
    void *context;
    struct store_tries_waiter *next;
};

/* A block that left the cache, being packed: store_packed.c. */
struct store_packing {
    struct workers_job job;
    struct cache_object *object; /* NULL: none */
    struct cache_ticket ticket;
    struct buffer packed;
    bool worth_it;
};

struct store_get {
    struct store *store;
    struct store_request *request;
    struct workers_job job;
    struct stoa_view *view;
    bool canonical;
    bool from_tables; /* the tables were asked */
    bool latest;
    unsigned tries;
    uint64_t epoch; /* the store's when it began */
    int lookup_result;
    struct index_place place;
    struct index_transaction candidates[INDEX_CANDIDATES_MAX];
    size_t candidate_count;
    size_t candidate_next;
    bool refused;                     /* the cache did not want its block */
    bool whole;                       /* its parts were not as their map says: the frame is read */
    struct index_parts parts;         /* of the one candidate (store_get_parts.c) */
    struct ledger_ranges ranges;      /* where they are being read */
    struct buffer places;             /* hot_places.h, of a block to be kept */
    struct cache_ticket ticket;       /* taken before the read began */
    struct cache_ticket wiped_ticket; /* of a slot: likewise of its account's emptying */
    struct cache_object *packed;      /* being unpacked into the other */
    struct cache_object *unpacked;
    struct hot_place packed_place;               /* of the transaction in it */
    struct store_probe probes[STORE_PROBES_MAX]; /* of a read of the state (store_state.c) */
    unsigned probe_count;
    uint64_t height;                  /* as of which the state is asked for */
    struct tries_reader tries_reader; /* of a proof (store_proof.c) */
    struct store_tries_waiter tries_waiter;
    struct store_get *next;
    struct store_get *made_next;
};

/* The tries of the state: store_tries.c. */
struct store_tries {
    struct trie_cache *cache;
    unsigned readers;      /* computations that read the cache */
    uint64_t cap;          /* the tables are asked for no higher versions */
    uint64_t cap_sequence; /* until they know the frame of this sequence */
    /* The root of the first put. */
    struct tries_work work;
    struct tries_reader reader;
    struct workers_job jobs[TRIES_TASKS];
    unsigned under_way;
    int result;
    /* What the cache does not know yet. */
    struct trie_layer *merges;
    struct trie_layer **merge_last;
    uint64_t drop_from; /* before the merges: versions from here on go; UINT64_MAX: none */
    struct store_tries_waiter *waiting;
    /* The job's while merging. */
    bool merging;
    struct workers_job merge_job;
    struct trie_layer *merging_now;
    uint64_t merge_drop_from;
    uint64_t merge_below;
    uint64_t merge_floor;
    bool merge_settles;
    bool merge_ends_flush;
    size_t merge_unsettled; /* bytes, when it has ended */
    int merge_result;
    /* What the tables do not have: store_tries_flush.c. */
    struct ledger_position complete; /* up to where the tables have the tries as well */
    bool flushed_any;                /* the tables have all up to the height FLUSHED */
    uint64_t flushed;
    size_t unsettled; /* bytes that the cache has and the tables not */
    size_t unsettled_max;
    bool flush_wanted;
    bool flush_ended; /* one that was wanted, since the last checkpoint began */
    bool settle_due;  /* one has ended, and the cache does not know yet */
    bool flushing;    /* from when it is gathered until the cache knows */
    struct store_tries_waiter flush_waiter;
    struct workers_job flush_job;
    struct buffer flush_versions;
    struct arena flush_memory; /* of what they name */
    uint64_t flush_below;
    uint64_t flush_last;
    bool flush_partly;                 /* up to FLUSH_PLACE only */
    struct place_applied flush_place;  /* what the tables would know, had they come to there */
    struct store_tries_places *places; /* where that could be */
    int flush_result;
    struct index_tries flush; /* of the batch that is applied */
};

/* Requests that are done but for their answer. */
struct store_answers {
    struct store_request *first;
    struct store_request **last; /* where there is a first */
};

/* Answers that wait for the tables: store_through.c. */
struct store_through {
    struct store_answers waiting; /* their batch is not frozen */
    struct store_answers frozen;  /* until the tables know the frame of this sequence */
    uint64_t sequence;
    struct store_answers due;   /* for the next checkpoint of the tables */
    struct store_answers begun; /* for the one that runs */
    struct io_request timer;
};

struct store {
    struct io *io;
    char directory[STORE_PATH_SIZE_MAX];
    int lock;
    struct identity identity;
    struct ledger *ledger;
    struct cache *cache;     /* or NULL */
    uint64_t cache_sequence; /* of the block that closed keys in it last */
    uint64_t cache_opened;
    unsigned cache_closed;  /* blocks whose keys are closed */
    uint64_t values_number; /* of the newest object of values in the cache */
    unsigned fill_objects;  /* of the cache, that are not in reach yet */
    struct store_packing packing;
    struct kv *kv;
    struct kv_session *session; /* the loop's own: opening, closing and verify only */
    struct index *index;
    struct workers *verifiers;
    struct workers *readers;
    struct workers *writers;
    struct workers *keepers;      /* for works of upkeep: store_upkeep.h */
    unsigned works;               /* of theirs, under way */
    struct store_options options; /* as given to store_open; its path is not used again */
    enum store_damage tables_damage;
    bool given_up; /* nobody mends it any more */
    struct error_detail given_up_detail;

    struct store_tip head; /* acknowledged */
    struct head_mark safe;
    struct head_mark finalized;
    struct branches *branches;
    struct receipts_change *receipts; /* under way; NULL: none */
    struct branch_change *changing;   /* under way; NULL: none, or it is its batch's by now */
    uint64_t branch_epoch;
    uint64_t unwind_max;
    struct index_floors floors; /* reached so far: store_retention.c */
    struct prune_floors kept;   /* of blocks: store_prune.c */
    struct pending_block
        top;              /* the head's place, where its hash is the head's: else not known yet */
    struct store_tip tip; /* appended: what the next canonical block must name as its parent */
    struct store_put_queue puts;     /* submitted, not yet appended */
    struct store_put_queue appended; /* appended, not yet acknowledged */
    size_t appended_sides;           /* of them are side blocks */
    bool advancing;                  /* inside store_put_advance */
    bool gathering;                  /* updates wait for others of this turn of the loop */
    struct io_request gather_timer;
    struct store_put_queue settling; /* acknowledged, not yet in the open batch: store_settle.c */
    bool settling_one;               /* the first of them is on its way */
    struct io_request settle_timer;
    unsigned settle_turns;
    struct store_through through;
    uint64_t settle_quiet_ns;       /* from then on nothing has come for a moment */
    struct store_put_queue filling; /* in the batch, not all in the cache yet: store_fill.c */
    struct store_put *put_pool;
    struct store_get *get_pool;
    struct stoa_view *view_pool;
    struct store_get *gets_made; /* all, in the pool or not: a power cut finds some under way */
    struct stoa_view *views_made;
    struct store_query *queries; /* under way */
    unsigned pending_requests;
    unsigned views_out;
    uint64_t append_failures; /* how often the queue of appended blocks was given up */
    int append_failed; /* while the queue of appended blocks drains after a failed one: its result
                        */

    struct store_tries tries;

    struct pending *open; /* the batch that takes blocks */
    bool growing;         /* memory for the open batch is made */
    struct workers_job grow_job;
    struct pending_chunk *grown;
    struct pending *frozen[STORE_FROZEN_MAX]; /* oldest first; [0] is the one being applied */
    unsigned frozen_count;
    struct pending *idle[STORE_FROZEN_MAX + 1];
    unsigned idle_count;
    struct place_applied
        frozen_applied[STORE_FROZEN_MAX]; /* what the tables say once that batch is in */
    struct place_applied open_applied;    /* likewise of the open batch */
    struct place_applied applied;         /* what the tables say now */
    struct workers_job apply_job;
    const struct pending *apply_batch; /* that APPLY_JOB is about */
    struct error_detail apply_detail;
    int apply_result;
    bool applying;
    int apply_failed; /* the tables take nothing any more: STOA_E… */
    struct error_detail failed_detail;
    uint64_t open_since_ns;

    struct store_rebuild_work *rebuild; /* under way, or NULL */
    bool rebuild_holds; /* nothing may be applied or merged; a worker that merges reads it */

    struct workers_job merge_job;
    bool merging;
    struct index_floors merge_floors;
    int merge_result;
    struct error_detail merge_detail;

    struct workers_job checkpoint_job;
    bool checkpointing;
    int checkpoint_result;
    struct error_detail checkpoint_detail;
    struct workers_job statistics_job; /* asks the tables for their figures */
    bool counting;
    uint64_t counted_ns;
    struct kv_statistics statistics_next; /* the job's, while counting */
    struct kv_statistics statistics;      /* as of the last time */
    struct io_request timer;
    uint64_t checkpoint_ns;
    uint64_t checkpoint_last_ns;
    uint64_t checkpointed_sequence;
    struct ledger_position checkpoint_at;   /* the last frame that is in the tables for good; */
    struct ledger_position checkpoint_next; /* of the one under way */
    bool closing;

    struct ledger_recovery recovery;
    uint64_t replayed_blocks;
    bool rebuilt;
};

/* store_put.c */
void store_put_submit(struct store *store, struct store_request *request);
void store_put_advance(
    struct store *store); /* room in the pending tier: go on with puts that wait */
void store_put_free_pool(struct store *store);
/* Fill put->append and put->state_append with the frames of the verified block in put->prepare. */
void store_put_make_record(struct store_put *put, const uint8_t parent_difficulty[32]);

/* The first of the queue is done. */
void store_put_finish_first(struct store_put *put, int result);
/* The verified block of PUT as the pending tier keeps it; its frames are durable. */
void store_put_describe(const struct store_put *put, struct pending_block *out_block);
/* Take in the durable block of PUT. */
int store_put_take_in(struct store_put *put);

struct store_put *store_put_take(struct store *store);    /* a free one; NULL: no memory */
void store_put_take_first(struct store_put *put);         /* off the queue */
void store_put_answer(struct store_put *put, int result); /* it is in no queue */
void store_put_push_appended(struct store_put *put);
void store_put_advance_appended(struct store *store);
struct pending_entries store_put_entries(const struct store_put *put);

/* store_put_link.c */
enum store_put_link { STORE_PUT_APPEND, STORE_PUT_LOOK_UP, STORE_PUT_REFUSED };
/* The plain cases, answered without the tables. Sets the request's detail where refused. */
enum store_put_link store_put_link_plain(struct store_put *put, int *out_result);
/* Ask the tables; then the puts go on. */
void store_put_link_look_up(struct store_put *put);
/* With the answer of the lookup. 0: it can be stored; as a side block where it is not next. */
int store_put_link_looked_up(struct store_put *put);
/* Whether PUT's parent is the tip, and it is to become the next tip. */
bool store_put_link_is_next(const struct store_put *put);
/* STOA_ETOOBIG: no frame is that large, or no index. */
int store_put_link_check_size(const struct store_put *put, struct error_detail *detail);
/* On a worker: what is not known yet of whether the block and its parent are stored. */
int store_put_link_ask_tables(struct store_put *put, struct kv_session *session,
                              struct error_detail *detail);
/* With both known: the block is new, and follows its parent. STOA_EEXISTS, STOA_EREFUSED. */
int store_put_link_check_place(const struct store_put *put, struct error_detail *detail);
int store_put_link_refuse_parent(const struct store_put *put, const char *why,
                                 struct error_detail *detail);

/* store_batch.c */
void store_batch_submit(struct store_put *put);
void store_batch_start(struct store_put *put);   /* first of the queue, and alone */
void store_batch_release(struct store_put *put); /* forget what it was at; NULL-safe */

/* store_receipts.c */
bool store_receipts_may_start(const struct store *store);
void store_receipts_start(struct store_put *put); /* first of the queue, and alone */
void store_receipts_free(struct store *store);    /* after a power cut */
/* The frame at POSITION is PREPARE's block again, with its receipts: into the open batch, which is
 * empty. BLOCK: where it was so far. */
int store_receipts_take_in(struct store *store, struct pending_block *block,
                           const struct ledger_position *position, const struct prepare *prepare);

/* store_update.c */
void store_update_submit(struct store_put *put);
/* The first of the queue: append it with those behind it, or let it wait. */
void store_update_start(struct store *store, struct store_put *put);
void store_update_make_visible(struct store_put *put);
/* MEMBERS shared a frame that ended with RESULT: each is answered. */
void store_update_answer(struct store *store, struct store_put *members, int result);
/* Take in changes of the head; its place is BLOCK from now on. */
int store_update_take_in(struct store *store, const struct pending_block *block,
                         const struct pending_entries *entries);
/* The head's place, from memory or with SESSION from the tables: store->top, where the head has
 * one. */
int store_update_find_top(struct store *store, struct error_detail *detail);

/* store_branch.c. PUT is the first of the queue and nothing is appended and unacknowledged. */
void store_branch_update_head(struct store_put *put);
void store_branch_put(struct store_put *put); /* store its block and make it the head */
void store_branch_free(struct store *store);  /* the one under way, which will never end */
/* Do as the record at POSITION says; blocking, while opening. */
int store_branch_replay(struct store *store, const struct head_record *record,
                        const struct ledger_position *position, struct error_detail *detail);
int store_branch_load(struct store *store, struct error_detail *detail); /* from the tables */
/* A block off the canonical chain was taken in. */
int store_branch_note_side(struct store *store, const struct pending_block *block,
                           bool parent_canonical);
void store_branch_raise_line(struct store *store); /* head or finalized block have risen */

/* store_branch_find.c */
/* The batches that are not in the tables, newest first; NULL past the last. */
const struct pending *store_batch_at(const struct store *store, unsigned index);
/* In the pending batches: NULL where not there; *OUT_SETTLED: then it is nowhere. */
const struct pending_block *store_find_pending_height(const struct store *store, uint64_t height,
                                                      bool *out_settled);
const struct pending_block *store_find_pending_hash(const struct store *store,
                                                    const uint8_t hash[32]);
/* Whether the canonical block at HEIGHT has HASH; asks the tables with SESSION. 0,
 * STOA_ENOTFOUND. */
int store_is_canonical(struct store *store, struct kv_session *session, uint64_t height,
                       const uint8_t hash[32], struct error_detail *detail);
/* The frame at POSITION has set the marks. */
void store_set_marks(struct store *store, const struct head_mark *safe,
                     const struct head_mark *finalized, const struct ledger_position *position);
void store_branch_set_mark(struct store_put *put); /* safe or finalized, as its request says */

/* store_get.c */
void store_get_submit(struct store *store, struct store_request *request);
void store_get_free_pool(struct store *store);
struct stoa_view *store_view_take(struct store *store); /* NULL: no memory */

void store_get_ask_tables(struct store_get *get); /* a worker's look-up, then its end */
void store_get_next_candidate(struct store_get *get);
void store_get_done_read(struct ledger_read *read); /* of all of a frame */
void store_get_finish(struct store_get *get, int result);
/* Whether the chain changed while GET was read; then from the beginning. */
bool store_get_is_outdated(const struct store_get *get);
void store_get_start_again(struct store_get *get);

/* store_get_parts.c: what the tables are to tell of a transaction's parts; on a worker. Whether
 * they are read alone: then the rest comes to its end by itself. */
struct index_parts *store_get_ask_parts(struct store_get *get);
bool store_get_read_parts(struct store_get *get, const struct ledger_position *position);
/* What was READ, whole or up to its receipts, of a frame that is to be a block's. */
int store_decode_read(const struct ledger_read *read, struct record *out_record,
                      struct error_detail *detail);

/* store_packed.c */
/* Whether the block that GET is about is in the cache, packed; then it is answered from there. */
bool store_packed_answer(struct store_get *get);
void store_packed_deinit(struct store *store); /* after the workers' end */

/* store_proof.c */
bool store_proof_is_wanted(const struct store_get *get);
/* Ask the tables as soon as the tries may be read; store_tries_leave when they were. */
void store_proof_start(struct store_get *get);
int store_proof_make(struct store_get *get, struct kv_session *session);

/* store_query.c */
void store_query_submit(struct store *store, struct store_request *request);
void store_query_free_all(struct store *store); /* after a power cut */

/* store_state.c */
/* Begin to read the state. True: that is it, with OUT_RESULT; else the tables are to be asked
 * (store_state_look_up, on a worker), and then store_state_finish gives the result. */
bool store_state_start(struct store_get *get, int *out_result);
int store_state_look_up(struct store_get *get, struct kv_session *session);
/* RESULT of the look-up, or that what was asked for has gone meanwhile. */
int store_state_check_kept(struct store_get *get, int result);
int store_state_finish(struct store_get *get, int result);
void store_state_forget(struct store_get *get);

/* store_apply.c */
bool store_apply_has_room(const struct store *store);
int store_apply_check_space(struct store *store, struct error_detail *detail);
int store_apply_add(struct store *store, const struct pending_block *block,
                    const struct pending_entries *entries);
/* Room for a batch by itself behind the open one: freeze, store_apply_replace, freeze. */
bool store_apply_has_room_apart(const struct store *store);
/* BLOCK's frame is another now, with these entries (pending_replace). The open batch is empty. */
int store_apply_replace(struct store *store, const struct pending_block *block,
                        const struct pending_entries *entries, size_t count);
void store_apply_freeze(struct store *store);
void store_apply_freeze_full(struct store *store);          /* where it is full */
void store_apply_gathered(struct store *store, int result); /* store_tries_flush */
void store_apply_flush(struct store *store); /* where it was wanted and could not be yet */
void store_apply_grow(struct store *store);  /* memory for the open batch, where it is due */
void store_apply_start_timer(struct store *store);
int store_apply_all(struct store *store,
                    struct error_detail *detail); /* blocking, on the workers */
int store_apply_here(struct store *store,
                     struct error_detail *detail); /* blocking, on the loop, while opening */
int store_apply_checkpoint(struct store *store, struct error_detail *detail); /* blocking */
void store_apply_wait_idle(struct store *store);
void store_apply_go_on(struct store *store);            /* a rebuild holds no longer */
void store_apply_start_checkpoint(struct store *store); /* none is under way */

/* store_rebuild.c */
void store_rebuild_continue(struct store *store); /* what it may wait for has ended */
void store_rebuild_free(struct store *store);     /* after a power cut */

/* store_retention.c */
/* The lowest heights as of which values and tries are answered. */
struct index_floors store_floors(const struct store *store);
void store_floors_open(struct store *store); /* the tables were opened */
struct index_floors store_floors_to_merge(struct store *store);
/* A frozen batch from number FIRST on, or the open one, has a change of branch. */
bool store_is_cut_from(const struct store *store, unsigned first);
/* STOA_EPRUNED: values, or tries, as of HEIGHT are not kept. */
int store_check_kept(const struct store *store, uint64_t height, bool tries,
                     struct error_detail *detail);

/* Whether a merge, on a worker, had better end: the store closes, or a rebuild comes to its end. */
bool store_merge_should_stop(const struct store *store);

/* store_upkeep.c. RUN: on a worker, with a session; it sets the merge's result, and stops by what
 * store_merge_stop gives. */
struct store_merge;
struct runs_stop store_merge_stop(struct store_merge *merge);
bool store_merge_start(struct store *store, struct store_merge *merge,
                       void (*run)(struct workers_job *job, void *worker_state));

/* store_prune.c */
/* STOA_EPRUNED: what HEIGHT had of it is not kept. */
int store_check_body(const struct store *store, uint64_t height, struct error_detail *detail);
int store_check_receipts(const struct store *store, uint64_t height, struct error_detail *detail);
int store_check_logs(const struct store *store, uint64_t height, struct error_detail *detail);
int store_check_history(const struct store *store, uint64_t height, struct error_detail *detail);
/* STOA_EPRUNED: RECORD, at HEIGHT, has lost its body. */
int store_refuse_lost(const struct record *record, uint64_t height, struct error_detail *detail);
/* Receipts of BLOCK that may still be there. */
void store_hide_pruned(const struct store *store, struct stoa_block *block);
void store_keep_from(struct store *store, const struct prune_floors *floors);
/* While replaying: RECORD, of a block at HEIGHT, says by what it has lost from where on it is kept.
 */
void store_note_lost(struct store *store, const struct record *record, uint64_t height);

/* store_settle.c */
/* Enter acknowledged blocks into the open batch. Before anything looks into the batches or adds to
 * them. STOA_E…: the batches lack blocks, and failed_detail says why. */
int store_settle(struct store *store);
/* The same where a walk over the batches begins. To its caller the store is as it was. */
void store_settle_before_look(const struct store *store);
void store_settle_push(struct store *store, struct store_put *put); /* PUT is acknowledged */
void store_settle_soon(struct store *store); /* a group is about to be written: do it beside that */
void store_settle_go_on(struct store *store); /* there is more to be done beside it */
void store_settle_drop(struct store *store);  /* forget them; a replay brings them back */

/* store_through.c */
/* A write is done, and what it left is in the batches before the loop's next turn; or a checkpoint
 * begins: answer it, or let it wait for the tables. */
void store_through_finish(struct store *store, struct store_request *request, int result);
void store_through_step(struct store *store); /* a batch was applied, or the tables failed */
void store_through_checkpointed(struct store *store); /* a checkpoint has ended */

/* store_fill.c */
void store_fill_begin(struct store_put *put); /* PUT is appended */
void store_fill_drop(struct store_put *put);  /* what was made for it is not wanted any more */
/* PUT is durable: what is ready is put in reach. True: its record is. */
bool store_fill_show(struct store_put *put);
void store_fill_push(struct store *store, struct store_put *put); /* PUT has settled */
/* A few values more. False: all are there. */
bool store_fill_piece(struct store *store);
/* Values may change their meaning: those not put yet are read when asked for. */
void store_fill_stop(struct store *store);

/* store_tries.c */
int store_tries_init(struct store *store, struct error_detail *detail);
void store_tries_deinit(struct store *store); /* after the workers' end */
/* The tables are open and store->tip is what they say: nothing is in memory. */
int store_tries_reset(struct store *store, struct error_detail *detail);
/* Whether PUT, the first of the queue and next to be appended, may be. Else its root is computed,
 * or that waits; then the puts go on. */
bool store_tries_root(struct store_put *put);
/* The cache does not know all yet: nobody may read it. */
bool store_tries_merging(const struct store *store);
int store_tries_wait(struct store *store,
                     struct error_detail *detail); /* blocking: until it does */
/* LAYER's block was given to the ledger. */
void store_tries_merge(struct store *store, struct trie_layer *layer);
/* Blocks above the head were not appended after all: what they made of the tries goes. */
void store_tries_fall_back(struct store *store);
/* Read the tries as of BOUND: between enter and leave; the caller sets the session. False: not now,
 * WAITER is called when it has been let in. */
bool store_tries_enter(struct store *store, struct store_tries_waiter *waiter);
void store_tries_leave(struct store *store);
void store_tries_reader(const struct store *store, uint64_t bound, struct tries_reader *out_reader);
/* What the tables have of the tries is below this height. */
uint64_t store_tries_below(const struct store *store);
void store_tries_settle(struct store *store); /* the cache is to know how far that is */
int store_tries_check_root(const uint8_t computed[32], const uint8_t wanted[32], uint64_t height,
                           struct error_detail *detail);
/* Blocking, while opening: the layer of the next block, NULL where its state is not known. */
int store_tries_replay(struct store *store, uint64_t height, struct bytes changes,
                       struct trie_layer **out_layer, struct error_detail *detail);
/* The record at POSITION takes the chain back to the block of height ANCESTOR, then come the layers
 * of the winners, then the end. No layer may wait to be merged. */
void store_tries_switch(struct store *store, uint64_t ancestor,
                        const struct ledger_position *position);
void store_tries_switch_to(struct store *store, struct trie_layer *layer);
void store_tries_switched(struct store *store);

/* store_tries_flush.c */
int store_tries_flush_init(struct store *store); /* STOA_ENOMEM */
void store_tries_flush_deinit(struct store *store);
void store_tries_flush_reset(struct store *store);
void store_tries_flush_end(struct store *store); /* the cache knows of it */
/* The open batch has come to a block that extends the chain: a replay can begin behind it. */
void store_tries_note_place(struct store *store);
void store_tries_forget_places(struct store *store);
/* Whether there is, or may be, anything that the tables do not have. */
bool store_tries_unsettled(const struct store *store);
/* False: there is too much of it, and some is on its way: the next block waits for that. */
bool store_tries_have_room(const struct store *store);
/* Before the first frozen batch is applied: true where tries.flush says what becomes of the tries,
 * else store_apply_gathered follows. */
bool store_tries_flush(struct store *store);
void store_tries_applied(struct store *store); /* a batch is in the tables */
/* What is held of heights from BELOW to ANCESTOR. NULL: no memory. */
struct trie_layer *store_tries_hold_back(const struct store *store, uint64_t below,
                                         uint64_t ancestor);

/* store_cache.c: nothing happens without a cache */
/* What PUT changes is out of reach from now on. May be done before it is durable. */
void store_cache_close(struct store_put *put);
/* PUT is visible now and not yet acknowledged: what it changes is closed, the block is kept. */
void store_cache_block(struct store_put *put, const struct pending_block *block);
void store_cache_record(const struct store_put *put, struct cache_entry *out_entry);
/* PUT's values are there, or it failed: its keys open, as soon as those before it have. */
void store_cache_open(struct store_put *put);
/* BLOCK has another record; HASHES are those of its transactions. */
void store_cache_forget_block(struct store *store, const struct pending_block *block,
                              struct bytes hashes);
void store_cache_head(struct store *store); /* the head has changed */
/* Blocks of HEIGHT and above leave the canonical chain. Before anything says so. */
void store_cache_drop(struct store *store, uint64_t height);
/* The keys of CHANGES (record.h) have other values now. */
void store_cache_forget(struct store *store, struct bytes changes);
void store_cache_find_places(struct store_put *put); /* on a worker, once PUT is indexed */
void store_cache_begin(struct store_get *get);       /* before anything is looked up for it */
void store_cache_fill_header(struct store_get *get, const struct record *record);
/* False: the block was not worth it. */
bool store_cache_fill_block(struct store_get *get, const struct record *record);
/* Whether the cache takes the block with HASH when it is read: once refused it is for this get. */
bool store_cache_admits(struct store_get *get, const uint8_t hash[32], size_t size);
/* The same of the block that is asked for. */
bool store_cache_wants_block(struct store_get *get, size_t size);
void store_cache_fill_places(struct store_get *get);
void store_cache_fill_transaction(struct store_get *get, const struct record *record);
/* Where the transaction that was found is in PAYLOAD, the record of the block with HASH at HEIGHT,
 * which is in the cache. */
void store_cache_fill_place(struct store_get *get, const uint8_t hash[32], struct bytes payload,
                            uint64_t height);
void store_cache_fill_state(struct store_get *get, int result);
void store_cache_fill_probes(struct store_get *get); /* of an account or slot, settled */
/* ENTRY, at SPOT, of ADDRESS, is what a query found on the branch that is canonical now. */
void store_cache_fill_entry(struct store *store, uint64_t spot, const uint8_t address[20],
                            const struct stoa_history_entry *entry);

/* store_replay.c */
int store_replay(struct store *store, struct error_detail *detail);
int store_replay_anew(struct store *store, struct error_detail *detail); /* with tables made anew */

/* store_mend.c */
/* RESULT of a call on the tables, or STOA_ENOSPACE where the disk is full: the tables' engine then
 * says many things. */
int store_blame_space(struct store *store, int result, struct error_detail *detail);
void store_note_tables(struct store *store, int result); /* of a call on the tables */

/* As its opener says: what takes long ends with STOA_ECANCELED. */
bool store_is_stopping(const struct store *store);

/* store_metrics.c */
void store_metrics_start(struct store *store); /* once the tables are open */
void store_metrics_tick(struct store *store, uint64_t now_ns);

/* store.c */
int store_open_tables(struct store *store, bool anew, struct error_detail *detail);
void store_close_tables(struct store *store);
int store_start_table_workers(struct store *store, struct error_detail *detail);
void store_finish_request(struct store *store, struct store_request *request, int result);

#endif
