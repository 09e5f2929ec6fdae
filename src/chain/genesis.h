/* SPDX-License-Identifier: GPL-3.0-or-later */
/* genesis.h: block 0 and its state from a geth-style genesis.json. Any thread. */
#ifndef GENESIS_H
#define GENESIS_H

#include "base/buffer.h"
#include "base/error.h"

struct genesis_slot {
    uint8_t key[32];
    uint8_t value[32];
};

struct genesis_account {
    uint8_t address[20];
    uint64_t nonce;
    uint8_t balance[32]; /* big-endian */
    struct buffer code;
    struct genesis_slot *slots;
    size_t slot_count;
};

struct genesis {
    uint64_t chain_id;    /* 0 where config has none */
    struct buffer config; /* JSON text of the config; empty where there is none */
    struct buffer block;  /* RLP of block 0 */
    uint8_t hash[32];
    uint8_t state_root[32];
    struct genesis_account *accounts;
    size_t account_count;
};

/* TEXT is strict JSON (no duplicate members, nothing after the end). Which header fields block 0
 * has follows from the forks that config switches on at block 0 or at its timestamp, as geth does
 * it. STOA_EINVAL with the member's name first. */
int genesis_parse(struct bytes text, struct genesis *out_genesis, struct error_detail *detail);
void genesis_deinit(struct genesis *genesis);

#endif
