/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/limits.h"

#include "server/server.h"
#include "stoad/listeners.h"
#include "stoad/web.h"

enum { HISTORY_LEAST = 64 };

int limits_check(const struct settings *settings, struct error_detail *detail)
{
    static const enum setting depths[] = {SETTING_KEEP_HISTORY, SETTING_KEEP_TRIES,
                                          SETTING_KEEP_BODIES,  SETTING_KEEP_RECEIPTS,
                                          SETTING_KEEP_LOGS,    SETTING_KEEP_TRANSACTIONS};
    for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        uint64_t depth = settings->number[depths[i]];
        if (depth != 0 && depth < HISTORY_LEAST) {
            return error_set(detail, STOA_EINVAL, "%s: 0, or %d at least", settings_name(depths[i]),
                             HISTORY_LEAST);
        }
    }
    /* As the job would say each time. */
    const uint64_t *number = settings->number;
    uint64_t bodies = number[SETTING_KEEP_BODIES];
    uint64_t receipts = number[SETTING_KEEP_RECEIPTS];
    if (bodies != 0 && (receipts > bodies || number[SETTING_KEEP_TRANSACTIONS] > bodies)) {
        return error_set(detail, STOA_EINVAL,
                         "keep-receipts, keep-transactions: no more than keep-bodies");
    }
    receipts = receipts != 0 ? receipts : bodies;
    if (receipts != 0 && number[SETTING_KEEP_LOGS] > receipts) {
        return error_set(detail, STOA_EINVAL, "keep-logs: no more than keep-receipts");
    }
    uint64_t cache = settings->number[SETTING_CACHE_SIZE];
    if (cache != 0 && cache < 1 << 20) {
        return error_set(detail, STOA_EINVAL, "cache-size: 0, or 1 MiB at least");
    }
    struct connections_settings connections;
    int result = listeners_settings(settings, &connections, detail);
    if (result == 0) {
        connections_settings_deinit(&connections);
    }
    return result == 0 ? web_check(settings, detail) : result;
}

void limits_store_options(const struct settings *settings, struct stoa_options *out_options,
                          struct stoa_cache_options *out_cache,
                          struct stoa_maintenance *out_maintenance)
{
    const uint64_t *number = settings->number;
    *out_cache = (struct stoa_cache_options)STOA_CACHE_OPTIONS_INIT;
    out_cache->capacity =
        number[SETTING_CACHE_SIZE] == 0 ? STOA_NO_CACHE : number[SETTING_CACHE_SIZE];
    out_cache->preset = (int)number[SETTING_CACHE_PRESET];
    out_cache->touch = (int)number[SETTING_CACHE_TOUCH];
    out_cache->policy = (int)number[SETTING_WRITE_POLICY];
    *out_maintenance = (struct stoa_maintenance)STOA_MAINTENANCE_INIT;
    out_maintenance->backup_directory = settings->text[SETTING_BACKUP_DIRECTORY];
    out_maintenance->backup_keep = (unsigned)number[SETTING_BACKUP_KEEP];
    out_maintenance->jobs[STOA_JOB_BACKUP].every_seconds = (uint32_t)number[SETTING_BACKUP_SECONDS];
    out_maintenance->jobs[STOA_JOB_SCRUB].every_seconds =
        number[SETTING_SCRUB_SECONDS] == 0 ? STOA_JOB_NEVER
                                           : (uint32_t)number[SETTING_SCRUB_SECONDS];
    out_maintenance->jobs[STOA_JOB_SCRUB].bytes_per_second = number[SETTING_SCRUB_RATE];
    out_maintenance->keep_bodies = number[SETTING_KEEP_BODIES];
    out_maintenance->keep_receipts = number[SETTING_KEEP_RECEIPTS];
    out_maintenance->keep_logs = number[SETTING_KEEP_LOGS];
    out_maintenance->keep_transactions = number[SETTING_KEEP_TRANSACTIONS];
    bool prunes = (out_maintenance->keep_bodies | out_maintenance->keep_receipts |
                   out_maintenance->keep_logs | out_maintenance->keep_transactions) != 0;
    out_maintenance->jobs[STOA_JOB_PRUNE].every_seconds =
        prunes ? (uint32_t)number[SETTING_PRUNE_SECONDS] : 0;
    out_maintenance->archive_keep = number[SETTING_ARCHIVE_KEEP];
    out_maintenance->jobs[STOA_JOB_ARCHIVE].every_seconds =
        number[SETTING_ARCHIVE_KEEP] != 0 ? (uint32_t)number[SETTING_ARCHIVE_SECONDS] : 0;
    *out_options = (struct stoa_options)STOA_OPTIONS_INIT;
    out_options->maintenance = out_maintenance;
    out_options->io = (enum stoa_io)number[SETTING_IO];
    out_options->cache = out_cache;
    out_options->table_cache_size = number[SETTING_TABLE_CACHE_SIZE];
    out_options->trie_cache_size = number[SETTING_TRIE_CACHE_SIZE];
    out_options->segment_size = (uint32_t)number[SETTING_SEGMENT_SIZE];
    out_options->table_workers = (unsigned)number[SETTING_TABLE_WORKERS];
    out_options->verify_workers = (unsigned)number[SETTING_VERIFY_WORKERS];
    out_options->checkpoint_seconds = (unsigned)number[SETTING_CHECKPOINT_SECONDS];
    out_options->unwind_max = number[SETTING_UNWIND_MAX];
    out_options->history_blocks = number[SETTING_KEEP_HISTORY];
    out_options->trie_history_blocks = number[SETTING_KEEP_TRIES];
    out_options->restarts_max = number[SETTING_RESTARTS_MAX] == 0
                                    ? STOA_NO_RESTARTS
                                    : (unsigned)number[SETTING_RESTARTS_MAX];
    out_options->restart_seconds = (unsigned)number[SETTING_RESTART_SECONDS];
}

int limits_print(const struct settings *settings, struct buffer *out)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < SETTING_COUNT; i++) {
        result = buffer_append_format(out, "%s = %s\n", settings_name((enum setting)i),
                                      settings->text[i]);
    }
    if (result == 0) {
        result =
            buffer_append_format(out,
                                 "\n; what follows from these\n"
                                 "; requests with the store, of all clients: %d\n"
                                 "; memory of the caches, bytes: %llu\n"
                                 "; memory of what waits, of one user, bytes: %llu\n",
                                 SERVER_UNDER_WAY_MAX,
                                 (unsigned long long)(settings->number[SETTING_CACHE_SIZE] +
                                                      settings->number[SETTING_TABLE_CACHE_SIZE] +
                                                      settings->number[SETTING_TRIE_CACHE_SIZE]),
                                 (unsigned long long)(2 * settings->number[SETTING_QUEUE_SIZE_MAX] +
                                                      settings->number[SETTING_REQUEST_SIZE_MAX]));
    }
    return result;
}
