/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fixture.h: what tests need around them: files of the real data and of the source tree, seeded
 * randomness. Failures to read what is there abort the test. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdbool.h>

#include "base/buffer.h"

/* Contents of NAME below the real data (env STOA_TEST_DATA). False, with a line that says so, where
 * it is absent. OUT is the caller's to deinit. */
bool fixture_load_data(const char *name, struct buffer *out);

/* The same below the source tree (env top_srcdir). */
bool fixture_load_source(const char *name, struct buffer *out);

/* STOA_TEST_SEED, else one from the clock; printed. */
uint64_t fixture_seed(void);

/* Next number of a splitmix64 sequence. */
uint64_t fixture_random(uint64_t *state);
uint64_t fixture_random_below(uint64_t *state, uint64_t limit);
void fixture_random_fill(uint64_t *state, void *out, size_t size);

#endif
