/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file_output.h: a file that appears under its name whole and durable, or not at all; or standard
 * output. One thread. */
#ifndef FILE_OUTPUT_H
#define FILE_OUTPUT_H

#include "base/bytes.h"
#include "base/error.h"

struct file_output;

/* PATH, or "-" for standard output. What is written goes to a new file beside PATH. */
int file_output_create(const char *path, struct file_output **out_output,
                       struct error_detail *detail);

int file_output_write(struct file_output *output, struct bytes bytes, struct error_detail *detail);

/* Flush to the device and rename to PATH, replacing what had that name. */
int file_output_commit(struct file_output *output, struct error_detail *detail);

/* Without a commit before, nothing remains. NULL is allowed. */
void file_output_destroy(struct file_output *output);

/* Write all of BYTES to the descriptor FD, without buffering. STOA_EIO, STOA_ENOSPACE … */
int file_output_write_all(int fd, struct bytes bytes, struct error_detail *detail);

#endif
