/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/run_reader.h"

#include "base/ensure.h"
#include "stoa/error.h"

static int damaged(const char *table, struct error_detail *detail)
{
    return error_set(detail, STOA_ECORRUPT, "table %s: a page is not readable", table);
}

static int missing(int result, const char *table, struct error_detail *detail)
{
    return result == STOA_EINVAL ? error_set(detail, STOA_ECORRUPT, "table %s is missing", table)
                                 : result;
}

int run_reader_open(struct run_reader *reader, struct kv_session *session, const char *table,
                    struct error_detail *detail)
{
    reader->table = table;
    reader->cursor = NULL;
    reader->paged = false;
    reader->page.at = NULL;
    return missing(kv_cursor_open(session, table, &reader->cursor, detail), table, detail);
}

void run_reader_close(struct run_reader *reader)
{
    if (reader->cursor != NULL) {
        kv_cursor_close(reader->cursor);
        reader->cursor = NULL;
    }
}

/* The cursor has MOVED: take the page that it stands on. */
static int take_page(struct run_reader *reader, int moved, struct error_detail *detail)
{
    reader->paged = false;
    reader->page.at = NULL;
    if (moved != 0) {
        return moved;
    }
    struct bytes page;
    kv_cursor_current(reader->cursor, &reader->last_key, &page);
    reader->paged = true;
    return run_page_open(&reader->page, page) == 0 ? 0 : damaged(reader->table, detail);
}

static int told(struct run_reader *reader, int result, struct error_detail *detail)
{
    return result == STOA_ECORRUPT ? damaged(reader->table, detail) : result;
}

/* Whether the page it is on is the one where KEY would be. */
static bool page_covers(const struct run_reader *reader, struct bytes key)
{
    bool before = true;
    return reader->paged && bytes_compare(key, reader->last_key) <= 0 &&
           run_page_is_before(&reader->page, key, &before) == 0 && !before;
}

int run_reader_seek(struct run_reader *reader, struct bytes key, struct error_detail *detail)
{
    if (!page_covers(reader, key)) {
        int result = take_page(reader, kv_cursor_seek(reader->cursor, key, detail), detail);
        if (result != 0) {
            return result;
        }
    }
    int result = run_page_seek(&reader->page, key);
    /* The page's key is its last entry's, so there is one. */
    return result == STOA_ENOTFOUND ? damaged(reader->table, detail) : told(reader, result, detail);
}

int run_reader_next(struct run_reader *reader, struct error_detail *detail)
{
    ensure(reader->page.at != NULL);
    int result = run_page_next(&reader->page);
    if (result == STOA_ENOTFOUND) {
        result = take_page(reader, kv_cursor_next(reader->cursor, detail), detail);
        if (result != 0) {
            return result;
        }
        result = run_page_first(&reader->page);
    }
    return told(reader, result, detail);
}

/* To the last entry of the page before, where the cursor is to be moved by MOVED. */
static int page_back(struct run_reader *reader, struct error_detail *detail)
{
    int result = take_page(reader, kv_cursor_previous(reader->cursor, detail), detail);
    return result != 0 ? result : told(reader, run_page_last(&reader->page), detail);
}

int run_reader_previous(struct run_reader *reader, struct error_detail *detail)
{
    ensure(reader->page.at != NULL);
    int result = run_page_previous(&reader->page);
    return result == STOA_ENOTFOUND ? page_back(reader, detail) : told(reader, result, detail);
}

int run_reader_seek_back(struct run_reader *reader, struct bytes key, struct error_detail *detail)
{
    int result = run_reader_seek(reader, key, detail);
    if (result == STOA_ENOTFOUND) {
        return page_back(reader, detail); /* from past the end */
    }
    if (result == 0 && bytes_compare(run_page_key(&reader->page), key) > 0) {
        return run_reader_previous(reader, detail);
    }
    return result;
}

static void fill_entry(const struct run_page *page, struct runs_entry *out_entry)
{
    *out_entry = (struct runs_entry){
        .key = run_page_key(page),
        .value = page->value,
        .removed = page->tag == RUN_TAG_REMOVED,
        .absent = page->tag == RUN_TAG_ABSENT,
    };
}

void run_reader_entry(const struct run_reader *reader, struct runs_entry *out_entry)
{
    ensure(reader->page.at != NULL);
    fill_entry(&reader->page, out_entry);
}

int run_reader_get_from(struct kv_session *session, const char *table, struct bytes key,
                        struct run_page *page, struct runs_entry *out_entry,
                        struct error_detail *detail)
{
    struct bytes last;
    struct bytes stored;
    int result = kv_get_from(session, table, key, &last, &stored, detail);
    if (result != 0) {
        return missing(result, table, detail);
    }
    if (run_page_open(page, stored) != 0 || run_page_seek(page, key) != 0) {
        return damaged(table, detail);
    }
    fill_entry(page, out_entry);
    return 0;
}
