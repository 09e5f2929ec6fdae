/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arc.h: what a packed segment holds. Codecs and compression, no files; stoa-format(5) has them
 * byte by byte.
 *
 * archive/NNNNNNNN.arc takes the place of NNNNNNNN.seg or NNNNNNNN.thin, byte for byte: what is not
 * zero of that file lies here in groups, each a stretch of it, compressed by itself with a
 * dictionary that was trained on this segment. A group is one large frame, or small ones up to
 * some 16 KiB: reading a frame is one read and one decompression. What lies between groups was
 * zero. So whoever can present such a file as memory reads a packed segment by the code that reads
 * the others, and every frame keeps its own checksum.
 *
 *        0  header, 4096 bytes
 *     4096  dictionary, padded to 4096; absent where it has no size
 *           groups, one behind the other, the last padded to 4096
 *           index, padded to 4096
 *           dictionary again
 *           index again
 *           header again, the file's last 4096 bytes
 *
 * All but the groups is there twice, each with a sum, so that a flipped bit in it costs nothing. */
#ifndef ARC_H
#define ARC_H

#include "base/bytes.h"
#include "ledger/frame.h"
#include "ledger/segment.h"
#include "ledger/thin.h"

enum {
    ARC_VERSION = 1,
    ARC_GROUP_SIZE = 16 << 10, /* of what it stands for: another frame joins while it is smaller */
    ARC_INDEX_HEAD_SIZE = 16,
    ARC_ENTRY_SIZE = 48,
    ARC_GROUPS_MAX = THIN_ENTRIES_MAX + 2, /* a frame each; index or seal, and the trailer */
    ARC_GROUP_MAX = 56 << 20,              /* more than any frame */
    ARC_DICTIONARY_MIN = 4 << 10,
    ARC_DICTIONARY_MAX = 64 << 10,
    ARC_SAMPLE_SIZE = 4 << 10, /* what training looks at, in pieces of this size, */
    ARC_SAMPLES_FACTOR = 64,   /* so many times the dictionary's size */
};

/* "00000042.arc", or "00000042.arc.new" while it is being made. */
void arc_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE]);

/* The number in NAME, 0 where it is no such name. */
uint32_t arc_parse_name(const char *name, bool *out_finished);

struct arc_header {
    uint32_t number;
    bool thin;             /* it stands for a thinned segment */
    uint32_t segment_size; /* of the file it stands for */
    uint32_t file_size;
    uint32_t dictionary_size;
    uint32_t dictionary_offsets[2];
    uint64_t dictionary_sum;
    uint32_t index_offsets[2];
    uint32_t group_count;
    uint64_t index_sum;
    uint64_t first_sequence; /* of the frames in it */
    uint64_t last_sequence;
    uint64_t
        lowest; /* of the heights of blocks and changes of the state in it; 0: there are none */
    uint64_t highest;
    uint32_t block_count;
};

/* Some frames of the segment, packed. */
struct arc_group {
    uint32_t offset; /* in this file */
    uint32_t size;
    uint32_t at; /* in the file it stands for */
    uint32_t at_size;
    uint64_t sequence; /* of its first frame */
    uint64_t sum;      /* of its bytes here, */
    uint64_t at_sum;   /* and of those it stands for */
    bool is_stored;    /* nothing was gained by compressing it */
};

void arc_encode_header(uint8_t out[SEGMENT_BLOCK], const struct arc_header *header,
                       uint64_t store_id);

/* FRAME_BAD also where it is not of segment NUMBER, or of a file that is FILE_SIZE bytes long. */
enum frame_status arc_decode_header(const uint8_t block[SEGMENT_BLOCK], uint32_t number,
                                    uint64_t file_size, uint64_t store_id,
                                    struct arc_header *out_header);

static inline uint32_t arc_index_size(uint32_t count)
{
    return ARC_INDEX_HEAD_SIZE + count * ARC_ENTRY_SIZE;
}

/* Returns its sum. */
uint64_t arc_encode_index(uint8_t *out, uint32_t number, const struct arc_group *groups,
                          uint32_t count, uint64_t store_id);

/* The header's group_count groups, in order and inside both files. False: it is damaged. */
bool arc_decode_index(struct bytes index, const struct arc_header *header, uint64_t store_id,
                      struct arc_group *out_groups);

uint64_t arc_sum(struct bytes data, uint64_t store_id);

/* ---- packing, on any thread, one at a time ---- */

/* The size of a dictionary for SIZE bytes to be packed. */
uint32_t arc_dictionary_size(uint64_t size);

/* Train a dictionary of at most CAPACITY bytes by the samples in DATA, each of ARC_SAMPLE_SIZE but
 * the last. 0: nothing can be learned of them. */
uint32_t arc_train(struct bytes data, uint8_t *out, uint32_t capacity);

struct arc_packer;
/* DICTIONARY may be empty. STOA_ENOMEM. */
int arc_packer_create(struct bytes dictionary, struct arc_packer **out_packer);
void arc_packer_destroy(struct arc_packer *packer);
/* Room that packing SIZE bytes takes at most. */
uint64_t arc_pack_bound(uint64_t size);
/* Pack DATA to OUT: size, sums and is_stored of GROUP. STOA_ENOMEM. */
int arc_pack(struct arc_packer *packer, struct bytes data, uint64_t store_id, uint8_t *out,
             struct arc_group *group);

/* ---- unpacking, on one thread at a time ---- */

struct arc_unpacker;
int arc_unpacker_create(struct arc_unpacker **out_unpacker);
void arc_unpacker_destroy(struct arc_unpacker *unpacker);

/* What is known of a packed file once it is open. */
struct arc_map {
    struct arc_header header;
    uint64_t store_id;
    struct arc_group *groups; /* owned */
    void *dictionary;         /* ready for use; owned */
};

/* DICTIONARY is copied. STOA_ENOMEM; STOA_ECORRUPT: it is none. */
int arc_map_create(const struct arc_header *header, uint64_t store_id, struct bytes dictionary,
                   struct arc_map **out_map);
void arc_map_destroy(struct arc_map *map);

/* The group in which the frame with SEQUENCE is. */
uint32_t arc_map_find(const struct arc_map *map, uint64_t sequence);
/* The first group that ends behind offset AT of the file that it stands for; group_count: none. */
uint32_t arc_map_find_at(const struct arc_map *map, uint64_t at);

/* The groups that cover some bytes of the file that a map stands for. */
struct arc_stretch {
    uint32_t first;
    uint32_t end;    /* behind the last; as FIRST: nothing but zeros lies there */
    uint64_t offset; /* of them in the packed file, and how much they take there */
    uint64_t size;
    uint64_t at; /* and in the file they stand for: all that was asked for lies inside */
    uint64_t at_size;
};

void arc_map_stretch(const struct arc_map *map, uint64_t at, uint64_t size,
                     struct arc_stretch *out_stretch);

/* The at_size bytes of STRETCH from the size bytes at PACKED. False: some are damaged. */
bool arc_unpack_stretch(struct arc_unpacker *unpacker, const struct arc_map *map,
                        const struct arc_stretch *stretch, const uint8_t *packed, uint8_t *out);

/* The at_size bytes of GROUP from the size bytes at PACKED. False: it is damaged. */
bool arc_unpack(struct arc_unpacker *unpacker, const struct arc_map *map,
                const struct arc_group *group, const uint8_t *packed, uint8_t *out);

#endif
