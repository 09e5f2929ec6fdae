/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches (BatchWrite) as the one write of the store that does all of them: keys alone are a change
 * of state; a block takes the keys along as changes of its own, in the state frame that replay
 * takes together with it or not at all, and becomes the head where the batch says so; a head change
 * stands alone. What would take two of the store's writes is refused. */
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"

/* What a batch comes to. */
struct plan {
    struct stoa_batch batch;
    const struct stoa_item *block;
    const struct stoa_item *head;
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
        if (plan->block != NULL || plan->head != NULL) {
            return refuse(detail, STOA_ENOTSUP, index,
                          ": one block at most, and before the change of head");
        }
        plan->block = item;
        return 0;
    case STOA_ITEM_HEAD:
        if (item->hash == NULL) {
            return refuse(detail, STOA_EINVAL, index, ".hash: there is none");
        }
        if (plan->head != NULL) {
            return refuse(detail, STOA_ENOTSUP, index, ": one change of head at most");
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
    if (result != 0 || out->key_count == 0) {
        return result;
    }
    if (out->block == NULL && out->head != NULL) {
        return refuse(detail, STOA_ENOTSUP, (size_t)(out->head - batch.items),
                      ": keys go along with a block's becoming the head, not with a stored one's");
    }
    if (out->block != NULL && out->head == NULL &&
        (out->block->block->flags & STOA_STORE_SIDE) != 0) {
        return refuse(detail, STOA_ENOTSUP, (size_t)(out->block - batch.items),
                      ": keys belong to the head, which a side block is not");
    }
    return 0;
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

/* The head is to be BLOCK. */
static int make_head(const struct stoa_item *head, size_t index, struct stoa_store_block *block,
                     struct error_detail *detail)
{
    if (block->expected_hash != NULL && memcmp(block->expected_hash, head->hash, 32) != 0) {
        return refuse(detail, STOA_ENOTSUP, index,
                      ".hash: where a batch has a block, the head changes to that");
    }
    block->expected_hash = head->hash;
    block->flags &= ~(unsigned)STOA_STORE_SIDE;
    block->flags |= STOA_STORE_CANONICAL;
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
    if (plan.block == NULL && plan.head != NULL) {
        request->kind = STORE_UPDATE_HEAD;
        memcpy(request->hash, plan.head->hash, 32);
        own->batch_item = (size_t)(plan.head - plan.batch.items);
        return 0;
    }
    request->kind = plan.block == NULL ? STORE_UPDATE_STATE : STORE_PUT_BLOCK;
    if (plan.block != NULL) {
        own->batch_item = (size_t)(plan.block - plan.batch.items);
        result = engine_request_copy_put(plan.block->block, &request->put);
        if (result != 0) {
            return refuse(detail, result, own->batch_item, ".block: not a valid argument");
        }
    }
    if (plan.block != NULL && plan.head != NULL) {
        result =
            make_head(plan.head, (size_t)(plan.head - plan.batch.items), &request->put, detail);
    }
    return result == 0 && plan.key_count != 0 ? join_changes(own, &plan, &request->put) : result;
}

void engine_batch_explain(struct engine_request *own)
{
    struct store_request *request = &own->request;
    if (own->what == STOA_MESSAGE_BATCH_WRITE && request->result != 0 &&
        request->kind != STORE_UPDATE_STATE) {
        error_prefix(&request->detail, "items[%zu]", own->batch_item);
    }
}
