/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An address's transactions. Postings say where to look and how many there are; the blocks say
 * whether it is that address, and which transaction. */
#include "base/memory.h"
#include "chain/transaction.h"
#include "store/hot.h"
#include "store/store_query.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 10000, STEPS_MAX = 65536 };

/* Roles that a block alone proves, without its receipts and senders: where an index tells of no
 * others there are no others, whatever hashes alike. */
static const unsigned roles_of_block = STOA_ROLE_RECIPIENT | STOA_ROLE_WITHDRAWAL;

static size_t history_limit(const struct store_query *query)
{
    unsigned limit = query->request->history_query.limit;
    return limit == 0 ? LIMIT_DEFAULT : limit;
}

static unsigned history_mask(const struct store_query *query)
{
    unsigned roles = query->request->history_query.roles;
    return roles == 0 ? STOA_ROLE_ALL : roles;
}

static int history_begin(struct store_query *query)
{
    const struct stoa_history_query *wanted = &query->request->history_query;
    if (wanted->limit > LIMIT_MAX || (wanted->roles & ~(unsigned)STOA_ROLE_ALL) != 0) {
        return error_set(&query->request->detail, STOA_EINVAL, "limit %u (at most %d), roles 0x%x",
                         wanted->limit, LIMIT_MAX, wanted->roles);
    }
    query->descending = !wanted->oldest_first;
    if (wanted->time_ms != 0 && query->deadline_ns == 0) {
        query->deadline_ns = io_now_ns(query->store->io) + wanted->time_ms * UINT64_C(1000000);
    }
    uint64_t floor = prune_floors_addresses(&query->store->kept);
    uint64_t from = wanted->from == 0 ? floor : wanted->from; /* all that there is */
    int result = store_query_set_range(query, from, wanted->to, &wanted->cursor);
    if (result == 0 && (wanted->from != 0 || query->to < floor)) {
        uint64_t lowest = wanted->from != 0 ? wanted->from : query->to;
        result = store_check_history(query->store, lowest, &query->request->detail);
    }
    if (result == 0) {
        result = store_query_add_list(query, 0, POSTING_ADDRESS,
                                      posting_address_prefix(wanted->address));
    }
    if (result == 0) {
        result =
            store_query_add_list(query, 1, POSTING_LOG,
                                 posting_log_prefix(POSTING_PLACE_NO_RECEIPTS, bytes_of(NULL, 0)));
    }
    if (result == 0) {
        result = store_query_add_list(
            query, 2, POSTING_LOG, posting_log_prefix(POSTING_PLACE_NO_SENDERS, bytes_of(NULL, 0)));
    }
    return result;
}

/* Past SPOT. */
static void move_on(struct store_query *query, uint64_t spot)
{
    query->finished = query->descending ? spot == 0 : spot == UINT64_MAX;
    if (!query->finished) {
        query->spot = query->descending ? spot - 1 : spot + 1;
    }
}

/* An item of the page. STOA_ETOOBIG: it would need one slot too many. */
static int add_item(struct store_query *query, struct kv_session *session,
                    const struct posting_spot *found, bool *full)
{
    uint64_t spot = found->spot;
    struct query_item *item = &query->items[query->item_count];
    const uint8_t *address = query->request->history_query.address;
    uint64_t height = spot >> 24;
    item->spot = spot;
    item->found = false;
    item->known = hot_get_entry(query->store->cache, spot, address, &item->entry);
    if (!item->known) {
        bool there = query->slot_count != 0 && query->slots[query->slot_count - 1].height == height;
        if (!there && *full) {
            return STOA_ETOOBIG;
        }
        int result = there ? 0 : store_query_add_slot(query, session, height, full);
        if (result != 0) {
            return result;
        }
        item->slot = query->slot_count - 1;
        struct query_slot *slot = &query->slots[item->slot];
        slot->whole = (there && slot->whole) || (found->roles & ~roles_of_block) != 0;
    }
    query->item_count++;
    return 0;
}

static int gather(struct store_query *query, struct kv_session *session,
                  struct posting_stream *stream)
{
    size_t have = query->answers.size / sizeof(struct stoa_history_entry);
    size_t room = history_limit(query) - have;
    room = room < QUERY_SLOTS_MAX ? room : QUERY_SLOTS_MAX;
    bool full = false;
    for (unsigned steps = 0; query->item_count < room && steps < STEPS_MAX && !query->finished;
         steps++) {
        struct posting_spot found;
        int result = posting_stream_seek(stream, query->spot, &found, &query->request->detail);
        uint64_t height = found.spot >> 24;
        if (result == STOA_ENOTFOUND ||
            (result == 0 && (height < query->from || height > query->to))) {
            query->finished = true;
            return 0;
        }
        if (result != 0) {
            return result;
        }
        if ((found.roles & history_mask(query)) != 0) {
            result = add_item(query, session, &found, &full);
            if (result != 0) {
                return result == STOA_ETOOBIG ? 0 : result;
            }
        }
        move_on(query, found.spot);
    }
    return 0;
}

static int history_judge(struct store_query *query);

static int history_page(struct store_query *query, struct kv_session *session)
{
    int result = 0;
    if (query->first_page) {
        result = store_query_find_missing(query, session, STOA_MISSING_RECEIPTS);
        if (result == 0) {
            result = store_query_find_missing(query, session, STOA_MISSING_SENDERS);
        }
    }
    struct runs *runs = index_postings(query->store->index, POSTING_ADDRESS);
    struct runs_version *version = runs_acquire(runs);
    struct posting_stream *stream = NULL;
    if (result == 0) {
        result = store_query_open_stream(query, version, session, (const void *)query->lists.data,
                                         &stream);
    }
    if (result == 0) {
        result = gather(query, session, stream);
    }
    posting_stream_close(stream);
    runs_release(runs, version);
    if (result == 0 && query->slot_count == 0 && query->item_count != 0) { /* all are known */
        result = history_judge(query);
        query->item_count = 0;
    }
    return result;
}

static int judge_item(struct store_query *query, struct query_item *item)
{
    if (item->known) {
        return 0;
    }
    struct query_slot *slot = &query->slots[item->slot];
    uint32_t index = (uint32_t)(item->spot & POSTING_INDEX_MAX);
    unsigned roles;
    struct bytes envelope;
    int result = posting_roles_at(&slot->block, slot->record.senders, slot->record.receipts,
                                  query->request->history_query.address, index, &roles, &envelope);
    if (result != 0) {
        return error_set(&query->request->detail, result,
                         "block %llu has no transaction %u, though an index says so",
                         (unsigned long long)slot->height, index);
    }
    if (roles == 0) {
        return 0; /* another address that hashes alike */
    }
    struct stoa_history_entry entry = {
        .height = slot->height,
        .index = envelope.data == NULL ? 0 : index,
        .roles = roles,
        .timestamp = slot->block.header.timestamp,
    };
    memcpy(entry.block_hash, slot->record.hash, 32);
    if (envelope.data != NULL) {
        transaction_hash(envelope, entry.transaction_hash);
    }
    item->entry = entry;
    item->found = true;
    return 0;
}

static int history_judge(struct store_query *query)
{
    for (unsigned i = 0; i < query->slot_count; i++) {
        int result = store_query_slot_decode(&query->slots[i]);
        if (result != 0) {
            return result;
        }
    }
    for (unsigned i = 0; i < query->item_count; i++) {
        struct query_item *item = &query->items[i];
        int result = judge_item(query, item);
        bool wanted = item->known || item->found;
        if (result == 0 && wanted && (item->entry.roles & history_mask(query)) != 0) {
            result = buffer_append(&query->answers, &item->entry, sizeof(item->entry));
        }
        if (result != 0) {
            return result;
        }
    }
    const struct query_item *last = &query->items[query->item_count - 1];
    const struct query_slot *slot = &query->slots[last->slot];
    store_query_set_anchor(query, last->spot >> 24,
                           last->known ? last->entry.block_hash : slot->record.hash);
    size_t have = query->answers.size / sizeof(struct stoa_history_entry);
    if (!query->finished && have >= history_limit(query)) {
        store_query_stop(query);
    }
    return 0;
}

/* So that whoever pages through the same history again reads no block. */
static void history_judged(struct store_query *query)
{
    for (unsigned i = 0; i < query->item_count; i++) {
        const struct query_item *item = &query->items[i];
        if (item->found) {
            store_cache_fill_entry(query->store, item->spot, query->request->history_query.address,
                                   &item->entry);
        }
    }
}

static int history_answer(struct store_query *query)
{
    struct stoa_history *out = &query->request->history;
    size_t size = query->answers.size;
    struct stoa_history_entry *entries = memory_alloc(size + 1);
    if (entries == NULL) {
        return STOA_ENOMEM;
    }
    if (size != 0) {
        memcpy(entries, query->answers.data, size);
    }
    *out = (struct stoa_history){
        .entries = entries,
        .count = size / sizeof(*entries),
        .more = query->more,
        .missing = query->missing,
    };
    if (query->more) {
        store_query_make_cursor(query, &out->cursor);
    }
    return 0;
}

const struct store_query_kind query_history_kind = {
    .begin = history_begin,
    .page = history_page,
    .judge = history_judge,
    .judged = history_judged,
    .answer = history_answer,
};
