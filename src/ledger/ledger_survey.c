/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a segment says of itself: its trailer and its index are read, and no frame of it. */
#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

static void add_height(struct ledger_survey *out, uint64_t height)
{
    bool first = out->highest == 0 && out->lowest == 0;
    out->lowest = first || height < out->lowest ? height : out->lowest;
    out->highest = height > out->highest ? height : out->highest;
}

static void add_entry(struct ledger_survey *out, const struct segment_entry *entry)
{
    out->damaged = out->damaged || entry->damaged || entry->kind == 0 || entry->count != 1;
    if (entry->kind == 0) {
        return;
    }
    out->frames++;
    out->blocks += entry->kind == LEDGER_BLOCK;
    if (entry->kind == LEDGER_BLOCK || entry->kind == LEDGER_STATE) {
        add_height(out, entry->height);
    }
}

static void take_file(const struct ledger_file *file, struct ledger_survey *out)
{
    out->thin = file->thin;
    out->packed = file->packed;
    out->bytes = file->disk_size;
}

static uint64_t dead_of(const struct ledger_survey_gain *gain, uint32_t number,
                        const struct segment_entry *entry)
{
    struct ledger_frame frame = ledger_outline_frame(number, entry);
    uint64_t dead = gain->gain != NULL && ledger_kind_is_store(entry->kind)
                        ? gain->gain(gain->context, &frame)
                        : 0;
    return dead < segment_entry_size(entry) ? dead : segment_entry_size(entry);
}

int ledger_survey(struct ledger *ledger, uint32_t number, const struct ledger_survey_gain *gain,
                  struct ledger_survey *out_survey, struct error_detail *detail)
{
    struct ledger_survey survey = {.number = number};
    struct ledger_index index;
    ensure(number >= 1 && number <= ledger->segment.number);
    int result = ledger_index_load(ledger, number, true, &index, detail);
    if (result == STOA_ECORRUPT || result == STOA_EIO) {
        take_file(ledger_files_get(ledger, number), &survey);
        survey.damaged = true;
        *out_survey = survey;
        return 0;
    }
    if (result != 0) {
        return result;
    }
    take_file(index.file, &survey);
    survey.damaged = index.source != LEDGER_INDEX_SEAL;
    uint64_t dead = 0;
    for (uint32_t i = 0; i < index.count; i++) {
        add_entry(&survey, &index.entries[i]);
        dead += dead_of(gain, number, &index.entries[i]);
    }
    /* Of what is packed, as much as it would be if all of it packed alike. */
    survey.dead_bytes =
        index.file->packed && index.file->size != 0
            ? (uint64_t)((double)dead / (double)index.file->size * (double)survey.bytes)
            : dead;
    ledger_index_deinit(&index);
    *out_survey = survey;
    return 0;
}

bool ledger_survey_unsealed(const struct ledger *ledger, uint32_t number,
                            struct ledger_survey *out_survey)
{
    const struct ledger_segment *segment = &ledger->segment;
    if (number < segment->number || number == 0 || number > ledger->file_count) {
        return false;
    }
    *out_survey = (struct ledger_survey){.number = number, .spare = number > segment->number};
    take_file(ledger->files[number - 1], out_survey);
    for (uint32_t i = 0; !out_survey->spare && i < segment->entry_count; i++) {
        if (segment->entries[i].sequence <= ledger->durable_sequence) {
            add_entry(out_survey, &segment->entries[i]);
        }
    }
    return true;
}
