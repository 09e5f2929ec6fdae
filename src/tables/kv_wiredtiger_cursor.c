/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cursors and bulk loads that callers of kv.h have open on WiredTiger. */
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/kv_private.h"
#include "tables/kv_wiredtiger_private.h"

struct wiredtiger_cursor {
    struct kv_cursor cursor; /* first */
    struct wiredtiger_session *session;
    struct wiredtiger_cursor *next;
    struct wiredtiger_table *table;
    WT_CURSOR *wt;
    bool positioned;
};

struct wiredtiger_bulk {
    struct kv_bulk bulk; /* first */
    struct wiredtiger_session *session;
    struct wiredtiger_bulk *next;
    struct wiredtiger_table *table;
    WT_CURSOR *wt;
    int failure;
};

/* The session's lock is held. */
static void cursor_end(struct wiredtiger_cursor *cursor)
{
    struct wiredtiger_cursor **link = &cursor->session->cursors;
    while (*link != cursor) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = cursor->next;
    (void)cursor->wt->close(cursor->wt); /* read only */
    kv_wiredtiger_tables_unuse(cursor->session->wiredtiger, cursor->table);
    memory_free(cursor);
}

/* The session's lock is held. */
static int bulk_end(struct wiredtiger_bulk *bulk, struct error_detail *detail)
{
    struct wiredtiger_session *session = bulk->session;
    struct wiredtiger_bulk **link = &session->bulks;
    while (*link != bulk) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = bulk->next;
    int code = bulk->wt->close(bulk->wt);
    int failure = bulk->failure;
    if (failure != 0) {
        error_set(detail, failure, "table %s: bulk load failed", bulk->table->name);
    } else if (code != 0) {
        failure = kv_wiredtiger_error(session->wiredtiger, code, bulk->table->name, "end bulk load",
                                      detail);
    }
    failure = kv_wiredtiger_tables_loaded(session, bulk->table, failure, detail);
    memory_free(bulk);
    return failure;
}

/* WiredTiger's cursors lose their place when a transaction begins or ends. */
void kv_wiredtiger_cursors_reset(struct wiredtiger_session *session)
{
    for (struct wiredtiger_cursor *cursor = session->cursors; cursor != NULL;
         cursor = cursor->next) {
        cursor->positioned = false;
        (void)cursor->wt->reset(cursor->wt); /* the next move reports what is wrong */
    }
}

void kv_wiredtiger_cursors_end(struct wiredtiger_session *session)
{
    while (session->cursors != NULL) {
        cursor_end(session->cursors);
    }
    while (session->bulks != NULL) {
        session->bulks->failure = STOA_ECANCELED;
        (void)bulk_end(session->bulks, NULL); /* the code just set */
    }
}

int kv_wiredtiger_cursor_open(struct kv_session *kv_session, const char *name,
                              struct kv_cursor **out_cursor, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger_table *table = NULL;
    struct wiredtiger_cursor *cursor = memory_alloc_zeroed(1, sizeof(*cursor));
    int result = cursor == NULL
                     ? error_set(detail, STOA_ENOMEM, "open cursor: out of memory")
                     : kv_wiredtiger_tables_find(session->wiredtiger, name, true, &table, detail);
    if (result != 0) {
        goto fail;
    }
    cursor->cursor.kv = kv_session->kv;
    cursor->session = session;
    cursor->table = table;
    result = kv_wiredtiger_open_cursor(session, table, NULL, &cursor->wt, detail);
    if (result != 0) {
        kv_wiredtiger_tables_unuse(session->wiredtiger, table);
        goto fail;
    }
    cursor->next = session->cursors;
    session->cursors = cursor;
    *out_cursor = &cursor->cursor;
    kv_wiredtiger_unlock(&session->lock);
    return 0;

fail:
    memory_free(cursor);
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

void kv_wiredtiger_cursor_close(struct kv_cursor *kv_cursor)
{
    struct wiredtiger_cursor *cursor = (struct wiredtiger_cursor *)kv_cursor;
    struct wiredtiger_session *session = cursor->session;
    kv_wiredtiger_lock(&session->lock);
    cursor_end(cursor);
    kv_wiredtiger_unlock(&session->lock);
}

/* The session's lock is held, and given back. */
static int cursor_moved(struct wiredtiger_cursor *cursor, int code, struct error_detail *detail)
{
    struct wiredtiger_session *session = cursor->session;
    cursor->positioned = code == 0;
    if (code != 0) {
        (void)cursor->wt->reset(cursor->wt); /* the code says more */
    }
    kv_wiredtiger_unlock(&session->lock);
    if (code == 0 || code == WT_NOTFOUND) {
        return code == 0 ? 0 : STOA_ENOTFOUND;
    }
    return kv_wiredtiger_error(session->wiredtiger, code, cursor->table->name, "move cursor",
                               detail);
}

int kv_wiredtiger_cursor_seek(struct kv_cursor *kv_cursor, struct bytes key,
                              struct error_detail *detail)
{
    struct wiredtiger_cursor *cursor = (struct wiredtiger_cursor *)kv_cursor;
    kv_wiredtiger_lock(&cursor->session->lock);
    WT_CURSOR *wt = cursor->wt;
    int code;
    if (key.size == 0) {
        code = wt->reset(wt);
        code = code != 0 ? code : wt->next(wt);
    } else {
        int side = 0;
        WT_ITEM item = {.data = key.data, .size = key.size};
        wt->set_key(wt, &item);
        code = wt->search_near(wt, &side);
        if (code == 0 && side < 0) {
            code = wt->next(wt);
        }
    }
    return cursor_moved(cursor, code, detail);
}

int kv_wiredtiger_cursor_next(struct kv_cursor *kv_cursor, struct error_detail *detail)
{
    struct wiredtiger_cursor *cursor = (struct wiredtiger_cursor *)kv_cursor;
    kv_wiredtiger_lock(&cursor->session->lock);
    return cursor_moved(cursor, cursor->wt->next(cursor->wt), detail);
}

int kv_wiredtiger_cursor_previous(struct kv_cursor *kv_cursor, struct error_detail *detail)
{
    struct wiredtiger_cursor *cursor = (struct wiredtiger_cursor *)kv_cursor;
    kv_wiredtiger_lock(&cursor->session->lock);
    return cursor_moved(cursor, cursor->wt->prev(cursor->wt), detail);
}

void kv_wiredtiger_cursor_current(struct kv_cursor *kv_cursor, struct bytes *out_key,
                                  struct bytes *out_value)
{
    struct wiredtiger_cursor *cursor = (struct wiredtiger_cursor *)kv_cursor;
    kv_wiredtiger_lock(&cursor->session->lock);
    ensure(cursor->positioned);
    WT_ITEM key = {.data = NULL};
    WT_ITEM value = {.data = NULL};
    int code = cursor->wt->get_key(cursor->wt, &key);
    ensure(code == 0);
    code = cursor->wt->get_value(cursor->wt, &value);
    ensure(code == 0);
    kv_wiredtiger_unlock(&cursor->session->lock);
    *out_key = bytes_of(key.data, key.size);
    *out_value = bytes_of(value.data, value.size);
}

int kv_wiredtiger_bulk_open(struct kv_session *kv_session, const char *name, enum kv_layout layout,
                            struct kv_bulk **out_bulk, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger_bulk *bulk = NULL;
    int result = kv_wiredtiger_outside_check(session, "bulk load", detail);
    if (result == 0 && (bulk = memory_alloc_zeroed(1, sizeof(*bulk))) == NULL) {
        result = error_set(detail, STOA_ENOMEM, "bulk load: out of memory");
    }
    if (result == 0) {
        result = kv_wiredtiger_tables_create(session, name, layout, true, &bulk->table, detail);
    }
    if (result != 0) {
        memory_free(bulk);
        kv_wiredtiger_unlock(&session->lock);
        return result;
    }
    result = kv_wiredtiger_open_cursor(session, bulk->table, "bulk", &bulk->wt, detail);
    if (result != 0) {
        (void)kv_wiredtiger_tables_loaded(session, bulk->table, result, NULL); /* RESULT again */
        memory_free(bulk);
        kv_wiredtiger_unlock(&session->lock);
        return result;
    }
    bulk->bulk.kv = kv_session->kv;
    bulk->session = session;
    bulk->next = session->bulks;
    session->bulks = bulk;
    *out_bulk = &bulk->bulk;
    kv_wiredtiger_unlock(&session->lock);
    return 0;
}

int kv_wiredtiger_bulk_put(struct kv_bulk *kv_bulk, struct bytes key, struct bytes value,
                           struct error_detail *detail)
{
    struct wiredtiger_bulk *bulk = (struct wiredtiger_bulk *)kv_bulk;
    struct wiredtiger *wiredtiger = bulk->session->wiredtiger;
    const char *name = bulk->table->name;
    if (bulk->failure != 0) {
        return error_set(detail, bulk->failure, "table %s: bulk load failed before", name);
    }
    bulk->failure = kv_entry_check(name, key, value, detail);
    if (bulk->failure != 0) {
        return bulk->failure;
    }
    kv_wiredtiger_lock(&bulk->session->lock);
    WT_ITEM item = {.data = key.data, .size = key.size};
    WT_ITEM content = {.data = value.data, .size = value.size};
    bulk->wt->set_key(bulk->wt, &item);
    bulk->wt->set_value(bulk->wt, &content);
    int code = bulk->wt->insert(bulk->wt);
    kv_wiredtiger_unlock(&bulk->session->lock);
    if (code != 0) {
        bulk->failure = kv_wiredtiger_error(wiredtiger, code, name, "bulk load", detail);
    }
    return bulk->failure;
}

int kv_wiredtiger_bulk_close(struct kv_bulk *kv_bulk, struct error_detail *detail)
{
    struct wiredtiger_bulk *bulk = (struct wiredtiger_bulk *)kv_bulk;
    struct wiredtiger_session *session = bulk->session;
    kv_wiredtiger_lock(&session->lock);
    int result = bulk_end(bulk, detail);
    kv_wiredtiger_unlock(&session->lock);
    return result;
}
