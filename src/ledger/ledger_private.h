/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ledger_private.h: shared by the ledger_*.c files.
 *
 *      ledger.c          making, opening, closing
 *      ledger_commit.c   appends, groups, marks, rolling to the next segment
 *      ledger_spare.c    the next segment, made ready in the background
 *      ledger_form.c     the files a segment can be
 *      ledger_files.c    open segment files; reads of single frames and their buffers
 *      ledger_walk.c     a segment read from its start: what frames it holds
 *      ledger_recover.c  what opening does with the last segment
 *      ledger_scan.c     all frames from a sequence on
 *      ledger_verify.c   every byte
 *      ledger_thin.c     a sealed segment made anew without what is not wanted any more
 *      ledger_thin_read.c  what such a segment holds; reads of single frames
 *      ledger_outline.c  what a sealed segment holds, for the makers of other forms
 *      ledger_pack.c     a sealed segment packed, or unpacked again
 *      ledger_pack_read.c  reads of single frames of packed ones
 *
 * Who is allowed to do what to a segment: numbers below `segment.number` are sealed and only read;
 * `segment.number` is appended to at `tail`, one group at a time; `segment.number` + 1 to
 * `spare_last` are ready and all zero; one more may be in preparation as .new. */
#ifndef LEDGER_PRIVATE_H
#define LEDGER_PRIVATE_H

#include "ledger/arc_load.h"
#include "ledger/frame.h"
#include "ledger/ledger.h"
#include "ledger/segment.h"
#include "ledger/segment_reader.h"
#include "ledger/thin.h"

enum {
    LEDGER_GROUP_CAPACITY = 4 << 20,
    LEDGER_MARK_DELAY_DEFAULT_MS = 20,
    LEDGER_SPARE_CHUNK = 256 << 10,
    LEDGER_SPARE_SPACE_FACTOR =
        64, /* spares beyond the first: while so many segments' space is free */
    LEDGER_FILES_OPEN_MAX = 256,
    LEDGER_FILES_OPEN_AHEAD = 128,
    LEDGER_POOL_CLASSES = 15,      /* 4 KiB to 64 MiB */
    LEDGER_UNPACK_MAX = 128 << 10, /* that the loop unpacks of a read: some 100 us */
    LEDGER_POOL_IDLE_MAX = 64 << 20,
};

#define LEDGER_SPARE_RETRY_NS UINT64_C(1000000000) /* after a full disk was met */
#define LEDGER_SPARE_QUIET_NS UINT64_C(2000000)    /* without a group: nothing else is written */
#define LEDGER_SPARE_READ_NS UINT64_C(10000000)    /* between two steps while frames are read */
#define LEDGER_WAIT_NS UINT64_C(1000000000)        /* of one turn of a blocking call */

/* Frames laid out for one write. */
struct ledger_group {
    uint8_t *buffer;    /* LEDGER_GROUP_CAPACITY bytes, always there */
    uint8_t *temporary; /* for one frame that is bigger, else NULL */
    uint64_t offset;    /* in the segment, once something is laid out */
    size_t size;        /* to the end of the last frame */
    uint64_t first_sequence;
    uint64_t chain_before; /* what to go back to where the group is given up */
    uint32_t entries_before;
    uint64_t frame_bytes;
    bool ends_in_mark;
    struct ledger_append *first; /* in order; those with a result already only wait their turn */
    struct ledger_append *last;
};

enum ledger_file_state {
    LEDGER_FILE_CLOSED,
    LEDGER_FILE_OPENING,
    LEDGER_FILE_OPEN,
    LEDGER_FILE_CLOSING,
};

/* One segment file; pinned while it is current, a spare, scanned or read. */
struct ledger_file {
    struct ledger *ledger;
    uint32_t number;
    uint64_t size;      /* of what is read of it; a packed one's is known once it is open */
    uint64_t disk_size; /* of the file */
    enum ledger_file_state state;
    int file;
    int open_result; /* of the last attempt */
    int open_os_error;
    unsigned users;
    uint64_t used_at; /* tick of the last use, for choosing what to close */
    char *path;       /* while opening */
    struct io_request request;
    struct ledger_read *waiting; /* reads that wait for it to open */
    bool thin;           /* a thinned one (thin.h); of a packed one, what it stands for, likewise */
    bool packed;         /* a packed one (arc.h), in the folder of those */
    struct arc_map *arc; /* of a packed one, while it is open; owned */
    struct arc_load load;
    unsigned moves;        /* it was found under another name, in a row */
    const char *open_what; /* what of it is damaged, where that was why it did not open */
    bool retired;          /* another file has its number now: it goes with its last user */
    bool has_trailer;      /* of a thinned one, read when it was opened */
    struct thin_trailer trailer;
    uint8_t *block; /* while that is read */
    struct ledger_file *retired_next;
};

enum ledger_spare_state {
    LEDGER_SPARE_IDLE,
    LEDGER_SPARE_RESTING, /* waits until it is needed or nothing else is written */
    LEDGER_SPARE_OPENING,
    LEDGER_SPARE_ALLOCATING,
    LEDGER_SPARE_WRITING,
    LEDGER_SPARE_SYNCING,
    LEDGER_SPARE_RENAMING,
    LEDGER_SPARE_SYNCING_DIRECTORY,
    LEDGER_SPARE_CLOSING, /* after a failure */
    LEDGER_SPARE_UNLINKING,
    LEDGER_SPARE_FAILING, /* without anything to remove */
};

struct ledger_spare {
    enum ledger_spare_state state;
    struct io_request request;
    uint32_t number;
    uint32_t size;
    enum ledger_prepare prepare;
    int file;
    uint64_t written;
    int result; /* of the last attempt: 0, or why it failed */
    int os_error;
    uint64_t failed_at_ns;
    uint64_t stepped_ns;
    struct ledger_file *entry; /* made before, so that finishing cannot fail */
    char *path_new;
    char *path_seg;
    uint8_t *zeros; /* LEDGER_SPARE_CHUNK bytes */
};

/* A buffer of the read pool; lies behind the bytes it describes. */
struct ledger_block {
    struct ledger_block *next; /* in its class, while idle */
    struct ledger_block *all_next;
    struct ledger_block *all_previous;
    uint8_t *data;
    unsigned class;
};

struct ledger_pool {
    struct ledger_block *idle[LEDGER_POOL_CLASSES];
    struct ledger_block *all;
    size_t idle_bytes;
    unsigned lent;
};

/* The segment appended to. */
struct ledger_segment {
    uint32_t number; /* 0: the ledger is empty, no segment is in use */
    uint64_t size;
    uint64_t tail; /* where the next group starts; what is in flight lies before it */
    bool sealed;
    struct ledger_file *file;
    struct segment_entry *entries; /* SEGMENT_ENTRIES_MAX */
    uint32_t entry_count;
};

struct ledger {
    struct io *io;
    char *path;
    char *archive;                 /* where packed segments are; NULL: nowhere */
    struct arc_unpacker *unpacker; /* made when the first of them is opened */
    struct workers *workers;       /* NULL: none */
    uint64_t store_id;
    uint32_t segment_size; /* of new segments */
    enum ledger_prepare prepare;
    uint64_t mark_delay_ns;
    unsigned spare_count;

    struct ledger_segment segment;
    uint32_t spare_last; /* highest segment file that is ready; segment.number: no spare */
    struct ledger_spare spare;

    uint64_t next_sequence;
    uint64_t chain; /* checksum of the last frame laid out */
    uint64_t durable_sequence;

    struct ledger_group groups[2];
    unsigned filling;    /* index of the group that is filled; the other may be in flight */
    bool in_flight;      /* a group, a seal or a trailer */
    bool need_roll;      /* the first waiting append does not fit the segment */
    bool roll_attempted; /* an attempt at a spare began, or was under way, since it was needed */
    struct io_request write;
    uint64_t write_started_ns;
    uint64_t write_ended_ns; /* 0: nothing was written yet */
    uint64_t read_ns;        /* when a frame was asked for last; 0: never */
    struct ledger_append *waiting_first;
    struct ledger_append *waiting_last;
    struct io_request tick; /* gathers what comes in one turn of the loop */
    bool in_callbacks;      /* callers add to the next group; it starts when they are through */

    struct io_request mark;
    uint64_t mark_due_ns;
    bool proven; /* nothing, or a mark, follows the last group of the store's */
    bool clean;  /* the last frame is the mark of a clean end */

    bool stopped;
    bool closing;
    int stop_result;
    int stop_os_error;

    struct ledger_file **files;  /* by number - 1 */
    struct ledger_file *retired; /* those whose place another has taken */
    struct ledger_thin *thin;    /* a segment that is being thinned */
    struct ledger_pack *pack;    /* or packed, or unpacked */
    bool foreign;                /* others write it: a segment may take another form at any time */
    uint32_t file_count;
    uint32_t file_capacity;
    unsigned open_count;
    uint64_t use_tick;
    struct ledger_pool pool;
    unsigned reads_in_flight;

    struct ledger_stats stats;
};

/* ---- ledger.c ---- */

/* DIRECTORY/NAME, to be freed; NULL: no memory. */
char *ledger_path(const struct ledger *ledger, const char *name);
/* The same in the folder of packed segments, which there is. */
char *ledger_archive_path(const struct ledger *ledger, const char *name);

/* io_wait; the request's result is set in any case. */
int64_t ledger_wait(struct ledger *ledger, struct io_request *request);

/* ---- ledger_commit.c ---- */

/* Start what can be started: a group, a roll. Does nothing while something is in flight. */
void ledger_commit_step(struct ledger *ledger);
void ledger_commit_stop(struct ledger *ledger, int result, int os_error);

/* Write the mark of a clean end and wait for it. */
int ledger_commit_finish(struct ledger *ledger, struct error_detail *detail);

/* Let idle time pass, then write a mark, if the last group is not proven. */
void ledger_commit_arm_mark(struct ledger *ledger);

/* End all appends that wait, with RESULT. */
void ledger_commit_fail_waiting(struct ledger *ledger, int result);

/* ---- ledger_spare.c ---- */

bool ledger_spare_is_ready(const struct ledger *ledger);

/* Begin to make the next segment, unless enough are there or one is under way. */
void ledger_spare_start(struct ledger *ledger);

/* A group has ended: take a step where the spare is behind its pace, start one where it is due. */
void ledger_spare_pace(struct ledger *ledger);

/* Blocking: run the loop until the attempt under way ends. Returns its result. */
int ledger_spare_wait(struct ledger *ledger, struct error_detail *detail);
void ledger_spare_deinit(struct ledger *ledger);

/* ---- ledger_form.c ---- */

/* A form that a segment has. */
struct ledger_form {
    bool thin; /* of a packed one it does not matter */
    bool packed;
    uint64_t size; /* of the file */
};

/* FORM is set in FILE. */
void ledger_form_set(struct ledger_file *file, const struct ledger_form *form);
/* The path of FILE, to be freed; NULL: no memory. */
char *ledger_form_path(const struct ledger_file *file);
/* FILE's form and size as they are found now. STOA_ENOTFOUND, or what the last look came to. */
int ledger_form_find(struct ledger_file *file);
/* Where in FILE the SIZE bytes at OFFSET of what it stands for lie: in which group. */
void ledger_form_place(const struct ledger_file *file, uint64_t *offset, uint64_t *size);
/* The name of FILE, with its folder where it is a packed one. */
void ledger_form_name(const struct ledger_file *file, char out_name[SEGMENT_NAME_SIZE]);

/* ---- ledger_files.c ---- */

/* Room in the table of files for segment NUMBER, which must be the next. */
int ledger_files_reserve(struct ledger *ledger, uint32_t number, struct ledger_file **out_file);
void ledger_files_add(struct ledger *ledger, struct ledger_file *file);
struct ledger_file *ledger_files_get(struct ledger *ledger, uint32_t number);

/* Blocking: open FILE, if need be, and pin it. WRITE: for the current segment and spares. */
int ledger_files_hold(struct ledger *ledger, struct ledger_file *file, bool write,
                      struct error_detail *detail);
void ledger_files_drop(struct ledger_file *file);

/* The file of segment NUMBER has from now on FORM, and is there already. STOA_ENOMEM. */
int ledger_files_replace(struct ledger *ledger, uint32_t number, const struct ledger_form *form);
/* What READ ends with, where the frame is not as it should be; HEADER where it could be read. */
int ledger_files_report(struct ledger_read *read, const char *what,
                        const struct frame_header *header);
/* The read of READ's request failed. */
int ledger_files_report_failed(struct ledger_read *read);
/* READ has its result. */
void ledger_files_end_read(struct ledger_read *read);
uint64_t ledger_files_buffer_size(const struct ledger_read *read);
/* A buffer of the pool. NULL: no memory. */
struct ledger_block *ledger_files_take_buffer(struct ledger *ledger, uint64_t size);
void ledger_files_give_buffer(struct ledger *ledger, struct ledger_block *block);

/* ledger_ranges.c: in the payload, where the last of RANGES ends; room for what is read for those
 * of READ; read them from FILE, which is open, neither thinned nor packed. */
uint64_t ledger_ranges_end(const struct ledger_ranges *ranges);
uint64_t ledger_ranges_room(const struct ledger_read *read);
void ledger_ranges_read(struct ledger_file *file, struct ledger_read *read);

/* A reader of what FILE, which is held, is or stands for. */
int ledger_files_reader(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                        struct segment_reader *reader);

/* Begin to open the newest that are not open; whether any is being opened. */
void ledger_files_open_ahead(struct ledger *ledger);
bool ledger_files_are_opening(const struct ledger *ledger);

/* Close all that is open; blocking. */
void ledger_files_deinit(struct ledger *ledger);
void ledger_files_deinit_pool(struct ledger *ledger);

/* ---- ledger_walk.c ---- */

/* What a segment without a (readable) seal holds. */
struct ledger_walk {
    struct segment_entry *entries; /* room for SEGMENT_ENTRIES_MAX, the caller's */
    uint32_t entry_count;          /* frames, damaged ones and gaps, without the seal */
    uint64_t last_group;           /* of the last sound header, the seal's too; 0: none */
    uint64_t next_sequence;        /* after the last sound header */
    uint64_t frame_end;            /* exact end of the last frame, the seal too */
    uint64_t nonzero_end;          /* of the last byte that is not zero, to 64 bytes */
    uint64_t trailer_nonzero_end;  /* the same with the last block */
    bool has_seal;                 /* a sound one */
    struct segment_entry seal;
    bool last_is_mark;
    bool last_is_clean_mark;
    bool has_head;
    struct segment_head head;
};

/* Read the whole file. EXPECTED: sequence of the first frame, 0 where not known. STOA_EVERSION,
 * STOA_EINVAL (another store's), STOA_EIO, STOA_ENOMEM. TOLERANT: what cannot be read is damage,
 * not an error. */
int ledger_walk(struct ledger *ledger, struct ledger_file *file, uint64_t expected, bool tolerant,
                struct ledger_walk *walk, struct error_detail *detail);

/* Why no index could be had from the seal. */
enum ledger_index_source {
    LEDGER_INDEX_SEAL,
    LEDGER_INDEX_BAD_TRAILER,
    LEDGER_INDEX_BAD_SEAL,
};

/* The index of a sealed segment, as read from its seal or, where that is damaged, found by walking
 * it. */
struct ledger_index {
    struct ledger_file *file;      /* held; NULL: of the segment in use */
    struct segment_entry *entries; /* owned, THIN_ENTRIES_MAX */
    uint32_t count;
    enum ledger_index_source source;
    bool has_seal; /* where the seal lies is known */
    struct segment_entry seal;
    struct thin_trailer trailer; /* of a thinned segment; count 0: not known */
};

int ledger_index_load(struct ledger *ledger, uint32_t number, bool tolerant,
                      struct ledger_index *out_index, struct error_detail *detail);
void ledger_index_deinit(struct ledger_index *index);

/* Sequence of the first frame of segment NUMBER, from its first block or its index. */
int ledger_index_first_sequence(struct ledger *ledger, uint32_t number, uint64_t *out_sequence,
                                struct error_detail *detail);

/* Read SIZE bytes at OFFSET of FILE into a new buffer. */
int ledger_walk_read_range(struct ledger *ledger, struct ledger_file *file, uint64_t offset,
                           uint64_t size, uint8_t **out_data);

/* ---- ledger_thin_read.c ---- */

/* As ledger_index_load, of a thinned FILE that is held. */
int ledger_thin_load(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                     struct ledger_index *index, struct error_detail *detail);

/* Begin READ of a frame in FILE, which is open. */
void ledger_thin_read(struct ledger_file *file, struct ledger_read *read);

/* As ledger_scan_check, of an entry that is thin. */
const char *ledger_thin_check(struct segment_reader *reader, uint64_t store_id,
                              const struct segment_entry *entry, struct frame_header *out_header,
                              struct bytes *out_payload);

/* ---- ledger_outline.c ---- */

/* A sealed segment as it was written, or thinned. */
struct ledger_outline {
    uint32_t number;
    bool thin;
    uint64_t size; /* of the file */
    uint64_t store_id;
    uint32_t segment_size;         /* as it was written */
    struct thin_trailer trailer;   /* where its index lies, or its seal */
    struct segment_entry *entries; /* owned; the seal with them */
    uint32_t count;
};

/* STOA_ENOMEM. */
int ledger_outline_init(struct ledger_outline *outline, const struct ledger_file *file);
void ledger_outline_deinit(struct ledger_outline *outline);
/* From the file's last block. False: damaged. */
bool ledger_outline_take_trailer(struct ledger_outline *outline, const uint8_t *block);
/* From the frame at trailer.index_offset. */
bool ledger_outline_take_index(struct ledger_outline *outline, const uint8_t *frame);
/* Some frame was known to be bad when the index was written. */
bool ledger_outline_is_damaged(const struct ledger_outline *outline);
/* ENTRY of segment NUMBER as whoever is asked about frames sees it, without its payload. */
struct ledger_frame ledger_outline_frame(uint32_t number, const struct segment_entry *entry);
/* Check the frame that ENTRY names. */
bool ledger_outline_take_frame(const struct ledger_outline *outline,
                               const struct segment_entry *entry, const uint8_t *frame,
                               struct frame_header *out_header, struct bytes *out_payload);

/* ---- ledger_pack_read.c ---- */

/* Begin READ of a frame in FILE, which is packed and open. */
void ledger_pack_read(struct ledger_file *file, struct ledger_read *read);

/* Check what of FILE, a packed one that is held, is not a group; REPORT is told what is damaged. */
int ledger_pack_check(struct ledger *ledger, const struct ledger_file *file,
                      void (*report)(void *context, uint64_t offset, uint64_t size,
                                     const char *what),
                      void *context, struct error_detail *detail);

/* ---- ledger_pack.c ---- */

/* As ledger_thin_deinit, ledger_thin_is_busy. */
void ledger_pack_deinit(struct ledger *ledger);
bool ledger_pack_is_busy(const struct ledger *ledger);

/* ---- ledger_thin.c ---- */

/* Nothing is under way; its files are closed by whoever owned them. */
void ledger_thin_deinit(struct ledger *ledger);
bool ledger_thin_is_busy(const struct ledger *ledger);

/* ---- ledger_recover.c ---- */

/* Frames behind KEEP_SEQUENCE are cut in any case; UINT64_MAX: none. */
int ledger_recover(struct ledger *ledger, uint64_t proven_sequence, uint64_t keep_sequence,
                   struct ledger_recovery *out_recovery, struct error_detail *detail);

/* ---- ledger_scan.c ---- */

/* A copy of what the segment in use holds and is durable. */
int ledger_scan_snapshot(struct ledger *ledger, struct ledger_index *out_index,
                         struct error_detail *detail);

/* Read the frame that ENTRY names and check it. NULL: it is good; else what is wrong with it, and
 * the payload is empty. Where the read itself failed the reader's result says so. */
const char *ledger_scan_check(struct segment_reader *reader, uint64_t store_id,
                              const struct segment_entry *entry, struct frame_header *out_header,
                              struct bytes *out_payload);

static inline bool ledger_kind_is_store(uint8_t kind)
{
    return kind >= LEDGER_BLOCK && kind <= LEDGER_CHECKPOINT;
}

#endif
