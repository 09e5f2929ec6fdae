/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tries' part of a change of branch. A loser's layer is computed again from its parent's tries,
 * to be withdrawn; a winner's from the ancestor's and those of the winners before it. */
#include "base/ensure.h"
#include "store/store_branch_private.h"

static const uint8_t gap_key = STATE_KEY_GAP;

void store_branch_tries_find_gap(struct branch_change *change)
{
    const struct store *store = change->store;
    const struct pending *batch;
    change->state_settled = store->tip.state_known;
    change->state_known = store->tip.state_known;
    change->state_bound = change->ancestor.height;
    for (unsigned i = 0; !change->state_settled && (batch = store_batch_at(store, i)) != NULL;
         i++) {
        struct pending_change found;
        bool done;
        bool there =
            pending_find_change(batch, bytes_of(&gap_key, 1), &change->state_bound, &found, &done);
        change->state_settled = there || done;
        change->state_known = !there && done;
    }
}

int store_branch_tries_look_up_gap(struct branch_change *change, struct kv_session *session)
{
    struct bytes value;
    uint64_t bound = change->state_bound;
    if (change->state_settled) {
        return 0;
    }
    int result = index_find_state(change->store->index, session, bytes_of(&gap_key, 1), &bound,
                                  &value, change->detail);
    change->state_known = result == STOA_ENOTFOUND;
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* What a loser had made of the tries: that is taken back. */
static int lose_layers(struct branch_change *change)
{
    bool known = change->state_known;
    int result = 0;
    for (size_t i = 0; result == 0 && i < change->loser_count; i++) {
        struct branch_item *item = &change->items[i];
        struct bytes changes = buffer_bytes(&item->prepare.changes);
        known = known && tries_is_marked(changes);
        if (!known) {
            return 0;
        }
        change->reader.bound = item->block.height - 1;
        result = tries_run(&change->tries, &change->reader, changes, item->block.height, false);
        item->layer = change->tries.layer;
        change->tries.layer = NULL;
    }
    return result;
}

/* The root of one winner. */
static int win_layer(struct branch_change *change, struct trie_cache *overlay,
                     const struct prepare *prepare, bool any_state, struct trie_layer **out_layer)
{
    const struct header *header = &prepare->block.header;
    struct tries_work *work = &change->tries;
    change->reader.bound = change->ancestor.height;
    change->reader.overlay = overlay;
    int result =
        tries_run(work, &change->reader, buffer_bytes(&prepare->changes), header->number, false);
    if (result == 0 && !any_state) {
        result =
            store_tries_check_root(work->root, header->state_root, header->number, &work->detail);
    }
    if (result == 0) {
        result = tries_merge(overlay, work->layer, 0);
    }
    *out_layer = work->layer;
    work->layer = NULL;
    return result;
}

static int win_layers(struct branch_change *change)
{
    struct trie_cache *overlay = trie_cache_create(SIZE_MAX);
    bool known = change->state_known;
    int result = overlay == NULL ? STOA_ENOMEM : 0;
    for (size_t i = change->loser_count; result == 0 && i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        if (item->role == PARENT) {
            break;
        }
        known = known && tries_is_marked(buffer_bytes(&item->prepare.changes));
        if (known) {
            result = win_layer(change, overlay, &item->prepare, item->any_state, &item->layer);
        }
    }
    for (size_t i = 0; result == 0 && i < change->own_count; i++) {
        struct store_put *own = change->own[i];
        known = known && tries_is_marked(buffer_bytes(&own->prepare.changes));
        if (known) {
            bool any_state = (own->prepare.put->skip & STOA_SKIP_STATE_ROOT) != 0;
            result = win_layer(change, overlay, &own->prepare, any_state, &own->layer);
        }
    }
    trie_cache_destroy(overlay);
    return result;
}

/* The batch that takes the change brings the tables up to itself. One that has a change already
 * does so for what came before it, and has all that has come since. */
static int hold_back(struct branch_change *change)
{
    if (!change->holds) {
        return 0;
    }
    change->held =
        store_tries_hold_back(change->store, change->held_below, change->ancestor.height);
    return change->held == NULL ? STOA_ENOMEM : 0;
}

static bool holds_back(const struct store *store)
{
    return store->readers != NULL && store->tries.unsettled != 0 &&
           !pending_is_cut(store->open, PLACE_HEIGHT_MAX);
}

static void run_tries(struct workers_job *job, void *worker_state)
{
    struct branch_change *change = job->context;
    change->reader.session = worker_state;
    tries_work_init(&change->tries);
    int result = hold_back(change);
    if (result == 0 && change->state_known) {
        result = lose_layers(change);
    }
    if (result == 0 && change->state_known) {
        result = win_layers(change);
    }
    if (result != 0 && change->detail != NULL) {
        *change->detail = change->tries.detail;
    }
    tries_work_deinit(&change->tries);
    change->result = result;
}

static void done_tries(struct workers_job *job)
{
    struct branch_change *change = job->context;
    store_tries_leave(change->store);
    store_note_tables(change->store, change->result);
    store_branch_record(change);
}

/* What was held back may have come into the tables while it waited. */
static void enter_tries(struct store_tries_waiter *waiter)
{
    struct branch_change *change = waiter->context;
    struct store *store = change->store;
    change->holds = holds_back(store);
    change->held_below = store_tries_below(store);
    store_tries_reader(store, change->ancestor.height, &change->reader);
    change->tries_job = (struct workers_job){
        .run = run_tries, .done = done_tries, .context = change, .kind = METRICS_JOB_TRIE};
    store_branch_run_job(change, store->readers, &change->tries_job);
}

/* It began after all merges of layers; but since then a batch may have been applied, of which the
 * cache is being told. */
void store_branch_tries(struct branch_change *change)
{
    struct store *store = change->store;
    if (change->result != 0 || (!change->state_known && !holds_back(store))) {
        store_branch_record(change);
        return;
    }
    change->tries_waiter = (struct store_tries_waiter){.enter = enter_tries, .context = change};
    if (store_tries_enter(store, &change->tries_waiter)) {
        enter_tries(&change->tries_waiter);
    }
}
