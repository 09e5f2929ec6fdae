/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pace.h: how a long task of upkeep is kept in bounds. The tasks of this layer are written as plain
 * procedures that wait for their I/O (io_wait) and so run wherever there is a loop: in the engine
 * on a thread of upkeep with a loop of its own, in tools on the caller's, in a simulation on the
 * one loop that there is. Between two pieces of work they ask here whether to go on; the answer may
 * take its time, which is how a budget, a pause and foreground load slow them down. */
#ifndef PACE_H
#define PACE_H

#include <stddef.h>
#include <stdint.h>

struct pace {
    /* BYTES were read or written since the last call; DONE of TOTAL bytes so far (0: not known).
     * Negative ends the task with that result: STOA_ECANCELED where it can go on another time.
     * NULL: full speed, to the end. */
    int (*step)(void *context, uint64_t bytes, uint64_t done, uint64_t total);
    void *context;
    uint64_t done;
    uint64_t total;
};

/* PACE may be NULL. */
static inline int pace_step(struct pace *pace, uint64_t bytes)
{
    if (pace == NULL || pace->step == NULL) {
        return 0;
    }
    pace->done += bytes;
    return pace->step(pace->context, bytes, pace->done, pace->total);
}

#endif
