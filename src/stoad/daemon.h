/* SPDX-License-Identifier: GPL-3.0-or-later */
/* daemon.h: a store, the server on it, and what the outside tells them: signals and the service
 * manager.
 *
 * Signals are blocked everywhere and taken by a thread of their own. SIGTERM, SIGINT: stop in
 * order; a second one, or the first while the store is opened, ends the process at once, which the
 * store survives. SIGHUP: read the file of settings again, and take from it what can change. */
#ifndef DAEMON_H
#define DAEMON_H

#include "stoad/settings.h"

/* Exit statuses, documented in stoad(8). */
enum {
    DAEMON_DONE = 0,
    DAEMON_FAILED = 1,
    DAEMON_NO_STORE = 3,
    DAEMON_DAMAGE = 4,
};

/* Open, serve until told to stop, close. Returns the exit status. LINE as it was given: SETTINGS
 * are its, and those of the file. */
int daemon_run(struct settings *settings, const struct settings_line *line);

#endif
