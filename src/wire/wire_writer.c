/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_writer.h"

#include <string.h>

#include "base/ensure.h"
#include "chain/rlp.h"

void wire_writer_begin(struct wire_writer *writer, struct buffer *buffer)
{
    writer->buffer = buffer;
    writer->start = buffer->size;
    writer->cut_count = 0;
    writer->result = 0;
}

/* Bytes from AT on, with the cuts from number CUT on. */
static uint64_t size_from(const struct wire_writer *writer, size_t at, unsigned cut)
{
    uint64_t size = writer->buffer->size - at;
    for (unsigned i = cut; i < writer->cut_count; i++) {
        size += writer->cuts[i].bytes.size;
    }
    return size;
}

uint64_t wire_writer_size(const struct wire_writer *writer)
{
    return size_from(writer, writer->start, 0);
}

int wire_writer_result(const struct wire_writer *writer)
{
    return writer->result;
}

static void note(struct wire_writer *writer, int result)
{
    if (writer->result == 0) {
        writer->result = result;
    }
}

struct wire_mark wire_writer_list(struct wire_writer *writer)
{
    return (struct wire_mark){writer->buffer->size, writer->cut_count};
}

void wire_writer_end(struct wire_writer *writer, struct wire_mark mark)
{
    struct buffer *buffer = writer->buffer;
    size_t end = buffer->size;
    ensure(mark.at <= end && mark.cut <= writer->cut_count);
    uint64_t size = size_from(writer, mark.at, mark.cut);
    /* Written behind, then moved before. */
    int result = rlp_append_list_prefix(buffer, size);
    if (result != 0) {
        note(writer, result);
        return;
    }
    uint8_t prefix[9];
    size_t prefix_size = buffer->size - end;
    ensure(prefix_size <= sizeof(prefix));
    memcpy(prefix, buffer->data + end, prefix_size);
    memmove(buffer->data + mark.at + prefix_size, buffer->data + mark.at, end - mark.at);
    memcpy(buffer->data + mark.at, prefix, prefix_size);
    for (unsigned i = mark.cut; i < writer->cut_count; i++) {
        writer->cuts[i].at += prefix_size;
    }
}

void wire_writer_u64(struct wire_writer *writer, uint64_t value)
{
    note(writer, rlp_append_uint64(writer->buffer, value));
}

void wire_writer_u256(struct wire_writer *writer, const uint8_t value[32])
{
    note(writer, rlp_append_uint256(writer->buffer, value));
}

void wire_writer_string(struct wire_writer *writer, const void *data, size_t size)
{
    note(writer, rlp_append_string(writer->buffer, bytes_of(data, size)));
}

/* The prefix of a string of SIZE bytes, 56 at least. */
static int append_string_prefix(struct buffer *buffer, uint64_t size)
{
    size_t at = buffer->size;
    int result = rlp_append_list_prefix(buffer, size);
    if (result == 0) {
        buffer->data[at] =
            (uint8_t)(buffer->data[at] - 0x40); /* 0xf8.. of a list, 0xb8.. of this */
    }
    return result;
}

void wire_writer_long(struct wire_writer *writer, const void *data, size_t size)
{
    if (size < WIRE_CUT_LEAST || writer->cut_count == WIRE_CUTS_MAX) {
        wire_writer_string(writer, data, size);
        return;
    }
    note(writer, append_string_prefix(writer->buffer, size));
    writer->cuts[writer->cut_count++] =
        (struct wire_cut){writer->buffer->size, bytes_of(data, size)};
}

void wire_writer_text(struct wire_writer *writer, const char *text)
{
    wire_writer_string(writer, text, strlen(text));
}

void wire_writer_optional(struct wire_writer *writer, const void *data, size_t size)
{
    struct wire_mark mark = wire_writer_list(writer);
    if (data != NULL) {
        wire_writer_long(writer, data, size);
    }
    wire_writer_end(writer, mark);
}
