/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of blocks is kept: floors that only rise (prune_record.h).
 *
 * A frame of the ledger says that they rise, before anything goes; from its acknowledgement on what
 * is below is refused, whether it has gone yet or not. The tables keep them beside the position
 * that they stand for, and replay meets the frame otherwise. Then segments are thinned, one after
 * the other, each in place of what it was: what is in them says itself what it is without, so
 * nothing has to agree with anything at any instant. Entries of the indexes go by merging. Neither
 * has a note: whoever looks at a segment or an index sees what is left to be done. */
#include "base/ensure.h"
#include "store/store_private.h"
#include "store/store_upkeep.h"

enum { BARE_SIZE = 900 }; /* about what stays of a block */

/* ---- what is refused ---- */

struct prune_floors store_kept(const struct store *store)
{
    return store->kept;
}

static int refuse(const struct store *store, uint64_t floor, const char *what, uint64_t height,
                  struct error_detail *detail)
{
    return error_set(detail, STOA_EPRUNED,
                     "%s of block %llu are not kept any more: those of %llu to %llu are", what,
                     (unsigned long long)height, (unsigned long long)floor,
                     (unsigned long long)store->head.height);
}

int store_check_body(const struct store *store, uint64_t height, struct error_detail *detail)
{
    return height >= store->kept.bodies
               ? 0
               : refuse(store, store->kept.bodies, "transactions", height, detail);
}

int store_check_receipts(const struct store *store, uint64_t height, struct error_detail *detail)
{
    return height >= store->kept.receipts
               ? 0
               : refuse(store, store->kept.receipts, "receipts", height, detail);
}

int store_check_logs(const struct store *store, uint64_t height, struct error_detail *detail)
{
    return height >= store->kept.logs ? 0 : refuse(store, store->kept.logs, "logs", height, detail);
}

int store_check_history(const struct store *store, uint64_t height, struct error_detail *detail)
{
    uint64_t floor = prune_floors_addresses(&store->kept);
    return height >= floor ? 0 : refuse(store, floor, "histories of addresses", height, detail);
}

void store_hide_pruned(const struct store *store, struct stoa_block *block)
{
    if (block->height < store->kept.receipts && block->receipts.data != NULL) {
        block->receipts = (struct stoa_bytes){.data = NULL};
        block->receipts_pruned = 1;
    }
}

int store_refuse_lost(const struct record *record, uint64_t height, struct error_detail *detail)
{
    return (record->gone & RECORD_GONE_BODY) == 0
               ? 0
               : error_set(detail, STOA_EPRUNED, "transactions of block %llu are not kept any more",
                           (unsigned long long)height);
}

/* ---- the floors rise ---- */

void store_keep_from(struct store *store, const struct prune_floors *floors)
{
    prune_floors_raise(&store->kept, floors);
    store->open_applied.kept = store->kept;
}

void store_note_lost(struct store *store, const struct record *record, uint64_t height)
{
    struct prune_floors floors = {.bodies = 0};
    if ((record->gone & RECORD_GONE_BODY) != 0) {
        floors.bodies = height + 1;
    }
    if ((record->gone & RECORD_GONE_RECEIPTS) != 0) {
        floors.receipts = height + 1;
    }
    store_keep_from(store, &floors);
}

static int check_depths(const struct prune_floors *depths, struct error_detail *detail)
{
    const uint64_t all[] = {depths->bodies, depths->receipts, depths->logs, depths->transactions};
    for (unsigned i = 0; i < 4; i++) {
        if (all[i] != 0 && all[i] < STORE_RETENTION_MIN) {
            return error_set(detail, STOA_EINVAL, "prune: fewer than %d blocks",
                             STORE_RETENTION_MIN);
        }
    }
    if (depths->bodies != 0 && depths->receipts > depths->bodies) {
        return error_set(detail, STOA_EINVAL,
                         "prune: receipts cannot be kept longer than transactions");
    }
    if (depths->bodies != 0 && depths->transactions > depths->bodies) {
        return error_set(detail, STOA_EINVAL,
                         "prune: the index of transactions cannot be kept longer than they");
    }
    uint64_t receipts = depths->receipts != 0 ? depths->receipts : depths->bodies;
    if (receipts != 0 && depths->logs > receipts) {
        return error_set(detail, STOA_EINVAL,
                         "prune: the index of logs cannot be kept longer than receipts");
    }
    return 0;
}

static uint64_t floor_at(const struct store *store, uint64_t depth)
{
    uint64_t head = store->head.height;
    uint64_t floor = depth != 0 && head > depth ? head - depth : 0;
    return floor < store->finalized.height ? floor : store->finalized.height;
}

int store_kept_target(const struct store *store, const struct prune_floors *depths,
                      struct prune_floors *out_target, struct error_detail *detail)
{
    int result = check_depths(depths, detail);
    if (result != 0) {
        return result;
    }
    if (!store->head.present || !store->finalized.present) {
        return error_set(detail, STOA_EREFUSED,
                         "prune: no block is finalized, and only what is below one goes");
    }
    struct prune_floors floors = {
        .bodies = floor_at(store, depths->bodies),
        .receipts = floor_at(store, depths->receipts),
        .logs = floor_at(store, depths->logs),
        .transactions = floor_at(store, depths->transactions),
    };
    *out_target = store->kept;
    prune_floors_raise(out_target, &floors);
    return 0;
}

static void done_record(struct ledger_append *append)
{
    struct store_keep *keep = append->context;
    struct store *store = keep->store;
    keep->result = append->result;
    if (append->result == 0) {
        store_keep_from(store, &keep->floors);
        if (store->cache != NULL) {
            cache_clear(store->cache); /* what is not kept is not shown from there either */
            store_refresh_cache(store);
        }
    } else {
        (void)error_set(&keep->detail, append->result, "prune: %s",
                        stoa_strerror(append->result)); /* the text */
        (void)ledger_stopped(store->ledger, &keep->detail);
    }
    store->works--;
    keep->done(keep);
}

void store_keep_start(struct store *store, struct store_keep *keep)
{
    keep->store = store;
    keep->result = 0;
    keep->detail = (struct error_detail){.code = 0};
    prune_record_encode(&keep->floors, keep->record);
    keep->append = (struct ledger_append){
        .kind = LEDGER_PRUNE,
        .height = store->head.height,
        .parts = {bytes_of(keep->record, sizeof(keep->record))},
        .part_count = 1,
        .done = done_record,
        .context = keep,
    };
    store->works++;
    ledger_append(store->ledger, &keep->append);
}

/* ---- segments ---- */

/* What a frame of a block at HEIGHT is to be without. */
static unsigned lost_at(const struct prune_floors *floors, uint64_t height)
{
    return height < floors->bodies     ? RECORD_GONE_BODY | RECORD_GONE_RECEIPTS
           : height < floors->receipts ? RECORD_GONE_RECEIPTS
                                       : 0;
}

uint64_t store_thin_gain(const struct prune_floors *floors, const struct ledger_frame *frame)
{
    unsigned lost = frame->kind == LEDGER_BLOCK ? lost_at(floors, frame->height) : 0;
    if ((lost & ~(unsigned)frame->level) == 0) {
        return 0;
    }
    if ((lost & RECORD_GONE_BODY) == 0) {
        return frame->position.size / 2; /* how much of it receipts are is not known from here */
    }
    return frame->position.size > BARE_SIZE + 1 ? frame->position.size - BARE_SIZE : 1;
}

static uint64_t gain_of(void *context, const struct ledger_frame *frame)
{
    const struct store_thin *thin = context;
    return store_thin_gain(&thin->floors, frame);
}

static int shorten(void *context, const struct ledger_frame *frame, struct buffer *out,
                   uint8_t *out_level)
{
    const struct store_thin *thin = context;
    unsigned lost = lost_at(&thin->floors, frame->height);
    *out_level = (uint8_t)(frame->level | lost);
    return record_shorten(frame->payload, lost, out, frame->detail);
}

static void thin_done(struct ledger_thinning *thinning)
{
    struct store_thin *thin = thinning->context;
    thin->done(thin);
}

uint32_t store_thin_last(const struct store *store)
{
    struct ledger_stats stats;
    ledger_stats(store->ledger, &stats);
    uint32_t last = stats.tail_segment > 2 ? stats.tail_segment - 2 : 0;
    ensure(last == 0 || ledger_can_thin(store->ledger, last));
    return last;
}

int store_thin_start(struct store *store, struct store_thin *thin, uint32_t number)
{
    thin->thinning = (struct ledger_thinning){
        .number = number,
        .gain = gain_of,
        .shorten = shorten,
        .done = thin_done,
        .context = thin,
    };
    return ledger_can_thin(store->ledger, number)
               ? ledger_thin_start(store->ledger, &thin->thinning)
               : STOA_EBUSY;
}

void store_thin_step(struct store_thin *thin)
{
    ledger_thin_step(&thin->thinning);
}

void store_thin_stop(struct store_thin *thin)
{
    ledger_thin_stop(&thin->thinning);
}

bool store_is_packed(const struct store *store, uint32_t number)
{
    return ledger_is_packed(store->ledger, number);
}
