/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run_page.h: entries of a run, many of them in one value of its table.
 *
 * A table's own record costs a dozen bytes and a quarter of a microsecond, more than most entries
 * of an index. So a run's table has one record for about RUN_PAGE_SIZE bytes of entries: its key is
 * the last entry's, its value a page. In a page a key is what it does not share with the one before
 * it. Pure; a page is checked as it is read.
 *
 * Layout, integers little-endian:
 *   common value size (1), entries, offset of each restart but the first (2), their number (2)
 * An entry is the bytes shared with the key before and the number of its own, four bits each, then
 * its own; then the value, of the common size. Where that does not fit, it is the byte 0xff, and as
 * LEB128: shared, own, value size << 2 | tag; then key and value. Every RUN_PAGE_RESTART entries
 * one shares nothing: a restart, from which reading can begin. An entry too large for a page has
 * one to itself. */
#ifndef RUN_PAGE_H
#define RUN_PAGE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "tables/kv.h"

enum {
    RUN_PAGE_SIZE = 2000,
    RUN_PAGE_RESTART = 32,
    RUN_PAGE_ENTRIES_MAX = RUN_PAGE_SIZE / 2,
    RUN_PAGE_OVERHEAD_MAX = 300, /* of a page with one entry, its key with it */
};

enum run_tag { RUN_TAG_VALUE, RUN_TAG_REMOVED, RUN_TAG_ABSENT };
enum { RUN_TAGS = 3 };

/* ---- making one ---- */

struct run_page_maker {
    struct buffer page;
    size_t count;
    size_t restart_count;
    size_t key_size;
    uint16_t restarts[RUN_PAGE_ENTRIES_MAX / RUN_PAGE_RESTART + 1];
    uint8_t key[KV_KEY_SIZE_MAX]; /* the last one */
};

void run_page_maker_init(struct run_page_maker *maker);
void run_page_maker_deinit(struct run_page_maker *maker);

/* False: the page is to be taken first. */
bool run_page_maker_has_room(const struct run_page_maker *maker, struct bytes key,
                             struct bytes value);

/* Keys rise. STOA_ENOMEM. */
int run_page_maker_put(struct run_page_maker *maker, struct bytes key, struct bytes value,
                       enum run_tag tag);

/* Finish the page: its record's key and value, until the next put, which begins another. Size 0:
 * nothing was put. STOA_ENOMEM. */
int run_page_maker_take(struct run_page_maker *maker, struct bytes *out_key,
                        struct bytes *out_page);

/* ---- reading one ---- */

/* At an entry: key, value and tag. */
struct run_page {
    const uint8_t *entries;
    const uint8_t *end;
    const uint8_t *restarts;
    size_t restart_count; /* without the first */
    size_t common_size;
    const uint8_t *at;   /* the entry; NULL: nowhere */
    const uint8_t *next; /* the one behind it */
    struct bytes value;
    enum run_tag tag;
    size_t key_size;
    uint8_t key[KV_KEY_SIZE_MAX];
};

/* The bytes are the caller's while PAGE is used. All but STOA_ENOTFOUND is STOA_ECORRUPT. */
int run_page_open(struct run_page *page, struct bytes bytes);

/* To the first entry, the one behind, the one before, the last. STOA_ENOTFOUND: there is none; the
 * page is nowhere then. */
int run_page_first(struct run_page *page);
int run_page_next(struct run_page *page);
int run_page_previous(struct run_page *page);
int run_page_last(struct run_page *page);

/* To the first entry at KEY or behind it. */
int run_page_seek(struct run_page *page, struct bytes key);

/* Whether KEY is before the first entry. */
int run_page_is_before(const struct run_page *page, struct bytes key, bool *out_before);

static inline struct bytes run_page_key(const struct run_page *page)
{
    return bytes_of(page->key, page->key_size);
}

#endif
