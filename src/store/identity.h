/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity.h: the file DIR/STORE, which makes a directory a store: format version, store id, chain
 * id, genesis hash. It is written last when a store is created and never changed.
 *
 *   offset  size  field (little-endian)
 *        0     8  "STOASTOR"
 *        8     4  format version, 2
 *       12     4  zero
 *       16     8  store id: random, not 0; seeds the checksums of the ledger
 *       24     8  chain id, 0 where unknown
 *       32    32  genesis hash, zero where the first block stored decides
 *       64     8  XXH3-64 of the 64 bytes before
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>

#include "base/error.h"
#include "io/io.h"

enum { IDENTITY_SIZE = 72, IDENTITY_FORMAT_VERSION = 2 };

struct identity {
    uint64_t store_id;
    uint64_t chain_id;
    bool has_genesis;
    uint8_t genesis_hash[32];
};

void identity_encode(const struct identity *identity, uint8_t out[IDENTITY_SIZE]);

/* STOA_ECORRUPT; STOA_EVERSION where a newer Stoa wrote it. */
int identity_decode(const uint8_t in[IDENTITY_SIZE], struct identity *out_identity,
                    struct error_detail *detail);

/* Blocking. Write durably to PATH, which must not exist; the caller syncs the directory. */
int identity_write(struct io *io, const char *path, const struct identity *identity,
                   struct error_detail *detail);

/* Blocking. STOA_ENOTFOUND: no such file, so no store. */
int identity_read(struct io *io, const char *path, struct identity *out_identity,
                  struct error_detail *detail);

#endif
