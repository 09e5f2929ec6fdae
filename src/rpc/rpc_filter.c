/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_filter.h"

#include <pthread.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak.h"
#include "rpc/rpc_block.h"
#include "rpc/rpc_log.h"
#include "rpc/rpc_private.h"

enum {
    HASH_SIZE = 32,
    ID_SIZE = 16,
    LEFT_MAX = 4096, /* blocks that a change of branch may have taken off the chain */
    TRIES = 8,       /* where the chain changes while it is looked at */
};

enum state { FREE, IDLE, ASKED };

struct filter {
    enum state state;
    bool gone; /* uninstalled while it was being asked */
    uint8_t id[ID_SIZE];
    uint64_t asked_ms;
    bool blocks; /* of hashes, not of logs */
    struct rpc_log_query query;
    uint64_t height; /* answered up to this block; */
    uint8_t hash[HASH_SIZE];
};

struct rpc_filters {
    pthread_mutex_t lock; /* of all below */
    size_t count_max;
    uint64_t idle_ms;
    uint64_t made;
    uint8_t seed[HASH_SIZE];
    size_t room;
    struct filter **all; /* ROOM of them, NULL or made; they do not move */
};

/* ---- the table ---- */

int rpc_filters_create(size_t count_max, uint64_t idle_ms, const uint8_t seed[32],
                       struct rpc_filters **out_filters)
{
    struct rpc_filters *filters = memory_alloc_zeroed(1, sizeof(*filters));
    if (filters == NULL) {
        return STOA_ENOMEM;
    }
    filters->all = memory_alloc_zeroed(count_max, sizeof(*filters->all));
    if (filters->all == NULL || pthread_mutex_init(&filters->lock, NULL) != 0) {
        memory_free(filters->all);
        memory_free(filters);
        return STOA_ENOMEM;
    }
    filters->count_max = count_max;
    filters->idle_ms = idle_ms;
    memcpy(filters->seed, seed, HASH_SIZE);
    *out_filters = filters;
    return 0;
}

static void drop(struct filter *filter)
{
    rpc_log_query_deinit(&filter->query);
    *filter = (struct filter){.state = FREE};
}

void rpc_filters_destroy(struct rpc_filters *filters)
{
    if (filters == NULL) {
        return;
    }
    for (size_t i = 0; i < filters->room; i++) {
        ensure(filters->all[i]->state != ASKED);
        drop(filters->all[i]);
        memory_free(filters->all[i]);
    }
    (void)pthread_mutex_destroy(&filters->lock); /* nobody holds it */
    memory_free(filters->all);
    memory_free(filters);
}

static void lock(struct rpc_filters *filters)
{
    int locked = pthread_mutex_lock(&filters->lock);
    ensure(locked == 0);
}

static void unlock(struct rpc_filters *filters)
{
    int unlocked = pthread_mutex_unlock(&filters->lock);
    ensure(unlocked == 0);
}

/* With the lock held: forget those that nobody has asked about for long. */
static size_t forget_idle(struct rpc_filters *filters, uint64_t now_ms)
{
    size_t left = 0;
    for (size_t i = 0; i < filters->room; i++) {
        struct filter *filter = filters->all[i];
        if (filter->state == IDLE && now_ms - filter->asked_ms >= filters->idle_ms) {
            drop(filter);
        }
        left += filter->state != FREE;
    }
    return left;
}

size_t rpc_filters_count(struct rpc_filters *filters, uint64_t now_ms)
{
    lock(filters);
    size_t count = forget_idle(filters, now_ms);
    unlock(filters);
    return count;
}

/* With the lock held: a free place. NULL: there is none. */
static struct filter *take_place(struct rpc_filters *filters)
{
    for (size_t i = 0; i < filters->room; i++) {
        if (filters->all[i]->state == FREE) {
            return filters->all[i];
        }
    }
    if (filters->room == filters->count_max) {
        return NULL;
    }
    struct filter *filter = memory_alloc_zeroed(1, sizeof(*filter));
    if (filter != NULL) {
        filters->all[filters->room++] = filter;
    }
    return filter;
}

/* With the lock held. */
static void make_id(struct rpc_filters *filters, uint8_t out[ID_SIZE])
{
    uint8_t input[HASH_SIZE + sizeof(uint64_t)];
    uint8_t hash[HASH_SIZE];
    memcpy(input, filters->seed, HASH_SIZE);
    bytes_store_be64(input + HASH_SIZE, ++filters->made);
    keccak_256(input, sizeof(input), hash);
    memcpy(out, hash, ID_SIZE);
    out[0] |= 0x80; /* so that it has all its digits as a quantity, too */
}

/* Keep NEW, whose query is then the table's. */
static int keep(struct rpc_call *call, struct filter *new)
{
    struct rpc_filters *filters = call->rpc->filters;
    uint64_t now_ms = rpc_call_now_ms(call);
    lock(filters);
    (void)forget_idle(filters, now_ms);
    struct filter *place = take_place(filters);
    if (place != NULL) {
        *place = *new;
        place->state = IDLE;
        place->asked_ms = now_ms;
        make_id(filters, place->id);
        memcpy(new->id, place->id, ID_SIZE);
    }
    unlock(filters);
    if (place == NULL) {
        rpc_log_query_deinit(&new->query);
        return rpc_call_fail(call, RPC_LIMIT, "too many filters (max %zu)", filters->count_max);
    }
    json_writer_hex(call->writer, NULL, new->id, ID_SIZE);
    return 0;
}

/* With the lock held: the filter of argument 0, or NULL. */
static struct filter *find(struct rpc_call *call)
{
    struct rpc_filters *filters = call->rpc->filters;
    const char *text = json_string_value(rpc_argument_at(call, 0));
    uint8_t id[ID_SIZE];
    if (text == NULL || bytes_from_hex(text, strlen(text), id, ID_SIZE) != ID_SIZE) {
        return NULL;
    }
    (void)forget_idle(filters, rpc_call_now_ms(call));
    for (size_t i = 0; i < filters->room; i++) {
        struct filter *filter = filters->all[i];
        if (filter->state != FREE && !filter->gone && memcmp(filter->id, id, ID_SIZE) == 0) {
            return filter;
        }
    }
    return NULL;
}

/* Take the filter of argument 0 to ask it: nobody else touches it until release. NULL, with the
 * error told, where there is none or it is being asked. */
static struct filter *take(struct rpc_call *call)
{
    struct rpc_filters *filters = call->rpc->filters;
    lock(filters);
    struct filter *filter = find(call);
    bool asked = filter != NULL && filter->state == ASKED;
    if (filter != NULL && !asked) {
        filter->state = ASKED;
    }
    unlock(filters);
    if (filter == NULL || asked) {
        (void)rpc_call_fail(call, RPC_FAILED,
                            asked ? "the filter is being asked by another call"
                                  : "filter not found");
        return NULL;
    }
    return filter;
}

static void release(struct rpc_call *call, struct filter *filter)
{
    struct rpc_filters *filters = call->rpc->filters;
    lock(filters);
    ensure(filter->state == ASKED);
    filter->state = IDLE;
    filter->asked_ms = rpc_call_now_ms(call);
    if (filter->gone) {
        drop(filter);
    }
    unlock(filters);
}

/* ---- what is new ---- */

struct left {
    uint64_t count;
    uint8_t hashes[LEFT_MAX][HASH_SIZE]; /* newest first */
};

/* The blocks from *HASH down to the first that is canonical leave the chain: they go to LEFT, and
 * HASH and HEIGHT become that one. 0, or -1 with the error told. */
static int go_back(struct rpc_call *call, uint64_t *height, uint8_t hash[HASH_SIZE],
                   struct left *left)
{
    left->count = 0;
    for (;;) {
        struct stoa_block_key key = {.by = STOA_BY_HASH};
        struct rpc_header found;
        memcpy(key.hash, hash, HASH_SIZE);
        int result = rpc_block_get_header(call, &key, &found);
        if (result == STOA_ENOTFOUND || (result == 0 && left->count == LEFT_MAX)) {
            if (result == 0) {
                stoa_release(found.stored.view);
            }
            return rpc_call_fail(call, RPC_FAILED,
                                 "filter not found: its blocks are no longer known");
        }
        if (result != 0) {
            return -1;
        }
        *height = found.stored.height;
        bool canonical = found.stored.canonical != 0;
        if (!canonical) {
            memcpy(left->hashes[left->count++], hash, HASH_SIZE);
            memcpy(hash, found.header.parent_hash, HASH_SIZE);
        }
        stoa_release(found.stored.view);
        if (canonical) {
            return 0;
        }
    }
}

/* The blocks that follow HASH at HEIGHT on the canonical chain. STOA_EBUSY: that is no longer on
 * it. */
static int get_new(struct rpc_call *call, uint64_t height, const uint8_t hash[HASH_SIZE],
                   struct stoa_headers *out)
{
    struct stoa_block_range range = {.from = height + 1, .count = STOA_RANGE_MAX};
    struct stoa_detail detail = {.code = 0};
    *out = (struct stoa_headers){.headers = NULL};
    int result = stoa_get_header_range(call->stoa, &range, out, &detail);
    if (result == STOA_ENOTFOUND) {
        *out = (struct stoa_headers){.headers = NULL};
        return 0;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "headers");
    }
    struct header first;
    struct error_detail why;
    if (header_decode(rpc_block_bytes(out->headers[0].header), &first, &why) != 0) {
        stoa_free(out->headers);
        return rpc_call_fail_render(call, &why, "header");
    }
    if (memcmp(first.parent_hash, hash, HASH_SIZE) != 0) {
        stoa_free(out->headers);
        return STOA_EBUSY;
    }
    return 0;
}

/* Whether the range of the query takes the block at HEIGHT. */
static bool takes(const struct rpc_log_query *query, uint64_t height)
{
    return (!query->has_from || query->from.tag != RPC_BY_HEIGHT || height >= query->from.height) &&
           (!query->has_to || query->to.tag != RPC_BY_HEIGHT || height <= query->to.height);
}

static int write_left(struct rpc_call *call, const struct filter *filter, const struct left *left,
                      uint64_t fork_height)
{
    int result = 0;
    for (uint64_t i = 0; i < left->count && result == 0 && !filter->blocks; i++) {
        if (takes(&filter->query, fork_height + left->count - i)) {
            result = rpc_log_write_block(call, &filter->query, left->hashes[i], true);
        }
    }
    return result;
}

/* The logs of the blocks in NEW, which are asked for by their range where that is still theirs. */
static int write_new_logs(struct rpc_call *call, const struct filter *filter,
                          const struct stoa_headers *new)
{
    size_t first = 0;
    size_t end = new->count;
    while (first < end && !takes(&filter->query, new->headers[first].height)) {
        first++;
    }
    while (end > first && !takes(&filter->query, new->headers[end - 1].height)) {
        end--;
    }
    if (first == end) {
        return 0;
    }
    size_t mark = call->writer->out->size;
    struct json_writer before = *call->writer;
    int result = rpc_log_write_range(call, &filter->query, new->headers[first].height,
                                     new->headers[end - 1].height);
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    memcpy(key.hash, new->headers[end - 1].hash, HASH_SIZE);
    struct stoa_header last;
    if (result == 0 && stoa_get_header(call->stoa, &key, &last, NULL) == 0) {
        bool canonical = last.canonical != 0;
        stoa_release(last.view);
        if (canonical) {
            return 0;
        }
    }
    if (result != 0) {
        return result;
    }
    /* The branch has changed meanwhile: what was written may be of either. */
    *call->writer = before;
    call->writer->out->size = mark;
    for (size_t i = first; i < end && result == 0; i++) {
        result = rpc_log_write_block(call, &filter->query, new->headers[i].hash, false);
    }
    return result;
}

static int write_new(struct rpc_call *call, const struct filter *filter,
                     const struct stoa_headers *new)
{
    if (!filter->blocks) {
        return write_new_logs(call, filter, new);
    }
    for (size_t i = 0; i < new->count; i++) {
        json_writer_hex(call->writer, NULL, new->headers[i].hash, HASH_SIZE);
    }
    return 0;
}

/* Write all that is new to FILTER, and remember that it was told. */
static int tell(struct rpc_call *call, struct filter *filter, struct left *left)
{
    uint64_t height = filter->height;
    uint8_t hash[HASH_SIZE];
    struct stoa_headers new = {.headers = NULL};
    int result = STOA_EBUSY;
    for (int i = 0; i < TRIES && result == STOA_EBUSY; i++) {
        memcpy(hash, filter->hash, HASH_SIZE);
        result = go_back(call, &height, hash, left);
        if (result == 0) {
            result = get_new(call, height, hash, &new);
        }
    }
    if (result == STOA_EBUSY) {
        return rpc_call_fail(call, RPC_LIMIT, "the chain changes too fast, ask again");
    }
    if (result == 0) {
        json_writer_array_begin(call->writer, NULL);
        result = write_left(call, filter, left, height);
        if (result == 0) {
            result = write_new(call, filter, &new);
        }
        json_writer_array_end(call->writer);
    }
    if (result == 0) {
        filter->height = new.count > 0 ? new.headers[new.count - 1].height : height;
        memcpy(filter->hash, new.count > 0 ? new.headers[new.count - 1].hash : hash, HASH_SIZE);
    }
    stoa_free(new.headers);
    return result;
}

/* ---- methods ---- */

/* From the head on. */
static int begin_at_head(struct rpc_call *call, struct filter *new)
{
    struct stoa_head head;
    int result = stoa_get_head(call->stoa, &head);
    if (result == 0 && head.empty) {
        result = STOA_ENOTFOUND;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "head");
    }
    new->height = head.height;
    memcpy(new->hash, head.hash, HASH_SIZE);
    return 0;
}

int rpc_filter_new(struct rpc_call *call)
{
    struct filter new = {.state = IDLE};
    if (begin_at_head(call, &new) != 0 || !rpc_log_query_init(call, 0, &new.query)) {
        return -1;
    }
    if (new.query.by_block) {
        rpc_log_query_deinit(&new.query);
        return rpc_call_fail(call, RPC_INVALID_PARAMS,
                             "invalid argument 0: a filter is not of one block");
    }
    return keep(call, &new);
}

int rpc_filter_new_block(struct rpc_call *call)
{
    struct filter new = {.state = IDLE, .blocks = true};
    return begin_at_head(call, &new) == 0 ? keep(call, &new) : -1;
}

int rpc_filter_changes(struct rpc_call *call)
{
    struct left *left = memory_alloc(sizeof(*left));
    if (left == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    int result = -1;
    struct filter *filter = take(call);
    if (filter != NULL) {
        result = tell(call, filter, left);
        release(call, filter);
    }
    memory_free(left);
    return result;
}

int rpc_filter_logs(struct rpc_call *call)
{
    struct filter *filter = take(call);
    if (filter == NULL) {
        return -1;
    }
    int result;
    if (filter->blocks) {
        result = rpc_call_fail(call, RPC_FAILED, "filter not found");
    } else {
        json_writer_array_begin(call->writer, NULL);
        result = rpc_log_write(call, &filter->query);
        json_writer_array_end(call->writer);
    }
    release(call, filter);
    return result;
}

int rpc_filter_uninstall(struct rpc_call *call)
{
    struct rpc_filters *filters = call->rpc->filters;
    lock(filters);
    struct filter *filter = find(call);
    if (filter != NULL && filter->state == ASKED) {
        filter->gone = true;
    } else if (filter != NULL) {
        drop(filter);
    }
    unlock(filters);
    json_writer_bool(call->writer, NULL, filter != NULL);
    return 0;
}
