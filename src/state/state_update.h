/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_update.h: the state root after changes of accounts and storage, as Ethereum has it: a trie
 * of accounts by the hash of their address over a trie of slots for each account by the hash of the
 * slot's number. Tries are named for readers and writes: the accounts' has no name, an account's
 * storage has the hash of its address.
 *
 * Nothing is said about what should be in the state: an account is what the caller says it is, an
 * empty one too; one that is removed loses its storage. Of what a removed or wiped account had,
 * every record is removed, and its slots are listed, since nobody else knows them.
 *
 * Threads as in trie_update.h: between begin and end, parts run on any threads. */
#ifndef STATE_UPDATE_H
#define STATE_UPDATE_H

#include "state/trie_update.h"

enum {
    STATE_ACCOUNT_FIELDS = 1 << 0,  /* nonce, balance and code hash are given: else they stay */
    STATE_ACCOUNT_REMOVED = 1 << 1, /* the account is gone, with its storage */
    STATE_ACCOUNT_WIPED = 1 << 2,   /* its storage is empty before SLOTS are put */
};

struct state_slot_change {
    uint8_t key_hash[32];
    uint8_t value[32]; /* zero: cleared */
};

struct state_wiped_slot {
    struct state_wiped_slot *next;
    uint8_t key_hash[32];
};

/* An account, as its leaf in the trie holds it. */
struct state_account {
    uint64_t nonce;
    uint8_t balance[32]; /* big-endian */
    uint8_t storage_root[32];
    uint8_t code_hash[32];
};

struct state_account_change {
    uint8_t address_hash[32];
    unsigned flags;
    uint64_t nonce;
    uint8_t balance[32];
    uint8_t code_hash[32];
    struct state_slot_change *slots; /* sorted by key_hash, each once */
    size_t slot_count;
    /* Set by the update, in the memory of its tasks. */
    struct bytes leaf; /* RLP of the account as it is then; size 0: it is absent */
    bool existed;
    struct state_wiped_slot *wiped; /* slots that went with the storage */
};

struct state_update {
    struct trie_update trie;
    struct state_account_change *accounts;
};

/* ACCOUNTS are sorted by address_hash, each once, and stay until the end. Parts as
 * trie_update_begin. STOA_EINVAL: slots without fields are given for an account that does not
 * exist. STOA_ECORRUPT: what the reader gave is not a state. Of several writes to one record the
 * last one of the task that made it holds. */
int state_update_begin(struct state_update *update, struct trie_task *task,
                       struct state_account_change *accounts, size_t count, unsigned *out_parts);
int state_update_part(struct state_update *update, struct trie_task *task, unsigned index);
int state_update_end(struct state_update *update, struct trie_task *task, uint8_t out_root[32]);

/* All of it on this thread. */
int state_update_run(struct trie_task *task, struct state_account_change *accounts, size_t count,
                     uint8_t out_root[32]);

/* RLP of an account and back. STOA_ENOMEM; STOA_EINVAL. */
int state_account_encode(const struct state_account *account, struct buffer *out);
int state_account_decode(struct bytes leaf, struct state_account *out_account,
                         struct error_detail *detail);

/* RLP of a slot's value, in OUT. Returns the size. */
size_t state_slot_encode(const uint8_t value[32], uint8_t out[33]);

/* Keccak-256 of nothing: the code hash of an account without code. */
extern const uint8_t state_empty_code_hash[32];

#endif
