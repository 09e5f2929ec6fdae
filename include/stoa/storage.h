/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa/storage.h: part of stoa.h, which includes it: where the bytes of a store are, and what to do
 * about it. */
#ifndef STOA_STORAGE_H
#define STOA_STORAGE_H

#ifdef __cplusplus
extern "C" {
#endif

enum { STOA_STORAGE_SEGMENTS_MAX = 100000 }; /* that are listed */

/* A table of the keyed store. */
struct stoa_storage_table {
    char name[72];
    char index[24];      /* whose run it is; empty: it is no run, or one that is used no more */
    int level;           /* of the run; -1: likewise */
    uint64_t entries;    /* of the run */
    uint64_t bytes;      /* of its file */
    uint64_t free_bytes; /* of them: what was freed inside the file */
};

/* An index that is kept in runs. */
struct stoa_storage_index {
    char name[24];
    uint64_t runs;
    uint64_t entries; /* with those that others hide */
    uint64_t bytes;
    uint64_t missing; /* runs that it has and whose tables are not there */
};

enum stoa_segment_form {
    STOA_SEGMENT_LIVE,    /* as it was written */
    STOA_SEGMENT_THINNED, /* without what was pruned */
    STOA_SEGMENT_PACKED,  /* in the archive */
    STOA_SEGMENT_SPARE,   /* ready to be written, and empty */
};

/* "live", "thinned", "packed", "spare"; NULL for what is none. */
const char *stoa_segment_form_name(int form);

struct stoa_storage_segment {
    uint64_t number;
    int form;      /* STOA_SEGMENT_… */
    int damaged;   /* 1: its index, or a frame by what that says; or scrubbing found it so */
    uint64_t from; /* heights of the blocks and changes of the state in it; 0: there are none */
    uint64_t to;
    uint64_t blocks;
    uint64_t frames;
    uint64_t bytes;      /* that it takes */
    uint64_t dead_bytes; /* of them: about what pruning would free, as it is set to prune now */
};

/* What to do, and why. */
struct stoa_storage_advice {
    char action[24]; /* "archive", "backup", "checkpoint", "compact", "prune", "repair", "scrub" */
    char reason[168];
};

/* A verification that went through. */
struct stoa_verification {
    int deep;       /* 1: of stoa_verify_deep */
    int result;     /* 0: sound; STOA_ECORRUPT: damage */
    uint64_t began; /* seconds since 1970, as the next */
    uint64_t ended;
    uint64_t height; /* of the head then */
    struct stoa_verify_report report;
};

struct stoa_storage {
    uint64_t ledger_bytes;  /* of segments that are not packed, spare ones too */
    uint64_t spare_bytes;   /* of them */
    uint64_t archive_bytes; /* of packed segments */
    uint64_t dead_bytes;    /* of both: the segments' */
    uint64_t table_bytes;
    uint64_t table_free_bytes; /* of them */
    uint64_t fragmentation;    /* and how many percent that is */
    uint64_t snapshots;
    uint64_t snapshot_bytes;           /* that only snapshots still need */
    uint64_t segments;                 /* of all, also where not all are listed */
    uint64_t damaged;                  /* of them */
    uint64_t damages;                  /* places that the last scrub found damaged */
    uint64_t missing;                  /* runs without a table */
    uint64_t replay_bytes;             /* of the ledger that an opening would replay */
    struct stoa_storage_table *tables; /* by name. All with the answer */
    size_t table_count;
    struct stoa_storage_index *indexes;
    size_t index_count;
    struct stoa_storage_segment *list; /* in order of their numbers, at most
                                          STOA_STORAGE_SEGMENTS_MAX */
    size_t segment_count;
    struct stoa_storage_advice *advice; /* what is most urgent first */
    size_t advice_count;
    struct stoa_verification *verifications; /* the last of each depth, where there was one */
    size_t verification_count;
};

/* What the store takes on disk, by what tables, segments and manifests say of themselves: nothing
 * is read through and nothing waits for it, but many segments take a while. *OUT_STORAGE is for
 * stoa_free. When the jobs ran last stoa_list_jobs tells. */
int stoa_query_storage(struct stoa *stoa, struct stoa_storage **out_storage,
                       struct stoa_detail *detail);

#ifdef __cplusplus
}
#endif

#endif
