/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index of the state made anew: what each canonical block changed, from its state frames. A
 * worker asks the tables where the newest frame of each of some blocks lies, the loop reads these
 * and, by what they name, those before them, and a worker takes the changes in, oldest first. A
 * frame that cannot be read ends it: the index that is there knows more then. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_rebuild_private.h"

enum { READS_MAX = 16, READ_SIZE_MAX = 16 << 20 };

struct rebuild_state {
    struct store_rebuild_work *work;
    struct rebuild_height *height;
    struct ledger_read read;
    struct rebuild_state *next;
};

/* Where the blocks and their newest state frames are: as many as together are not too large. */
static void run_find(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct index *index = work->store->index;
    struct error_detail *detail = &work->owner->detail;
    unsigned count = work->height_count;
    uint64_t size = 0;
    int result = 0;
    work->height_count = 0;
    for (unsigned i = 0; result == 0 && i < count && size < READ_SIZE_MAX; i++) {
        struct rebuild_height *height = &work->heights[i];
        struct index_place place;
        *height = (struct rebuild_height){.states = NULL};
        result =
            index_find_height(index, worker_state, work->at.next + i, height->hash, &place, detail);
        if (result != 0) {
            break;
        }
        result = index_find_hash(index, worker_state, height->hash, &place, detail);
        if (result == 0) {
            height->position = place.state_position;
            size += place.state_position.sequence == 0 ? 0 : place.state_position.size;
        } else if (result == STOA_ENOTFOUND) { /* its frame is damaged: no hash is known */
            result = 0;
        }
        work->height_count = i + 1;
    }
    work->result = result;
}

static void release_states(struct rebuild_height *height)
{
    while (height->states != NULL) {
        struct rebuild_state *state = height->states;
        height->states = state->next;
        ledger_read_release(&state->read);
        memory_free(state);
    }
}

static int take_changes(struct store_rebuild_work *work, const struct rebuild_height *height)
{
    struct prepare *prepare = &work->prepare;
    struct error_detail *detail = &work->owner->detail;
    buffer_clear(&prepare->changes);
    for (const struct rebuild_state *state = height->states; state != NULL; state = state->next) {
        const uint8_t *hash;
        struct bytes changes;
        int result = record_decode_state(state->read.payload, &hash, &changes, detail);
        if (result == 0 && memcmp(hash, height->hash, 32) != 0) {
            result = error_set(detail, STOA_ECORRUPT,
                               "frame %llu is not the state of block %llu, though an index says so",
                               (unsigned long long)state->read.position.sequence,
                               (unsigned long long)work->at.next);
        }
        if (result == 0) {
            result = buffer_append(&prepare->changes, changes.data, changes.size);
        }
        if (result != 0) {
            return result;
        }
    }
    int result = prepare_changes(prepare, buffer_bytes(&prepare->changes));
    if (result != 0) {
        *detail = prepare->detail;
        return result;
    }
    struct pending_entries entries =
        prepare_update_entries(prepare, buffer_bytes(&prepare->changes));
    return store_rebuild_add(work, height->hash, &entries);
}

static void run_take(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    int result = work->result; /* of the reads */
    (void)worker_state;        /* the frames say all */
    for (unsigned i = 0; result == 0 && i < work->height_count; i++) {
        result = take_changes(work, &work->heights[i]);
    }
    work->result = result;
}

static void done_take(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    for (unsigned i = 0; i < work->height_count; i++) {
        release_states(&work->heights[i]);
    }
    work->height_count = 0;
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
    } else {
        store_rebuild_go_on(work);
    }
}

static void start_reads(struct store_rebuild_work *work);

static void fail(struct store_rebuild_work *work, int result, const struct error_detail *detail)
{
    if (work->result == 0) {
        work->result = result;
        work->owner->detail = *detail;
    }
}

static void done_read(struct ledger_read *read);

/* The state frame at POSITION, and from it those before. */
static void read_state(struct store_rebuild_work *work, struct rebuild_height *height,
                       const struct ledger_position *position)
{
    struct rebuild_state *state = memory_alloc_zeroed(1, sizeof(*state));
    if (state == NULL) {
        struct error_detail detail = {.code = 0};
        fail(work, error_set(&detail, STOA_ENOMEM, "read the state of a block"), &detail);
        return;
    }
    state->work = work;
    state->height = height;
    state->next = height->states;
    height->states = state;
    state->read = (struct ledger_read){.position = *position, .done = done_read, .context = state};
    work->reading++;
    ledger_read(work->store->ledger, &state->read);
}

static void done_read(struct ledger_read *read)
{
    struct rebuild_state *state = read->context;
    struct store_rebuild_work *work = state->work;
    struct ledger_position previous;
    work->reading--;
    if (read->result != 0) {
        fail(work, read->result, &read->detail);
    } else if (read->kind != LEDGER_STATE) {
        struct error_detail detail = {.code = 0};
        fail(work,
             error_set(&detail, STOA_ECORRUPT,
                       "frame %llu is no state of a block, though an index says so",
                       (unsigned long long)read->position.sequence),
             &detail);
    } else if (record_is_update(read->payload, &previous) && previous.sequence != 0 &&
               previous.sequence < read->position.sequence && work->result == 0) {
        read_state(work, state->height, &previous);
    }
    start_reads(work);
}

/* Keep reads in flight; when the last one is through, take in what they brought. */
static void start_reads(struct store_rebuild_work *work)
{
    work->reading++; /* so that what ends at once does not come here again */
    while (work->result == 0 && work->height_next < work->height_count &&
           work->reading <= READS_MAX) {
        struct rebuild_height *height = &work->heights[work->height_next++];
        if (height->position.sequence != 0) {
            read_state(work, height, &height->position);
        }
    }
    work->reading--;
    if (work->reading == 0) {
        store_rebuild_start_job(work, run_take, done_take);
    }
}

static void done_find(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    if (work->result != STOA_ENOTFOUND) {
        store_note_tables(work->store, work->result);
    }
    if (work->result == STOA_ENOTFOUND) {
        error_set(&work->owner->detail, STOA_ECORRUPT, "tables: height %llu is not there",
                  (unsigned long long)(work->at.next + work->height_count));
        work->result = STOA_ECORRUPT;
    }
    if (work->result != 0) {
        work->height_count = 0;
        store_rebuild_end(work, work->result);
        return;
    }
    start_reads(work);
}

void store_rebuild_state_read(struct store_rebuild_work *work)
{
    uint64_t left = work->limit - work->at.next;
    ensure(left != 0 && work->reading == 0);
    if (work->heights == NULL) {
        work->heights = memory_alloc_zeroed(REBUILD_READ_BLOCKS, sizeof(*work->heights));
    }
    if (work->heights == NULL) {
        store_rebuild_end(work, STOA_ENOMEM);
        return;
    }
    work->height_count = left < REBUILD_READ_BLOCKS ? (unsigned)left : REBUILD_READ_BLOCKS;
    work->height_next = 0;
    store_rebuild_start_job(work, run_find, done_find);
}

/* After a power cut reads may be there still; their buffers went with the ledger. */
void store_rebuild_state_free(struct store_rebuild_work *work)
{
    for (unsigned i = 0; work->heights != NULL && i < REBUILD_READ_BLOCKS; i++) {
        while (work->heights[i].states != NULL) {
            struct rebuild_state *state = work->heights[i].states;
            work->heights[i].states = state->next;
            memory_free(state);
        }
    }
    memory_free(work->heights);
}
