/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_packing.h: a segment packed or unpacked by a job: what reads and writes runs on the loop,
 * what compresses on a worker. */
#ifndef JOB_PACKING_H
#define JOB_PACKING_H

#include "ledger/ledger.h"
#include "maint/job.h"

/* The first member of the state of a job that packs. */
struct job_packing {
    bool begun;  /* PACKING is */
    bool looked; /* the owner's: its first step has ended, and it is wanted */
    bool worked; /* what it wanted was done */
    struct ledger_packing packing;
};

/* Begin with segment NUMBER; THINNED_SIZE as in struct ledger_packing. What ledger_pack_start
 * returns. */
int job_packing_start(struct job *job, uint32_t number, bool unpack, uint64_t thinned_size);
/* The next step or work of one that was begun and has not ended. */
enum job_next job_packing_step(struct job *job);
/* Give up what was begun, if anything was. */
void job_packing_stop(struct job *job);
/* job_check_space where what is made has to be: the folder of packed segments may be another file
 * system's. */
int job_packing_check_space(struct job *job, const char *what);

#endif
