/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The twin: every table is a kv_memory_tree.h whose contents are shared, not copied, by
 * transactions (their snapshot is the roots at begin) and by the last checkpoint (the disk's
 * roots).
 *
 * One mutex, the disk's, guards everything. Transactions that write conflict by table (STOA_EBUSY),
 * which is coarser than WiredTiger's keys. */
#include "tables/kv.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/kv_memory_private.h"
#include "tables/kv_private.h"

void kv_memory_table_release(struct memory_table *table)
{
    ensure(table->references != 0);
    if (--table->references == 0) {
        kv_memory_tree_release(&table->tree);
        memory_free(table);
    }
}

static const char *table_name(const void *tables, size_t index)
{
    return ((struct memory_table *const *)tables)[index]->name;
}

/* Where NAME is or would be among the tables. */
size_t kv_memory_table_place(const struct memory *memory, const char *name, bool *out_found)
{
    return kv_name_place(name, memory->table_count, table_name, memory->tables, out_found);
}

int kv_memory_table_find(const struct memory *memory, const char *name,
                         struct memory_table **out_table, struct error_detail *detail)
{
    bool found;
    size_t place = kv_memory_table_place(memory, name, &found);
    if (!found || memory->tables[place]->loading) {
        return error_set(detail, STOA_EINVAL, "no table %s", name);
    }
    *out_table = memory->tables[place];
    return 0;
}

/* Add a table; NAME must not be there. */
int kv_memory_table_add(struct memory *memory, const char *name, enum kv_layout layout,
                        struct memory_table **out_table)
{
    if (memory->table_count == memory->table_capacity) {
        size_t capacity = memory->table_capacity == 0 ? 16 : 2 * memory->table_capacity;
        struct memory_table **tables =
            memory_resize(memory->tables, capacity * sizeof(struct memory_table *));
        if (tables == NULL) {
            return STOA_ENOMEM;
        }
        memory->tables = tables;
        memory->table_capacity = capacity;
    }
    struct memory_table *table = memory_alloc_zeroed(1, sizeof(*table));
    if (table == NULL) {
        return STOA_ENOMEM;
    }
    ensure(strlen(name) < sizeof(table->name));
    memcpy(table->name, name, strlen(name) + 1);
    table->references = 1;
    table->layout = layout;
    bool found;
    size_t place = kv_memory_table_place(memory, name, &found);
    ensure(!found);
    memmove(memory->tables + place + 1, memory->tables + place,
            (memory->table_count - place) * sizeof(memory->tables[0]));
    memory->tables[place] = table;
    memory->table_count++;
    *out_table = table;
    return 0;
}

void kv_memory_table_delete(struct memory *memory, struct memory_table *table)
{
    bool found;
    size_t place = kv_memory_table_place(memory, table->name, &found);
    ensure(found && memory->tables[place] == table);
    memory->table_count--;
    memmove(memory->tables + place, memory->tables + place + 1,
            (memory->table_count - place) * sizeof(memory->tables[0]));
    table->dropped = true;
    kv_memory_table_release(table);
}

struct memory_session *kv_memory_session_of(struct kv_session *session)
{
    return (struct memory_session *)session;
}

struct kv_memory_disk *kv_memory_enter(struct memory *memory)
{
    int result = pthread_mutex_lock(&memory->disk->lock);
    ensure(result == 0);
    return memory->disk;
}

void kv_memory_leave(struct kv_memory_disk *disk)
{
    int result = pthread_mutex_unlock(&disk->lock);
    ensure(result == 0);
}

static int view_add(struct memory_session *session, struct memory_table *table)
{
    if (session->view_count == session->view_capacity) {
        size_t capacity = session->view_capacity == 0 ? 16 : 2 * session->view_capacity;
        struct view *views = memory_resize(session->views, capacity * sizeof(struct view));
        if (views == NULL) {
            return STOA_ENOMEM;
        }
        session->views = views;
        session->view_capacity = capacity;
    }
    table->references++;
    session->views[session->view_count++] =
        (struct view){.table = table, .tree = kv_memory_tree_take(&table->tree)};
    return 0;
}

/* What the open transaction sees of TABLE. A table younger than the transaction is seen as it is
 * when first met. */
static int view_find(struct memory_session *session, struct memory_table *table,
                     struct view **out_view)
{
    ensure(session->in_transaction);
    for (size_t i = 0; i < session->view_count; i++) {
        if (session->views[i].table == table) {
            *out_view = &session->views[i];
            return 0;
        }
    }
    int result = view_add(session, table);
    if (result == 0) {
        *out_view = &session->views[session->view_count - 1];
    }
    return result;
}

/* The tree that the session reads TABLE from. */
int kv_memory_session_tree(struct memory_session *session, struct memory_table *table,
                           struct memory_tree **out_tree)
{
    if (!session->in_transaction) {
        *out_tree = &table->tree;
        return 0;
    }
    struct view *view;
    int result = view_find(session, table, &view);
    if (result == 0) {
        *out_tree = &view->tree;
    }
    return result;
}

/* The tree that the session writes TABLE in. */
static int session_write_tree(struct memory_session *session, struct memory_table *table,
                              struct memory_tree **out_tree, struct error_detail *detail)
{
    if (table->writer != NULL && table->writer != session) {
        return error_set(detail, STOA_EBUSY, "table %s: another transaction writes to it",
                         table->name);
    }
    if (!session->in_transaction) {
        *out_tree = &table->tree;
        return 0;
    }
    struct view *view;
    int result = view_find(session, table, &view);
    if (result != 0) {
        return result;
    }
    if (!view->written) {
        if (table->dropped || table->tree.root != view->tree.root) {
            return error_set(detail, STOA_EBUSY, "table %s: changed since the transaction began",
                             table->name);
        }
        view->written = true;
        table->writer = session;
    }
    *out_tree = &view->tree;
    return 0;
}

/* Transactions move no cursor with them: beginning and ending one leaves cursors nowhere. */
static void session_reset(struct memory_session *session)
{
    kv_memory_tree_item_release(session->held);
    session->held = NULL;
    for (struct memory_cursor *cursor = session->cursors; cursor != NULL; cursor = cursor->next) {
        kv_memory_tree_item_release(cursor->position);
        cursor->position = NULL;
    }
}

static void transaction_end(struct memory_session *session, bool commit)
{
    for (size_t i = 0; i < session->view_count; i++) {
        struct view *view = &session->views[i];
        if (view->written) {
            ensure(view->table->writer == session);
            view->table->writer = NULL;
        }
        if (view->written && commit) {
            struct memory_tree old = view->table->tree;
            view->table->tree = view->tree;
            view->tree = old;
        }
        kv_memory_tree_release(&view->tree);
        kv_memory_table_release(view->table);
    }
    session->view_count = 0;
    session->in_transaction = false;
    session_reset(session);
}

int kv_memory_outside_check(struct memory_session *session, const char *what,
                            struct error_detail *detail)
{
    return session->in_transaction ? error_set(detail, STOA_EINVAL, "%s inside a transaction", what)
                                   : 0;
}

int kv_memory_exhausted(struct error_detail *detail)
{
    return error_set(detail, STOA_ENOMEM, "table in memory: out of memory");
}

static void memory_close(struct kv *kv)
{
    struct memory *memory = (struct memory *)kv;
    struct kv_memory_disk *disk = kv_memory_enter(memory);
    ensure(memory->session_count == 0);
    for (size_t i = 0; i < memory->table_count; i++) {
        ensure(memory->tables[i]->references == 1);
        kv_memory_table_release(memory->tables[i]);
    }
    disk->opened = false;
    kv_memory_leave(disk);
    memory_free(memory->tables);
    memory_free(memory);
}

static int memory_session_open(struct kv *kv, struct kv_session **out_session,
                               struct error_detail *detail)
{
    struct memory *memory = (struct memory *)kv;
    struct memory_session *session = memory_alloc_zeroed(1, sizeof(*session));
    if (session == NULL) {
        return kv_memory_exhausted(detail);
    }
    session->session.kv = kv;
    session->memory = memory;
    struct kv_memory_disk *disk = kv_memory_enter(memory);
    memory->session_count++;
    kv_memory_leave(disk);
    *out_session = &session->session;
    return 0;
}

static void memory_session_close(struct kv_session *kv_session)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    transaction_end(session, false);
    kv_memory_cursors_end(session);
    ensure(session->memory->session_count != 0);
    session->memory->session_count--;
    kv_memory_leave(disk);
    memory_free(session->views);
    memory_free(session);
}

static int memory_table_create(struct kv_session *kv_session, const char *name,
                               enum kv_layout layout, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    session_reset(session);
    bool found = false;
    size_t place = kv_memory_table_place(session->memory, name, &found);
    int result = kv_memory_outside_check(session, "create a table", detail);
    if (result == 0 && !found) {
        struct memory_table *table;
        result = kv_memory_table_add(session->memory, name, layout, &table);
        result = result == 0 ? 0 : kv_memory_exhausted(detail);
    } else if (result == 0 && session->memory->tables[place]->loading) {
        result = error_set(detail, STOA_EBUSY, "table %s is being loaded", name);
    }
    kv_memory_leave(disk);
    return result;
}

static int memory_table_drop(struct kv_session *kv_session, const char *name,
                             struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    session_reset(session);
    bool found;
    size_t place = kv_memory_table_place(session->memory, name, &found);
    int result = kv_memory_outside_check(session, "drop a table", detail);
    if (result == 0 && !found) {
        result = error_set(detail, STOA_ENOTFOUND, "no table %s", name);
    }
    if (result == 0) {
        struct memory_table *table = session->memory->tables[place];
        if (table->loading || table->cursor_count != 0 || table->writer != NULL) {
            result = error_set(detail, STOA_EBUSY, "table %s is in use", name);
        } else {
            kv_memory_table_delete(session->memory, table);
        }
    }
    kv_memory_leave(disk);
    return result;
}

static int memory_table_list(struct kv_session *kv_session,
                             void (*entry)(void *context, const char *table), void *context,
                             struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    size_t count = 0;
    char(*names)[KV_NAME_SIZE_MAX + 1] =
        memory_alloc_zeroed(session->memory->table_count, sizeof(*names));
    for (size_t i = 0; names != NULL && i < session->memory->table_count; i++) {
        const struct memory_table *table = session->memory->tables[i];
        if (!table->loading) {
            memcpy(names[count++], table->name, sizeof(*names));
        }
    }
    kv_memory_leave(disk);
    if (names == NULL) {
        return kv_memory_exhausted(detail);
    }
    for (size_t i = 0; i < count; i++) { /* unlocked: the callback may use the store */
        entry(context, names[i]);
    }
    memory_free(names);
    return 0;
}

static int memory_begin(struct kv_session *kv_session, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    int result = kv_memory_outside_check(session, "begin", detail);
    if (result == 0) {
        session_reset(session);
        session->in_transaction = true;
        for (size_t i = 0; result == 0 && i < session->memory->table_count; i++) {
            if (!session->memory->tables[i]->loading) {
                result = view_add(session, session->memory->tables[i]);
            }
        }
        if (result != 0) {
            transaction_end(session, false);
            result = kv_memory_exhausted(detail);
        }
    }
    kv_memory_leave(disk);
    return result;
}

static int memory_commit(struct kv_session *kv_session, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    int result = 0;
    if (session->in_transaction) {
        transaction_end(session, true);
    } else {
        result = error_set(detail, STOA_EINVAL, "commit outside a transaction");
    }
    kv_memory_leave(disk);
    return result;
}

static void memory_rollback(struct kv_session *kv_session)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    transaction_end(session, false);
    kv_memory_leave(disk);
}

/* OUT_KEY NULL: KEY itself, else the first from KEY on. */
static int read_entry(struct kv_session *kv_session, const char *name, struct bytes key,
                      struct bytes *out_key, struct bytes *out_value, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    struct memory_item *old = session->held; /* released late: KEY may be a view of it */
    session->held = NULL;
    struct memory_table *table;
    struct memory_tree *tree = NULL;
    int result = kv_memory_table_find(session->memory, name, &table, detail);
    if (result == 0 && kv_memory_session_tree(session, table, &tree) != 0) {
        result = kv_memory_exhausted(detail);
    }
    if (result == 0) {
        struct memory_item *item = out_key == NULL ? kv_memory_tree_find(tree, key)
                                                   : kv_memory_tree_near(tree, &key, 1, true);
        if (item == NULL) {
            result = STOA_ENOTFOUND;
        } else {
            session->held = kv_memory_tree_item_take(item);
            *out_value = kv_memory_tree_value(item);
        }
    }
    if (result == 0 && out_key != NULL) {
        *out_key = kv_memory_tree_key(session->held);
    }
    kv_memory_tree_item_release(old);
    kv_memory_leave(disk);
    return result;
}

static int memory_get(struct kv_session *session, const char *name, struct bytes key,
                      struct bytes *out_value, struct error_detail *detail)
{
    return read_entry(session, name, key, NULL, out_value, detail);
}

static int memory_get_from(struct kv_session *session, const char *name, struct bytes from,
                           struct bytes *out_key, struct bytes *out_value,
                           struct error_detail *detail)
{
    return read_entry(session, name, from, out_key, out_value, detail);
}

/* ITEM NULL: remove KEY. */
static int memory_write(struct memory_session *session, const char *name, struct bytes key,
                        struct memory_item *item, struct error_detail *detail)
{
    struct memory_table *table;
    struct memory_tree *tree = NULL;
    int result = kv_memory_table_find(session->memory, name, &table, detail);
    if (result == 0) {
        result = session_write_tree(session, table, &tree, detail);
    }
    if (result == 0) {
        result = item == NULL ? kv_memory_tree_remove(tree, key) : kv_memory_tree_put(tree, item);
    }
    return result == STOA_ENOMEM ? kv_memory_exhausted(detail) : result;
}

static int memory_put(struct kv_session *kv_session, const char *name, struct bytes key,
                      struct bytes value, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct memory_item *item = kv_memory_tree_item(key, value);
    if (item == NULL) {
        return kv_memory_exhausted(detail);
    }
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    kv_memory_tree_item_release(session->held);
    session->held = NULL;
    int result = memory_write(session, name, key, item, detail);
    kv_memory_tree_item_release(item);
    kv_memory_leave(disk);
    return result;
}

static int memory_remove(struct kv_session *kv_session, const char *name, struct bytes key,
                         struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    int result = memory_write(session, name, key, NULL, detail);
    kv_memory_tree_item_release(session->held); /* late: KEY may be a view of it */
    session->held = NULL;
    kv_memory_leave(disk);
    return result;
}

static void durables_release(struct durable *durables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kv_memory_tree_release(&durables[i].tree);
    }
    memory_free(durables);
}

static int memory_checkpoint(struct kv_session *kv_session, struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct memory *memory = session->memory;
    struct kv_memory_disk *disk = kv_memory_enter(memory);
    session_reset(session);
    int result = kv_memory_outside_check(session, "checkpoint", detail);
    struct durable *durables =
        result != 0 ? NULL : memory_alloc_zeroed(memory->table_count, sizeof(*durables));
    if (result == 0 && durables == NULL) {
        result = kv_memory_exhausted(detail);
    }
    if (result == 0) {
        size_t count = 0;
        for (size_t i = 0; i < memory->table_count; i++) {
            struct memory_table *table = memory->tables[i];
            if (table->loading) {
                continue;
            }
            disk->written_bytes += table->tree.dirty_bytes;
            table->tree.dirty_bytes = 0;
            struct durable *durable = &durables[count++];
            memcpy(durable->name, table->name, sizeof(durable->name));
            durable->layout = table->layout;
            durable->tree = kv_memory_tree_take(&table->tree);
        }
        durables_release(disk->durables, disk->durable_count);
        disk->durables = durables;
        disk->durable_count = count;
    }
    kv_memory_leave(disk);
    return result;
}

static void memory_statistics(struct kv_session *kv_session, struct kv_statistics *out_statistics)
{
    struct memory *memory = kv_memory_session_of(kv_session)->memory;
    struct kv_memory_disk *disk = kv_memory_enter(memory);
    struct kv_statistics statistics = {.written_bytes = disk->written_bytes};
    for (size_t i = 0; i < memory->table_count; i++) {
        statistics.cache_bytes += memory->tables[i]->tree.bytes;
        statistics.cache_dirty_bytes += memory->tables[i]->tree.dirty_bytes;
    }
    for (size_t i = 0; i < disk->durable_count; i++) {
        statistics.file_bytes += disk->durables[i].tree.bytes;
    }
    kv_memory_leave(disk);
    *out_statistics = statistics;
}

static int memory_table_size(struct kv_session *kv_session, const char *name,
                             struct kv_table_size *out_size, struct error_detail *detail)
{
    struct memory *memory = kv_memory_session_of(kv_session)->memory;
    struct kv_memory_disk *disk = kv_memory_enter(memory);
    bool found;
    size_t place = kv_memory_table_place(memory, name, &found);
    if (found) {
        *out_size = (struct kv_table_size){.file_bytes = memory->tables[place]->tree.bytes};
    }
    kv_memory_leave(disk);
    return found ? 0 : error_set(detail, STOA_EINVAL, "no table %s", name);
}

/* Nothing in it is free. */
static int memory_table_compact(struct kv_session *kv_session, const char *name, unsigned seconds,
                                struct error_detail *detail)
{
    struct memory_session *session = kv_memory_session_of(kv_session);
    struct kv_memory_disk *disk = kv_memory_enter(session->memory);
    bool found;
    (void)seconds;
    (void)kv_memory_table_place(session->memory, name, &found); /* only whether it is there */
    int result = kv_memory_outside_check(session, "compact a table", detail);
    if (result == 0 && !found) {
        result = error_set(detail, STOA_EINVAL, "no table %s", name);
    }
    kv_memory_leave(disk);
    return result;
}

static const struct kv_ops memory_ops = {
    .name = "memory",
    .close = memory_close,
    .session_open = memory_session_open,
    .session_close = memory_session_close,
    .table_create = memory_table_create,
    .table_drop = memory_table_drop,
    .table_list = memory_table_list,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .get = memory_get,
    .get_from = memory_get_from,
    .put = memory_put,
    .remove = memory_remove,
    .cursor_open = kv_memory_cursor_open,
    .cursor_close = kv_memory_cursor_close,
    .cursor_seek = kv_memory_cursor_seek,
    .cursor_next = kv_memory_cursor_next,
    .cursor_previous = kv_memory_cursor_previous,
    .cursor_current = kv_memory_cursor_current,
    .bulk_open = kv_memory_bulk_open,
    .bulk_put = kv_memory_bulk_put,
    .bulk_close = kv_memory_bulk_close,
    .checkpoint = memory_checkpoint,
    .statistics = memory_statistics,
    .table_size = memory_table_size,
    .table_compact = memory_table_compact,
};

struct kv_memory_disk *kv_memory_disk_create(void)
{
    struct kv_memory_disk *disk = memory_alloc_zeroed(1, sizeof(*disk));
    if (disk != NULL && pthread_mutex_init(&disk->lock, NULL) != 0) {
        memory_free(disk);
        disk = NULL;
    }
    return disk;
}

void kv_memory_disk_destroy(struct kv_memory_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    ensure(!disk->opened);
    durables_release(disk->durables, disk->durable_count);
    int result = pthread_mutex_destroy(&disk->lock);
    ensure(result == 0);
    memory_free(disk);
}

int kv_memory_open(struct kv_memory_disk *disk, struct kv **out_kv, struct error_detail *detail)
{
    struct memory *memory = memory_alloc_zeroed(1, sizeof(*memory));
    if (memory == NULL) {
        return kv_memory_exhausted(detail);
    }
    *memory = (struct memory){.kv.ops = &memory_ops, .disk = disk};
    (void)kv_memory_enter(memory); /* the disk already at hand */
    bool opened = disk->opened;
    int result = 0;
    for (size_t i = 0; !opened && result == 0 && i < disk->durable_count; i++) {
        struct memory_table *table;
        result =
            kv_memory_table_add(memory, disk->durables[i].name, disk->durables[i].layout, &table);
        if (result == 0) {
            table->tree = kv_memory_tree_take(&disk->durables[i].tree);
            table->tree.dirty_bytes = 0;
        }
    }
    disk->opened = true;
    kv_memory_leave(disk);
    if (opened) {
        memory_free(memory);
        return error_set(detail, STOA_ELOCKED, "tables in memory are open already");
    }
    if (result != 0) {
        memory_close(&memory->kv);
        return kv_memory_exhausted(detail);
    }
    *out_kv = &memory->kv;
    return 0;
}
