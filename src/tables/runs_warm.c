/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading runs ahead of who looks something up in them: the keyed store keeps in memory what it has
 * read. */
#include "stoa/error.h"
#include "tables/runs_private.h"

enum { STOP_EVERY = 64 }; /* pages of runs: 128 KiB */

static int warm_run(const struct run *run, struct kv_session *session, struct runs_warm *warm,
                    struct error_detail *detail)
{
    struct kv_cursor *cursor;
    unsigned seen = 0;
    int result = kv_cursor_open(session, run->table, &cursor, detail);
    if (result != 0) {
        return result;
    }
    result = kv_cursor_seek(cursor, bytes_of(NULL, 0), detail);
    while (result == 0 && warm->bytes_left != 0) {
        struct bytes key;
        struct bytes page;
        if (seen++ % STOP_EVERY == 0 && warm->stop(warm->context)) {
            result = STOA_ECANCELED;
            break;
        }
        kv_cursor_current(cursor, &key, &page);
        uint64_t size = key.size + page.size;
        warm->bytes_left -= size < warm->bytes_left ? size : warm->bytes_left;
        result = kv_cursor_next(cursor, detail);
    }
    kv_cursor_close(cursor);
    return result == STOA_ENOTFOUND ? 0 : result;
}

int runs_warm(struct runs *runs, struct kv_session *session, struct runs_warm *warm,
              struct error_detail *detail)
{
    struct runs_version *version = runs_acquire(runs);
    int result = 0;
    for (size_t i = 0; result == 0 && i < version->count && warm->bytes_left != 0; i++) {
        result = warm_run(version->list[i], session, warm, detail);
    }
    runs_release(runs, version);
    return result;
}
