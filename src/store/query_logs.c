/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs by address and topics. Each place of the filter is a group of lists, its alternatives; a
 * block is a candidate where each group has a posting. Groups are intersected by leaps: each is
 * asked for its first block at or behind where the others stand, so the thinnest list sets the
 * pace. The candidate's receipts decide. A filter that names nothing has every block of the range
 * as a candidate. */
#include "base/memory.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "store/store_query.h"

enum {
    LIMIT_DEFAULT = 10000,
    LIMIT_MAX = 100000,
    LEAPS_MAX = 65536,
    PLACES = 5, /* address, and four topics */
    MISSING_GROUP = PLACES,
};
static const size_t data_size_max = 64 << 20;

struct group {
    struct posting_stream **streams;
    size_t count;
};

static size_t logs_limit(const struct store_query *query)
{
    unsigned limit = query->request->log_filter.limit;
    return limit == 0 ? LIMIT_DEFAULT : limit;
}

static int add_values(struct store_query *query, enum posting_place place, const uint8_t *values,
                      size_t count)
{
    size_t size = place == POSTING_PLACE_EMITTER ? 20 : 32;
    unsigned group = place == POSTING_PLACE_EMITTER ? 0 : (unsigned)place + 1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = store_query_add_list(query, group, POSTING_LOG,
                                      posting_log_prefix(place, bytes_of(values + i * size, size)));
    }
    return result;
}

static int check_filter(const struct stoa_log_filter *filter, struct error_detail *detail)
{
    bool valid = filter->topic_count <= 4 && filter->limit <= LIMIT_MAX &&
                 (filter->address_count == 0 || filter->addresses != NULL);
    size_t count = filter->address_count;
    for (unsigned i = 0; valid && i < filter->topic_count; i++) {
        valid = filter->topics[i].count == 0 || filter->topics[i].topics != NULL;
        valid = valid && filter->topics[i].count <= STOA_LOG_ALTERNATIVES_MAX;
        count += filter->topics[i].count;
    }
    if (valid && count <= STOA_LOG_ALTERNATIVES_MAX) {
        return 0;
    }
    return error_set(detail, STOA_EINVAL,
                     "filter: at most 4 topics, %d addresses and topics in all, limit %d",
                     STOA_LOG_ALTERNATIVES_MAX, LIMIT_MAX);
}

static int logs_begin(struct store_query *query)
{
    const struct stoa_log_filter *filter = &query->request->log_filter;
    int result = check_filter(filter, &query->request->detail);
    if (result == 0 && filter->time_ms != 0 && query->deadline_ns == 0) {
        query->deadline_ns = io_now_ns(query->store->io) + filter->time_ms * UINT64_C(1000000);
    }
    if (result == 0 && filter->block_hash != NULL) {
        query->spot = filter->cursor.spot;
        store_query_note_hash(query, filter->block_hash);
        return 0;
    }
    if (result == 0) {
        result = store_query_set_range(query, filter->from, filter->to, &filter->cursor);
    }
    if (result == 0 && !query->finished) {
        result = store_check_logs(query->store, query->from, &query->request->detail);
    }
    if (result == 0) {
        result = add_values(query, POSTING_PLACE_EMITTER, filter->addresses, filter->address_count);
    }
    for (unsigned i = 0; result == 0 && i < filter->topic_count; i++) {
        result = add_values(query, POSTING_PLACE_TOPIC + i, filter->topics[i].topics,
                            filter->topics[i].count);
    }
    if (result == 0) {
        result =
            store_query_add_list(query, MISSING_GROUP, POSTING_LOG,
                                 posting_log_prefix(POSTING_PLACE_NO_RECEIPTS, bytes_of(NULL, 0)));
    }
    return result;
}

/* ---- candidates ---- */

/* The group's first block at HEIGHT or above. */
static int group_seek(struct store_query *query, const struct group *group, uint64_t height,
                      struct posting_spot *out_spot)
{
    struct posting_spot first = {.spot = UINT64_MAX};
    bool found = false;
    for (size_t i = 0; i < group->count; i++) {
        struct posting_spot spot;
        if (group->streams[i] == NULL) {
            continue; /* ended */
        }
        int result = posting_stream_seek(group->streams[i], posting_stream_spot(height, 0), &spot,
                                         &query->request->detail);
        if (result == STOA_ENOTFOUND) {
            posting_stream_close(group->streams[i]);
            group->streams[i] = NULL;
            continue;
        }
        if (result != 0) {
            return result;
        }
        first = !found || spot.spot < first.spot ? spot : first;
        found = true;
    }
    *out_spot = first;
    return found ? 0 : STOA_ENOTFOUND;
}

/* The first block from HEIGHT on that all groups have. STOA_EBUSY: none after LEAPS_MAX leaps;
 * OUT_SPOT says how far it came. STOA_ENOTFOUND: none. */
static int find_candidate(struct store_query *query, const struct group *groups, unsigned count,
                          uint64_t height, struct posting_spot *out_spot)
{
    struct posting_spot candidate = {.spot = posting_stream_spot(height, 0)};
    unsigned agreed = 0;
    for (unsigned leaps = 0; agreed < count; leaps++) {
        struct posting_spot spot;
        int result = group_seek(query, &groups[leaps % count], candidate.spot >> 24, &spot);
        if (result != 0) {
            return result;
        }
        if (spot.spot >> 24 > query->to) {
            return STOA_ENOTFOUND;
        }
        if (spot.spot >> 24 == candidate.spot >> 24) {
            agreed++;
        } else {
            agreed = 1;
            candidate = spot;
        }
        if (leaps == LEAPS_MAX) {
            *out_spot = candidate;
            return STOA_EBUSY;
        }
    }
    *out_spot = candidate;
    return 0;
}

static int fill_slots(struct store_query *query, struct kv_session *session,
                      const struct group *groups, unsigned count)
{
    size_t have = query->answers.size / sizeof(struct stoa_log);
    size_t room = logs_limit(query) - have; /* a candidate has a log, mostly */
    bool full = false;
    while (!full && query->slot_count < room) {
        struct posting_spot spot = {.spot = 0};
        uint64_t height = query->spot >> 24;
        int result = height > query->to ? STOA_ENOTFOUND
                                        : find_candidate(query, groups, count, height, &spot);
        if (result == STOA_ENOTFOUND) {
            query->finished = true;
            return 0;
        }
        if (result == 0) {
            result = store_query_add_slot(query, session, spot.spot >> 24, &full);
            query->spot = posting_stream_spot((spot.spot >> 24) + 1, 0);
        } else if (result == STOA_EBUSY) {
            query->spot = posting_stream_spot(spot.spot >> 24, 0);
            return 0;
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

/* The streams of the filter's lists, group by group. */
static int open_groups(struct store_query *query, struct kv_session *session,
                       struct runs_version *version, struct posting_stream **streams,
                       struct group groups[PLACES], unsigned *out_count)
{
    const struct query_list *lists = (const void *)query->lists.data;
    size_t list_count = query->lists.size / sizeof(*lists) - 1; /* the last: what is missing */
    unsigned count = 0;
    for (size_t i = 0; i < list_count; i++) {
        if (i == 0 || lists[i].group != lists[i - 1].group) {
            groups[count++] = (struct group){.streams = streams + i};
        }
        groups[count - 1].count++;
        int result = store_query_open_stream(query, version, session, &lists[i], &streams[i]);
        if (result != 0) {
            return result;
        }
    }
    *out_count = count;
    return 0;
}

static int check_missing(struct store_query *query, struct kv_session *session)
{
    int result = store_query_find_missing(query, session, STOA_MISSING_RECEIPTS);
    if (result == 0 && query->missing != 0 && !query->request->log_filter.allow_missing) {
        return error_set(&query->request->detail, STOA_ENOTFOUND,
                         "receipts of block %llu are not stored: its logs are not known",
                         (unsigned long long)query->missing_height);
    }
    return result;
}

static int logs_page(struct store_query *query, struct kv_session *session)
{
    if (query->request->log_filter.block_hash != NULL) {
        return store_query_add_noted(query, session, query->request->log_filter.block_hash);
    }
    int result = query->first_page ? check_missing(query, session) : 0;
    if (result != 0) {
        return result;
    }
    size_t stream_count = query->lists.size / sizeof(struct query_list);
    struct posting_stream **streams = memory_alloc_zeroed(stream_count, sizeof(*streams));
    if (streams == NULL) {
        return STOA_ENOMEM;
    }
    struct runs *runs = index_postings(query->store->index, POSTING_LOG);
    struct runs_version *version = runs_acquire(runs);
    struct group groups[PLACES];
    unsigned count = 0;
    result = open_groups(query, session, version, streams, groups, &count);
    if (result == 0) {
        result = fill_slots(query, session, groups, count);
    }
    for (size_t i = 0; i < stream_count; i++) {
        posting_stream_close(streams[i]);
    }
    runs_release(runs, version);
    memory_free(streams);
    return result;
}

/* ---- judging ---- */

static bool is_among(const uint8_t *value, const uint8_t *values, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(value, values + i * size, size) == 0) {
            return true;
        }
    }
    return count == 0;
}

static bool matches(const struct stoa_log_filter *filter, const struct receipt_log *log)
{
    if (log->topic_count < filter->topic_count ||
        !is_among(log->address, filter->addresses, filter->address_count, 20)) {
        return false;
    }
    for (unsigned i = 0; i < filter->topic_count; i++) {
        if (!is_among(log->topics[i], filter->topics[i].topics, filter->topics[i].count, 32)) {
            return false;
        }
    }
    return true;
}

/* Where judging is in a block. */
struct walk {
    struct query_slot *slot;
    struct bytes transactions;
    uint32_t transaction_index;
    bool hashed;
    uint8_t hash[32];
    uint32_t log_index;
    uint32_t log_first; /* those before were answered already */
};

static void hash_transaction(struct walk *walk, struct bytes envelope)
{
    if (!walk->hashed) {
        transaction_hash(envelope, walk->hash);
        walk->hashed = true;
    }
}

static int add_log(struct store_query *query, struct walk *walk, const struct receipt_log *log)
{
    const struct query_slot *slot = walk->slot;
    struct stoa_log out = {
        .topic_count = log->topic_count,
        .data = {NULL, log->data.size}, /* where it is, logs_answer knows */
        .height = slot->height,
        .timestamp = slot->block.header.timestamp,
        .transaction_index = walk->transaction_index,
        .log_index = walk->log_index,
    };
    memcpy(out.address, log->address, 20);
    for (unsigned i = 0; i < log->topic_count; i++) {
        memcpy(out.topics[i], log->topics[i], 32);
    }
    memcpy(out.block_hash, slot->record.hash, 32);
    memcpy(out.transaction_hash, walk->hash, 32);
    int result = buffer_append(&query->answers, &out, sizeof(out));
    return result == 0 ? buffer_append(&query->bytes, log->data.data, log->data.size) : result;
}

static bool is_full(const struct store_query *query)
{
    return query->answers.size / sizeof(struct stoa_log) >= logs_limit(query) ||
           query->bytes.size >= data_size_max;
}

/* The logs of one receipt. STOA_ETOOBIG: the answer is full, before the log at walk->log_index. */
static int judge_receipt(struct store_query *query, struct walk *walk, struct bytes receipt_bytes,
                         struct bytes envelope)
{
    struct receipt receipt;
    struct receipt_log log;
    int result = receipt_decode(receipt_bytes, &receipt, NULL);
    if (result != 0) {
        return STOA_ECORRUPT;
    }
    struct bytes logs = receipt.logs;
    while ((result = receipt_next_log(&logs, &log, NULL)) == 0) {
        if (walk->log_index >= walk->log_first && matches(&query->request->log_filter, &log)) {
            if (is_full(query)) {
                return STOA_ETOOBIG;
            }
            hash_transaction(walk, envelope);
            result = add_log(query, walk, &log);
            if (result != 0) {
                return result;
            }
        }
        walk->log_index++;
    }
    return result == STOA_ENOTFOUND ? 0 : STOA_ECORRUPT;
}

/* Receipts that do not decode count as not stored: the block is on the list of those. */
static int judge_block(struct store_query *query, struct query_slot *slot, uint32_t *log_index)
{
    struct walk walk = {
        .slot = slot,
        .transactions = slot->block.transactions,
        .log_first = *log_index,
    };
    struct bytes cursor = slot->record.receipts;
    struct bytes receipts;
    size_t answers = query->answers.size;
    size_t bytes = query->bytes.size;
    if (rlp_read_list(&cursor, &receipts, NULL) != 0) {
        return STOA_ECORRUPT;
    }
    int result = 0;
    for (; result == 0 && walk.transaction_index < slot->block.transaction_count;
         walk.transaction_index++) {
        struct bytes envelope;
        struct bytes receipt;
        if (block_next_transaction(&walk.transactions, &envelope, NULL) != 0 ||
            receipt_next(&receipts, &receipt, NULL) != 0) {
            result = STOA_ECORRUPT;
            break;
        }
        walk.hashed = false;
        result = judge_receipt(query, &walk, receipt, envelope);
    }
    if (result == STOA_ECORRUPT) {
        query->answers.size = answers;
        query->bytes.size = bytes;
    }
    *log_index = walk.log_index;
    return result;
}

/* A block by its hash is on no list. */
static int judge_missing(struct store_query *query, const struct query_slot *slot)
{
    if (query->missing == 0 || slot->height < query->missing_height) {
        query->missing_height = slot->height;
    }
    query->missing |= STOA_MISSING_RECEIPTS;
    if (query->request->log_filter.allow_missing) {
        return 0;
    }
    return error_set(&query->request->detail, STOA_ENOTFOUND,
                     "receipts of block %llu are not stored: its logs are not known",
                     (unsigned long long)slot->height);
}

static int logs_judge(struct store_query *query)
{
    const struct stoa_cursor *given = &query->request->log_filter.cursor;
    for (unsigned i = 0; i < query->slot_count; i++) {
        struct query_slot *slot = &query->slots[i];
        int result = store_query_slot_decode(slot);
        if (result != 0) {
            return result;
        }
        store_query_set_anchor(query, slot->height, slot->record.hash);
        if (slot->block.transaction_count == 0) {
            continue;
        }
        uint32_t log_index =
            given->spot >> 24 == slot->height ? (uint32_t)(given->spot & POSTING_INDEX_MAX) : 0;
        result =
            slot->record.receipts.size == 0 ? STOA_ECORRUPT : judge_block(query, slot, &log_index);
        if (result == STOA_ETOOBIG) {
            query->finished = true;
            query->more = true;
            query->spot = posting_stream_spot(slot->height, log_index);
            return 0;
        }
        if (result == STOA_ECORRUPT) {
            result = judge_missing(query, slot);
        }
        if (result != 0) {
            return result;
        }
    }
    if (!query->finished && is_full(query)) {
        store_query_stop(query);
    }
    return 0;
}

static int logs_answer(struct store_query *query)
{
    struct stoa_logs *out = &query->request->logs;
    size_t size = query->answers.size;
    uint8_t *memory = memory_alloc(size + query->bytes.size + 1);
    if (memory == NULL) {
        return STOA_ENOMEM;
    }
    if (size != 0) {
        memcpy(memory, query->answers.data, size);
    }
    if (query->bytes.size != 0) {
        memcpy(memory + size, query->bytes.data, query->bytes.size);
    }
    struct stoa_log *logs = (void *)memory;
    size_t count = size / sizeof(*logs);
    uint8_t *data = memory + size;
    for (size_t i = 0; i < count; i++) {
        logs[i].data.data = data;
        data += logs[i].data.size;
    }
    *out = (struct stoa_logs){
        .logs = logs,
        .count = count,
        .more = query->more,
        .missing = query->missing,
        .missing_height = query->missing_height,
    };
    if (query->more) {
        store_query_make_cursor(query, &out->cursor);
    }
    return 0;
}

const struct store_query_kind query_logs_kind = {
    .begin = logs_begin,
    .page = logs_page,
    .judge = logs_judge,
    .answer = logs_answer,
};
