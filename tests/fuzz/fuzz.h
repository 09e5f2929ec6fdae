/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz.h: what a fuzz target defines. It is linked either with libFuzzer (--with-fuzzer) or with
 * fuzz_main.c, which mutates the target's own seeds from a seeded sequence and so runs anywhere. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>

#include "base/buffer.h"

/* One input of any content; aborts (ensure) where a promise does not hold. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Append seed number INDEX (from 0) to OUT; false where there are no more. */
bool fuzz_seed(size_t index, struct buffer *out);

/* Write every seed as a file of its own into DIRECTORY: "fuzz_x --write-seeds DIR", in either form.
 * Returns the exit status. */
int fuzz_write_seeds(const char *directory);

#endif
