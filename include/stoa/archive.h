/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa/archive.h: part of stoa.h, which includes it: packed segments of the ledger. */
#ifndef STOA_ARCHIVE_H
#define STOA_ARCHIVE_H

#ifdef __cplusplus
extern "C" {
#endif

enum { STOA_ARCHIVE_SEGMENTS_MAX = 1000 }; /* in one answer */

struct stoa_archive_segment {
    uint64_t number;
    int damaged;   /* 1: neither of its headers can be read, and nothing but BYTES is known */
    int pruned;    /* 1: something was left out of it before it was packed */
    uint64_t from; /* heights of the blocks and changes of the state in it; 0: there are none */
    uint64_t to;
    uint64_t blocks;
    uint64_t frames;
    uint64_t bytes;            /* that it takes, packed */
    uint64_t live_bytes;       /* that it takes when it is unpacked */
    uint64_t dictionary_bytes; /* of the dictionary it is packed with; 0: without one */
};

struct stoa_archive {
    uint64_t segments; /* of all that are packed */
    uint64_t bytes;
    uint64_t live_bytes; /* of those that are not damaged */
    uint64_t damaged;
    uint64_t next;                     /* ask on from here; 0: these are the last */
    struct stoa_archive_segment *list; /* in order of their numbers: COUNT, with the answer */
    size_t count;
};

/* What is in the archive: packed segments with number FROM and above, at most
 * STOA_ARCHIVE_SEGMENTS_MAX of them, and what all of them come to. What is told is what stands in
 * their headers; stoa_verify and stoa_scrub read all of them. *OUT_ARCHIVE is for stoa_free. */
int stoa_query_archive(struct stoa *stoa, uint64_t from, struct stoa_archive **out_archive,
                       struct stoa_detail *detail);

#ifdef __cplusplus
}
#endif

#endif
