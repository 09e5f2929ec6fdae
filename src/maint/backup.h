/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backup.h: copies of a store's ledger in another directory, each of them one moment's: all blocks
 * that were acknowledged then. Taken while the store commits. Blocking: runs the loop.
 *
 * The ledger is the database, and it is only ever appended to: so a backup is the segments' files,
 * and the next one has to add no more than what came since. Tables are not copied; restoring makes
 * them anew from the ledger and so proves every frame on the way.
 *
 *     TARGET/LOCK                     held by whoever changes it
 *     TARGET/00000007.backup          a manifest (manifest.h), one a backup
 *     TARGET/STORE                    the store's identity
 *     TARGET/ledger/00000042.seg      segments, shared by all backups
 *     TARGET/ledger/00000042-9.seg    likewise, copied anew by backup 9
 *     TARGET/archive/00000042.arc     likewise, of what was packed when it was copied
 *     TARGET/chain.json               the chain's configuration, where the store has one
 *     TARGET/stoa-7.conf              the settings, of backup 7
 *     TARGET/partial                  what a backup that was cut off has copied so far
 *
 * A segment that was still filled when it was copied grows in place: a manifest names how many of
 * its bytes are its own. So nothing that a manifest names is ever overwritten, and a backup that is
 * killed at any instant leaves those before it whole. The manifest is written last. */
#ifndef BACKUP_H
#define BACKUP_H

#include "maint/manifest.h"
#include "maint/pace.h"
#include "store/store.h"

#define BACKUP_LOCK "LOCK"
#define BACKUP_PARTIAL "partial"

struct backup_options {
    struct io *io;
    const char *directory; /* the store's */
    const char *target;    /* made where absent */
    bool full;             /* share no file with backups before */
    unsigned keep;         /* of the newest, others are removed afterwards; 0: all */
    struct pace *pace;     /* or NULL */
};

struct backup_report {
    uint64_t number;
    uint64_t height;
    uint64_t files;
    uint64_t bytes;        /* of all files it is made of */
    uint64_t copied_bytes; /* of them, now */
    uint64_t removed;      /* backups before */
};

/* Back up the store as it was at POINT, whose head has STATE_ROOT. STOA_EINVAL: TARGET has backups
 * of another store or of another history of this one; STOA_ELOCKED; STOA_ENOSPACE: before anything
 * was copied, or when the disk filled; what was copied stays for the next attempt. */
int backup_create(const struct backup_options *options, const struct store_point *point,
                  const uint8_t state_root[32], struct backup_report *out_report,
                  struct error_detail *detail);

/* The same in steps of one file each, with a loop that may be another for each step, in place of
 * the options' own. The options' texts are copied. */
struct backup_creation;
int backup_begin(const struct backup_options *options, const struct store_point *point,
                 const uint8_t state_root[32], struct backup_creation **out_creation,
                 struct error_detail *detail);
/* *OUT_ENDED: that was the last one, and *OUT_REPORT is set. */
int backup_step(struct backup_creation *creation, struct io *io, struct pace *pace, bool *out_ended,
                struct backup_report *out_report, struct error_detail *detail);
/* CREATION may be NULL. */
void backup_end(struct backup_creation *creation, struct io *io);

/* Each backup in TARGET, oldest first. MANIFEST is NULL where it cannot be read; DETAIL then says
 * why. OWN_BYTES: of files that no backup before it has. A result other than 0 ends the walk. */
int backup_list(struct io *io, const char *target,
                int (*each)(void *context, uint64_t number, const struct manifest *manifest,
                            uint64_t own_bytes, const struct error_detail *detail),
                void *context, struct error_detail *detail);

struct backup_check {
    uint64_t backups;
    uint64_t files;
    uint64_t bytes;
    uint64_t damages;
};

/* Read every byte of backup NUMBER, 0: of all. STOA_ECORRUPT where something is damaged or missing;
 * DAMAGE (may be NULL) is told each. */
int backup_verify(struct io *io, const char *target, uint64_t number, struct pace *pace,
                  void (*damage)(void *context, const char *file, const char *what), void *context,
                  struct backup_check *out_check, struct error_detail *detail);

/* Remove all but the KEEP newest (at least one), and files that no other has. Where the manifest of
 * one that stays cannot be read no file is removed: STOA_ECORRUPT. */
int backup_prune(struct io *io, const char *target, unsigned keep, uint64_t *out_removed,
                 struct error_detail *detail);

/* What a file is called in a store: without the number of the backup that copied it. */
void backup_plain_name(const char *name, char out[MANIFEST_NAME_SIZE]);

/* What a segment of a store is called, in the form that it has now. */
struct backup_segment {
    char stem[MANIFEST_NAME_SIZE]; /* "ledger/00000042", "archive/00000042" */
    const char *suffix;            /* ".seg", ".thin", ".arc" */
    char name[MANIFEST_NAME_SIZE]; /* both */
};

/* Segment NUMBER of the store in DIRECTORY. It may take another form at any time: where there is no
 * such file any more, ask again. */
void backup_find_segment(struct io *io, const char *directory, uint64_t number,
                         struct backup_segment *out_segment);

/* The manifest of the newest backup in PATH, or of the one that PATH itself is, or of the snapshot
 * in PATH; and the directory it describes. STOA_ENOTFOUND. */
int backup_find(struct io *io, const char *path, struct manifest *out_manifest,
                char out_directory[], struct error_detail *detail);

#endif
