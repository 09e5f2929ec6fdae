/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_memory_private.h: what kv_memory.c and kv_memory_cursor.c share. */
#ifndef KV_MEMORY_PRIVATE_H
#define KV_MEMORY_PRIVATE_H

#include <pthread.h>

#include "tables/kv.h"
#include "tables/kv_memory_tree.h"

struct memory_table {
    uint32_t references; /* the registry's, the transactions' and the cursors' */
    uint32_t cursor_count;
    char name[KV_NAME_SIZE_MAX + 1];
    enum kv_layout layout;
    bool loading; /* being bulk-loaded: the name is taken, nobody sees it */
    bool dropped;
    struct memory_session *writer; /* whose open transaction has written here */
    struct memory_tree tree;
};

/* One table as a transaction sees it. */
struct view {
    struct memory_table *table;
    struct memory_tree tree;
    bool written;
};

struct durable {
    char name[KV_NAME_SIZE_MAX + 1];
    enum kv_layout layout;
    struct memory_tree tree;
};

struct kv_memory_disk {
    pthread_mutex_t lock;
    bool opened;
    struct durable *durables;
    size_t durable_count;
    uint64_t written_bytes;
};

struct memory {
    struct kv kv; /* first */
    struct kv_memory_disk *disk;
    struct memory_table **tables; /* by name */
    size_t table_count;
    size_t table_capacity;
    size_t session_count;
};

struct memory_session {
    struct kv_session session; /* first */
    struct memory *memory;
    struct memory_cursor *cursors;
    struct memory_bulk *bulks;
    bool in_transaction;
    struct view *views; /* of the open transaction */
    size_t view_count;
    size_t view_capacity;
    struct memory_item *held; /* the value last handed out */
};

struct memory_cursor {
    struct kv_cursor cursor; /* first */
    struct memory_session *session;
    struct memory_cursor *next;
    struct memory_table *table;
    struct memory_item *position; /* NULL: nowhere */
};

struct memory_bulk {
    struct kv_bulk bulk; /* first */
    struct memory_session *session;
    struct memory_bulk *next;
    struct memory_table *table;
    struct memory_item *last;
    int failure;
};

/* Lock the disk and hand it back; the other functions here want it locked. */
struct kv_memory_disk *kv_memory_enter(struct memory *memory);
void kv_memory_leave(struct kv_memory_disk *disk);

/* Where NAME is or would be among the tables. */
size_t kv_memory_table_place(const struct memory *memory, const char *name, bool *out_found);

/* STOA_EINVAL: there is none. */
int kv_memory_table_find(const struct memory *memory, const char *name,
                         struct memory_table **out_table, struct error_detail *detail);

/* Add a table; NAME must not be there. STOA_ENOMEM. */
int kv_memory_table_add(struct memory *memory, const char *name, enum kv_layout layout,
                        struct memory_table **out_table);
void kv_memory_table_delete(struct memory *memory, struct memory_table *table);
void kv_memory_table_release(struct memory_table *table);

struct memory_session *kv_memory_session_of(struct kv_session *session);

/* The tree that the session reads TABLE from. STOA_ENOMEM. */
int kv_memory_session_tree(struct memory_session *session, struct memory_table *table,
                           struct memory_tree **out_tree);

/* STOA_EINVAL: "WHAT inside a transaction". */
int kv_memory_outside_check(struct memory_session *session, const char *what,
                            struct error_detail *detail);

/* STOA_ENOMEM, described. */
int kv_memory_exhausted(struct error_detail *detail);

/* Close the cursors and cancel the bulk loads that are open. */
void kv_memory_cursors_end(struct memory_session *session);

/* As in kv.h; these lock. */
int kv_memory_cursor_open(struct kv_session *session, const char *name,
                          struct kv_cursor **out_cursor, struct error_detail *detail);
void kv_memory_cursor_close(struct kv_cursor *cursor);
int kv_memory_cursor_seek(struct kv_cursor *cursor, struct bytes key, struct error_detail *detail);
int kv_memory_cursor_next(struct kv_cursor *cursor, struct error_detail *detail);
int kv_memory_cursor_previous(struct kv_cursor *cursor, struct error_detail *detail);
void kv_memory_cursor_current(struct kv_cursor *cursor, struct bytes *out_key,
                              struct bytes *out_value);
int kv_memory_bulk_open(struct kv_session *session, const char *name, enum kv_layout layout,
                        struct kv_bulk **out_bulk, struct error_detail *detail);
int kv_memory_bulk_put(struct kv_bulk *bulk, struct bytes key, struct bytes value,
                       struct error_detail *detail);
int kv_memory_bulk_close(struct kv_bulk *bulk, struct error_detail *detail);

#endif
