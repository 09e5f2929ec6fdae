/* SPDX-License-Identifier: GPL-3.0-or-later */
/* index.h: the store's tables: opened, looked up in, and brought forward by whole batches of
 * pending blocks. All calls block and run on table workers, each with its own session; one caller
 * at a time applies. Layout: place.h. */
#ifndef INDEX_H
#define INDEX_H

#include "store/pending.h"
#include "store/place.h"
#include "store/trie_cache.h"
#include "tables/kv.h"
#include "tables/runs.h"

struct index;

#define INDEX_META "meta" /* the table of what is not looked up by users */

/* Where a block is. */
struct index_place {
    uint64_t height;
    struct ledger_position position;
    struct ledger_position state_position; /* sequence 0: none; not told by index_find_height */
    uint32_t front;                        /* record_front_size; 0: not known */
    bool canonical;
    struct bytes body_map; /* of index_find_height, until the session is used again; or none */
};

struct index_transaction {
    uint64_t height;
    uint32_t index;
    struct ledger_position position; /* of the block's frame; sequence 0: its height is not there,
                                        while a change of branch comes in */
};

enum { INDEX_CANDIDATES_MAX = 8 };

/* Open the tables of the store STORE_ID in KV, making them where absent. OUT_APPLIED is where they
 * are to be brought forward from, which may be before the last that they know (index_newest).
 * STOA_ECORRUPT: they are
 * not this store's, or not in order; the caller makes them anew from the ledger. */
int index_open(struct kv *kv, struct kv_session *session, uint64_t store_id,
               struct index **out_index, struct place_applied *out_applied,
               struct error_detail *detail);
void index_close(struct index *index);

/* The sequence of the last frame that anything in the tables came from, as they were opened. */
uint64_t index_newest(const struct index *index);

/* What becomes of the tries with a batch. Mostly nothing: what many blocks make of them comes to
 * the tables at once, with a later batch, and until then the tables begin again where they had it
 * last: what they know beyond that does no harm when it comes once more. */
struct index_tries {
    bool held;                                 /* they stay as they are */
    const struct trie_cache_version *versions; /* else this comes */
    size_t count;
    const struct place_applied *complete; /* up to there; NULL: the batch's layers come too */
    uint64_t floor;                       /* as of heights below, some of it is missing */
};

/* Bring the tables forward by BATCH and to APPLIED, in one transaction. Nothing changes on failure.
 */
int index_apply(struct index *index, struct kv_session *session, const struct pending *batch,
                const struct place_applied *applied, const struct index_tries *tries,
                struct error_detail *detail);

/* The lowest heights as of which values and tries are asked for: merges drop what is older. 0: they
 * keep all. */
struct index_floors {
    uint64_t values;
    uint64_t tries;
};

/* Merge one level of runs where that is due. MERGED says whether there was anything to do. Nothing
 * at or below FLOORS leaves the canonical chain any more, and the tables have what has left it. */
int index_merge(struct index *index, struct kv_session *session, const struct index_floors *floors,
                const struct runs_stop *stop, bool *out_merged, struct error_detail *detail);
bool index_merge_due(const struct index *index, const struct index_floors *floors);

/* Merge all runs of values and of tries whose floor rises, so that nothing below FLOORS is left.
 * Nobody merges meanwhile. */
int index_prune(struct index *index, struct kv_session *session, const struct index_floors *floors,
                const struct runs_stop *stop, struct error_detail *detail);

/* Merge all runs of the index at PLACE of index_each's order, where there is more than one,
 * without what of values and tries is below FLOORS. Likewise. */
int index_optimize(struct index *index, struct kv_session *session, unsigned place,
                   const struct index_floors *floors, const struct runs_stop *stop,
                   struct error_detail *detail);

/* Of the indexes of blocks: entries of blocks below KEPT go. Likewise. */
int index_prune_blocks(struct index *index, struct kv_session *session,
                       const struct prune_floors *kept, const struct runs_stop *stop,
                       struct error_detail *detail);

/* Whether that would change anything. */
bool index_blocks_lag(const struct index *index, const struct prune_floors *kept);

/* Up to where older versions may have gone. */
void index_get_floors(const struct index *index, struct index_floors *out_floors);

/* STOA_ENOTFOUND. */
int index_find_height(struct index *index, struct kv_session *session, uint64_t height,
                      uint8_t out_hash[32], struct index_place *out_place,
                      struct error_detail *detail);
int index_find_hash(struct index *index, struct kv_session *session, const uint8_t hash[32],
                    struct index_place *out_place, struct error_detail *detail);

/* Where parts of a transaction are in its block's frame. */
struct index_parts {
    unsigned wanted;  /* 1 << BODY_…, the transaction among them; 0: hash and position alone */
    bool known;       /* else the block is read whole */
    unsigned there;   /* of those wanted; the block has no others */
    uint8_t hash[32]; /* the block's */
    struct ledger_position position; /* likewise */
    struct body_map_span spans[BODY_PARTS];
};

/* The canonical transactions whose hash begins as HASH does, at most INDEX_CANDIDATES_MAX
 * (STOA_ETOOBIG past that). Where there is one, PARTS tells of it, or is NULL. */
int index_find_transaction(struct index *index, struct kv_session *session, const uint8_t hash[32],
                           struct index_transaction out_candidates[INDEX_CANDIDATES_MAX],
                           size_t *out_count, struct index_parts *parts,
                           struct error_detail *detail);

/* The value of the state key KEY (state_key.h) as of the height *BOUND, which becomes the height
 * that made it. The value is valid until the session's next call. */
int index_find_state(struct index *index, struct kv_session *session, struct bytes key,
                     uint64_t *bound, struct bytes *out_value, struct error_detail *detail);

/* The record of a trie with the base BASE (trie_layer.h), likewise; or it is in SCRATCH. */
int index_find_trie(struct index *index, struct kv_session *session, struct bytes base,
                    uint64_t *bound, struct buffer *scratch, struct bytes *out_record,
                    struct error_detail *detail);

/* Every block off the canonical chain from HEIGHT on, lower ones first. The callback returns
 * non-zero to end with that result. */
int index_each_side(struct index *index, struct kv_session *session, uint64_t height,
                    int (*side)(void *context, const struct branches_block *block), void *context,
                    struct error_detail *detail);

/* Each index that is kept in runs. The callback returns non-zero to end with that result. Any
 * thread. */
int index_each(const struct index *index, int (*each)(void *context, struct runs *runs),
               void *context);

struct runs *index_transactions(const struct index *index);

/* The runs of postings, for posting_stream.h. */
struct runs *index_postings(const struct index *index, enum posting_kind kind);

/* ---- an index made anew, while the one that is there serves ----
 *
 * By one caller, on a worker: batches of canonical blocks of rising height, then index_anew_finish,
 * while nothing else applies or merges. What was loaded with its progress is kept over a close. */
enum index_kind { INDEX_TRANSACTIONS, INDEX_STATE, INDEX_TRIE, INDEX_ADDRESSES, INDEX_LOGS };

struct index_anew;

/* How far it is: entries of the blocks below NEXT are in, and the block before that had HASH. */
struct index_progress {
    uint64_t next;
    uint8_t hash[32];
};

/* Begin, or go on. */
int index_anew_open(struct index *index, struct kv_session *session, enum index_kind kind,
                    struct index_anew **out_anew, struct index_progress *out_progress,
                    struct error_detail *detail);
void index_anew_close(struct index_anew *anew); /* what was loaded stays. NULL is allowed */

/* Load what BATCH has of the index. PROGRESS (NULL: it does not outlive a close) is kept with it.
 */
int index_anew_load(struct index_anew *anew, struct kv_session *session,
                    const struct pending *batch, const struct index_progress *progress,
                    struct error_detail *detail);
int index_anew_merge(struct index_anew *anew, struct kv_session *session,
                     bool (*stop)(void *context), void *context, struct error_detail *detail);

/* It becomes the index, in one transaction, and is closed where that is done. STOA_ECANCELED: the
 * block that PROGRESS names is not canonical any more. */
int index_anew_finish(struct index_anew *anew, struct kv_session *session,
                      const struct index_progress *progress, struct error_detail *detail);

/* The block at HEIGHT has other postings now: indexes that were begun to be made anew, and have it,
 * are begun once more. None is under way. */
int index_anew_withdraw(struct index *index, struct kv_session *session, uint64_t height,
                        struct error_detail *detail);

/* Forget what was loaded. */
int index_anew_drop(struct index_anew *anew, struct kv_session *session,
                    struct error_detail *detail);

/* ---- the table of heights, mended in place while it serves ----
 *
 * By one caller, on a worker. */

/* How far down it is: the block at NEXT, whose hash is HASH where that is KNOWN, is the next one.
 * Heights from LINE on were left for the end. */
struct index_heights_note {
    uint64_t next;
    uint8_t hash[32];
    bool known;
    uint64_t line;
};

/* STOA_ENOTFOUND: none was begun. */
int index_heights_read_note(struct kv_session *session, struct index_heights_note *out_note,
                            struct error_detail *detail);

struct index_heights_row {
    uint64_t height;
    uint8_t hash[32];
    struct ledger_position position;
    uint32_t front;
};

struct index_heights_write {
    const struct index_heights_row *rows; /* that are right */
    size_t count;
    const struct index_heights_note *note; /* kept with them; NULL: it is done */
    bool trim;                             /* nothing is above HEAD */
    uint64_t head;
};

/* In one transaction, but for what is above HEAD where that is much. */
int index_heights_write(struct kv_session *session, const struct index_heights_write *write,
                        struct error_detail *detail);

/* Whether the runs have POSTING of a block at HEIGHT as it is. 0, STOA_ENOTFOUND. */
int index_check_posting(struct index *index, struct kv_session *session,
                        const struct posting *posting, uint64_t height,
                        struct error_detail *detail);

/* Every version of every value, or record of the tries, in the order of keys, as runs_walk. */
int index_walk_state(struct index *index, struct kv_session *session,
                     int (*entry)(void *context, const struct runs_entry *entry), void *context,
                     struct error_detail *detail);
int index_walk_trie(struct index *index, struct kv_session *session,
                    int (*entry)(void *context, const struct runs_entry *entry), void *context,
                    struct error_detail *detail);

/* Who is asked now and then by index_count and the walks above whether to go on, where they run
 * with SESSION: true ends them with STOA_ECANCELED. NULL: nobody. It is not copied. */
struct index_asker {
    bool (*is_stopping)(void *context);
    void *context;
    const struct kv_session *session;
};
void index_ask(struct index *index, const struct index_asker *asker);

/* How many entries each table has, by walking all of it: for verify; of the indexes of blocks those
 * of blocks from KEPT on. */
struct index_counts {
    uint64_t heights;
    uint64_t blocks;
    uint64_t sides;
    uint64_t transactions;
    uint64_t postings[POSTING_KINDS];
};
int index_count(struct index *index, struct kv_session *session, const struct prune_floors *kept,
                struct index_counts *out_counts, struct error_detail *detail);

#endif
