/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv.h: the keyed store. Tables of byte keys in memcmp order and byte values, transactions,
 * checkpoints. Two implementations with one contract suite: kv_wiredtiger.c and kv_memory.c (the
 * twin, for simulation and tests).
 *
 * All calls may block: they run on workers (or in tests). A store belongs to the process; a session
 * belongs to one thread at a time, and everything made through it (cursor, transaction) to that
 * session.
 *
 * Durability: only kv_checkpoint makes anything durable, and it makes all of it durable at once:
 * after a crash the store opens as it was at the last complete checkpoint, across all tables,
 * bulk-loaded and dropped ones included. (So the space of a dropped table comes back at a later
 * checkpoint, once no session is busy.)
 *
 * Table names: 1 to KV_NAME_SIZE_MAX characters of a-z, 0-9, - and _. Keys: 1 to KV_KEY_SIZE_MAX
 * bytes. Reading or writing a table that is not there is STOA_EINVAL, "no table". STOA_EBUSY from a
 * read or write inside a transaction: roll it back, and do it all again. STOA_ESTOPPED: a write or
 * flush failed; STOA_ECORRUPT: damage was met; after either nothing works until the store is closed
 * and opened again. */
#ifndef KV_H
#define KV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct kv;
struct kv_session;
struct kv_cursor;
struct kv_bulk;

enum { KV_KEY_SIZE_MAX = 256, KV_VALUE_SIZE_MAX = 1 << 24, KV_NAME_SIZE_MAX = 64 };

/* How a table is laid out: many point reads (small pages) or ranges and runs (large pages,
 * compressed prefixes). */
enum kv_layout { KV_POINT, KV_ORDERED };

struct kv_options {
    const char *path;      /* an existing directory; the home of the tables */
    uint64_t cache_size;   /* bytes. 0: 256 MiB */
    unsigned sessions_max; /* 0: 64 */
};

struct kv_statistics {
    uint64_t cache_bytes;
    uint64_t cache_dirty_bytes;
    uint64_t read_bytes;
    uint64_t written_bytes;
    uint64_t lookaside_entries; /* must stay 0: WiredTiger 3.2.1 loses data there */
    uint64_t file_bytes;
};

struct kv_table_size {
    uint64_t file_bytes;
    uint64_t
        free_bytes; /* of them: what was freed inside the file, and is used again or returned */
};

struct kv_ops {
    const char *name;
    void (*close)(struct kv *kv);
    int (*session_open)(struct kv *kv, struct kv_session **out_session,
                        struct error_detail *detail);
    void (*session_close)(struct kv_session *session);
    int (*table_create)(struct kv_session *session, const char *table, enum kv_layout layout,
                        struct error_detail *detail);
    int (*table_drop)(struct kv_session *session, const char *table, struct error_detail *detail);
    int (*table_list)(struct kv_session *session, void (*entry)(void *context, const char *table),
                      void *context, struct error_detail *detail);
    int (*begin)(struct kv_session *session, struct error_detail *detail);
    int (*commit)(struct kv_session *session, struct error_detail *detail);
    void (*rollback)(struct kv_session *session);
    int (*get)(struct kv_session *session, const char *table, struct bytes key,
               struct bytes *out_value, struct error_detail *detail);
    int (*get_from)(struct kv_session *session, const char *table, struct bytes from,
                    struct bytes *out_key, struct bytes *out_value, struct error_detail *detail);
    int (*put)(struct kv_session *session, const char *table, struct bytes key, struct bytes value,
               struct error_detail *detail);
    int (*remove)(struct kv_session *session, const char *table, struct bytes key,
                  struct error_detail *detail);
    int (*cursor_open)(struct kv_session *session, const char *table, struct kv_cursor **out_cursor,
                       struct error_detail *detail);
    void (*cursor_close)(struct kv_cursor *cursor);
    int (*cursor_seek)(struct kv_cursor *cursor, struct bytes key, struct error_detail *detail);
    int (*cursor_next)(struct kv_cursor *cursor, struct error_detail *detail);
    int (*cursor_previous)(struct kv_cursor *cursor, struct error_detail *detail);
    void (*cursor_current)(struct kv_cursor *cursor, struct bytes *out_key,
                           struct bytes *out_value);
    int (*bulk_open)(struct kv_session *session, const char *table, enum kv_layout layout,
                     struct kv_bulk **out_bulk, struct error_detail *detail);
    int (*bulk_put)(struct kv_bulk *bulk, struct bytes key, struct bytes value,
                    struct error_detail *detail);
    int (*bulk_close)(struct kv_bulk *bulk, struct error_detail *detail);
    int (*checkpoint)(struct kv_session *session, struct error_detail *detail);
    void (*statistics)(struct kv_session *session, struct kv_statistics *out_statistics);
    int (*table_size)(struct kv_session *session, const char *table, struct kv_table_size *out_size,
                      struct error_detail *detail);
    int (*table_compact)(struct kv_session *session, const char *table, unsigned seconds,
                         struct error_detail *detail);
};

/* First member of every implementation's store; sessions, cursors and bulks begin with a pointer to
 * it. */
struct kv {
    const struct kv_ops *ops;
};
struct kv_session {
    struct kv *kv;
};
struct kv_cursor {
    struct kv *kv;
};
struct kv_bulk {
    struct kv *kv;
};

/* Open the tables under options->path, made where the directory is empty. STOA_ECORRUPT where they
 * cannot be opened or a table's file is missing: the caller then removes the directory's contents
 * and rebuilds from the ledger. STOA_ELOCKED, STOA_EPERM, STOA_EREADONLY, STOA_ENOSPACE,
 * STOA_ENOTFOUND: the files are not to blame. */
int kv_wiredtiger_open(const struct kv_options *options, struct kv **out_kv,
                       struct error_detail *detail);

/* The twin's durable part outlives a store opened on it, as a directory would. */
struct kv_memory_disk;
struct kv_memory_disk *kv_memory_disk_create(void);
void kv_memory_disk_destroy(struct kv_memory_disk *disk);
int kv_memory_open(struct kv_memory_disk *disk, struct kv **out_kv, struct error_detail *detail);

/* No session may be open. Closes without a checkpoint: what was not checkpointed is lost, as after
 * a crash. */
void kv_close(struct kv *kv);

int kv_session_open(struct kv *kv, struct kv_session **out_session, struct error_detail *detail);

/* Rolls back an open transaction and closes what was left open. NULL is allowed. */
void kv_session_close(struct kv_session *session);

/* 0 also where the table exists already. Not in a transaction. STOA_EBUSY: it is being loaded. */
int kv_table_create(struct kv_session *session, const char *table, enum kv_layout layout,
                    struct error_detail *detail);

/* STOA_ENOTFOUND. STOA_EBUSY: some session has it open in a cursor or loads it; call again later.
 * Not in a transaction. The name is free at once. */
int kv_table_drop(struct kv_session *session, const char *table, struct error_detail *detail);

int kv_table_list(struct kv_session *session, void (*entry)(void *context, const char *table),
                  void *context, struct error_detail *detail);

/* One transaction a session. Snapshot isolation: reads and cursors inside see one moment. A write
 * to what another transaction has changed since that moment is STOA_EBUSY (the twin: any write to
 * the same table). Beginning and ending a transaction, and a checkpoint, leave the session's
 * cursors nowhere. A failed commit has rolled back. */
int kv_begin(struct kv_session *session, struct error_detail *detail);
int kv_commit(struct kv_session *session, struct error_detail *detail);
void kv_rollback(struct kv_session *session); /* harmless outside a transaction */

/* The value is valid until the session's next call. STOA_ENOTFOUND (detail is not filled: absence
 * is ordinary). */
int kv_get(struct kv_session *session, const char *table, struct bytes key, struct bytes *out_value,
           struct error_detail *detail);

/* The first entry whose key is FROM or after it. Key and value are valid until the session's next
 * call. STOA_ENOTFOUND. */
int kv_get_from(struct kv_session *session, const char *table, struct bytes from,
                struct bytes *out_key, struct bytes *out_value, struct error_detail *detail);

/* Insert or replace. Outside a transaction each call is one of its own. */
int kv_put(struct kv_session *session, const char *table, struct bytes key, struct bytes value,
           struct error_detail *detail);

/* 0 also where the key is absent. */
int kv_remove(struct kv_session *session, const char *table, struct bytes key,
              struct error_detail *detail);

/* A cursor starts nowhere: seek, or next for the first key, or previous for the last. After a move
 * that failed it is nowhere again. A cursor that stands somewhere holds on to a snapshot and to
 * memory: close it before the session idles. */
int kv_cursor_open(struct kv_session *session, const char *table, struct kv_cursor **out_cursor,
                   struct error_detail *detail);
void kv_cursor_close(struct kv_cursor *cursor);

/* To the first key >= KEY. STOA_ENOTFOUND past the end. */
int kv_cursor_seek(struct kv_cursor *cursor, struct bytes key, struct error_detail *detail);
int kv_cursor_next(struct kv_cursor *cursor, struct error_detail *detail);
int kv_cursor_previous(struct kv_cursor *cursor, struct error_detail *detail);

/* Valid until the cursor moves. */
void kv_cursor_current(struct kv_cursor *cursor, struct bytes *out_key, struct bytes *out_value);

/* Make and fill a new table with keys in strictly rising order (STOA_EINVAL otherwise). Not inside
 * a transaction; visible to others only after close. STOA_EEXISTS. After a failure the half-made
 * table is dropped by bulk_close, which returns the failure again. */
int kv_bulk_open(struct kv_session *session, const char *table, enum kv_layout layout,
                 struct kv_bulk **out_bulk, struct error_detail *detail);
int kv_bulk_put(struct kv_bulk *bulk, struct bytes key, struct bytes value,
                struct error_detail *detail);
int kv_bulk_close(struct kv_bulk *bulk, struct error_detail *detail);

/* Blocks this caller only; others read and write meanwhile. Not in a transaction. */
int kv_checkpoint(struct kv_session *session, struct error_detail *detail);

void kv_statistics(struct kv_session *session, struct kv_statistics *out_statistics);

/* STOA_EINVAL: no table. */
int kv_table_size(struct kv_session *session, const char *table, struct kv_table_size *out_size,
                  struct error_detail *detail);

/* Give free space in the table's file back to the file system, for SECONDS at most (1 at least):
 * what is done by then stays done. Others read and write meanwhile; a checkpoint waits for it, and
 * it makes some of its own, over all tables, which are as good as any. Not in a transaction.
 * STOA_EBUSY: not now. STOA_EINVAL: no table. */
int kv_table_compact(struct kv_session *session, const char *table, unsigned seconds,
                     struct error_detail *detail);

#endif
