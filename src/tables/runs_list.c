/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stored list of an index, integers little-endian:
 *   version (1 byte), number of runs (4), then for each run, newest first:
 *   number (8), level (1), entries (8), filter bytes (8), min size (2), max size (2), min, max.
 * Filter chunks have the keys: index name, zero byte, run number (8), chunk (4), big-endian. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

enum {
    LIST_VERSION = 2, /* 1: a record for each entry */
    LIST_HEADER_SIZE = 5,
    LIST_RUN_SIZE = 29,
    LIST_RUNS_MAX = 100000,
    CHUNK_SIZE = 64 << 10,
    CHUNK_KEY_TAIL = 13,
    CHUNK_KEY_SIZE_MAX = RUNS_NAME_SIZE_MAX + CHUNK_KEY_TAIL,
};

static_assert(CHUNK_SIZE % FILTER_BLOCK_SIZE == 0, "a chunk is whole blocks");

static struct bytes name_key(const struct runs *runs)
{
    return bytes_of(runs->list_name, strlen(runs->list_name));
}

/* Key of the floor: behind the name. */
static struct bytes floor_key(const struct runs *runs, char key[RUNS_NAME_SIZE_MAX + 8])
{
    int size = snprintf(key, RUNS_NAME_SIZE_MAX + 8, "%s-floor", runs->name);
    ensure(size > 0);
    return bytes_of(key, (size_t)size);
}

int runs_list_write_floor(const struct runs *runs, struct kv_session *session, uint64_t floor,
                          struct error_detail *detail)
{
    char key[RUNS_NAME_SIZE_MAX + 8];
    uint8_t value[8];
    bytes_store_le64(value, floor);
    return kv_put(session, RUNS_LIST_TABLE, floor_key(runs, key), bytes_of(value, sizeof(value)),
                  detail);
}

int runs_list_read_floor(const struct runs *runs, struct kv_session *session, uint64_t *out_floor,
                         struct error_detail *detail)
{
    char key[RUNS_NAME_SIZE_MAX + 8];
    struct bytes value;
    int result = kv_get(session, RUNS_LIST_TABLE, floor_key(runs, key), &value, detail);
    *out_floor = 0;
    if (result != 0) {
        return result == STOA_ENOTFOUND ? 0 : result;
    }
    if (value.size != 8) {
        return error_set(detail, STOA_ECORRUPT, "floor of %s: %zu bytes", runs->name, value.size);
    }
    *out_floor = bytes_load_le64(value.data);
    return 0;
}

static int append_run(struct buffer *record, const struct run *run)
{
    uint8_t fixed[LIST_RUN_SIZE];
    bytes_store_le64(fixed, run->number);
    fixed[8] = run->level;
    bytes_store_le64(fixed + 9, run->entry_count);
    bytes_store_le64(fixed + 17, run->filter.block_count * FILTER_BLOCK_SIZE);
    bytes_store_le16(fixed + 25, run->min_size);
    bytes_store_le16(fixed + 27, run->max_size);
    int result = buffer_append(record, fixed, sizeof(fixed));
    result = result != 0 ? result : buffer_append(record, run->min, run->min_size);
    return result != 0 ? result : buffer_append(record, run->max, run->max_size);
}

int runs_list_remove(const struct runs *runs, struct kv_session *session,
                     struct error_detail *detail)
{
    return kv_remove(session, RUNS_LIST_TABLE, name_key(runs), detail);
}

int runs_list_write(const struct runs *runs, struct kv_session *session,
                    const struct runs_version *version, struct error_detail *detail)
{
    ensure(version->count <= LIST_RUNS_MAX);
    struct buffer record;
    buffer_init(&record);
    uint8_t header[LIST_HEADER_SIZE] = {LIST_VERSION};
    bytes_store_le32(header + 1, (uint32_t)version->count);
    int result = buffer_append(&record, header, sizeof(header));
    for (size_t i = 0; result == 0 && i < version->count; i++) {
        result = append_run(&record, version->list[i]);
    }
    if (result != 0) {
        error_set(detail, result, "runs of %s: out of memory", runs->name);
    } else {
        result = kv_put(session, RUNS_LIST_TABLE, name_key(runs), buffer_bytes(&record), detail);
    }
    buffer_deinit(&record);
    return result;
}

/* Read one run at *DATA, which moves on. NULL: *OUT_RESULT says why. */
static struct run *read_run(const struct runs *runs, struct bytes *data, int *out_result)
{
    *out_result = STOA_ECORRUPT;
    if (data->size < LIST_RUN_SIZE) {
        return NULL;
    }
    const uint8_t *fixed = data->data;
    uint64_t filter_bytes = bytes_load_le64(fixed + 17);
    uint16_t min_size = bytes_load_le16(fixed + 25);
    uint16_t max_size = bytes_load_le16(fixed + 27);
    uint64_t number = bytes_load_le64(fixed);
    size_t size = (size_t)LIST_RUN_SIZE + min_size + max_size;
    if (min_size == 0 || min_size > KV_KEY_SIZE_MAX || max_size == 0 ||
        max_size > KV_KEY_SIZE_MAX || data->size < size || number == 0 || number == UINT64_MAX ||
        filter_bytes == 0 || filter_bytes % FILTER_BLOCK_SIZE != 0 ||
        filter_bytes > (UINT64_C(1) << 40)) {
        return NULL;
    }
    struct run *run = runs_run_create(runs, number);
    *out_result = run == NULL ? STOA_ENOMEM : filter_init(&run->filter, filter_bytes);
    if (*out_result != 0) {
        runs_run_destroy(run);
        return NULL;
    }
    run->level = fixed[8];
    run->entry_count = bytes_load_le64(fixed + 9);
    run->min_size = min_size;
    run->max_size = max_size;
    memcpy(run->min, fixed + LIST_RUN_SIZE, min_size);
    memcpy(run->max, fixed + LIST_RUN_SIZE + min_size, max_size);
    *data = bytes_of(data->data + size, data->size - size);
    return run;
}

static int decode_list(const struct runs *runs, struct bytes data,
                       struct runs_version **out_version)
{
    if (data.size < LIST_HEADER_SIZE || data.data[0] != LIST_VERSION) {
        return data.size != 0 && data.data[0] > LIST_VERSION ? STOA_EVERSION : STOA_ECORRUPT;
    }
    size_t count = bytes_load_le32(data.data + 1);
    data = bytes_of(data.data + LIST_HEADER_SIZE, data.size - LIST_HEADER_SIZE);
    if (count > LIST_RUNS_MAX || data.size < count * LIST_RUN_SIZE) {
        return STOA_ECORRUPT;
    }
    struct runs_version *version = runs_version_create(count);
    if (version == NULL) {
        return STOA_ENOMEM;
    }
    int result = 0;
    size_t made = 0;
    while (result == 0 && made < count) {
        struct run *run = read_run(runs, &data, &result);
        if (run != NULL) {
            run->references = 1;
            version->list[made++] = run;
        }
    }
    if (result == 0 && data.size != 0) {
        result = STOA_ECORRUPT;
    }
    if (result != 0) {
        for (size_t i = 0; i < made; i++) {
            runs_run_destroy(version->list[i]);
        }
        memory_free(version);
        return result;
    }
    *out_version = version;
    return 0;
}

int runs_list_read(struct runs *runs, struct kv_session *session, struct runs_version **out_version,
                   struct error_detail *detail)
{
    struct bytes record;
    int result = kv_get(session, RUNS_LIST_TABLE, name_key(runs), &record, detail);
    if (result == STOA_ENOTFOUND) {
        *out_version = runs_version_create(0);
        return *out_version != NULL
                   ? 0
                   : error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", runs->name);
    }
    if (result == 0) {
        result = decode_list(runs, record, out_version);
        if (result != 0) {
            error_set(detail, result, "runs of %s: bad list of runs: %s", runs->name,
                      stoa_strerror(result));
        }
    }
    return result;
}

static struct bytes chunk_key(const struct runs *runs, uint64_t number, uint32_t chunk,
                              uint8_t out[CHUNK_KEY_SIZE_MAX])
{
    size_t size = strlen(runs->name) + 1;
    memcpy(out, runs->name, size);
    bytes_store_be64(out + size, number);
    bytes_store_be32(out + size + 8, chunk);
    return bytes_of(out, size + 12);
}

int runs_list_write_filter(const struct runs *runs, struct kv_session *session,
                           const struct run *run, struct error_detail *detail)
{
    uint64_t total = run->filter.block_count * FILTER_BLOCK_SIZE;
    int result = 0;
    uint32_t chunk = 0;
    for (uint64_t offset = 0; result == 0 && offset < total; offset += CHUNK_SIZE) {
        uint8_t key[CHUNK_KEY_SIZE_MAX];
        uint64_t size = total - offset < CHUNK_SIZE ? total - offset : CHUNK_SIZE;
        result = kv_put(session, RUNS_FILTER_TABLE, chunk_key(runs, run->number, chunk++, key),
                        bytes_of(run->filter.bits + offset, size), detail);
    }
    return result;
}

int runs_list_remove_filter(const struct runs *runs, struct kv_session *session, uint64_t number,
                            struct error_detail *detail)
{
    uint8_t space[CHUNK_KEY_SIZE_MAX];
    struct bytes first = chunk_key(runs, number, 0, space);
    struct kv_cursor *cursor;
    int result = kv_cursor_open(session, RUNS_FILTER_TABLE, &cursor, detail);
    if (result != 0) {
        return result;
    }
    uint32_t count = 0;
    result = kv_cursor_seek(cursor, first, detail);
    while (result == 0) {
        struct bytes key;
        struct bytes value;
        kv_cursor_current(cursor, &key, &value);
        if (key.size != first.size || memcmp(key.data, first.data, first.size - 4) != 0) {
            break;
        }
        count = bytes_load_be32(key.data + key.size - 4) + 1;
        result = kv_cursor_next(cursor, detail);
    }
    kv_cursor_close(cursor);
    result = result == STOA_ENOTFOUND ? 0 : result;
    for (uint32_t chunk = 0; result == 0 && chunk < count; chunk++) {
        result =
            kv_remove(session, RUNS_FILTER_TABLE, chunk_key(runs, number, chunk, space), detail);
    }
    return result;
}

/* Put one chunk where it belongs. *OUT_STRAY: it belongs to no run in VERSION. */
static int place_chunk(const struct runs *runs, const struct runs_version *version,
                       struct bytes key, struct bytes value, uint64_t *filled, uint64_t *out_stray)
{
    size_t name_size = strlen(runs->name) + 1;
    if (key.size != name_size + 12) {
        return STOA_ECORRUPT;
    }
    uint64_t number = bytes_load_be64(key.data + name_size);
    uint64_t offset = (uint64_t)bytes_load_be32(key.data + name_size + 8) * CHUNK_SIZE;
    *out_stray = number;
    for (size_t i = 0; i < version->count; i++) {
        const struct run *run = version->list[i];
        if (run->number != number) {
            continue;
        }
        *out_stray = 0;
        uint64_t total = run->filter.block_count * FILTER_BLOCK_SIZE;
        if (offset != filled[i] || offset >= total ||
            value.size != (total - offset < CHUNK_SIZE ? total - offset : CHUNK_SIZE)) {
            return STOA_ECORRUPT;
        }
        memcpy(run->filter.bits + offset, value.data, value.size);
        filled[i] += value.size;
    }
    return 0;
}

/* One pass over the index's chunks. Numbers of runs that are none are gathered in STRAYS. */
static int scan_chunks(const struct runs *runs, struct kv_session *session,
                       const struct runs_version *version, uint64_t *filled, struct buffer *strays,
                       struct error_detail *detail)
{
    struct kv_cursor *cursor;
    int result = kv_cursor_open(session, RUNS_FILTER_TABLE, &cursor, detail);
    if (result != 0) {
        return result;
    }
    struct bytes prefix = bytes_of(runs->name, strlen(runs->name) + 1);
    uint64_t last_stray = 0;
    result = kv_cursor_seek(cursor, prefix, detail);
    while (result == 0) {
        struct bytes key;
        struct bytes value;
        kv_cursor_current(cursor, &key, &value);
        if (key.size < prefix.size || memcmp(key.data, prefix.data, prefix.size) != 0) {
            break;
        }
        uint64_t stray = 0;
        result = place_chunk(runs, version, key, value, filled, &stray);
        if (result != 0) {
            error_set(detail, result, "runs of %s: bad chunk of a filter", runs->name);
        } else if (stray != 0 && stray != last_stray) {
            last_stray = stray;
            result = buffer_append(strays, &stray, sizeof(stray));
        }
        result = result != 0 ? result : kv_cursor_next(cursor, detail);
    }
    kv_cursor_close(cursor);
    return result == STOA_ENOTFOUND ? 0 : result;
}

int runs_list_read_filters(const struct runs *runs, struct kv_session *session,
                           const struct runs_version *version, struct error_detail *detail)
{
    uint64_t *filled = memory_alloc_zeroed(version->count, sizeof(*filled));
    if (filled == NULL) {
        return error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", runs->name);
    }
    struct buffer strays;
    buffer_init(&strays);
    int result = scan_chunks(runs, session, version, filled, &strays, detail);
    for (size_t i = 0; result == 0 && i < version->count; i++) {
        const struct run *run = version->list[i];
        if (filled[i] != run->filter.block_count * FILTER_BLOCK_SIZE) {
            result = error_set(detail, STOA_ECORRUPT, "runs of %s: the filter of %s is not whole",
                               runs->name, run->table);
        }
    }
    for (size_t i = 0; result == 0 && i < strays.size; i += sizeof(uint64_t)) {
        uint64_t number;
        memcpy(&number, strays.data + i, sizeof(number));
        result = runs_list_remove_filter(runs, session, number, detail);
    }
    buffer_deinit(&strays);
    memory_free(filled);
    return result;
}
