/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ledger.h: the append-only log of frames in segment files. It is the database; everything else can
 * be made from it. Formats and their reasons: frame.h, segment.h, stoa-format(5). Only the loop's
 * thread calls it.
 *
 * Commit: all appends that wait are laid out as one group, written by one O_DIRECT write with
 * RWF_DSYNC, then acknowledged in order. One group is in flight at a time; what comes meanwhile
 * forms the next. So a group that is followed by another was durable, which is how recovery tells a
 * torn tail from damage.
 *
 * After a failed write or flush nothing is acknowledged any more, nothing is retried, and every
 * later append ends with STOA_ESTOPPED, until ledger_reopen; reads go on. */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"
#include "io/workers.h"

/* What a store calls the folder of its packed segments, beside its ledger. */
#define LEDGER_ARCHIVE "archive"

struct ledger;
struct ledger_block;

/* The payload's meaning is the store's; the ledger makes only LEDGER_SEGMENT, LEDGER_SEAL and
 * LEDGER_MARK itself. */
enum ledger_kind {
    LEDGER_BLOCK = 1,
    LEDGER_STATE = 2,
    LEDGER_BATCH = 3,
    LEDGER_HEAD = 4,
    LEDGER_FINALIZED = 5,
    LEDGER_PRUNE = 6,
    LEDGER_CHECKPOINT = 7,
    LEDGER_SEGMENT = 8, /* first frame of a segment: format, store, number, chain so far */
    LEDGER_SEAL = 9,    /* last frame of a sealed segment: index of its frames */
    LEDGER_MARK = 10,   /* no payload of the store's: the proof that what is before it was durable;
                           also the clean end */
    LEDGER_THIN = 11,   /* a frame of any of these kinds in a thinned segment (thin.h) */
    LEDGER_THIN_INDEX = 12, /* of a thinned segment */
};

/* Where a frame lies. SIZE is the whole frame's, header included, so that one direct read fetches
 * it. */
struct ledger_position {
    uint32_t segment;
    uint32_t offset;
    uint32_t size;
    uint64_t sequence; /* of the frame: 1, 2, 3 … over the whole ledger */
};

enum {
    LEDGER_FRAME_PAYLOAD_MAX = 48 << 20, /* and never more than what fits one segment */
    LEDGER_SEGMENT_SIZE_DEFAULT = 32 << 20,
    LEDGER_SEGMENT_SIZE_MIN = 1 << 20,
    LEDGER_SEGMENT_SIZE_MAX = 1 << 30,
    LEDGER_PARTS_MAX = 8,
    LEDGER_SPARES_MAX = 64,
};

/* How the next segment is made ready in the background before it is needed. */
enum ledger_prepare {
    LEDGER_PREWRITE, /* zeros written: later flushes need no journal commit. Default */
    LEDGER_ALLOCATE, /* blocks reserved only: for bulk import, where flushes are rare and writes are
                        not */
};

struct ledger_options {
    struct io *io;
    const char *path;    /* the ledger's own directory */
    const char *archive; /* that of packed segments, which need not exist; NULL: there are none */
    uint64_t store_id; /* seeds every checksum: a frame of another store is never taken for ours */
    uint32_t
        segment_size; /* multiple of IO_ALIGNMENT; only used for new segments. 0: the default */
    enum ledger_prepare prepare;
    unsigned mark_delay_ms; /* idle time after which a mark proves the last group. 0: 20 */
    unsigned spare_count;   /* segments kept ready, all but the first made only while nothing is
                               written and space is plentiful, at most LEDGER_SPARES_MAX. 0: 1 */
    uint64_t keep_sequence; /* frames behind it are cut at open, for a copy that is to end there. 0:
                               none */
};

/* What opening found. */
struct ledger_recovery {
    uint64_t last_sequence;  /* of the last frame kept; 0: the ledger is empty */
    uint64_t cut_bytes;      /* of a torn, unacknowledged tail */
    uint64_t cut_sequence;   /* first sequence that was cut, 0: none */
    uint64_t damaged_frames; /* in what was read at open; they stay and are reported by reads and
                                verify */
    bool clean;              /* the last process closed it properly */
};

/* Make an empty ledger in an existing empty directory (durable when it returns). Blocking. */
int ledger_create(const struct ledger_options *options, struct error_detail *detail);

/* Open and recover. Blocking (runs the loop). PROVEN_SEQUENCE: the tables prove that frames up to
 * it were durable; a bad frame at or before it is damage, never a torn tail. STOA_ECORRUPT only
 * where the ledger cannot go on at all (say a whole segment file is missing); single damaged frames
 * do not stop it. Crash-safe: can be cut and repeated at any instant. */
int ledger_open(const struct ledger_options *options, uint64_t proven_sequence,
                struct ledger **out_ledger, struct ledger_recovery *out_recovery,
                struct error_detail *detail);

/* Open a LEDGER that stopped again, in place: what was read from it stays valid. Blocking, as
 * ledger_open. It ends at the last frame that was acknowledged: what was written behind it in vain
 * is cut, so that no frame which a failed flush may have lost counts. Where this fails the ledger
 * is as before: stopped, and read. */
int ledger_reopen(struct ledger *ledger, struct ledger_recovery *out_recovery,
                  struct error_detail *detail);

/* Let the group in flight end, write the mark of a clean end, close. Blocking. Appends that still
 * wait end with STOA_ECLOSED. Returns what the mark's write returned; the ledger is gone in any
 * case. NULL is allowed. */
int ledger_close(struct ledger *ledger, struct error_detail *detail);

/* Close files and free memory, write nothing: after a simulated power cut, or when it is stopped.
 */
void ledger_abandon(struct ledger *ledger);

/* One frame to append, embedded in its owner. */
struct ledger_append {
    enum ledger_kind kind;
    uint64_t height; /* kept in the header, so that damage can be named by it */
    struct bytes parts[LEDGER_PARTS_MAX]; /* the payload is their concatenation; valid until done */
    unsigned part_count;
    void (*done)(struct ledger_append *append);
    void *context;

    int result; /* 0: durable. STOA_ESTOPPED, STOA_ENOSPACE, STOA_ETOOBIG, STOA_ECLOSED */
    struct ledger_position position; /* on success */
    struct ledger_append *next;
};

/* The largest payload that an append may have: more ends with STOA_ETOOBIG. */
uint64_t ledger_payload_max(const struct ledger *ledger);

/* Queue an append. done runs from io_run, in the order of the calls. No allocation on this path for
 * a frame that fits the group buffers. STOA_ENOSPACE: no segment can be made; nothing was written,
 * and the ledger goes on when space is back. */
void ledger_append(struct ledger *ledger, struct ledger_append *append);

/* Pieces of a payload, in place of all of it. They are not checked: whoever asks has sums of them.
 */
enum { LEDGER_RANGES_MAX = 3 };
struct ledger_range {
    uint32_t offset; /* in the payload */
    uint32_t size;
    const uint8_t *data; /* out: inside the read's buffer */
    struct io_request request;
};
struct ledger_ranges {
    struct ledger_range at[LEDGER_RANGES_MAX];
    unsigned count;
    unsigned under_way; /* the ledger's */
};

/* One frame to read. */
struct ledger_read {
    struct ledger_position position;
    uint32_t front; /* as many bytes of the payload are wanted, from its start; 0: all of it. The
                       header is checked, but these are not: whoever asks has a sum of them. Out: 0
                       where all of it was read and checked all the same */
    struct ledger_ranges *ranges; /* these pieces are wanted; kind, height and payload are then not
                                     told. NULL: front says what is. Out: NULL where all of it was
                                     read and checked all the same. The asker's until done */
    void (*done)(struct ledger_read *read);
    void *context;

    int result; /* 0, STOA_ECORRUPT (detail says file, offset, height), STOA_ENOTFOUND (no such
                   segment), STOA_EIO */
    enum ledger_kind kind;
    uint64_t height;
    struct bytes payload; /* inside buffer */
    uint8_t *buffer;      /* owned by whoever owns the read, from done on: ledger_read_release */
    struct error_detail detail;
    struct io_request request;
    struct ledger *ledger;
    struct ledger_read *next;   /* the ledger's, until done */
    struct ledger_file *file;   /* likewise */
    uint32_t begin;             /* likewise: where the frame begins in the buffer */
    struct ledger_block *block; /* the ledger's, with buffer */
    struct workers_job job;     /* likewise: unpacking */
    struct ledger_block *packed;
    bool unpacked;
};

/* One direct read, or one for each range; the checksum, sequence and store are checked before done,
 * but for ranges. A frame still in a group buffer is served as well. Any number may be in flight.
 */
void ledger_read(struct ledger *ledger, struct ledger_read *read);

/* Return the buffer of READ to the pool. */
void ledger_read_release(struct ledger_read *read);

/* A frame as scan and verify present it. BUFFER-backed views live until the callback returns. */
struct ledger_frame {
    struct ledger_position position;
    enum ledger_kind kind;
    uint64_t height; /* as the header or the footer index says; 0 where neither is readable */
    struct bytes payload;
    int result;    /* 0, or STOA_ECORRUPT: then payload is empty and detail says what and where */
    uint8_t level; /* what the payload is without, in the words of who thinned it; 0: nothing */
    struct error_detail *detail;
};

/* Present every frame of the store's kinds with sequence >= FROM in order, damaged ones too.
 * FROM_POSITION may name the frame with that sequence to start at once (NULL: it is searched). A
 * callback that returns non-zero ends the scan with that result. Blocking: runs the loop, with
 * read-ahead. Covers what is durable at the call. */
int ledger_scan(struct ledger *ledger, uint64_t from, const struct ledger_position *from_position,
                int (*frame)(void *context, const struct ledger_frame *frame), void *context,
                struct error_detail *detail);

/* ---- thinned segments: what is not wanted any more is left out (thin.h) ---- */

/* One sealed segment to be made anew, embedded in its owner until it is ended or stopped. */
struct ledger_thinning {
    uint32_t number;
    /* How many bytes of the frame with this place in the ledger would go, roughly; LEVEL says what
     * it is without already. */
    uint64_t (*gain)(void *context, const struct ledger_frame *frame);
    /* What FRAME becomes: *OUT_LEVEL as in the frame, and OUT is not looked at: it stays as it is;
     * else its payload becomes what was put into OUT. Never called where the gain is 0. */
    int (*shorten)(void *context, const struct ledger_frame *frame, struct buffer *out,
                   uint8_t *out_level);
    void (*done)(struct ledger_thinning *thinning); /* a step has ended; from io_run */
    void *context;

    /* Out, after the first step: */
    uint64_t gain_bytes;    /* the sum */
    uint64_t gain_frames;   /* and how many they are of */
    bool packed;            /* it is packed (below) */
    uint64_t size;          /* of the file as it is */
    uint64_t size_expected; /* what it would become, roughly */
    uint64_t size_needed;   /* room that making it takes in the ledger's folder, roughly */
    /* Out: */
    bool ended;
    int result;            /* STOA_ECORRUPT: damage stands in the way, and the segment stays */
    uint64_t step_bytes;   /* read and written by the last step */
    uint64_t bytes_read;   /* of the old file so far */
    uint64_t size_thinned; /* once it has taken its place; or waits to be packed */
    struct error_detail detail;
    struct ledger *ledger; /* the ledger's */
};

/* Whether segment NUMBER can be thinned: it is sealed, and so is the one behind it. A packed one
 * can be as well: what is made of it does not take its place, but waits, under an unfinished name,
 * for ledger_pack_start to pack it there; nothing has changed until that has. */
bool ledger_can_thin(const struct ledger *ledger, uint32_t number);

/* Begin, and take the first step, which looks at what there is to gain. One at a time, cleared away
 * as well: STOA_EBUSY. */
int ledger_thin_start(struct ledger *ledger, struct ledger_thinning *thinning);
/* The next step: some more of it is copied; in the end it is made durable, read again and compared,
 * and takes the place of what was there. Not after it has ended. */
void ledger_thin_step(struct ledger_thinning *thinning);
/* Give it up, between two steps; what was made of it goes. Any time after it was started, also when
 * it has ended. */
void ledger_thin_stop(struct ledger_thinning *thinning);

/* ---- packed segments (arc.h) ---- */

/* One sealed segment to be packed, or unpacked again, embedded in its owner until it is ended or
 * stopped. */
struct ledger_packing {
    uint32_t number;
    bool unpack;
    uint64_t thinned_size; /* pack what thinning left of this packed segment, so large, in its
                              place. It goes in any case. 0: not that */
    void (*done)(struct ledger_packing *packing); /* a step has ended; from io_run */
    void *context;

    /* Out, after the first step: */
    uint64_t size;          /* of the file as it is */
    uint64_t size_expected; /* of the other, at most */
    uint64_t lowest; /* of the heights of its blocks and changes of the state; 0: it has none */
    uint64_t highest;
    uint32_t block_count;
    /* Out: */
    bool wants_work; /* ledger_pack_work comes before the next step */
    bool ended;
    int result;          /* STOA_ECORRUPT: damage stands in the way, and the segment stays */
    uint64_t step_bytes; /* read and written by the last step */
    uint64_t size_made;  /* once it has taken its place */
    struct error_detail detail;
    struct ledger *ledger; /* the ledger's */
};

/* Whether segment NUMBER is packed. Whether it can be packed, where it is not: ledger_can_thin. */
bool ledger_is_packed(const struct ledger *ledger, uint32_t number);

/* Begin, and take the first step, which looks at what there is. One at a time, thinning and what is
 * cleared away as well: STOA_EBUSY. */
int ledger_pack_start(struct ledger *ledger, struct ledger_packing *packing);
/* The next step: some more is read, packed and written; in the end it is made durable, read again
 * and compared, and takes the place of what was there, which goes. Not after it has ended. */
void ledger_pack_step(struct ledger_packing *packing);
/* What takes the processor a while, on any thread, between two steps. */
void ledger_pack_work(struct ledger_packing *packing);
/* Give it up, between two steps and works; what was made of it goes. Any time after it was started,
 * also when it has ended. */
void ledger_pack_stop(struct ledger_packing *packing);

/* Unpack segment NUMBER, where it is packed. Blocking: runs the loop. */
int ledger_unpack(struct ledger *ledger, uint32_t number, struct error_detail *detail);

/* ---- what a segment is, told by what it says of itself ---- */

struct ledger_survey {
    uint32_t number;
    bool thin;
    bool packed;
    bool spare;      /* ready to be written, and empty */
    bool damaged;    /* its index is, or a frame as that says */
    uint64_t lowest; /* of the heights of its blocks and changes of the state */
    uint64_t highest;
    uint64_t blocks;
    uint64_t frames;
    uint64_t bytes;      /* of the file */
    uint64_t dead_bytes; /* of them, by what GAIN told */
};

/* How many bytes of a frame are not wanted any more: as in struct ledger_thinning. */
struct ledger_survey_gain {
    uint64_t (*gain)(void *context, const struct ledger_frame *frame);
    void *context;
};

/* Look at segment NUMBER of a ledger that ledger_open_sealed opened. Damage is told, and is no
 * failure. Blocking; two small reads where it is sound. */
int ledger_survey(struct ledger *ledger, uint32_t number, const struct ledger_survey_gain *gain,
                  struct ledger_survey *out_survey, struct error_detail *detail);
/* The same of the one in use and spare ones, without what is dead, at once. False: it is sealed, or
 * there is none. */
bool ledger_survey_unsealed(const struct ledger *ledger, uint32_t number,
                            struct ledger_survey *out_survey);

struct ledger_damage {
    const char *file; /* name of the segment file; with its folder where it is packed */
    uint32_t segment;
    bool thin;   /* it is a thinned one, */
    bool packed; /* or a packed one: OFFSET and SIZE are those of the group in which it is */
    uint64_t offset;
    uint64_t size;
    uint64_t sequence; /* 0: unknown */
    uint64_t height;   /* where known */
    bool has_height;
    const char *what;  /* "frame checksum", "frame header", "padding is not zero", "footer", … */
    uint64_t checksum; /* of the frame that was there; 0: not known */
    uint32_t seal_offset; /* of a "trailer": where the seal is that it should name; */
    uint32_t seal_size;   /* 0: not known */
};

struct ledger_verify_report {
    uint64_t segments;
    uint64_t frames;
    uint64_t bytes;
    uint64_t damages;
};

/* Read every byte of every segment and check all of it: frames, chain, padding, footers, and that
 * what is unused is zero. FRAME (may be NULL) sees each good frame of the store's kinds, so that
 * one pass serves the store's own checks. Returns 0 where nothing is damaged, STOA_ECORRUPT where
 * something is, the callback's result where that is not 0. */
int ledger_verify(struct ledger *ledger,
                  void (*damage)(void *context, const struct ledger_damage *damage),
                  int (*frame)(void *context, const struct ledger_frame *frame), void *context,
                  struct ledger_verify_report *out_report, struct error_detail *detail);

/* The same, piece by piece, of a ledger that ledger_open_sealed opened: from segment FROM on, whose
 * place in the chain is not looked at where it is not the first. DAMAGE is called by the steps.
 * Several threads may take them, one after the other. */
struct ledger_verifying;
int ledger_verify_begin(struct ledger *ledger, uint32_t from,
                        void (*damage)(void *context, const struct ledger_damage *damage),
                        void *context, struct ledger_verifying **out_verifying,
                        struct error_detail *detail);
/* Some BYTES more, a frame at least, never over the end of a segment. 0 where damage was found, as
 * well. After another result only ledger_verify_end. */
int ledger_verify_step(struct ledger_verifying *verifying, uint64_t bytes,
                       struct error_detail *detail);
/* The segment that it is at; 0: none is left. */
uint32_t ledger_verify_number(const struct ledger_verifying *verifying);
/* All bytes before where it is, those of segments before FROM too. */
uint64_t ledger_verify_bytes(const struct ledger_verifying *verifying);
void ledger_verify_report(const struct ledger_verifying *verifying,
                          struct ledger_verify_report *out_report);
/* Any time; before the ledger's end. NULL is allowed. */
void ledger_verify_end(struct ledger_verifying *verifying);

struct ledger_stats {
    uint64_t last_sequence;
    uint64_t durable_sequence;
    uint32_t segment_count;
    uint64_t segment_bytes; /* of the files */
    uint32_t segment_size;  /* of new ones */
    uint32_t tail_segment;  /* where the next frame goes */
    uint64_t tail_offset;
    uint64_t frame_bytes;   /* appended since open: frames, headers included */
    uint64_t written_bytes; /* written since open: groups, padding, prewriting, seals, marks */
    uint64_t group_count;
    uint64_t append_count;
    uint64_t flush_ns_total; /* time groups were in flight */
    bool stopped;
};

void ledger_stats(const struct ledger *ledger, struct ledger_stats *out_stats);

/* From now on WORKERS unpack what is large and was read from a packed segment; NULL: the loop does,
 * as before. None of them is at work on it: no read is in flight. */
void ledger_set_workers(struct ledger *ledger, struct workers *workers);

struct ledger_packed_stats {
    uint64_t segments;
    uint64_t bytes; /* of their files */
    uint64_t
        saved; /* by how much those that were packed or opened since are smaller than unpacked */
};

/* Of packed segments. Looks at each file: not for every day. */
void ledger_packed_stats(const struct ledger *ledger, struct ledger_packed_stats *out_stats);

/* The segments up to LAST, which are sealed, of a ledger that may be in use by others: for
 * ledger_scan and ledger_verify only, on a loop of one's own. Nothing is written; ledger_abandon
 * ends it. Blocking. */
int ledger_open_sealed(const struct ledger_options *options, uint32_t last,
                       struct ledger **out_ledger, struct error_detail *detail);

/* Where a copy of the ledger ends: the frames up to SEQUENCE lie in the segments before SEGMENT and
 * in its first SIZE bytes, which never change again. What of those bytes lies behind SEQUENCE is
 * cut by opening the copy with keep_sequence. */
struct ledger_end {
    uint32_t segment;
    uint64_t size; /* a multiple of IO_ALIGNMENT */
    uint64_t sequence;
    uint64_t checksum; /* of the frame with that sequence; 0: not known, nor is its place */
    uint32_t offset;   /* where that frame lies in SEGMENT */
};

/* The end at frame KEEP, which is durable and among the last. STOA_EBUSY: it cannot be told now,
 * as nothing of the ledger is durable yet. */
int ledger_get_end(const struct ledger *ledger, uint64_t keep, struct ledger_end *out_end);

/* 0 while the ledger takes appends; else STOA_ESTOPPED with the write or flush that failed first.
 */
int ledger_stopped(const struct ledger *ledger, struct error_detail *detail);

/* Change how the next segment is prepared. */
void ledger_set_prepare(struct ledger *ledger, enum ledger_prepare prepare);

#endif
