/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/record.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "chain/rlp.h"
#include "store/position.h"
#include "store/state_key.h"

enum {
    OFFSET_VERSION = 0,
    OFFSET_FLAGS = 1,
    OFFSET_GONE = 2,
    OFFSET_TRANSACTION_COUNT = 4,
    OFFSET_BLOCK_SIZE = 8,
    OFFSET_RECEIPTS_SIZE = 12,
    OFFSET_ENVELOPE_SIZE = 16,
    OFFSET_STATE_BATCH = 1,
    OFFSET_STATE_HASH = 8,
    OFFSET_UPDATE_PREVIOUS = 40,
    OFFSET_HASH = 24,
    OFFSET_TOTAL_DIFFICULTY = 56,
    OFFSET_ENVELOPE_HASH = 88,
    OFFSET_FRONT_SUM = 120,
};

static const unsigned known_flags = RECORD_SIDE | RECORD_RECEIPTS | RECORD_SENDERS |
                                    RECORD_ENVELOPE | RECORD_CHANGES | RECORD_ANY_STATE |
                                    RECORD_BATCH | RECORD_AGAIN;

static const unsigned known_gone = RECORD_GONE_BODY | RECORD_GONE_RECEIPTS;

static_assert((int)RECORD_PREVIOUS_SIZE == (int)POSITION_SIZE, "it is a position");

uint64_t record_block_sum(struct bytes block)
{
    return XXH3_64bits(block.data, block.size);
}

static uint64_t front_sum(const uint8_t *header, uint64_t block_sum)
{
    return XXH3_64bits_withSeed(header, OFFSET_FRONT_SUM, block_sum);
}

void record_encode_header(const struct record *record, uint64_t block_sum,
                          uint8_t out[RECORD_HEADER_SIZE])
{
    ensure((record->flags & ~known_flags) == 0);
    ensure(record->block.size <= UINT32_MAX && record->receipts.size <= UINT32_MAX);
    ensure(record->envelope.size <= UINT32_MAX);
    memset(out, 0, RECORD_HEADER_SIZE);
    out[OFFSET_VERSION] = RECORD_VERSION;
    out[OFFSET_FLAGS] = (uint8_t)record->flags;
    out[OFFSET_GONE] = (uint8_t)record->gone;
    bytes_store_le32(out + OFFSET_TRANSACTION_COUNT, record->transaction_count);
    bytes_store_le32(out + OFFSET_BLOCK_SIZE, (uint32_t)record->block.size);
    bytes_store_le32(out + OFFSET_RECEIPTS_SIZE, (uint32_t)record->receipts.size);
    bytes_store_le32(out + OFFSET_ENVELOPE_SIZE, (uint32_t)record->envelope.size);
    memcpy(out + OFFSET_HASH, record->hash, 32);
    memcpy(out + OFFSET_TOTAL_DIFFICULTY, record->total_difficulty, 32);
    if (record->envelope_hash != NULL) {
        memcpy(out + OFFSET_ENVELOPE_HASH, record->envelope_hash, 32);
    }
    bytes_store_le64(out + OFFSET_FRONT_SUM, front_sum(out, block_sum));
}

static struct bytes take(struct bytes *rest, size_t size)
{
    struct bytes part = bytes_of(rest->data, size);
    rest->data += size;
    rest->size -= size;
    return part;
}

/* The fixed part. */
static int decode_header(struct bytes payload, struct record *out_record,
                         struct error_detail *detail)
{
    const uint8_t *p = payload.data;
    if (payload.size < RECORD_HEADER_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "block record: %zu bytes are too few",
                         payload.size);
    }
    if (p[OFFSET_VERSION] != RECORD_VERSION || (p[OFFSET_FLAGS] & ~known_flags) != 0 ||
        (p[OFFSET_GONE] & ~known_gone) != 0) {
        return error_set(detail, STOA_ECORRUPT, "block record: version %u, flags 0x%x are unknown",
                         p[OFFSET_VERSION], p[OFFSET_FLAGS]);
    }
    *out_record = (struct record){
        .flags = p[OFFSET_FLAGS],
        .gone = p[OFFSET_GONE],
        .transaction_count = bytes_load_le32(p + OFFSET_TRANSACTION_COUNT),
        .hash = p + OFFSET_HASH,
        .total_difficulty = p + OFFSET_TOTAL_DIFFICULTY,
        .envelope_hash = p + OFFSET_ENVELOPE_HASH,
    };
    return 0;
}

int record_decode(struct bytes payload, struct record *out_record, struct error_detail *detail)
{
    const uint8_t *p = payload.data;
    struct record record;
    int result = decode_header(payload, &record, detail);
    if (result != 0) {
        return result;
    }
    uint64_t block_size = bytes_load_le32(p + OFFSET_BLOCK_SIZE);
    uint64_t receipts_size = bytes_load_le32(p + OFFSET_RECEIPTS_SIZE);
    uint64_t envelope_size = bytes_load_le32(p + OFFSET_ENVELOPE_SIZE);
    uint64_t senders_size =
        (record.flags & RECORD_SENDERS) != 0 ? (uint64_t)record.transaction_count * 20 : 0;
    uint64_t previous_size = (record.flags & RECORD_AGAIN) != 0 ? RECORD_PREVIOUS_SIZE : 0;
    uint64_t total = RECORD_HEADER_SIZE + block_size + receipts_size + senders_size +
                     envelope_size + previous_size;
    if (total != payload.size) {
        return error_set(detail, STOA_ECORRUPT, "block record: %zu bytes instead of %llu",
                         payload.size, (unsigned long long)total);
    }
    struct bytes rest = bytes_of(p + RECORD_HEADER_SIZE, payload.size - RECORD_HEADER_SIZE);
    record.block = take(&rest, block_size);
    record.receipts = take(&rest, receipts_size);
    record.senders = take(&rest, senders_size);
    record.envelope = take(&rest, envelope_size);
    const uint8_t *previous = take(&rest, previous_size).data;
    record.previous = previous_size != 0 ? previous : NULL;
    ensure(rest.size == 0);
    *out_record = record;
    return 0;
}

bool record_check_front(struct bytes payload)
{
    const uint8_t *p = payload.data;
    uint32_t size = bytes_load_le32(p + OFFSET_BLOCK_SIZE);
    uint64_t sum = record_block_sum(bytes_of(p + RECORD_HEADER_SIZE, size));
    return front_sum(p, sum) == bytes_load_le64(p + OFFSET_FRONT_SUM);
}

int record_decode_front(struct bytes front, struct record *out_record, struct error_detail *detail)
{
    struct record record;
    int result = decode_header(front, &record, detail);
    if (result != 0) {
        return result;
    }
    uint64_t block_size = bytes_load_le32(front.data + OFFSET_BLOCK_SIZE);
    if (block_size != front.size - RECORD_HEADER_SIZE || !record_check_front(front)) {
        return error_set(detail, STOA_ECORRUPT, "block record: the sum of the block is wrong");
    }
    record.flags &= ~(unsigned)(RECORD_RECEIPTS | RECORD_SENDERS | RECORD_ENVELOPE | RECORD_AGAIN);
    record.block = bytes_of(front.data + RECORD_HEADER_SIZE, block_size);
    *out_record = record;
    return 0;
}

/* The header of BLOCK, and empty lists as its header wants them. */
static int bare_block(struct bytes block, struct buffer *out, struct error_detail *detail)
{
    static const uint8_t empty[3] = {0xc0, 0xc0, 0xc0};
    struct bytes cursor = block;
    struct bytes payload;
    struct rlp_item header;
    size_t lists = 0;
    int result = rlp_read_list(&cursor, &payload, detail);
    const uint8_t *start = payload.data;
    if (result == 0) {
        result = rlp_read(&payload, &header, detail);
    }
    if (result == 0) {
        result = rlp_count(payload, &lists, detail);
    }
    if (result != 0 || lists < 2 || lists > 3) {
        return error_set(detail, STOA_ECORRUPT, "block record: it has no block");
    }
    size_t header_size = (size_t)(payload.data - start);
    result = rlp_append_list_prefix(out, header_size + lists);
    if (result == 0) {
        result = buffer_append(out, start, header_size);
    }
    return result == 0 ? buffer_append(out, empty, lists) : result;
}

int record_shorten(struct bytes payload, unsigned gone, struct buffer *out,
                   struct error_detail *detail)
{
    static const uint8_t nothing[RECORD_HEADER_SIZE];
    struct record record;
    struct buffer block;
    ensure(out->size == 0 && (gone & ~known_gone) == 0);
    int result = record_decode(payload, &record, detail);
    if (result != 0) {
        return result;
    }
    buffer_init(&block);
    if ((record.flags & RECORD_RECEIPTS) != 0 && gone != 0) {
        record.flags &= ~(unsigned)RECORD_RECEIPTS;
        record.gone |= RECORD_GONE_RECEIPTS;
        record.receipts = bytes_of(NULL, 0);
    }
    if ((gone & RECORD_GONE_BODY) != 0) {
        result = bare_block(record.block, &block, detail);
        record.block = buffer_bytes(&block);
        record.gone |= RECORD_GONE_BODY;
        record.flags &= ~(unsigned)RECORD_SENDERS;
        record.senders = bytes_of(NULL, 0);
        record.envelope = bytes_of(NULL, 0);
    }
    const struct bytes parts[] = {
        bytes_of(nothing, sizeof(nothing)),
        record.block,
        record.receipts,
        record.senders,
        record.envelope,
        bytes_of(record.previous, record.previous != NULL ? RECORD_PREVIOUS_SIZE : 0),
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && result == 0; i++) {
        result = parts[i].size != 0 ? buffer_append(out, parts[i].data, parts[i].size) : 0;
    }
    if (result == 0) {
        record_encode_header(&record, record_block_sum(record.block), out->data);
    }
    buffer_deinit(&block);
    return result;
}

void record_encode_state_header(const uint8_t hash[32], uint8_t out[RECORD_STATE_HEADER_SIZE])
{
    memset(out, 0, RECORD_STATE_HEADER_SIZE);
    out[OFFSET_VERSION] = RECORD_STATE_VERSION;
    memcpy(out + OFFSET_STATE_HASH, hash, 32);
}

void record_encode_update_header(const uint8_t hash[32], const struct ledger_position *previous,
                                 uint8_t out[RECORD_UPDATE_HEADER_SIZE])
{
    memset(out, 0, RECORD_UPDATE_HEADER_SIZE);
    out[OFFSET_VERSION] = RECORD_UPDATE_VERSION;
    memcpy(out + OFFSET_STATE_HASH, hash, 32);
    position_encode(previous, out + OFFSET_UPDATE_PREVIOUS);
}

void record_mark_batch(uint8_t *state_header)
{
    state_header[OFFSET_STATE_BATCH] = 1;
}

bool record_is_batch(struct bytes payload)
{
    return payload.data[OFFSET_STATE_BATCH] == 1;
}

bool record_is_update(struct bytes payload, struct ledger_position *out_previous)
{
    *out_previous = (struct ledger_position){.sequence = 0};
    if (payload.size < RECORD_UPDATE_HEADER_SIZE ||
        payload.data[OFFSET_VERSION] != RECORD_UPDATE_VERSION) {
        return false;
    }
    *out_previous = position_decode(payload.data + OFFSET_UPDATE_PREVIOUS);
    return true;
}

int record_decode_state(struct bytes payload, const uint8_t **out_hash, struct bytes *out_changes,
                        struct error_detail *detail)
{
    if (payload.size < RECORD_STATE_HEADER_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "state record: %zu bytes are too few",
                         payload.size);
    }
    bool update = payload.data[OFFSET_VERSION] == RECORD_UPDATE_VERSION;
    size_t header = update ? RECORD_UPDATE_HEADER_SIZE : RECORD_STATE_HEADER_SIZE;
    if ((!update && payload.data[OFFSET_VERSION] != RECORD_STATE_VERSION) ||
        payload.size < header) {
        return error_set(detail, STOA_ECORRUPT, "state record: version %u is unknown",
                         payload.data[OFFSET_VERSION]);
    }
    *out_hash = payload.data + OFFSET_STATE_HASH;
    *out_changes = bytes_of(payload.data + header, payload.size - header);
    return 0;
}

int record_next_change(struct bytes *cursor, struct record_change *out_change)
{
    if (cursor->size == 0) {
        return STOA_ENOTFOUND;
    }
    if (cursor->size < RECORD_CHANGE_HEADER_SIZE) {
        return STOA_ECORRUPT;
    }
    size_t key_size = bytes_load_le16(cursor->data);
    uint32_t value_size = bytes_load_le32(cursor->data + 2);
    bool removed = value_size == RECORD_REMOVED;
    size_t value_bytes = removed ? 0 : value_size;
    if (cursor->size - RECORD_CHANGE_HEADER_SIZE < key_size ||
        cursor->size - RECORD_CHANGE_HEADER_SIZE - key_size < value_bytes ||
        !state_key_is_sound(bytes_of(cursor->data + RECORD_CHANGE_HEADER_SIZE, key_size))) {
        return STOA_ECORRUPT;
    }
    (void)take(cursor, RECORD_CHANGE_HEADER_SIZE); /* read above */
    struct bytes key = take(cursor, key_size);
    struct bytes value = take(cursor, value_bytes);
    *out_change = (struct record_change){.key = key, .value = value, .removed = removed};
    return 0;
}

int record_append_change(struct buffer *buffer, const struct record_change *change)
{
    ensure(change->key.size >= 1 && change->key.size <= UINT16_MAX);
    ensure(change->value.size < RECORD_REMOVED);
    int result =
        buffer_reserve(buffer, RECORD_CHANGE_HEADER_SIZE + change->key.size + change->value.size);
    if (result != 0) {
        return result;
    }
    uint8_t *p = buffer->data + buffer->size;
    bytes_store_le16(p, (uint16_t)change->key.size);
    bytes_store_le32(p + 2, change->removed ? RECORD_REMOVED : (uint32_t)change->value.size);
    memcpy(p + RECORD_CHANGE_HEADER_SIZE, change->key.data, change->key.size);
    if (!change->removed && change->value.size != 0) {
        memcpy(p + RECORD_CHANGE_HEADER_SIZE + change->key.size, change->value.data,
               change->value.size);
    }
    buffer->size +=
        RECORD_CHANGE_HEADER_SIZE + change->key.size + (change->removed ? 0 : change->value.size);
    return 0;
}
