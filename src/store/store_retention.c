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

struct index_floors store_floors_to_merge(struct store *store)
{
    struct index_floors floors;
    const struct pending *batch;
    for (unsigned i = 0; (batch = store_batch_at(store, i)) != NULL; i++) {
        if (pending_is_cut(batch, PLACE_HEIGHT_MAX)) {
            index_get_floors(store->index, &floors);
            return floors;
        }
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
    return error_set(detail, STOA_ENOTSUP,
                     "%s of height %llu are not kept any more: those of %llu to %llu are",
                     tries ? "the state's tries" : "values", (unsigned long long)height,
                     (unsigned long long)floor, (unsigned long long)store->head.height);
}
