/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The way of the tries' records from the cache into the tables. They do not go with the blocks that
 * made them: a record near the root changes with each block, and most of its versions are not asked
 * for any more by the time the tables would have them. So batches are applied without, and the
 * tables note up to which they have come with their tries; there the replay begins after a crash.
 *
 *   hold     a batch is applied without; its records are in the cache only
 *   gather   where there is enough, or a checkpoint or a close wants it: a worker copies what the
 *            cache has up to the batch's last block. Where there is just enough of it, the newest
 *            blocks' is left for another time: of a record that they change too, what comes later
 *            mostly takes the place of what would have come now;
 *   apply    what was copied goes into the tables with the batch, while blocks go on
 *   settle   the cache learns that the tables have it, and may let it go
 *
 * A batch with a change of branch is not held: it has the records of its blocks as layers, and what
 * was held of the blocks before as one more (store_tries_hold_back). Before it is applied the cache
 * is ahead of the tables on another branch, so what is applied meanwhile is held. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_private.h"

/* So many times what makes for a flush may be there when one ends. */
enum { UNSETTLED_SHARE = 3 };
/* As many blocks are left for another time, where that leaves at most half of what makes for a
 * flush: no fewer are kept of the tries. */
enum { BLOCKS_LEFT = STORE_RETENTION_MIN, PLACES = 4 * BLOCKS_LEFT };

/* The newest places where a replay can begin, by height. */
struct store_tries_places {
    size_t count; /* that have ever been noted */
    struct place_applied list[PLACES];
};

int store_tries_flush_init(struct store *store)
{
    struct store_tries *tries = &store->tries;
    buffer_init(&tries->flush_versions);
    arena_init(&tries->flush_memory);
    tries->places = memory_alloc_zeroed(1, sizeof(*tries->places));
    return tries->places == NULL ? STOA_ENOMEM : 0;
}

void store_tries_flush_deinit(struct store *store)
{
    struct store_tries *tries = &store->tries;
    buffer_deinit(&tries->flush_versions);
    arena_deinit(&tries->flush_memory);
    memory_free(tries->places);
    tries->places = NULL;
}

void store_tries_note_place(struct store *store)
{
    struct store_tries_places *places = store->tries.places;
    places->list[places->count++ % PLACES] = store->open_applied;
}

void store_tries_forget_places(struct store *store)
{
    store->tries.places->count = 0;
}

static const struct place_applied *find_place(const struct store_tries_places *places,
                                              uint64_t height)
{
    for (size_t back = 1; back <= PLACES && back <= places->count; back++) {
        const struct place_applied *place = &places->list[(places->count - back) % PLACES];
        if (place->head_height <= height) {
            return place->head_height == height ? place : NULL;
        }
    }
    return NULL;
}

/* How many of the newest blocks are left. */
static uint64_t blocks_left(const struct store *store)
{
    const struct store_tries *tries = &store->tries;
    uint64_t blocks = store->head.height - (tries->flushed_any ? tries->flushed : 0);
    size_t each = tries->unsettled / (size_t)(blocks + 1) + 1;
    size_t fit = tries->unsettled_max / 2 / each;
    return fit < BLOCKS_LEFT ? fit : BLOCKS_LEFT;
}

/* Up to where the flush with the first frozen batch goes. What is below the floor of the cache has
 * no place of its own in it any more. */
static void choose_place(struct store *store)
{
    struct store_tries *tries = &store->tries;
    uint64_t head = store->head.height;
    uint64_t left = blocks_left(store);
    uint64_t height = head > left ? head - left : 0;
    height = height > tries->merge_floor ? height : tries->merge_floor;
    const struct place_applied *place = !tries->flush_wanted &&
                                                height < store->frozen_applied[0].head_height &&
                                                height >= store_tries_below(store)
                                            ? find_place(tries->places, height)
                                            : NULL;
    tries->flush_partly = place != NULL;
    tries->flush_place = place != NULL ? *place : store->frozen_applied[0];
}

bool store_tries_unsettled(const struct store *store)
{
    return store->tries.unsettled != 0 || store_tries_merging(store);
}

bool store_tries_have_room(const struct store *store)
{
    const struct store_tries *tries = &store->tries;
    return !tries->flushing || tries->unsettled < UNSETTLED_SHARE * tries->unsettled_max;
}

void store_tries_flush_end(struct store *store)
{
    struct store_tries *tries = &store->tries;
    tries->flushing = false;
    tries->flush_partly = false;
    buffer_clear(&tries->flush_versions);
    arena_deinit(&tries->flush_memory); /* it may be much */
}

void store_tries_flush_reset(struct store *store)
{
    struct store_tries *tries = &store->tries;
    store_tries_flush_end(store);
    store_tries_forget_places(store);
    tries->unsettled = 0;
    tries->flush_wanted = false;
    tries->flush_ended = false;
    tries->settle_due = false;
    tries->flush = (struct index_tries){.held = false};
    tries->complete = store->applied.position;
    tries->flushed_any = store->applied.has_head;
    tries->flushed = store->applied.head_height;
}

static void run_gather(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    struct store_tries *tries = &store->tries;
    (void)worker_state; /* the tables are not asked */
    tries->flush_result = trie_cache_gather(tries->cache, tries->flush_below, tries->flush_last,
                                            &tries->flush_memory, &tries->flush_versions);
}

static void done_gather(struct workers_job *job)
{
    struct store *store = job->context;
    struct store_tries *tries = &store->tries;
    tries->flush = (struct index_tries){
        .versions = (const struct trie_cache_version *)(const void *)tries->flush_versions.data,
        .count = tries->flush_versions.size / sizeof(struct trie_cache_version),
        .complete = &tries->flush_place,
        .floor = store->floors.tries,
    };
    store_tries_leave(store);
    store_apply_gathered(store, tries->flush_result);
}

static void enter_gather(struct store_tries_waiter *waiter)
{
    struct store *store = waiter->context;
    struct store_tries *tries = &store->tries;
    ensure(!tries->flushing && store->frozen_count != 0);
    if (store_is_cut_from(store, 1)) { /* by now */
        store_tries_leave(store);
        store_apply_gathered(store, 0);
        return;
    }
    choose_place(store); /* nothing is merged while there are readers */
    tries->flushing = true;
    tries->flush_below = store_tries_below(store);
    tries->flush_last = tries->flush_place.head_height;
    tries->flush_job = (struct workers_job){
        .run = run_gather, .done = done_gather, .context = store, .kind = METRICS_JOB_TRIE};
    workers_submit(store->writers, &tries->flush_job);
}

bool store_tries_flush(struct store *store)
{
    struct store_tries *tries = &store->tries;
    ensure(store->frozen_count != 0);
    tries->flush = (struct index_tries){.floor = store->floors.tries};
    if (pending_is_cut(store->frozen[0], PLACE_HEIGHT_MAX) || !store_tries_unsettled(store)) {
        return true;
    }
    bool wanted = tries->flush_wanted || tries->unsettled >= tries->unsettled_max;
    tries->flush = (struct index_tries){.held = true};
    if (!wanted || store_is_cut_from(store, 1) || tries->settle_due || tries->flushing) {
        return true;
    }
    tries->flush_waiter = (struct store_tries_waiter){.enter = enter_gather, .context = store};
    if (store_tries_enter(store, &tries->flush_waiter)) {
        enter_gather(&tries->flush_waiter);
    }
    return false;
}

void store_tries_applied(struct store *store)
{
    struct store_tries *tries = &store->tries;
    if (tries->flush.held) {
        return;
    }
    const struct place_applied *place = tries->flush.complete;
    bool partly = place != NULL && tries->flush_partly;
    place = place != NULL ? place : &store->applied;
    tries->complete = place->position;
    tries->flushed_any = place->has_head;
    tries->flushed = place->head_height;
    if (!partly) {
        tries->flush_ended = tries->flush_ended || tries->flush_wanted;
        tries->flush_wanted = false;
    }
    store->checkpointed_sequence = tries->flushing ? 0 : store->checkpointed_sequence;
    if (store->applied.position.sequence >= tries->cap_sequence) {
        tries->cap = UINT64_MAX;
    }
    store_tries_settle(store);
}

struct trie_layer *store_tries_hold_back(const struct store *store, uint64_t below,
                                         uint64_t ancestor)
{
    struct buffer versions;
    struct arena memory;
    struct trie_layer *layer = trie_layer_create(ancestor);
    buffer_init(&versions);
    arena_init(&memory);
    int result = layer == NULL
                     ? STOA_ENOMEM
                     : trie_cache_gather(store->tries.cache, below, ancestor, &memory, &versions);
    const struct trie_cache_version *version = (const void *)versions.data;
    for (size_t left = versions.size / sizeof(*version); result == 0 && left != 0; left--) {
        struct trie_layer_entry entry = {version->key, version->record, version->height};
        result = trie_layer_add_older(layer, &entry);
        version++;
    }
    arena_deinit(&memory);
    buffer_deinit(&versions);
    if (result != 0) {
        trie_layer_release(layer);
        return NULL;
    }
    return layer;
}
