/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache's side of the engine: made from the options, asked on the caller's thread before a
 * message is sent, kept by the loop. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot.h"

static_assert((int)STOA_CACHE_BLOCKS == (int)CACHE_BLOCKS, "one is used for the other");
static_assert((int)STOA_CACHE_PLACES == (int)CACHE_PLACES, "one is used for the other");
static_assert((int)STOA_CACHE_HEIGHTS == (int)CACHE_HEIGHTS, "one is used for the other");
static_assert((int)STOA_CACHE_STATE == (int)CACHE_STATE, "one is used for the other");
static_assert((int)STOA_CACHE_HEADERS == (int)CACHE_HEADERS, "one is used for the other");
static_assert((int)STOA_CACHE_CLASSES == (int)CACHE_CLASS_COUNT, "one is used for the other");
static_assert((int)STOA_TIERS == (int)CACHE_TIER_COUNT, "one is used for the other");

static const uint64_t size_default = (uint64_t)256 << 20;
enum { STATE_SECONDS = 300 };

struct preset {
    unsigned share[CACHE_CLASS_COUNT];
    unsigned head_blocks;
    unsigned packed_share;
};

static const struct preset presets[] = {
    [STOA_PRESET_BALANCED] = {{48, 5, 2, 35, 2}, 64, 25},
    [STOA_PRESET_SYNC] = {{25, 2, 4, 60, 1}, 16, 10},
    [STOA_PRESET_QUERY] = {{60, 10, 3, 16, 3}, 64, 40},
    [STOA_PRESET_WRITE] = {{34, 5, 2, 50, 1}, 256, 10},
};

int engine_cache_check(const struct stoa_cache_options *given, struct stoa_cache_options *out,
                       struct stoa_detail *detail)
{
    struct stoa_cache_options own = STOA_CACHE_OPTIONS_INIT;
    if (given != NULL) {
        if (!engine_size_is_valid(given->size, sizeof(own))) {
            return engine_refuse(detail, STOA_EINVAL, "open: bad cache options");
        }
        memcpy(&own, given, given->size);
    }
    own.capacity = own.capacity == 0 ? size_default : own.capacity;
    if (own.preset < STOA_PRESET_BALANCED || own.preset > STOA_PRESET_WRITE) {
        return engine_refuse(detail, STOA_EINVAL, "open: cache preset is none of STOA_PRESET_…");
    }
    if (own.policy != STOA_WRITE_BACK && own.policy != STOA_WRITE_THROUGH) {
        return engine_refuse(detail, STOA_EINVAL, "open: write policy is none of STOA_WRITE_…");
    }
    if (own.capacity < CACHE_SIZE_MIN || own.head_blocks > CACHE_HEAD_BLOCKS_MAX) {
        return engine_refuse(detail, STOA_EINVAL,
                             "open: a cache has at least 1 MiB and at most 1,024 head blocks");
    }
    if (own.packed_share > CACHE_PACKED_SHARE_MAX && own.packed_share != STOA_NO_PACKED) {
        return engine_refuse(detail, STOA_EINVAL,
                             "open: at most 90 percent of the blocks' budget are for packed ones");
    }
    *out = own;
    return 0;
}

int engine_cache_create(struct stoa *stoa)
{
    const struct stoa_cache_options *given = &stoa->cache_options;
    const struct preset *preset = &presets[given->preset];
    struct cache_options options = {
        .size = given->capacity,
        .head_blocks = given->head_blocks != 0 ? given->head_blocks : preset->head_blocks,
        .packed_share = given->packed_share == 0                ? preset->packed_share
                        : given->packed_share == STOA_NO_PACKED ? 0
                                                                : given->packed_share,
        .touch = given->touch != 0,
    };
    if (given->capacity == STOA_NO_CACHE) {
        return 0;
    }
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        uint32_t seconds = i == CACHE_STATE ? STATE_SECONDS : 0;
        uint32_t wanted = given->time_to_live[i] != 0 ? given->time_to_live[i] : seconds;
        options.time_to_live[i] = wanted == STOA_NO_TIME_LIMIT ? 0 : wanted;
        options.share[i] = preset->share[i];
        options.budget[i] = given->budget[i];
    }
    io_random(stoa->io, &options.seed, sizeof(options.seed));
    stoa->cache = cache_create(&options);
    if (stoa->cache == NULL) {
        return error_set(&stoa->open_detail, STOA_EINVAL,
                         "open: no cache of %llu bytes: no memory, or its budgets exceed it",
                         (unsigned long long)given->capacity);
    }
    cache_tick(stoa->cache, io_now_ns(stoa->io));
    return 0;
}

/* The value of a view as the request's own; the view is given back. */
static void keep_copy(struct store_request *request, const struct stoa_bytes *value,
                      struct stoa_view *view)
{
    uint8_t *copy = memory_alloc(value->size);
    if (copy != NULL && value->size != 0) {
        memcpy(copy, value->data, value->size);
    }
    hot_release(view);
    request->value = bytes_of(copy, value->size);
    request->result = copy == NULL ? STOA_ENOMEM : 0;
}

static bool answer_storage(struct stoa *stoa, struct store_request *request)
{
    uint8_t value[32];
    const struct stoa_state_query *query = &request->query;
    if (!hot_get_storage(stoa->cache, query->address, query->slot, value)) {
        return false;
    }
    uint8_t *copy = memory_alloc(sizeof(value));
    if (copy != NULL) {
        memcpy(copy, value, sizeof(value));
    }
    request->value = bytes_of(copy, sizeof(value));
    request->result = copy == NULL ? STOA_ENOMEM : 0;
    return true;
}

bool engine_cache_answer(struct stoa *stoa, struct store_request *request)
{
    struct stoa_bytes value;
    struct stoa_view *view;
    bool at_head = request->query.height == STOA_AT_HEAD;
    switch ((int)request->kind) {
    case STORE_GET_BLOCK:
        return request->header_only ? hot_get_header(stoa->cache, &request->key, &request->block)
                                    : hot_get_block(stoa->cache, &request->key, &request->block);
    case STORE_GET_TRANSACTION:
        return hot_get_transaction(stoa->cache, request->hash, &request->transaction);
    case STORE_GET_STATE:
        if (!at_head ||
            !hot_get_raw(stoa->cache, request->state_key, &value, &view, &request->result)) {
            return false;
        }
        if (request->result == 0) {
            keep_copy(request, &value, view);
        }
        return true;
    case STORE_GET_ACCOUNT:
        return at_head && hot_get_account(stoa->cache, request->query.address, &request->account,
                                          &request->result);
    case STORE_GET_STORAGE:
        return at_head && answer_storage(stoa, request);
    case STORE_GET_CODE:
        if (!at_head ||
            !hot_get_code(stoa->cache, request->query.slot, &value, &view, &request->result)) {
            return false;
        }
        if (request->result == 0) {
            keep_copy(request, &value, view);
        }
        return true;
    default:
        return false;
    }
}

/* ---- views of state ---- */

/* A value that came by message: its copy is the view. Told from others by its address. */
struct copy_view {
    struct stoa *stoa;
    uint8_t *data;
};

enum { COPY_MARK = 2 };

bool engine_cache_release(struct stoa_view *view)
{
    if (hot_is_view(view)) {
        hot_release(view);
        return true;
    }
    if (((uintptr_t)view & COPY_MARK) == 0) {
        return false;
    }
    struct copy_view *copy = (struct copy_view *)((uintptr_t)view & ~(uintptr_t)COPY_MARK);
    atomic_fetch_sub_explicit(&copy->stoa->copies_out, 1, memory_order_release);
    memory_free(copy->data);
    memory_free(copy);
    return true;
}

int stoa_get_state_view(struct stoa *stoa, struct stoa_bytes key, struct stoa_value *out_value,
                        struct stoa_detail *detail)
{
    int result;
    struct stoa_bytes value;
    if (out_value == NULL || key.data == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (hot_get_raw(stoa->cache, bytes_of(key.data, key.size), &out_value->value, &out_value->view,
                    &result)) {
        return result == 0 ? engine_answered(detail)
                           : engine_refuse(detail, result, stoa_strerror(result));
    }
    struct copy_view *copy = memory_alloc(sizeof(*copy));
    if (copy == NULL) {
        return engine_refuse(detail, STOA_ENOMEM, stoa_strerror(STOA_ENOMEM));
    }
    result = stoa_get_state(stoa, key, &value, detail);
    if (result != 0) {
        memory_free(copy);
        return result;
    }
    atomic_fetch_add_explicit(&stoa->copies_out, 1, memory_order_relaxed);
    *copy = (struct copy_view){.stoa = stoa, .data = (uint8_t *)(uintptr_t)value.data};
    out_value->value = value;
    out_value->view = (struct stoa_view *)((uintptr_t)copy | COPY_MARK);
    return 0;
}

uint64_t engine_cache_views_out(struct stoa *stoa)
{
    uint64_t copies = atomic_load_explicit(&stoa->copies_out, memory_order_acquire);
    return copies + (stoa->cache == NULL
                         ? 0
                         : cache_views_out(stoa->cache) - store_objects_held(stoa->store));
}

/* ---- calls ---- */

const char *stoa_cache_class_name(int cache_class)
{
    static const char *const names[] = {"blocks", "places", "heights", "state", "headers"};
    return cache_class >= 0 && cache_class < STOA_CACHE_CLASSES ? names[cache_class] : NULL;
}

static void show_class(const struct cache_class_stats *from, struct stoa_cache_class_stats *to)
{
    *to = (struct stoa_cache_class_stats){
        .misses = from->misses,
        .stale = from->stale,
        .budget = from->budget,
        .inserts = from->inserts,
        .replaced = from->replaced,
        .returned = from->returned,
        .evictions = from->evictions,
        .expirations = from->expirations,
        .dropped = from->dropped,
        .refused = from->refused,
    };
    memcpy(to->hits, from->hits, sizeof(to->hits));
    memcpy(to->bytes, from->bytes, sizeof(to->bytes));
    memcpy(to->objects, from->objects, sizeof(to->objects));
}

int stoa_get_cache_stats(struct stoa *stoa, struct stoa_cache_stats *out_stats)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    struct cache_stats inner;
    if (out_stats == NULL || !engine_size_is_valid(out_stats->size, sizeof(stats))) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return engine_remote_get_cache_stats(stoa, out_stats);
    }
    if (stoa->cache != NULL) {
        cache_get_stats(stoa->cache, &inner);
        stats.limit = inner.limit;
        stats.held = inner.held;
        stats.leaving = inner.leaving;
        for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
            show_class(&inner.classes[i], &stats.classes[i]);
        }
    }
    stats.warmed = atomic_load_explicit(&stoa->warmed, memory_order_relaxed);
    stats.warming = atomic_load_explicit(&stoa->warming, memory_order_relaxed) ? 1 : 0;
    size_t size = out_stats->size;
    memcpy(out_stats, &stats, size);
    out_stats->size = size;
    return 0;
}

static void run_resize(struct stoa *stoa, struct engine_call *call)
{
    const uint64_t *size = call->context;
    if (stoa->cache == NULL || *size < CACHE_SIZE_MIN || *size == STOA_NO_CACHE) {
        call->result = error_set(&call->detail, STOA_EINVAL,
                                 "resize cache: below 1 MiB, or there is no cache");
    } else if (!cache_resize(stoa->cache, *size)) {
        call->result = error_set(&call->detail, STOA_ENOMEM, "resize cache");
    }
}

int stoa_resize_cache(struct stoa *stoa, uint64_t size, struct stoa_detail *detail)
{
    if (stoa->remote != NULL) {
        return stoa->remote->resize_cache(stoa->remote_state, size, detail);
    }
    return engine_run_on_loop(stoa, run_resize, &size, detail);
}
