/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The notes are at "verify" and "verify-deep". Little-endian:
 *
 *   version (1), result (4), began (8), ended (8), height of the head (8), and what was counted, in
 *   the order of struct stoa_verify_report (10 times 8).
 *
 * A note of another version, or of another size, is as none. */
#include "maint/verify_notes.h"

#include <string.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "store/store_upkeep.h"

enum { NOTE_VERSION = 1, NOTE_COUNTS = 10, NOTE_NUMBERS = 3 + NOTE_COUNTS };
enum { NOTE_SIZE = 1 + 4 + NOTE_NUMBERS * 8 };

static const char *const keys[VERIFY_NOTES] = {"verify", "verify-deep"};

/* What is of eight bytes, in the order in which it is kept. */
static void list_numbers(struct stoa_verification *of, uint64_t *out[NOTE_NUMBERS])
{
    struct stoa_verify_report *report = &of->report;
    uint64_t *const numbers[] = {
        &of->began,         &of->ended,       &of->height,      &report->segments,
        &report->frames,    &report->bytes,   &report->blocks,  &report->transactions,
        &report->receipts,  &report->damages, &report->changes, &report->roots,
        &report->full_roots};
    static_assert(sizeof(numbers) / sizeof(numbers[0]) == NOTE_NUMBERS, "it has all of them");
    memcpy(out, numbers, sizeof(numbers));
}

static void encode(const struct stoa_verification *verification, uint8_t out[NOTE_SIZE])
{
    struct stoa_verification copy = *verification;
    uint64_t *numbers[NOTE_NUMBERS];
    list_numbers(&copy, numbers);
    out[0] = NOTE_VERSION;
    bytes_store_le32(out + 1, (uint32_t)copy.result);
    for (unsigned i = 0; i < NOTE_NUMBERS; i++) {
        bytes_store_le64(out + 5 + 8 * i, *numbers[i]);
    }
}

/* Of no bytes as well: none. */
static struct stoa_verification decode(struct bytes note, bool deep)
{
    struct stoa_verification verification = {.deep = deep, .report.noted = 1};
    uint64_t *numbers[NOTE_NUMBERS];
    if (note.size != NOTE_SIZE || note.data[0] != NOTE_VERSION) {
        return (struct stoa_verification){.ended = 0};
    }
    list_numbers(&verification, numbers);
    verification.result = (int32_t)bytes_load_le32(note.data + 1);
    for (unsigned i = 0; i < NOTE_NUMBERS; i++) {
        *numbers[i] = bytes_load_le64(note.data + 5 + 8 * i);
    }
    return verification;
}

int verify_notes_read(struct verify_notes *notes, struct store *store, struct error_detail *detail)
{
    struct buffer note;
    int result = 0;
    *notes = (struct verify_notes){{{.ended = 0}}};
    buffer_init(&note);
    for (unsigned i = 0; result == 0 && i < VERIFY_NOTES; i++) {
        result = store_note_get(store, keys[i], &note, detail);
        if (result == 0) {
            notes->kept[i] = decode(buffer_bytes(&note), i != 0);
        }
    }
    buffer_deinit(&note);
    if (result != 0) {
        *notes = (struct verify_notes){{{.ended = 0}}};
    }
    return result;
}

int verify_notes_keep(struct verify_notes *notes, struct store *store,
                      const struct stoa_verification *verification, struct error_detail *detail)
{
    uint8_t note[NOTE_SIZE];
    bool deep = verification->deep != 0;
    ensure(verification->result != STOA_ECANCELED); /* it has not ended */
    encode(verification, note);
    int result = store_note_keep(store, keys[deep], bytes_of(note, sizeof(note)), detail);
    if (result == 0) {
        notes->kept[deep] = decode(bytes_of(note, sizeof(note)), deep);
    }
    return result;
}

const struct stoa_verification *verify_notes_newest(const struct verify_notes *notes)
{
    const struct stoa_verification *newest = NULL;
    for (unsigned i = 0; i < VERIFY_NOTES; i++) {
        const struct stoa_verification *one = &notes->kept[i];
        bool through = one->ended != 0 && (one->result == 0 || one->result == STOA_ECORRUPT);
        if (through && (newest == NULL || one->ended >= newest->ended)) {
            newest = one;
        }
    }
    return newest;
}
