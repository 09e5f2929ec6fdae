/* SPDX-License-Identifier: GPL-3.0-or-later */
/* spool_file.h: an input that has to be read from its end as well, as one piece of memory: mapped
 * where it is a plain file, else copied first to a file without a name (in TMPDIR, else /var/tmp),
 * of which nothing remains when the process ends, however it ends. One thread. */
#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include "base/error.h"
#include "stoa/byte_input.h"

/* Map the whole of INPUT, of which BEGUN was read already, and nothing else. Not empty; unmapped
 * with spool_file_unmap. Errors of byte_input_read, and of writing the copy. */
int spool_file_map(struct byte_input *input, struct bytes begun, struct bytes *out_map,
                   struct error_detail *detail);

/* Nothing where MAP is empty. */
void spool_file_unmap(struct bytes map);

#endif
