/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backup_private.h: shared by the backup_*.c files.
 *
 *      backup.c         what is in a target: its backups, listing, checking, removing
 *      backup_create.c  making one */
#ifndef BACKUP_PRIVATE_H
#define BACKUP_PRIVATE_H

#include "maint/backup.h"
#include "store/store_folder.h"

#define BACKUP_SUFFIX ".backup"
#define BACKUP_SNAPSHOT_MANIFEST "manifest"

/* Numbers of something in a directory, rising. */
struct backup_numbers {
    uint64_t *items; /* owned */
    size_t count;
    size_t capacity;
    int result;
    uint64_t (*parse)(const char *name);
};

/* What of DIRECTORY PARSE takes for a number other than 0; an absent directory has none.
 * STOA_ENOMEM, STOA_EIO. */
int backup_numbers_list(struct io *io, const char *directory, uint64_t (*parse)(const char *name),
                        struct backup_numbers *out_numbers, struct error_detail *detail);
void backup_numbers_deinit(struct backup_numbers *numbers);

/* The number of a manifest, segment or packed segment by its name; 0: it is none. */
uint64_t backup_parse_manifest(const char *name);
uint64_t backup_parse_segment(const char *name); /* thinned or not */
uint64_t backup_parse_archive(const char *name);

/* The numbers of all segments of the store in DIRECTORY, in whatever form. As backup_numbers_list.
 */
int backup_segments_list(struct io *io, const char *directory, struct backup_numbers *out_numbers,
                         struct error_detail *detail);

/* TARGET/NNNNNNNN.backup. STOA_EINVAL: too long. */
int backup_manifest_path(char out[STORE_PATH_SIZE_MAX], const char *target, uint64_t number,
                         struct error_detail *detail);

/* All but number and files. */
void backup_fill_manifest(struct manifest *manifest, const struct store_point *point,
                          const uint8_t state_root[32], uint64_t created_ns);

/* Take TARGET's lock. STOA_ELOCKED. */
int backup_lock(struct io *io, const char *target, int *out_lock, struct error_detail *detail);

/* As backup_prune, with the lock held. */
int backup_prune_locked(struct io *io, const char *target, unsigned keep, uint64_t *out_removed,
                        struct error_detail *detail);

#endif
