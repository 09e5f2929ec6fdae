/* SPDX-License-Identifier: GPL-3.0-or-later */
/* notify.h: what sd_notify(3) tells a supervisor, in one datagram: without it nothing is said. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>

/* STATE as sd_notify(3) has it, such as "READY=1". False: nobody listens, or it did not arrive. */
bool notify_send(const char *state);

/* Whether the supervisor wants "WATCHDOG=1" from this process now and then. */
bool notify_wants_watchdog(void);

#endif
