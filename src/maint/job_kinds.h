/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_kinds.h: the kinds of job.def, each in its own job_NAME.c. */
#ifndef JOB_KINDS_H
#define JOB_KINDS_H

#include "maint/job.h"

#define STOA_JOB(name, text, every, bytes, operations, help) \
    extern const struct job_kind job_kind_##text;
#include "stoa/job.def"
#undef STOA_JOB

#endif
