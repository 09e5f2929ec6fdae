/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/outbox.h"

#include "base/ensure.h"
#include "base/memory.h"

enum { KEEP_BYTES = 1 << 20 };

struct outbox_piece {
    const uint8_t *data; /* NULL: the next of the box's own bytes */
    size_t size;
    struct outbox_held held;
};

static void give_back(struct outbox_held held)
{
    stoa_release(held.view);
    stoa_free(held.memory);
}

void outbox_deinit(struct outbox *outbox)
{
    for (size_t i = outbox->piece_first; i < outbox->piece_count; i++) {
        give_back(outbox->pieces[i].held);
    }
    memory_free(outbox->pieces);
    buffer_deinit(&outbox->bytes);
    *outbox = (struct outbox){.size = 0};
}

void outbox_begin(struct outbox *outbox, struct wire_writer *writer)
{
    wire_begin(writer, &outbox->bytes);
}

/* Room for EXTRA pieces. */
static int reserve(struct outbox *outbox, size_t extra)
{
    if (outbox->piece_capacity - outbox->piece_count >= extra) {
        return 0;
    }
    size_t capacity = outbox->piece_capacity * 2 + extra + 16;
    struct outbox_piece *grown = memory_resize(outbox->pieces, capacity * sizeof(*outbox->pieces));
    if (grown == NULL) {
        return STOA_ENOMEM;
    }
    outbox->pieces = grown;
    outbox->piece_capacity = capacity;
    return 0;
}

static void add_own(struct outbox *outbox, size_t size)
{
    struct outbox_piece *last =
        outbox->piece_count > outbox->piece_first ? &outbox->pieces[outbox->piece_count - 1] : NULL;
    if (last != NULL && last->data == NULL) {
        last->size += size;
    } else if (size != 0) {
        outbox->pieces[outbox->piece_count++] = (struct outbox_piece){.size = size};
    }
    outbox->size += size;
}

int outbox_note(struct outbox *outbox, size_t size)
{
    int result = reserve(outbox, 1);
    if (result != 0) {
        outbox->bytes.size -= size;
        return result;
    }
    add_own(outbox, size);
    return 0;
}

int outbox_end(struct outbox *outbox, struct wire_writer *writer, const struct wire_header *header,
               struct outbox_held held)
{
    size_t at = writer->start < WIRE_HEADER_SIZE ? 0 : writer->start - WIRE_HEADER_SIZE;
    int result = reserve(outbox, 2 * WIRE_CUTS_MAX + 1);
    if (result != 0) {
        writer->result = result;
    }
    result = wire_end(writer, header);
    if (result != 0) {
        give_back(held);
        return result;
    }
    for (unsigned i = 0; i < writer->cut_count; i++) {
        const struct wire_cut *cut = &writer->cuts[i];
        bool last = i + 1 == writer->cut_count;
        add_own(outbox, cut->at - at);
        at = cut->at;
        outbox->pieces[outbox->piece_count++] = (struct outbox_piece){
            .data = cut->bytes.data,
            .size = cut->bytes.size,
            .held = last ? held : (struct outbox_held){NULL, NULL},
        };
        outbox->size += cut->bytes.size;
    }
    add_own(outbox, outbox->bytes.size - at);
    if (writer->cut_count == 0) {
        give_back(held);
    }
    return 0;
}

/* All is written: begin at the front again. */
static void restart(struct outbox *outbox)
{
    ensure(outbox->bytes_at == outbox->bytes.size);
    outbox->piece_first = 0;
    outbox->piece_count = 0;
    outbox->piece_at = 0;
    outbox->bytes_at = 0;
    buffer_clear(&outbox->bytes);
    if (outbox->bytes.capacity > KEEP_BYTES) {
        buffer_deinit(&outbox->bytes);
    }
}

unsigned outbox_parts(const struct outbox *outbox, struct iovec parts[OUTBOX_PARTS_MAX])
{
    unsigned count = 0;
    size_t bytes_at = outbox->bytes_at;
    size_t skip = outbox->piece_at;
    for (size_t i = outbox->piece_first; i < outbox->piece_count && count < OUTBOX_PARTS_MAX; i++) {
        const struct outbox_piece *piece = &outbox->pieces[i];
        size_t size = piece->size - skip;
        const uint8_t *data =
            piece->data != NULL ? piece->data + skip : outbox->bytes.data + bytes_at;
        bytes_at += piece->data == NULL ? size : 0;
        parts[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
        skip = 0;
    }
    return count;
}

void outbox_advance(struct outbox *outbox, size_t size)
{
    ensure(size <= outbox->size);
    outbox->size -= size;
    while (outbox->piece_first < outbox->piece_count) {
        struct outbox_piece *piece = &outbox->pieces[outbox->piece_first];
        size_t rest = piece->size - outbox->piece_at;
        size_t part = size < rest ? size : rest;
        outbox->piece_at += part;
        outbox->bytes_at += piece->data == NULL ? part : 0;
        size -= part;
        if (outbox->piece_at < piece->size) {
            break;
        }
        give_back(piece->held);
        outbox->piece_first++;
        outbox->piece_at = 0;
    }
    ensure(size == 0);
    if (outbox->size == 0) {
        restart(outbox);
    }
}
