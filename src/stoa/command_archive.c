/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/command_archive.h"

#include <inttypes.h>
#include <stdio.h>

#include "stoa.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"

static bool is_wanted(const struct options *options, const struct stoa_archive_segment *segment)
{
    uint64_t to = options->to != 0 ? options->to : UINT64_MAX;
    return segment->damaged != 0 || (segment->to >= options->from && segment->from <= to);
}

static double ratio_of(uint64_t live, uint64_t packed)
{
    return packed == 0 ? 0 : (double)live / (double)packed;
}

static void add_sizes(struct json_writer *json, uint64_t bytes, uint64_t live_bytes)
{
    json_writer_number(json, "bytes", bytes);
    json_writer_number(json, "liveBytes", live_bytes);
}

static void add_known(struct answer *answer, const char *name,
                      const struct stoa_archive_segment *segment)
{
    struct json_writer *json = &answer->json;
    char size[SHEET_TEXT_SIZE];
    char live[SHEET_TEXT_SIZE];
    char dictionary[SHEET_TEXT_SIZE];
    char blocks[64] = "";
    json_writer_number(json, "from", segment->from);
    json_writer_number(json, "to", segment->to);
    json_writer_number(json, "blocks", segment->blocks);
    json_writer_number(json, "frames", segment->frames);
    add_sizes(json, segment->bytes, segment->live_bytes);
    json_writer_number(json, "dictionaryBytes", segment->dictionary_bytes);
    json_writer_bool(json, "pruned", segment->pruned != 0);
    if (segment->to != 0) {
        (void)snprintf(blocks, sizeof(blocks), "blocks %" PRIu64 " to %" PRIu64 ", ", segment->from,
                       segment->to);
    }
    sheet_line(&answer->sheet, name, "%s%" PRIu64 " frames, %s of %s (%.2f), dictionary %s%s",
               blocks, segment->frames, sheet_size_text(segment->bytes, size),
               sheet_size_text(segment->live_bytes, live),
               ratio_of(segment->live_bytes, segment->bytes),
               sheet_size_text(segment->dictionary_bytes, dictionary),
               segment->pruned != 0 ? ", pruned" : "");
}

static void add_segment(struct answer *answer, const struct stoa_archive_segment *segment)
{
    char name[24];
    char size[SHEET_TEXT_SIZE];
    (void)snprintf(name, sizeof(name), "%08" PRIu64, segment->number);
    json_writer_object_begin(&answer->json, NULL);
    json_writer_number(&answer->json, "segment", segment->number);
    json_writer_bool(&answer->json, "damaged", segment->damaged != 0);
    if (segment->damaged != 0) {
        json_writer_number(&answer->json, "bytes", segment->bytes);
        sheet_line(&answer->sheet, name, "damaged, %s", sheet_size_text(segment->bytes, size));
    } else {
        add_known(answer, name, segment);
    }
    json_writer_object_end(&answer->json);
}

static void add_totals(struct answer *answer, const struct stoa_archive *archive)
{
    struct json_writer *json = &answer->json;
    char size[SHEET_TEXT_SIZE];
    char live[SHEET_TEXT_SIZE];
    json_writer_number(json, "segments", archive->segments);
    json_writer_number(json, "damaged", archive->damaged);
    add_sizes(json, archive->bytes, archive->live_bytes);
    sheet_line(&answer->sheet, "all", "%" PRIu64 " segments, %s of %s (%.2f)", archive->segments,
               sheet_size_text(archive->bytes, size), sheet_size_text(archive->live_bytes, live),
               ratio_of(archive->live_bytes, archive->bytes));
}

/* All pages of it. */
static int add_archive(struct stoa *stoa, const struct options *options, struct answer *answer,
                       struct stoa_detail *detail)
{
    uint64_t from = 0;
    int result = 0;
    json_writer_object_begin(&answer->json, NULL);
    json_writer_array_begin(&answer->json, "list");
    do {
        struct stoa_archive *archive = NULL;
        result = stoa_query_archive(stoa, from, &archive, detail);
        if (result != 0) {
            break;
        }
        for (size_t i = 0; i < archive->count; i++) {
            if (is_wanted(options, &archive->list[i])) {
                add_segment(answer, &archive->list[i]);
            }
        }
        from = archive->next;
        if (from == 0) {
            json_writer_array_end(&answer->json);
            add_totals(answer, archive);
        }
        stoa_free(archive);
    } while (from != 0);
    json_writer_object_end(&answer->json);
    return result;
}

int command_archive_list(const struct options *options)
{
    struct stoa *stoa;
    struct answer answer;
    struct stoa_detail detail = {.code = 0};
    if (options->archive_keep != 0 || options->rate != 0 || options->dry_run) {
        console_error("archive list: --keep, --rate and --dry-run are for packing");
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    answer_init(&answer, options);
    int result = add_archive(stoa, options, &answer, &detail);
    if (result != 0) {
        answer_deinit(&answer);
        return command_close(stoa, command_fail(result, &detail, "archive"));
    }
    return command_close(stoa, answer_finish(&answer));
}
