/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which tables there are.
 *
 * WiredTiger makes the creation and the drop of a table durable at once, ahead of the checkpoint
 * that holds the data that belongs with it. So we keep a catalog, a table like any other: what it
 * names at the last checkpoint is what there was. A file it does not name (made after the
 * checkpoint, or dropped before it) is dropped at open; and a file is dropped only after the
 * checkpoint in which the catalog no longer names it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/kv_private.h"
#include "tables/kv_wiredtiger_home.h"
#include "tables/kv_wiredtiger_private.h"

#define CATALOG_URI "file:catalog.wt"
enum { CATALOG_VERSION = 1, CATALOG_VALUE_SIZE = 10 }; /* version, layout, id (big-endian) */

void kv_wiredtiger_tables_uri(const struct wiredtiger_table *table, char *out_uri)
{
    int length = snprintf(out_uri, WIREDTIGER_FILE_SIZE_MAX, "file:%s.%" PRIu64 ".wt", table->name,
                          table->id);
    ensure(length > 0 && length < WIREDTIGER_FILE_SIZE_MAX);
}

/* Room for one more, so that the insertion that follows cannot fail. */
static int list_reserve(struct wiredtiger_list *list)
{
    if (list->count < list->capacity) {
        return 0;
    }
    size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
    struct wiredtiger_table **tables =
        memory_resize(list->tables, capacity * sizeof(struct wiredtiger_table *));
    if (tables == NULL) {
        return STOA_ENOMEM;
    }
    list->tables = tables;
    list->capacity = capacity;
    return 0;
}

static const char *table_name(const void *tables, size_t index)
{
    return ((struct wiredtiger_table *const *)tables)[index]->name;
}

static size_t list_place(const struct wiredtiger_list *list, const char *name, bool *out_found)
{
    return kv_name_place(name, list->count, table_name, list->tables, out_found);
}

static void list_insert(struct wiredtiger_list *list, size_t place, struct wiredtiger_table *table)
{
    ensure(list->count < list->capacity && place <= list->count);
    memmove(list->tables + place + 1, list->tables + place,
            (list->count - place) * sizeof(list->tables[0]));
    list->tables[place] = table;
    list->count++;
}

static void list_delete(struct wiredtiger_list *list, size_t place)
{
    ensure(place < list->count);
    list->count--;
    memmove(list->tables + place, list->tables + place + 1,
            (list->count - place) * sizeof(list->tables[0]));
}

static void list_deinit(struct wiredtiger_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        memory_free(list->tables[i]);
    }
    memory_free(list->tables);
    *list = (struct wiredtiger_list){.tables = NULL};
}

void kv_wiredtiger_tables_deinit(struct wiredtiger *wiredtiger)
{
    list_deinit(&wiredtiger->tables);
    list_deinit(&wiredtiger->doomed);
}

static struct wiredtiger_table *table_make(const char *name, size_t size)
{
    struct wiredtiger_table *table = memory_alloc_zeroed(1, sizeof(*table));
    if (table != NULL) {
        ensure(size <= KV_NAME_SIZE_MAX);
        memcpy(table->name, name, size);
    }
    return table;
}

/* Add one row of the catalog to the list (rows come in order). */
static int load_row(struct wiredtiger *wiredtiger, const struct kv_wiredtiger_home *home,
                    const WT_ITEM *key, const WT_ITEM *value, struct error_detail *detail)
{
    const uint8_t *data = value->data;
    if (key->size == 0 || key->size > KV_NAME_SIZE_MAX || value->size != CATALOG_VALUE_SIZE ||
        data[0] != CATALOG_VERSION || data[1] > KV_ORDERED) {
        return error_set(detail, STOA_ECORRUPT, "tables in %s: bad row in the catalog",
                         wiredtiger->path);
    }
    struct wiredtiger_table *table = table_make(key->data, key->size);
    if (table == NULL || list_reserve(&wiredtiger->tables) != 0) {
        memory_free(table);
        return error_set(detail, STOA_ENOMEM, "tables in %s: out of memory", wiredtiger->path);
    }
    table->layout = data[1] == KV_POINT ? KV_POINT : KV_ORDERED;
    table->id = bytes_load_be64(data + 2);
    list_insert(&wiredtiger->tables, wiredtiger->tables.count, table);
    if (table->id >= wiredtiger->next_id) {
        wiredtiger->next_id = table->id + 1;
    }
    char uri[WIREDTIGER_FILE_SIZE_MAX];
    kv_wiredtiger_tables_uri(table, uri);
    const char *file = strchr(uri, ':') + 1;
    if (!kv_wiredtiger_home_has(home, file)) {
        return error_set(detail, STOA_ECORRUPT, "tables in %s: %s is missing", wiredtiger->path,
                         file);
    }
    return 0;
}

static int load_rows(struct wiredtiger *wiredtiger, const struct kv_wiredtiger_home *home,
                     struct error_detail *detail)
{
    WT_CURSOR *cursor = NULL;
    int code = wiredtiger->house->open_cursor(wiredtiger->house, CATALOG_URI, NULL, NULL, &cursor);
    int result = 0;
    while (code == 0 && result == 0 && (code = cursor->next(cursor)) == 0) {
        WT_ITEM key;
        WT_ITEM value;
        code = cursor->get_key(cursor, &key);
        code = code != 0 ? code : cursor->get_value(cursor, &value);
        result = code != 0 ? 0 : load_row(wiredtiger, home, &key, &value, detail);
    }
    if (cursor != NULL) {
        int closed = cursor->close(cursor);
        code = code == WT_NOTFOUND ? closed : code;
    }
    if (result == 0 && code != 0) {
        result = kv_wiredtiger_error(wiredtiger, code, NULL, "read the catalog", detail);
    }
    return result;
}

/* Whether FILE is one of WiredTiger's own, the catalog, or a table's. Also learns ids. */
static bool file_is_known(void *context, const char *file)
{
    struct wiredtiger *wiredtiger = context;
    if (strncmp(file, "WiredTiger", strlen("WiredTiger")) == 0 ||
        strcmp(file, strchr(CATALOG_URI, ':') + 1) == 0) {
        return true;
    }
    const char *dot = strchr(file, '.');
    if (dot == NULL || dot - file > KV_NAME_SIZE_MAX) {
        return false;
    }
    char name[KV_NAME_SIZE_MAX + 1] = {0};
    memcpy(name, file, (size_t)(dot - file));
    uint64_t id = strtoull(dot + 1, NULL, 10);
    if (id != UINT64_MAX && id >= wiredtiger->next_id) {
        wiredtiger->next_id = id + 1;
    }
    bool found;
    size_t place = list_place(&wiredtiger->tables, name, &found);
    if (!found) {
        return false;
    }
    char uri[WIREDTIGER_FILE_SIZE_MAX];
    kv_wiredtiger_tables_uri(wiredtiger->tables.tables[place], uri);
    return strcmp(strchr(uri, ':') + 1, file) == 0;
}

/* What WiredTiger knows and the catalog does not. Names end with a zero. */
static int collect_strays(struct wiredtiger *wiredtiger, struct buffer *strays)
{
    WT_SESSION *house = wiredtiger->house;
    WT_CURSOR *cursor = NULL;
    int code = house->open_cursor(house, "metadata:", NULL, NULL, &cursor);
    while (code == 0 && (code = cursor->next(cursor)) == 0) {
        const char *uri;
        code = cursor->get_key(cursor, &uri);
        if (code == 0 && strncmp(uri, "file:", 5) == 0 && !file_is_known(wiredtiger, uri + 5) &&
            buffer_append(strays, uri, strlen(uri) + 1) != 0) {
            code = ENOMEM;
        }
    }
    if (cursor != NULL) {
        int closed = cursor->close(cursor);
        code = code == WT_NOTFOUND ? closed : code;
    }
    return code;
}

static int drop_strays(struct wiredtiger *wiredtiger, struct kv_wiredtiger_home *home,
                       struct error_detail *detail)
{
    struct buffer strays;
    buffer_init(&strays);
    int code = collect_strays(wiredtiger, &strays);
    for (size_t i = 0; code == 0 && i < strays.size;) {
        const char *uri = (const char *)strays.data + i;
        code = wiredtiger->house->drop(wiredtiger->house, uri, "force");
        i += strlen(uri) + 1;
    }
    buffer_deinit(&strays);
    if (code != 0) {
        return kv_wiredtiger_error(wiredtiger, code, NULL, "drop what no checkpoint holds", detail);
    }
    return kv_wiredtiger_home_sweep(home, file_is_known, wiredtiger, detail);
}

int kv_wiredtiger_tables_load(struct wiredtiger *wiredtiger, struct kv_wiredtiger_home *home,
                              bool empty, struct error_detail *detail)
{
    WT_SESSION *house = wiredtiger->house;
    wiredtiger->next_id = 1;
    if (empty) {
        int code = house->create(house, CATALOG_URI, "key_format=u,value_format=u");
        code = code != 0 ? code : house->checkpoint(house, NULL);
        return code == 0 ? 0
                         : kv_wiredtiger_error(wiredtiger, code, NULL, "make the catalog", detail);
    }
    int result = load_rows(wiredtiger, home, detail);
    return result != 0 ? result : drop_strays(wiredtiger, home, detail);
}

int kv_wiredtiger_tables_find(struct wiredtiger *wiredtiger, const char *name, bool use,
                              struct wiredtiger_table **out_table, struct error_detail *detail)
{
    kv_wiredtiger_lock(&wiredtiger->lock);
    bool found;
    size_t place = list_place(&wiredtiger->tables, name, &found);
    struct wiredtiger_table *table = found ? wiredtiger->tables.tables[place] : NULL;
    found = found && !table->loading;
    if (found) {
        table->uses += use;
        *out_table = table;
    }
    kv_wiredtiger_unlock(&wiredtiger->lock);
    return found ? 0 : error_set(detail, STOA_EINVAL, "no table %s", name);
}

void kv_wiredtiger_tables_unuse(struct wiredtiger *wiredtiger, struct wiredtiger_table *table)
{
    kv_wiredtiger_lock(&wiredtiger->lock);
    ensure(table->uses != 0);
    table->uses--;
    kv_wiredtiger_unlock(&wiredtiger->lock);
}

/* Write (TABLE) or remove (by NAME, TABLE NULL) a row of the catalog. */
static int catalog_write(struct wiredtiger_session *session, const char *name,
                         const struct wiredtiger_table *table, struct error_detail *detail)
{
    uint8_t row[CATALOG_VALUE_SIZE] = {CATALOG_VERSION};
    WT_ITEM key = {.data = name, .size = strlen(name)};
    WT_ITEM value = {.data = row, .size = sizeof(row)};
    WT_CURSOR *cursor = NULL;
    int code = session->wt->open_cursor(session->wt, CATALOG_URI, NULL, NULL, &cursor);
    if (code == 0) {
        cursor->set_key(cursor, &key);
        if (table != NULL) {
            row[1] = (uint8_t)table->layout;
            bytes_store_be64(row + 2, table->id);
            cursor->set_value(cursor, &value);
            code = cursor->insert(cursor);
        } else {
            code = cursor->remove(cursor);
        }
        int closed = cursor->close(cursor);
        code = code != 0 ? code : closed;
    }
    atomic_fetch_add_explicit(&session->wiredtiger->write_count, 1, memory_order_relaxed);
    return code == 0
               ? 0
               : kv_wiredtiger_error(session->wiredtiger, code, name, "write the catalog", detail);
}

static const char *layout_config(enum kv_layout layout)
{
    return layout == KV_POINT ? "key_format=u,value_format=u,allocation_size=4KB,"
                                "internal_page_max=8KB,leaf_page_max=8KB"
                              : "key_format=u,value_format=u,allocation_size=4KB,"
                                "internal_page_max=16KB,leaf_page_max=32KB,"
                                "prefix_compression=true";
}

/* Make the file of TABLE and enter it, under schema_lock. */
static int create_file(struct wiredtiger_session *session, struct wiredtiger_table *table,
                       struct error_detail *detail)
{
    char uri[WIREDTIGER_FILE_SIZE_MAX];
    kv_wiredtiger_tables_uri(table, uri);
    int code = session->wt->create(session->wt, uri, layout_config(table->layout));
    if (code != 0) {
        return kv_wiredtiger_error(session->wiredtiger, code, table->name, "create", detail);
    }
    int result = table->loading ? 0 : catalog_write(session, table->name, table, detail);
    if (result != 0) {
        (void)session->wt->drop(session->wt, uri, NULL); /* if that fails, at the next open */
    }
    return result;
}

int kv_wiredtiger_tables_create(struct wiredtiger_session *session, const char *name,
                                enum kv_layout layout, bool loading,
                                struct wiredtiger_table **out_table, struct error_detail *detail)
{
    struct wiredtiger *wiredtiger = session->wiredtiger;
    int result = 0;
    kv_wiredtiger_lock(&wiredtiger->schema_lock);
    kv_wiredtiger_lock(&wiredtiger->lock);
    bool found;
    size_t place = list_place(&wiredtiger->tables, name, &found);
    bool busy = found && wiredtiger->tables.tables[place]->loading;
    bool room = list_reserve(&wiredtiger->tables) == 0;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    struct wiredtiger_table *table = NULL;
    if (busy && !loading) {
        result = error_set(detail, STOA_EBUSY, "table %s is being loaded", name);
    } else if (found) {
        result = error_set(detail, STOA_EEXISTS, "table %s exists", name);
    } else if (!room || (table = table_make(name, strlen(name))) == NULL) {
        result = error_set(detail, STOA_ENOMEM, "table %s: out of memory", name);
    } else {
        table->layout = layout;
        table->loading = loading;
        table->uses = loading;
        table->id = wiredtiger->next_id++;
        result = create_file(session, table, detail);
    }
    if (result == 0) {
        kv_wiredtiger_lock(&wiredtiger->lock);
        list_insert(&wiredtiger->tables, place, table);
        kv_wiredtiger_unlock(&wiredtiger->lock);
    }
    kv_wiredtiger_unlock(&wiredtiger->schema_lock);
    if (result != 0) {
        memory_free(table);
        return result;
    }
    *out_table = table;
    return 0;
}

/* Take TABLE from the tables and put it among the doomed. There is room. */
static void doom(struct wiredtiger *wiredtiger, struct wiredtiger_table *table)
{
    bool found;
    size_t place = list_place(&wiredtiger->tables, table->name, &found);
    ensure(found && wiredtiger->tables.tables[place] == table);
    list_delete(&wiredtiger->tables, place);
    table->dropped = true;
    table->loading = false;
    list_insert(&wiredtiger->doomed, wiredtiger->doomed.count, table);
    atomic_fetch_add_explicit(&wiredtiger->drop_count, 1, memory_order_release);
    atomic_fetch_add_explicit(&wiredtiger->write_count, 1, memory_order_relaxed);
}

int kv_wiredtiger_tables_loaded(struct wiredtiger_session *session, struct wiredtiger_table *table,
                                int failure, struct error_detail *detail)
{
    struct wiredtiger *wiredtiger = session->wiredtiger;
    kv_wiredtiger_lock(&wiredtiger->schema_lock);
    int result = failure != 0 ? failure : catalog_write(session, table->name, table, detail);
    kv_wiredtiger_lock(&wiredtiger->lock);
    table->uses--;
    if (result == 0) {
        table->loading = false;
    } else if (list_reserve(&wiredtiger->doomed) == 0) {
        doom(wiredtiger, table);
    } /* else the name stays taken until the next open drops the file */
    kv_wiredtiger_unlock(&wiredtiger->lock);
    kv_wiredtiger_unlock(&wiredtiger->schema_lock);
    return result;
}

int kv_wiredtiger_tables_drop(struct wiredtiger_session *session, const char *name,
                              struct error_detail *detail)
{
    struct wiredtiger *wiredtiger = session->wiredtiger;
    kv_wiredtiger_lock(&wiredtiger->schema_lock);
    kv_wiredtiger_lock(&wiredtiger->lock);
    bool found;
    size_t place = list_place(&wiredtiger->tables, name, &found);
    struct wiredtiger_table *table = found ? wiredtiger->tables.tables[place] : NULL;
    int result = 0;
    if (table == NULL) {
        result = error_set(detail, STOA_ENOTFOUND, "no table %s", name);
    } else if (table->loading || table->uses != 0) {
        result = error_set(detail, STOA_EBUSY, "table %s is in use", name);
    } else if (list_reserve(&wiredtiger->doomed) != 0) {
        result = error_set(detail, STOA_ENOMEM, "table %s: out of memory", name);
    } else {
        table->loading = true; /* nobody may open it meanwhile */
    }
    kv_wiredtiger_unlock(&wiredtiger->lock);
    if (result == 0) {
        result = catalog_write(session, name, NULL, detail);
        kv_wiredtiger_lock(&wiredtiger->lock);
        if (result == 0) {
            doom(wiredtiger, table);
        } else {
            table->loading = false;
        }
        kv_wiredtiger_unlock(&wiredtiger->lock);
    }
    kv_wiredtiger_unlock(&wiredtiger->schema_lock);
    return result;
}

uint64_t kv_wiredtiger_tables_bytes(struct wiredtiger_session *session)
{
    struct wiredtiger *wiredtiger = session->wiredtiger;
    struct buffer uris;
    buffer_init(&uris);
    kv_wiredtiger_lock(&wiredtiger->lock);
    int result = 0;
    const struct wiredtiger_list *lists[] = {&wiredtiger->tables, &wiredtiger->doomed};
    for (size_t i = 0; i < wiredtiger->tables.count + wiredtiger->doomed.count; i++) {
        bool doomed = i >= wiredtiger->tables.count;
        char uri[WIREDTIGER_FILE_SIZE_MAX];
        kv_wiredtiger_tables_uri(lists[doomed]->tables[i - (doomed ? lists[0]->count : 0)], uri);
        result = result != 0 ? result : buffer_append(&uris, uri, strlen(uri) + 1);
    }
    kv_wiredtiger_unlock(&wiredtiger->lock);
    uint64_t bytes = 0;
    for (size_t i = 0; i < uris.size;) {
        const char *uri = (const char *)uris.data + i;
        char source[WIREDTIGER_FILE_SIZE_MAX + 16];
        snprintf(source, sizeof(source), "statistics:%s", uri);
        bytes += kv_wiredtiger_statistic(session, source, WT_STAT_DSRC_BLOCK_SIZE);
        i += strlen(uri) + 1;
    }
    buffer_deinit(&uris);
    return bytes;
}

int kv_wiredtiger_tables_names(struct wiredtiger *wiredtiger, struct buffer *names)
{
    int result = 0;
    kv_wiredtiger_lock(&wiredtiger->lock);
    for (size_t i = 0; result == 0 && i < wiredtiger->tables.count; i++) {
        const struct wiredtiger_table *table = wiredtiger->tables.tables[i];
        result = table->loading ? 0 : buffer_append(names, table->name, strlen(table->name) + 1);
    }
    kv_wiredtiger_unlock(&wiredtiger->lock);
    return result;
}

/* Close every session's cached cursor on TABLE. False: a session is in the middle of a call. */
static bool forget_everywhere(struct wiredtiger *wiredtiger, struct wiredtiger_session *self,
                              const struct wiredtiger_table *table)
{
    bool all = true;
    kv_wiredtiger_lock(&wiredtiger->lock);
    for (struct wiredtiger_session *session = wiredtiger->sessions; session != NULL && all;
         session = session->next) {
        if (session == self) {
            kv_wiredtiger_forget_table(session, table);
        } else if (pthread_mutex_trylock(&session->lock) == 0) {
            all = !session->in_transaction; /* it may have written to the table */
            if (all) {
                kv_wiredtiger_forget_table(session, table);
            }
            kv_wiredtiger_unlock(&session->lock);
        } else {
            all = false;
        }
    }
    kv_wiredtiger_unlock(&wiredtiger->lock);
    return all;
}

void kv_wiredtiger_tables_bury(struct wiredtiger *wiredtiger, struct wiredtiger_session *self,
                               size_t count)
{
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        kv_wiredtiger_lock(&wiredtiger->lock);
        ensure(place < wiredtiger->doomed.count);
        struct wiredtiger_table *table = wiredtiger->doomed.tables[place];
        kv_wiredtiger_unlock(&wiredtiger->lock);
        char uri[WIREDTIGER_FILE_SIZE_MAX];
        kv_wiredtiger_tables_uri(table, uri);
        kv_wiredtiger_lock(&wiredtiger->schema_lock);
        bool gone = forget_everywhere(wiredtiger, self, table) &&
                    wiredtiger->house->drop(wiredtiger->house, uri, "force") == 0;
        kv_wiredtiger_unlock(&wiredtiger->schema_lock);
        if (!gone) {
            place++;
            continue;
        }
        kv_wiredtiger_lock(&wiredtiger->lock);
        list_delete(&wiredtiger->doomed, place);
        kv_wiredtiger_unlock(&wiredtiger->lock);
        memory_free(table);
    }
}
