/* SPDX-License-Identifier: GPL-3.0-or-later */
/* values.h: all values of the state as of a height, account by account with its storage, from one
 * walk over the index. What is held in memory meanwhile is one account. Blocks; on a worker, or
 * where the session is the caller's own. */
#ifndef VALUES_H
#define VALUES_H

#include "store/index.h"

struct values_slot {
    uint8_t hash[32];
    struct bytes value; /* without leading zeros */
};

struct values_account {
    uint8_t address[20];
    struct bytes value; /* state_change_read_account */
    const struct values_slot *slots;
    size_t slot_count;
};

/* Called in turn, and may be NULL; views live until they return. Non-zero ends the walk. */
struct values_visitor {
    int (*account)(void *context, const struct values_account *account);
    int (*code)(void *context, struct bytes code);
    int (*raw)(void *context, struct bytes key, struct bytes value);
    void *context;
    uint64_t versions; /* out: entries of the index, of all heights */
    uint64_t version_bytes;
};

int values_walk(struct index *index, struct kv_session *session, uint64_t height,
                struct values_visitor *visitor, struct error_detail *detail);

/* The same of the tries: every record as of HEIGHT. OUT_VERSIONS as above. */
struct values_records {
    int (*record)(void *context, struct bytes base, struct bytes record);
    void *context;
    uint64_t versions;
    uint64_t version_bytes;
};
int values_walk_records(struct index *index, struct kv_session *session, uint64_t height,
                        struct values_records *records, struct error_detail *detail);

/* The root of the state's trie, worked out from the values alone. It takes some 200 bytes of memory
 * an account, and as much a slot of the largest account. */
int values_root(struct index *index, struct kv_session *session, uint64_t height,
                uint8_t out_root[32], struct error_detail *detail);

#endif
