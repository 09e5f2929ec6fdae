/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bringing the tables up to the ledger at open: every frame behind the applied position is read
 * again and goes the same way as when it was stored. With no tables at all that is the whole
 * ledger.
 *
 * A damaged frame costs no other block: its place is still indexed by the height in its header, and
 * by the hash that its child names as parent, so that a read of it reports the damage instead of
 * "not found". */
#include "base/ensure.h"
#include "store/store_replay_private.h"

int store_replay_note_side(struct replay *replay, const struct pending_block *block)
{
    struct store *store = replay->store;
    int result = block->height == 0 ? STOA_ENOTFOUND
                                    : store_is_canonical(store, store->session, block->height - 1,
                                                         block->parent_hash, replay->detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        store_note_tables(store, result);
        return result;
    }
    result = store_branch_note_side(store, block, result == 0);
    return result == 0 ? 0 : error_set(replay->detail, result, "replay");
}

static int add(struct replay *replay, const struct pending_block *block,
               const struct pending_entries *entries)
{
    struct store *store = replay->store;
    struct pending *open = store->open;
    size_t count = pending_block_count(open);
    bool gap = !block->side && store->tip.present && store->tip.height + 1 != block->height;
    if (count >= STORE_BATCH_BLOCKS_MAX || pending_size(open) >= STORE_BATCH_SIZE_MAX ||
        (gap && count != 0)) {
        int result = store_apply_here(store, replay->detail);
        if (result != 0) {
            trie_layer_release(entries != NULL ? entries->layer : NULL);
            return result;
        }
    }
    bool known = entries != NULL && entries->layer != NULL;
    int result = store_apply_add(store, block, entries);
    if (result != 0) {
        trie_layer_release(known ? entries->layer : NULL);
        return error_set(replay->detail, result, "replay block %llu",
                         (unsigned long long)block->height);
    }
    store->replayed_blocks++;
    if (block->side) {
        return store_replay_note_side(replay, block);
    }
    uint64_t state_end = known ? block->height + 1 : store->tip.state_end;
    store->tip =
        (struct store_tip){.present = true, .height = block->height, .state_end = state_end};
    memcpy(store->tip.hash, block->hash, 32);
    memcpy(store->tip.total_difficulty, block->total_difficulty, 32);
    store->tip.state_known = known;
    store->top = *block;
    store_branch_raise_line(store);
    return 0;
}

int store_replay_add_damaged(struct replay *replay, const uint8_t *hash)
{
    if (!replay->has_damaged) {
        return 0;
    }
    replay->has_damaged = false;
    if (hash != NULL) {
        memcpy(replay->damaged.hash, hash, 32);
    }
    int result = prepare_damaged(&replay->prepare);
    if (result == 0) {
        struct pending_entries entries = prepare_entries(&replay->prepare, bytes_of(NULL, 0));
        result = add(replay, &replay->damaged, &entries);
    }
    replay->store->tip.damaged = true;
    return result;
}

int store_replay_note_damaged(struct replay *replay, const struct replay_held *frame)
{
    const struct store *store = replay->store;
    int result = store_replay_add_damaged(replay, NULL);
    bool follows = store->tip.present ? frame->height == store->tip.height + 1 : frame->height == 0;
    replay->changes_damaged = frame->kind == LEDGER_STATE;
    if (frame->kind == LEDGER_HEAD || frame->kind == LEDGER_BATCH || frame->kind == 0) {
        replay->head_lost = true;
        replay->lost_position = frame->position;
    }
    if (result == 0 && frame->kind == LEDGER_BLOCK && follows) {
        replay->has_damaged = true;
        replay->damaged =
            (struct pending_block){.height = frame->height, .position = frame->position};
    }
    return result;
}

/* A block that was to extend the chain, but whose parent is not its end. */
static bool is_orphan(const struct replay *replay, const struct block *block)
{
    const struct store_tip *tip = &replay->store->tip;
    return !replay->has_damaged && tip->present && !tip->damaged &&
           memcmp(block->header.parent_hash, tip->hash, 32) != 0;
}

/* The tries' part. Changes that no trie can be made of were not taken when they came: where the
 * tables are not to blame, the block is indexed without them. */
static int make_layer(struct replay *replay, uint64_t height, struct bytes *changes,
                      struct trie_layer **out_layer)
{
    struct store *store = replay->store;
    int result = store_tries_replay(store, height, *changes, out_layer, replay->detail);
    if (result == STOA_ECORRUPT && store->applied.position.sequence != 0 && !store->rebuilt) {
        store_note_tables(store, result);
        return result;
    }
    if (result == STOA_ECORRUPT || result == STOA_EREFUSED) {
        *changes = bytes_of(NULL, 0);
        return 0;
    }
    return result;
}

/* Where the block of RECORD is so far. STOA_ENOTFOUND: its frame is damaged, and says no more. */
static int find_place(struct replay *replay, const struct record *record,
                      struct pending_block *out_block)
{
    struct store *store = replay->store;
    struct index_place place;
    const struct pending_block *recent = store_find_pending_hash(store, record->hash);
    if (recent != NULL) {
        *out_block = *recent;
        return 0;
    }
    int result =
        index_find_hash(store->index, store->session, record->hash, &place, replay->detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        store_note_tables(store, result);
    }
    if (result == 0) {
        *out_block = (struct pending_block){
            .height = place.height,
            .position = place.position,
            .state_position = place.state_position,
            .side = !place.canonical,
        };
    }
    return result;
}

/* A block once more, with its receipts: a batch by itself, as when they came. */
static int replay_again(struct replay *replay, const struct ledger_frame *frame,
                        const struct record *record)
{
    struct store *store = replay->store;
    struct prepare *prepare = &replay->prepare;
    struct pending_block block;
    bool of_damaged = replay->has_damaged && replay->damaged.height == frame->height;
    int result = store_replay_let_go(replay);
    if (result == 0) {
        result = store_replay_add_damaged(replay, of_damaged ? record->hash : NULL);
    }
    if (result == 0) {
        result = find_place(replay, record, &block);
    }
    if (result != 0) {
        return result == STOA_ENOTFOUND ? 0 : result;
    }
    memcpy(block.hash, record->hash, 32);
    memcpy(block.total_difficulty, record->total_difficulty, 32);
    memcpy(block.parent_hash, prepare->block.header.parent_hash, 32);
    memcpy(block.envelope_hash, record->envelope_hash, 32);
    block.has_envelope = (record->flags & RECORD_ENVELOPE) != 0;
    block.front = record->gone == 0 ? record_front_size(record->block.size) : 0;
    prepare->keep_hashes = store->cache != NULL;
    result = prepare_index(prepare, bytes_of(NULL, 0));
    prepare->keep_hashes = false;
    if (result != 0) {
        if (replay->detail != NULL) {
            *replay->detail = prepare->detail;
        }
        return result;
    }
    result = store_apply_here(store, replay->detail);
    if (result == 0) {
        result = index_anew_withdraw(store->index, store->session, block.height, replay->detail);
        store_note_tables(store, result);
    }
    if (result == 0) {
        result = store_receipts_take_in(store, &block, &frame->position, prepare);
    }
    return result == 0 ? store_apply_here(store, replay->detail) : result;
}

static int replay_block(struct replay *replay, const struct ledger_frame *frame)
{
    struct record record;
    struct prepare *prepare = &replay->prepare;
    int result = record_decode(frame->payload, &record, replay->detail);
    if (result == 0) {
        result = prepare_record(prepare, &record, replay->detail);
    }
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
        return STOA_ECORRUPT;
    }
    store_note_lost(replay->store, &record, frame->height);
    if ((record.flags & RECORD_AGAIN) != 0) {
        return replay_again(replay, frame, &record);
    }
    struct pending_block block = {
        .height = prepare->block.header.number,
        .position = frame->position,
        .front = record.gone == 0 ? record_front_size(record.block.size) : 0,
        .side = (record.flags & RECORD_SIDE) != 0,
        .has_envelope = (record.flags & RECORD_ENVELOPE) != 0,
    };
    memcpy(block.hash, record.hash, 32);
    memcpy(block.parent_hash, prepare->block.header.parent_hash, 32);
    memcpy(block.total_difficulty, record.total_difficulty, 32);
    memcpy(block.envelope_hash, record.envelope_hash, 32);
    if ((record.flags & RECORD_BATCH) != 0) {
        return store_replay_hold(replay, frame, &block);
    }
    result = store_replay_let_go(replay);
    if (result == 0 && !block.side) {
        result = store_replay_find_head(replay, block.parent_hash);
    }
    if (result != 0) {
        return result;
    }
    bool has_changes = memcmp(replay->changes_hash, block.hash, 32) == 0;
    if ((record.flags & RECORD_CHANGES) != 0 && !has_changes && !replay->changes_damaged) {
        return 0; /* its changes were not written: it was not acknowledged */
    }
    replay->changes_damaged = false;
    if (!block.side && is_orphan(replay, &prepare->block)) {
        block.side = true; /* its parent was not written: likewise; but it can be read by hash */
    }
    if (!block.side) {
        bool child = replay->has_damaged && replay->damaged.height + 1 == block.height;
        result = store_replay_add_damaged(replay, child ? prepare->block.header.parent_hash : NULL);
        if (result != 0) {
            return result;
        }
    }
    struct bytes changes = has_changes ? buffer_bytes(&replay->changes) : bytes_of(NULL, 0);
    struct trie_layer *layer = NULL;
    result = block.side ? 0 : make_layer(replay, block.height, &changes, &layer);
    if (result != 0) {
        return result;
    }
    result = prepare_index(prepare, changes);
    if (result != 0) {
        if (replay->detail != NULL) {
            *replay->detail = prepare->detail;
        }
        trie_layer_release(layer);
        return result;
    }
    struct pending_entries entries = prepare_entries(prepare, changes);
    entries.layer = layer;
    if (has_changes) {
        block.state_position = replay->changes_position;
    }
    result = add(replay, &block, block.side ? NULL : &entries);
    buffer_clear(&replay->changes);
    return result;
}

int store_replay_update(struct replay *replay, const struct ledger_position *position,
                        const uint8_t hash[32], struct bytes changes)
{
    struct store *store = replay->store;
    struct prepare *prepare = &replay->prepare;
    int result = store_update_find_top(store, replay->detail);
    if (result != 0 || !store->tip.present || memcmp(store->tip.hash, hash, 32) != 0 ||
        memcmp(store->top.hash, hash, 32) != 0) {
        return result; /* its block is damaged: what it changed is not known either */
    }
    if (prepare_changes(prepare, changes) != 0) {
        if (replay->detail != NULL) {
            *replay->detail = prepare->detail;
        }
        return prepare->result;
    }
    struct pending_entries entries = prepare_update_entries(prepare, changes);
    store->top.state_position = *position;
    result = store_update_take_in(store, &store->top, &entries);
    return result == 0 ? 0 : error_set(replay->detail, result, "replay");
}

/* Changes that were made while the tip was the head. */
static int replay_update(struct replay *replay, const struct ledger_frame *frame,
                         const uint8_t hash[32], struct bytes changes)
{
    bool of_damaged = replay->has_damaged && replay->damaged.height == frame->height;
    int result = store_replay_add_damaged(replay, of_damaged ? hash : NULL);
    if (result == 0 && pending_size(replay->store->open) >= STORE_BATCH_SIZE_MAX) {
        result = store_apply_here(replay->store, replay->detail);
    }
    return result == 0 ? store_replay_update(replay, &frame->position, hash, changes) : result;
}

static int keep_changes(struct replay *replay, const struct ledger_frame *frame,
                        const uint8_t hash[32], struct bytes changes)
{
    buffer_clear(&replay->changes);
    memcpy(replay->changes_hash, hash, 32);
    replay->changes_position = frame->position;
    int result = buffer_append(&replay->changes, changes.data, changes.size);
    return result == 0 ? 0 : error_set(replay->detail, result, "replay");
}

/* Keep a block's changes until the block comes, in the next frame. */
static int replay_state(struct replay *replay, const struct ledger_frame *frame)
{
    const uint8_t *hash;
    struct bytes changes;
    struct ledger_position previous;
    int result = record_decode_state(frame->payload, &hash, &changes, replay->detail);
    if (result == 0 && record_is_batch(frame->payload)) {
        return store_replay_hold(replay, frame, NULL);
    }
    if (result == 0) {
        result = store_replay_let_go(replay);
    }
    if (result == 0 && record_is_update(frame->payload, &previous)) {
        result = replay_update(replay, frame, hash, changes);
    } else if (result == 0) {
        return keep_changes(replay, frame, hash, changes);
    }
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
    }
    return result;
}

/* The payload is copied: the scan's buffer may move on while frames of both branches are read. */
static int replay_head(struct replay *replay, const struct ledger_frame *frame)
{
    struct head_record record;
    struct buffer payload;
    int result = store_replay_let_go(replay);
    if (result == 0) {
        result = store_replay_add_damaged(replay, NULL);
    }
    replay->head_lost = false; /* it tells */
    buffer_init(&payload);
    if (result == 0) {
        result = buffer_append(&payload, frame->payload.data, frame->payload.size);
    }
    if (result == 0) {
        result = head_record_decode(buffer_bytes(&payload), &record, replay->detail);
    }
    if (result == 0) {
        result = store_branch_replay(replay->store, &record, &frame->position, replay->detail);
    }
    buffer_deinit(&payload);
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
    }
    return result;
}

static int replay_marks(struct replay *replay, const struct ledger_frame *frame)
{
    struct head_mark safe;
    struct head_mark finalized;
    int result = head_record_decode_marks(frame->payload, &safe, &finalized, replay->detail);
    if (result == 0) {
        result = store_replay_let_go(replay);
    }
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
        return result;
    }
    store_set_marks(replay->store, &safe, &finalized, &frame->position);
    return 0;
}

/* It may stand between any two frames, those of a batch as well, and what they say goes on. */
static int replay_floors(struct replay *replay, const struct ledger_frame *frame)
{
    struct prune_floors floors;
    int result = prune_record_decode(frame->payload, &floors, replay->detail);
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
        return result;
    }
    store_keep_from(replay->store, &floors);
    return 0;
}

static int replay_frame(void *context, const struct ledger_frame *frame)
{
    struct replay *replay = context;
    if (frame->position.sequence <= replay->store->applied.position.sequence) {
        return 0; /* where the scan began */
    }
    if (store_is_stopping(replay->store)) {
        return error_set(replay->detail, STOA_ECANCELED, "stopped while the ledger was replayed");
    }
    if (replay->progress != NULL) {
        replay->progress(replay->progress_context, "replaying the ledger",
                         frame->position.sequence - replay->first_sequence, replay->total_frames);
    }
    if (frame->result != 0) {
        return store_replay_hold_damaged(replay, frame);
    }
    if (frame->kind == LEDGER_STATE) {
        return replay_state(replay, frame);
    }
    if (frame->kind == LEDGER_HEAD) {
        return replay_head(replay, frame);
    }
    if (frame->kind == LEDGER_FINALIZED) {
        return replay_marks(replay, frame);
    }
    if (frame->kind == LEDGER_PRUNE) {
        return replay_floors(replay, frame);
    }
    if (frame->kind == LEDGER_BATCH) {
        return store_replay_batch(replay, frame);
    }
    if (frame->kind != LEDGER_BLOCK) {
        return error_set(replay->detail, STOA_EVERSION,
                         "frame %llu is of kind %d, which this program does not know",
                         (unsigned long long)frame->position.sequence, (int)frame->kind);
    }
    return replay_block(replay, frame);
}

static int check_ends(const struct store *store, struct error_detail *detail)
{
    uint64_t applied = index_newest(store->index);
    if (applied <= store->recovery.last_sequence) {
        return 0;
    }
    return error_set(detail, STOA_ECORRUPT,
                     "the tables know frame %llu, but the ledger ends at %llu: acknowledged blocks "
                     "are missing from it",
                     (unsigned long long)applied,
                     (unsigned long long)store->recovery.last_sequence);
}

int store_replay(struct store *store, struct error_detail *detail)
{
    const struct store_options *options = &store->options;
    int result = check_ends(store, detail);
    if (result != 0) {
        return result;
    }
    struct replay replay = {
        .store = store,
        .first_sequence = store->applied.position.sequence,
        .total_frames = store->recovery.last_sequence - store->applied.position.sequence,
        .progress = options->progress,
        .progress_context = options->progress_context,
        .detail = detail,
    };
    store->tip = (struct store_tip){
        .present = store->applied.has_head,
        .height = store->applied.head_height,
    };
    memcpy(store->tip.hash, store->applied.head_hash, 32);
    memcpy(store->tip.total_difficulty, store->applied.head_total_difficulty, 32);
    static const uint8_t zero[32];
    store->tip.damaged = store->tip.present && memcmp(store->tip.hash, zero, 32) == 0;
    result = store_tries_reset(store, detail);
    if (result != 0) {
        store_note_tables(store, result);
        return result;
    }
    store->top = (struct pending_block){.height = 0};
    prune_floors_raise(&store->kept, &store->applied.kept);
    store->open_applied = store->applied;
    store->open_applied.kept = store->kept;
    store->safe = store->applied.safe;
    store->finalized = store->applied.finalized;
    result = store_branch_load(store, detail);
    if (result != 0) {
        store_note_tables(store, result);
        return result;
    }
    prepare_init(&replay.prepare);
    buffer_init(&replay.changes);
    buffer_init(&replay.held);
    buffer_init(&replay.update);
    const struct ledger_position *from = &store->applied.position;
    if (store->applied.position.sequence < store->recovery.last_sequence) {
        result = ledger_scan(store->ledger, from->sequence == 0 ? 1 : from->sequence,
                             from->sequence == 0 ? NULL : from, replay_frame, &replay, detail);
    }
    if (result == 0) {
        result = store_replay_let_go(&replay);
    }
    if (result == 0) {
        result = store_replay_add_damaged(&replay, NULL);
    }
    if (result == 0) {
        result = store_update_find_top(store, detail);
    }
    prepare_deinit(&replay.prepare);
    buffer_deinit(&replay.changes);
    buffer_deinit(&replay.held);
    buffer_deinit(&replay.update);
    store->head = store->tip;
    return result;
}

int store_replay_anew(struct store *store, struct error_detail *detail)
{
    store->tables_damage = STORE_SOUND;
    store->replayed_blocks = 0;
    pending_clear(store->open);
    store_close_tables(store);
    int result = store_open_tables(store, true, detail);
    return result == 0 ? store_replay(store, detail) : result;
}
