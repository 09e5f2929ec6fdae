/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tries of the state as blocks come in. A block that says all it changed in the state, after
 * one whose state is known, has its root computed when it is the next to be appended, so in the
 * order of blocks, and compared with its header; a wrong one is refused before it is in the ledger.
 *
 *   compute  workers (readers of the tables): one, or several by the root's children where there is
 *            much to do. They only read the cache;
 *   append   the records that changed, a layer, go with the block into its batch, and so into the
 *            tables;
 *   merge    a worker puts the layer into the cache, beside the ledger's write, and alone: whatever
 *            reads the cache waits for it, and it for them. The next block's computation follows.
 *
 * After a change of branch the tables have versions of the losing blocks until its batch is in:
 * until then they are asked for nothing above the fork (cap). What is above is in the cache. */
#include "base/ensure.h"
#include "store/store_private.h"

enum { CACHE_SIZE_DEFAULT = 96 << 20 };

int store_tries_init(struct store *store, struct error_detail *detail)
{
    struct store_tries *tries = &store->tries;
    uint64_t size = store->options.trie_cache_size;
    tries->merge_last = &tries->merges;
    tries->cap = UINT64_MAX;
    tries->drop_from = UINT64_MAX;
    tries_work_init(&tries->work);
    size = size != 0 ? size : CACHE_SIZE_DEFAULT;
    tries->unsettled_max = (size_t)size / 2;
    tries->cache = trie_cache_create((size_t)size);
    if (tries->cache == NULL || store_tries_flush_init(store) != 0) {
        return error_set(detail, STOA_ENOMEM, "open");
    }
    return 0;
}

static void drop_merges(struct store_tries *tries)
{
    while (tries->merges != NULL) {
        struct trie_layer *layer = tries->merges;
        tries->merges = layer->merge_next;
        trie_layer_release(layer);
    }
    tries->merge_last = &tries->merges;
    while (tries->merging_now != NULL) {
        struct trie_layer *layer = tries->merging_now;
        tries->merging_now = layer->merge_next;
        trie_layer_release(layer);
    }
}

void store_tries_deinit(struct store *store)
{
    struct store_tries *tries = &store->tries;
    if (tries->cache == NULL) {
        return;
    }
    drop_merges(tries);
    tries_work_deinit(&tries->work);
    store_tries_flush_deinit(store);
    trie_cache_destroy(tries->cache);
    tries->cache = NULL;
}

/* From the lowest gap on the state is not known. There may be one for each batch that was ever
 * applied, so it is searched for by halves. */
static int find_state_end(struct store *store, struct error_detail *detail)
{
    static const uint8_t gap = STATE_KEY_GAP;
    uint64_t known = 0;                   /* there is no gap below this height */
    uint64_t end = store->tip.height + 1; /* nor need any at or above this one be looked for */
    uint64_t bound = store->tip.height;   /* mostly there is none at all */
    while (known < end) {
        struct bytes value;
        uint64_t looked_below = bound + 1;
        int result = index_find_state(store->index, store->session, bytes_of(&gap, 1), &bound,
                                      &value, detail);
        if (result == 0) {
            store->tip.state_known = false;
            end = bound;
        } else if (result == STOA_ENOTFOUND) {
            known = looked_below;
        } else {
            return result;
        }
        bound = known + (end - known) / 2;
    }
    store->tip.state_end = end;
    return 0;
}

int store_tries_reset(struct store *store, struct error_detail *detail)
{
    struct store_tries *tries = &store->tries;
    drop_merges(tries);
    trie_cache_clear(tries->cache);
    store_tries_flush_reset(store);
    tries->cap = UINT64_MAX;
    tries->drop_from = UINT64_MAX;
    store->tip.state_known = true;
    store->tip.state_end = 0;
    store_floors_open(store);
    if (!store->tip.present) {
        return 0;
    }
    return find_state_end(store, detail);
}

void store_tries_reader(const struct store *store, uint64_t bound, struct tries_reader *out_reader)
{
    *out_reader = (struct tries_reader){
        .cache = store->tries.cache,
        .index = store->index,
        .bound = bound,
        .table_bound = store->tries.cap,
    };
}

/* ---- merging ---- */

bool store_tries_merging(const struct store *store)
{
    const struct store_tries *tries = &store->tries;
    return tries->merging || tries->merges != NULL || tries->drop_from != UINT64_MAX ||
           tries->settle_due;
}

uint64_t store_tries_below(const struct store *store)
{
    uint64_t below = store->tries.flushed_any ? store->tries.flushed + 1 : 0;
    uint64_t cap = store->tries.cap;
    return cap != UINT64_MAX && cap + 1 < below ? cap + 1 : below;
}

static int merge_all(struct store_tries *tries)
{
    int result = 0;
    struct trie_cache_stats stats;
    trie_cache_raise_floor(tries->cache, tries->merge_floor);
    if (tries->merge_drop_from != UINT64_MAX) {
        result = trie_cache_drop(tries->cache, tries->merge_drop_from);
    }
    if (tries->merge_settles) {
        trie_cache_settle(tries->cache, tries->merge_below);
    }
    for (const struct trie_layer *layer = tries->merging_now; result == 0 && layer != NULL;
         layer = layer->merge_next) {
        result = tries_merge(tries->cache, layer, tries->merge_below);
    }
    trie_cache_trim(tries->cache, tries->merge_below);
    trie_cache_stats(tries->cache, &stats);
    tries->merge_unsettled = stats.unsettled_bytes;
    return result;
}

static void take_merges(struct store *store)
{
    struct store_tries *tries = &store->tries;
    ensure(tries->merging_now == NULL);
    tries->merging_now = tries->merges;
    tries->merges = NULL;
    tries->merge_last = &tries->merges;
    tries->merge_drop_from = tries->drop_from;
    tries->drop_from = UINT64_MAX;
    tries->merge_below = store_tries_below(store);
    (void)store_floors_to_merge(store); /* what it has reached counts */
    tries->merge_floor = store->floors.tries;
    tries->merge_settles = tries->settle_due;
    tries->merge_ends_flush = tries->settle_due && tries->flushing;
    tries->settle_due = false;
}

static void run_merge(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    (void)worker_state; /* the tables are not asked */
    store->tries.merge_result = merge_all(&store->tries);
}

static void note_failure(struct store *store, int result)
{
    if (result != 0 && store->apply_failed == 0) {
        store->apply_failed = error_set(&store->failed_detail, result,
                                        "the state's tries cannot be kept in memory: reopen");
    }
}

static void start_merge(struct store *store);

static void done_merge(struct workers_job *job)
{
    struct store *store = job->context;
    struct store_tries *tries = &store->tries;
    tries->merging = false;
    if (tries->merge_ends_flush) {
        store_tries_flush_end(store);
    }
    tries->unsettled = tries->merge_unsettled;
    while (tries->merging_now != NULL) {
        struct trie_layer *layer = tries->merging_now;
        tries->merging_now = layer->merge_next;
        buffer_deinit(&layer->found);
        trie_layer_release(layer);
    }
    note_failure(store, tries->merge_result);
    start_merge(store);
    if (!store_tries_merging(store)) {
        while (tries->waiting != NULL) {
            struct store_tries_waiter *waiter = tries->waiting;
            tries->waiting = waiter->next;
            tries->readers++;
            waiter->enter(waiter);
        }
    }
    store_apply_flush(store);
    store_put_advance(store);
}

static void start_merge(struct store *store)
{
    struct store_tries *tries = &store->tries;
    if (tries->merging || tries->readers != 0 || !store_tries_merging(store) ||
        store->readers == NULL) {
        return;
    }
    take_merges(store);
    tries->merging = true;
    tries->merge_job = (struct workers_job){
        .run = run_merge, .done = done_merge, .context = store, .kind = METRICS_JOB_TRIE};
    workers_submit(store->readers, &tries->merge_job);
}

static void queue_merge(struct store_tries *tries, struct trie_layer *layer)
{
    layer->references++;
    layer->merge_next = NULL;
    *tries->merge_last = layer;
    tries->merge_last = &layer->merge_next;
}

void store_tries_merge(struct store *store, struct trie_layer *layer)
{
    queue_merge(&store->tries, layer);
    start_merge(store);
}

/* Layers that the cache does not know yet go; those it has, or a worker is about to give it, go
 * before others come. */
void store_tries_fall_back(struct store *store)
{
    struct store_tries *tries = &store->tries;
    uint64_t from = store->head.present ? store->head.height + 1 : 0;
    struct trie_layer **link = &tries->merges;
    while (*link != NULL) {
        struct trie_layer *layer = *link;
        if (layer->height < from) {
            link = &layer->merge_next;
            continue;
        }
        *link = layer->merge_next;
        trie_layer_release(layer);
    }
    tries->merge_last = link;
    tries->drop_from = from < tries->drop_from ? from : tries->drop_from;
    start_merge(store);
}

int store_tries_wait(struct store *store, struct error_detail *detail)
{
    while (store_tries_merging(store)) {
        int ran = io_run(store->io, 1000000000);
        if (ran < 0) {
            return error_set(detail, ran, "read the state's tries");
        }
    }
    return 0;
}

bool store_tries_enter(struct store *store, struct store_tries_waiter *waiter)
{
    struct store_tries *tries = &store->tries;
    if (!store_tries_merging(store)) {
        tries->readers++;
        return true;
    }
    waiter->next = tries->waiting;
    tries->waiting = waiter;
    return false;
}

void store_tries_leave(struct store *store)
{
    ensure(store->tries.readers > 0);
    store->tries.readers--;
    start_merge(store);
}

void store_tries_settle(struct store *store)
{
    struct store_tries *tries = &store->tries;
    tries->settle_due = true;
    if (store->readers == NULL) { /* replay */
        tries->settle_due = false;
        return;
    }
    start_merge(store);
}

/* ---- a block's root ---- */

static int check_root(struct store_put *put)
{
    const struct tries_work *work = &put->store->tries.work;
    const struct header *header = &put->prepare.block.header;
    if ((put->prepare.put->skip & STOA_SKIP_STATE_ROOT) != 0) {
        return 0;
    }
    return store_tries_check_root(work->root, header->state_root, header->number,
                                  &put->prepare.detail);
}

int store_tries_check_root(const uint8_t computed[32], const uint8_t wanted[32], uint64_t height,
                           struct error_detail *detail)
{
    if (memcmp(computed, wanted, 32) == 0) {
        return 0;
    }
    char is[65];
    char named[65];
    bytes_to_hex(computed, 32, is);
    bytes_to_hex(wanted, 32, named);
    return error_set(detail, STOA_EREFUSED,
                     "stateRoot: the changes of block %llu make 0x%s, its header has 0x%s",
                     (unsigned long long)height, is, named);
}

static void finish_root(struct store_put *put, int result)
{
    struct store *store = put->store;
    struct tries_work *work = &store->tries.work;
    if (result == 0) {
        result = check_root(put);
    } else {
        put->prepare.detail = work->detail;
    }
    if (result == 0) {
        put->layer = work->layer;
        work->layer = NULL;
    }
    trie_layer_release(work->layer);
    work->layer = NULL;
    put->prepare.result = result;
    put->rooted = true;
    put->looking = false;
    store_note_tables(store, result);
    store_tries_leave(store);
    store_put_advance(store);
}

static void run_end(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    struct store_tries *tries = &put->store->tries;
    tries->result = tries_end(&tries->work, worker_state);
}

static void done_end(struct workers_job *job)
{
    struct store_put *put = job->context;
    finish_root(put, put->store->tries.result);
}

static void run_part(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    struct store_tries *tries = &put->store->tries;
    unsigned index = (unsigned)(job - tries->jobs);
    (void)tries_part(&tries->work, worker_state, index, TRIES_TASKS); /* tries_end knows */
}

static void done_part(struct workers_job *job)
{
    struct store_put *put = job->context;
    struct store_tries *tries = &put->store->tries;
    ensure(tries->under_way > 0);
    if (--tries->under_way == 0) {
        tries->jobs[0] = (struct workers_job){
            .run = run_end, .done = done_end, .context = put, .kind = METRICS_JOB_TRIE};
        workers_submit(put->store->readers, &tries->jobs[0]);
    }
}

static void run_begin(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    struct store_tries *tries = &put->store->tries;
    tries->reader.session = worker_state;
    tries->result = tries_begin(&tries->work, &tries->reader, buffer_bytes(&put->prepare.changes),
                                put->prepare.block.header.number, true);
    if (tries->result == 0 && tries->work.parts == 0) {
        tries->result = tries_end(&tries->work, worker_state);
    }
}

static void done_begin(struct workers_job *job)
{
    struct store_put *put = job->context;
    struct store_tries *tries = &put->store->tries;
    if (tries->result != 0 || tries->work.parts == 0) {
        finish_root(put, tries->result);
        return;
    }
    tries->under_way = TRIES_TASKS;
    for (unsigned i = 0; i < TRIES_TASKS; i++) {
        tries->jobs[i] = (struct workers_job){
            .run = run_part, .done = done_part, .context = put, .kind = METRICS_JOB_TRIE};
        workers_submit(put->store->readers, &tries->jobs[i]);
    }
}

bool store_tries_root(struct store_put *put)
{
    struct store *store = put->store;
    struct store_tries *tries = &store->tries;
    bool known = store->tip.present ? store->tip.state_known : true;
    if (put->rooted || !known || (put->prepare.put->flags & STOA_STORE_STATE) == 0) {
        return true;
    }
    if (store_tries_merging(store)) {
        return false; /* its end goes on with the puts */
    }
    tries->readers++;
    store_tries_reader(store, store->tip.present ? store->tip.height : 0, &tries->reader);
    put->looking = true;
    /* A batch with a change of branch takes its blocks' layers along: store_tries_flush.c. */
    tries->work.in_place = !pending_is_cut(store->open, PLACE_HEIGHT_MAX);
    tries->jobs[0] = (struct workers_job){
        .run = run_begin, .done = done_begin, .context = put, .kind = METRICS_JOB_TRIE};
    workers_submit(store->readers, &tries->jobs[0]);
    return false;
}

/* ---- opening ---- */

static int merge_here(struct store *store)
{
    take_merges(store);
    int result = merge_all(&store->tries);
    store->tries.unsettled = store->tries.merge_unsettled;
    drop_merges(&store->tries);
    return result;
}

int store_tries_replay(struct store *store, uint64_t height, struct bytes changes,
                       struct trie_layer **out_layer, struct error_detail *detail)
{
    struct tries_work *work = &store->tries.work;
    struct tries_reader reader;
    bool known = store->tip.present ? store->tip.state_known : true;
    *out_layer = NULL;
    if (!known || !tries_is_marked(changes)) {
        return 0;
    }
    store_tries_reader(store, height == 0 ? 0 : height - 1, &reader);
    reader.session = store->session;
    work->in_place = false;
    int result = tries_run(work, &reader, changes, height, true);
    if (result == 0) {
        *out_layer = work->layer;
        work->layer = NULL;
        queue_merge(&store->tries, *out_layer);
        result = merge_here(store);
        buffer_deinit(&(*out_layer)->found);
    }
    if (result == 0) {
        return 0;
    }
    trie_layer_release(*out_layer);
    *out_layer = NULL;
    if (detail != NULL) {
        *detail = work->detail;
        error_prefix(detail, "state of block %llu", (unsigned long long)height);
    }
    return result;
}

/* ---- a change of branch ---- */

void store_tries_switch(struct store *store, uint64_t ancestor,
                        const struct ledger_position *position)
{
    struct store_tries *tries = &store->tries;
    /* A batch that went into the tables meanwhile may be settling: that is of blocks before. */
    ensure(tries->merges == NULL && tries->drop_from == UINT64_MAX);
    store_tries_forget_places(store);
    tries->cap = ancestor < tries->cap ? ancestor : tries->cap;
    tries->cap_sequence = position->sequence;
    tries->drop_from = ancestor + 1;
}

void store_tries_switch_to(struct store *store, struct trie_layer *layer)
{
    queue_merge(&store->tries, layer);
}

void store_tries_switched(struct store *store)
{
    if (store->readers == NULL) { /* replay */
        note_failure(store, merge_here(store));
    } else {
        start_merge(store);
    }
}
