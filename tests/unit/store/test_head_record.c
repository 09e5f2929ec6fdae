/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/head_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stoa/error.h"

static struct head_mark mark(uint64_t height)
{
    struct head_mark made = {.present = true, .height = height};
    memset(made.hash, (int)height, 32);
    return made;
}

static void assert_mark(const struct head_mark *is, const struct head_mark *wanted)
{
    assert_int_equal(is->present, wanted->present);
    assert_int_equal(is->height, wanted->height);
    assert_memory_equal(is->hash, wanted->hash, 32);
}

enum { WINNERS = 3, SIZE = HEAD_RECORD_HEADER_SIZE + WINNERS * HEAD_RECORD_WINNER_SIZE };

static struct head_record encode(uint8_t out[SIZE])
{
    struct head_record record = {
        .head = mark(13),
        .ancestor = mark(10),
        .old_head = mark(12),
        .safe = mark(9),
        .total_difficulty = {[31] = 77},
        .winner_count = WINNERS,
    };
    head_record_encode_header(&record, out);
    for (uint32_t i = 0; i < WINNERS; i++) {
        struct head_winner winner = {
            .position = {.segment = 1, .offset = 64 * i, .size = 100 + i, .sequence = i},
            .state_position = {.segment = 2, .offset = 128 * i, .size = 1, .sequence = 9}};
        memset(winner.hash, (int)(11 + i), 32);
        head_record_encode_winner(&winner,
                                  out + HEAD_RECORD_HEADER_SIZE + i * HEAD_RECORD_WINNER_SIZE);
    }
    return record;
}

static void a_head_record_survives_coding(void **state)
{
    (void)state;
    uint8_t payload[SIZE];
    struct head_record record = encode(payload);
    struct head_record out;
    assert_int_equal(head_record_decode(bytes_of(payload, SIZE), &out, NULL), 0);
    assert_mark(&out.head, &record.head);
    assert_mark(&out.ancestor, &record.ancestor);
    assert_mark(&out.old_head, &record.old_head);
    assert_mark(&out.safe, &record.safe);
    assert_mark(&out.finalized, &record.finalized);
    assert_memory_equal(out.total_difficulty, record.total_difficulty, 32);
    assert_int_equal(out.winner_count, WINNERS);
    struct head_winner winner;
    head_record_decode_winner(&out, 2, &winner);
    assert_int_equal(winner.hash[5], 13);
    assert_int_equal(winner.position.offset, 128);
    assert_int_equal(winner.position.size, 102);
    assert_int_equal(winner.state_position.segment, 2);
    assert_int_equal(winner.state_position.sequence, 9);
}

static void a_head_record_of_wrong_size_or_version_is_corrupt(void **state)
{
    (void)state;
    uint8_t payload[SIZE + 1] = {0};
    struct head_record out;
    (void)encode(payload);
    for (size_t size = 0; size <= sizeof(payload); size++) {
        int result = head_record_decode(bytes_of(payload, size), &out, NULL);
        assert_int_equal(result, size == SIZE ? 0 : STOA_ECORRUPT);
    }
    payload[8]++; /* height of the head: winners no longer reach it */
    assert_int_equal(head_record_decode(bytes_of(payload, SIZE), &out, NULL), STOA_ECORRUPT);
    payload[8]--;
    payload[0]++;
    assert_int_equal(head_record_decode(bytes_of(payload, SIZE), &out, NULL), STOA_ECORRUPT);
}

static void marks_survive_coding(void **state)
{
    (void)state;
    uint8_t payload[HEAD_RECORD_MARKS_SIZE + 1] = {0};
    struct head_mark safe = mark(8);
    struct head_mark finalized = {.present = false};
    struct head_mark out_safe;
    struct head_mark out_finalized;
    head_record_encode_marks(&safe, &finalized, payload);
    struct bytes bytes = bytes_of(payload, HEAD_RECORD_MARKS_SIZE);
    assert_int_equal(head_record_decode_marks(bytes, &out_safe, &out_finalized, NULL), 0);
    assert_mark(&out_safe, &safe);
    assert_mark(&out_finalized, &finalized);
    bytes.size--;
    assert_int_equal(head_record_decode_marks(bytes, &out_safe, &out_finalized, NULL),
                     STOA_ECORRUPT);
    bytes.size += 2;
    assert_int_equal(head_record_decode_marks(bytes, &out_safe, &out_finalized, NULL),
                     STOA_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_record_survives_coding),
        cmocka_unit_test(a_head_record_of_wrong_size_or_version_is_corrupt),
        cmocka_unit_test(marks_survive_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
