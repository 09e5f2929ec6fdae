/* SPDX-License-Identifier: GPL-3.0-or-later */
/* look.h: to look for what comes within microseconds, in place of sleeping and being woken, which
 * takes several times as long. Between two looks the processor goes to whoever else wants it.
 *
 * That is worth it while there is a processor for everybody. Where there is not, who gave it away
 * is let on again when the other's slice is over, at a tick of the clock (4 ms with the kernels of
 * Debian), whereas a sleeper that is woken may take it at once. So who notices that tells all
 * threads of the loop to sleep at once for a while, twice as long each time that it is still so. */
#ifndef LOOK_H
#define LOOK_H

#include "io/io.h"

struct look {
    struct io *io;
    uint64_t now_ns;
    uint64_t end_ns;
};

/* Any thread: for (bool on = look_begin(&look, io, ns); on; on = look_again(&look)) looks for NS at
 * most; not at all where there is not a processor for everybody. */
bool look_begin(struct look *look, struct io *io, uint64_t for_ns);

/* Let others on. False: look no more. */
bool look_again(struct look *look);

#endif
