/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of blocks that are not kept: which they are, and merging without them. */
#include "store/index_private.h"

/* Of keys that are not readable the highest, so that nothing damaged goes. */
static uint64_t height_of_transaction(struct bytes key)
{
    uint64_t prefix;
    uint64_t height;
    uint32_t place;
    return place_decode_transaction_key(key, &prefix, &height, &place) == 0 ? height : UINT64_MAX;
}

static uint64_t height_of_address(struct bytes key)
{
    uint64_t height;
    struct posting posting;
    return place_decode_posting_key(key, POSTING_ADDRESS, &height, &posting) == 0 ? height
                                                                                  : UINT64_MAX;
}

static uint64_t height_of_log(struct bytes key)
{
    uint64_t height;
    struct posting posting;
    return place_decode_posting_key(key, POSTING_LOG, &height, &posting) == 0 ? height : UINT64_MAX;
}

struct index_kept index_kept_of(const struct index *index, const struct runs *runs,
                                const struct prune_floors *kept)
{
    if (runs == index->transactions) {
        return (struct index_kept){height_of_transaction, kept->transactions};
    }
    if (runs == index->postings[POSTING_ADDRESS]) {
        return (struct index_kept){height_of_address, prune_floors_addresses(kept)};
    }
    return (struct index_kept){height_of_log, kept->logs};
}

static struct runs *pruned_at(const struct index *index, unsigned place)
{
    return place < POSTING_KINDS ? index->postings[place] : index->transactions;
}

bool index_blocks_lag(const struct index *index, const struct prune_floors *kept)
{
    bool lag = false;
    for (unsigned i = 0; i <= POSTING_KINDS; i++) {
        const struct runs *runs = pruned_at(index, i);
        lag = lag || runs_floor(runs) < index_kept_of(index, runs, kept).floor;
    }
    return lag;
}

int index_prune_blocks(struct index *index, struct kv_session *session,
                       const struct prune_floors *kept, const struct runs_stop *stop,
                       struct error_detail *detail)
{
    int result = 0;
    for (unsigned i = 0; i <= POSTING_KINDS && result == 0; i++) {
        struct runs *runs = pruned_at(index, i);
        struct index_kept own = index_kept_of(index, runs, kept);
        result = runs_prune_heights(runs, session, own.floor, own.height_of, stop, detail);
    }
    return result;
}
