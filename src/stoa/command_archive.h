/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_archive.h: what is in the archive, from the command line. */
#ifndef COMMAND_ARCHIVE_H
#define COMMAND_ARCHIVE_H

#include "stoa/options.h"

/* Show each packed segment that has blocks between --from and --to, and what all come to. Returns
 * an exit status. */
int command_archive_list(const struct options *options);

#endif
