/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of the tries in the tables. An entry may have several versions (trie_group.h); so
 * where a change of branch takes versions away, an entry that has some of them and others that stay
 * is made anew without them. What the tables have then is all that came before the batch. */
#include "base/ensure.h"
#include "store/index_private.h"
#include "store/trie_group.h"

int index_find_trie(struct index *index, struct kv_session *session, struct bytes base,
                    uint64_t *bound, struct buffer *scratch, struct bytes *out_record,
                    struct error_detail *detail)
{
    struct runs_version *version = runs_acquire(index->trie);
    struct bytes entry;
    uint64_t height = *bound;
    int result = runs_get_version(version, session, base, &height, &entry, detail);
    runs_release(index->trie, version);
    if (result == 0) {
        result = trie_group_find(entry, height, *bound, scratch, out_record, bound, detail);
    }
    return result;
}

size_t index_trie_key_bytes(const struct pending *batch, const struct index_tries *tries,
                            size_t *out_count)
{
    size_t count = tries->count;
    size_t size = 0;
    for (size_t i = 0; i < tries->count; i++) {
        size += tries->versions[i].key.size;
    }
    for (const struct trie_layer *layer = pending_layers(batch); layer != NULL;
         layer = layer->next) {
        size_t times = layer->withdrawn ? 2 : 1; /* what is made anew of it */
        count += times * layer->count;
        size += times * layer->base_bytes;
    }
    *out_count = count;
    return size + count * RUNS_VERSION_SIZE;
}

/* Entries on their way into a run. */
struct loading {
    struct index *index;
    struct kv_session *session;
    uint8_t *key; /* of the next one */
    size_t count;
    struct error_detail *detail;
};

/* A version of a record, or an entry of several. */
static void add_entry(struct loading *loading, const struct trie_layer_entry *from, bool withdrawn)
{
    size_t size = from->base.size;
    uint8_t *key = loading->key;
    memcpy(key, from->base.data, size);
    runs_version_key(key, size, from->height);
    loading->key += size + RUNS_VERSION_SIZE;
    loading->index->entries[loading->count++] =
        (struct runs_entry){.key = bytes_of(key, size + RUNS_VERSION_SIZE),
                            .value = from->record,
                            .removed = withdrawn,
                            .absent = from->record.size == 0};
}

/* The tables' entry of the record BASE that has the version as of BOUND, without those above it. */
static int cut_entry(struct loading *loading, struct bytes base, uint64_t bound,
                     struct buffer *scratch)
{
    struct index *index = loading->index;
    struct runs_version *version = runs_acquire(index->trie);
    struct bytes entry;
    uint64_t height = bound;
    int result =
        runs_get_version(version, loading->session, base, &height, &entry, loading->detail);
    runs_release(index->trie, version);
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    result = result == 0 ? trie_group_cut(entry, height, bound, scratch, loading->detail) : result;
    if (result != 0 || scratch->size == 0) {
        return result;
    }
    struct trie_layer_entry made = {
        .base = base, .record = arena_copy(&index->cut, buffer_bytes(scratch)), .height = height};
    if (made.record.data == NULL) {
        return error_set(loading->detail, STOA_ENOMEM, "trie record");
    }
    add_entry(loading, &made, false);
    return 0;
}

/* Those of all records of LAYER that are not in SEEN, which they come into. */
static int cut_layer(struct loading *loading, const struct trie_layer *layer, uint64_t bound,
                     struct trie_cache *seen, struct buffer *scratch)
{
    struct bytes cursor = buffer_bytes(&layer->entries);
    struct trie_layer_entry entry;
    struct bytes none;
    int result = 0;
    while (result == 0 && trie_layer_next(&cursor, &entry)) {
        if (trie_cache_find(seen, entry.base, 0, scratch, &none) == 0) {
            continue;
        }
        result = trie_cache_put(seen, entry.base, bytes_of(NULL, 0), 0, 0);
        result = result != 0 ? error_set(loading->detail, result, "trie record")
                             : cut_entry(loading, entry.base, bound, scratch);
    }
    return result;
}

/* All entries that have versions from before the batch's lowest change of branch and from behind
 * it.
 */
static int cut_entries(struct loading *loading, const struct pending *batch)
{
    uint64_t from = pending_cut_from(batch);
    if (from == 0 || from == UINT64_MAX) {
        return 0;
    }
    struct trie_cache *seen = trie_cache_create(SIZE_MAX);
    struct buffer scratch;
    int result = seen == NULL ? error_set(loading->detail, STOA_ENOMEM, "trie record") : 0;
    buffer_init(&scratch);
    for (const struct trie_layer *layer = pending_layers(batch); result == 0 && layer != NULL;
         layer = layer->next) {
        result = layer->withdrawn ? cut_layer(loading, layer, from - 1, seen, &scratch) : 0;
    }
    buffer_deinit(&scratch);
    trie_cache_destroy(seen);
    return result;
}

/* ENTRY of a layer that stays: without what a later change of branch in the same batch takes away.
 */
static int add_kept(struct loading *loading, const struct trie_layer_entry *entry, uint64_t from,
                    struct buffer *scratch)
{
    struct trie_layer_entry kept = *entry;
    if (entry->height < from && from != UINT64_MAX) {
        int result =
            trie_group_cut(entry->record, entry->height, from - 1, scratch, loading->detail);
        if (result != 0) {
            return result;
        }
        if (scratch->size != 0) {
            kept.record = arena_copy(&loading->index->cut, buffer_bytes(scratch));
        }
        if (scratch->size != 0 && kept.record.data == NULL) {
            return error_set(loading->detail, STOA_ENOMEM, "trie record");
        }
    }
    add_entry(loading, &kept, false);
    return 0;
}

/* The batch's layers, of which later ones count for more. */
static int load_layers(struct loading *loading, const struct pending *batch)
{
    struct buffer scratch;
    struct trie_layer_entry entry;
    int result = cut_entries(loading, batch);
    buffer_init(&scratch);
    for (const struct trie_layer *layer = pending_layers(batch); result == 0 && layer != NULL;
         layer = layer->next) {
        struct bytes cursor = buffer_bytes(&layer->entries);
        while (result == 0 && trie_layer_next(&cursor, &entry)) {
            if (layer->withdrawn) {
                add_entry(loading, &entry, true);
            } else {
                result = add_kept(loading, &entry, pending_cut_from(batch), &scratch);
            }
        }
    }
    buffer_deinit(&scratch);
    return result;
}

/* What was gathered has all that the layers have, and later versions with it in the same entries.
 */
int index_load_trie(struct index *index, struct kv_session *session, const struct pending *batch,
                    const struct index_tries *tries, struct error_detail *detail)
{
    struct loading loading = {
        .index = index, .session = session, .key = index->keys, .detail = detail};
    struct trie_layer_entry entry;
    ensure(!tries->held || tries->count == 0);
    bool layers = !tries->held && tries->complete == NULL;
    int result = layers ? load_layers(&loading, batch) : 0;
    for (size_t i = 0; i < tries->count; i++) {
        const struct trie_cache_version *version = &tries->versions[i];
        entry = (struct trie_layer_entry){version->key, version->record, version->height};
        add_entry(&loading, &entry, false);
    }
    ensure(loading.key <= index->keys + index->key_capacity);
    ensure(loading.count <= index->entry_capacity);
    if (result == 0) {
        result = runs_load(index->trie, session, index->entries, loading.count, detail);
    }
    arena_reset(&index->cut);
    return result;
}
