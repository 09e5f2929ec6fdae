/* SPDX-License-Identifier: GPL-3.0-or-later */
/* restore.h: a store made from a backup or a snapshot. Blocking: runs the loop.
 *
 * It is made beside its final name: each file is copied and held against its sum, the ledger is cut
 * where the copy ends, the tables are made anew from it, and all of it is verified: head and state
 * root have to be those that the manifest names, or those of the block asked for. Only then it is
 * renamed into place, so that what stands there is a whole store or nothing. */
#ifndef RESTORE_H
#define RESTORE_H

#include "maint/pace.h"
#include "store/store.h"

struct restore_options {
    struct io *io;
    const char *backup; /* a directory of backups (the newest), one's manifest, or a snapshot */
    const char *target; /* does not exist, or is an empty directory */
    bool has_height;
    uint64_t height;            /* the head is to be the canonical block of this height */
    struct store_options store; /* how it is opened to make its tables; io, directory: not used */
    struct pace *pace;          /* or NULL; of what is copied */
};

struct restore_report {
    uint64_t height;
    uint8_t hash[32];
    uint8_t state_root[32];
    uint64_t files;
    uint64_t bytes;
    uint64_t copy_ns; /* and the rest: making the tables, verifying */
    uint64_t tables_ns;
    uint64_t verify_ns;
};

/* STOA_ECORRUPT: the backup is damaged, the detail names the file; nothing stays at TARGET.
 * STOA_EEXISTS: something is there. STOA_EINVAL: the backup has no such height. */
int restore_run(const struct restore_options *options, struct restore_report *out_report,
                struct error_detail *detail);

#endif
