/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/frame.h"
#include "ledger/thin.h"

enum { ENTRIES = 3, FILE_SIZE = 1 << 20 };

static void names_go_both_ways(void **state)
{
    (void)state;
    char name[SEGMENT_NAME_SIZE];
    bool finished = false;
    segment_name(42, true, name);
    assert_string_equal(name, "00000042.seg");
    assert_int_equal(segment_parse_name(name, &finished), 42);
    assert_true(finished);
    segment_name(99999999, false, name);
    assert_string_equal(name, "99999999.new");
    assert_int_equal(segment_parse_name(name, &finished), 99999999);
    assert_false(finished);
}

static void other_names_are_no_segments(void **state)
{
    (void)state;
    bool finished = false;
    const char *names[] = {"",         "1.seg",         "0000001.seg",  "000000001.seg",
                           "00000001", "00000001.segx", "0000000a.seg", "00000001.SEG",
                           "LOCK",     "00000000.seg",  "-0000001.seg"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(segment_parse_name(names[i], &finished), 0);
    }
}

static void head_goes_both_ways(void **state)
{
    (void)state;
    uint8_t out[SEGMENT_HEAD_SIZE];
    struct segment_head head = {.format_version = 1,
                                .number = 7,
                                .store_id = 8,
                                .first_sequence = 9,
                                .previous = 10,
                                .size = FILE_SIZE};
    struct segment_head back;
    segment_encode_head(out, &head);
    assert_true(segment_decode_head(bytes_of(out, sizeof(out)), &back));
    assert_int_equal(back.number, 7);
    assert_int_equal(back.store_id, 8);
    assert_int_equal(back.first_sequence, 9);
    assert_int_equal(back.previous, 10);
    assert_int_equal(back.size, FILE_SIZE);
    assert_false(segment_decode_head(bytes_of(out, sizeof(out) - 1), &back));
}

static void make_entries(struct segment_entry entries[ENTRIES])
{
    entries[0] = (struct segment_entry){
        .offset = 0, .size = 104, .sequence = 5, .checksum = 1, .kind = 8, .count = 1};
    entries[1] = (struct segment_entry){
        .offset = 4096, .size = 900, .sequence = 6, .damaged = true, .count = 2};
    entries[2] = (struct segment_entry){
        .offset = 8192, .size = 64, .sequence = 8, .height = 3, .kind = 1, .count = 1};
}

static void seal_goes_both_ways(void **state)
{
    (void)state;
    struct segment_entry entries[ENTRIES];
    static struct segment_entry back[SEGMENT_ENTRIES_MAX];
    uint8_t out[SEGMENT_SEAL_HEAD_SIZE + ENTRIES * SEGMENT_ENTRY_SIZE];
    uint32_t count = 0;
    make_entries(entries);
    assert_int_equal(segment_seal_size(ENTRIES), sizeof(out));
    segment_encode_seal(out, 7, entries, ENTRIES);
    struct bytes payload = bytes_of(out, sizeof(out));
    assert_true(segment_decode_seal(payload, 7, FILE_SIZE, back, &count));
    assert_int_equal(count, ENTRIES);
    assert_int_equal(back[1].count, 2);
    assert_true(back[1].damaged);
    assert_int_equal(back[2].height, 3);
    assert_false(segment_decode_seal(payload, 8, FILE_SIZE, back, &count));
    assert_false(segment_decode_seal(payload, 7, 8200, back, &count));
    assert_false(segment_decode_seal(bytes_of(out, sizeof(out) - 1), 7, FILE_SIZE, back, &count));
}

static void seal_with_frames_out_of_order_is_refused(void **state)
{
    (void)state;
    struct segment_entry entries[ENTRIES];
    static struct segment_entry back[SEGMENT_ENTRIES_MAX];
    uint8_t out[SEGMENT_SEAL_HEAD_SIZE + ENTRIES * SEGMENT_ENTRY_SIZE];
    uint32_t count = 0;
    make_entries(entries);
    entries[2].offset = 4096;
    segment_encode_seal(out, 7, entries, ENTRIES);
    assert_false(segment_decode_seal(bytes_of(out, sizeof(out)), 7, FILE_SIZE, back, &count));
    make_entries(entries);
    entries[2].sequence = 9;
    segment_encode_seal(out, 7, entries, ENTRIES);
    assert_false(segment_decode_seal(bytes_of(out, sizeof(out)), 7, FILE_SIZE, back, &count));
}

static void seal_whose_sequences_are_none_or_overflow_is_refused(void **state)
{
    (void)state;
    static const uint64_t first[] = {0, UINT64_MAX, UINT64_MAX - 2, UINT64_MAX - 3};
    struct segment_entry entries[ENTRIES];
    static struct segment_entry back[SEGMENT_ENTRIES_MAX];
    uint8_t out[SEGMENT_SEAL_HEAD_SIZE + ENTRIES * SEGMENT_ENTRY_SIZE];
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        make_entries(entries);
        entries[0].sequence = first[i];
        entries[1].sequence = first[i] + 1;
        entries[2].sequence = first[i] + 3;
        segment_encode_seal(out, 7, entries, ENTRIES);
        assert_false(segment_decode_seal(bytes_of(out, sizeof(out)), 7, FILE_SIZE, back, &count));
    }
}

static void every_flipped_bit_of_a_trailer_is_found(void **state)
{
    (void)state;
    uint8_t out[SEGMENT_BLOCK];
    struct segment_trailer trailer = {.number = 7,
                                      .seal_offset = 4096,
                                      .seal_size = 300,
                                      .seal_sequence = 9,
                                      .seal_checksum = 10};
    struct segment_trailer back;
    segment_encode_trailer(out, &trailer, 11);
    assert_true(segment_decode_trailer(out, 11, &back));
    assert_int_equal(back.seal_offset, 4096);
    assert_int_equal(back.seal_checksum, 10);
    assert_false(segment_decode_trailer(out, 12, &back));
    for (unsigned bit = 0; bit < SEGMENT_BLOCK * 8; bit += 3) {
        out[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(segment_decode_trailer(out, 11, &back));
        out[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static void thinned_trailer_whose_sequences_are_none_or_overflow_is_refused(void **state)
{
    (void)state;
    static const uint64_t first[] = {0, UINT64_MAX, UINT64_MAX - 2};
    uint8_t out[SEGMENT_BLOCK];
    struct thin_trailer trailer = {.number = 7,
                                   .index_offset = 4096,
                                   .index_size = thin_index_size(3),
                                   .count = 3,
                                   .first_sequence = 9};
    struct thin_trailer back;
    thin_encode_trailer(out, &trailer, 11);
    assert_true(thin_decode_trailer(out, 7, 3 * SEGMENT_BLOCK, 11, &back));
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        trailer.first_sequence = first[i];
        thin_encode_trailer(out, &trailer, 11);
        assert_false(thin_decode_trailer(out, 7, 3 * SEGMENT_BLOCK, 11, &back));
    }
}

static void mark_says_whether_the_end_was_clean(void **state)
{
    (void)state;
    uint8_t out[SEGMENT_MARK_SIZE];
    bool clean = false;
    segment_encode_mark(out, true);
    assert_true(segment_decode_mark(bytes_of(out, sizeof(out)), &clean));
    assert_true(clean);
    segment_encode_mark(out, false);
    assert_true(segment_decode_mark(bytes_of(out, sizeof(out)), &clean));
    assert_false(clean);
    assert_false(segment_decode_mark(bytes_of(out, 4), &clean));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(other_names_are_no_segments),
        cmocka_unit_test(head_goes_both_ways),
        cmocka_unit_test(seal_goes_both_ways),
        cmocka_unit_test(seal_with_frames_out_of_order_is_refused),
        cmocka_unit_test(seal_whose_sequences_are_none_or_overflow_is_refused),
        cmocka_unit_test(every_flipped_bit_of_a_trailer_is_found),
        cmocka_unit_test(thinned_trailer_whose_sequences_are_none_or_overflow_is_refused),
        cmocka_unit_test(mark_says_whether_the_end_was_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
