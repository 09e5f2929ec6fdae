/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in the archive: answered by a worker that reads the headers of the packed segments. */
#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "maint/archive_list.h"

/* The answer while it grows. */
struct querying {
    struct engine_work work;
    uint64_t from;
    struct stoa_archive totals;
    struct buffer segments; /* of struct stoa_archive_segment */
};

static int note_segment(void *context, const struct archive_segment *segment)
{
    struct querying *querying = context;
    struct stoa_archive *totals = &querying->totals;
    const struct arc_header *header = &segment->header;
    struct stoa_archive_segment out = {
        .number = segment->number, .damaged = segment->damaged, .bytes = segment->size};
    if (!segment->damaged) {
        out.pruned = header->thin;
        out.from = header->lowest;
        out.to = header->highest;
        out.blocks = header->block_count;
        out.frames = header->last_sequence - header->first_sequence + 1;
        out.live_bytes = header->segment_size;
        out.dictionary_bytes = header->dictionary_size;
    }
    totals->segments++;
    totals->damaged += segment->damaged;
    totals->bytes += out.bytes;
    totals->live_bytes += out.live_bytes;
    if (out.number < querying->from || totals->next != 0) {
        return 0;
    }
    if (totals->count == STOA_ARCHIVE_SEGMENTS_MAX) {
        totals->next = out.number;
        return 0;
    }
    totals->count++;
    return buffer_append(&querying->segments, &out, sizeof(out));
}

/* The answer and its list behind it, for who asked. */
static int join(struct querying *querying)
{
    size_t size = querying->segments.size;
    struct stoa_archive *archive = memory_alloc_zeroed(1, sizeof(*archive) + size);
    if (archive == NULL) {
        return STOA_ENOMEM;
    }
    *archive = querying->totals;
    archive->list = (struct stoa_archive_segment *)(archive + 1);
    if (size != 0) {
        memcpy(archive->list, querying->segments.data, size);
    }
    querying->work.own->report = archive;
    return 0;
}

static int run_query(struct engine_work *work, struct io *io, struct kv_session *session)
{
    struct querying *querying = (struct querying *)work; /* it is first */
    struct store *store = work->work.store;
    (void)session; /* it needs no tables */
    int result = archive_list(io, store_directory(store), store_get_id(store), note_segment,
                              querying, &work->work.detail);
    return result == 0 ? join(querying) : result;
}

static void end_query(struct engine_work *work)
{
    buffer_deinit(&((struct querying *)work)->segments);
}

void engine_archive_serve(struct engine_request *own)
{
    struct querying *querying = engine_work_make(own, sizeof(*querying));
    if (querying == NULL) {
        return;
    }
    querying->from = (uint64_t)own->index;
    querying->work.run = run_query;
    querying->work.end = end_query;
    buffer_init(&querying->segments);
    engine_work_start(&querying->work);
}

int engine_archive_fill(struct engine_request *own, const uint64_t *from)
{
    if (from == NULL) {
        return STOA_EINVAL;
    }
    own->index = *from < INT_MAX ? (int)*from : INT_MAX; /* no segment has such a number */
    return 0;
}

int stoa_query_archive(struct stoa *stoa, uint64_t from, struct stoa_archive **out_archive,
                       struct stoa_detail *detail)
{
    return out_archive == NULL
               ? engine_refuse(detail, STOA_EINVAL, "query the archive: nowhere to put it")
               : engine_work_ask(stoa, STOA_MESSAGE_QUERY_ARCHIVE, &from, (void **)out_archive,
                                 detail);
}
