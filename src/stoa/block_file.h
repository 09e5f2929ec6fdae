/* SPDX-License-Identifier: GPL-3.0-or-later */
/* block_file.h: a stream of RLP blocks, one after another as geth exports them, cut into blocks
 * without holding more than one of them and a read ahead. One thread. */
#ifndef BLOCK_FILE_H
#define BLOCK_FILE_H

#include "base/buffer.h"
#include "stoa/byte_input.h"

/* No block of any chain comes near this. */
enum { BLOCK_FILE_BLOCK_SIZE_MAX = 64 << 20 };

struct block_file {
    struct byte_input *input; /* the caller's */
    struct buffer chunk;
    size_t begin;    /* of what is in CHUNK and not handed out */
    uint64_t offset; /* in the stream, of BEGIN */
    bool ended;
};

void block_file_init(struct block_file *file, struct byte_input *input);
void block_file_deinit(struct block_file *file);

/* The next block: a view until the next call. STOA_ENOTFOUND at the end; STOA_EINVAL with the
 * offset where what follows is no list, or is cut off; errors of byte_input_read. */
int block_file_next(struct block_file *file, struct bytes *out_block, struct error_detail *detail);

/* Read ahead until at least SIZE bytes follow, or the stream ends. Errors of byte_input_read. */
int block_file_look(struct block_file *file, size_t size, struct error_detail *detail);

/* What follows, as much as is in memory: to look at what comes, or at what
 * block_file_next refused. */
struct bytes block_file_rest(const struct block_file *file);

#endif
