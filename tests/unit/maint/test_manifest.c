/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maint/backup.h"
#include "maint/manifest.h"

static void fill(struct manifest *manifest)
{
    static const uint8_t sum[TRANSFER_SUM_SIZE] = {1, 2, 3};
    manifest_init(manifest);
    manifest->number = 7;
    manifest->created_ns = UINT64_C(1764455400000000000);
    manifest->store_id = UINT64_C(0x0123456789abcdef);
    manifest->chain_id = 1;
    manifest->has_genesis = true;
    memset(manifest->genesis_hash, 0xab, 32);
    manifest->end = (struct ledger_end){.segment = 3,
                                        .size = 8192,
                                        .sequence = 99,
                                        .offset = 4096,
                                        .checksum = UINT64_C(0xfedcba9876543210)};
    manifest->height = 42;
    memset(manifest->hash, 0xcd, 32);
    memset(manifest->state_root, 0xef, 32);
    manifest->has_finalized = true;
    manifest->finalized_height = 40;
    assert_int_equal(manifest_add(manifest, "STORE", 72, sum), 0);
    for (unsigned i = 1; i <= 200; i++) {
        char name[MANIFEST_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "ledger/%08u.seg", i);
        assert_int_equal(manifest_add(manifest, name, 1048576, sum), 0);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct manifest manifest;
    struct manifest read;
    struct buffer text;
    struct error_detail detail;
    fill(&manifest);
    buffer_init(&text);
    assert_int_equal(manifest_encode(&manifest, &text), 0);
    assert_int_equal(manifest_decode(buffer_bytes(&text), &read, &detail), 0);
    assert_int_equal(read.number, 7);
    assert_true(read.created_ns == manifest.created_ns);
    assert_true(read.store_id == manifest.store_id);
    assert_int_equal(read.chain_id, 1);
    assert_memory_equal(read.genesis_hash, manifest.genesis_hash, 32);
    assert_int_equal(read.end.segment, 3);
    assert_int_equal(read.end.size, 8192);
    assert_int_equal(read.end.sequence, 99);
    assert_int_equal(read.end.offset, 4096);
    assert_true(read.end.checksum == manifest.end.checksum);
    assert_int_equal(read.height, 42);
    assert_memory_equal(read.hash, manifest.hash, 32);
    assert_memory_equal(read.state_root, manifest.state_root, 32);
    assert_true(read.has_finalized);
    assert_int_equal(read.finalized_height, 40);
    assert_int_equal(read.file_count, 201);
    assert_true(manifest_bytes(&read) == 72 + UINT64_C(200) * 1048576);
    const struct manifest_file *file = manifest_find(&read, "ledger/00000123");
    assert_non_null(file);
    assert_string_equal(file->name, "ledger/00000123.seg");
    assert_null(manifest_find(&read, "ledger/00000201"));
    assert_non_null(manifest_find(&read, "STORE"));
    manifest_deinit(&read);
    manifest_deinit(&manifest);
    buffer_deinit(&text);
}

static void any_flipped_bit_and_any_cut_is_found(void **state)
{
    (void)state;
    struct manifest manifest;
    struct manifest read;
    struct buffer text;
    struct error_detail detail;
    fill(&manifest);
    manifest.file_count = 4;
    buffer_init(&text);
    assert_int_equal(manifest_encode(&manifest, &text), 0);
    for (size_t i = 0; i < text.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text.data[i] ^= (uint8_t)(1u << bit);
            int result = manifest_decode(buffer_bytes(&text), &read, &detail);
            assert_true(result == STOA_ECORRUPT || result == STOA_EVERSION);
            text.data[i] ^= (uint8_t)(1u << bit);
        }
        assert_int_equal(manifest_decode(bytes_of(text.data, i), &read, &detail), STOA_ECORRUPT);
    }
    manifest_deinit(&manifest);
    buffer_deinit(&text);
}

/* TEXT between the head and the sum, which is right. */
static int decode_with(const char *files)
{
    struct manifest manifest;
    struct manifest read;
    struct buffer text;
    uint8_t sum[TRANSFER_SUM_SIZE];
    char hex[2 * TRANSFER_SUM_SIZE + 1];
    fill(&manifest);
    manifest.file_count = 0;
    buffer_init(&text);
    assert_int_equal(manifest_encode(&manifest, &text), 0);
    text.size -= 4 + 2 * TRANSFER_SUM_SIZE + 1;
    assert_int_equal(buffer_append(&text, files, strlen(files)), 0);
    transfer_sum_bytes(buffer_bytes(&text), sum);
    bytes_to_hex(sum, sizeof(sum), hex);
    assert_int_equal(buffer_append_format(&text, "end %s\n", hex), 0);
    int result = manifest_decode(buffer_bytes(&text), &read, NULL);
    if (result == 0) {
        manifest_deinit(&read);
    }
    manifest_deinit(&manifest);
    buffer_deinit(&text);
    return result;
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    const char *sum = " 5 00000000000000000000000000000000\n";
    static const char *const bad[] = {"/etc/passwd", "../STORE",   "ledger/../x", "a//b",
                                      ".hidden",     "ledger/.x",  "ledger/",     "",
                                      "a\nb",        "\xc3\xa4.c", "a/../../b"};
    char line[128];
    (void)snprintf(line, sizeof(line), "file ledger/00000001.seg%s", sum);
    assert_int_equal(decode_with(line), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(line, sizeof(line), "file %s%s", bad[i], sum);
        assert_int_equal(decode_with(line), STOA_ECORRUPT);
    }
    assert_int_equal(decode_with("file b 1 00000000000000000000000000000000\n"
                                 "file a 1 00000000000000000000000000000000\n"),
                     STOA_ECORRUPT);
    assert_int_equal(decode_with("file b 01 00000000000000000000000000000000\n"), STOA_ECORRUPT);
    assert_int_equal(decode_with("file b 99999999999999999999 "
                                 "00000000000000000000000000000000\n"),
                     STOA_ECORRUPT);
    assert_int_equal(decode_with("more\n"), STOA_ECORRUPT);
}

static void plain_names_have_no_number_of_a_backup(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"STORE", "STORE"},
        {"STORE-12", "STORE"},
        {"stoa-7.conf", "stoa.conf"},
        {"ledger/00000001.seg", "ledger/00000001.seg"},
        {"ledger/00000001-123.seg", "ledger/00000001.seg"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char plain[MANIFEST_NAME_SIZE];
        backup_plain_name(names[i][0], plain);
        assert_string_equal(plain, names[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(any_flipped_bit_and_any_cut_is_found),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(plain_names_have_no_number_of_a_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
