/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The places of a batch's blocks: each block's parent is before it in the batch, or stored; each is
 * new. What memory does not know a worker asks the tables for; the total difficulty of a parent
 * that is neither the head nor on a side branch is read from its frame. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_batch_private.h"

static int fail(struct store_batch_work *work, size_t index, int result)
{
    work->failed = index;
    work->result = result;
    return result;
}

static const struct header *header_of(const struct store_batch_work *work, size_t index)
{
    return &work->blocks[index].put->prepare.block.header;
}

/* ---- what memory knows ---- */

static void know_parent(struct batch_block *block, const uint8_t total_difficulty[32])
{
    memcpy(block->put->total_difficulty, total_difficulty, 32);
    block->parent_difficulty = true;
    block->put->parent_known = true;
}

static void find_recent(struct store *store, struct batch_block *block)
{
    struct store_put *put = block->put;
    const uint8_t *parent = put->prepare.block.header.parent_hash;
    const struct branches_block *side = branches_find(store->branches, parent);
    const struct pending_block *recent = store_find_pending_hash(store, parent);
    put->known = branches_find(store->branches, put->prepare.block.hash) != NULL ||
                 store_find_pending_hash(store, put->prepare.block.hash) != NULL;
    if (store->head.present && memcmp(store->head.hash, parent, 32) == 0) {
        put->parent = (struct index_place){.height = store->head.height, .canonical = true};
        know_parent(block, store->head.total_difficulty);
    } else if (side != NULL) {
        put->parent = (struct index_place){.height = side->height};
        know_parent(block, side->total_difficulty);
    } else if (recent != NULL) {
        put->parent = (struct index_place){.height = recent->height, .canonical = !recent->side};
        know_parent(block, recent->total_difficulty);
    }
}

/* ---- on a worker: the batch itself, and the tables ---- */

/* The batch's blocks by hash. */
struct map {
    uint32_t *slots; /* index + 1 */
    size_t count;    /* a power of two */
};

/* The slot of HASH: the block's that has it, among the first BELOW, or a free one. */
static uint32_t *find_slot(const struct store_batch_work *work, const struct map *map,
                           const uint8_t hash[32])
{
    size_t at = (size_t)bytes_load_le64(hash + 24) & (map->count - 1);
    while (map->slots[at] != 0) {
        const struct store_put *put = work->blocks[map->slots[at] - 1].put;
        if (memcmp(put->prepare.block.hash, hash, 32) == 0) {
            break;
        }
        at = (at + 1) & (map->count - 1);
    }
    return &map->slots[at];
}

static int find_inside(struct store_batch_work *work, struct map *map)
{
    for (size_t i = 0; i < work->count; i++) {
        struct batch_block *block = &work->blocks[i];
        uint32_t *parent = find_slot(work, map, header_of(work, i)->parent_hash);
        uint32_t *own = find_slot(work, map, block->put->prepare.block.hash);
        block->parent = *parent;
        if (*parent != 0) {
            block->put->parent_known = true;
            block->put->parent =
                (struct index_place){.height = header_of(work, *parent - 1)->number};
        }
        if (*own != 0) {
            return fail(work, i,
                        error_set(&work->detail, STOA_EEXISTS, "block %llu is in the batch already",
                                  (unsigned long long)header_of(work, i)->number));
        }
        *own = (uint32_t)i + 1;
    }
    return 0;
}

static void run_link(struct workers_job *job, void *worker_state)
{
    struct store_batch_work *work = job->context;
    struct map map = {.count = 4};
    while (map.count < 2 * work->count) {
        map.count *= 2;
    }
    map.slots = memory_alloc_zeroed(map.count, sizeof(*map.slots));
    int result = map.slots == NULL ? fail(work, 0, STOA_ENOMEM) : find_inside(work, &map);
    memory_free(map.slots);
    for (size_t i = 0; result == 0 && i < work->count; i++) {
        result = store_put_link_ask_tables(work->blocks[i].put, worker_state, &work->detail);
        if (result != 0) {
            (void)fail(work, i, result);
        }
    }
}

/* ---- with all that: is it in order, and which is the head? ---- */

static int check_block(struct store_batch_work *work, size_t index, const uint8_t head[32])
{
    const struct store_put *put = work->blocks[index].put;
    int result = store_put_link_check_place(put, &work->detail);
    if (result == 0 && work->put->request->batch->head == NULL &&
        (put->prepare.put->flags & (STOA_STORE_SIDE | STOA_STORE_CANONICAL)) == 0 &&
        memcmp(put->prepare.block.header.parent_hash, head, 32) != 0) {
        result = store_put_link_refuse_parent(put, "which is not the head then", &work->detail);
    }
    return result == 0 ? 0 : fail(work, index, result);
}

/* The batch's block that HASH names, its index + 1; 0: there is none. */
static size_t find_own(const struct store_batch_work *work, const uint8_t hash[32])
{
    for (size_t i = work->count; i > 0; i--) {
        if (memcmp(work->blocks[i - 1].put->prepare.block.hash, hash, 32) == 0) {
            return i;
        }
    }
    return 0;
}

/* The new branch as far as the batch has it. The head's own state frame takes the changes along. */
static int find_branch(struct store_batch_work *work)
{
    const struct prepare *keys = &work->put->prepare;
    size_t top = find_own(work, work->head);
    for (size_t at = top; at != 0; at = work->blocks[at - 1].parent) {
        work->own_count++;
    }
    if (work->own_count == 0) {
        return 0;
    }
    work->own = memory_alloc(work->own_count * sizeof(struct store_put *));
    if (work->own == NULL) {
        return fail(work, top - 1, STOA_ENOMEM);
    }
    size_t left = work->own_count;
    for (size_t at = top; at != 0; at = work->blocks[at - 1].parent) {
        work->own[--left] = work->blocks[at - 1].put;
    }
    struct store_put *head = work->own[work->own_count - 1];
    int result = buffer_append(&head->prepare.changes, keys->changes.data, keys->changes.size);
    if (result == 0) {
        result = store_put_link_check_size(head, &work->detail);
    }
    return result == 0 ? 0 : fail(work, top - 1, result);
}

static int check(struct store_batch_work *work)
{
    const struct store *store = work->put->store;
    const struct store_batch *given = work->put->request->batch;
    int result = 0;
    memcpy(work->head, store->head.hash, 32);
    for (size_t i = 0; result == 0 && i < work->count; i++) {
        const struct store_put *put = work->blocks[i].put;
        result = check_block(work, i, work->head);
        if ((put->prepare.put->flags & STOA_STORE_SIDE) == 0) {
            memcpy(work->head, put->prepare.block.hash, 32);
        }
    }
    if (given->head != NULL) {
        memcpy(work->head, given->head, 32);
    }
    work->moves = memcmp(work->head, store->head.hash, 32) != 0;
    return result == 0 && work->moves ? find_branch(work) : result;
}

/* ---- difficulties ---- */

static void read_parents(struct store_batch_work *work);

static void done_parent(struct store_request *request)
{
    struct store_batch_work *work = request->context;
    if (request->result == 0) {
        know_parent(&work->blocks[work->next], request->block.total_difficulty);
        store_view_release(request->block.view);
        read_parents(work);
        return;
    }
    work->detail = request->detail;
    error_prefix(&work->detail, "read the parent");
    (void)fail(work, work->next, request->result);
    store_batch_linked(work);
}

/* From that of the parent to its own, block by block; where the parent must be read first, go on
 * when it was. */
static void read_parents(struct store_batch_work *work)
{
    for (; work->next < work->count; work->next++) {
        struct batch_block *block = &work->blocks[work->next];
        if (block->parent != 0) {
            know_parent(block, work->blocks[block->parent - 1].put->total_difficulty);
        }
        if (!block->parent_difficulty) {
            work->read = (struct store_request){
                .kind = STORE_GET_BLOCK,
                .key = {.by = STOA_BY_HASH},
                .done = done_parent,
                .context = work,
            };
            memcpy(work->read.key.hash, header_of(work, work->next)->parent_hash, 32);
            store_submit(work->put->store, &work->read);
            return;
        }
        block->put->side = true;
        block->put->in_batch = true;
        uint8_t below[32];
        memcpy(below, block->put->total_difficulty, 32);
        store_put_make_record(block->put, below);
    }
    store_batch_linked(work);
}

static void done_link(struct workers_job *job)
{
    struct store_batch_work *work = job->context;
    store_note_tables(work->put->store, work->result);
    if (work->result != 0 || check(work) != 0) {
        store_batch_linked(work);
        return;
    }
    work->next = 0;
    read_parents(work);
}

void store_batch_link(struct store_batch_work *work)
{
    struct store *store = work->put->store;
    for (size_t i = 0; i < work->count; i++) {
        find_recent(store, &work->blocks[i]);
    }
    work->link_job = (struct workers_job){
        .run = run_link, .done = done_link, .context = work, .kind = METRICS_JOB_LOOKUP};
    workers_submit(store->readers, &work->link_job);
}
