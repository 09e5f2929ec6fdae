/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames, and every message both ways against bytes that are written down in golden.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"
#include "wire/wire_argument.h"
#include "wire/wire_reply.h"
#include "wire/wire_service.h"
#include "wire_samples.h"

enum { TEXT_MAX = 1 << 16 };

static struct buffer golden; /* lines: name, form, hex */

static int load_golden(void **state)
{
    (void)state;
    assert_true(fixture_load_source("tests/unit/wire/golden.txt", &golden));
    assert_int_equal(buffer_append(&golden, "", 1), 0);
    return 0;
}

static int drop_golden(void **state)
{
    (void)state;
    buffer_deinit(&golden);
    return 0;
}

/* BYTES are what golden.txt says of NAME and FORM; with STOA_TEST_WRITE its line is printed. */
static void expect_golden(const char *name, const char *form, struct bytes bytes)
{
    static char line[TEXT_MAX];
    int length = snprintf(line, sizeof(line), "%s %s ", name, form);
    assert_true(bytes.size * 2 + (size_t)length + 2 < sizeof(line));
    bytes_to_hex(bytes.data, bytes.size, line + length);
    if (getenv("STOA_TEST_WRITE") != NULL) {
        printf("golden: %s\n", line);
        return;
    }
    strcat(line, "\n");
    if (strstr((const char *)golden.data, line) == NULL) {
        fail_msg("not in golden.txt: %.200s", line);
    }
}

/* ---- frames ---- */

static void header_goes_both_ways(void **state)
{
    (void)state;
    uint8_t data[WIRE_HEADER_SIZE];
    const struct wire_header header = {
        .size = 0x01020304,
        .type = 0x0506,
        .flags = WIRE_REPLY | WIRE_BUFFERED,
        .priority = 4,
        .id = 0x1122334455667788,
        .deadline_ms = 0xfffffffc,
        .checksum = 0xa1a2a3a4,
    };
    struct wire_header read;
    wire_put_header(&header, data);
    expect_golden("Header", "frame", bytes_of(data, sizeof(data)));
    assert_int_equal(wire_get_header(data, &read, NULL), 0);
    assert_int_equal(read.size, header.size);
    assert_int_equal(read.type, header.type);
    assert_int_equal(read.flags, header.flags);
    assert_int_equal(read.priority, header.priority);
    assert_int_equal(read.id, header.id);
    assert_int_equal(wire_result(&read), STOA_ENOTFOUND);
    assert_int_equal(read.checksum, header.checksum);
}

static void header_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    uint8_t data[WIRE_HEADER_SIZE];
    struct wire_header read;
    const struct wire_header header = {.size = 5, .type = STOA_MESSAGE_GET_STATE, .id = 7};
    for (unsigned bit = 0; bit < WIRE_HEADER_SIZE * 8; bit++) {
        wire_put_header(&header, data);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(wire_get_header(data, &read, NULL), STOA_EINVAL);
    }
}

static void checksum_is_that_of_zlib(void **state)
{
    (void)state;
    const struct bytes text = bytes_of("123456789", 9);
    assert_int_equal(wire_checksum(0, text), 0xcbf43926);
    assert_int_equal(wire_checksum(wire_checksum(0, bytes_of("1234", 4)), bytes_of("56789", 5)),
                     0xcbf43926);
    assert_int_equal(wire_checksum(0, bytes_of(NULL, 0)), 0);
}

static void changed_payload_is_damage(void **state)
{
    (void)state;
    struct buffer frame = {.data = NULL};
    struct wire_header read;
    struct error_detail detail;
    assert_int_equal(wire_append_goodbye(&frame, STOA_EBUSY, "too many"), 0);
    assert_int_equal(wire_get_header(frame.data, &read, NULL), 0);
    struct bytes payload = bytes_of(frame.data + WIRE_HEADER_SIZE, read.size);
    assert_int_equal(wire_check_payload(&read, payload, &detail), 0);
    frame.data[WIRE_HEADER_SIZE + 3] ^= 1;
    assert_int_equal(wire_check_payload(&read, payload, &detail), STOA_ECORRUPT);
    buffer_deinit(&frame);
}

static void handshake_goes_both_ways(void **state)
{
    (void)state;
    struct buffer frame = {.data = NULL};
    struct wire_hello hello = {.version_least = 1, .version_most = 3, .nonce = {1}, .name = "me"};
    struct wire_hello hello_read;
    struct wire_welcome welcome = {.version = 1,
                                   .role = WIRE_ROLE_WRITE,
                                   .payload_max = 1 << 26,
                                   .requests_max = 1024,
                                   .idle_ms = 60000,
                                   .chain_id = 5,
                                   .name = "stoad 1"};
    struct wire_welcome welcome_read;
    struct wire_challenge challenge = {.nonce = {[31] = 9}};
    struct wire_challenge challenge_read;
    struct wire_goodbye goodbye_read;
    uint8_t proof[WIRE_PROOF_SIZE];
    uint8_t proof_read[WIRE_PROOF_SIZE];
    wire_prove(bytes_of("token", 5), challenge.nonce, hello.nonce, proof);
    assert_int_equal(wire_append_hello(&frame, &hello), 0);
    size_t at[5] = {0, frame.size};
    assert_int_equal(wire_append_challenge(&frame, &challenge), 0);
    at[2] = frame.size;
    assert_int_equal(wire_append_proof(&frame, proof), 0);
    at[3] = frame.size;
    assert_int_equal(wire_append_welcome(&frame, &welcome), 0);
    at[4] = frame.size;
    assert_int_equal(wire_append_goodbye(&frame, STOA_EPERM, "no"), 0);
    expect_golden("Handshake", "frames", buffer_bytes(&frame));
    struct bytes payload[5];
    for (int i = 0; i < 5; i++) {
        struct wire_header header;
        assert_int_equal(wire_get_header(frame.data + at[i], &header, NULL), 0);
        payload[i] = bytes_of(frame.data + at[i] + WIRE_HEADER_SIZE, header.size);
    }
    assert_int_equal(wire_read_hello(payload[0], &hello_read, NULL), 0);
    assert_memory_equal(&hello_read, &hello, sizeof(hello));
    assert_int_equal(wire_read_challenge(payload[1], &challenge_read, NULL), 0);
    assert_memory_equal(&challenge_read, &challenge, sizeof(challenge));
    assert_int_equal(wire_read_proof(payload[2], proof_read, NULL), 0);
    assert_true(wire_proofs_equal(proof, proof_read));
    proof_read[31] ^= 1;
    assert_false(wire_proofs_equal(proof, proof_read));
    assert_int_equal(wire_read_welcome(payload[3], &welcome_read, NULL), 0);
    assert_memory_equal(&welcome_read, &welcome, sizeof(welcome));
    assert_int_equal(wire_read_goodbye(payload[4], &goodbye_read, NULL), 0);
    assert_int_equal(goodbye_read.code, STOA_EPERM);
    assert_string_equal(goodbye_read.text, "no");
    buffer_deinit(&frame);
}

static void unknown_items_at_the_end_are_passed_over_and_missing_ones_are_zero(void **state)
{
    (void)state;
    struct wire_goodbye goodbye;
    struct wire_hello hello;
    const uint8_t longer[] = {0xc6, 0x05, 0x82, 'n', 'o', 0xc1, 0x01};
    const uint8_t shorter[] = {0xc1, 0x01};
    assert_int_equal(wire_read_goodbye(bytes_of(longer, sizeof(longer)), &goodbye, NULL), 0);
    assert_int_equal(goodbye.code, 5);
    assert_string_equal(goodbye.text, "no");
    assert_int_equal(wire_read_hello(bytes_of(shorter, sizeof(shorter)), &hello, NULL), 0);
    assert_int_equal(hello.version_least, 1);
    assert_int_equal(hello.version_most, 0);
}

/* ---- long strings ---- */

static void cuts_make_the_same_frame_as_copies(void **state)
{
    (void)state;
    static uint8_t data[3 * WIRE_CUT_LEAST];
    struct wire_writer writer;
    struct buffer frame = {.data = NULL};
    struct buffer whole = {.data = NULL};
    const struct wire_header header = {.type = STOA_MESSAGE_GET_STATE, .flags = WIRE_REPLY};
    struct stoa_completion completion = {.message = STOA_MESSAGE_GET_STATE};
    memset(data, 7, sizeof(data));
    completion.value = (struct stoa_bytes){data, sizeof(data)};
    wire_begin(&writer, &frame);
    wire_reply_write(&writer, &completion, 0);
    assert_int_equal(wire_end(&writer, &header), 0);
    assert_int_equal(writer.cut_count, 1);
    const struct wire_cut *cut = &writer.cuts[0];
    assert_int_equal(buffer_append(&whole, frame.data, cut->at), 0);
    assert_int_equal(buffer_append(&whole, cut->bytes.data, cut->bytes.size), 0);
    assert_int_equal(buffer_append(&whole, frame.data + cut->at, frame.size - cut->at), 0);
    struct wire_header read;
    struct stoa_completion again;
    struct wire_reply_held held;
    assert_int_equal(wire_get_header(whole.data, &read, NULL), 0);
    struct bytes payload = bytes_of(whole.data + WIRE_HEADER_SIZE, whole.size - WIRE_HEADER_SIZE);
    assert_int_equal(read.size, payload.size);
    assert_int_equal(wire_check_payload(&read, payload, NULL), 0);
    assert_int_equal(wire_reply_read(STOA_MESSAGE_GET_STATE, 0, payload, &again, &held, NULL), 0);
    assert_int_equal(again.value.size, sizeof(data));
    assert_memory_equal(again.value.data, data, sizeof(data));
    stoa_free((void *)(uintptr_t)again.value.data);
    buffer_deinit(&whole);
    buffer_deinit(&frame);
}

/* ---- messages ---- */

static void write_argument(enum stoa_message message, const void *argument, struct buffer *out)
{
    struct wire_writer writer;
    wire_writer_begin(&writer, out);
    assert_int_equal(wire_argument_write(&writer, message, argument), 0);
    assert_int_equal(wire_writer_result(&writer), 0);
    assert_int_equal(writer.cut_count, 0);
}

static void every_argument_goes_both_ways(void **state)
{
    (void)state;
    unsigned travelled = 0;
    for (int i = STOA_MESSAGE_NONE + 1; i < STOA_MESSAGE_END; i++) {
        enum stoa_message message = (enum stoa_message)i;
        struct buffer first = {.data = NULL};
        struct buffer second = {.data = NULL};
        struct arena arena;
        struct wire_argument read;
        struct error_detail detail = {.code = 0};
        if (wire_message_argument(message) == WIRE_ARGUMENT_UNKNOWN) {
            continue;
        }
        arena_init(&arena);
        write_argument(message, wire_samples_argument(message), &first);
        expect_golden(stoa_message_name(message), "request", buffer_bytes(&first));
        if (wire_argument_read(message, buffer_bytes(&first), &arena, &read, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        write_argument(message, read.pointer, &second);
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
        for (size_t size = 0; size < first.size; size++) { /* cut off anywhere it is refused */
            int result =
                wire_argument_read(message, bytes_of(first.data, size), &arena, &read, &detail);
            assert_int_equal(result, STOA_EINVAL);
        }
        arena_deinit(&arena);
        buffer_deinit(&first);
        buffer_deinit(&second);
        travelled++;
    }
    assert_true(travelled >= 35);
}

static void free_completion(struct stoa_completion *own)
{
    stoa_free((void *)(uintptr_t)own->value.data);
    stoa_free(own->blocks);
    stoa_free(own->proof);
    stoa_free(own->logs.logs);
    stoa_free(own->history.entries);
    stoa_free(own->headers.headers);
    stoa_free(own->stats);
    stoa_free(own->cache_stats);
    stoa_free(own->health);
    stoa_free(own->branches);
    stoa_free(own->verified);
    stoa_free(own->damages);
    stoa_free(own->analysis);
    stoa_free(own->jobs);
    stoa_free(own->copies);
    stoa_free(own->archive);
    stoa_free(own->storage);
}

static void write_reply(const struct stoa_completion *completion, struct buffer *out)
{
    struct wire_writer writer;
    wire_writer_begin(&writer, out);
    wire_reply_write(&writer, completion, 0);
    assert_int_equal(wire_writer_result(&writer), 0);
}

static void check_reply(enum stoa_message message, int result, const char *form)
{
    struct buffer first = {.data = NULL};
    struct buffer second = {.data = NULL};
    struct stoa_completion sample;
    struct stoa_completion read;
    struct wire_reply_held held;
    struct error_detail detail = {.code = 0};
    wire_samples_completion(message, result, &sample);
    write_reply(&sample, &first);
    expect_golden(stoa_message_name(message), form, buffer_bytes(&first));
    if (wire_reply_read(message, result, buffer_bytes(&first), &read, &held, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    assert_int_equal(read.effect, sample.effect);
    assert_int_equal(read.result, result);
    assert_int_equal(read.detail.code, sample.detail.code);
    assert_string_equal(read.detail.text, sample.detail.text);
    write_reply(&read, &second);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    free_completion(&read);
    for (size_t size = 0; size < first.size; size++) {
        assert_int_equal(
            wire_reply_read(message, result, bytes_of(first.data, size), &read, &held, &detail),
            STOA_EINVAL);
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
}

static void every_reply_goes_both_ways(void **state)
{
    (void)state;
    for (int i = STOA_MESSAGE_NONE + 1; i < STOA_MESSAGE_END; i++) {
        enum stoa_message message = (enum stoa_message)i;
        if (wire_message_argument(message) != WIRE_ARGUMENT_UNKNOWN) {
            check_reply(message, 0, "reply");
            check_reply(message, STOA_EIO, "failure");
        }
    }
}

static void range_comes_in_parts(void **state)
{
    (void)state;
    struct stoa_completion sample;
    struct stoa_block *blocks = NULL;
    size_t count = 0;
    struct error_detail detail = {.code = 0};
    wire_samples_completion(STOA_MESSAGE_GET_BLOCK_RANGE, 0, &sample);
    for (int i = 0; i < 2; i++) {
        struct buffer part = {.data = NULL};
        struct wire_writer writer;
        wire_writer_begin(&writer, &part);
        wire_reply_write_part(&writer, &sample.blocks[i], 1);
        assert_int_equal(wire_reply_read_part(buffer_bytes(&part), &blocks, &count, &detail), 0);
        assert_int_equal(count, i + 1);
        assert_int_equal(blocks[i].height, sample.blocks[i].height);
        buffer_deinit(&part);
    }
    count = STOA_RANGE_MAX; /* a daemon that sends more than may be asked for */
    struct buffer part = {.data = NULL};
    struct wire_writer writer;
    wire_writer_begin(&writer, &part);
    wire_reply_write_part(&writer, sample.blocks, 1);
    assert_int_equal(wire_reply_read_part(buffer_bytes(&part), &blocks, &count, &detail),
                     STOA_EINVAL);
    buffer_deinit(&part);
    memory_free(blocks);
}

static void arrays_are_bounded_by_the_bytes_that_tell_of_them(void **state)
{
    (void)state;
    /* An argument of one list of 100,000 bytes: as many empty lists, none of them an item. */
    static const uint8_t prefixes[] = {0xfa, 0x01, 0x86, 0xa4, 0xfa, 0x01, 0x86, 0xa0};
    static uint8_t payload[sizeof(prefixes) + 100000];
    struct arena arena;
    struct wire_argument read;
    struct error_detail detail = {.code = 0};
    arena_init(&arena);
    memcpy(payload, prefixes, sizeof(prefixes));
    memset(payload + sizeof(prefixes), 0xc0, 100000);
    struct bytes all = bytes_of(payload, sizeof(payload));
    assert_int_equal(wire_argument_read(STOA_MESSAGE_BATCH_WRITE, all, &arena, &read, &detail),
                     STOA_ETOOBIG);
    assert_int_equal(wire_argument_read(STOA_MESSAGE_UPDATE_STATE, all, &arena, &read, &detail),
                     STOA_ETOOBIG);
    arena_deinit(&arena);
}

static void roles_follow_the_kind_of_a_message(void **state)
{
    (void)state;
    assert_int_equal(wire_message_role(STOA_MESSAGE_GET_BLOCK), WIRE_ROLE_READ);
    assert_int_equal(wire_message_role(STOA_MESSAGE_STORE_BLOCK), WIRE_ROLE_WRITE);
    assert_int_equal(wire_message_role(STOA_MESSAGE_VERIFY), WIRE_ROLE_ADMIN);
    assert_int_equal(wire_message_role(WIRE_RESIZE_CACHE), WIRE_ROLE_ADMIN);
    assert_int_equal(wire_message_role(WIRE_SYNC), WIRE_ROLE_WRITE);
    assert_int_equal(wire_message_role(0xffff), WIRE_ROLE_ADMIN);
    assert_true(wire_message_reads(STOA_MESSAGE_GET_BLOCK));
    assert_false(wire_message_reads(STOA_MESSAGE_STORE_BLOCK));
    assert_false(wire_message_reads(STOA_MESSAGE_REBUILD_INDEX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_goes_both_ways),
        cmocka_unit_test(header_with_any_bit_flipped_is_refused),
        cmocka_unit_test(checksum_is_that_of_zlib),
        cmocka_unit_test(changed_payload_is_damage),
        cmocka_unit_test(handshake_goes_both_ways),
        cmocka_unit_test(unknown_items_at_the_end_are_passed_over_and_missing_ones_are_zero),
        cmocka_unit_test(cuts_make_the_same_frame_as_copies),
        cmocka_unit_test(every_argument_goes_both_ways),
        cmocka_unit_test(every_reply_goes_both_ways),
        cmocka_unit_test(range_comes_in_parts),
        cmocka_unit_test(arrays_are_bounded_by_the_bytes_that_tell_of_them),
        cmocka_unit_test(roles_follow_the_kind_of_a_message),
    };
    return cmocka_run_group_tests(tests, load_golden, drop_golden);
}
