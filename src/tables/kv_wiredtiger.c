/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv.h over WiredTiger 3.2.1, its log switched off: what is durable is what the last checkpoint
 * holds. Which tables there are: kv_wiredtiger_tables.c; what a caller has open:
 * kv_wiredtiger_cursor.c.
 *
 * Each session keeps a WiredTiger cursor open for each table it has used lately, so that a get
 * opens nothing. These cursors are never left positioned (a positioned one pins pages and a
 * snapshot), so values are copied out.
 *
 * WiredTiger's close would write a checkpoint. Ours must not, where something was written since the
 * last one: the caller closes without a checkpoint because it wants what was not checkpointed gone,
 * and often because the store failed. Then the library is put into the state that a failed write
 * puts it in, in which it writes no more. Its cache is not freed in that case. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/kv_private.h"
#include "tables/kv_wiredtiger_home.h"
#include "tables/kv_wiredtiger_private.h"

/* Exported by WiredTiger 3.2, in no header of it. Where a version has none, a close checkpoints. */
extern int __wt_panic(WT_SESSION *session) __attribute__((weak));

static struct wiredtiger *wiredtiger_of_handler(WT_EVENT_HANDLER *handler)
{
    return (struct wiredtiger *)(void *)((char *)handler - offsetof(struct wiredtiger, handler));
}

/* Any thread, WiredTiger's own included, under any of our locks. */
static int handle_error(WT_EVENT_HANDLER *handler, WT_SESSION *session, int code, const char *text)
{
    (void)session;
    struct wiredtiger *wiredtiger = wiredtiger_of_handler(handler);
    bool too_short = code == WT_ERROR && strstr(text, "failed to read") != NULL;
    if (code == WT_TRY_SALVAGE || too_short || strstr(text, "checksum") != NULL ||
        strstr(text, "read error") != NULL || strstr(text, "corrupt") != NULL) {
        atomic_store_explicit(&wiredtiger->damaged, true, memory_order_relaxed);
    }
    kv_wiredtiger_lock(&wiredtiger->message_lock);
    /* The first message tells the cause, what follows a panic only says that there was one. */
    if (code != WT_PANIC || wiredtiger->message[0] == '\0') {
        snprintf(wiredtiger->message, sizeof(wiredtiger->message), "%s", text);
    }
    kv_wiredtiger_unlock(&wiredtiger->message_lock);
    return 0;
}

static int handle_message(WT_EVENT_HANDLER *handler, WT_SESSION *session, const char *text)
{
    (void)handler;
    (void)session;
    (void)text;
    return 0;
}

static int map_code(struct wiredtiger *wiredtiger, int code)
{
    bool damaged = atomic_load_explicit(&wiredtiger->damaged, memory_order_relaxed);
    switch (code) {
    case WT_NOTFOUND:
        return STOA_ENOTFOUND;
    case WT_ROLLBACK:
    case WT_CACHE_FULL:
    case WT_PREPARE_CONFLICT:
        return STOA_EBUSY;
    case WT_DUPLICATE_KEY:
        return STOA_EEXISTS;
    case WT_TRY_SALVAGE:
    case WT_ERROR: /* what the system fails at has an errno: this is about a file's contents */
    case ENOENT:   /* a file that the catalog names */
        return STOA_ECORRUPT;
    case WT_PANIC:
    case WT_RUN_RECOVERY:
        return damaged ? STOA_ECORRUPT : STOA_ESTOPPED;
    default:
        return code > 0 ? error_from_errno(code) : STOA_EIO;
    }
}

int kv_wiredtiger_error(struct wiredtiger *wiredtiger, int code, const char *name, const char *what,
                        struct error_detail *detail)
{
    ensure(code != 0);
    int mapped = map_code(wiredtiger, code);
    char message[WIREDTIGER_MESSAGE_SIZE];
    kv_wiredtiger_lock(&wiredtiger->message_lock);
    memcpy(message, wiredtiger->message, sizeof(message));
    if (code != WT_PANIC) {
        wiredtiger->message[0] = '\0';
    }
    kv_wiredtiger_unlock(&wiredtiger->message_lock);
    error_set(detail, mapped, "%s%s%s: %s%s%s", name != NULL ? "table " : "tables",
              name != NULL ? name : "", name != NULL ? "" : "", what, ": ",
              message[0] != '\0' ? message : wiredtiger_strerror(code));
    if (detail != NULL && code > 0) {
        detail->os_error = code;
    }
    return mapped;
}

static void slot_close(struct wiredtiger_session *session, struct wiredtiger_slot *slot)
{
    (void)slot->cursor->close(slot->cursor); /* fails only where all else fails too */
    *slot = (struct wiredtiger_slot){.table = NULL};
    session->slot_count--;
}

static void forget(struct wiredtiger_session *session)
{
    for (size_t i = 0; i < WIREDTIGER_SLOTS; i++) {
        if (session->slots[i].cursor != NULL) {
            slot_close(session, &session->slots[i]);
        }
    }
    ensure(session->slot_count == 0);
}

static size_t slot_start(const char *name)
{
    return XXH3_64bits(name, strlen(name)) & (WIREDTIGER_SLOTS - 1);
}

/* After some slots went: put every other where a search finds it. */
static void slots_rehash(struct wiredtiger_session *session)
{
    struct wiredtiger_slot old[WIREDTIGER_SLOTS];
    memcpy(old, session->slots, sizeof(old));
    memset(session->slots, 0, sizeof(session->slots));
    for (size_t i = 0; i < WIREDTIGER_SLOTS; i++) {
        if (old[i].cursor != NULL) {
            size_t place = slot_start(old[i].table->name);
            while (session->slots[place].cursor != NULL) {
                place = (place + 1) & (WIREDTIGER_SLOTS - 1);
            }
            session->slots[place] = old[i];
        }
    }
}

static void forget_dropped(struct wiredtiger_session *session)
{
    unsigned before = session->slot_count;
    kv_wiredtiger_lock(&session->wiredtiger->lock);
    bool dropped[WIREDTIGER_SLOTS];
    for (size_t i = 0; i < WIREDTIGER_SLOTS; i++) {
        dropped[i] = session->slots[i].cursor != NULL && session->slots[i].table->dropped;
    }
    kv_wiredtiger_unlock(&session->wiredtiger->lock);
    for (size_t i = 0; i < WIREDTIGER_SLOTS; i++) {
        if (dropped[i]) {
            slot_close(session, &session->slots[i]);
        }
    }
    if (session->slot_count != before) {
        slots_rehash(session);
    }
}

void kv_wiredtiger_forget_table(struct wiredtiger_session *session,
                                const struct wiredtiger_table *table)
{
    for (size_t i = 0; i < WIREDTIGER_SLOTS; i++) {
        if (session->slots[i].table == table) {
            slot_close(session, &session->slots[i]);
            slots_rehash(session);
            return;
        }
    }
}

struct wiredtiger_session *kv_wiredtiger_enter(struct kv_session *kv_session)
{
    struct wiredtiger_session *session = (struct wiredtiger_session *)kv_session;
    kv_wiredtiger_lock(&session->lock);
    uint_fast64_t drops =
        atomic_load_explicit(&session->wiredtiger->drop_count, memory_order_acquire);
    if (drops != session->drop_count_seen) {
        forget_dropped(session);
        session->drop_count_seen = drops;
    }
    return session;
}

int kv_wiredtiger_outside_check(const struct wiredtiger_session *session, const char *what,
                                struct error_detail *detail)
{
    return session->in_transaction ? error_set(detail, STOA_EINVAL, "%s inside a transaction", what)
                                   : 0;
}

int kv_wiredtiger_open_cursor(struct wiredtiger_session *session,
                              const struct wiredtiger_table *table, const char *config,
                              WT_CURSOR **out_cursor, struct error_detail *detail)
{
    char uri[WIREDTIGER_FILE_SIZE_MAX];
    kv_wiredtiger_tables_uri(table, uri);
    int code = session->wt->open_cursor(session->wt, uri, NULL, config, out_cursor);
    return code == 0
               ? 0
               : kv_wiredtiger_error(session->wiredtiger, code, table->name, "open cursor", detail);
}

/* The session's own cursor on table NAME, nowhere. */
static int cached_cursor(struct wiredtiger_session *session, const char *name,
                         WT_CURSOR **out_cursor, struct error_detail *detail)
{
    size_t place = slot_start(name);
    while (session->slots[place].cursor != NULL) {
        if (strcmp(session->slots[place].table->name, name) == 0) {
            *out_cursor = session->slots[place].cursor;
            return 0;
        }
        place = (place + 1) & (WIREDTIGER_SLOTS - 1);
    }
    if (session->slot_count == WIREDTIGER_SLOTS_USED) {
        forget(session);
        place = slot_start(name);
    }
    struct wiredtiger_table *table;
    int result = kv_wiredtiger_tables_find(session->wiredtiger, name, false, &table, detail);
    if (result == 0) {
        result = kv_wiredtiger_open_cursor(session, table, NULL, out_cursor, detail);
    }
    if (result == 0) {
        session->slots[place] = (struct wiredtiger_slot){.table = table, .cursor = *out_cursor};
        session->slot_count++;
    }
    return result;
}

static void count_write(struct wiredtiger_session *session)
{
    atomic_fetch_add_explicit(&session->wiredtiger->write_count, 1, memory_order_relaxed);
}

static void wiredtiger_destroy(struct wiredtiger *wiredtiger)
{
    if (wiredtiger == NULL) {
        return;
    }
    if (wiredtiger->connection != NULL) {
        /* What is written is written: nothing is left to do about an error here. */
        (void)wiredtiger->connection->close(wiredtiger->connection, NULL);
    }
    kv_wiredtiger_tables_deinit(wiredtiger);
    int result = pthread_mutex_destroy(&wiredtiger->checkpoint_lock);
    ensure(result == 0);
    result = pthread_mutex_destroy(&wiredtiger->schema_lock);
    ensure(result == 0);
    result = pthread_mutex_destroy(&wiredtiger->lock);
    ensure(result == 0);
    result = pthread_mutex_destroy(&wiredtiger->message_lock);
    ensure(result == 0);
    memory_free(wiredtiger->path);
    memory_free(wiredtiger);
}

static void wiredtiger_close(struct kv *kv)
{
    struct wiredtiger *wiredtiger = (struct wiredtiger *)kv;
    ensure(wiredtiger->session_count == 0 && wiredtiger->sessions == NULL);
    bool clean = atomic_load_explicit(&wiredtiger->write_count, memory_order_relaxed) ==
                 atomic_load_explicit(&wiredtiger->durable_count, memory_order_relaxed);
    if (!clean && __wt_panic != NULL) {
        (void)__wt_panic(wiredtiger->house); /* says that it panicked */
    }
    wiredtiger_destroy(wiredtiger);
}

static int wiredtiger_session_open(struct kv *kv, struct kv_session **out_session,
                                   struct error_detail *detail)
{
    struct wiredtiger *wiredtiger = (struct wiredtiger *)kv;
    kv_wiredtiger_lock(&wiredtiger->lock);
    bool room = wiredtiger->session_count < wiredtiger->sessions_max;
    wiredtiger->session_count += room;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    if (!room) {
        return error_set(detail, STOA_EBUSY, "all %u table sessions are in use",
                         wiredtiger->sessions_max);
    }
    int result = 0;
    struct wiredtiger_session *session = memory_alloc_zeroed(1, sizeof(*session));
    if (session == NULL || pthread_mutex_init(&session->lock, NULL) != 0) {
        result = error_set(detail, STOA_ENOMEM, "open table session: out of memory");
        goto fail;
    }
    int code =
        wiredtiger->connection->open_session(wiredtiger->connection, NULL, NULL, &session->wt);
    if (code != 0) {
        (void)pthread_mutex_destroy(&session->lock); /* free, and never used */
        result = kv_wiredtiger_error(wiredtiger, code, NULL, "open session", detail);
        goto fail;
    }
    session->session.kv = kv;
    session->wiredtiger = wiredtiger;
    buffer_init(&session->key);
    buffer_init(&session->value);
    kv_wiredtiger_lock(&wiredtiger->lock);
    session->next = wiredtiger->sessions;
    wiredtiger->sessions = session;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    *out_session = &session->session;
    return 0;

fail:
    memory_free(session);
    kv_wiredtiger_lock(&wiredtiger->lock);
    wiredtiger->session_count--;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    return result;
}

static void wiredtiger_session_close(struct kv_session *kv_session)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger *wiredtiger = session->wiredtiger;
    if (session->in_transaction) {
        session->in_transaction = false;
        (void)session->wt->rollback_transaction(session->wt, NULL); /* nothing stays either way */
    }
    kv_wiredtiger_cursors_end(session);
    forget(session);
    kv_wiredtiger_unlock(&session->lock); /* its turn comes before lock's in the order */
    kv_wiredtiger_lock(&wiredtiger->lock);
    struct wiredtiger_session **link = &wiredtiger->sessions;
    while (*link != session) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = session->next;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    (void)session->wt->close(session->wt, NULL); /* nothing is left in it */
    kv_wiredtiger_lock(&wiredtiger->lock);
    wiredtiger->session_count--;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    int result = pthread_mutex_destroy(&session->lock);
    ensure(result == 0);
    buffer_deinit(&session->key);
    buffer_deinit(&session->value);
    memory_free(session);
}

static int wiredtiger_table_create(struct kv_session *kv_session, const char *name,
                                   enum kv_layout layout, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger_table *table;
    int result = kv_wiredtiger_outside_check(session, "create a table", detail);
    if (result == 0) {
        result = kv_wiredtiger_tables_create(session, name, layout, false, &table, detail);
    }
    kv_wiredtiger_unlock(&session->lock);
    return result == STOA_EEXISTS ? 0 : result;
}

static int wiredtiger_table_drop(struct kv_session *kv_session, const char *name,
                                 struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    int result = kv_wiredtiger_outside_check(session, "drop a table", detail);
    if (result == 0) {
        result = kv_wiredtiger_tables_drop(session, name, detail);
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static int wiredtiger_table_list(struct kv_session *kv_session,
                                 void (*entry)(void *context, const char *table), void *context,
                                 struct error_detail *detail)
{
    struct wiredtiger *wiredtiger = (struct wiredtiger *)kv_session->kv;
    struct buffer names;
    buffer_init(&names);
    int result = kv_wiredtiger_tables_names(wiredtiger, &names);
    for (size_t i = 0; result == 0 && i < names.size;) {
        const char *name = (const char *)names.data + i;
        entry(context, name);
        i += strlen(name) + 1;
    }
    buffer_deinit(&names);
    return result == 0 ? 0 : error_set(detail, STOA_ENOMEM, "list tables: out of memory");
}

static int wiredtiger_begin(struct kv_session *kv_session, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    int result = kv_wiredtiger_outside_check(session, "begin", detail);
    if (result == 0) {
        kv_wiredtiger_cursors_reset(session);
        int code = session->wt->begin_transaction(session->wt, "isolation=snapshot");
        session->in_transaction = code == 0;
        result =
            code == 0 ? 0 : kv_wiredtiger_error(session->wiredtiger, code, NULL, "begin", detail);
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static int wiredtiger_commit(struct kv_session *kv_session, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    int result = 0;
    if (!session->in_transaction) {
        result = error_set(detail, STOA_EINVAL, "commit outside a transaction");
    } else {
        session->in_transaction = false;
        count_write(session);
        int code = session->wt->commit_transaction(session->wt, NULL);
        kv_wiredtiger_cursors_reset(session);
        result =
            code == 0 ? 0 : kv_wiredtiger_error(session->wiredtiger, code, NULL, "commit", detail);
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static void wiredtiger_rollback(struct kv_session *kv_session)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    if (session->in_transaction) {
        session->in_transaction = false;
        /* Where it fails the library has panicked, and every later call says so. */
        (void)session->wt->rollback_transaction(session->wt, NULL);
        kv_wiredtiger_cursors_reset(session);
    }
    kv_wiredtiger_unlock(&session->lock);
}

/* What the cursor stands on goes to the session's buffers: WiredTiger's error code. */
static int keep_entry(struct wiredtiger_session *session, WT_CURSOR *cursor)
{
    WT_ITEM key = {.data = NULL};
    WT_ITEM value = {.data = NULL};
    int code = cursor->get_key(cursor, &key);
    code = code != 0 ? code : cursor->get_value(cursor, &value);
    buffer_clear(&session->key);
    buffer_clear(&session->value);
    if (code == 0 && (buffer_append(&session->key, key.data, key.size) != 0 ||
                      buffer_append(&session->value, value.data, value.size) != 0)) {
        code = ENOMEM;
    }
    return code;
}

/* OUT_KEY NULL: KEY itself, else the first from KEY on. */
static int read_entry(struct kv_session *kv_session, const char *name, struct bytes key,
                      struct bytes *out_key, struct bytes *out_value, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    WT_CURSOR *cursor;
    int result = cached_cursor(session, name, &cursor, detail);
    if (result == 0) {
        WT_ITEM item = {.data = key.data, .size = key.size};
        int side = 0;
        cursor->set_key(cursor, &item);
        int code = out_key == NULL ? cursor->search(cursor) : cursor->search_near(cursor, &side);
        code = code == 0 && side < 0 ? cursor->next(cursor) : code;
        code = code == 0 ? keep_entry(session, cursor) : code;
        int reset = cursor->reset(cursor);
        code = code != 0 ? code : reset;
        if (code == 0) {
            *out_value = buffer_bytes(&session->value);
        } else if (code == WT_NOTFOUND) {
            result = STOA_ENOTFOUND;
        } else {
            result = kv_wiredtiger_error(session->wiredtiger, code, name, "get", detail);
        }
        if (code == 0 && out_key != NULL) {
            *out_key = buffer_bytes(&session->key);
        }
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static int wiredtiger_get(struct kv_session *session, const char *name, struct bytes key,
                          struct bytes *out_value, struct error_detail *detail)
{
    return read_entry(session, name, key, NULL, out_value, detail);
}

static int wiredtiger_get_from(struct kv_session *session, const char *name, struct bytes from,
                               struct bytes *out_key, struct bytes *out_value,
                               struct error_detail *detail)
{
    return read_entry(session, name, from, out_key, out_value, detail);
}

/* VALUE NULL: remove. */
static int write_entry(struct kv_session *kv_session, const char *name, struct bytes key,
                       const struct bytes *value, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    WT_CURSOR *cursor;
    int result = cached_cursor(session, name, &cursor, detail);
    if (result == 0) {
        WT_ITEM item = {.data = key.data, .size = key.size};
        cursor->set_key(cursor, &item);
        if (value != NULL) {
            WT_ITEM content = {.data = value->data, .size = value->size};
            cursor->set_value(cursor, &content);
        }
        int code = value != NULL ? cursor->insert(cursor) : cursor->remove(cursor);
        int reset = cursor->reset(cursor);
        code = code == WT_NOTFOUND ? 0 : code;
        code = code != 0 ? code : reset;
        count_write(session);
        if (code != 0) {
            result = kv_wiredtiger_error(session->wiredtiger, code, name,
                                         value != NULL ? "put" : "remove", detail);
        }
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static int wiredtiger_put(struct kv_session *session, const char *name, struct bytes key,
                          struct bytes value, struct error_detail *detail)
{
    return write_entry(session, name, key, &value, detail);
}

static int wiredtiger_remove(struct kv_session *session, const char *name, struct bytes key,
                             struct error_detail *detail)
{
    return write_entry(session, name, key, NULL, detail);
}

static int wiredtiger_checkpoint(struct kv_session *kv_session, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger *wiredtiger = session->wiredtiger;
    int result = kv_wiredtiger_outside_check(session, "checkpoint", detail);
    if (result != 0) {
        kv_wiredtiger_unlock(&session->lock);
        return result;
    }
    kv_wiredtiger_cursors_reset(session);
    kv_wiredtiger_lock(&wiredtiger->checkpoint_lock);
    uint_fast64_t writes = atomic_load_explicit(&wiredtiger->write_count, memory_order_relaxed);
    kv_wiredtiger_lock(&wiredtiger->lock);
    size_t doomed = wiredtiger->doomed.count;
    kv_wiredtiger_unlock(&wiredtiger->lock);
    int code = session->wt->checkpoint(session->wt, NULL);
    if (code == 0) {
        atomic_store_explicit(&wiredtiger->durable_count, writes, memory_order_relaxed);
        kv_wiredtiger_tables_bury(wiredtiger, session, doomed);
    } else {
        result = kv_wiredtiger_error(wiredtiger, code, NULL, "checkpoint", detail);
    }
    kv_wiredtiger_unlock(&wiredtiger->checkpoint_lock);
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static uint64_t statistic_of(struct wiredtiger_session *session, const char *source,
                             const char *config, int key)
{
    const char *description;
    const char *text;
    int64_t value = 0;
    WT_CURSOR *cursor;
    if (session->wt->open_cursor(session->wt, source, NULL, config, &cursor) != 0) {
        return 0;
    }
    cursor->set_key(cursor, key);
    if (cursor->search(cursor) != 0 ||
        cursor->get_value(cursor, &description, &text, &value) != 0) {
        value = 0;
    }
    (void)cursor->close(cursor); /* read only */
    return value < 0 ? 0 : (uint64_t)value;
}

uint64_t kv_wiredtiger_statistic(struct wiredtiger_session *session, const char *source, int key)
{
    bool connection = source[strlen("statistics:")] == '\0';
    return statistic_of(session, source, connection ? "statistics=(fast)" : "statistics=(size)",
                        key);
}

static void wiredtiger_statistics(struct kv_session *kv_session,
                                  struct kv_statistics *out_statistics)
{
    static const char source[] = "statistics:";
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    *out_statistics = (struct kv_statistics){
        .cache_bytes = kv_wiredtiger_statistic(session, source, WT_STAT_CONN_CACHE_BYTES_INUSE),
        .cache_dirty_bytes =
            kv_wiredtiger_statistic(session, source, WT_STAT_CONN_CACHE_BYTES_DIRTY),
        .read_bytes = kv_wiredtiger_statistic(session, source, WT_STAT_CONN_BLOCK_BYTE_READ),
        .written_bytes = kv_wiredtiger_statistic(session, source, WT_STAT_CONN_BLOCK_BYTE_WRITE),
        .lookaside_entries =
            kv_wiredtiger_statistic(session, source, WT_STAT_CONN_CACHE_LOOKASIDE_ENTRIES),
        .file_bytes = kv_wiredtiger_tables_bytes(session),
    };
    kv_wiredtiger_unlock(&session->lock);
}

static int wiredtiger_table_size(struct kv_session *kv_session, const char *name,
                                 struct kv_table_size *out_size, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger_table *table;
    int result = kv_wiredtiger_tables_find(session->wiredtiger, name, true, &table, detail);
    if (result == 0) {
        char uri[WIREDTIGER_FILE_SIZE_MAX];
        char source[WIREDTIGER_FILE_SIZE_MAX + 16];
        kv_wiredtiger_tables_uri(table, uri);
        snprintf(source, sizeof(source), "statistics:%s", uri);
        *out_size = (struct kv_table_size){
            .file_bytes =
                statistic_of(session, source, "statistics=(fast)", WT_STAT_DSRC_BLOCK_SIZE),
            .free_bytes =
                statistic_of(session, source, "statistics=(fast)", WT_STAT_DSRC_BLOCK_REUSE_BYTES),
        };
        kv_wiredtiger_tables_unuse(session->wiredtiger, table);
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

/* The checkpoints that it makes are over all tables, so the catalog is in them as well. */
static int wiredtiger_table_compact(struct kv_session *kv_session, const char *name,
                                    unsigned seconds, struct error_detail *detail)
{
    struct wiredtiger_session *session = kv_wiredtiger_enter(kv_session);
    struct wiredtiger *wiredtiger = session->wiredtiger;
    struct wiredtiger_table *table = NULL;
    int result = kv_wiredtiger_outside_check(session, "compact a table", detail);
    if (result == 0) {
        kv_wiredtiger_cursors_reset(session);
        result = kv_wiredtiger_tables_find(wiredtiger, name, true, &table, detail);
    }
    if (result == 0) {
        char uri[WIREDTIGER_FILE_SIZE_MAX];
        char config[32];
        kv_wiredtiger_tables_uri(table, uri);
        snprintf(config, sizeof(config), "timeout=%u", seconds);
        kv_wiredtiger_lock(&wiredtiger->checkpoint_lock);
        int code = session->wt->compact(session->wt, uri, config);
        kv_wiredtiger_unlock(&wiredtiger->checkpoint_lock);
        kv_wiredtiger_tables_unuse(wiredtiger, table);
        if (code == EBUSY) {
            result = error_set(detail, STOA_EBUSY, "table %s is in use", name);
        } else if (code != 0 && code != ETIMEDOUT) {
            result = kv_wiredtiger_error(wiredtiger, code, name, "compact", detail);
        }
    }
    kv_wiredtiger_unlock(&session->lock);
    return result;
}

static const struct kv_ops wiredtiger_ops = {
    .name = "wiredtiger",
    .close = wiredtiger_close,
    .session_open = wiredtiger_session_open,
    .session_close = wiredtiger_session_close,
    .table_create = wiredtiger_table_create,
    .table_drop = wiredtiger_table_drop,
    .table_list = wiredtiger_table_list,
    .begin = wiredtiger_begin,
    .commit = wiredtiger_commit,
    .rollback = wiredtiger_rollback,
    .get = wiredtiger_get,
    .get_from = wiredtiger_get_from,
    .put = wiredtiger_put,
    .remove = wiredtiger_remove,
    .cursor_open = kv_wiredtiger_cursor_open,
    .cursor_close = kv_wiredtiger_cursor_close,
    .cursor_seek = kv_wiredtiger_cursor_seek,
    .cursor_next = kv_wiredtiger_cursor_next,
    .cursor_previous = kv_wiredtiger_cursor_previous,
    .cursor_current = kv_wiredtiger_cursor_current,
    .bulk_open = kv_wiredtiger_bulk_open,
    .bulk_put = kv_wiredtiger_bulk_put,
    .bulk_close = kv_wiredtiger_bulk_close,
    .checkpoint = wiredtiger_checkpoint,
    .statistics = wiredtiger_statistics,
    .table_size = wiredtiger_table_size,
    .table_compact = wiredtiger_table_compact,
};

/* Errors of opening that are not the files' fault keep their code; all else is damage. */
static int open_failed(const struct wiredtiger *wiredtiger, int code, struct error_detail *detail)
{
    if (code == STOA_EIO || code == STOA_EINVAL || code == STOA_ESTOPPED ||
        code == STOA_ENOTFOUND || code == STOA_EEXISTS || code == STOA_ENOTSUP ||
        code == STOA_ETIMEOUT || code == STOA_ECANCELED) {
        code = STOA_ECORRUPT;
    }
    if (detail != NULL) {
        detail->code = code;
    }
    error_prefix(detail, "%s", wiredtiger->path);
    return code;
}

static int connect(struct wiredtiger *wiredtiger, const struct kv_options *options, bool empty,
                   struct error_detail *detail)
{
    char config[768];
    uint64_t cache_size = options->cache_size == 0 ? UINT64_C(256) << 20 : options->cache_size;
    int length = snprintf(config, sizeof(config),
                          "create=%s,cache_size=%" PRIu64
                          ",session_max=%u,log=(enabled=false),eviction_target=80,"
                          "eviction_trigger=95,eviction_dirty_target=60,eviction_dirty_trigger=85,"
                          "eviction=(threads_min=1,threads_max=2),checkpoint_sync=true,mmap=false,"
                          "file_manager=(close_idle_time=0),statistics=(fast),config_base=false,"
                          "use_environment=false",
                          empty ? "true" : "false", cache_size, wiredtiger->sessions_max + 8);
    ensure(length > 0 && (size_t)length < sizeof(config));
    int code =
        wiredtiger_open(wiredtiger->path, &wiredtiger->handler, config, &wiredtiger->connection);
    if (code == 0) {
        code = wiredtiger->connection->open_session(wiredtiger->connection, NULL, NULL,
                                                    &wiredtiger->house);
    }
    if (code == EBUSY) { /* another process, or this one, has it open */
        return error_set(detail, STOA_ELOCKED, "tables are open already");
    }
    return code == 0 ? 0 : kv_wiredtiger_error(wiredtiger, code, NULL, "open", detail);
}

static struct wiredtiger *wiredtiger_create(const struct kv_options *options)
{
    struct wiredtiger *wiredtiger = memory_alloc_zeroed(1, sizeof(*wiredtiger));
    if (wiredtiger == NULL) {
        return NULL;
    }
    wiredtiger->kv.ops = &wiredtiger_ops;
    wiredtiger->handler.handle_error = handle_error;
    wiredtiger->handler.handle_message = handle_message;
    wiredtiger->sessions_max = options->sessions_max == 0 ? 64 : options->sessions_max;
    int failed = pthread_mutex_init(&wiredtiger->checkpoint_lock, NULL);
    ensure(failed == 0); /* never fails on Linux without attributes */
    failed = pthread_mutex_init(&wiredtiger->schema_lock, NULL);
    ensure(failed == 0);
    failed = pthread_mutex_init(&wiredtiger->lock, NULL);
    ensure(failed == 0);
    failed = pthread_mutex_init(&wiredtiger->message_lock, NULL);
    ensure(failed == 0);
    wiredtiger->path = memory_copy_text(options->path);
    if (wiredtiger->path == NULL) {
        wiredtiger_destroy(wiredtiger);
        return NULL;
    }
    return wiredtiger;
}

int kv_wiredtiger_open(const struct kv_options *options, struct kv **out_kv,
                       struct error_detail *detail)
{
    struct kv_wiredtiger_home home;
    int result = kv_wiredtiger_home_init(&home, options->path, detail);
    if (result != 0) {
        return result;
    }
    struct wiredtiger *wiredtiger = NULL;
    bool empty;
    result = kv_wiredtiger_home_check(&home, &empty, detail);
    if (result == 0 && (wiredtiger = wiredtiger_create(options)) == NULL) {
        result = error_set(detail, STOA_ENOMEM, "tables in %s: out of memory", options->path);
    }
    if (result == 0) {
        result = connect(wiredtiger, options, empty, detail);
    }
    if (result == 0) {
        result = kv_wiredtiger_tables_load(wiredtiger, &home, empty, detail);
    }
    kv_wiredtiger_home_deinit(&home);
    if (result != 0 && wiredtiger != NULL) {
        result = open_failed(wiredtiger, result, detail);
    }
    if (result != 0) {
        wiredtiger_destroy(wiredtiger);
        return result;
    }
    *out_kv = &wiredtiger->kv;
    return 0;
}
