/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_cache.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "state/trie_delta.h"
#include "stoa/error.h"
#include "store/trie_group.h"

enum {
    BUCKETS_MIN = 1 << 12,
    OVERHEAD = 16, /* of an allocation */
    TRIM_STEP = 1 << 14,
    SHORTEN_FROM = 4, /* versions of a key */
    LINE = 64,
    LINES_AHEAD = 5, /* of a record */
};

/* The newest is the record, an older one what makes it of the next newer one. */
struct version {
    struct version *older;
    uint64_t height;
    uint32_t size;
    uint32_t capacity;
    uint8_t data[];
};

struct entry {
    struct entry *next; /* of the bucket */
    uint64_t hash;
    struct version *newest; /* there is one */
    struct entry *before;   /* of those that are not settled */
    struct entry *after;
    uint32_t count;   /* of versions */
    uint32_t shorten; /* from so many on it is looked whether some can go */
    bool unsettled;
    bool used; /* put since the hand passed */
    uint8_t key_size;
    uint8_t key[];
};

struct trie_cache {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t bytes;
    size_t budget;
    size_t hand; /* bucket where the next trim begins */
    uint64_t floor;
    struct entry *unsettled;
    size_t unsettled_count;
    size_t unsettled_bytes; /* of their versions */
    struct buffer delta;    /* being made */
    struct buffer record;   /* being made of deltas, with the other one */
    struct buffer other;
};

struct trie_cache *trie_cache_create(size_t budget)
{
    struct trie_cache *cache = memory_alloc_zeroed(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    cache->budget = budget;
    cache->bucket_count = BUCKETS_MIN;
    cache->buckets = memory_alloc_zeroed(cache->bucket_count, sizeof(struct entry *));
    if (cache->buckets == NULL) {
        memory_free(cache);
        return NULL;
    }
    return cache;
}

static size_t version_bytes(const struct version *version)
{
    return sizeof(*version) + version->capacity + OVERHEAD;
}

/* ---- what is not settled ---- */

static void link_unsettled(struct trie_cache *cache, struct entry *entry)
{
    if (entry->unsettled) {
        return;
    }
    entry->unsettled = true;
    entry->before = NULL;
    entry->after = cache->unsettled;
    if (entry->after != NULL) {
        entry->after->before = entry;
    }
    cache->unsettled = entry;
    cache->unsettled_count++;
    for (const struct version *version = entry->newest; version != NULL; version = version->older) {
        cache->unsettled_bytes += version_bytes(version);
    }
}

static void unlink_unsettled(struct trie_cache *cache, struct entry *entry)
{
    if (!entry->unsettled) {
        return;
    }
    for (const struct version *version = entry->newest; version != NULL; version = version->older) {
        cache->unsettled_bytes -= version_bytes(version);
    }
    if (entry->before != NULL) {
        entry->before->after = entry->after;
    } else {
        ensure(cache->unsettled == entry);
        cache->unsettled = entry->after;
    }
    if (entry->after != NULL) {
        entry->after->before = entry->before;
    }
    entry->unsettled = false;
    cache->unsettled_count--;
}

/* ---- freeing ---- */

static void count_version(struct trie_cache *cache, struct entry *entry,
                          const struct version *version)
{
    entry->count++;
    cache->bytes += version_bytes(version);
    cache->unsettled_bytes += entry->unsettled ? version_bytes(version) : 0;
}

static void free_versions(struct trie_cache *cache, struct entry *entry, struct version *version)
{
    while (version != NULL) {
        struct version *older = version->older;
        entry->count--;
        cache->bytes -= version_bytes(version);
        cache->unsettled_bytes -= entry->unsettled ? version_bytes(version) : 0;
        memory_free(version);
        version = older;
    }
}

static void free_entry(struct trie_cache *cache, struct entry *entry)
{
    unlink_unsettled(cache, entry);
    free_versions(cache, entry, entry->newest);
    cache->bytes -= sizeof(*entry) + entry->key_size + OVERHEAD;
    cache->count--;
    memory_free(entry);
}

void trie_cache_clear(struct trie_cache *cache)
{
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct entry *entry = cache->buckets[i];
            cache->buckets[i] = entry->next;
            free_entry(cache, entry);
        }
    }
    cache->floor = 0;
    ensure(cache->count == 0 && cache->bytes == 0);
    ensure(cache->unsettled_count == 0 && cache->unsettled_bytes == 0);
}

void trie_cache_destroy(struct trie_cache *cache)
{
    if (cache != NULL) {
        trie_cache_clear(cache);
        buffer_deinit(&cache->delta);
        buffer_deinit(&cache->record);
        buffer_deinit(&cache->other);
        memory_free((void *)cache->buckets);
        memory_free(cache);
    }
}

/* ---- finding ---- */

static struct entry *find(const struct trie_cache *cache, struct bytes key, uint64_t hash)
{
    struct entry *entry = cache->buckets[hash & (cache->bucket_count - 1)];
    while (entry != NULL &&
           (entry->hash != hash || !bytes_equal(bytes_of(entry->key, entry->key_size), key))) {
        entry = entry->next;
    }
    return entry;
}

uint64_t trie_cache_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

void trie_cache_fetch_ahead(const struct trie_cache *cache, uint64_t hash,
                            enum trie_cache_step step)
{
    struct entry *const *bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    if (step == TRIE_CACHE_BUCKET) {
        __builtin_prefetch((const void *)bucket);
        return;
    }
    const struct entry *entry = *bucket;
    if (step == TRIE_CACHE_ENTRY) {
        if (entry != NULL) {
            __builtin_prefetch(entry);
            __builtin_prefetch((const uint8_t *)entry + LINE);
        }
        return;
    }
    while (entry != NULL && entry->hash != hash) {
        entry = entry->next;
    }
    for (size_t i = 0; entry != NULL && i < LINES_AHEAD; i++) {
        __builtin_prefetch((const uint8_t *)entry->newest + LINE * i);
    }
}

/* The record of VERSION of ENTRY: the version's own, or made in RECORD. OTHER is for what it is
 * made of. */
static int restore(const struct entry *entry, const struct version *version, struct buffer *record,
                   struct buffer *other, struct bytes *out_record)
{
    const struct version *at = entry->newest;
    struct bytes made = bytes_of(at->data, at->size);
    int result = 0;
    while (result == 0 && at != version) {
        at = at->older;
        buffer_clear(other);
        result = trie_delta_apply(made, bytes_of(at->data, at->size), other);
        struct buffer swapped = *record;
        *record = *other;
        *other = swapped;
        made = buffer_bytes(record);
    }
    *out_record = made;
    return result;
}

int trie_cache_find(const struct trie_cache *cache, struct bytes key, uint64_t bound,
                    struct buffer *scratch, struct bytes *out_record)
{
    const struct entry *entry = find(cache, key, trie_cache_hash(key));
    const struct version *version = entry == NULL ? NULL : entry->newest;
    while (version != NULL && version->height > bound) {
        version = version->older;
    }
    if (version == NULL) {
        return STOA_ENOTFOUND;
    }
    if (version == entry->newest) {
        *out_record = bytes_of(version->data, version->size);
        return 0;
    }
    struct buffer other;
    buffer_init(&other);
    int result = restore(entry, version, scratch, &other, out_record);
    buffer_deinit(&other);
    return result;
}

/* More buckets than entries. Without memory for them it is only slower. */
static void grow(struct trie_cache *cache)
{
    if (cache->count < cache->bucket_count) {
        return;
    }
    size_t count = 2 * cache->bucket_count;
    struct entry **buckets = memory_alloc_zeroed(count, sizeof(struct entry *));
    if (buckets == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct entry *entry = cache->buckets[i];
            cache->buckets[i] = entry->next;
            entry->next = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    }
    memory_free((void *)cache->buckets);
    cache->buckets = buckets;
    cache->bucket_count = count;
}

static struct version *make_version(struct bytes content, uint64_t height)
{
    ensure(content.size <= UINT32_MAX);
    struct version *version = memory_alloc(sizeof(*version) + content.size);
    if (version != NULL) {
        version->older = NULL;
        version->height = height;
        version->size = (uint32_t)content.size;
        version->capacity = (uint32_t)content.size;
        if (content.size != 0) {
            memcpy(version->data, content.data, content.size);
        }
    }
    return version;
}

static struct entry *add_entry(struct trie_cache *cache, struct bytes key, uint64_t hash,
                               struct version *version)
{
    struct entry *entry = memory_alloc(sizeof(*entry) + key.size);
    ensure(key.size > 0 && key.size <= UINT8_MAX);
    if (entry == NULL) {
        return NULL;
    }
    grow(cache);
    struct entry **bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    *entry = (struct entry){
        .next = *bucket,
        .hash = hash,
        .newest = version,
        .shorten = SHORTEN_FROM,
        .key_size = (uint8_t)key.size,
    };
    memcpy(entry->key, key.data, key.size);
    *bucket = entry;
    cache->count++;
    cache->bytes += sizeof(*entry) + key.size + OVERHEAD;
    count_version(cache, entry, version);
    return entry;
}

/* Drop what the tables have, but for the newest version, and what nobody asks for. */
static void shorten(struct trie_cache *cache, struct entry *entry, uint64_t below)
{
    struct version *version = entry->newest;
    while (version->older != NULL && version->older->height >= below &&
           version->height > cache->floor) {
        version = version->older;
    }
    free_versions(cache, entry, version->older);
    version->older = NULL;
    entry->shorten = 2 * entry->count + SHORTEN_FROM;
}

/* The newest version becomes RECORD of HEIGHT; it stays where it is if it fits. NULL: no memory. */
static struct version *renew(struct trie_cache *cache, struct entry *entry, struct bytes record,
                             uint64_t height)
{
    struct version *newest = entry->newest;
    if (record.size > newest->capacity || record.size < newest->capacity / 2) {
        struct version *made = make_version(record, height);
        if (made == NULL) {
            return NULL;
        }
        made->older = newest->older;
        newest->older = NULL;
        free_versions(cache, entry, newest);
        entry->newest = made;
        count_version(cache, entry, made);
        return made;
    }
    newest->height = height;
    newest->size = (uint32_t)record.size;
    if (record.size != 0) {
        memcpy(newest->data, record.data, record.size);
    }
    return newest;
}

/* What makes OLD of RECORD, as a version of HEIGHT. NULL: no memory. */
static struct version *make_older(struct trie_cache *cache, struct bytes old, struct bytes record,
                                  uint64_t height)
{
    buffer_clear(&cache->delta);
    if (trie_delta_make(record, old, &cache->delta) != 0) {
        return NULL;
    }
    return make_version(buffer_bytes(&cache->delta), height);
}

/* RECORD of HEIGHT becomes the newest version, with OLDER (NULL: no memory) behind it. */
static int put_before(struct trie_cache *cache, struct entry *entry, struct bytes record,
                      uint64_t height, struct version *older)
{
    if (older == NULL || renew(cache, entry, record, height) == NULL) {
        memory_free(older);
        return STOA_ENOMEM;
    }
    older->older = entry->newest->older;
    entry->newest->older = older;
    count_version(cache, entry, older);
    return 0;
}

/* RECORD is to be the newest version, with the height of the one that is; the next older one is
 * made of it then. */
static int replace(struct trie_cache *cache, struct entry *entry, struct bytes record)
{
    struct version *older = entry->newest->older;
    uint64_t height = entry->newest->height;
    if (older == NULL) {
        return renew(cache, entry, record, height) == NULL ? STOA_ENOMEM : 0;
    }
    struct bytes old;
    int result = restore(entry, older, &cache->record, &cache->other, &old);
    if (result == 0) {
        result =
            put_before(cache, entry, record, height, make_older(cache, old, record, older->height));
    }
    if (result == 0) {
        entry->newest->older->older = older->older;
        older->older = NULL;
        free_versions(cache, entry, older);
    }
    return result;
}

static int put_newer(struct trie_cache *cache, struct entry *entry, struct bytes record,
                     uint64_t height)
{
    const struct version *before = entry->newest;
    ensure(before->height <= height);
    if (before->height == height) {
        return replace(cache, entry, record);
    }
    return put_before(
        cache, entry, record, height,
        make_older(cache, bytes_of(before->data, before->size), record, before->height));
}

int trie_cache_put(struct trie_cache *cache, struct bytes key, struct bytes record, uint64_t height,
                   uint64_t below)
{
    uint64_t hash = trie_cache_hash(key);
    struct entry *entry = find(cache, key, hash);
    if (entry == NULL) {
        struct version *version = make_version(record, height);
        entry = version == NULL ? NULL : add_entry(cache, key, hash, version);
        if (entry == NULL) {
            memory_free(version);
            return STOA_ENOMEM;
        }
    } else {
        int result = put_newer(cache, entry, record, height);
        if (result != 0) {
            return result;
        }
        entry->used = true;
    }
    if (height >= below) {
        link_unsettled(cache, entry);
    }
    if (entry->count >= entry->shorten) {
        shorten(cache, entry, below);
    }
    return 0;
}

int trie_cache_keep(struct trie_cache *cache, struct bytes key, struct bytes record,
                    uint64_t height)
{
    uint64_t hash = trie_cache_hash(key);
    if (find(cache, key, hash) != NULL) {
        return 0;
    }
    struct version *version = make_version(record, height);
    if (version == NULL || add_entry(cache, key, hash, version) == NULL) {
        memory_free(version);
        return STOA_ENOMEM;
    }
    return 0;
}

void trie_cache_raise_floor(struct trie_cache *cache, uint64_t floor)
{
    cache->floor = floor > cache->floor ? floor : cache->floor;
}

/* ---- gathering ---- */

struct gathering {
    const struct trie_cache *cache;
    uint64_t below;
    uint64_t last;
    struct trie_group group; /* of the entry's versions, where one has begun */
    bool begun;
    struct buffer record;
    struct buffer other;
    struct arena *memory;
    struct buffer *out;
};

static int end_group(struct gathering *gathering, const struct entry *entry)
{
    const struct trie_group *group = &gathering->group;
    if (!gathering->begun) {
        return 0;
    }
    gathering->begun = false;
    uint8_t *content = arena_alloc(gathering->memory, trie_group_size(group));
    struct bytes key = arena_copy(gathering->memory, bytes_of(entry->key, entry->key_size));
    if (content == NULL || key.data == NULL) {
        return STOA_ENOMEM;
    }
    struct trie_cache_version version = {
        .key = key,
        .record = bytes_of(content, trie_group_write(group, content)),
        .height = group->height,
    };
    return buffer_append(gathering->out, &version, sizeof(version));
}

/* Begin a group with VERSION. */
static int begin_group(struct gathering *gathering, const struct entry *entry,
                       const struct version *version)
{
    struct bytes record;
    int result = restore(entry, version, &gathering->record, &gathering->other, &record);
    if (result == 0) {
        trie_group_begin(&gathering->group, record, version->height);
        gathering->begun = true;
    }
    return result;
}

/* VERSION is the next older one of those that are gathered. One that says that there is no record
 * has no group. */
static int gather_version(struct gathering *gathering, const struct entry *entry,
                          const struct version *version)
{
    const struct trie_group *group = &gathering->group;
    uint64_t size = 0;
    if (version == entry->newest) {
        size = version->size;
    } else {
        struct bytes delta = bytes_of(version->data, version->size);
        (void)trie_delta_take_number(&delta, &size); /* the record's */
    }
    bool joins = gathering->begun && group->newest.size != 0 && size != 0 &&
                 trie_group_size(group) + version->size <= TRIE_GROUP_SIZE_MAX;
    if (joins) {
        return trie_group_add(&gathering->group, bytes_of(version->data, version->size),
                              version->height);
    }
    int result = end_group(gathering, entry);
    return result == 0 ? begin_group(gathering, entry, version) : result;
}

static int gather_entry(struct gathering *gathering, const struct entry *entry)
{
    const struct version *version = entry->newest;
    bool asked = true; /* for what is older */
    int result = 0;
    for (; result == 0 && asked && version != NULL && version->height >= gathering->below;
         version = version->older) {
        asked = version->height > gathering->cache->floor;
        if (version->height <= gathering->last) {
            result = gather_version(gathering, entry, version);
        }
    }
    return result == 0 ? end_group(gathering, entry) : result;
}

int trie_cache_gather(const struct trie_cache *cache, uint64_t below, uint64_t last,
                      struct arena *memory, struct buffer *out)
{
    struct gathering gathering = {
        .cache = cache, .below = below, .last = last, .memory = memory, .out = out};
    trie_group_init(&gathering.group);
    buffer_init(&gathering.record);
    buffer_init(&gathering.other);
    int result = 0;
    const struct entry *entry = cache->unsettled;
    for (; result == 0 && entry != NULL; entry = entry->after) {
        result = gather_entry(&gathering, entry);
    }
    buffer_deinit(&gathering.record);
    buffer_deinit(&gathering.other);
    trie_group_deinit(&gathering.group);
    return result;
}

void trie_cache_settle(struct trie_cache *cache, uint64_t below)
{
    struct entry *after;
    for (struct entry *entry = cache->unsettled; entry != NULL; entry = after) {
        after = entry->after;
        shorten(cache, entry, below);
        if (entry->newest->height < below) {
            unlink_unsettled(cache, entry);
        }
    }
}

/* The newest versions of ENTRY from HEIGHT on go; it has others. */
static int drop_newest(struct trie_cache *cache, struct entry *entry, uint64_t height)
{
    struct version *left = entry->newest;
    while (left->height >= height) {
        left = left->older;
    }
    struct bytes record;
    int result = restore(entry, left, &cache->record, &cache->other, &record);
    struct version *made = result == 0 ? make_version(record, left->height) : NULL;
    if (made == NULL) {
        return result != 0 ? result : STOA_ENOMEM;
    }
    made->older = left->older;
    left->older = NULL;
    free_versions(cache, entry, entry->newest);
    entry->newest = made;
    count_version(cache, entry, made);
    return 0;
}

int trie_cache_drop(struct trie_cache *cache, uint64_t height)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < cache->bucket_count; i++) {
        struct entry **link = &cache->buckets[i];
        while (result == 0 && *link != NULL) {
            struct entry *entry = *link;
            const struct version *oldest = entry->newest;
            while (oldest->older != NULL) {
                oldest = oldest->older;
            }
            if (oldest->height >= height) {
                *link = entry->next;
                free_entry(cache, entry);
                continue;
            }
            if (entry->newest->height >= height) {
                result = drop_newest(cache, entry, height);
            }
            link = &entry->next;
        }
    }
    return result;
}

void trie_cache_trim(struct trie_cache *cache, uint64_t below)
{
    /* A part of it a call: where nothing can go yet, that is not looked at all the time. */
    for (size_t i = 0; cache->bytes > cache->budget && i < TRIM_STEP; i++) {
        struct entry **link = &cache->buckets[cache->hand++ & (cache->bucket_count - 1)];
        while (*link != NULL) {
            struct entry *entry = *link;
            if (entry->used || entry->newest->height >= below) {
                entry->used = false;
                link = &entry->next;
            } else {
                *link = entry->next;
                free_entry(cache, entry);
            }
        }
    }
}

void trie_cache_stats(const struct trie_cache *cache, struct trie_cache_stats *out_stats)
{
    *out_stats = (struct trie_cache_stats){
        .records = cache->count,
        .bytes = cache->bytes,
        .unsettled = cache->unsettled_count,
        .unsettled_bytes = cache->unsettled_bytes,
    };
}
