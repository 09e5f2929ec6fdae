/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_compact.h: what giving free space inside tables back takes on. */
#ifndef JOB_COMPACT_H
#define JOB_COMPACT_H

#include "tables/kv.h"

/* Whether so much of a table of SIZE is free that compacting it is worth while. */
bool job_compact_is_worth(const struct kv_table_size *size);

#endif
