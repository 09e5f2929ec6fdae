/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa_fake.h: the public interface over blocks in memory, for tests of the tool alone. It keeps to
 * the order, the limits and the errors of stoa.h, checks what blocks say of their place and their
 * roots, and outlives stoa_close: the next stoa_open finds the same blocks. One store a process. */
#ifndef STOA_FAKE_H
#define STOA_FAKE_H

#include <stdint.h>

/* Forget everything; the next stoa_open finds no store. */
void stoa_fake_reset(void);

/* Submitted calls that may be under way at once; beyond it STOA_EBUSY. 0: the default. */
void stoa_fake_limit(unsigned count);

/* The store of the block at HEIGHT fails with CODE. */
void stoa_fake_fail_at(uint64_t height, int code);

/* Blocks that were to be stored since the reset, refused ones too. */
unsigned stoa_fake_store_count(void);

#endif
