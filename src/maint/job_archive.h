/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_archive.h: what is packed. */
#ifndef JOB_ARCHIVE_H
#define JOB_ARCHIVE_H

#include <stdint.h>

#include "stoa.h"

/* The highest block that may be packed where DEPTH blocks back from HEAD, which has a finalized
 * block, stay as they are; 0: only what is not finalized does. */
uint64_t job_archive_limit(const struct stoa_head *head, uint64_t depth);

#endif
