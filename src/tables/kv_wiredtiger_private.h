/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_wiredtiger_private.h: what the files kv_wiredtiger*.c share.
 *
 * Locks, in the order they are taken:
 *   - wiredtiger_session.lock, one a session: held during each of its calls, so that another thread
 *     may close a cached cursor of a session that idles;
 *   - wiredtiger.checkpoint_lock: one checkpoint, and the drops after it, at a time;
 *   - wiredtiger.schema_lock: one creation or drop of a table at a time;
 *   - wiredtiger.lock: the tables, the doomed, the sessions; and message_lock: the message.
 *
 * A session's lock is also taken after the others, but only by trying. */
#ifndef KV_WIREDTIGER_PRIVATE_H
#define KV_WIREDTIGER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <wiredtiger.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "tables/kv.h"
#include "tables/kv_wiredtiger_home.h"

enum {
    WIREDTIGER_SLOTS = 256,      /* of a session's cursor cache, a power of two */
    WIREDTIGER_SLOTS_USED = 192, /* at most */
    WIREDTIGER_FILE_SIZE_MAX = KV_NAME_SIZE_MAX + 32,
    WIREDTIGER_MESSAGE_SIZE = 256,
};

/* A table, in file NAME.ID.wt: a name dropped and made again gets another file. */
struct wiredtiger_table {
    uint64_t id;
    enum kv_layout layout;
    char name[KV_NAME_SIZE_MAX + 1];
    bool loading;  /* in bulk_open: the name is taken, nobody sees it */
    bool dropped;  /* among the doomed */
    unsigned uses; /* cursors and bulks that a caller has open */
};

struct wiredtiger_list {
    struct wiredtiger_table **tables;
    size_t count;
    size_t capacity;
};

struct wiredtiger {
    struct kv kv;             /* first */
    WT_EVENT_HANDLER handler; /* WiredTiger hands back its address: see wiredtiger_of_handler */
    WT_CONNECTION *connection;
    WT_SESSION *house; /* for opening, and for drops under checkpoint_lock */
    char *path;
    unsigned sessions_max;
    pthread_mutex_t checkpoint_lock;
    pthread_mutex_t schema_lock;
    pthread_mutex_t lock;
    pthread_mutex_t message_lock;
    struct wiredtiger_list tables; /* by name */
    struct wiredtiger_list doomed; /* dropped, their files not yet */
    struct wiredtiger_session *sessions;
    unsigned session_count;
    uint64_t next_id;
    char message[WIREDTIGER_MESSAGE_SIZE]; /* the last one of WiredTiger */
    atomic_bool damaged;                   /* WiredTiger spoke of damage. Relaxed: only advice */
    /* Drops so far: a session that sees a new number looks for cursors of dropped tables. Release
     * and acquire, so that it then sees the table marked. */
    atomic_uint_fast64_t drop_count;
    /* Writes so far, and how many the last checkpoint surely holds. Relaxed: read at close. */
    atomic_uint_fast64_t write_count;
    atomic_uint_fast64_t durable_count;
};

struct wiredtiger_slot {
    struct wiredtiger_table *table;
    WT_CURSOR *cursor; /* NULL: free */
};

struct wiredtiger_session {
    struct kv_session session; /* first */
    struct wiredtiger *wiredtiger;
    struct wiredtiger_session *next;
    pthread_mutex_t lock;
    WT_SESSION *wt;
    struct wiredtiger_cursor *cursors;
    struct wiredtiger_bulk *bulks;
    bool in_transaction;
    uint_fast64_t drop_count_seen;
    struct buffer key; /* last handed out */
    struct buffer value;
    unsigned slot_count;
    struct wiredtiger_slot slots[WIREDTIGER_SLOTS];
};

static inline void kv_wiredtiger_lock(pthread_mutex_t *mutex)
{
    int result = pthread_mutex_lock(mutex);
    ensure(result == 0);
}

static inline void kv_wiredtiger_unlock(pthread_mutex_t *mutex)
{
    int result = pthread_mutex_unlock(mutex);
    ensure(result == 0);
}

/* Lock the session, and give up its cursors of tables that were dropped meanwhile. */
struct wiredtiger_session *kv_wiredtiger_enter(struct kv_session *kv_session);

/* STOA_EINVAL: "WHAT inside a transaction". */
int kv_wiredtiger_outside_check(const struct wiredtiger_session *session, const char *what,
                                struct error_detail *detail);

int kv_wiredtiger_open_cursor(struct wiredtiger_session *session,
                              const struct wiredtiger_table *table, const char *config,
                              WT_CURSOR **out_cursor, struct error_detail *detail);

/* Map what WiredTiger returned (not 0) and describe it: "table NAME: WHAT: …". NAME may be NULL. */
int kv_wiredtiger_error(struct wiredtiger *wiredtiger, int code, const char *name, const char *what,
                        struct error_detail *detail);

/* Give up the session's cached cursor on TABLE. The session's lock is held. */
void kv_wiredtiger_forget_table(struct wiredtiger_session *session,
                                const struct wiredtiger_table *table);

/* WiredTiger's cursors lose their place when a transaction begins or ends. The session's lock is
 * held. */
void kv_wiredtiger_cursors_reset(struct wiredtiger_session *session);

/* Close the cursors and cancel the bulk loads that are open. The session's lock is held. */
void kv_wiredtiger_cursors_end(struct wiredtiger_session *session);

/* As in kv.h. */
int kv_wiredtiger_cursor_open(struct kv_session *session, const char *name,
                              struct kv_cursor **out_cursor, struct error_detail *detail);
void kv_wiredtiger_cursor_close(struct kv_cursor *cursor);
int kv_wiredtiger_cursor_seek(struct kv_cursor *cursor, struct bytes key,
                              struct error_detail *detail);
int kv_wiredtiger_cursor_next(struct kv_cursor *cursor, struct error_detail *detail);
int kv_wiredtiger_cursor_previous(struct kv_cursor *cursor, struct error_detail *detail);
void kv_wiredtiger_cursor_current(struct kv_cursor *cursor, struct bytes *out_key,
                                  struct bytes *out_value);
int kv_wiredtiger_bulk_open(struct kv_session *session, const char *name, enum kv_layout layout,
                            struct kv_bulk **out_bulk, struct error_detail *detail);
int kv_wiredtiger_bulk_put(struct kv_bulk *bulk, struct bytes key, struct bytes value,
                           struct error_detail *detail);
int kv_wiredtiger_bulk_close(struct kv_bulk *bulk, struct error_detail *detail);

/* The file of TABLE, as "file:NAME.ID.wt" in WIREDTIGER_FILE_SIZE_MAX bytes. */
void kv_wiredtiger_tables_uri(const struct wiredtiger_table *table, char *out_uri);

/* After opening: make (EMPTY) or read the catalog, drop what it does not name, check that what it
 * names is there. */
int kv_wiredtiger_tables_load(struct wiredtiger *wiredtiger, struct kv_wiredtiger_home *home,
                              bool empty, struct error_detail *detail);
void kv_wiredtiger_tables_deinit(struct wiredtiger *wiredtiger);

/* The table NAME, one use added to it where USE. STOA_EINVAL: there is none. */
int kv_wiredtiger_tables_find(struct wiredtiger *wiredtiger, const char *name, bool use,
                              struct wiredtiger_table **out_table, struct error_detail *detail);
void kv_wiredtiger_tables_unuse(struct wiredtiger *wiredtiger, struct wiredtiger_table *table);

/* The session's lock is held. STOA_EEXISTS. LOADING: the table has a use, and is seen by nobody
 * until kv_wiredtiger_tables_loaded. */
int kv_wiredtiger_tables_create(struct wiredtiger_session *session, const char *name,
                                enum kv_layout layout, bool loading,
                                struct wiredtiger_table **out_table, struct error_detail *detail);

/* The bulk load of TABLE ended: with FAILURE 0 it is entered in the catalog, else dropped. Returns
 * FAILURE or the catalog's. */
int kv_wiredtiger_tables_loaded(struct wiredtiger_session *session, struct wiredtiger_table *table,
                                int failure, struct error_detail *detail);

int kv_wiredtiger_tables_drop(struct wiredtiger_session *session, const char *name,
                              struct error_detail *detail);

/* Bytes of all tables' files. The session's lock is held. */
uint64_t kv_wiredtiger_tables_bytes(struct wiredtiger_session *session);

/* One of WiredTiger's statistics of SOURCE, 0 where it has none. */
uint64_t kv_wiredtiger_statistic(struct wiredtiger_session *session, const char *source, int key);

/* Copies of the names, one after the other, each terminated. */
int kv_wiredtiger_tables_names(struct wiredtiger *wiredtiger, struct buffer *names);

/* After a checkpoint, under checkpoint_lock: drop the files of the first COUNT doomed, except those
 * some session is busy with: they wait for the next. SELF's lock is held. */
void kv_wiredtiger_tables_bury(struct wiredtiger *wiredtiger, struct wiredtiger_session *self,
                               size_t count);

#endif
