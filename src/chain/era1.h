/* SPDX-License-Identifier: GPL-3.0-or-later */
/* era1.h: the standard history archive (e2store entries: version, then for each block its
 * compressed header, body, receipts and total difficulty, then the accumulator and the block
 * index). Works on bytes in memory; the caller reads and writes files. Any thread. Format:
 * github.com/eth-clients/e2store-format-specs, formats/era1.md; snappy framing format. */
#ifndef ERA1_H
#define ERA1_H

#include "base/buffer.h"
#include "base/error.h"

enum { ERA1_BLOCKS_MAX = 8192 };

struct era1_reader; /* over a whole file's bytes, which must outlive it */

struct era1_block {
    uint64_t number;
    struct bytes
        block; /* RLP of the whole block: header and body put together. Valid until the next call */
    struct bytes receipts;        /* RLP list, see receipt.h */
    uint8_t total_difficulty[32]; /* big-endian, after this block */
    uint8_t hash[32];
};

/* Checks version entry, block index and entry order. STOA_EINVAL, STOA_ECORRUPT, STOA_ENOMEM. */
int era1_reader_create(struct bytes file, struct era1_reader **out_reader,
                       struct error_detail *detail);
void era1_reader_destroy(struct era1_reader *reader);

uint64_t era1_reader_first_number(const struct era1_reader *reader);
uint64_t era1_reader_block_count(const struct era1_reader *reader);

/* The next block. STOA_ENOTFOUND at the end. */
int era1_reader_next(struct era1_reader *reader, struct era1_block *out_block,
                     struct error_detail *detail);

/* Compute the accumulator (SSZ hash tree root over hash and total difficulty of each block) from
 * all blocks and compare with the file's. STOA_ECORRUPT. Reads every entry with its checksums, so
 * that a damaged file is known before any block of it is used. Does not move the reader, but ends
 * the views that its last block gave. */
int era1_reader_verify(struct era1_reader *reader, struct error_detail *detail);

/* Writing: blocks in order into a buffer, then finish. */
struct era1_writer;
int era1_writer_create(uint64_t first_number, struct era1_writer **out_writer);
void era1_writer_destroy(struct era1_writer *writer);

/* At most ERA1_BLOCKS_MAX. Appends the entries of one block to OUT, which holds the file from its
 * start. STOA_EINVAL: number, hash or total difficulty do not fit the header or what came before;
 * STOA_ETOOBIG, STOA_ENOMEM. After a failure OUT is unchanged. */
int era1_writer_add(struct era1_writer *writer, const struct era1_block *block, struct buffer *out,
                    struct error_detail *detail);
int era1_writer_finish(struct era1_writer *writer, struct buffer *out, uint8_t out_accumulator[32],
                       struct error_detail *detail);

#endif
