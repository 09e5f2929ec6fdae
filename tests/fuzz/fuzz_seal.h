/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_seal.h: right sums over whatever is in a frame, so that a target gets past them. They are
 * computed by what frame.h says, not by frame.c. */
#ifndef FUZZ_SEAL_H
#define FUZZ_SEAL_H

#include <stddef.h>
#include <stdint.h>

/* The first byte of an input: what it is, and whether its sums are left as they are. */
enum { FUZZ_SEAL_RAW = 0x80, FUZZ_SEAL_MASK = 0x7f };

/* SIZE bytes at DATA in memory of their own, to be sealed there; memory_free gives it back. */
uint8_t *fuzz_seal_copy(const uint8_t *data, size_t size);

#define FUZZ_SEAL_STORE UINT64_C(0x1122334455667788) /* the id of every store */

/* What both sums of the frame at FRAME have to be, which has SIZE bytes of payload. */
uint64_t fuzz_seal_checksum(const uint8_t *frame, size_t size);
uint32_t fuzz_seal_crc(const uint8_t *frame);

/* Put them there. */
void fuzz_seal_frame(uint8_t *frame, size_t size);

/* A trailer or a header of a whole block, which has its sum at OFFSET. */
void fuzz_seal_block(uint8_t *block, size_t offset);

#endif
