/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies on their way in: what a store tells of itself, its checks and its jobs. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "wire/wire_reply_private.h"

/* A struct that begins with its SIZE, or with none (SIZED false), from the fields of a list. */
int wire_reply_read_report(struct bytes *cursor, enum wire_reply_struct which, size_t size,
                           bool sized, void **out, struct error_detail *detail)
{
    void *report = wire_reply_make(1, size, 0);
    if (report == NULL) {
        return error_set(detail, STOA_ENOMEM, "a report");
    }
    int result = wire_reply_read_list(cursor, which, report, detail);
    if (result != 0) {
        memory_free(report);
        return result;
    }
    if (sized) {
        memcpy(report, &size, sizeof(size));
    }
    *out = report;
    return 0;
}

int wire_reply_read_cache_stats(struct bytes *cursor, struct stoa_cache_stats **out,
                                struct error_detail *detail)
{
    struct bytes list;
    struct bytes classes = {.data = NULL};
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_CACHE_STATS, &stats, detail);
    }
    if (result == 0) {
        result = rlp_read_list(&list, &classes, detail);
    }
    for (unsigned i = 0; result == 0 && i < STOA_CACHE_CLASSES && classes.size != 0; i++) {
        result = wire_reply_read_list(&classes, WIRE_STRUCT_CACHE_CLASS, &stats.classes[i], detail);
    }
    if (result != 0) {
        return result;
    }
    *out = wire_reply_make(1, sizeof(stats), 0);
    if (*out == NULL) {
        return error_set(detail, STOA_ENOMEM, "a report");
    }
    **out = stats;
    return 0;
}

int wire_reply_read_health(struct bytes *cursor, struct stoa_health **out,
                           struct error_detail *detail)
{
    struct bytes list;
    struct bytes reasons = {.data = NULL};
    struct stoa_health health = STOA_HEALTH_INIT;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_HEALTH, &health, detail);
    }
    if (result == 0) {
        result = rlp_read_list(&list, &reasons, detail);
    }
    while (result == 0 && reasons.size != 0 && health.reason_count < STOA_REASONS_MAX) {
        result = wire_reply_read_list(&reasons, WIRE_STRUCT_REASON,
                                      &health.reasons[health.reason_count++], detail);
    }
    if (result != 0) {
        return result;
    }
    *out = wire_reply_make(1, sizeof(health), 0);
    if (*out == NULL) {
        return error_set(detail, STOA_ENOMEM, "a report");
    }
    **out = health;
    return 0;
}

/* A terminated copy at the front of ROOM. */
static int read_text(struct bytes *cursor, struct wire_reply_room *room, const char **out,
                     struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result == 0) {
        char *text = wire_reply_take(room, string.size + 1);
        if (string.size != 0) {
            memcpy(text, string.data, string.size);
        }
        text[string.size] = '\0';
        *out = text;
    }
    return result;
}

static int read_damages(struct bytes *cursor, struct stoa_completion *out,
                        struct error_detail *detail)
{
    struct bytes items;
    size_t count = 0;
    int result = rlp_read_list(cursor, &items, detail);
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(struct stoa_damage), &count, detail);
    }
    if (result != 0 || count == 0) {
        return result;
    }
    size_t texts = items.size + 2 * count;
    struct stoa_damage *damages = wire_reply_make(count, sizeof(*damages), texts);
    if (damages == NULL) {
        return error_set(detail, STOA_ENOMEM, "damages");
    }
    struct wire_reply_room room = {(uint8_t *)(damages + count), texts};
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct bytes list;
        result = rlp_read_list(&items, &list, detail);
        if (result == 0) {
            result = wire_reply_read_fields(&list, WIRE_STRUCT_DAMAGE, &damages[i], detail);
        }
        if (result == 0) {
            result = read_text(&list, &room, &damages[i].file, detail);
        }
        if (result == 0) {
            result = read_text(&list, &room, &damages[i].what, detail);
        }
    }
    if (result != 0) {
        memory_free(damages);
        return result;
    }
    out->damages = damages;
    out->damage_count = count;
    return 0;
}

int wire_reply_read_verified(struct bytes *cursor, struct stoa_completion *out,
                             struct error_detail *detail)
{
    struct bytes list;
    void *report = NULL;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_report(&list, WIRE_STRUCT_VERIFIED,
                                        sizeof(struct stoa_verify_report), false, &report, detail);
    }
    if (result == 0) {
        result = read_damages(&list, out, detail);
    }
    if (result != 0) {
        memory_free(report);
        return result;
    }
    out->verified = report;
    return 0;
}

/* One of the list; what is not damaged has no text that says so. */
static int read_copy(struct bytes *items, struct wire_reply_room *room, struct stoa_copy_info *out,
                     struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(items, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_COPY, out, detail);
    }
    if (result == 0) {
        result = read_text(&list, room, &out->name, detail);
    }
    if (result == 0) {
        result = read_text(&list, room, &out->path, detail);
    }
    if (result == 0) {
        result = read_text(&list, room, &out->damaged, detail);
    }
    if (result == 0 && out->damaged[0] == '\0') {
        out->damaged = NULL;
    }
    return result;
}

int wire_reply_read_copies(struct bytes *cursor, struct stoa_completion *out,
                           struct error_detail *detail)
{
    struct bytes items;
    size_t count = 0;
    int result = rlp_read_list(cursor, &items, detail);
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(struct stoa_copy_info), &count, detail);
    }
    if (result != 0 || count == 0) {
        return result;
    }
    size_t texts = items.size + 3 * count;
    struct stoa_copy_info *copies = wire_reply_make(count, sizeof(*copies), texts);
    if (copies == NULL) {
        return error_set(detail, STOA_ENOMEM, "copies");
    }
    struct wire_reply_room room = {(uint8_t *)(copies + count), texts};
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = read_copy(&items, &room, &copies[i], detail);
    }
    if (result != 0) {
        memory_free(copies);
        return result;
    }
    out->copies = copies;
    out->copy_count = count;
    return 0;
}

int wire_reply_read_archive(struct bytes *cursor, struct stoa_archive **out,
                            struct error_detail *detail)
{
    struct stoa_archive totals = {.segments = 0};
    struct bytes list;
    struct bytes items = {.data = NULL};
    size_t count = 0;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_list(&list, WIRE_STRUCT_ARCHIVE, &totals, detail);
    }
    if (result == 0) {
        result = rlp_read_list(&list, &items, detail);
    }
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(struct stoa_archive_segment), &count, detail);
    }
    if (result != 0) {
        return result;
    }
    struct stoa_archive *archive =
        wire_reply_make(1, sizeof(*archive), count * sizeof(struct stoa_archive_segment));
    if (archive == NULL) {
        return error_set(detail, STOA_ENOMEM, "archive");
    }
    *archive = totals;
    archive->count = count;
    archive->list = (struct stoa_archive_segment *)(archive + 1);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result =
            wire_reply_read_list(&items, WIRE_STRUCT_ARCHIVE_SEGMENT, &archive->list[i], detail);
    }
    if (result != 0) {
        memory_free(archive);
        return result;
    }
    *out = archive;
    return 0;
}

enum { STORAGE_LISTS_FIRST = 4, STORAGE_LISTS = 5 }; /* an older peer has the first */

/* A list of the answer on its way in. */
struct storage_list {
    enum wire_reply_struct which;
    size_t size; /* of an item */
    struct bytes items;
    size_t count;
};

static int read_storage_items(struct storage_list *list, void *out, struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < list->count; i++) {
        result = wire_reply_read_list(&list->items, list->which, (uint8_t *)out + i * list->size,
                                      detail);
    }
    return result;
}

static int find_storage_lists(struct bytes *cursor, struct stoa_storage *totals,
                              struct storage_list lists[STORAGE_LISTS], size_t *out_size,
                              struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_list(&list, WIRE_STRUCT_STORAGE, totals, detail);
    }
    *out_size = 0;
    for (unsigned i = 0;
         result == 0 && (i < STORAGE_LISTS_FIRST || list.size != 0) && i < STORAGE_LISTS; i++) {
        result = rlp_read_list(&list, &lists[i].items, detail);
        if (result == 0) {
            result = wire_reply_count_items(lists[i].items, lists[i].size, &lists[i].count, detail);
        }
        *out_size += result == 0 ? lists[i].count * lists[i].size : 0;
    }
    return result;
}

int wire_reply_read_storage(struct bytes *cursor, struct stoa_storage **out,
                            struct error_detail *detail)
{
    struct stoa_storage totals = {.segments = 0};
    struct storage_list lists[STORAGE_LISTS] = {
        {.which = WIRE_STRUCT_STORAGE_TABLE, .size = sizeof(*totals.tables)},
        {.which = WIRE_STRUCT_STORAGE_INDEX, .size = sizeof(*totals.indexes)},
        {.which = WIRE_STRUCT_STORAGE_SEGMENT, .size = sizeof(*totals.list)},
        {.which = WIRE_STRUCT_STORAGE_ADVICE, .size = sizeof(*totals.advice)},
        {.which = WIRE_STRUCT_VERIFICATION, .size = sizeof(*totals.verifications)},
    };
    size_t size = 0;
    int result = find_storage_lists(cursor, &totals, lists, &size, detail);
    if (result != 0) {
        return result;
    }
    struct stoa_storage *storage = wire_reply_make(1, sizeof(*storage), size);
    if (storage == NULL) {
        return error_set(detail, STOA_ENOMEM, "storage");
    }
    uint8_t *at = (uint8_t *)(storage + 1);
    void *places[STORAGE_LISTS];
    for (unsigned i = 0; result == 0 && i < STORAGE_LISTS; i++) {
        places[i] = at;
        at += lists[i].count * lists[i].size;
        result = read_storage_items(&lists[i], places[i], detail);
    }
    if (result != 0) {
        memory_free(storage);
        return result;
    }
    *storage = totals;
    storage->tables = places[0];
    storage->table_count = lists[0].count;
    storage->indexes = places[1];
    storage->index_count = lists[1].count;
    storage->list = places[2];
    storage->segment_count = lists[2].count;
    storage->advice = places[3];
    storage->advice_count = lists[3].count;
    storage->verifications = places[4];
    storage->verification_count = lists[4].count;
    *out = storage;
    return 0;
}

static int read_job(struct bytes *cursor, struct stoa_job_info *out, struct error_detail *detail)
{
    struct bytes list;
    struct bytes facts = {.data = NULL};
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_JOB, out, detail);
    }
    if (result == 0 && list.size != 0) {
        result = rlp_read_list(&list, &facts, detail);
    }
    while (result == 0 && facts.size != 0 && out->fact_count < STOA_JOB_FACTS_MAX) {
        result =
            wire_reply_read_list(&facts, WIRE_STRUCT_FACT, &out->facts[out->fact_count++], detail);
    }
    return result;
}

int wire_reply_read_jobs(struct bytes *cursor, struct stoa_completion *out,
                         struct error_detail *detail)
{
    struct bytes items;
    size_t count = 0;
    int result = rlp_read_list(cursor, &items, detail);
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(struct stoa_job_info), &count, detail);
    }
    if (result != 0 || count == 0) {
        return result;
    }
    struct stoa_job_info *jobs = wire_reply_make(count, sizeof(*jobs), 0);
    if (jobs == NULL) {
        return error_set(detail, STOA_ENOMEM, "jobs");
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = read_job(&items, &jobs[i], detail);
    }
    if (result != 0) {
        memory_free(jobs);
        return result;
    }
    out->jobs = jobs;
    out->job_count = count;
    return 0;
}
