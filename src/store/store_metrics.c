/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the store tells of itself: gauges, a few times a second. The figures of the tables take
 * WiredTiger a while, so a worker asks for them in the background. */
#include "store/store_private.h"

static const uint64_t statistics_ns = 5000000000; /* between two looks at the tables */

static void tell_tables(struct store *store)
{
    struct metrics *metrics = store->io->metrics;
    const struct kv_statistics *tables = &store->statistics;
    metrics_set(metrics, METRICS_TABLE_BYTES, tables->file_bytes);
    metrics_set(metrics, METRICS_TABLE_CACHE_BYTES, tables->cache_bytes);
    metrics_set(metrics, METRICS_TABLE_DIRTY_BYTES, tables->cache_dirty_bytes);
    metrics_set(metrics, METRICS_TABLE_LOOKASIDE, tables->lookaside_entries);
}

static void run_statistics(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    kv_statistics(worker_state, &store->statistics_next);
}

static void done_statistics(struct workers_job *job)
{
    struct store *store = job->context;
    store->counting = false;
    store->statistics = store->statistics_next;
    tell_tables(store);
}

static void start_statistics(struct store *store)
{
    store->counting = true;
    store->statistics_job = (struct workers_job){.run = run_statistics,
                                                 .done = done_statistics,
                                                 .context = store,
                                                 .kind = METRICS_JOB_STATISTICS};
    workers_submit(store->writers, &store->statistics_job);
}

static void tell_store(const struct store *store)
{
    struct metrics *metrics = store->io->metrics;
    struct ledger_stats ledger;
    struct ledger_packed_stats packed;
    ledger_stats(store->ledger, &ledger);
    ledger_packed_stats(store->ledger, &packed);
    uint64_t blocks = store->settling.count + pending_block_count(store->open);
    uint64_t bytes = pending_size(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        blocks += pending_block_count(store->frozen[i]);
        bytes += pending_size(store->frozen[i]);
    }
    metrics_set(metrics, METRICS_LEDGER_BYTES, ledger.segment_bytes);
    metrics_set(metrics, METRICS_LEDGER_SEGMENTS, ledger.segment_count);
    metrics_set(metrics, METRICS_ARCHIVE_SEGMENTS, packed.segments);
    metrics_set(metrics, METRICS_ARCHIVE_BYTES, packed.bytes);
    metrics_set(metrics, METRICS_ARCHIVE_SAVED, packed.saved);
    metrics_set(metrics, METRICS_LEDGER_WRITTEN, ledger.written_bytes);
    metrics_set(metrics, METRICS_LEDGER_SEQUENCE, ledger.last_sequence);
    metrics_set(metrics, METRICS_HEAD, store->head.height);
    metrics_set(metrics, METRICS_APPLIED, store->applied.position.sequence);
    metrics_set(metrics, METRICS_PENDING_BLOCKS, blocks);
    metrics_set(metrics, METRICS_PENDING_BYTES, bytes);
    metrics_set(metrics, METRICS_BATCHES_WAITING, store->frozen_count);
    metrics_set(metrics, METRICS_VIEWS, store->views_out);
}

void store_metrics_tick(struct store *store, uint64_t now_ns)
{
    if (store->io->metrics == NULL) {
        return;
    }
    tell_store(store);
    if (!store->counting && store->writers != NULL && now_ns - store->counted_ns >= statistics_ns) {
        uint64_t free_bytes;
        uint64_t total;
        store->counted_ns = now_ns;
        if (io_space(store->io, store->directory, &free_bytes, &total) == 0) {
            metrics_set(store->io->metrics, METRICS_DISK_FREE, free_bytes);
        }
        start_statistics(store);
    }
}

void store_metrics_start(struct store *store)
{
    kv_statistics(store->session, &store->statistics);
    tell_tables(store);
    store->counted_ns = 0;
    store_metrics_tick(store, io_now_ns(store->io));
}
