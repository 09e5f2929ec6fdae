/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_query.h: queries that take several steps: logs, an address's transactions, ranges of
 * blocks.
 *
 * A query's way: on the loop it takes down the chain's branch and what the pending batches say of
 * its postings (the overlay); then page by page: a worker judges the blocks of the page before and
 * finds the next candidates in postings and runs (the page's slots), the loop reads their frames,
 * QUERY_READS_MAX at a time. Where the branch has changed before the answer is given, all begins
 * again. Everything that becomes visible does so on the loop, so what was taken down in one turn is
 * one moment; heights above the head of that moment are not looked at.
 *
 * Kinds (store_query_kind) differ in what a page is and how it is judged: query_logs.c,
 * query_history.c, query_range.c. Their functions run on a worker but where said. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include "chain/block.h"
#include "store/posting_stream.h"
#include "store/store_private.h"

enum { QUERY_SLOTS_MAX = 64, QUERY_READS_MAX = 32, QUERY_PAGE_SIZE_MAX = 32 << 20 };

struct store_query;

struct store_query_kind {
    /* On the loop: check the request, set from, to, descending, spot, deadline and lists. */
    int (*begin)(struct store_query *query);
    /* Judge the slots that were read: add to the answer. May set FINISHED, and MORE with the spot
     * to go on at. STOA_ECANCELED: the branch has changed, begin again. */
    int (*judge)(struct store_query *query);
    /* Fill slots from the spot on, move the spot. Sets FINISHED where there are no more; a page may
     * be empty where finding candidates takes long. */
    int (*page)(struct store_query *query, struct kv_session *session);
    /* On the loop, or NULL: the slots were judged, on the branch that is canonical. */
    void (*judged)(struct store_query *query);
    /* On the loop: hand the answer to the request. */
    int (*answer)(struct store_query *query);
};

/* A block to be read. */
struct query_slot {
    struct store_query *query;
    uint64_t height;
    struct ledger_position position;
    uint32_t front;         /* record_front_size; 0: not known */
    bool whole;             /* all of the record is wanted, not what precedes the receipts alone */
    struct stoa_view *view; /* at once where the cache has the block */
    struct bytes payload;   /* of the frame, once it is there */
    struct record record;   /* by store_query_slot_decode, with the block */
    struct block block;
};

/* A canonical block in a pending batch. */
struct query_height {
    uint64_t height;
    uint32_t order; /* of arrival: of the same height the last counts */
    struct ledger_position position;
    uint8_t hash[32];
};

/* What is wanted of one list of postings; several in a row are alternatives. */
struct query_list {
    struct posting posting; /* kind and prefix */
    unsigned group;
    size_t overlay_first; /* in the overlay */
    size_t overlay_count;
};

struct query_item { /* of a page of query_history.c */
    uint64_t spot;
    unsigned slot; /* not used where it is known */
    bool known;    /* ENTRY is from the cache */
    bool found;    /* ENTRY is what judging came to */
    struct stoa_history_entry entry;
};

struct store_query {
    struct prune_floors kept; /* the store's when it began */
    struct store *store;
    struct store_request *request;
    const struct store_query_kind *kind;
    struct workers_job job;
    uint64_t epoch;
    unsigned tries;
    uint64_t deadline_ns; /* 0: none */
    uint64_t from;        /* heights */
    uint64_t to;
    bool descending;
    uint64_t spot; /* where the next page begins */
    bool finished; /* no page follows */
    bool more;     /* finished early: at SPOT it goes on */
    bool first_page;
    struct stoa_cursor anchor; /* the block that the caller's cursor was made at; then the last one
                                  judged */
    bool has_anchor;
    struct buffer lists;   /* struct query_list; groups rising */
    struct buffer overlay; /* struct posting_overlay; list after list */
    struct buffer heights; /* struct query_height: canonical blocks in pending batches, rising */
    struct query_height noted; /* the block that was asked for by its hash, if it is pending */
    struct query_slot slots[QUERY_SLOTS_MAX];
    unsigned slot_count;
    unsigned slot_next;
    unsigned reading;
    struct query_item items[QUERY_SLOTS_MAX];
    unsigned item_count;
    unsigned missing;
    uint64_t missing_height;
    uint64_t size; /* of the answers, as far as it is bounded */
    int result;
    unsigned starting; /* inside start_reads */
    struct buffer answers;
    struct buffer bytes;      /* that answers point into, by offset until answered */
    struct store_query *next; /* of the store's that are under way */
};

extern const struct store_query_kind query_logs_kind;
extern const struct store_query_kind query_history_kind;
extern const struct store_query_kind query_range_kind;
extern const struct store_query_kind query_headers_kind;

/* ---- for the kinds ---- */

/* To begin: add a list. STOA_ENOMEM. */
int store_query_add_list(struct store_query *query, unsigned group, enum posting_kind kind,
                         uint64_t prefix);
/* From the caller's range and cursor; clamped to the head. */
int store_query_set_range(struct store_query *query, uint64_t from, uint64_t to,
                          const struct stoa_cursor *cursor);
/* A stream over LIST. */
int store_query_open_stream(struct store_query *query, struct runs_version *version,
                            struct kv_session *session, const struct query_list *list,
                            struct posting_stream **out_stream);
/* Add a slot for the canonical block at HEIGHT; its record is wanted whole, until one says
 * otherwise. */
int store_query_add_slot(struct store_query *query, struct kv_session *session, uint64_t height,
                         bool *out_full);
/* To begin, in place of a range: the block with HASH, whatever its branch; and its page. */
void store_query_note_hash(struct store_query *query, const uint8_t hash[32]);
int store_query_add_noted(struct store_query *query, struct kv_session *session,
                          const uint8_t hash[32]);
/* Decode slot->block. STOA_ECORRUPT. */
int store_query_slot_decode(struct query_slot *slot);
/* The block was judged: cursors that are made now hold on to it. */
void store_query_set_anchor(struct store_query *query, uint64_t height, const uint8_t hash[32]);
/* The answer is full: finished, and more where the spot is still in the range. */
void store_query_stop(struct store_query *query);
/* The first block of the range on a list of what is missing, by MISSING's bit. */
int store_query_find_missing(struct store_query *query, struct kv_session *session,
                             unsigned missing);
void store_query_make_cursor(const struct store_query *query, struct stoa_cursor *out_cursor);

#endif
