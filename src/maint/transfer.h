/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transfer.h: whole files read, summed and copied, piece by piece, past the page cache where they
 * are long. Blocking: runs the loop. The sum is XXH3-128. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"
#include "maint/pace.h"

enum { TRANSFER_SUM_SIZE = 16, TRANSFER_CHUNK = 1 << 20 };

/* The sum of the first SIZE bytes of PATH. STOA_ENOTFOUND; STOA_ECORRUPT: the file is shorter. */
int transfer_sum(struct io *io, const char *path, uint64_t size, struct pace *pace,
                 uint8_t out_sum[TRANSFER_SUM_SIZE], struct error_detail *detail);

/* Make the first SIZE bytes of TO those of FROM, and flush them. The first KEPT bytes of TO are
 * there already and stay; they must have the sum KEPT_SUM, else STOA_ECORRUPT and nothing is
 * written. *OUT_SUM is of all SIZE bytes, as read from FROM (and from TO what was kept). What TO
 * has behind SIZE stays. TO is created where absent. */
int transfer_copy(struct io *io, const char *from, const char *to, uint64_t size, uint64_t kept,
                  const uint8_t *kept_sum, struct pace *pace, uint8_t out_sum[TRANSFER_SUM_SIZE],
                  struct error_detail *detail);

/* RESULT of copying PATH, which had SIZE bytes before and may be replaced by another file of its
 * name at any time: STOA_ENOTFOUND where it was, before it was opened, so that it was cut off or
 * seemed damaged. */
int transfer_check_replaced(struct io *io, const char *path, uint64_t size, int result);

void transfer_sum_bytes(struct bytes data, uint8_t out_sum[TRANSFER_SUM_SIZE]);

/* A small file, whole. *OUT_DATA is the caller's to free. STOA_ENOTFOUND; STOA_ETOOBIG. */
int transfer_read(struct io *io, const char *path, uint64_t size_max, uint8_t **out_data,
                  size_t *out_size, struct error_detail *detail);

/* DATA becomes the file PATH, whole or not at all, durably: written beside it as PATH.new, renamed;
 * DIRECTORY, which it is in, is flushed. */
int transfer_write(struct io *io, const char *directory, const char *path, struct bytes data,
                   struct error_detail *detail);

/* PATH is gone, durably once its directory is flushed. It may be absent. */
int transfer_remove(struct io *io, const char *path, struct error_detail *detail);

/* PATH is a directory: made where absent. */
int transfer_make_directory(struct io *io, const char *path, struct error_detail *detail);

#endif
