/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ledger_pack_private.h: shared by ledger_pack.c (steps on the loop) and ledger_pack_work.c (what
 * is done to bytes in memory). */
#ifndef LEDGER_PACK_PRIVATE_H
#define LEDGER_PACK_PRIVATE_H

#include <xxhash.h>

#include "ledger/ledger_private.h"

enum {
    PACK_PIECE_SIZE = 1 << 20,     /* that is read and compressed at once */
    PACK_SAMPLE_SIZE = 256 << 10,  /* read at once for training */
    PACK_UNPACK_SIZE = 128 << 10,  /* unpacked at once, on the loop */
    PACK_COMPARE_SIZE = 512 << 10, /* read again at once */
};

/* Those from PACK_CLOSE_OLD on clear away. */
enum pack_phase {
    PACK_OPEN,
    PACK_TRAILER,
    PACK_INDEX,
    PACK_LOAD,
    PACK_FOLDER,
    PACK_SYNC_PARENT,
    PACK_CREATE,
    PACK_SAMPLE,
    PACK_TRAIN,
    PACK_READ,
    PACK_COMPRESS,
    PACK_UNPACK,
    PACK_WRITE,
    PACK_HEAD,
    PACK_SYNC,
    PACK_COMPARE,
    PACK_CHECK,
    PACK_RENAME,
    PACK_SYNC_MADE,
    PACK_UNLINK,
    PACK_SYNC_SOURCE,
    PACK_CLOSE_OLD,
    PACK_CLOSE_NEW,
    PACK_REMOVE,
    PACK_ENDED,
};

struct ledger_pack {
    struct ledger *ledger;
    struct ledger_packing *packing; /* NULL: it was given up, and is only cleared away */
    enum pack_phase phase;
    struct io_request request;
    struct arc_load load;
    bool loading;
    uint32_t number;
    bool unpacking;
    bool thinned;      /* the source is what thinning left of a packed one: it goes in any case */
    bool is_last_step; /* all that is left to be written is in the output */
    bool placed;
    bool made;  /* there is a file under the unfinished name */
    int source; /* -1: not open */
    int target;
    uint64_t source_size;
    char *path_source;
    char *path_new;
    char *path_made;
    char *parent;   /* of the folder of packed segments */
    uint8_t *block; /* the header of what is made */

    struct ledger_outline outline; /* of what is packed */
    struct arc_map *map;           /* of what is unpacked; else as far as it is made */
    struct arc_header header;
    struct arc_group *groups; /* of what is made */
    uint32_t group_count;
    uint32_t next;           /* group to be read */
    uint32_t piece_end;      /* behind the last that was */
    uint32_t entry;          /* frame that is checked next */
    uint64_t position;       /* in what is unpacked: all before it was seen */
    uint64_t piece_position; /* where the piece that was read ends */

    uint8_t *samples;
    uint64_t samples_size;
    uint64_t samples_capacity;
    unsigned sample_count; /* reads that it takes */
    unsigned sample_next;
    uint8_t *dictionary; /* owned; its size is in the header */
    struct arc_packer *packer;
    struct arc_unpacker *unpacker;
    uint8_t *check; /* what was packed, unpacked again */
    uint64_t check_capacity;
    int work_result;
    const char *work_what;

    uint8_t *input;
    uint64_t input_capacity;
    uint64_t input_offset;
    uint8_t *output;
    uint64_t output_capacity;
    uint64_t output_size;
    uint64_t written; /* of the new file, and where the output goes */
    uint64_t compared;
    XXH3_state_t *sum;
    XXH64_hash_t written_sum;
};

/* ---- ledger_pack_work.c ---- */

/* Room for SIZE bytes in *BUFFER, of which the first KEPT stay. */
bool pack_reserve(uint8_t **buffer, uint64_t *capacity, uint64_t kept, uint64_t size);
void pack_work_deinit(struct ledger_pack *pack);

/* The groups, and what the header says of them, by the outline. False: no memory. */
bool pack_make_groups(struct ledger_pack *pack);

/* The next place to be read for training; false: it is enough, or there is no memory for more. */
bool pack_next_sample(struct ledger_pack *pack, uint64_t *out_offset, uint64_t *out_size);
void pack_take_sample(struct ledger_pack *pack, struct bytes data);

/* Up to where the next piece, from the position on, goes. */
void pack_next_piece(struct ledger_pack *pack, uint64_t *out_end);

/* On any thread; work_result and work_what say what came of it. Train by the samples, begin the
 * output. */
void pack_work_train(struct ledger_pack *pack);
/* Check and pack the piece that was read; behind the last, all that follows the groups. */
void pack_work_compress(struct ledger_pack *pack);

/* Something lies between the position and the next group, or behind the last. */
bool pack_is_gap(const struct ledger_pack *pack);
/* Zeros for it, some of them. STOA_ENOMEM. */
int pack_fill_gap(struct ledger_pack *pack);
/* The groups that were read, unpacked to the output. STOA_ENOMEM, STOA_ECORRUPT. */
int pack_unpack_piece(struct ledger_pack *pack);

#endif
