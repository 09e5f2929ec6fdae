/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A transaction, its receipt or its sender without the rest of their block: the pieces of the frame
 * that have them are read, all at once, and checked by the block's map (body_map.h). Whatever is
 * not as the map says is read whole: then the frame's own checksum tells what is wrong. */
#include "base/ensure.h"
#include "chain/transaction.h"
#include "store/hot.h"
#include "store/position.h"
#include "store/store_private.h"

static_assert(STOA_PART_TRANSACTION == 1 << BODY_TRANSACTION &&
                  STOA_PART_RECEIPT == 1 << BODY_RECEIPT && STOA_PART_SENDER == 1 << BODY_SENDER,
              "parts are asked for by their number");
static_assert((int)LEDGER_RANGES_MAX >= (int)BODY_PARTS, "each part has a range");

enum { LEAST_SAVED = 2 }; /* parts of more than half of the frame are read with it */

struct index_parts *store_get_ask_parts(struct store_get *get)
{
    unsigned wanted = get->whole ? 0 : get->request->parts;
    get->parts = (struct index_parts){
        .wanted = wanted == 0 ? 0 : wanted | STOA_PART_TRANSACTION, /* its hash is compared */
    };
    return &get->parts;
}

/* The ranges to read for the parts that are there, which stand in the order of their numbers: those
 * that meet are one. Their size in all. */
static uint64_t lay_out(struct store_get *get)
{
    struct ledger_ranges *ranges = &get->ranges;
    uint64_t size = 0;
    ranges->count = 0;
    for (unsigned i = 0; i < BODY_PARTS; i++) {
        const struct body_map_span *span = &get->parts.spans[i];
        struct ledger_range *last = ranges->count == 0 ? NULL : &ranges->at[ranges->count - 1];
        uint32_t begin = RECORD_HEADER_SIZE + span->begin;
        if ((get->parts.there & 1U << i) == 0) {
            continue;
        }
        if (last == NULL || begin < last->offset || begin > last->offset + last->size) {
            ranges->at[ranges->count++] =
                (struct ledger_range){.offset = begin, .size = span->size};
            size += span->size;
        } else if (begin + span->size > last->offset + last->size) {
            size += begin + span->size - (last->offset + last->size);
            last->size = begin + span->size - last->offset;
        }
    }
    return size;
}

/* What was read of SPAN. */
static const uint8_t *find_span(const struct ledger_ranges *ranges,
                                const struct body_map_span *span)
{
    uint32_t begin = RECORD_HEADER_SIZE + span->begin;
    const struct ledger_range *range = ranges->at;
    while (begin < range->offset || begin + span->size > range->offset + range->size) {
        range++;
        ensure(range < ranges->at + ranges->count); /* it was laid out */
    }
    return range->data + (begin - range->offset);
}

/* The parts that are there, from what was read. False: they are not what the map says. */
static bool take_parts(const struct store_get *get, struct bytes out[BODY_PARTS])
{
    const struct index_parts *parts = &get->parts;
    for (unsigned i = 0; i < BODY_PARTS; i++) {
        const struct body_map_span *span = &parts->spans[i];
        out[i] = bytes_of(NULL, 0);
        if ((parts->there & 1U << i) != 0 &&
            !body_map_take(span, parts->hash, find_span(&get->ranges, span), &out[i])) {
            return false;
        }
    }
    uint8_t hash[32];
    transaction_hash(out[BODY_TRANSACTION], hash);
    return memcmp(hash, get->request->hash, 32) == 0; /* else the block tells whether it is there */
}

/* Of what is not the block tells what is left. */
static bool is_kept(const struct store_get *get)
{
    const struct prune_floors *kept = &get->store->kept;
    uint64_t height = get->candidates[get->candidate_next].height;
    return height >= kept->receipts && height >= kept->bodies;
}

static void show(struct store_get *get, const struct bytes found[BODY_PARTS])
{
    const struct index_transaction *candidate = &get->candidates[get->candidate_next];
    struct store_request *request = get->request;
    struct bytes transaction = found[BODY_TRANSACTION];
    struct bytes receipt = found[BODY_RECEIPT];
    request->transaction = (struct stoa_transaction){
        .block = {.height = candidate->height, .canonical = 1, .view = get->view},
        .index = candidate->index,
        .transaction = {transaction.data, transaction.size},
        .receipt = {receipt.data, receipt.size},
        .sender = found[BODY_SENDER].data,
    };
    memcpy(request->transaction.hash, request->hash, 32);
    memcpy(request->transaction.block.hash, get->parts.hash, 32);
}

static void done_parts(struct ledger_read *read)
{
    struct store_get *get = read->context;
    struct bytes found[BODY_PARTS];
    bool misled = read->result == STOA_ENOTFOUND; /* by a map that leads out of the frame */
    if ((read->result != 0 && !misled) || read->ranges == NULL || store_get_is_outdated(get)) {
        store_get_done_read(read);
        return;
    }
    if (misled || !is_kept(get) || !take_parts(get, found)) {
        store_view_release(get->view);
        get->whole = true;
        store_get_next_candidate(get);
        return;
    }
    show(get, found);
    store_get_finish(get, 0);
}

bool store_get_read_parts(struct store_get *get, const struct ledger_position *position)
{
    const struct index_parts *parts = &get->parts;
    const struct store *store = get->store;
    if (!parts->known || get->whole || !position_is_same(position, &parts->position) ||
        !is_kept(get) || store_cache_admits(get, parts->hash, position->size) ||
        lay_out(get) > position->size / LEAST_SAVED) {
        return false;
    }
    get->view = store_view_take(get->store);
    if (get->view == NULL) {
        store_get_finish(get,
                         error_set(&get->request->detail, STOA_ENOMEM, "read parts of a block"));
        return true;
    }
    get->view->read = (struct ledger_read){
        .position = *position, .ranges = &get->ranges, .done = done_parts, .context = get};
    ledger_read(store->ledger, &get->view->read);
    return true;
}
