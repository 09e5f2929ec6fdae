/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_query.h"

#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/hot.h"

enum { TRIES_MAX = 16, FRONT_LEAST_SAVED = 4096, BLOCKS_AHEAD = 16 };

static void begin(struct store_query *query);

/* Those of a range hold views. */
static void drop_answers(struct store_query *query)
{
    const struct stoa_block *blocks = (const void *)query->answers.data;
    size_t count = query->kind == &query_range_kind ? query->answers.size / sizeof(*blocks) : 0;
    for (size_t i = 0; i < count; i++) {
        store_view_release(blocks[i].view);
    }
    buffer_clear(&query->answers);
}

static void destroy(struct store_query *query)
{
    for (unsigned i = 0; i < query->slot_count; i++) {
        store_view_release(query->slots[i].view);
    }
    drop_answers(query);
    buffer_deinit(&query->lists);
    buffer_deinit(&query->overlay);
    buffer_deinit(&query->heights);
    buffer_deinit(&query->answers);
    buffer_deinit(&query->bytes);
    struct store_query **link = &query->store->queries;
    while (*link != query) {
        link = &(*link)->next;
    }
    *link = query->next;
    memory_free(query);
}

static void finish(struct store_query *query, int result)
{
    struct store *store = query->store;
    struct store_request *request = query->request;
    destroy(query);
    store_finish_request(store, request, result);
}

static void release_hot(struct stoa_view *view)
{
    if (hot_is_view(view)) {
        hot_release(view);
    }
}

/* The ledger, gone, has freed what its views show; those of the cache are to be given back. */
void store_query_free_all(struct store *store)
{
    while (store->queries != NULL) {
        struct store_query *query = store->queries;
        for (unsigned i = 0; i < query->slot_count; i++) {
            release_hot(query->slots[i].view);
        }
        const struct stoa_block *blocks = (const void *)query->answers.data;
        size_t count = query->kind == &query_range_kind ? query->answers.size / sizeof(*blocks) : 0;
        for (size_t i = 0; i < count; i++) {
            release_hot(blocks[i].view);
        }
        query->slot_count = 0;
        buffer_clear(&query->answers);
        destroy(query);
    }
}

/* ---- what the pending batches say ---- */

/* The batches that are not in the tables, oldest first; NULL past the last. */
static const struct pending *batch_at(const struct store *store, unsigned index)
{
    if (index == 0) {
        store_settle_before_look(store);
    }
    if (index < store->frozen_count) {
        return store->frozen[index];
    }
    return index == store->frozen_count ? store->open : NULL;
}

static int compare_spots(const void *a, const void *b)
{
    const struct posting_overlay *left = a;
    const struct posting_overlay *right = b;
    if (left->spot != right->spot) {
        return left->spot < right->spot ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Order what was appended from FIRST on, and of each spot keep the newest. */
static size_t settle_overlay(struct buffer *buffer, size_t first)
{
    struct posting_overlay *overlay = (void *)buffer->data;
    size_t count = buffer->size / sizeof(*overlay) - first;
    if (count == 0) {
        return 0;
    }
    overlay += first;
    qsort(overlay, count, sizeof(*overlay), compare_spots);
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        kept += overlay[i].spot != overlay[kept].spot;
        overlay[kept] = overlay[i];
    }
    buffer->size = (first + kept + 1) * sizeof(*overlay);
    return kept + 1;
}

static int take_block(struct store_query *query, const struct pending_postings *block,
                      const struct posting *wanted, uint32_t *order)
{
    const struct posting_slice *slice = &block->kinds[wanted->kind];
    const struct posting *posting = posting_find(slice, wanted->prefix);
    const struct posting *end = slice->postings + slice->count;
    for (; posting != NULL && posting < end && posting->prefix == wanted->prefix; posting++) {
        struct posting_overlay overlay = {
            .spot = posting_stream_spot(block->height, posting->index),
            .order = (*order)++,
            .roles = posting->roles,
            .removed = block->removed,
        };
        if (buffer_append(&query->overlay, &overlay, sizeof(overlay)) != 0) {
            return STOA_ENOMEM;
        }
    }
    return 0;
}

/* Each search begins with a miss of the memory: a few blocks' are under way at once. */
static void fetch_ahead(const struct pending *batch, size_t first, const struct posting *wanted)
{
    size_t count = pending_postings_count(batch);
    size_t end = count - first < BLOCKS_AHEAD ? count : first + BLOCKS_AHEAD;
    for (size_t i = first; i < end; i++) {
        const struct posting_slice *slice = &pending_postings_at(batch, i)->kinds[wanted->kind];
        if (slice->count != 0) {
            __builtin_prefetch(posting_guess(slice, wanted->prefix));
        }
    }
}

static int take_postings(struct store_query *query, const struct pending *batch,
                         const struct posting *wanted, uint32_t *order)
{
    bool of_missing = posting_is_missing(wanted);
    for (size_t i = 0; i < pending_postings_count(batch); i++) {
        const struct pending_postings *block = pending_postings_at(batch, i);
        if (i % BLOCKS_AHEAD == 0 && !of_missing) {
            fetch_ahead(batch, i, wanted);
        }
        if (block->height < query->from || block->height > query->to ||
            (of_missing && !block->missing)) {
            continue;
        }
        if (take_block(query, block, wanted, order) != 0) {
            return STOA_ENOMEM;
        }
    }
    return 0;
}

static int take_overlay(struct store_query *query)
{
    struct query_list *lists = (void *)query->lists.data;
    const struct pending *batch;
    for (size_t i = 0; i < query->lists.size / sizeof(*lists); i++) {
        uint32_t order = 0;
        lists[i].overlay_first = query->overlay.size / sizeof(struct posting_overlay);
        for (unsigned j = 0; (batch = batch_at(query->store, j)) != NULL; j++) {
            if (take_postings(query, batch, &lists[i].posting, &order) != 0) {
                return STOA_ENOMEM;
            }
        }
        lists[i].overlay_count = settle_overlay(&query->overlay, lists[i].overlay_first);
    }
    return 0;
}

static int compare_heights(const void *a, const void *b)
{
    const struct query_height *left = a;
    const struct query_height *right = b;
    if (left->height != right->height) {
        return left->height < right->height ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

static int take_batch_heights(struct store_query *query, const struct pending *batch,
                              uint32_t *order)
{
    for (size_t i = 0; i < pending_block_count(batch); i++) {
        const struct pending_block *block = pending_block_at(batch, i);
        if (block->side || block->height < query->from || block->height > query->to) {
            continue;
        }
        struct query_height height = {
            .height = block->height, .order = (*order)++, .position = block->position};
        memcpy(height.hash, block->hash, 32);
        if (buffer_append(&query->heights, &height, sizeof(height)) != 0) {
            return STOA_ENOMEM;
        }
    }
    return 0;
}

/* Where the canonical blocks of the pending batches are. They come in order but where the branch
 * was changed or a block was given another place. */
static int take_heights(struct store_query *query)
{
    const struct pending *batch;
    uint32_t order = 0;
    for (unsigned i = 0; (batch = batch_at(query->store, i)) != NULL; i++) {
        if (take_batch_heights(query, batch, &order) != 0) {
            return STOA_ENOMEM;
        }
    }
    struct query_height *heights = (void *)query->heights.data;
    size_t count = query->heights.size / sizeof(*heights);
    bool rising = true;
    for (size_t i = 1; rising && i < count; i++) {
        rising = heights[i - 1].height < heights[i].height;
    }
    if (rising) {
        return 0;
    }
    qsort(heights, count, sizeof(*heights), compare_heights);
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        kept += heights[i].height != heights[kept].height;
        heights[kept] = heights[i];
    }
    query->heights.size = (kept + 1) * sizeof(*heights);
    return 0;
}

static const struct query_height *find_height(const struct store_query *query, uint64_t height)
{
    const struct query_height *heights = (const void *)query->heights.data;
    size_t count = query->heights.size / sizeof(*heights);
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (heights[middle].height < height) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && heights[low].height == height ? &heights[low] : NULL;
}

/* ---- for the kinds ---- */

int store_query_add_list(struct store_query *query, unsigned group, enum posting_kind kind,
                         uint64_t prefix)
{
    struct query_list list = {
        .posting = {.prefix = prefix, .kind = (uint8_t)kind},
        .group = group,
    };
    return buffer_append(&query->lists, &list, sizeof(list));
}

int store_query_set_range(struct store_query *query, uint64_t from, uint64_t to,
                          const struct stoa_cursor *cursor)
{
    static const uint8_t zero[32];
    const struct store *store = query->store;
    struct error_detail *detail = &query->request->detail;
    if (from > to) {
        return error_set(detail, STOA_EINVAL, "from %llu is above to %llu",
                         (unsigned long long)from, (unsigned long long)to);
    }
    query->has_anchor = memcmp(cursor->anchor_hash, zero, 32) != 0;
    query->anchor = *cursor;
    query->finished = !store->head.present || from > store->head.height;
    query->from = from;
    query->to = query->finished || to < store->head.height ? to : store->head.height;
    bool goes_on = query->has_anchor || cursor->spot != 0;
    if (goes_on) {
        query->spot = cursor->spot;
    } else {
        query->spot = query->descending ? posting_stream_spot(query->to, POSTING_INDEX_MAX)
                                        : posting_stream_spot(from, 0);
    }
    uint64_t height = query->spot >> 24;
    if (!query->finished && goes_on && (height < from || height > to)) {
        return error_set(detail, STOA_EINVAL, "cursor: it is not of this query");
    }
    return 0;
}

int store_query_open_stream(struct store_query *query, struct runs_version *version,
                            struct kv_session *session, const struct query_list *list,
                            struct posting_stream **out_stream)
{
    int result = posting_stream_open(version, session, &list->posting, query->descending,
                                     out_stream, &query->request->detail);
    if (result == 0) {
        const struct posting_overlay *overlay = (const void *)query->overlay.data;
        overlay = overlay == NULL ? NULL : overlay + list->overlay_first; /* NULL: all are empty */
        posting_stream_overlay(*out_stream, overlay, list->overlay_count);
    }
    return result;
}

static void add_slot(struct store_query *query, uint64_t height, const uint8_t hash[32],
                     const struct ledger_position *position)
{
    ensure(query->slot_count < QUERY_SLOTS_MAX);
    struct query_slot *slot = &query->slots[query->slot_count++];
    *slot =
        (struct query_slot){.query = query, .height = height, .position = *position, .whole = true};
    (void)hot_get_record(query->store->cache, hash, &slot->payload,
                         &slot->view); /* or it is read */
}

int store_query_add_slot(struct store_query *query, struct kv_session *session, uint64_t height,
                         bool *out_full)
{
    struct error_detail *detail = &query->request->detail;
    const struct query_height *known = find_height(query, height);
    if (known != NULL) {
        add_slot(query, height, known->hash, &known->position);
    } else {
        uint8_t hash[32];
        struct index_place place;
        int result = index_find_height(query->store->index, session, height, hash, &place, detail);
        if (result == STOA_ENOTFOUND) { /* damage, if the branch has not changed meanwhile */
            return error_set(detail, STOA_ECORRUPT, "tables: height %llu is not there",
                             (unsigned long long)height);
        }
        if (result != 0) {
            return result;
        }
        add_slot(query, height, hash, &place.position);
        query->slots[query->slot_count - 1].front = place.front;
    }
    uint64_t size = 0;
    for (unsigned i = 0; i < query->slot_count; i++) {
        size += query->slots[i].position.size;
    }
    *out_full = query->slot_count == QUERY_SLOTS_MAX || size >= QUERY_PAGE_SIZE_MAX;
    return 0;
}

void store_query_note_hash(struct store_query *query, const uint8_t hash[32])
{
    const struct pending *batch;
    query->has_anchor = false;
    query->noted = (struct query_height){.height = 0};
    for (unsigned i = 0; (batch = batch_at(query->store, i)) != NULL; i++) {
        const struct pending_block *block = pending_find_hash(batch, hash);
        if (block != NULL) {
            query->noted.height = block->height;
            query->noted.position = block->position;
        }
    }
}

int store_query_add_noted(struct store_query *query, struct kv_session *session,
                          const uint8_t hash[32])
{
    struct index_place place = {.height = query->noted.height, .position = query->noted.position};
    int result = 0;
    if (place.position.sequence == 0) {
        result =
            index_find_hash(query->store->index, session, hash, &place, &query->request->detail);
    }
    if (result == 0 && place.height < query->kept.receipts) {
        result =
            error_set(&query->request->detail, STOA_EPRUNED,
                      "receipts of block %llu are not kept any more: those from %llu on are",
                      (unsigned long long)place.height, (unsigned long long)query->kept.receipts);
    }
    if (result == 0) {
        add_slot(query, place.height, hash, &place.position);
    }
    query->finished = true;
    return result;
}

int store_query_slot_decode(struct query_slot *slot)
{
    struct error_detail *detail = &slot->query->request->detail;
    int result;
    if (hot_is_view(slot->view)) {
        result = record_decode(slot->payload, &slot->record, detail);
    } else {
        const struct ledger_read *read = &slot->view->read;
        slot->payload = read->payload;
        result = store_decode_read(read, &slot->record, detail);
    }
    return result == 0 ? block_decode(slot->record.block, &slot->block, detail) : result;
}

void store_query_set_anchor(struct store_query *query, uint64_t height, const uint8_t hash[32])
{
    query->has_anchor = true;
    query->anchor.anchor_height = height;
    memcpy(query->anchor.anchor_hash, hash, 32);
}

void store_query_make_cursor(const struct store_query *query, struct stoa_cursor *out_cursor)
{
    *out_cursor = query->anchor;
    out_cursor->spot = query->spot;
}

void store_query_stop(struct store_query *query)
{
    uint64_t height = query->spot >> 24;
    query->finished = true;
    query->more = height >= query->from && height <= query->to;
}

int store_query_find_missing(struct store_query *query, struct kv_session *session,
                             unsigned missing)
{
    enum posting_place place =
        missing == STOA_MISSING_RECEIPTS ? POSTING_PLACE_NO_RECEIPTS : POSTING_PLACE_NO_SENDERS;
    uint64_t prefix = posting_log_prefix(place, bytes_of(NULL, 0));
    const struct query_list *lists = (const void *)query->lists.data;
    size_t i = 0;
    while (lists[i].posting.kind != POSTING_LOG || lists[i].posting.prefix != prefix) {
        i++; /* it was added to begin with */
    }
    struct runs *runs = index_postings(query->store->index, POSTING_LOG);
    struct runs_version *version = runs_acquire(runs);
    struct posting_stream *stream = NULL;
    struct posting_spot found = {.spot = 0};
    bool descending = query->descending;
    query->descending = false;
    int result = store_query_open_stream(query, version, session, &lists[i], &stream);
    query->descending = descending;
    if (result == 0) {
        result = posting_stream_seek(stream, posting_stream_spot(query->from, 0), &found,
                                     &query->request->detail);
    }
    if (result == 0 && found.spot >> 24 <= query->to) {
        query->missing_height = query->missing == 0 || found.spot >> 24 < query->missing_height
                                    ? found.spot >> 24
                                    : query->missing_height;
        query->missing |= missing;
    }
    posting_stream_close(stream);
    runs_release(runs, version);
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* ---- page by page ---- */

/* Is the block of the caller's cursor still canonical? */
static int check_anchor(struct store_query *query, struct kv_session *session)
{
    const struct stoa_cursor *anchor = &query->anchor;
    const struct query_height *known = find_height(query, anchor->anchor_height);
    struct error_detail *detail = &query->request->detail;
    uint8_t hash[32];
    struct index_place place;
    if (known != NULL) {
        memcpy(hash, known->hash, 32);
    } else {
        int result = index_find_height(query->store->index, session, anchor->anchor_height, hash,
                                       &place, detail);
        if (result != 0 && result != STOA_ENOTFOUND) {
            return result;
        }
        if (result == STOA_ENOTFOUND) {
            memset(hash, 0, sizeof(hash));
        }
    }
    return memcmp(hash, anchor->anchor_hash, 32) == 0
               ? 0
               : error_set(detail, STOA_EBUSY,
                           "cursor: its block, height %llu, is not canonical any more",
                           (unsigned long long)anchor->anchor_height);
}

static void run_page(struct workers_job *job, void *worker_state)
{
    struct store_query *query = job->context;
    int result = 0;
    if (query->first_page && query->has_anchor) {
        result = check_anchor(query, worker_state);
    }
    query->result = result == 0 ? query->kind->page(query, worker_state) : result;
    query->first_page = false;
}

static void run_judge(struct workers_job *job, void *worker_state)
{
    struct store_query *query = job->context;
    (void)worker_state; /* the blocks say all */
    query->result = query->kind->judge(query);
}

static void next_step(struct store_query *query);

static void release_slots(struct store_query *query)
{
    for (unsigned i = 0; i < query->slot_count; i++) {
        store_view_release(query->slots[i].view);
    }
    query->slot_count = 0;
    query->item_count = 0;
}

/* The branch has changed: everything once more. */
static void restart(struct store_query *query)
{
    release_slots(query);
    buffer_clear(&query->lists);
    buffer_clear(&query->overlay);
    buffer_clear(&query->heights);
    drop_answers(query);
    buffer_clear(&query->bytes);
    query->finished = false;
    query->more = false;
    query->missing = 0;
    query->result = 0;
    query->request->detail.text[0] = '\0';
    if (++query->tries == TRIES_MAX) {
        finish(query, error_set(&query->request->detail, STOA_EBUSY,
                                "the branch changed %d times meanwhile", TRIES_MAX));
        return;
    }
    begin(query);
}

static void done_judge(struct workers_job *job)
{
    struct store_query *query = job->context;
    if (query->epoch != query->store->branch_epoch || query->result == STOA_ECANCELED) {
        restart(query);
        return;
    }
    if (query->result != 0) {
        finish(query, query->result);
        return;
    }
    if (query->kind->judged != NULL) {
        query->kind->judged(query);
    }
    release_slots(query);
    next_step(query);
}

static void start_job(struct store_query *query,
                      void (*run)(struct workers_job *job, void *worker_state),
                      void (*done)(struct workers_job *job))
{
    struct store *store = query->store;
    if (store->readers == NULL) { /* the tables could not be mended */
        query->request->detail = store->failed_detail;
        finish(query, store->apply_failed);
        return;
    }
    query->job = (struct workers_job){.run = run, .done = done, .context = query};
    workers_submit(store->readers, &query->job);
}

static void start_reads(struct store_query *query);

static void done_read(struct ledger_read *read)
{
    struct query_slot *slot = read->context;
    struct store_query *query = slot->query;
    if (read->result != 0 && query->result == 0) {
        query->result = read->result;
        query->request->detail = read->detail;
    }
    query->reading--;
    start_reads(query);
}

/* Keep as many reads in flight as may be; when all are done, judge. */
static void start_reads(struct store_query *query)
{
    struct store *store = query->store;
    while (query->result == 0 && query->slot_next < query->slot_count &&
           query->reading < QUERY_READS_MAX) {
        struct query_slot *slot = &query->slots[query->slot_next];
        if (slot->view != NULL) { /* it was in the cache */
            query->slot_next++;
            continue;
        }
        slot->view = store_view_take(store);
        if (slot->view == NULL) {
            query->result = error_set(&query->request->detail, STOA_ENOMEM, "read a block");
            break;
        }
        bool front = !slot->whole && slot->position.size > slot->front + FRONT_LEAST_SAVED;
        slot->view->read = (struct ledger_read){.position = slot->position,
                                                .front = front ? slot->front : 0,
                                                .done = done_read,
                                                .context = slot};
        query->slot_next++;
        query->reading++;
        query->starting++; /* a read may be done at once: one loop starts them all */
        ledger_read(store->ledger, &slot->view->read);
        query->starting--;
    }
    bool over = query->slot_next == query->slot_count || query->result != 0;
    if (!over || query->reading != 0 || query->starting != 0) {
        return;
    }
    if (query->epoch != store->branch_epoch) {
        restart(query);
    } else if (query->result != 0) {
        finish(query, query->result);
    } else {
        start_job(query, run_judge, done_judge);
    }
}

static void done_page(struct workers_job *job)
{
    struct store_query *query = job->context;
    store_note_tables(query->store, query->result);
    if (query->epoch != query->store->branch_epoch) {
        restart(query);
    } else if (query->result != 0) {
        finish(query, query->result);
    } else if (query->slot_count == 0) {
        next_step(query);
    } else {
        query->slot_next = 0;
        start_reads(query);
    }
}

/* Nothing is under way: another page, or the answer. */
static void next_step(struct store_query *query)
{
    if (!query->finished && query->deadline_ns != 0 &&
        io_now_ns(query->store->io) >= query->deadline_ns && !query->first_page) {
        store_query_stop(query);
    }
    if (!query->finished) {
        start_job(query, run_page, done_page);
        return;
    }
    int result = query->kind->answer(query);
    finish(query, result);
}

static void begin(struct store_query *query)
{
    struct store *store = query->store;
    int result = store_settle(store);
    if (result != 0) {
        query->request->detail = store->failed_detail;
        finish(query, result);
        return;
    }
    query->epoch = store->branch_epoch;
    query->kept = store->kept;
    query->first_page = true;
    query->slot_next = 0;
    result = query->kind->begin(query);
    if (result == 0 && !query->finished) {
        result = take_overlay(query);
    }
    if (result == 0 && !query->finished) {
        result = take_heights(query);
    }
    if (result != 0) {
        finish(query, result);
        return;
    }
    next_step(query);
}

void store_query_submit(struct store *store, struct store_request *request)
{
    struct store_query *query = memory_alloc_zeroed(1, sizeof(*query));
    if (query == NULL) {
        store_finish_request(store, request, STOA_ENOMEM);
        return;
    }
    int settled = store_settle(store);
    if (settled != 0) {
        memory_free(query);
        request->detail = store->failed_detail;
        store_finish_request(store, request, settled);
        return;
    }
    query->store = store;
    query->request = request;
    query->next = store->queries;
    store->queries = query;
    query->kind = request->kind == STORE_QUERY_LOGS      ? &query_logs_kind
                  : request->kind == STORE_QUERY_HISTORY ? &query_history_kind
                  : request->kind == STORE_GET_RANGE     ? &query_range_kind
                                                         : &query_headers_kind;
    begin(query);
}
