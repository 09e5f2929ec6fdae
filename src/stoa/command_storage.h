/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_storage.h: where the bytes of a store are, from the command line. */
#ifndef COMMAND_STORAGE_H
#define COMMAND_STORAGE_H

#include "stoa/options.h"

/* Show tables, indexes, segments, when the jobs ran last, how the last verifications came out,
 * and what had better be done. Returns an exit status. */
int command_storage_show(const struct options *options);

#endif
