/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa/copies.h: part of stoa.h, which includes it: copies of a store. */
#ifndef STOA_COPIES_H
#define STOA_COPIES_H

#ifndef STOA_H
#error "include stoa.h"
#endif

/* ---- backups, snapshots ----
 *
 * These calls work on the calling thread, beside everything else that the store does; a caller that
 * does not want to wait makes them on a thread of its own. */

/* How a long call is kept in bounds. */
struct stoa_pace {
    size_t size;
    uint64_t bytes_per_second; /* 0: as fast as it goes */
    /* Told now and then how many bytes of TOTAL were moved (0: not known); other than 0 ends the
     * call with STOA_ECANCELED. What a backup has copied then stays, for the next one to go on
     * with. */
    int (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};
#define STOA_PACE_INIT                   \
    {                                    \
        .size = sizeof(struct stoa_pace) \
    }

struct stoa_backup_options {
    size_t size;
    int full;                     /* 1: share no file with the backups before */
    unsigned keep;                /* of the newest, older ones are removed afterwards. 0: all */
    const struct stoa_pace *pace; /* or NULL */
};
#define STOA_BACKUP_OPTIONS_INIT                   \
    {                                              \
        .size = sizeof(struct stoa_backup_options) \
    }

/* A backup, or a snapshot. */
struct stoa_copy_info {
    uint64_t number;     /* of a backup */
    const char *name;    /* of a snapshot */
    const char *damaged; /* NULL: it can be read; else why not, and what follows is not known */
    uint64_t created;    /* seconds since 1970 */
    uint64_t store_id;
    uint64_t chain_id;
    uint64_t height; /* of the head */
    uint8_t hash[32];
    uint8_t state_root[32];
    uint64_t files;
    uint64_t bytes;        /* of all files it is made of */
    uint64_t own_bytes;    /* of them, in no backup before, or not in the store any more */
    uint64_t copied_bytes; /* of a backup just made: what had to be copied */
    uint64_t removed;      /* likewise: backups before that were removed */
    const char *path;      /* of a snapshot: where it is, for stoa_restore */
};

/* Back the store up to DIRECTORY, which is made where absent: as it is now, while it goes on. What
 * backups before it have there is shared. OPTIONS, OUT_INFO may be NULL. STOA_EINVAL: DIRECTORY has
 * backups of another store or of another history; STOA_ENOSPACE, STOA_ELOCKED, STOA_ECANCELED. */
int stoa_backup(struct stoa *stoa, const char *directory, const struct stoa_backup_options *options,
                struct stoa_copy_info *out_info, struct stoa_detail *detail);

/* Each backup in DIRECTORY, oldest first; the info lives until EACH returns, which with another
 * value than 0 ends the call with that. */
int stoa_backup_list(const char *directory,
                     int (*each)(void *context, const struct stoa_copy_info *info), void *context,
                     struct stoa_detail *detail);

struct stoa_backup_check {
    uint64_t backups;
    uint64_t files;
    uint64_t bytes;
    uint64_t damages;
};

/* Read every byte of backup NUMBER in DIRECTORY, 0: of all. STOA_ECORRUPT: something is damaged or
 * missing, and DAMAGE (may be NULL) was told each. */
int stoa_backup_verify(const char *directory, uint64_t number, const struct stoa_pace *pace,
                       void (*damage)(void *context, const char *file, const char *what),
                       void *context, struct stoa_backup_check *out_check,
                       struct stoa_detail *detail);

/* Remove all but the KEEP newest. OUT_REMOVED may be NULL. */
int stoa_backup_prune(const char *directory, unsigned keep, uint64_t *out_removed,
                      struct stoa_detail *detail);

struct stoa_restore_options {
    size_t size;
    int has_height;
    uint64_t height; /* the canonical block that the head is to be; else as in the backup */
    const struct stoa_pace *pace; /* or NULL; of what is copied */
};
#define STOA_RESTORE_OPTIONS_INIT                   \
    {                                               \
        .size = sizeof(struct stoa_restore_options) \
    }

struct stoa_restore_report {
    uint64_t height;
    uint8_t hash[32];
    uint8_t state_root[32];
    uint64_t files;
    uint64_t bytes;
    uint64_t copy_ms;
    uint64_t tables_ms; /* making the tables from the ledger */
    uint64_t verify_ms;
};

/* Make a store in DIRECTORY, which must not exist or be empty, from BACKUP: a directory of backups
 * (the newest is taken), a file of it that ends in .backup, or DIR/snapshots/NAME. All of it is
 * verified before it appears, whole or not at all. STOA_ECORRUPT: the backup is damaged. */
int stoa_restore(const char *backup, const char *directory,
                 const struct stoa_restore_options *options, struct stoa_restore_report *out_report,
                 struct stoa_detail *detail);

/* Keep the store as it is now under NAME (1 to 63 letters, digits, dots, dashes, underscores), in
 * the store's own directory: almost at once, by links to files that never change again, while it
 * goes on. As STOA_JOB_CREATE_SNAPSHOT and STOA_JOB_DROP_SNAPSHOT, so one at a time: STOA_EBUSY.
 * STOA_EEXISTS, STOA_ENOTFOUND, STOA_ENOSPACE: nothing was done. */
int stoa_create_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail);
int stoa_list_snapshots(struct stoa *stoa,
                        int (*each)(void *context, const struct stoa_copy_info *info),
                        void *context, struct stoa_detail *detail);
int stoa_drop_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail);

/* Make a store of its own in DIRECTORY from a snapshot: as stoa_restore, by the calling process,
 * which has to be able to read the snapshot's files. */
int stoa_restore_snapshot(struct stoa *stoa, const char *name, const char *directory,
                          const struct stoa_restore_options *options,
                          struct stoa_restore_report *out_report, struct stoa_detail *detail);

/* ---- scrub, repair ---- */

struct stoa_damage;

struct stoa_scrub_report {
    uint64_t segments;
    uint64_t frames;
    uint64_t bytes;
    uint64_t damages;
};

/* Read every byte of the full segments again, as STOA_JOB_SCRUB, and wait for its end: at the pace,
 * or as fast as it goes (over a socket: as by schedule). STOA_ECORRUPT: DAMAGE (may be NULL) was
 * told where, as by stoa_list_damages. STOA_EBUSY: a scrub is under way, or paused. */
int stoa_scrub(struct stoa *stoa, const struct stoa_pace *pace,
               void (*damage)(void *context, const struct stoa_damage *damage), void *context,
               struct stoa_scrub_report *out_report, struct stoa_detail *detail);

/* What the scrub under way, or the last one, has found: DAMAGE (may be NULL) is told each place,
 * the first 256 of them; DAMAGES of the report (may be NULL) counts all. It is kept until a later
 * scrub finds it sound, also when the store is opened again. */
int stoa_list_damages(struct stoa *stoa,
                      void (*damage)(void *context, const struct stoa_damage *damage),
                      void *context, struct stoa_scrub_report *out_report,
                      struct stoa_detail *detail);

struct stoa_repair_damage {
    const char *file;
    uint64_t offset;
    uint64_t size;
    int has_height;
    uint64_t height;
    const char *what;
    const char
        *source; /* the directory it was mended from, or "the format"; NULL: nothing had it */
};

struct stoa_repair_report {
    uint64_t damages;
    uint64_t mended;
    uint64_t left; /* that a last look at everything finds */
    int rebuilt_tables;
};

/* Mend the store in DIRECTORY, which nobody has open, from COUNT directories (stores, backups) and
 * its own snapshots: only with bytes whose checksum proves that they are the same. Its tables are
 * made anew where anything was mended. STOA_ECORRUPT: something is left, as it was. */
int stoa_repair(const char *directory, const char *const *sources, size_t count,
                void (*damage)(void *context, const struct stoa_repair_damage *damage),
                void *context, struct stoa_repair_report *out_report, struct stoa_detail *detail);

#endif
