/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/advice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/ensure.h"
#include "stoa/error.h"

enum {
    DAY = 86400,
    BACKUP_SECONDS_MAX = DAY,     /* four times as long as its schedule lets pass */
    SCRUB_SECONDS_MAX = 14 * DAY, /* twice */
    REPLAY_BYTES_MAX = 512 << 20, /* twice what a checkpoint is due at */
    DEAD_BYTES_MIN = 1 << 20,
};

/* Where a rule puts its reason. */
struct reason {
    char *text;
    size_t size;
};

static bool say(const struct reason *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool say(const struct reason *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(reason->text, reason->size, format, arguments);
    va_end(arguments);
    ensure(length > 0 && (size_t)length < reason->size);
    return true;
}

static bool repair(const struct advice_facts *facts, const struct reason *reason)
{
    const struct stoa_storage *storage = facts->storage;
    const struct stoa_verification *verified = facts->verified;
    if (storage->missing != 0) {
        return say(reason, "%" PRIu64 " runs of indexes have no table: reindex makes them anew",
                   storage->missing);
    }
    if (storage->damages + storage->damaged != 0) {
        return say(reason,
                   "scrubbing found %" PRIu64 " damaged places; %" PRIu64 " segments are damaged",
                   storage->damages, storage->damaged);
    }
    return verified != NULL && verified->result == STOA_ECORRUPT &&
           say(reason, "the last verification found %" PRIu64 " damages", verified->report.damages);
}

/* A job that has to run now and then. */
static bool is_overdue(const struct advice_facts *facts, int job, uint64_t seconds,
                       const struct reason *reason)
{
    const struct stoa_job_info *info = &facts->jobs[job];
    if (info->active != 0) {
        return false; /* it is under way */
    }
    if (info->ended == 0) {
        return say(reason, "there has been none yet");
    }
    if (info->last_result != 0) {
        return say(reason, "the last one failed: %.120s",
                   info->last_error[0] != '\0' ? info->last_error
                                               : stoa_strerror(info->last_result));
    }
    return facts->now > info->ended && facts->now - info->ended > seconds &&
           say(reason, "the last one ended %" PRIu64 " days ago", (facts->now - info->ended) / DAY);
}

static bool backup(const struct advice_facts *facts, const struct reason *reason)
{
    return is_overdue(facts, STOA_JOB_BACKUP, BACKUP_SECONDS_MAX, reason);
}

static bool scrub(const struct advice_facts *facts, const struct reason *reason)
{
    return facts->sealed != 0 && is_overdue(facts, STOA_JOB_SCRUB, SCRUB_SECONDS_MAX, reason);
}

static bool checkpoint(const struct advice_facts *facts, const struct reason *reason)
{
    uint64_t bytes = facts->storage->replay_bytes;
    return bytes > REPLAY_BYTES_MAX &&
           say(reason, "an opening would replay %" PRIu64 " bytes of the ledger", bytes);
}

static bool prune(const struct advice_facts *facts, const struct reason *reason)
{
    return facts->prunable >= DEAD_BYTES_MIN &&
           say(reason, "about %" PRIu64 " bytes of segments are of blocks that are not kept",
               facts->prunable);
}

static bool archive(const struct advice_facts *facts, const struct reason *reason)
{
    return facts->archivable != 0 &&
           say(reason, "%" PRIu64 " segments may be packed and are not", facts->archivable);
}

static bool compact(const struct advice_facts *facts, const struct reason *reason)
{
    return facts->compactable != 0 &&
           say(reason, "%" PRIu64 " bytes are free inside tables, %" PRIu64 " %% of all",
               facts->compactable, facts->storage->fragmentation);
}

int advice_find(const struct advice_facts *facts, struct buffer *out)
{
    static const struct {
        const char *action;
        bool (*applies)(const struct advice_facts *facts, const struct reason *reason);
    } rules[] = {
        {"repair", repair}, {"backup", backup},   {"scrub", scrub},     {"checkpoint", checkpoint},
        {"prune", prune},   {"archive", archive}, {"compact", compact},
    };
    int result = 0;
    for (unsigned i = 0; result == 0 && i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct stoa_storage_advice advice = {.action = ""};
        struct reason reason = {advice.reason, sizeof(advice.reason)};
        if (rules[i].applies(facts, &reason)) {
            int length = snprintf(advice.action, sizeof(advice.action), "%s", rules[i].action);
            ensure(length > 0 && (size_t)length < sizeof(advice.action));
            result = buffer_append(out, &advice, sizeof(advice));
        }
    }
    return result;
}
