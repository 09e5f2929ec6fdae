/* SPDX-License-Identifier: GPL-3.0-or-later */
/* snappy_frame.h: the snappy framing format, as era1 files hold it: a stream identifier, then
 * chunks of at most 64 KiB each with a masked CRC32C of its contents. Written as Go's snappy writer
 * writes it: a chunk that compression does not make an eighth smaller stands uncompressed. A value
 * is used by one thread at a time. Format: github.com/google/snappy, framing_format.txt. */
#ifndef SNAPPY_FRAME_H
#define SNAPPY_FRAME_H

#include "base/buffer.h"
#include "base/error.h"

/* What one stream may hold: far above any block, so that a crafted file cannot take all memory. */
enum { SNAPPY_FRAME_CONTENT_MAX = 256 << 20 };

struct snappy_frame {
    uint32_t crc[8][256]; /* CRC32C tables, eight bytes at a time */
};

void snappy_frame_init(struct snappy_frame *frame);

/* Append IN as one stream to OUT; on failure OUT is unchanged. STOA_ENOMEM. */
int snappy_frame_compress(const struct snappy_frame *frame, struct bytes in, struct buffer *out);

/* Append what the stream IN holds to OUT; on failure OUT is unchanged. STOA_ECORRUPT, STOA_ENOMEM.
 */
int snappy_frame_decompress(const struct snappy_frame *frame, struct bytes in, struct buffer *out,
                            struct error_detail *detail);

#endif
