/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of heights mended in place, from the blocks themselves: down from the head each block
 * names its parent, so that what is written follows from hashes and not from what was there. That
 * serves as a guess only, by which many blocks are read at once.
 *
 *   gather   from the tables' head down to the first block; written are heights below the line,
 *            where no block can leave the chain any more, with how far it is;
 *   hold     nothing is applied or merged;
 *   last     down from the tables' head of then to the line, and what is above the head goes.
 *
 * Where a block's frame is damaged its parent is not known: the height below it stays what it is,
 * and from there it goes on. */
#include "base/ensure.h"
#include "base/memory.h"
#include "chain/header.h"
#include "chain/rlp.h"
#include "store/store_rebuild_private.h"

enum { SLOTS_MAX = 64, READS_MAX = 32, ROWS_MAX = 1024, READ_SIZE_MAX = 16 << 20 };

struct slot {
    struct store_rebuild_work *work;
    uint64_t height;
    uint8_t hash[32];
    struct index_place place;
    bool kept; /* nothing is known of it but what the table says */
    struct ledger_read read;
};

struct rebuild_heights {
    struct index_heights_note note; /* where it is now */
    bool begun;                     /* the first thing is to read the note */
    bool finished;                  /* this walk */
    uint64_t last;                  /* lowest height of this walk */
    struct slot slots[SLOTS_MAX];
    unsigned slot_count;
    unsigned slot_next;
    struct buffer rows; /* struct index_heights_row each, to be written */
};

static void start_walk(struct rebuild_heights *heights, const struct place_applied *applied,
                       uint64_t last)
{
    static const uint8_t zero[32];
    heights->note.next = applied->head_height;
    memcpy(heights->note.hash, applied->head_hash, 32);
    heights->note.known = memcmp(applied->head_hash, zero, 32) != 0;
    heights->last = last;
    heights->finished = !applied->has_head || applied->head_height < last;
}

/* ---- where the next blocks are ---- */

static int missing(struct store_rebuild_work *work, uint64_t height)
{
    return error_set(&work->owner->detail, STOA_ECORRUPT,
                     "tables: block %llu, which its child names, is not in the table of blocks",
                     (unsigned long long)height);
}

/* The block at HEIGHT: the one that must be there, or the one that the table has. */
static int locate(struct store_rebuild_work *work, struct kv_session *session, struct slot *slot,
                  bool first)
{
    const struct index_heights_note *note = &work->heights_walk->note;
    struct index *index = work->store->index;
    struct error_detail *detail = &work->owner->detail;
    bool must = first && note->known;
    uint8_t there[32];
    int found = index_find_height(index, session, slot->height, there, &slot->place, detail);
    if (found != 0 && (found != STOA_ENOTFOUND || !must)) {
        return found;
    }
    memcpy(slot->hash, must ? note->hash : there, 32);
    struct index_place place;
    int result = index_find_hash(index, session, slot->hash, &place, detail);
    if (result == 0 && place.height == slot->height) {
        slot->place = place;
        return 0;
    }
    if (result != 0 && result != STOA_ENOTFOUND) {
        return result;
    }
    if (must) { /* or the chain begins above it */
        return found == STOA_ENOTFOUND ? STOA_ENOTFOUND : missing(work, slot->height);
    }
    slot->kept = first; /* a damaged frame that no child names */
    return first ? 0 : STOA_ENOTFOUND;
}

static void run_locate(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    uint64_t most = heights->note.next - heights->last + 1;
    uint64_t size = 0;
    int result = 0;
    heights->slot_count = 0;
    for (uint64_t i = 0; i < most && i < SLOTS_MAX && size < READ_SIZE_MAX; i++) {
        struct slot *slot = &heights->slots[i];
        *slot = (struct slot){.work = work, .height = heights->note.next - i};
        result = locate(work, worker_state, slot, i == 0);
        if (result != 0) {
            break;
        }
        size += slot->place.front != 0 ? slot->place.front : slot->place.position.size;
        heights->slot_count++;
        if (slot->kept) {
            break;
        }
    }
    heights->finished = result == STOA_ENOTFOUND && heights->slot_count == 0;
    work->result = result == STOA_ENOTFOUND ? 0 : result;
}

/* ---- what they say ---- */

/* The header that SLOT's frame holds. STOA_ECORRUPT: it cannot be read. */
static int header_of(const struct slot *slot, struct header *out_header)
{
    struct record record;
    struct bytes fields;
    struct rlp_item item;
    const struct ledger_read *read = &slot->read;
    int result = read->result != 0 || read->kind != LEDGER_BLOCK ? STOA_ECORRUPT
                 : read->front != 0 ? record_decode_front(read->payload, &record, NULL)
                                    : record_decode(read->payload, &record, NULL);
    if (result == 0) {
        struct bytes cursor = record.block;
        result = rlp_read_list(&cursor, &fields, NULL);
    }
    if (result == 0) {
        result = rlp_read(&fields, &item, NULL);
    }
    return result == 0 ? header_decode(item.encoding, out_header, NULL) : result;
}

/* Take SLOT in. False: it is not what its child names. */
static int prove(struct store_rebuild_work *work, const struct slot *slot, bool *out_right)
{
    struct rebuild_heights *heights = work->heights_walk;
    struct index_heights_note *note = &heights->note;
    *out_right = slot->kept || !note->known || memcmp(slot->hash, note->hash, 32) == 0;
    if (!*out_right) {
        return 0;
    }
    struct header header;
    uint8_t hash[32];
    note->known = !slot->kept && header_of(slot, &header) == 0;
    if (note->known) {
        header_hash(&header, hash);
        memcpy(note->hash, header.parent_hash, 32);
    }
    if (note->known && (memcmp(hash, slot->hash, 32) != 0 || header.number != slot->height)) {
        return error_set(&work->owner->detail, STOA_ECORRUPT,
                         "frame %llu is not block %llu, though the table of blocks says so",
                         (unsigned long long)slot->place.position.sequence,
                         (unsigned long long)slot->height);
    }
    int result = 0;
    bool stays = slot->height < note->line || work->phase == REBUILD_LAST;
    if (stays && !slot->kept) {
        struct index_heights_row row = {
            .height = slot->height,
            .position = slot->place.position,
            .front = slot->place.front,
        };
        memcpy(row.hash, slot->hash, 32);
        result = buffer_append(&heights->rows, &row, sizeof(row));
    }
    heights->finished = slot->height == heights->last;
    note->next -= !heights->finished;
    return result;
}

static void run_prove(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    int result = work->result; /* of the reads */
    bool right = true;
    (void)worker_state; /* the blocks say all */
    for (unsigned i = 0; result == 0 && right && i < heights->slot_count; i++) {
        result = prove(work, &heights->slots[i], &right);
    }
    work->result = result;
}

static void done_prove(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    for (unsigned i = 0; i < heights->slot_next; i++) {
        ledger_read_release(&heights->slots[i].read);
    }
    heights->slot_count = 0;
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
    } else {
        store_rebuild_go_on(work);
    }
}

static void start_reads(struct store_rebuild_work *work);

static void done_read(struct ledger_read *read)
{
    struct slot *slot = read->context;
    struct store_rebuild_work *work = slot->work;
    work->reading--;
    if (read->result != 0 && read->result != STOA_ECORRUPT && work->result == 0) {
        work->result = read->result;
        work->owner->detail = read->detail;
    }
    start_reads(work);
}

static void start_reads(struct store_rebuild_work *work)
{
    struct rebuild_heights *heights = work->heights_walk;
    work->reading++; /* so that what ends at once does not come here again */
    while (work->result == 0 && heights->slot_next < heights->slot_count &&
           work->reading <= READS_MAX) {
        struct slot *slot = &heights->slots[heights->slot_next++];
        if (!slot->kept) {
            slot->read = (struct ledger_read){.position = slot->place.position,
                                              .front = slot->place.front,
                                              .done = done_read,
                                              .context = slot};
            work->reading++;
            ledger_read(work->store->ledger, &slot->read);
        }
    }
    work->reading--;
    if (work->reading == 0) {
        store_rebuild_start_job(work, run_prove, done_prove);
    }
}

static void done_locate(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    heights->slot_next = 0;
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
    } else if (heights->finished) {
        store_rebuild_go_on(work);
    } else {
        start_reads(work);
    }
}

/* ---- into the table ---- */

static void run_write(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    bool over = work->phase == REBUILD_LAST && heights->finished;
    struct index_heights_write write = {
        .rows = (const void *)heights->rows.data,
        .count = heights->rows.size / sizeof(struct index_heights_row),
        .note = over ? NULL : &heights->note,
        .trim = over && work->store->applied.has_head,
        .head = over ? work->store->applied.head_height : 0, /* nothing is applied by then */
    };
    if (work->phase == REBUILD_LAST && !over) {
        write.note = &work->heights_kept;
    }
    work->result = index_heights_write(worker_state, &write, &work->owner->detail);
}

static void done_write(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    struct rebuild_heights *heights = work->heights_walk;
    work->result = store_blame_space(work->store, work->result, &work->owner->detail);
    store_note_tables(work->store, work->result);
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
        return;
    }
    buffer_clear(&heights->rows);
    if (!heights->finished) {
        store_rebuild_go_on(work);
    } else if (work->phase == REBUILD_LAST) {
        store_rebuild_settle(work);
    } else {
        heights->note.known = false;
        work->heights_kept = heights->note;
        store_rebuild_hold(work);
    }
}

/* ---- beginning ---- */

static void run_open(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct index_heights_note note;
    work->result = index_heights_read_note(worker_state, &note, &work->owner->detail);
    if (work->result == 0) { /* it goes on */
        work->heights_walk->note = note;
        work->heights_walk->finished = false;
    } else if (work->result == STOA_ENOTFOUND) {
        work->result = 0;
    }
}

static void done_open(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    store_note_tables(work->store, work->result);
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
    } else {
        store_rebuild_go_on(work);
    }
}

void store_rebuild_heights_step(struct store_rebuild_work *work)
{
    struct rebuild_heights *heights = work->heights_walk;
    const struct place_applied *applied = &work->store->applied;
    uint64_t at = heights->note.next;
    uint64_t line = heights->note.line;
    bool full = heights->rows.size >= ROWS_MAX * sizeof(struct index_heights_row);
    work->owner->done_blocks = work->phase == REBUILD_LAST ? line : line > at ? line - at : 0;
    work->owner->total_blocks = applied->has_head ? applied->head_height + 1 : 0;
    if (!heights->begun) {
        heights->begun = true;
        heights->note.line = store_rebuild_line(work->store);
        start_walk(heights, applied, 0);
        store_rebuild_start_job(work, run_open, done_open);
    } else if (heights->finished || full) {
        store_rebuild_start_job(work, run_write, done_write);
    } else {
        store_rebuild_start_job(work, run_locate, done_locate);
    }
}

void store_rebuild_heights_last(struct store_rebuild_work *work)
{
    start_walk(work->heights_walk, &work->store->applied, work->heights_walk->note.line);
}

int store_rebuild_heights_create(struct store_rebuild_work *work)
{
    work->heights_walk = memory_alloc_zeroed(1, sizeof(*work->heights_walk));
    return work->heights_walk == NULL ? STOA_ENOMEM : 0;
}

/* After a power cut reads may be there still; their buffers went with the ledger. */
void store_rebuild_heights_free(struct store_rebuild_work *work)
{
    if (work->heights_walk != NULL) {
        buffer_deinit(&work->heights_walk->rows);
        memory_free(work->heights_walk);
    }
}
