/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A payload of any message, either way: the first byte says which. What is read is written again
 * and read once more, and must be the same then. */
#include <string.h>

#include "base/arena.h"
#include "base/ensure.h"
#include "fuzz/fuzz.h"
#include "stoa.h"
#include "wire/wire_argument.h"
#include "wire/wire_reply.h"
#include "wire/wire_service.h"

enum { REPLY = 0x80, MESSAGE_MASK = 0x7f, SERVICE = 0x7f };

static void forget(struct stoa_completion *own)
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

static void check_argument(enum stoa_message message, struct bytes payload)
{
    struct arena arena;
    struct wire_argument read;
    struct wire_writer writer;
    struct buffer again = {.data = NULL};
    struct error_detail detail = {.code = 0};
    arena_init(&arena);
    if (wire_argument_read(message, payload, &arena, &read, &detail) == 0) {
        wire_writer_begin(&writer, &again);
        if (wire_argument_write(&writer, message, read.pointer) == 0 &&
            wire_writer_result(&writer) == 0 && writer.cut_count == 0) {
            int result = wire_argument_read(message, buffer_bytes(&again), &arena, &read, &detail);
            ensure(result == 0 || result == STOA_ETOOBIG);
        }
    } else {
        ensure(detail.text[0] != '\0');
    }
    buffer_deinit(&again);
    arena_deinit(&arena);
}

static void check_reply(enum stoa_message message, int result, struct bytes payload)
{
    struct stoa_completion read;
    struct wire_reply_held held;
    struct wire_writer writer;
    struct buffer again = {.data = NULL};
    struct error_detail detail = {.code = 0};
    if (wire_reply_read(message, result, payload, &read, &held, &detail) != 0) {
        return;
    }
    bool whole = result != 0 || payload.size != 0;
    wire_writer_begin(&writer, &again);
    wire_reply_write(&writer, &read, 0);
    ensure(whole && wire_writer_result(&writer) == 0);
    forget(&read);
    if (writer.cut_count == 0) {
        int second = wire_reply_read(message, result, buffer_bytes(&again), &read, &held, &detail);
        ensure(second == 0);
        forget(&read);
    }
    buffer_deinit(&again);
}

static void check_service(struct bytes payload)
{
    struct stoa_detail told;
    struct bytes body;
    struct bytes cursor;
    struct stoa_block_changes *changes;
    struct stoa_dead_letter letter;
    struct stoa_dead_letter_counts counts;
    struct error_detail detail = {.code = 0};
    struct wire_header header;
    uint64_t number;
    (void)wire_service_read_number(payload, &number, &detail); /* any result */
    if (payload.size >= WIRE_HEADER_SIZE) {
        (void)wire_get_header(payload.data, &header, &detail); /* likewise */
    }
    if (wire_service_read(payload, 0, &told, &body, &detail) != 0) {
        return;
    }
    cursor = body;
    if (wire_service_read_changes(&cursor, &changes, &detail) == 0) {
        stoa_free(changes);
    }
    cursor = body;
    (void)wire_service_read_letter(&cursor, &letter, &detail); /* likewise */
    cursor = body;
    (void)wire_service_read_counts(&cursor, &counts, &detail); /* likewise */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct bytes payload = bytes_of(data + 1, size - 1);
    unsigned which = data[0] & MESSAGE_MASK;
    if (which == SERVICE) {
        check_service(payload);
        return 0;
    }
    enum stoa_message message = (enum stoa_message)(1 + which % (STOA_MESSAGE_END - 1));
    if ((data[0] & REPLY) == 0) {
        check_argument(message, payload);
    } else {
        check_reply(message, 0, payload);
        check_reply(message, STOA_ECORRUPT, payload);
    }
    return 0;
}

/* An argument, then a reply that is an error, of each message. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    struct wire_writer writer;
    enum stoa_message message = (enum stoa_message)(1 + index / 2);
    if (message >= STOA_MESSAGE_END) {
        return false;
    }
    uint8_t which = (uint8_t)((message - 1) | (index % 2 == 0 ? 0 : REPLY));
    static const uint8_t zeros[256] = {0};
    static const struct stoa_bytes key = {(const uint8_t *)"key", 3};
    int appended = buffer_append(out, &which, 1);
    ensure(appended == 0);
    wire_writer_begin(&writer, out);
    if (index % 2 != 0) {
        wire_reply_write_error(&writer, STOA_EFFECT_NONE, "a reason");
        return true;
    }
    enum wire_argument_shape shape = wire_message_argument(message);
    bool plain = shape == WIRE_ARGUMENT_KEY || shape == WIRE_ARGUMENT_RANGE ||
                 shape == WIRE_ARGUMENT_STATE_QUERY || shape == WIRE_ARGUMENT_HASH ||
                 shape == WIRE_ARGUMENT_HEIGHT || shape == WIRE_ARGUMENT_NUMBER ||
                 shape == WIRE_ARGUMENT_PROOF_QUERY;
    (void)wire_argument_write(&writer, message, /* some are refused: any seed will do */
                              shape == WIRE_ARGUMENT_BYTES ? (const void *)&key
                              : plain                      ? (const void *)zeros
                                                           : NULL);
    return true;
}
