/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The packed tier of the cache. A large block that was read and has to leave is compressed by a
 * worker and kept at a third of its size, say; who asks for it gets it unpacked, as an object of
 * the cache like any other. LZ4 gives 55 KB back in 5 us, where reading them again takes 200.
 *
 * A packed value is the size of the record (4 bytes, little-endian), then an LZ4 block. */
#include <lz4.h>

#include "base/ensure.h"
#include "store/store_private.h"

enum {
    SIZE_SIZE = 4,
    UNPACKED_HERE_MAX = 128 << 10, /* on the loop: as quick as asking a worker */
    WORTH_PARTS = 4,               /* packed it is to be at least one of so many parts smaller */
};

/* ---- packing ---- */

static void run_pack(struct workers_job *job, void *worker_state)
{
    struct store_packing *packing = &((struct store *)job->context)->packing;
    struct cache_hit hit;
    (void)worker_state; /* compressing needs none */
    cache_describe(packing->object, NULL, &hit);
    size_t most = hit.value.size - hit.value.size / WORTH_PARTS;
    packing->worth_it = false;
    buffer_clear(&packing->packed);
    if (hit.value.size > LZ4_MAX_INPUT_SIZE ||
        buffer_reserve(&packing->packed, SIZE_SIZE + most) != 0) {
        return;
    }
    int size =
        LZ4_compress_default((const char *)hit.value.data, (char *)packing->packed.data + SIZE_SIZE,
                             (int)hit.value.size, (int)most);
    if (size > 0) { /* 0: it does not get that small */
        bytes_store_le32(packing->packed.data, (uint32_t)hit.value.size);
        packing->packed.size = SIZE_SIZE + (size_t)size;
        packing->worth_it = true;
    }
}

static void done_pack(struct workers_job *job)
{
    struct store *store = job->context;
    struct store_packing *packing = &store->packing;
    if (packing->worth_it) {
        (void)cache_fill_packed(store->cache, packing->object, buffer_bytes(&packing->packed),
                                packing->ticket); /* no room, or outdated: it is read again */
    }
    cache_return_cold(store->cache, packing->object);
    packing->object = NULL;
}

void store_pack(struct store *store)
{
    struct store_packing *packing = &store->packing;
    if (packing->object != NULL ||
        (packing->object = cache_take_cold(store->cache, &packing->ticket)) == NULL) {
        return;
    }
    packing->job = (struct workers_job){
        .run = run_pack, .done = done_pack, .context = store, .kind = METRICS_JOB_PACK};
    workers_submit(store->verifiers, &packing->job);
}

void store_packed_deinit(struct store *store)
{
    buffer_deinit(&store->packing.packed);
}

/* ---- unpacking ---- */

static void run_unpack(struct workers_job *job, void *worker_state)
{
    struct store_get *get = job->context;
    struct cache_hit packed;
    struct cache_hit unpacked;
    (void)worker_state; /* unpacking needs none */
    cache_describe(get->packed, NULL, &packed);
    cache_describe(get->unpacked, NULL, &unpacked);
    int got = LZ4_decompress_safe((const char *)packed.value.data + SIZE_SIZE,
                                  (char *)(uintptr_t)unpacked.value.data,
                                  (int)(packed.value.size - SIZE_SIZE), (int)unpacked.value.size);
    ensure(got >= 0 && (size_t)got == unpacked.value.size); /* it was made here, in memory */
}

/* HIT is pinned for the view that the caller gets. */
static void answer(struct store_get *get, const struct cache_hit *hit)
{
    struct store_request *request = get->request;
    bool shown =
        request->kind == STORE_GET_BLOCK
            ? hot_show_hit(hit, &request->block)
            : hot_show_transaction(hit, &get->packed_place, request->hash, &request->transaction);
    ensure(shown); /* what went in was a record, and what comes out is the same */
    store_get_finish(get, 0);
}

/* GET's block is unpacked: it takes the place of the packed one. */
static void publish(struct store_get *get)
{
    struct cache_hit hit;
    cache_release(get->packed);
    if (store_get_is_outdated(get)) {
        cache_release(get->unpacked);
        store_get_start_again(get);
        return;
    }
    (void)cache_publish(get->store->cache, get->unpacked, get->ticket); /* else a view only */
    cache_describe(get->unpacked, NULL, &hit);
    answer(get, &hit);
}

static void done_unpack(struct workers_job *job)
{
    publish(job->context);
}

/* HIT is packed and pinned. False: there is no room for it unpacked. */
static bool begin(struct store_get *get, const struct cache_hit *hit)
{
    struct store *store = get->store;
    struct cache_entry entry = {.class = CACHE_BLOCKS,
                                .height = hit->height,
                                .flags = hit->flags & ~(unsigned)CACHE_FLAG_PACKED};
    struct cache_hit same;
    uint8_t *value;
    uint32_t size = bytes_load_le32(hit->value.data);
    cache_describe(hit->object, &entry.key, &same);
    get->ticket = cache_take_ticket(store->cache, CACHE_BLOCKS, entry.key);
    get->packed = hit->object;
    get->unpacked = cache_reserve(store->cache, &entry, size, &value);
    if (get->unpacked == NULL) {
        return false;
    }
    get->job = (struct workers_job){
        .run = run_unpack, .done = done_unpack, .context = get, .kind = METRICS_JOB_PACK};
    if (size <= UNPACKED_HERE_MAX) {
        run_unpack(&get->job, NULL);
        publish(get);
    } else {
        workers_submit(store->verifiers, &get->job);
    }
    return true;
}

static bool find(struct store_get *get, struct cache_hit *out_hit)
{
    const struct store_request *request = get->request;
    struct cache *cache = get->store->cache;
    if (cache == NULL || !cache_holds_packed(cache)) {
        return false;
    }
    if (request->kind == STORE_GET_BLOCK) {
        return hot_peek_block(cache, &request->key, out_hit);
    }
    return request->kind == STORE_GET_TRANSACTION &&
           hot_peek_transaction(cache, request->hash, &get->packed_place, out_hit);
}

bool store_packed_answer(struct store_get *get)
{
    struct cache_hit hit;
    if (!find(get, &hit)) {
        return false;
    }
    if ((hit.flags & CACHE_FLAG_PACKED) == 0) { /* others had it unpacked meanwhile */
        answer(get, &hit);
        return true;
    }
    if (!begin(get, &hit)) {
        cache_release(hit.object);
        return false;
    }
    return true;
}
