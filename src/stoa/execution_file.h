/* SPDX-License-Identifier: GPL-3.0-or-later */
/* execution_file.h: what executing a chain yields, as JSON lines in block order. Of each object
 * these members are used: number, hash, and where they are there receipts (consensus encodings),
 * txs[].from, and the state changes (execution_state.h); others are left alone. One thread. */
#ifndef EXECUTION_FILE_H
#define EXECUTION_FILE_H

#include "base/buffer.h"
#include "stoa/byte_input.h"
#include "stoa/execution_state.h"

struct execution_file;

/* Filled by execution_file_find; the buffers are the caller's, cleared before they are filled. */
struct execution_block {
    uint8_t hash[32];
    struct buffer receipts; /* RLP list as chain/receipt.h describes it */
    struct buffer senders;  /* 20 bytes a transaction */
    bool has_receipts;
    struct execution_state state;
};

/* Errors of byte_input_open. */
int execution_file_open(const char *path, struct execution_file **out_file,
                        struct error_detail *detail);
void execution_file_close(struct execution_file *file);

/* Go on to the line of block NUMBER. STOA_ENOTFOUND: the next line is of a later block, or there is
 * none. STOA_EINVAL with line and member. */
int execution_file_find(struct execution_file *file, uint64_t number,
                        struct execution_block *out_block, struct error_detail *detail);

#endif
