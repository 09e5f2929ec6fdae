/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far back the state is kept: so many blocks of values, and of the tries, as the options say.
 * What is older is not answered any more, and goes when runs are merged: of each key all versions
 * but the newest one at or below the floor.
 *
 * A floor only rises. That keeps merging and changes of branch apart without a lock between them:
 * a change of branch goes no deeper than the floors as they are when it begins, the head does not
 * move while it is made, and while a batch has one that is not in the tables yet, merges go by the
 * floors they had before. So nothing at or below a merge's floor is ever withdrawn after it. */
#include "store/store_private.h"
#include "store/store_upkeep.h"

static uint64_t floor_of(const struct store *store, uint64_t kept, uint64_t depth)
{
    uint64_t height = store->head.present ? store->head.height : 0;
    uint64_t floor = depth != 0 && height > depth ? height - depth : 0;
    return floor > kept ? floor : kept;
}

struct index_floors store_floors(const struct store *store)
{
    const struct store_options *options = &store->options;
    return (struct index_floors){
        .values = floor_of(store, store->floors.values, options->history_blocks),
        .tries = floor_of(store, store->floors.tries, options->trie_history_blocks),
    };
}

void store_floors_open(struct store *store)
{
    struct index_floors kept;
    index_get_floors(store->index, &kept);
    if (kept.values > store->floors.values) {
        store->floors.values = kept.values;
    }
    if (kept.tries > store->floors.tries) {
        store->floors.tries = kept.tries;
    }
}

/* What waits to be entered into the open batch has none: only blocks that extend the chain do. */
bool store_is_cut_from(const struct store *store, unsigned first)
{
    bool cut = pending_is_cut(store->open, PLACE_HEIGHT_MAX);
    for (unsigned i = first; i < store->frozen_count; i++) {
        cut = cut || pending_is_cut(store->frozen[i], PLACE_HEIGHT_MAX);
    }
    return cut;
}

struct index_floors store_floors_to_merge(struct store *store)
{
    struct index_floors floors;
    if (store_is_cut_from(store, 0)) {
        index_get_floors(store->index, &floors);
        return floors;
    }
    store->floors = store_floors(store);
    return store->floors;
}

int store_check_kept(const struct store *store, uint64_t height, bool tries,
                     struct error_detail *detail)
{
    struct index_floors floors = store_floors(store);
    uint64_t floor = tries ? floors.tries : floors.values;
    if (height >= floor) {
        return 0;
    }
    return error_set(detail, STOA_EPRUNED,
                     "%s of height %llu are not kept any more: those of %llu to %llu are",
                     tries ? "the state's tries" : "values", (unsigned long long)height,
                     (unsigned long long)floor, (unsigned long long)store->head.height);
}

/* ---- pruned on request ---- */

/* KEEP blocks back from the head, and nothing that is not finalized. */
static uint64_t target_of(const struct store *store, uint64_t keep, uint64_t floor)
{
    uint64_t head = store->head.height;
    if (keep == 0) {
        return floor;
    }
    uint64_t target = head > keep ? head - keep : 0;
    target = target < store->finalized.height ? target : store->finalized.height;
    return target > floor ? target : floor;
}

int store_prune_target(const struct store *store, uint64_t keep_values, uint64_t keep_tries,
                       struct index_floors *out_target, struct error_detail *detail)
{
    bool too_few = (keep_values != 0 && keep_values < STORE_RETENTION_MIN) ||
                   (keep_tries != 0 && keep_tries < STORE_RETENTION_MIN);
    if (too_few) {
        return error_set(detail, STOA_EINVAL, "prune: fewer than %d blocks", STORE_RETENTION_MIN);
    }
    if (!store->head.present || !store->finalized.present) {
        return error_set(detail, STOA_EREFUSED,
                         "prune: no block is finalized, and only what is below one goes");
    }
    struct index_floors floors = store_floors(store);
    out_target->values = target_of(store, keep_values, floors.values);
    out_target->tries = target_of(store, keep_tries, floors.tries);
    return 0;
}

void store_prune_lags(const struct store *store, const struct index_floors *target,
                      const struct prune_floors *kept, bool *out_state, bool *out_indexes)
{
    struct index_floors used;
    index_get_floors(store->index, &used);
    *out_state = target->values > used.values || target->tries > used.tries;
    *out_indexes = index_blocks_lag(store->index, kept);
}

static void run_prune(struct workers_job *job, void *worker_state)
{
    struct store_merge *merge = job->context;
    struct store_prune *prune = (struct store_prune *)merge; /* it is first */
    struct runs_stop stop = store_merge_stop(merge);
    struct index *index = merge->store->index;
    merge->result = index_prune(index, worker_state, &prune->floors, &stop, &merge->detail);
    if (merge->result == 0) {
        merge->result =
            index_prune_blocks(index, worker_state, &prune->kept, &stop, &merge->detail);
    }
}

bool store_prune_start(struct store *store, struct store_prune *prune)
{
    if (!store_merge_start(store, &prune->merge, run_prune)) {
        return false;
    }
    if (prune->floors.values > store->floors.values) {
        store->floors.values = prune->floors.values;
    }
    if (prune->floors.tries > store->floors.tries) {
        store->floors.tries = prune->floors.tries;
    }
    return true;
}
