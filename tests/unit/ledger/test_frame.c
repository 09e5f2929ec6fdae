/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>
#include <zlib.h>

#include "base/bytes.h"

static const uint64_t id = UINT64_C(0xfeedface12345678);

static void make(uint8_t frame[FRAME_HEADER_SIZE + 100], struct frame_header *header)
{
    for (int i = 0; i < 100; i++) {
        frame[FRAME_HEADER_SIZE + i] = (uint8_t)(i * 7);
    }
    *header = (struct frame_header){
        .kind = 3, .length = 100, .sequence = 77, .group = 75, .previous = 99, .height = 1234};
    frame_encode(frame, header, id);
}

static void frame_decodes_to_what_was_encoded(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    struct frame_header header;
    struct frame_header out;
    make(frame, &header);
    assert_int_equal(frame_decode(frame, id, &out), FRAME_GOOD);
    assert_int_equal(out.kind, 3);
    assert_int_equal(out.length, 100);
    assert_int_equal(out.sequence, 77);
    assert_int_equal(out.group, 75);
    assert_int_equal(out.previous, 99);
    assert_int_equal(out.height, 1234);
    assert_true(out.checksum == header.checksum);
    assert_true(frame_check(frame, &out, id));
    assert_int_equal(frame_size(&out), 164);
}

static void frame_of_another_store_is_refused(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    struct frame_header header;
    make(frame, &header);
    assert_int_equal(frame_decode(frame, id + 1, &header), FRAME_BAD);
    assert_false(frame_check(frame, &header, id + 1));
}

static void every_flipped_bit_of_a_header_is_found_by_the_header(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    struct frame_header header;
    make(frame, &header);
    for (unsigned bit = 0; bit < FRAME_HEADER_SIZE * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(frame_decode(frame, id, &header), FRAME_BAD);
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static void every_flipped_bit_of_a_payload_is_found_and_the_header_stays_good(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    struct frame_header header;
    make(frame, &header);
    for (unsigned bit = FRAME_HEADER_SIZE * 8; bit < sizeof(frame) * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(frame_decode(frame, id, &header), FRAME_GOOD);
        assert_false(frame_check(frame, &header, id));
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static void sound_header_of_a_newer_version_is_told_apart(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    struct frame_header header;
    make(frame, &header);
    frame[4] = FRAME_VERSION + 1;
    assert_int_equal(frame_decode(frame, id, &header), FRAME_BAD);
    uint8_t covered[8 + FRAME_HEADER_SIZE];
    bytes_store_le64(covered, id);
    memcpy(covered + 8, frame, FRAME_HEADER_SIZE);
    bytes_store_le32(covered + 8 + 12, 0);
    bytes_store_le32(frame + 12, (uint32_t)crc32(0, covered, sizeof(covered)));
    assert_int_equal(frame_decode(frame, id, &header), FRAME_NEWER);
}

/* Its header is sound but for what the length says. */
static void frame_longer_than_any_segment_is_refused(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {FRAME_LENGTH_MAX + 1, UINT32_MAX - FRAME_HEADER_SIZE + 1,
                                       UINT32_MAX};
    uint8_t frame[FRAME_HEADER_SIZE + 100];
    uint8_t covered[8 + FRAME_HEADER_SIZE];
    struct frame_header header;
    struct frame_header out;
    make(frame, &header);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        bytes_store_le32(frame + 8, lengths[i]);
        bytes_store_le32(frame + 12, 0);
        bytes_store_le64(covered, id);
        memcpy(covered + 8, frame, FRAME_HEADER_SIZE);
        bytes_store_le32(frame + 12, (uint32_t)crc32(0, covered, sizeof(covered)));
        assert_int_equal(frame_decode(frame, id, &out), FRAME_BAD);
    }
}

static void zeros_are_no_frame(void **state)
{
    (void)state;
    uint8_t zeros[200] = {0};
    struct frame_header header;
    assert_int_equal(frame_decode(zeros, id, &header), FRAME_BAD);
    assert_int_equal(frame_decode(zeros, 0, &header), FRAME_BAD);
    assert_true(frame_is_zero(zeros, sizeof(zeros)));
    for (size_t i = 0; i < sizeof(zeros); i++) {
        zeros[i] = 1;
        assert_false(frame_is_zero(zeros, sizeof(zeros)));
        assert_true(frame_is_zero(zeros, i));
        zeros[i] = 0;
    }
}

/* Spoil single bytes of the stack, each round others: among what the last call left there, its seed
 * stays in most rounds, but not what was made from it. */
static __attribute__((noinline)) void spoil_stack(unsigned round)
{
    volatile uint8_t noise[4096];
    uint8_t sum = 0;
    for (size_t i = round % 64; i < sizeof(noise); i += 64) {
        noise[i] = (uint8_t)(i + round);
        sum = (uint8_t)(sum + noise[i]);
    }
    assert_in_range(sum, 0, 255);
}

static void checksum_is_xxh3_of_the_frame_whatever_the_stack_held(void **state)
{
    (void)state;
    static uint8_t frame[FRAME_HEADER_SIZE + 5000];
    static uint8_t covered[sizeof(frame)];
    for (unsigned round = 0; round < 300; round++) {
        struct frame_header header = {
            .kind = 1, .length = 150 + round * 16, .sequence = round + 1, .group = 1};
        spoil_stack(round);
        frame_encode(frame, &header, id);
        size_t size = frame_size(&header);
        memcpy(covered, frame, size);
        memset(covered + 12, 0, 4);
        memset(covered + 40, 0, 8);
        assert_true(XXH3_64bits_withSeed(covered, size, id) == header.checksum);
        assert_true(frame_check(frame, &header, id));
        spoil_stack(round);
        assert_true(frame_check(frame, &header, id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_decodes_to_what_was_encoded),
        cmocka_unit_test(frame_of_another_store_is_refused),
        cmocka_unit_test(every_flipped_bit_of_a_header_is_found_by_the_header),
        cmocka_unit_test(every_flipped_bit_of_a_payload_is_found_and_the_header_stays_good),
        cmocka_unit_test(sound_header_of_a_newer_version_is_told_apart),
        cmocka_unit_test(frame_longer_than_any_segment_is_refused),
        cmocka_unit_test(zeros_are_no_frame),
        cmocka_unit_test(checksum_is_xxh3_of_the_frame_whatever_the_stack_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
