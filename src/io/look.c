/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/look.h"

#include <sched.h>

enum {
    CROWDED_NS = 500000, /* who is let on again so late had to wait for another's slice */
    PAUSE_MIN_NS = 16000000,
    PAUSE_MAX_NS = 1024000000,
};

bool look_begin(struct look *look, struct io *io, uint64_t for_ns)
{
    uint64_t now_ns = io_now_ns(io);
    bool pause = now_ns < atomic_load_explicit(&io->looks.again_ns, memory_order_relaxed);
    *look = (struct look){.io = io, .now_ns = now_ns, .end_ns = pause ? now_ns : now_ns + for_ns};
    return look->end_ns > now_ns;
}

/* Threads that notice at once may each double the pause, which does no harm. */
static void note_crowd(struct io_looks *looks, uint64_t now_ns)
{
    uint64_t pause_ns = 2 * atomic_load_explicit(&looks->pause_ns, memory_order_relaxed);
    pause_ns = pause_ns < PAUSE_MIN_NS   ? PAUSE_MIN_NS
               : pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS
                                         : pause_ns;
    atomic_store_explicit(&looks->pause_ns, pause_ns, memory_order_relaxed);
    atomic_store_explicit(&looks->again_ns, now_ns + pause_ns, memory_order_relaxed);
}

bool look_again(struct look *look)
{
    struct io_looks *looks = &look->io->looks;
    uint64_t before_ns = io_now_ns(look->io);
    (void)sched_yield(); /* it does not fail on Linux */
    look->now_ns = io_now_ns(look->io);
    if (look->now_ns - before_ns >= CROWDED_NS) {
        note_crowd(looks, look->now_ns);
        return false;
    }
    if (look->now_ns < look->end_ns) {
        return true;
    }
    if (atomic_load_explicit(&looks->pause_ns, memory_order_relaxed) != 0) {
        atomic_store_explicit(&looks->pause_ns, 0, memory_order_relaxed);
    }
    return false;
}
