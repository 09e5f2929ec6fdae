/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in the archive: answered by a worker that reads the headers of the packed segments. */
#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "maint/archive_list.h"

/* The answer while it grows. */
struct querying {
    struct store_work work;
    struct engine_request *own;
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
    querying->own->report = archive;
    return 0;
}

/* On a worker. */
static int run_query(struct store_work *work, struct kv_session *session)
{
    struct querying *querying = (struct querying *)work; /* it is first */
    struct io_options options = {.backend = IO_BACKEND_THREADS, .threads = 1};
    struct io *io;
    (void)session; /* it needs no tables */
    int result = io_create(&options, &io, &work->detail);
    if (result != 0) {
        return result;
    }
    work->detail = (struct error_detail){.code = 0};
    result = archive_list(io, store_directory(work->store), store_get_id(work->store), note_segment,
                          querying, &work->detail);
    io_destroy(io);
    return result == 0 ? join(querying) : result;
}

static void end_query(struct querying *querying, int result)
{
    struct engine_request *own = querying->own;
    own->request.result = result;
    own->request.detail = querying->work.detail;
    buffer_deinit(&querying->segments);
    memory_free(querying);
    engine_deliver_done(&own->request);
}

static void done_query(struct store_work *work)
{
    end_query((struct querying *)work, work->result); /* it is first */
}

void engine_archive_serve(struct engine_request *own)
{
    struct querying *querying = memory_alloc_zeroed(1, sizeof(*querying));
    if (querying == NULL) {
        engine_deliver_served(own, STOA_ENOMEM);
        return;
    }
    querying->own = own;
    querying->from = (uint64_t)own->index;
    querying->work.run = run_query;
    querying->work.done = done_query;
    buffer_init(&querying->segments);
    engine_deliver_is_in_store(own);
    int result = store_work_start(own->stoa->store, &querying->work);
    if (result != 0) {
        end_query(querying, result);
    }
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
    struct engine_request *answer;
    if (out_archive == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "query the archive: nowhere to put it");
    }
    int result = engine_request_wait(stoa, STOA_MESSAGE_QUERY_ARCHIVE, &from, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    if (result == 0) {
        *out_archive = answer->report;
        answer->report = NULL; /* it is the caller's now */
    }
    engine_serve_forget(answer);
    engine_request_give(stoa, answer);
    return result;
}
