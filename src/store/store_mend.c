/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables that turn out damaged, or whose engine stopped, while the store is open. The ledger has
 * everything: the tables are opened again, and made anew from it where they are damaged; ledger,
 * views and head stay as they are. */
#include "base/ensure.h"
#include "store/store_private.h"

/* A store whose tables are damaged again and again has another trouble, which mending would only
 * hide. */
enum { MEND_MAX = 3 };

void store_note_tables(struct store *store, int result)
{
    if (result == STOA_ECORRUPT) {
        store->tables_damage = STORE_REBUILD;
    } else if (result == STOA_ESTOPPED && store->tables_damage == STORE_SOUND) {
        store->tables_damage = STORE_REOPEN;
    }
}

int store_blame_space(struct store *store, int result, struct error_detail *detail)
{
    static const uint64_t too_little = 1 << 20;
    uint64_t free_bytes;
    uint64_t total;
    if (result == 0 || result == STOA_ENOSPACE ||
        io_space(store->io, store->directory, &free_bytes, &total) != 0 ||
        free_bytes > too_little) {
        return result;
    }
    if (detail != NULL) {
        detail->code = STOA_ENOSPACE;
    }
    error_prefix(detail, "no space left on the disk");
    return STOA_ENOSPACE;
}

int store_check_writing(struct store *store, struct error_detail *detail)
{
    int result = ledger_stopped(store->ledger, detail);
    if (result == 0 && store->apply_failed != 0) {
        result = store->apply_failed;
        *detail = store->failed_detail;
    }
    return result == 0 ? store_apply_check_space(store, detail) : result;
}

int store_check_reading(struct store *store, struct error_detail *detail)
{
    if (store->readers != NULL) {
        return 0;
    }
    *detail = store->failed_detail;
    return store->apply_failed;
}

bool store_tables_damaged(const struct store *store)
{
    return store->tables_damage != STORE_SOUND && store->rebuild_count < MEND_MAX;
}

/* What the batches hold comes back by the replay. */
static void empty_batches(struct store *store)
{
    store_settle_drop(store);
    pending_clear(store->open);
    while (store->frozen_count > 0) {
        struct pending *batch = store->frozen[--store->frozen_count];
        pending_clear(batch);
        store->idle[store->idle_count++] = batch;
    }
}

int store_mend_tables(struct store *store, struct error_detail *detail)
{
    ensure(store->pending_requests == 0);
    ensure(store->readers != NULL && store->writers != NULL);
    store_apply_wait_idle(store);
    store->rebuild_count++;
    workers_destroy(store->readers);
    workers_destroy(store->writers);
    store->readers = NULL;
    store->writers = NULL;
    empty_batches(store);
    store->apply_failed = 0;
    store->checkpointed_sequence = 0;
    struct ledger_stats stats;
    ledger_stats(store->ledger, &stats);
    store->recovery.last_sequence = stats.durable_sequence;
    int result;
    if (store->tables_damage == STORE_REBUILD) {
        result = store_replay_anew(store, detail);
    } else {
        store->tables_damage = STORE_SOUND;
        store_close_tables(store);
        result = store_open_tables(store, false, detail);
        result = result == 0 ? store_replay(store, detail) : result;
    }
    if (result == 0) {
        result = store_start_table_workers(store, detail);
    }
    if (result != 0) {
        store->rebuild_count = MEND_MAX;
        store->apply_failed =
            error_set(&store->failed_detail, result, "the tables cannot be mended: %s",
                      detail != NULL && detail->code != 0 ? detail->text : stoa_strerror(result));
    }
    return result;
}
