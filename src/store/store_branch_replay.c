/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of branch at open, from their records; and what is kept in memory of the blocks off the
 * canonical chain. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/head_record.h"
#include "store/store_branch_private.h"

/* Winners as the record has them. One without a place is the block of the frame before, if that was
 * written. */
static int replay_items(struct branch_change *change, const struct head_record *record)
{
    struct store *store = change->store;
    bool above = store->tip.present && store->tip.height > change->ancestor.height;
    change->loser_count = above ? store->tip.height - change->ancestor.height : 0;
    change->winner_count = record->winner_count;
    change->item_count = change->loser_count + change->winner_count;
    change->items = memory_alloc_zeroed(change->item_count, sizeof(*change->items));
    if (change->items == NULL) {
        change->item_count = 0;
        return error_set(change->detail, STOA_ENOMEM, "replay a change of head");
    }
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        item->change = change;
        item->role = i < change->loser_count ? LOSER : WINNER;
        item->block.height = change->ancestor.height + 1 + i;
        prepare_init(&item->prepare);
    }
    for (uint32_t i = 0; i < record->winner_count; i++) {
        struct branch_item *item = &change->items[change->loser_count + i];
        struct head_winner winner;
        head_record_decode_winner(record, i, &winner);
        item->block.height = change->ancestor.height + 1 + i;
        const struct branches_block *known = branches_find(store->branches, winner.hash);
        if (winner.position.sequence == 0 && known == NULL) {
            return STOA_ENOTFOUND;
        }
        if (winner.position.sequence == 0) {
            winner.position = known->position;
            winner.state_position = known->state_position;
        }
        store_branch_read_set_place(item, winner.hash, &winner.position, &winner.state_position);
    }
    return 0;
}

int store_branch_replay(struct store *store, const struct head_record *record,
                        const struct ledger_position *position, struct error_detail *detail)
{
    struct branch_change change = {
        .store = store,
        .head = record->head,
        .ancestor = record->ancestor,
        .safe = record->safe,
        .detail = detail,
        .state_known = store->tip.state_known,
    };
    int result = 0;
    bool gap = !store->tip.present || store->tip.height < record->ancestor.height;
    if (gap || pending_block_count(store->open) >= STORE_BATCH_BLOCKS_MAX) {
        result = store_apply_here(store, detail);
    }
    if (result == 0) {
        result = replay_items(&change, record);
    }
    if (result == STOA_ENOTFOUND) { /* its block was not written: nobody was told of the change */
        store_branch_deinit(&change);
        return 0;
    }
    if (result == 0) {
        if (change.item_count != 0) {
            store_branch_read_locate(&change);
        }
        while (change.item_count != 0 && !change.finished) {
            int ran = io_run(store->io, 1000000000);
            if (ran < 0) { /* its reads end with the loop */
                return error_set(detail, ran, "replay a change of head");
            }
        }
        result = change.result;
    }
    if (result == 0 && change.item_count == 0) {
        result = store_branch_reserve(&change);
    }
    if (result == 0) {
        memcpy(change.total_difficulty, record->total_difficulty, 32);
        store->finalized = record->finalized;
        store_branch_switch_over(&change, position);
    }
    store_branch_deinit(&change);
    return result;
}

/* ---- what is kept in memory ---- */

void store_branch_raise_line(struct store *store)
{
    uint64_t height = store->tip.height;
    uint64_t line = height > store->unwind_max ? height - store->unwind_max : 0;
    if (store->finalized.present && store->finalized.height > line) {
        line = store->finalized.height;
    }
    branches_raise(store->branches, line);
}

int store_branch_note_side(struct store *store, const struct pending_block *block,
                           bool parent_canonical)
{
    struct branches_block side = {
        .height = block->height,
        .position = block->position,
        .state_position = block->state_position,
    };
    memcpy(side.hash, block->hash, 32);
    memcpy(side.parent_hash, block->parent_hash, 32);
    memcpy(side.total_difficulty, block->total_difficulty, 32);
    int result = branches_add(store->branches, &side, parent_canonical);
    return result == STOA_ETOOBIG ? 0 : result; /* past the limit it is readable, no more */
}

struct loading {
    struct store *store;
    struct error_detail *detail;
};

static int load_side(void *context, const struct branches_block *block)
{
    struct loading *loading = context;
    struct store *store = loading->store;
    int result = store_is_canonical(store, store->session, block->height - 1, block->parent_hash,
                                    loading->detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return result;
    }
    int added = branches_add(store->branches, block, result == 0);
    return added == STOA_ENOMEM ? error_set(loading->detail, added, "open") : 0;
}

int store_branch_load(struct store *store, struct error_detail *detail)
{
    struct loading loading = {.store = store, .detail = detail};
    branches_clear(store->branches);
    store_branch_raise_line(store);
    return index_each_side(store->index, store->session, branches_line(store->branches) + 1,
                           load_side, &loading, detail);
}

uint64_t store_branch_epoch(const struct store *store)
{
    return store->branch_epoch;
}
