/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches (BatchWrite) as one write of the store. Keys alone are a change of state; one block takes
 * the keys along as changes of its own, and becomes the head where the batch says so; a head change
 * alone is that. All else is the store's batch. */
#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"

/* What a batch comes to. */
struct plan {
    struct stoa_batch batch;
    const struct stoa_item *block; /* the last */
    const struct stoa_item *head;
    size_t block_count;
    size_t key_count;
};

static int refuse(struct error_detail *detail, int code, size_t index, const char *why)
{
    return error_set(detail, code, "items[%zu]%s", index, why);
}

static int check_key(const struct stoa_item *item, size_t index, struct error_detail *detail)
{
    if (item->key.data == NULL || item->key.size < 1 || item->key.size > RAW_KEY_MAX) {
        return refuse(detail, STOA_EINVAL, index, ".key: 1 to 128 bytes are allowed");
    }
    if (item->kind == STOA_ITEM_PUT && item->value.data == NULL) {
        return refuse(detail, STOA_EINVAL, index, ".value: there is none");
    }
    return 0;
}

/* One more item. */
static int plan_item(struct plan *plan, size_t index, struct error_detail *detail)
{
    const struct stoa_item *item = &plan->batch.items[index];
    switch (item->kind) {
    case STOA_ITEM_PUT:
    case STOA_ITEM_DELETE:
        plan->key_count++;
        return check_key(item, index, detail);
    case STOA_ITEM_BLOCK:
        if (item->block == NULL) {
            return refuse(detail, STOA_EINVAL, index, ".block: there is none");
        }
        if (plan->head != NULL) {
            return refuse(detail, STOA_EINVAL, index, ": blocks come before the change of head");
        }
        plan->block = item;
        plan->block_count++;
        return 0;
    case STOA_ITEM_HEAD:
        if (item->hash == NULL) {
            return refuse(detail, STOA_EINVAL, index, ".hash: there is none");
        }
        if (plan->head != NULL) {
            return refuse(detail, STOA_EINVAL, index, ": one change of head at most");
        }
        plan->head = item;
        return 0;
    default:
        return refuse(detail, STOA_EINVAL, index, ".kind: unknown");
    }
}

static int make_plan(const struct stoa_batch *given, struct plan *out, struct error_detail *detail)
{
    struct stoa_batch batch = STOA_BATCH_INIT;
    if (given == NULL || !engine_size_is_valid(given->size, sizeof(batch))) {
        return error_set(detail, STOA_EINVAL, "batch: none, or not of this version");
    }
    memcpy(&batch, given, given->size);
    if (batch.items == NULL || batch.item_count == 0) {
        return error_set(detail, STOA_EINVAL, "items: there are none");
    }
    *out = (struct plan){.batch = batch};
    int result = 0;
    for (size_t i = 0; result == 0 && i < batch.item_count; i++) {
        result = plan_item(out, i, detail);
    }
    return result;
}

/* Whether one write of the store that is no batch does all of it. */
static bool is_single(const struct plan *plan)
{
    if (plan->block_count == 0) {
        return plan->head == NULL || plan->key_count == 0;
    }
    const struct stoa_store_block *block = plan->block->block;
    bool side = (block->flags & STOA_STORE_SIDE) != 0;
    if (plan->block_count > 1) {
        return false;
    }
    if (plan->head == NULL) {
        return !side || plan->key_count == 0;
    }
    return block->expected_hash != NULL && memcmp(block->expected_hash, plan->head->hash, 32) == 0;
}

/* BLOCK's own changes and then the keys, in memory of OWN's. */
static int join_changes(struct engine_request *own, const struct plan *plan,
                        struct stoa_store_block *block)
{
    size_t count = block->change_count + plan->key_count;
    struct stoa_change *changes = memory_alloc(count * sizeof(*changes));
    if (changes == NULL) {
        return STOA_ENOMEM;
    }
    size_t at = 0;
    for (; at < block->change_count; at++) {
        changes[at] = block->changes[at];
    }
    for (size_t i = 0; i < plan->batch.item_count; i++) {
        const struct stoa_item *item = &plan->batch.items[i];
        if (item->kind == STOA_ITEM_PUT || item->kind == STOA_ITEM_DELETE) {
            changes[at] = (struct stoa_change){.key = item->key};
            if (item->kind == STOA_ITEM_PUT) {
                changes[at].value = item->value;
            }
            at++;
        }
    }
    own->changes = changes;
    block->changes = changes;
    block->change_count = at;
    return 0;
}

/* Which item is the batch's block INDEX, or with as many as there are the head: kept behind the
 * blocks. */
static size_t *item_of(const struct engine_request *own, size_t index)
{
    return (size_t *)(void *)(own->blocks + own->batch.block_count) + index;
}

/* All blocks and the head, in memory of OWN's. */
static int fill_batch(struct engine_request *own, const struct plan *plan,
                      struct error_detail *detail)
{
    static_assert(sizeof(struct stoa_store_block) % _Alignof(size_t) == 0, "these stand behind it");
    struct stoa_store_block *blocks = memory_alloc(plan->block_count * sizeof(*blocks) +
                                                   (plan->block_count + 1) * sizeof(size_t));
    own->blocks = blocks;
    own->batch = (struct store_batch){.blocks = blocks,
                                      .block_count = plan->block_count,
                                      .head = plan->head == NULL ? NULL : plan->head->hash,
                                      .failed = SIZE_MAX};
    if (blocks == NULL) {
        return STOA_ENOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < plan->batch.item_count; i++) {
        const struct stoa_item *item = &plan->batch.items[i];
        if (item->kind != STOA_ITEM_BLOCK) {
            continue;
        }
        *item_of(own, count) = i;
        int result = engine_request_copy_put(item->block, &blocks[count++]);
        if (result != 0) {
            return refuse(detail, result, i, ".block: not a valid argument");
        }
    }
    if (plan->head != NULL) {
        *item_of(own, count) = (size_t)(plan->head - plan->batch.items);
    }
    own->request.kind = STORE_BATCH;
    own->request.batch = &own->batch;
    return 0;
}

/* One block, which becomes the head where the batch says so. */
static int fill_block(struct engine_request *own, const struct plan *plan,
                      struct error_detail *detail)
{
    struct stoa_store_block *put = &own->request.put;
    own->request.kind = STORE_PUT_BLOCK;
    own->batch_item = (size_t)(plan->block - plan->batch.items);
    int result = engine_request_copy_put(plan->block->block, put);
    if (result != 0) {
        return refuse(detail, result, own->batch_item, ".block: not a valid argument");
    }
    if (plan->head != NULL) {
        put->flags &= ~(unsigned)STOA_STORE_SIDE;
        put->flags |= STOA_STORE_CANONICAL;
    }
    return 0;
}

int engine_batch_fill(struct engine_request *own, const struct stoa_batch *given,
                      struct error_detail *detail)
{
    struct store_request *request = &own->request;
    struct plan plan = {.key_count = 0};
    int result = make_plan(given, &plan, detail);
    if (result != 0) {
        return result;
    }
    request->put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    own->batch_item = SIZE_MAX;
    if (!is_single(&plan)) {
        result = fill_batch(own, &plan, detail);
    } else if (plan.block_count != 0) {
        result = fill_block(own, &plan, detail);
    } else if (plan.head != NULL) {
        request->kind = STORE_UPDATE_HEAD;
        memcpy(request->hash, plan.head->hash, 32);
        own->batch_item = (size_t)(plan.head - plan.batch.items);
    } else {
        request->kind = STORE_UPDATE_STATE;
    }
    return result == 0 && plan.key_count != 0 ? join_changes(own, &plan, &request->put) : result;
}

void engine_batch_explain(struct engine_request *own)
{
    struct store_request *request = &own->request;
    size_t item = own->batch_item;
    if (own->what != STOA_MESSAGE_BATCH_WRITE || request->result == 0) {
        return;
    }
    if (own->blocks != NULL && own->batch.failed <= own->batch.block_count) {
        item = *item_of(own, own->batch.failed);
    }
    if (item != SIZE_MAX) {
        error_prefix(&request->detail, "items[%zu]", item);
    }
}
