/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Acknowledged blocks that are not in the open batch yet. Entering a block's entries into the batch
 * takes the loop longer than all else it does for a block. So it is not done before the
 * acknowledgement, nor at once after it, when whoever waited for it submits the next block, but
 * while the loop would wait anyway: beside the write of the next group, or when nothing has come
 * for a moment. What is left then is the cache's part (store_fill.c), in pieces so small that they
 * may be done at any time.
 *
 * Nobody can tell the difference: whatever looks into the batches settles first (store_settle). A
 * block that cannot be entered (no memory) stays here, and what would have to see it fails with the
 * reason: it is never reported as absent. */
#include "base/ensure.h"
#include "store/store_private.h"

enum {
    SETTLE_MAX = 64, /* blocks that may wait here */
    /* Turns until the group of an append is with the kernel: the ledger gathers for one, the loop
     * hands over in the next. */
    SETTLE_TURNS = 2,
};

static const uint64_t quiet_ns = 500000;

static int settle_first(struct store *store)
{
    struct store_put *put = store->settling.first;
    ensure(put != NULL && store->settling.count != 0);
    if (store->apply_failed != 0) {
        return store->apply_failed;
    }
    struct pending_entries entries = store_put_entries(put);
    if (!pending_is_cut(store->open,
                        PLACE_HEIGHT_MAX)) { /* the cache has it: store_tries_flush.c */
        entries.layer = NULL;
        trie_layer_release(put->layer);
        put->layer = NULL;
    }
    ensure(put->layer == NULL || put->layer->work == NULL);
    ensure(
        !store->settling_one); /* nothing that entering a block leads to looks into the batches */
    store->settling_one = true;
    int result = put->update ? store_update_take_in(store, &put->block, &entries)
                             : store_apply_add(store, &put->block, &entries);
    store->settling_one = false;
    if (result != 0) {
        store->apply_failed = error_set(&store->failed_detail, result,
                                        "block %llu is durable but not indexed: reopen",
                                        (unsigned long long)put->block.height);
        return store->apply_failed;
    }
    put->layer = NULL; /* the batch's */
    if (!put->update && !put->block.side) {
        store_tries_note_place(store);
    }
    store->settling.first = put->next;
    store->settling.count--;
    store_fill_push(store, put);
    return 0;
}

static int settle_until(struct store *store, size_t left)
{
    int result = 0;
    while (result == 0 && store->settling.count > left) {
        result = settle_first(store);
    }
    return result;
}

static void arm(struct store *store, uint64_t deadline_ns);

/* Keys of blocks on their way to the disk are closed while there is time for it, in the order of
 * the blocks, which become visible and are opened in that order: not beyond one that a worker still
 * has, though the other worker has done the next. */
static void close_appended(struct store *store)
{
    struct store_put *put = store->appended.first;
    for (; put != NULL && (put->side || put->indexed); put = put->next) {
        if (!put->side) {
            store_cache_close(put);
        }
    }
}

/* One piece of work, so that what the kernel has answered meanwhile waits no longer. */
static void settle_turn(struct io_request *timer)
{
    struct store *store = timer->context;
    if (store->closing) {
        return;
    }
    if (store->settle_turns > 0) {
        store->settle_turns--;
        arm(store, 0);
        return;
    }
    close_appended(store);
    bool quiet = store->appended.first != NULL || io_now_ns(store->io) >= store->settle_quiet_ns;
    if (store_fill_piece(store)) {
        arm(store, 0);
    } else if (store->settling.count != 0 && quiet) {
        if (settle_until(store, store->settling.count - 1) == 0) {
            arm(store, 0);
        }
    } else if (store->settling.count != 0) {
        arm(store, store->settle_quiet_ns);
    }
}

static void arm(struct store *store, uint64_t deadline_ns)
{
    if (!store->settle_timer.pending) {
        store->settle_timer = (struct io_request){
            .op = IO_TIMER, .deadline_ns = deadline_ns, .done = settle_turn, .context = store};
        io_submit(store->io, &store->settle_timer);
    }
}

void store_settle_push(struct store *store, struct store_put *put)
{
    struct store_put_queue *queue = &store->settling;
    put->next = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *queue->last = put;
    queue->last = &put->next;
    queue->count++;
    (void)settle_until(store, SETTLE_MAX); /* a failure stays and is told to whoever looks */
    store->settle_turns = 0;
    store->settle_quiet_ns = io_now_ns(store->io) + quiet_ns;
    arm(store, store->filling.first != NULL || !put->settled ? 0 : store->settle_quiet_ns);
}

void store_settle_go_on(struct store *store)
{
    if (!store->settle_timer.pending || store->settle_turns == 0) {
        arm(store, 0);
        (void)io_cancel(store->io, &store->settle_timer); /* as below */
    }
}

void store_settle_soon(struct store *store)
{
    store->settle_turns = SETTLE_TURNS;
    arm(store, 0);
    (void)io_cancel(store->io, &store->settle_timer); /* it waits for a quiet moment no more */
}

int store_settle(struct store *store)
{
    return store->settling.count == 0 ? 0 : settle_until(store, 0);
}

void store_settle_before_look(const struct store *store)
{
    if (store->settling.count != 0) {
        /* Requests begin with store_settle and end where it fails; this is for their later steps.
         */
        (void)store_settle((struct store *)(uintptr_t)store);
    }
}

void store_settle_drop(struct store *store)
{
    store_fill_stop(store);
    while (store->settling.first != NULL) {
        struct store_put *put = store->settling.first;
        store->settling.first = put->next;
        store->settling.count--;
        store_cache_forget(store, buffer_bytes(&put->prepare.changes));
        store_cache_open(put);
        store_fill_drop(put);
        trie_layer_release(put->layer);
        put->layer = NULL;
        put->next = store->put_pool;
        store->put_pool = put;
    }
}
