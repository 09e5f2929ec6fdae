/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/head_record.h"

#include "base/ensure.h"
#include "store/position.h"

enum {
    OFFSET_VERSION = 0,
    OFFSET_WINNER_COUNT = 4,
    OFFSET_HEAD = 8,
    OFFSET_TOTAL_DIFFICULTY = 48,
    OFFSET_ANCESTOR = 80,
    OFFSET_OLD_HEAD = 120,
    OFFSET_SAFE = 160,
    OFFSET_FINALIZED = 200,
    OFFSET_MARKS_SAFE = 8,
    OFFSET_MARKS_FINALIZED = 48,
    OFFSET_WINNER_POSITION = 32,
    OFFSET_WINNER_STATE = 52,
};

void head_record_encode_mark(const struct head_mark *mark, uint8_t out[HEAD_RECORD_MARK_SIZE])
{
    memset(out, 0, HEAD_RECORD_MARK_SIZE);
    if (mark->present) {
        bytes_store_le64(out, mark->height);
        memcpy(out + 8, mark->hash, 32);
    }
}

void head_record_decode_mark(const uint8_t *from, struct head_mark *out_mark)
{
    static const uint8_t zero[32];
    *out_mark = (struct head_mark){
        .present = memcmp(from + 8, zero, 32) != 0,
        .height = bytes_load_le64(from),
    };
    memcpy(out_mark->hash, from + 8, 32);
}

void head_record_encode_header(const struct head_record *record,
                               uint8_t out[HEAD_RECORD_HEADER_SIZE])
{
    ensure(record->head.present && record->ancestor.present && record->old_head.present);
    memset(out, 0, HEAD_RECORD_HEADER_SIZE);
    out[OFFSET_VERSION] = HEAD_RECORD_VERSION;
    bytes_store_le32(out + OFFSET_WINNER_COUNT, record->winner_count);
    head_record_encode_mark(&record->head, out + OFFSET_HEAD);
    memcpy(out + OFFSET_TOTAL_DIFFICULTY, record->total_difficulty, 32);
    head_record_encode_mark(&record->ancestor, out + OFFSET_ANCESTOR);
    head_record_encode_mark(&record->old_head, out + OFFSET_OLD_HEAD);
    head_record_encode_mark(&record->safe, out + OFFSET_SAFE);
    head_record_encode_mark(&record->finalized, out + OFFSET_FINALIZED);
}

void head_record_encode_winner(const struct head_winner *winner,
                               uint8_t out[HEAD_RECORD_WINNER_SIZE])
{
    memcpy(out, winner->hash, 32);
    position_encode(&winner->position, out + OFFSET_WINNER_POSITION);
    position_encode(&winner->state_position, out + OFFSET_WINNER_STATE);
}

static int check_version(struct bytes payload, size_t size, struct error_detail *detail)
{
    if (payload.size < size) {
        return error_set(detail, STOA_ECORRUPT, "head record: %zu bytes are too few", payload.size);
    }
    if (payload.data[OFFSET_VERSION] != HEAD_RECORD_VERSION) {
        return error_set(detail, STOA_ECORRUPT, "head record: version %u is unknown",
                         payload.data[OFFSET_VERSION]);
    }
    return 0;
}

int head_record_decode(struct bytes payload, struct head_record *out_record,
                       struct error_detail *detail)
{
    const uint8_t *p = payload.data;
    int result = check_version(payload, HEAD_RECORD_HEADER_SIZE, detail);
    if (result != 0) {
        return result;
    }
    struct head_record record = {.winner_count = bytes_load_le32(p + OFFSET_WINNER_COUNT)};
    head_record_decode_mark(p + OFFSET_HEAD, &record.head);
    head_record_decode_mark(p + OFFSET_ANCESTOR, &record.ancestor);
    head_record_decode_mark(p + OFFSET_OLD_HEAD, &record.old_head);
    head_record_decode_mark(p + OFFSET_SAFE, &record.safe);
    head_record_decode_mark(p + OFFSET_FINALIZED, &record.finalized);
    memcpy(record.total_difficulty, p + OFFSET_TOTAL_DIFFICULTY, 32);
    record.winners = bytes_of(p + HEAD_RECORD_HEADER_SIZE, payload.size - HEAD_RECORD_HEADER_SIZE);
    if (!record.head.present || !record.ancestor.present || !record.old_head.present) {
        return error_set(detail, STOA_ECORRUPT, "head record: a hash is zero");
    }
    uint64_t size = (uint64_t)record.winner_count * HEAD_RECORD_WINNER_SIZE;
    if (size != record.winners.size ||
        record.head.height - record.ancestor.height != record.winner_count) {
        return error_set(detail, STOA_ECORRUPT, "head record: %u winners do not fit it",
                         record.winner_count);
    }
    *out_record = record;
    return 0;
}

void head_record_decode_winner(const struct head_record *record, uint32_t index,
                               struct head_winner *out_winner)
{
    ensure(index < record->winner_count);
    const uint8_t *p = record->winners.data + (size_t)index * HEAD_RECORD_WINNER_SIZE;
    memcpy(out_winner->hash, p, 32);
    out_winner->position = position_decode(p + OFFSET_WINNER_POSITION);
    out_winner->state_position = position_decode(p + OFFSET_WINNER_STATE);
}

void head_record_encode_marks(const struct head_mark *safe, const struct head_mark *finalized,
                              uint8_t out[HEAD_RECORD_MARKS_SIZE])
{
    memset(out, 0, HEAD_RECORD_MARKS_SIZE);
    out[OFFSET_VERSION] = HEAD_RECORD_VERSION;
    head_record_encode_mark(safe, out + OFFSET_MARKS_SAFE);
    head_record_encode_mark(finalized, out + OFFSET_MARKS_FINALIZED);
}

int head_record_decode_marks(struct bytes payload, struct head_mark *out_safe,
                             struct head_mark *out_finalized, struct error_detail *detail)
{
    int result = check_version(payload, HEAD_RECORD_MARKS_SIZE, detail);
    if (result == 0 && payload.size != HEAD_RECORD_MARKS_SIZE) {
        result = error_set(detail, STOA_ECORRUPT, "marks record: %zu bytes", payload.size);
    }
    if (result == 0) {
        head_record_decode_mark(payload.data + OFFSET_MARKS_SAFE, out_safe);
        head_record_decode_mark(payload.data + OFFSET_MARKS_FINALIZED, out_finalized);
    }
    return result;
}
