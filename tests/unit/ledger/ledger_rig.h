/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ledger_rig.h: a ledger on a simulated disk or a real directory, for the ledger's tests. */
#ifndef LEDGER_RIG_H
#define LEDGER_RIG_H

#include "io/io_sim.h"
#include "ledger/ledger.h"

enum { LEDGER_RIG_FRAMES_MAX = 4096 };

/* An append of the rig's, with a payload made from its number. */
struct ledger_rig_append {
    struct ledger_append append;
    struct ledger_rig *rig;
    unsigned number;
    size_t size;
    uint8_t *payload;
    bool done;
};

struct ledger_rig {
    struct io_disk *disk; /* NULL: a real directory */
    struct io *io;
    struct ledger *ledger;
    struct ledger_options options;
    struct io_sim_options sim;
    struct ledger_recovery recovery;
    struct error_detail detail;
    enum io_backend backend;
    char directory[64];

    struct ledger_rig_append *appends; /* LEDGER_RIG_FRAMES_MAX */
    unsigned append_count;             /* submitted */
    unsigned done_count;
    unsigned good_count; /* acknowledged: always the first ones */
    bool dead;           /* power is gone: what ends now was not seen by anyone */
    bool lying;          /* canary: durable writes are not durable */
    struct io_ops ops;   /* of the lying loop */
    const struct io_ops *honest;
};

/* On a new simulated disk of SEED with a ledger made on it, not open. */
void ledger_rig_init_sim(struct ledger_rig *rig, uint64_t seed, uint32_t segment_size);
/* In a new temporary directory. */
void ledger_rig_init_real(struct ledger_rig *rig, enum io_backend backend, uint32_t segment_size);
void ledger_rig_deinit(struct ledger_rig *rig);

/* A new loop on the disk, where there is none. */
void ledger_rig_start(struct ledger_rig *rig);
int ledger_rig_open(struct ledger_rig *rig, uint64_t proven);
int ledger_rig_close(struct ledger_rig *rig);

/* As after a power cut: the loop ends where it is; the disk becomes what SEED leaves. */
void ledger_rig_cut(struct ledger_rig *rig, uint64_t seed, bool torn);

/* Power is gone. */
bool ledger_rig_is_cut(struct ledger_rig *rig);

/* Submit an append of SIZE bytes; wait for all. */
struct ledger_rig_append *ledger_rig_append(struct ledger_rig *rig, size_t size);
int ledger_rig_wait(struct ledger_rig *rig);

/* Result of reading the frame of append NUMBER; 0 only where it is what was written. */
int ledger_rig_read(struct ledger_rig *rig, unsigned number);
int ledger_rig_read_at(struct ledger_rig *rig, const struct ledger_position *position,
                       unsigned number);

/* Read some ranges of the frame of append NUMBER, as the SEED draws them: each is what was written.
 * *OUT_WHOLE: all of the frame came. */
int ledger_rig_read_ranges(struct ledger_rig *rig, unsigned number, uint64_t seed, bool *out_whole);

/* Scan everything: frames must be those of appends 0, 1, 2 … exactly; their positions are taken.
 * Returns how many there are, or -1 where something else was found. */
int ledger_rig_scan(struct ledger_rig *rig);

/* Verify; damages go to stderr where they are not expected. */
int ledger_rig_verify(struct ledger_rig *rig, bool quiet, struct ledger_verify_report *out_report);

/* Forget all appends from COUNT on (they were lost and never acknowledged). */
void ledger_rig_forget(struct ledger_rig *rig, unsigned count);

/* Append number that PAYLOAD belongs to, or -1 where it is not what was written. */
int ledger_rig_identify(struct bytes payload);

/* Path of a segment file; a static buffer. */
const char *ledger_rig_segment(const struct ledger_rig *rig, unsigned number);

/* Random numbers for tests: xorshift. */
uint64_t ledger_rig_random(uint64_t *state);

/* Seeds to run: STOA_SIM_SEEDS, or the default. */
unsigned ledger_rig_seed_count(unsigned otherwise);
uint64_t ledger_rig_seed_first(void);

#endif
