/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/kv.h"

#include <string.h>

#include "base/ensure.h"
#include "stoa/error.h"
#include "tables/kv_private.h"

/* What both implementations may rely on is checked here once: names, and the sizes of keys and
 * values. */

static int name_check(const char *table, struct error_detail *detail)
{
    size_t size = strnlen(table, KV_NAME_SIZE_MAX + 1);
    if (size == 0 || size > KV_NAME_SIZE_MAX) {
        return error_set(detail, STOA_EINVAL, "table name of %zu bytes, wanted 1 to %d", size,
                         KV_NAME_SIZE_MAX);
    }
    size_t good = strspn(table, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (good != size) {
        return error_set(detail, STOA_EINVAL, "table name %s: a to z, 0 to 9, - and _ only", table);
    }
    return 0;
}

size_t kv_name_place(const char *name, size_t count,
                     const char *(*name_at)(const void *names, size_t index), const void *names,
                     bool *out_found)
{
    size_t low = 0;
    size_t high = count;
    *out_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, name_at(names, middle));
        if (order == 0) {
            *out_found = true;
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

int kv_entry_check(const char *table, struct bytes key, struct bytes value,
                   struct error_detail *detail)
{
    if (key.size == 0) {
        return error_set(detail, STOA_EINVAL, "table %s: empty key", table);
    }
    if (key.size > KV_KEY_SIZE_MAX) {
        return error_set(detail, STOA_ETOOBIG, "table %s: key of %zu bytes, at most %d", table,
                         key.size, KV_KEY_SIZE_MAX);
    }
    if (value.size > KV_VALUE_SIZE_MAX) {
        return error_set(detail, STOA_ETOOBIG, "table %s: value of %zu bytes, at most %d", table,
                         value.size, KV_VALUE_SIZE_MAX);
    }
    return 0;
}

void kv_close(struct kv *kv)
{
    if (kv != NULL) {
        kv->ops->close(kv);
    }
}

int kv_session_open(struct kv *kv, struct kv_session **out_session, struct error_detail *detail)
{
    return kv->ops->session_open(kv, out_session, detail);
}

void kv_session_close(struct kv_session *session)
{
    if (session != NULL) {
        session->kv->ops->session_close(session);
    }
}

int kv_table_create(struct kv_session *session, const char *table, enum kv_layout layout,
                    struct error_detail *detail)
{
    int result = name_check(table, detail);
    return result != 0 ? result : session->kv->ops->table_create(session, table, layout, detail);
}

int kv_table_drop(struct kv_session *session, const char *table, struct error_detail *detail)
{
    int result = name_check(table, detail);
    return result != 0 ? result : session->kv->ops->table_drop(session, table, detail);
}

int kv_table_list(struct kv_session *session, void (*entry)(void *context, const char *table),
                  void *context, struct error_detail *detail)
{
    ensure(entry != NULL);
    return session->kv->ops->table_list(session, entry, context, detail);
}

int kv_begin(struct kv_session *session, struct error_detail *detail)
{
    return session->kv->ops->begin(session, detail);
}

int kv_commit(struct kv_session *session, struct error_detail *detail)
{
    return session->kv->ops->commit(session, detail);
}

void kv_rollback(struct kv_session *session)
{
    session->kv->ops->rollback(session);
}

int kv_get(struct kv_session *session, const char *table, struct bytes key, struct bytes *out_value,
           struct error_detail *detail)
{
    if (key.size == 0 || key.size > KV_KEY_SIZE_MAX) {
        return STOA_ENOTFOUND; /* no such key can have been put */
    }
    return session->kv->ops->get(session, table, key, out_value, detail);
}

int kv_get_from(struct kv_session *session, const char *table, struct bytes from,
                struct bytes *out_key, struct bytes *out_value, struct error_detail *detail)
{
    ensure(from.size != 0 && from.size <= KV_KEY_SIZE_MAX);
    return session->kv->ops->get_from(session, table, from, out_key, out_value, detail);
}

int kv_put(struct kv_session *session, const char *table, struct bytes key, struct bytes value,
           struct error_detail *detail)
{
    int result = kv_entry_check(table, key, value, detail);
    return result != 0 ? result : session->kv->ops->put(session, table, key, value, detail);
}

int kv_remove(struct kv_session *session, const char *table, struct bytes key,
              struct error_detail *detail)
{
    if (key.size == 0 || key.size > KV_KEY_SIZE_MAX) {
        return 0; /* no such key can have been put */
    }
    return session->kv->ops->remove(session, table, key, detail);
}

int kv_cursor_open(struct kv_session *session, const char *table, struct kv_cursor **out_cursor,
                   struct error_detail *detail)
{
    return session->kv->ops->cursor_open(session, table, out_cursor, detail);
}

void kv_cursor_close(struct kv_cursor *cursor)
{
    if (cursor != NULL) {
        cursor->kv->ops->cursor_close(cursor);
    }
}

int kv_cursor_seek(struct kv_cursor *cursor, struct bytes key, struct error_detail *detail)
{
    return cursor->kv->ops->cursor_seek(cursor, key, detail);
}

int kv_cursor_next(struct kv_cursor *cursor, struct error_detail *detail)
{
    return cursor->kv->ops->cursor_next(cursor, detail);
}

int kv_cursor_previous(struct kv_cursor *cursor, struct error_detail *detail)
{
    return cursor->kv->ops->cursor_previous(cursor, detail);
}

void kv_cursor_current(struct kv_cursor *cursor, struct bytes *out_key, struct bytes *out_value)
{
    cursor->kv->ops->cursor_current(cursor, out_key, out_value);
}

int kv_bulk_open(struct kv_session *session, const char *table, enum kv_layout layout,
                 struct kv_bulk **out_bulk, struct error_detail *detail)
{
    int result = name_check(table, detail);
    return result != 0 ? result
                       : session->kv->ops->bulk_open(session, table, layout, out_bulk, detail);
}

int kv_bulk_put(struct kv_bulk *bulk, struct bytes key, struct bytes value,
                struct error_detail *detail)
{
    return bulk->kv->ops->bulk_put(bulk, key, value, detail);
}

int kv_bulk_close(struct kv_bulk *bulk, struct error_detail *detail)
{
    return bulk->kv->ops->bulk_close(bulk, detail);
}

int kv_checkpoint(struct kv_session *session, struct error_detail *detail)
{
    return session->kv->ops->checkpoint(session, detail);
}

void kv_statistics(struct kv_session *session, struct kv_statistics *out_statistics)
{
    session->kv->ops->statistics(session, out_statistics);
}

int kv_table_size(struct kv_session *session, const char *table, struct kv_table_size *out_size,
                  struct error_detail *detail)
{
    return session->kv->ops->table_size(session, table, out_size, detail);
}

int kv_table_compact(struct kv_session *session, const char *table, unsigned seconds,
                     struct error_detail *detail)
{
    ensure(seconds != 0);
    return session->kv->ops->table_compact(session, table, seconds, detail);
}
