/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches at open (batch_record.h). Their frames are held back until the frame comes that makes
 * them count; where it does not come, they were written in vain and nobody was told of them. A
 * damaged frame may be one of a batch, so it is held as well: the batch's last frame says what it
 * was.
 *
 * Where that last frame, or the record of a change of head, is damaged itself, the batch's blocks
 * come in as side blocks, and the next block of the canonical chain tells by its parent where the
 * head went. Nothing more is lost than what the changes of the head were. */
#include "base/ensure.h"
#include "store/head_record.h"
#include "store/store_replay_private.h"

static size_t held_count(const struct replay *replay)
{
    return replay->held.size / sizeof(struct replay_held);
}

static struct replay_held *held_at(const struct replay *replay, size_t index)
{
    return (struct replay_held *)(void *)replay->held.data + index;
}

static int hold(struct replay *replay, const struct replay_held *held)
{
    int result = buffer_append(&replay->held, held, sizeof(*held));
    return result == 0 ? 0 : error_set(replay->detail, result, "replay");
}

int store_replay_hold(struct replay *replay, const struct ledger_frame *frame,
                      const struct pending_block *block)
{
    struct replay_held held = {
        .kind = frame->kind, .height = frame->height, .position = frame->position};
    struct ledger_position previous;
    if (block != NULL) {
        held.block = *block;
        return hold(replay, &held);
    }
    const uint8_t *hash;
    struct bytes changes;
    int result = record_decode_state(frame->payload, &hash, &changes, replay->detail);
    ensure(result == 0); /* it was decoded before */
    memcpy(held.block.hash, hash, 32);
    held.update = record_is_update(frame->payload, &previous);
    if (held.update) {
        buffer_clear(&replay->update);
        result = buffer_append(&replay->update, changes.data, changes.size);
    }
    return result == 0 ? hold(replay, &held) : error_set(replay->detail, result, "replay");
}

int store_replay_hold_damaged(struct replay *replay, const struct ledger_frame *frame)
{
    struct replay_held held = {
        .kind = frame->kind, .height = frame->height, .position = frame->position, .damaged = true};
    return hold(replay, &held);
}

/* ---- taking in ---- */

/* The tables may only say that they know a batch when they know all of it. So nothing is applied
 * between its parts, but for what a change of head needs; and then they say what they knew before.
 */
static int make_room(struct replay *replay, size_t blocks)
{
    struct store *store = replay->store;
    bool full = pending_block_count(store->open) + blocks > STORE_BATCH_BLOCKS_MAX ||
                pending_size(store->open) >= STORE_BATCH_SIZE_MAX;
    return full ? store_apply_here(store, replay->detail) : 0;
}

static int add_side(struct replay *replay, const struct pending_block *block)
{
    struct store *store = replay->store;
    struct ledger_position known = store->open_applied.position;
    int result = store_apply_add(store, block, NULL);
    store->open_applied.position = known;
    if (result != 0) {
        return error_set(replay->detail, result, "replay block %llu",
                         (unsigned long long)block->height);
    }
    store->replayed_blocks++;
    return store_replay_note_side(replay, block);
}

static int take_aside(struct replay *replay)
{
    struct ledger_position state = {.sequence = 0};
    uint8_t of[32] = {0};
    int result = make_room(replay, held_count(replay));
    for (size_t i = 0; result == 0 && i < held_count(replay); i++) {
        const struct replay_held *held = held_at(replay, i);
        if (held->damaged || held->update) {
            continue;
        }
        if (held->kind == LEDGER_STATE) {
            state = held->position;
            memcpy(of, held->block.hash, 32);
            continue;
        }
        struct pending_block block = held->block;
        block.side = true;
        if (memcmp(of, block.hash, 32) == 0) {
            block.state_position = state;
        }
        result = add_side(replay, &block);
    }
    return result;
}

/* Whether what is held may be a whole batch but for its last frame. */
static bool lacks_end(const struct replay *replay)
{
    size_t count = held_count(replay);
    const struct replay_held *last = count < 2 ? NULL : held_at(replay, count - 1);
    return last != NULL && last->damaged && (last->kind == LEDGER_BATCH || last->kind == 0);
}

int store_replay_let_go(struct replay *replay)
{
    int result = lacks_end(replay) ? take_aside(replay) : 0;
    for (size_t i = 0; result == 0 && i < held_count(replay); i++) {
        if (held_at(replay, i)->damaged) {
            result = store_replay_note_damaged(replay, held_at(replay, i));
        }
    }
    buffer_clear(&replay->held);
    return result;
}

/* ---- a whole batch ---- */

/* Whether the held frame at INDEX can be what the record says. */
static bool is_meant(const struct replay *replay, size_t index, enum ledger_kind kind,
                     const uint8_t *hash, uint64_t base)
{
    const struct replay_held *held = held_at(replay, index);
    if (held->position.sequence <= base) {
        return false;
    }
    if (held->damaged) {
        return held->kind == 0 || held->kind == kind;
    }
    bool update = hash == NULL;
    return held->kind == kind && held->update == update &&
           (update || memcmp(held->block.hash, hash, 32) == 0);
}

static size_t frame_count(const struct batch_record *record)
{
    size_t count = (record->flags & BATCH_RECORD_UPDATE) != 0;
    for (uint32_t i = 0; i < record->block_count; i++) {
        struct batch_record_block block;
        batch_record_decode_block(record, i, &block);
        count += 1u + block.has_state;
    }
    return count;
}

/* Whether what is held from AT on is the whole batch. */
static bool is_whole(const struct replay *replay, const struct batch_record *record, size_t at)
{
    bool whole = true;
    for (uint32_t i = 0; whole && i < record->block_count; i++) {
        struct batch_record_block block;
        batch_record_decode_block(record, i, &block);
        if (block.has_state) {
            whole = is_meant(replay, at++, LEDGER_STATE, block.hash, record->base);
        }
        whole = whole && is_meant(replay, at++, LEDGER_BLOCK, block.hash, record->base);
    }
    if (whole && (record->flags & BATCH_RECORD_UPDATE) != 0) {
        whole = is_meant(replay, at, LEDGER_STATE, NULL, record->base);
    }
    return whole;
}

static int take_blocks(struct replay *replay, const struct batch_record *record, size_t at)
{
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < record->block_count; i++) {
        struct batch_record_block named;
        const struct replay_held *state = NULL;
        batch_record_decode_block(record, i, &named);
        if (named.has_state) {
            state = held_at(replay, at++);
        }
        const struct replay_held *held = held_at(replay, at++);
        struct pending_block block = held->block;
        if (held->damaged) { /* what its place is, and that it cannot be read */
            block = (struct pending_block){.height = named.height, .position = held->position};
            memcpy(block.hash, named.hash, 32);
            memcpy(block.parent_hash, named.parent_hash, 32);
            memcpy(block.total_difficulty, named.total_difficulty, 32);
        }
        block.side = true;
        if (state != NULL && !state->damaged) {
            block.state_position = state->position;
        }
        result = add_side(replay, &block);
    }
    return result;
}

/* Where the winners of the batch lie: the record could not say. */
static void place_winners(const struct replay *replay, const struct head_record *record)
{
    const struct store *store = replay->store;
    for (uint32_t i = 0; i < record->winner_count; i++) {
        struct head_winner winner;
        head_record_decode_winner(record, i, &winner);
        const struct pending_block *block =
            winner.position.sequence == 0 ? store_find_pending_hash(store, winner.hash) : NULL;
        if (block != NULL) {
            winner.position = block->position;
            winner.state_position = block->state_position;
            head_record_encode_winner(
                &winner, (uint8_t *)(uintptr_t)record->winners.data +
                             (size_t)i * HEAD_RECORD_WINNER_SIZE); /* in the replay's own copy */
        }
    }
}

static int change_head(struct replay *replay, const struct batch_record *batch,
                       const struct ledger_position *position)
{
    struct head_record record;
    struct ledger_position known = replay->store->open_applied.position;
    int result = head_record_decode(batch->head, &record, replay->detail);
    if (result == 0) {
        place_winners(replay, &record);
        result = store_branch_replay(replay->store, &record, position, replay->detail);
    }
    replay->store->open_applied.position = known;
    return result;
}

/* What is held from AT on counts, from the frame at POSITION on. */
static int take_whole(struct replay *replay, const struct batch_record *record, size_t at,
                      const struct ledger_position *position)
{
    struct store *store = replay->store;
    int result = make_room(replay, 2 * (size_t)record->block_count);
    if (result == 0) {
        result = take_blocks(replay, record, at);
    }
    if (result == 0 && (record->flags & BATCH_RECORD_HEAD) != 0) {
        replay->head_lost = false;
        result = change_head(replay, record, position);
    }
    if (result == 0 && (record->flags & BATCH_RECORD_UPDATE) != 0) {
        const struct replay_held *update = held_at(replay, held_count(replay) - 1);
        if (!update->damaged) {
            result = store_replay_update(replay, &update->position, update->block.hash,
                                         buffer_bytes(&replay->update));
        }
    }
    store->open_applied.position = *position;
    return result;
}

static int replay_copy(struct replay *replay, const struct ledger_frame *frame,
                       struct bytes payload)
{
    struct batch_record record;
    int result = batch_record_decode(payload, &record, replay->detail);
    if (result != 0) {
        return result;
    }
    size_t count = frame_count(&record);
    size_t first = held_count(replay) - count;
    bool whole = count <= held_count(replay) && is_whole(replay, &record, first);
    if (!whole) {
        return store_replay_let_go(replay); /* it was answered as failed */
    }
    for (size_t i = 0; result == 0 && i < first; i++) { /* of an attempt before, or damaged */
        if (held_at(replay, i)->damaged) {
            result = store_replay_note_damaged(replay, held_at(replay, i));
        }
    }
    if (result == 0) {
        result = store_replay_add_damaged(replay, NULL);
    }
    if (result == 0) {
        result = take_whole(replay, &record, first, &frame->position);
    }
    buffer_clear(&replay->held);
    return result;
}

/* The payload is copied: the scan's buffer may move on while frames of both branches are read. */
int store_replay_batch(struct replay *replay, const struct ledger_frame *frame)
{
    struct buffer payload;
    buffer_init(&payload);
    int result = buffer_append(&payload, frame->payload.data, frame->payload.size);
    if (result == 0) {
        result = replay_copy(replay, frame, buffer_bytes(&payload));
    }
    buffer_deinit(&payload);
    if (result != 0) {
        error_prefix(replay->detail, "frame %llu", (unsigned long long)frame->position.sequence);
    }
    return result;
}

/* ---- a head that is not told ---- */

/* From HASH down to where the branch forks off: the record that is damaged, as far as one needs it.
 */
static int make_record(const struct replay *replay, const uint8_t hash[32],
                       struct head_record *out_record, struct buffer *winners)
{
    const struct store *store = replay->store;
    const struct branches_block *top = branches_find(store->branches, hash);
    uint64_t count = 0;
    struct head_record record = {
        .head = {.present = true, .height = top->height},
        .old_head = {.present = true, .height = store->tip.height},
        .safe = store->safe,
        .finalized = store->finalized,
    };
    memcpy(record.head.hash, hash, 32);
    memcpy(record.old_head.hash, store->tip.hash, 32);
    memcpy(record.total_difficulty, top->total_difficulty, 32);
    for (const struct branches_block *block = top; block != NULL;
         block = branches_find(store->branches, block->parent_hash)) {
        record.ancestor = (struct head_mark){.present = true, .height = block->height - 1};
        memcpy(record.ancestor.hash, block->parent_hash, 32);
        count++;
    }
    if (buffer_reserve(winners, count * HEAD_RECORD_WINNER_SIZE) != 0) {
        return STOA_ENOMEM;
    }
    winners->size = count * HEAD_RECORD_WINNER_SIZE;
    record.winner_count = (uint32_t)count;
    record.winners = buffer_bytes(winners);
    for (const struct branches_block *block = top; block != NULL;
         block = branches_find(store->branches, block->parent_hash)) {
        struct head_winner winner = {.position = block->position,
                                     .state_position = block->state_position};
        memcpy(winner.hash, block->hash, 32);
        head_record_encode_winner(&winner, winners->data + --count * HEAD_RECORD_WINNER_SIZE);
    }
    if (record.safe.present && record.safe.height > record.ancestor.height) {
        record.safe = record.ancestor;
    }
    *out_record = record;
    return 0;
}

/* A block that is canonical, but not the tip: the chain went back to it. */
static bool went_back(const struct replay *replay, const uint8_t hash[32], uint64_t *out_height)
{
    const struct pending_block *block = store_find_pending_hash(replay->store, hash);
    struct index_place place;
    if (block != NULL) {
        *out_height = block->height;
        return !block->side;
    }
    if (index_find_hash(replay->store->index, replay->store->session, hash, &place, NULL) != 0) {
        return false; /* where the tables are damaged others will say so */
    }
    *out_height = place.height;
    return place.canonical;
}

int store_replay_find_head(struct replay *replay, const uint8_t parent_hash[32])
{
    struct store *store = replay->store;
    if (!replay->head_lost) {
        return 0;
    }
    replay->head_lost = false;
    if (!store->tip.present || memcmp(store->tip.hash, parent_hash, 32) == 0) {
        return 0;
    }
    struct head_record record;
    struct buffer winners;
    uint64_t height;
    buffer_init(&winners);
    int result = 0;
    if (branches_find(store->branches, parent_hash) != NULL) {
        result = make_record(replay, parent_hash, &record, &winners);
    } else if (went_back(replay, parent_hash, &height)) {
        struct head_mark mark = {.present = true, .height = height};
        memcpy(mark.hash, parent_hash, 32);
        record = (struct head_record){
            .head = mark, .ancestor = mark, .safe = store->safe, .finalized = store->finalized};
        memcpy(record.total_difficulty, store->tip.total_difficulty, 32); /* of no use any more */
    } else {
        return 0;
    }
    if (result == 0) {
        result = store_replay_add_damaged(replay, NULL);
    }
    if (result == 0) {
        result = store_branch_replay(store, &record, &replay->lost_position, replay->detail);
    }
    buffer_deinit(&winners);
    return result;
}
