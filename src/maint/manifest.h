/* SPDX-License-Identifier: GPL-3.0-or-later */
/* manifest.h: what a copy of a store (a backup, a snapshot) is made of: which store, as of which
 * block, and each file with its size and sum. Text, so that a person can read it, closed by the sum
 * of all before, so that no part of it can be lost. Pure codec, but for reading and writing it.
 *
 *     stoa-manifest 1
 *     number 12
 *     created 1764455400000000000        nanoseconds of 1970
 *     store 0123456789abcdef
 *     chain 1
 *     genesis HASH                       absent where the store has none
 *     ledger SEGMENT SIZE SEQUENCE OFFSET CHECKSUM   where the copy of the ledger ends
 *     head HEIGHT HASH
 *     state-root HASH
 *     finalized HEIGHT HASH              absent where nothing is
 *     file NAME SIZE SUM                 any number
 *     end SUM
 *
 * The lines stand in this order, files in that of their names. A file's sum is over its first SIZE
 * bytes; it may be longer. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include "base/buffer.h"
#include "maint/transfer.h"
#include "store/store.h"

enum { MANIFEST_VERSION = 1, MANIFEST_NAME_SIZE = 48, MANIFEST_SIZE_MAX = 256 << 20 };

struct manifest_file {
    char name[MANIFEST_NAME_SIZE]; /* from where the copy is: ledger/00000001.seg */
    uint64_t size;
    uint8_t sum[TRANSFER_SUM_SIZE];
};

struct manifest {
    uint64_t number;
    uint64_t created_ns;
    uint64_t store_id;
    uint64_t chain_id;
    bool has_genesis;
    uint8_t genesis_hash[32];
    struct ledger_end end;
    uint64_t height;
    uint8_t hash[32];
    uint8_t state_root[32];
    bool has_finalized;
    uint64_t finalized_height;
    uint8_t finalized_hash[32];
    struct manifest_file *files; /* owned */
    size_t file_count;
    size_t file_capacity;
};

void manifest_init(struct manifest *manifest);
void manifest_deinit(struct manifest *manifest);

/* STOA_ENOMEM. NAME is short enough, has no space and was not added before. */
int manifest_add(struct manifest *manifest, const char *name, uint64_t size,
                 const uint8_t sum[TRANSFER_SUM_SIZE]);

/* The first file whose name begins with PREFIX, or NULL. */
const struct manifest_file *manifest_find(const struct manifest *manifest, const char *prefix);
uint64_t manifest_bytes(const struct manifest *manifest); /* of all files */

/* STOA_ENOMEM. */
int manifest_encode(const struct manifest *manifest, struct buffer *out);

/* STOA_ECORRUPT: it is not what was written; STOA_EVERSION; STOA_ENOMEM. On failure OUT_MANIFEST
 * has nothing to free. */
int manifest_decode(struct bytes text, struct manifest *out_manifest, struct error_detail *detail);

/* Blocking. The names of files are checked: none leads out of the folder it stands in. */
int manifest_read(struct io *io, const char *path, struct manifest *out_manifest,
                  struct error_detail *detail);
int manifest_write(struct io *io, const char *directory, const char *path,
                   const struct manifest *manifest, struct error_detail *detail);

#endif
