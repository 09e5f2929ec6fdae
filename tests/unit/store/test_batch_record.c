/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/batch_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stoa/error.h"

enum { COUNT = 3, HEAD = 40 };
enum { SIZE = BATCH_RECORD_HEADER_SIZE + COUNT * BATCH_RECORD_BLOCK_SIZE };

static struct batch_record_block block_of(uint32_t index)
{
    struct batch_record_block block = {.height = 1000 + index, .has_state = index % 2 == 0};
    memset(block.hash, (int)index + 1, 32);
    memset(block.parent_hash, (int)index + 2, 32);
    memset(block.total_difficulty, (int)index + 3, 32);
    return block;
}

static void encode(unsigned flags, uint8_t *out)
{
    struct batch_record record = {.flags = flags, .block_count = COUNT, .base = 77};
    batch_record_encode_header(&record, out);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct batch_record_block block = block_of(i);
        batch_record_encode_block(&block,
                                  out + BATCH_RECORD_HEADER_SIZE + i * BATCH_RECORD_BLOCK_SIZE);
    }
}

static void a_record_reads_back(void **state)
{
    (void)state;
    uint8_t bytes[SIZE + HEAD];
    struct batch_record record;
    memset(bytes, 9, sizeof(bytes));
    encode(BATCH_RECORD_HEAD, bytes);
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE + HEAD), &record, NULL), 0);
    assert_int_equal(record.flags, BATCH_RECORD_HEAD);
    assert_int_equal(record.block_count, COUNT);
    assert_int_equal(record.base, 77);
    assert_int_equal(record.head.size, HEAD);
    assert_ptr_equal(record.head.data, bytes + SIZE);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct batch_record_block wanted = block_of(i);
        struct batch_record_block block;
        batch_record_decode_block(&record, i, &block);
        assert_memory_equal(block.hash, wanted.hash, 32);
        assert_memory_equal(block.parent_hash, wanted.parent_hash, 32);
        assert_memory_equal(block.total_difficulty, wanted.total_difficulty, 32);
        assert_int_equal(block.height, wanted.height);
        assert_int_equal(block.has_state, wanted.has_state);
    }
    encode(BATCH_RECORD_UPDATE, bytes);
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE), &record, NULL), 0);
    assert_int_equal(record.head.size, 0);
}

static void a_record_of_wrong_size_flags_or_version_is_corrupt(void **state)
{
    (void)state;
    uint8_t bytes[SIZE + HEAD] = {0};
    struct batch_record record;
    encode(0, bytes);
    for (size_t size = 0; size < sizeof(bytes); size++) {
        int result = batch_record_decode(bytes_of(bytes, size), &record, NULL);
        assert_int_equal(result, size == SIZE ? 0 : STOA_ECORRUPT);
    }
    encode(BATCH_RECORD_HEAD, bytes);
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE), &record, NULL), STOA_ECORRUPT);
    encode(0, bytes);
    bytes[0]++;
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE), &record, NULL), STOA_ECORRUPT);
    encode(4, bytes);
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE), &record, NULL), STOA_ECORRUPT);
    encode(0, bytes);
    memset(bytes + 4, 0xff, 4); /* a number that overflows nothing */
    assert_int_equal(batch_record_decode(bytes_of(bytes, SIZE), &record, NULL), STOA_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back),
        cmocka_unit_test(a_record_of_wrong_size_flags_or_version_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
