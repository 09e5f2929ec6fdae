/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interrupt.h: SIGINT and SIGTERM ask a long command to stop in order; a second one ends the
 * process at once, which a store survives. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

/* From now on the first signal is only noted, and ends a blocking system call with EINTR. */
void interrupt_catch(void);

bool interrupt_requested(void);

/* Wait until FD can be read without waiting, or has failed or ended. False: it cannot, and it is
 * requested to stop; also where the signal came before the wait, which EINTR would not tell. */
bool interrupt_wait_readable(int fd);

#endif
