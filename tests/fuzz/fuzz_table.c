/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: what the first byte says, a key or a value of the store's tables; sums inside are made
 * right unless that byte says not to. What decodes encodes to the same bytes; what a map of a body
 * names lies in it; a group of versions without some has the others as they were. */
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_seal.h"
#include "state/trie_delta.h"
#include "store/body_map.h"
#include "store/place.h"
#include "store/trie_group.h"

enum { KIND_HEIGHT, KIND_PLACE, KIND_KEY, KIND_MAP, KIND_GROUP, KINDS };
enum { OFFSET_MAP_SUM = 20, MAP_PREFIX = 4, GROUP_HEIGHT = 10 };

static const uint8_t block_hash[32] = {1, 2, 3};

/* ---- values and keys ---- */

static void check_height(struct bytes value)
{
    struct place_height height;
    uint8_t again[PLACE_HEIGHT_VALUE_MAX];
    int result = place_decode_height(value, &height);
    ensure(result == (value.size >= PLACE_HEIGHT_VALUE_SIZE ? 0 : STOA_ECORRUPT));
    if (result != 0 || height.body_map.size > BODY_MAP_SIZE_MAX) {
        return;
    }
    size_t size = place_encode_height(&height, again);
    ensure(bytes_equal(bytes_of(again, size), value));
    height.body_map = bytes_of(NULL, 0);
    size = place_encode_height(&height, again);
    ensure(place_is_of_height(value, bytes_of(again, size)));
}

/* Each that is of VALUE's size. */
static void check_place(struct bytes value)
{
    struct place_block block;
    struct branches_block side;
    struct place_applied applied;
    uint8_t again[PLACE_APPLIED_SIZE];
    uint8_t key[PLACE_SIDE_KEY_SIZE];
    if (place_decode_block(value, &block) == 0) {
        place_encode_block(&block, again);
        ensure(bytes_equal(bytes_of(again, PLACE_BLOCK_VALUE_SIZE), value));
    }
    if (value.size > sizeof(key)) {
        struct bytes rest = bytes_of(value.data + sizeof(key), value.size - sizeof(key));
        if (place_decode_side(bytes_of(value.data, sizeof(key)), rest, &side) == 0) {
            place_encode_side_key(side.height, side.hash, key);
            place_encode_side(&side, again);
            ensure(memcmp(key, value.data, sizeof(key)) == 0);
            ensure(bytes_equal(bytes_of(again, PLACE_SIDE_VALUE_SIZE), rest));
        }
    }
    if (place_decode_applied(value, &applied) == 0) {
        struct place_applied back;
        place_encode_applied(&applied, again);
        int result = place_decode_applied(bytes_of(again, sizeof(again)), &back);
        ensure(result == 0);
        ensure(back.store_id == applied.store_id && back.head_height == applied.head_height);
        ensure(memcmp(again + 49, value.data + 49, 64) == 0);
        ensure(prune_floors_are_same(&back.kept, &applied.kept));
    }
}

/* What a key says makes one that says the same, in as few bytes as will do. */
static void check_key(struct bytes key)
{
    uint64_t prefix;
    uint64_t height;
    uint32_t index;
    uint8_t again[PLACE_TRANSACTION_KEY_MAX];
    if (place_decode_transaction_key(key, &prefix, &height, &index) == 0) {
        size_t size = place_encode_transaction_key(prefix, height, index, again);
        ensure(size <= key.size);
        ensure(size != key.size || memcmp(again, key.data, size) == 0);
    }
    for (unsigned kind = 0; kind < POSTING_KINDS; kind++) {
        struct posting posting;
        if (place_decode_posting_key(key, (enum posting_kind)kind, &height, &posting) == 0) {
            size_t size = place_encode_posting_key(&posting, height, again);
            ensure(size <= key.size);
            ensure(size != key.size || memcmp(again, key.data, size) == 0);
        }
    }
}

/* ---- maps of bodies ---- */

static uint32_t sum_with(const void *data, size_t size, uint64_t more)
{
    return (uint32_t)XXH3_64bits_withSeed(data, size, bytes_load_le64(block_hash) + more);
}

/* SPAN's bytes, made of MAP's, with sums that are right for them. */
static void check_take(struct body_map_span *span, struct bytes map)
{
    struct bytes item;
    uint32_t piece = UINT32_C(1) << span->shift;
    uint8_t *data = memory_alloc(span->size);
    ensure(data != NULL);
    for (uint32_t i = 0; i < span->size; i++) {
        data[i] = map.data[i % map.size];
    }
    for (uint32_t at = 0, i = 0; at < span->size; at += piece, i++) {
        uint32_t size = span->size - at < piece ? span->size - at : piece;
        span->sums[i] = sum_with(data + at, size, span->first + i);
    }
    if (body_map_take(span, block_hash, data, &item)) {
        ensure(item.data >= data + span->at);
        ensure(item.size <= (size_t)(data + span->size - item.data));
    }
    span->sums[0]++;
    ensure(!body_map_take(span, block_hash, data, &item));
    memory_free(data);
}

/* DATA: which item, then the map. */
static void check_map(uint8_t *data, size_t size, bool raw)
{
    struct body_map_span span;
    if (size < MAP_PREFIX || size - MAP_PREFIX > BODY_MAP_SIZE_MAX) {
        return;
    }
    struct bytes map = bytes_of(data + MAP_PREFIX, size - MAP_PREFIX);
    enum body_part part = (enum body_part)(data[0] % BODY_PARTS);
    uint32_t index = bytes_load_le16(data + 2);
    if (!raw && map.size >= BODY_MAP_HEADER_SIZE) {
        uint8_t *sum = data + MAP_PREFIX + OFFSET_MAP_SUM;
        bytes_store_le32(sum, 0);
        bytes_store_le32(sum, sum_with(map.data, map.size, 0));
    }
    if (!body_map_find(map, block_hash, part, index, &span)) {
        return;
    }
    uint64_t body = (uint64_t)bytes_load_le32(map.data + 4) + bytes_load_le32(map.data + 8) +
                    bytes_load_le32(map.data + 12);
    uint32_t piece = UINT32_C(1) << span.shift;
    ensure(span.part == (uint8_t)part);
    ensure(span.begin == span.first * piece);
    ensure(span.size > 0 && span.size <= BODY_MAP_SPAN_PIECES * piece);
    ensure((uint64_t)span.begin + span.size <= body);
    ensure(span.at < span.size && span.at < piece);
    ensure(part == BODY_TRANSACTION || part == BODY_SENDER || body_map_has(map, part));
    check_take(&span, map);
}

/* ---- groups of versions ---- */

/* CUT has what ENTRY has of each height up to BOUND. */
static void check_cut(struct bytes entry, struct bytes cut, uint64_t height, uint64_t bound)
{
    struct buffer scratch;
    struct buffer scratch_cut;
    buffer_init(&scratch);
    buffer_init(&scratch_cut);
    for (uint64_t at = height; at <= bound; at++) {
        struct bytes record;
        struct bytes record_cut;
        uint64_t found;
        uint64_t found_cut;
        int result = trie_group_find(entry, height, at, &scratch, &record, &found, NULL);
        int of_cut = trie_group_find(cut, height, at, &scratch_cut, &record_cut, &found_cut, NULL);
        ensure(result == of_cut);
        ensure(result != 0 || (found == found_cut && bytes_equal(record, record_cut)));
    }
    buffer_deinit(&scratch);
    buffer_deinit(&scratch_cut);
}

/* DATA: how far the bound is above the entry's height, then the entry. */
static void check_group(const uint8_t *data, size_t size)
{
    struct buffer scratch;
    struct buffer cut;
    struct bytes record;
    uint64_t height;
    struct error_detail detail = {.code = 0};
    if (size < 1) {
        return;
    }
    struct bytes entry = bytes_of(data + 1, size - 1);
    uint64_t bound = GROUP_HEIGHT + (uint64_t)data[0];
    bool group = entry.size != 0 && entry.data[0] == TRIE_GROUP_MARK;
    buffer_init(&scratch);
    buffer_init(&cut);
    int result = trie_group_find(entry, GROUP_HEIGHT, bound, &scratch, &record, &height, &detail);
    if (result == 0) {
        ensure(height >= GROUP_HEIGHT && height <= bound);
        ensure(!group || (record.size != 0 && record.data[0] < TRIE_GROUP_MARK));
        ensure(group || bytes_equal(record, entry));
    } else {
        ensure(result == STOA_ECORRUPT);
        ensure(detail.code == result && detail.text[0] != '\0');
    }
    int of_cut = trie_group_cut(entry, GROUP_HEIGHT, bound, &cut, &detail);
    ensure(of_cut == result || of_cut == STOA_ECORRUPT); /* it looks at the oldest as well */
    if (of_cut == 0 && cut.size != 0) {
        ensure(group);
        check_cut(entry, buffer_bytes(&cut), GROUP_HEIGHT, bound);
    }
    buffer_deinit(&scratch);
    buffer_deinit(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    bool raw = (data[0] & FUZZ_SEAL_RAW) != 0;
    size_t rest = size - 1;
    uint8_t *copy = fuzz_seal_copy(data + 1, rest);
    switch ((data[0] & FUZZ_SEAL_MASK) % KINDS) {
    case KIND_HEIGHT:
        check_height(bytes_of(copy, rest));
        break;
    case KIND_PLACE:
        check_place(bytes_of(copy, rest));
        break;
    case KIND_KEY:
        check_key(bytes_of(copy, rest));
        break;
    case KIND_MAP:
        check_map(copy, rest, raw);
        break;
    default:
        check_group(copy, rest);
        break;
    }
    memory_free(copy);
    return 0;
}

/* ---- seeds ---- */

static void append(struct buffer *out, const void *data, size_t size)
{
    int result = buffer_append(out, data, size);
    ensure(result == 0);
}

/* The payload of a list of COUNT transactions of ITEM bytes. */
static void append_items(struct buffer *out, size_t count, uint16_t item)
{
    uint8_t head[4] = {0xb9, (uint8_t)(item >> 8), (uint8_t)item, 2};
    int reserved = buffer_reserve(out, count * ((size_t)item + 3));
    ensure(reserved == 0);
    for (size_t i = 0; i < count; i++) {
        append(out, head, sizeof(head));
        memset(out->data + out->size, 0, item);
        out->size += (size_t)item - 1;
    }
}

/* The map of a body of some 70 KiB, with receipts and senders. */
static void append_map(struct buffer *out)
{
    enum { ITEMS = 40, ITEM = 900 };
    static const uint8_t senders[20 * ITEMS] = {5};
    struct buffer items;
    struct buffer list;
    buffer_init(&items);
    buffer_init(&list);
    append_items(&items, ITEMS, ITEM);
    uint8_t head[3] = {0xf9, (uint8_t)(items.size >> 8), (uint8_t)items.size};
    append(&list, head, sizeof(head));
    append(&list, items.data, items.size);
    struct block block = {.encoding = buffer_bytes(&list),
                          .transactions = bytes_of(list.data + sizeof(head), items.size),
                          .transaction_count = ITEMS};
    memcpy(block.hash, block_hash, sizeof(block.hash));
    struct body_map_source source = {.block = &block,
                                     .receipts = buffer_bytes(&list),
                                     .senders = bytes_of(senders, sizeof(senders))};
    size_t before = out->size;
    int result = body_map_make(&source, out);
    ensure(result == 0);
    ensure(out->size > before);
    buffer_deinit(&items);
    buffer_deinit(&list);
}

/* Three versions of a record. */
static void append_group(struct buffer *out)
{
    enum { VERSIONS = 3, RECORD = 60 };
    uint8_t records[VERSIONS][RECORD];
    struct trie_group group;
    struct buffer delta;
    trie_group_init(&group);
    buffer_init(&delta);
    for (int i = 0; i < VERSIONS; i++) {
        memset(records[i], 7, RECORD);
        memset(records[i] + 10 * i, i, 10);
    }
    trie_group_begin(&group, bytes_of(records[0], RECORD), GROUP_HEIGHT + 9);
    for (unsigned i = 1; i < VERSIONS; i++) {
        buffer_clear(&delta);
        int result =
            trie_delta_make(bytes_of(records[i - 1], RECORD), bytes_of(records[i], RECORD), &delta);
        ensure(result == 0);
        result = trie_group_add(&group, buffer_bytes(&delta),
                                GROUP_HEIGHT + (i == VERSIONS - 1 ? 0 : 5));
        ensure(result == 0);
    }
    int reserved = buffer_reserve(out, trie_group_size(&group));
    ensure(reserved == 0);
    out->size += trie_group_write(&group, out->data + out->size);
    buffer_deinit(&delta);
    trie_group_deinit(&group);
}

/* A value of a place of each kind. */
static void append_place(struct buffer *out, size_t form)
{
    static const struct ledger_position position = {1, 4096, 100, 9};
    const struct place_block block = {.height = 5, .position = position, .front = 700};
    const struct branches_block side = {.height = 5, .hash = {1}, .position = position};
    const struct place_applied applied = {
        .store_id = 7, .position = position, .has_head = true, .head_hash = {1}};
    uint8_t value[PLACE_APPLIED_SIZE];
    uint8_t key[PLACE_SIDE_KEY_SIZE];
    switch (form) {
    case 0:
        place_encode_block(&block, value);
        append(out, value, PLACE_BLOCK_VALUE_SIZE);
        break;
    case 1:
        place_encode_side_key(side.height, side.hash, key);
        place_encode_side(&side, value);
        append(out, key, sizeof(key));
        append(out, value, PLACE_SIDE_VALUE_SIZE);
        break;
    default:
        place_encode_applied(&applied, value);
        append(out, value, form == 2 ? PLACE_APPLIED_SIZE : PLACE_APPLIED_SIZE_WHOLE);
        break;
    }
}

static void append_key(struct buffer *out, size_t form)
{
    static const uint64_t heights[] = {5, 20000000, PLACE_HEIGHT_MAX, 300};
    const struct posting posting = {.prefix = 77, .kind = POSTING_LOG};
    uint8_t key[PLACE_TRANSACTION_KEY_MAX];
    size_t size = form == 3 ? place_encode_posting_key(&posting, heights[form], key)
                            : place_encode_transaction_key(77, heights[form], 1 << 8 * form, key);
    append(out, key, size);
}

/* Forms of each kind; maps are asked for one item or another, groups for one height or another. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { FORMS = 4 };
    static const uint8_t items[FORMS][MAP_PREFIX] = {{0}, {1, 0, 20}, {2, 0, 39}, {1, 0, 39}};
    static const uint8_t bounds[FORMS] = {0, 5, 8, 20};
    struct place_height height = {.hash = {1}, .front = 300};
    uint8_t value[PLACE_HEIGHT_VALUE_MAX];
    size_t form = index % FORMS;
    uint8_t kind = (uint8_t)(index / FORMS);
    if (kind == KINDS) {
        return false;
    }
    append(out, &kind, 1);
    switch (kind) {
    case KIND_HEIGHT:
        append(out, value, place_encode_height(&height, value));
        if (form % 2 != 0) {
            append_map(out);
        }
        break;
    case KIND_PLACE:
        append_place(out, form);
        break;
    case KIND_KEY:
        append_key(out, form);
        break;
    case KIND_MAP:
        append(out, items[form], MAP_PREFIX);
        append_map(out);
        break;
    default:
        append(out, &bounds[form], 1);
        append_group(out);
        break;
    }
    return true;
}
