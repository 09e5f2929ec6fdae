/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_layer.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum {
    NAME_HEAD = 8,
    PATH_HEAD = 14, /* nibbles */
    ENTRY_HEADER = 1 + 4 + 8,
};

size_t trie_layer_base(struct bytes trie, struct bytes path, uint8_t out[TRIE_LAYER_BASE_MAX])
{
    ensure(trie.size == 0 || trie.size == TRIE_LAYER_NAME_SIZE);
    ensure(path.size <= TRIE_LAYER_PATH_MAX);
    memset(out, 0, TRIE_LAYER_BASE_MAX);
    if (trie.size != 0) {
        memcpy(out, trie.data, NAME_HEAD);
    }
    size_t head = path.size < PATH_HEAD ? path.size : PATH_HEAD;
    for (size_t i = 0; i < head; i++) {
        out[NAME_HEAD + i / 2] |= (uint8_t)(path.data[i] << (i % 2 == 0 ? 4 : 0));
    }
    out[TRIE_LAYER_SPREAD_SIZE - 1] = (uint8_t)path.size;
    size_t size = TRIE_LAYER_SPREAD_SIZE;
    out[size++] = trie.size != 0;
    if (trie.size != 0) {
        memcpy(out + size, trie.data + NAME_HEAD, TRIE_LAYER_NAME_SIZE - NAME_HEAD);
        size += TRIE_LAYER_NAME_SIZE - NAME_HEAD;
    }
    for (size_t i = head; i < path.size; i++) {
        out[size + (i - head) / 2] |= (uint8_t)(path.data[i] << ((i - head) % 2 == 0 ? 4 : 0));
    }
    return size + (path.size - head + 1) / 2;
}

struct trie_layer *trie_layer_create(uint64_t height)
{
    struct trie_layer *layer = memory_alloc_zeroed(1, sizeof(*layer));
    if (layer != NULL) {
        layer->height = height;
        layer->references = 1;
    }
    return layer;
}

void trie_layer_release(struct trie_layer *layer)
{
    if (layer == NULL) {
        return;
    }
    ensure(layer->references > 0);
    if (--layer->references == 0) {
        buffer_deinit(&layer->entries);
        buffer_deinit(&layer->found);
        memory_free(layer);
    }
}

static int append(struct buffer *buffer, const struct trie_layer_entry *entry)
{
    uint8_t header[ENTRY_HEADER];
    ensure(entry->base.size <= TRIE_LAYER_BASE_MAX && entry->record.size < UINT32_MAX);
    header[0] = (uint8_t)entry->base.size;
    bytes_store_le32(header + 1, (uint32_t)entry->record.size);
    bytes_store_le64(header + 5, entry->height);
    int result = buffer_reserve(buffer, sizeof(header) + entry->base.size + entry->record.size);
    if (result != 0) {
        return result;
    }
    (void)buffer_append(buffer, header, sizeof(header)); /* there is room */
    (void)buffer_append(buffer, entry->base.data, entry->base.size);
    (void)buffer_append(buffer, entry->record.data, entry->record.size);
    return 0;
}

int trie_layer_add_older(struct trie_layer *layer, const struct trie_layer_entry *entry)
{
    int result = append(&layer->entries, entry);
    if (result == 0) {
        layer->count++;
        layer->base_bytes += entry->base.size;
    }
    return result;
}

int trie_layer_add(struct trie_layer *layer, struct bytes base, struct bytes record)
{
    struct trie_layer_entry entry = {.base = base, .record = record, .height = layer->height};
    return trie_layer_add_older(layer, &entry);
}

int trie_layer_add_found(struct buffer *found, const struct trie_layer_entry *entry)
{
    return append(found, entry);
}

bool trie_layer_next(struct bytes *cursor, struct trie_layer_entry *out_entry)
{
    if (cursor->size == 0) {
        return false;
    }
    ensure(cursor->size >= ENTRY_HEADER);
    const uint8_t *at = cursor->data;
    size_t base_size = at[0];
    size_t record_size = bytes_load_le32(at + 1);
    ensure(cursor->size >= ENTRY_HEADER + base_size + record_size);
    *out_entry = (struct trie_layer_entry){
        .base = bytes_of(at + ENTRY_HEADER, base_size),
        .record = bytes_of(at + ENTRY_HEADER + base_size, record_size),
        .height = bytes_load_le64(at + 5),
    };
    size_t size = ENTRY_HEADER + base_size + record_size;
    *cursor = bytes_of(at + size, cursor->size - size);
    return true;
}
