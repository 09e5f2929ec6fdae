/* SPDX-License-Identifier: GPL-3.0-or-later */
/* byte_input.h: a file or standard input read front to back in large pieces; what is gzipped (told
 * by its first bytes) is unpacked on the way. A torn or damaged gzip stream, and anything after it
 * that is no further gzip member, is an error, not an end. One thread. */
#ifndef BYTE_INPUT_H
#define BYTE_INPUT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

struct byte_input;

/* PATH, or "-" for standard input. STOA_ENOTFOUND, STOA_EPERM, STOA_EIO, STOA_ENOMEM. */
int byte_input_open(const char *path, struct byte_input **out_input, struct error_detail *detail);
void byte_input_close(struct byte_input *input);

/* Up to CAPACITY bytes; *OUT_SIZE is 0 only at the end. STOA_ECANCELED after a signal
 * (interrupt.h), STOA_EINVAL for a bad gzip stream. */
int byte_input_read(struct byte_input *input, uint8_t *out, size_t capacity, size_t *out_size,
                    struct error_detail *detail);

/* The descriptor, which stays INPUT's, where all of a file is read as it is: not from a pipe, not
 * gzipped, not from somewhere in its middle. Else -1. */
int byte_input_plain_descriptor(const struct byte_input *input);

/* Bytes of the file read so far, and its size; 0 where it has none. */
uint64_t byte_input_position(const struct byte_input *input);
uint64_t byte_input_total(const struct byte_input *input);

#endif
