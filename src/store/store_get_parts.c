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

struct index_parts *store_get_ask_parts(struct store_get *get)
{
    unsigned wanted = get->request->parts;
    get->parts = (struct index_parts){
        .wanted = wanted == 0 ? 0 : wanted | STOA_PART_TRANSACTION, /* its hash is compared */
    };
    return wanted == 0 || get->whole ? NULL : &get->parts;
}

/* The cache keeps whole blocks, those that are read again. */
static bool cache_wants(const struct store_get *get, size_t size)
{
    struct cache *cache = get->store->cache;
    return cache != NULL && cache_admit(cache, CACHE_BLOCKS,
                                        bytes_of(get->parts.hash, sizeof(get->parts.hash)), size);
}

/* The parts that are there, from what was read. False: they are not what the map says. */
static bool take_parts(const struct store_get *get, struct bytes out[BODY_PARTS])
{
    const struct index_parts *parts = &get->parts;
    const struct ledger_range *range = get->ranges.at;
    for (unsigned i = 0; i < BODY_PARTS; i++) {
        out[i] = bytes_of(NULL, 0);
        if ((parts->there & 1U << i) != 0 &&
            !body_map_take(&parts->spans[i], parts->hash, range++->data, &out[i])) {
            return false;
        }
    }
    return true;
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
    uint8_t hash[32];
    if (read->result != 0 || read->ranges == NULL || store_get_is_outdated(get)) {
        store_get_done_read(read);
        return;
    }
    if (!take_parts(get, found)) {
        store_view_release(get->view);
        get->whole = true;
        store_get_next_candidate(get);
        return;
    }
    transaction_hash(found[BODY_TRANSACTION], hash);
    if (memcmp(hash, get->request->hash, 32) != 0) {
        store_view_release(get->view);
        get->candidate_next++;
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
    uint64_t height = get->candidates[get->candidate_next].height;
    if (!parts->known || get->whole || !position_is_same(position, &parts->position) ||
        height < store->kept.receipts || height < store->kept.bodies ||
        cache_wants(get, position->size)) {
        return false;
    }
    get->view = store_view_take(get->store);
    if (get->view == NULL) {
        store_get_finish(get,
                         error_set(&get->request->detail, STOA_ENOMEM, "read parts of a block"));
        return true;
    }
    get->ranges.count = 0;
    for (unsigned i = 0; i < BODY_PARTS; i++) {
        if ((parts->there & 1U << i) != 0) {
            get->ranges.at[get->ranges.count++] = (struct ledger_range){
                .offset = RECORD_HEADER_SIZE + parts->spans[i].begin,
                .size = parts->spans[i].size,
            };
        }
    }
    get->view->read = (struct ledger_read){
        .position = *position, .ranges = &get->ranges, .done = done_parts, .context = get};
    ledger_read(store->ledger, &get->view->read);
    return true;
}
