/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify_notes.h: what a store keeps of its last verification of each depth, in the table "meta",
 * and a copy of it in memory. On the loop. */
#ifndef VERIFY_NOTES_H
#define VERIFY_NOTES_H

#include "stoa.h"
#include "store/store.h"

enum { VERIFY_NOTES = 2 }; /* plain and deep */

struct verify_notes {
    struct stoa_verification kept[VERIFY_NOTES]; /* ENDED is 0: there is none */
};

/* Blocking: what the tables have, while no work is under way. Where it fails there are none. */
int verify_notes_read(struct verify_notes *notes, struct store *store, struct error_detail *detail);

/* Blocking: VERIFICATION in the place of the last one of its depth, durably. Where it fails the
 * copy has that one still. */
int verify_notes_keep(struct verify_notes *notes, struct store *store,
                      const struct stoa_verification *verification, struct error_detail *detail);

/* The last that went through, of whatever depth; NULL: there was none. */
const struct stoa_verification *verify_notes_newest(const struct verify_notes *notes);

#endif
