/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/arc_load.h"

#include "base/ensure.h"
#include "base/memory.h"

enum { PART_HEADER, PART_DICTIONARY, PART_INDEX, PARTS };

static const char *const part_names[PARTS] = {"packed header", "dictionary", "packed index"};

static uint64_t place_of(const struct arc_load *load)
{
    const struct arc_header *header = &load->header;
    switch (load->part) {
    case PART_DICTIONARY:
        return header->dictionary_offsets[load->copy];
    case PART_INDEX:
        return header->index_offsets[load->copy];
    default:
        return load->copy == 0 ? 0 : load->file_size - SEGMENT_BLOCK;
    }
}

static uint64_t size_of(const struct arc_load *load)
{
    const struct arc_header *header = &load->header;
    switch (load->part) {
    case PART_DICTIONARY:
        return header->dictionary_size;
    case PART_INDEX:
        return arc_index_size(header->group_count);
    default:
        return SEGMENT_BLOCK;
    }
}

static void end(struct arc_load *load, int result)
{
    memory_free(load->data);
    load->data = NULL;
    load->result = result;
    load->what = part_names[load->part];
    if (result != 0) {
        arc_map_destroy(load->map);
        load->map = NULL;
    }
    load->done(load);
}

/* STOA_ECORRUPT: this copy is no good. */
static int take_part(struct arc_load *load)
{
    struct bytes data = bytes_of(load->data, size_of(load));
    switch (load->part) {
    case PART_HEADER: {
        enum frame_status status = arc_decode_header(load->data, load->number, load->file_size,
                                                     load->store_id, &load->header);
        return status == FRAME_GOOD ? 0 : status == FRAME_NEWER ? STOA_EVERSION : STOA_ECORRUPT;
    }
    case PART_DICTIONARY:
        if (data.size != 0 && arc_sum(data, load->store_id) != load->header.dictionary_sum) {
            return STOA_ECORRUPT;
        }
        return arc_map_create(&load->header, load->store_id, data, &load->map);
    default:
        return arc_decode_index(data, &load->header, load->store_id, load->map->groups)
                   ? 0
                   : STOA_ECORRUPT;
    }
}

static void part_read(struct io_request *request);

static void read_part(struct arc_load *load)
{
    uint64_t size = segment_align(size_of(load));
    memory_free(load->data);
    load->data = memory_alloc_aligned(size, IO_ALIGNMENT);
    if (load->data == NULL) {
        end(load, STOA_ENOMEM);
        return;
    }
    load->request = (struct io_request){.op = IO_READ,
                                        .file = load->file,
                                        .data = load->data,
                                        .size = size,
                                        .offset = place_of(load),
                                        .done = part_read,
                                        .context = load};
    io_submit(load->io, &load->request);
}

static void part_read(struct io_request *request)
{
    struct arc_load *load = request->context;
    int result = request->result < 0                         ? (int)request->result
                 : (uint64_t)request->result < size_of(load) ? STOA_ECORRUPT
                                                             : take_part(load);
    load->os_error = request->os_error;
    bool other = result == STOA_ECORRUPT || result == STOA_EIO;
    if (result == 0) {
        load->part++;
        load->copy = 0;
    } else if (other && load->copy == 0) {
        load->copy = 1;
    } else {
        end(load, result);
        return;
    }
    if (load->part == PART_DICTIONARY && load->header.dictionary_size == 0) {
        result = take_part(load);
        if (result != 0) {
            end(load, result);
            return;
        }
        load->part++;
    }
    if (load->part == PARTS) {
        load->part = PART_INDEX;
        end(load, 0);
        return;
    }
    read_part(load);
}

void arc_load_start(struct arc_load *load)
{
    ensure(load->done != NULL);
    load->part = PART_HEADER;
    load->copy = 0;
    load->map = NULL;
    load->data = NULL;
    load->os_error = 0;
    read_part(load);
}

void arc_load_drop(struct arc_load *load)
{
    memory_free(load->data);
    arc_map_destroy(load->map);
    load->data = NULL;
    load->map = NULL;
}
