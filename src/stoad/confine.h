/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confine.h: the daemon gives up what it never needs once it serves: to start programs, to look
 * into others, to change what the system is made of. All threads, for good. Whoever found a way to
 * run code of his in it would be left with the store's files and sockets.
 *
 * What goes through a ring is not seen by such a filter. So the store's own was restricted to what
 * it needs when it was made (io_ring.c), and no other can be made any more. The unit file takes
 * more away, before the start. */
#ifndef CONFINE_H
#define CONFINE_H

#include "base/error.h"

/* STOA_ENOTSUP: this kernel has no filters. */
int confine_enter(struct error_detail *detail);

#endif
