/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cursors and bulk loads that callers of kv.h have open on the twin. */
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/kv_memory_private.h"
#include "tables/kv_private.h"

static void cursor_end(struct memory_cursor *cursor)
{
    struct memory_cursor **link = &cursor->session->cursors;
    while (*link != cursor) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = cursor->next;
    kv_memory_tree_item_release(cursor->position);
    cursor->table->cursor_count--;
    kv_memory_table_release(cursor->table);
    memory_free(cursor);
}

static int bulk_end(struct memory_bulk *bulk)
{
    struct memory_bulk **link = &bulk->session->bulks;
    while (*link != bulk) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = bulk->next;
    int failure = bulk->failure;
    if (failure == 0) {
        bulk->table->loading = false;
    } else {
        kv_memory_table_delete(bulk->session->memory, bulk->table);
    }
    kv_memory_tree_item_release(bulk->last);
    memory_free(bulk);
    return failure;
}

void kv_memory_cursors_end(struct memory_session *session)
{
    while (session->cursors != NULL) {
        cursor_end(session->cursors);
    }
    while (session->bulks != NULL) {
        session->bulks->failure = STOA_ECANCELED;
        (void)bulk_end(session->bulks); /* the code just set */
    }
}

int kv_memory_cursor_open(struct kv_session *kv_session, const char *name,
                          struct kv_cursor **out_cursor, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct memory_cursor *cursor = memory_alloc_zeroed(1, sizeof(*cursor));
    if (cursor == NULL) {
        return kv_memory_exhausted(detail);
    }
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    struct memory_table *table;
    int result = kv_memory_table_find(session->memory, name, &table, detail);
    if (result == 0) {
        table->references++;
        table->cursor_count++;
        *cursor = (struct memory_cursor){.cursor.kv = kv_session->kv,
                                         .session = session,
                                         .next = session->cursors,
                                         .table = table};
        session->cursors = cursor;
        *out_cursor = &cursor->cursor;
    }
    kv_memory_leave(disk);
    if (result != 0) {
        memory_free(cursor);
    }
    return result;
}

void kv_memory_cursor_close(struct kv_cursor *kv_cursor)
{
    struct memory_cursor *cursor = (struct memory_cursor *)kv_cursor;
    struct kv_memory_disk *disk = kv_memory_enter(cursor->session->memory);
    cursor_end(cursor);
    kv_memory_leave(disk);
}

static int cursor_move(struct memory_cursor *cursor, const struct bytes *key, int side,
                       struct error_detail *detail)
{
    struct kv_memory_disk *disk = kv_memory_enter(cursor->session->memory);
    struct memory_tree *tree = NULL;
    int result = kv_memory_session_tree(cursor->session, cursor->table, &tree);
    if (result != 0) {
        result = kv_memory_exhausted(detail);
    } else {
        struct bytes from = {.data = NULL};
        if (key != NULL) {
            from = *key;
        } else if (cursor->position != NULL) {
            from = kv_memory_tree_key(cursor->position);
        }
        bool placed = key != NULL || cursor->position != NULL;
        struct memory_item *item =
            kv_memory_tree_near(tree, placed ? &from : NULL, side, key != NULL);
        struct memory_item *old = cursor->position;
        cursor->position = item == NULL ? NULL : kv_memory_tree_item_take(item);
        kv_memory_tree_item_release(old);
        result = item == NULL ? STOA_ENOTFOUND : 0;
    }
    kv_memory_leave(disk);
    return result;
}

int kv_memory_cursor_seek(struct kv_cursor *cursor, struct bytes key, struct error_detail *detail)
{
    return cursor_move((struct memory_cursor *)cursor, &key, 1, detail);
}

int kv_memory_cursor_next(struct kv_cursor *cursor, struct error_detail *detail)
{
    return cursor_move((struct memory_cursor *)cursor, NULL, 1, detail);
}

int kv_memory_cursor_previous(struct kv_cursor *cursor, struct error_detail *detail)
{
    return cursor_move((struct memory_cursor *)cursor, NULL, 0, detail);
}

void kv_memory_cursor_current(struct kv_cursor *kv_cursor, struct bytes *out_key,
                              struct bytes *out_value)
{
    struct memory_cursor *cursor = (struct memory_cursor *)kv_cursor;
    ensure(cursor->position != NULL);
    *out_key = kv_memory_tree_key(cursor->position);
    *out_value = kv_memory_tree_value(cursor->position);
}

int kv_memory_bulk_open(struct kv_session *kv_session, const char *name, enum kv_layout layout,
                        struct kv_bulk **out_bulk, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct memory_bulk *bulk = memory_alloc_zeroed(1, sizeof(*bulk));
    if (bulk == NULL) {
        return kv_memory_exhausted(detail);
    }
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    bool found;
    (void)kv_memory_table_place(session->memory, name, &found); /* only whether it is there */
    struct memory_table *table = NULL;
    int result = kv_memory_outside_check(session, "bulk load", detail);
    if (result == 0 && found) {
        result = error_set(detail, STOA_EEXISTS, "table %s exists", name);
    }
    if (result == 0 && kv_memory_table_add(session->memory, name, layout, &table) != 0) {
        result = kv_memory_exhausted(detail);
    }
    if (result == 0) {
        table->loading = true;
        *bulk = (struct memory_bulk){
            .bulk.kv = kv_session->kv, .session = session, .next = session->bulks, .table = table};
        session->bulks = bulk;
        *out_bulk = &bulk->bulk;
    }
    kv_memory_leave(disk);
    if (result != 0) {
        memory_free(bulk);
    }
    return result;
}

int kv_memory_bulk_put(struct kv_bulk *kv_bulk, struct bytes key, struct bytes value,
                       struct error_detail *detail)
{
    struct memory_bulk *bulk = (struct memory_bulk *)kv_bulk;
    if (bulk->failure != 0) {
        return error_set(detail, bulk->failure, "table %s: bulk load failed before",
                         bulk->table->name);
    }
    bulk->failure = kv_entry_check(bulk->table->name, key, value, detail);
    if (bulk->failure != 0) {
        return bulk->failure;
    }
    struct memory_item *item = kv_memory_tree_item(key, value);
    struct kv_memory_disk *disk = kv_memory_enter(bulk->session->memory);
    if (item == NULL) {
        bulk->failure = kv_memory_exhausted(detail);
    } else if (bulk->last != NULL && bytes_compare(kv_memory_tree_key(bulk->last), key) >= 0) {
        bulk->failure =
            error_set(detail, STOA_EINVAL, "table %s: bulk load out of order", bulk->table->name);
    } else if (kv_memory_tree_put(&bulk->table->tree, item) != 0) {
        bulk->failure = kv_memory_exhausted(detail);
    } else {
        kv_memory_tree_item_release(bulk->last);
        bulk->last = kv_memory_tree_item_take(item);
    }
    kv_memory_tree_item_release(item);
    kv_memory_leave(disk);
    return bulk->failure;
}

int kv_memory_bulk_close(struct kv_bulk *kv_bulk, struct error_detail *detail)
{
    struct memory_bulk *bulk = (struct memory_bulk *)kv_bulk;
    struct kv_memory_disk *disk = kv_memory_enter(bulk->session->memory);
    int failure = bulk->failure;
    if (failure != 0) {
        error_set(detail, failure, "table %s: bulk load failed", bulk->table->name);
    }
    (void)bulk_end(bulk); /* the failure just read */
    kv_memory_leave(disk);
    return failure;
}
