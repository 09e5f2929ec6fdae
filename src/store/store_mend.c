/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What breaks while the store is open, and is opened again in place. A ledger that stopped goes on
 * behind its last acknowledged frame. The tables are opened again, and made anew from the ledger
 * where they are damaged; so are all that is kept in memory of what they lack. Views and head stay
 * as they are. */
#include <string.h>

#include "base/ensure.h"
#include "store/store_private.h"

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
    bool other = result == 0 || result == STOA_ELOCKED || result == STOA_ENOTFOUND ||
                 result == STOA_EINVAL || result == STOA_EVERSION || result == STOA_ECANCELED;
    if (other) {
        return result;
    }
    if (result != STOA_ENOSPACE &&
        (io_space(store->io, store->directory, &free_bytes, &total) != 0 ||
         free_bytes > too_little)) {
        return result;
    }
    if (result == STOA_ENOSPACE && (detail == NULL || strstr(detail->text, "no space") != NULL)) {
        return result; /* it says so */
    }
    if (detail != NULL) {
        detail->code = STOA_ENOSPACE;
    }
    error_prefix(detail, "no space left on the disk");
    return STOA_ENOSPACE;
}

int store_check_writing(struct store *store, struct error_detail *detail)
{
    int result = store->given_up ? STOA_EREADONLY : ledger_stopped(store->ledger, detail);
    if (store->given_up) {
        *detail = store->given_up_detail;
    } else if (result == 0 && store->apply_failed != 0) {
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
    return store->tables_damage != STORE_SOUND && !store->given_up;
}

bool store_is_broken(const struct store *store, struct error_detail *detail)
{
    if (ledger_stopped(store->ledger, detail) != 0) {
        return true;
    }
    if (store->apply_failed != 0) {
        *detail = store->failed_detail;
        detail->code = store->apply_failed;
        return true;
    }
    if (store->tables_damage != STORE_SOUND) {
        (void)error_set(detail,
                        store->tables_damage == STORE_REBUILD ? STOA_ECORRUPT : STOA_ESTOPPED,
                        "the tables are %s", /* told below */
                        store->tables_damage == STORE_REBUILD ? "damaged" : "stopped");
        return true;
    }
    return false;
}

int store_check_space(struct store *store, struct error_detail *detail)
{
    return store_apply_check_space(store, detail);
}

void store_give_up(struct store *store, const struct error_detail *why)
{
    store->given_up = true;
    (void)error_set(&store->given_up_detail, STOA_EREADONLY, /* puts tell it */
                    "the store is read-only: %s", why->text);
    store_put_advance(store);
}

void store_refresh_cache(struct store *store)
{
    store_cache_head(store);
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

static int mend_tables(struct store *store, struct error_detail *detail)
{
    bool anew = store->tables_damage == STORE_REBUILD;
    store_apply_wait_idle(store);
    workers_destroy(store->readers);
    workers_destroy(store->writers);
    workers_destroy(store->keepers);
    store->readers = NULL;
    store->writers = NULL;
    store->keepers = NULL;
    empty_batches(store);
    store->apply_failed = 0;
    store->checkpointed_sequence = 0;
    struct ledger_stats stats;
    ledger_stats(store->ledger, &stats);
    store->recovery.last_sequence = stats.durable_sequence;
    int result;
    if (anew) {
        result = store_replay_anew(store, detail);
    } else {
        store->tables_damage = STORE_SOUND;
        store_close_tables(store);
        result = store_open_tables(store, false, detail);
        result = result == 0 ? store_replay(store, detail) : result;
        anew = store->tables_damage == STORE_REBUILD;
    }
    if (result == 0) {
        result = store_start_table_workers(store, detail);
    }
    store->branch_epoch++;
    if (result != 0) {
        result = store_blame_space(store, result, detail);
        workers_destroy(store->readers);
        store->readers = NULL;
        store->tables_damage = anew ? STORE_REBUILD : STORE_REOPEN;
        store->apply_failed =
            error_set(&store->failed_detail, result, "the tables cannot be mended: %s",
                      detail != NULL && detail->code != 0 ? detail->text : stoa_strerror(result));
    }
    return result;
}

static void count_restart(struct store *store, enum metrics_child child, int result)
{
    metrics_count(store->io->metrics,
                  (result == 0 ? METRICS_RESTARTS : METRICS_RESTART_ERRORS) + child, 1);
}

int store_reopen(struct store *store, struct error_detail *detail)
{
    store_apply_wait_idle(store); /* an index that is made anew reads blocks */
    ensure(store->pending_requests == 0);
    if (ledger_stopped(store->ledger, NULL) != 0) {
        int result = ledger_reopen(store->ledger, &store->recovery, detail);
        count_restart(store, METRICS_CHILD_LEDGER, result);
        if (result != 0) {
            return result;
        }
        if (store->tables_damage ==
            STORE_SOUND) { /* what is in memory may be ahead of the ledger */
            store->tables_damage = STORE_REOPEN;
        }
    }
    bool anew = store->tables_damage == STORE_REBUILD;
    int result = mend_tables(store, detail);
    count_restart(store, METRICS_CHILD_TABLES, result);
    if (result != 0 && !anew && store->tables_damage == STORE_REBUILD) { /* so they turned out */
        result = mend_tables(store, detail);
        count_restart(store, METRICS_CHILD_TABLES, result);
    }
    return result;
}
