/* SPDX-License-Identifier: GPL-3.0-or-later */
/* snapshot.h: a moment of a store kept under a name, in DIR/snapshots/NAME, at the price of a few
 * system calls: segments that are full never change, so they are linked, and only that which was
 * being filled is copied. What it costs beyond that copy is what the store itself has dropped
 * since: whoever frees the space of a segment (by unlinking it, that is) leaves a snapshot's link
 * to it alone; whoever punches holes into one asks snapshot_holds before.
 *
 *     DIR/snapshots/NAME/manifest          manifest.h; linked files have no sum there: their frames
 *                                          have
 *     DIR/snapshots/NAME/STORE, ledger/, archive/
 *
 * It appears whole, by a rename, and goes likewise; names that begin with a dot are what a process
 * that ended meanwhile left, and are cleared away by the next call that changes anything. It is
 * restored by restore_run. Blocking: runs the loop. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "maint/manifest.h"
#include "store/store.h"

enum { SNAPSHOT_NAME_MAX = 63 };

/* STOA_EINVAL: NAME is none for one. */
int snapshot_check_name(const char *name, struct error_detail *detail);

/* STOA_EINVAL: no name for one; STOA_EEXISTS; STOA_ENOSPACE. */
int snapshot_create(struct io *io, const char *directory, const char *name,
                    const struct store_point *point, const uint8_t state_root[32],
                    struct error_detail *detail);

/* Each snapshot, in no order. MANIFEST is NULL where it cannot be read; WHY then says why.
 * OWN_BYTES: of files that the store no longer has. A result other than 0 ends the walk. */
int snapshot_list(struct io *io, const char *directory,
                  int (*each)(void *context, const char *name, const struct manifest *manifest,
                              uint64_t own_bytes, const struct error_detail *why),
                  void *context, struct error_detail *detail);

/* STOA_ENOTFOUND. */
int snapshot_drop(struct io *io, const char *directory, const char *name,
                  struct error_detail *detail);

/* Where NAME is: for restore_run. STOA_EINVAL, STOA_ENOTFOUND. */
int snapshot_path(struct io *io, const char *directory, const char *name, char out_path[],
                  struct error_detail *detail);

/* Whether a snapshot has a link to segment NUMBER. */
int snapshot_holds(struct io *io, const char *directory, uint32_t number, bool *out_held,
                   struct error_detail *detail);

#endif
