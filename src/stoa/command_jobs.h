/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_jobs.h: jobs of upkeep from the command line: one is run and waited for, with its
 * progress; all are listed, paused, resumed, canceled. */
#ifndef COMMAND_JOBS_H
#define COMMAND_JOBS_H

#include "stoa/command.h"
#include "stoa/sheet.h"

/* Open the store of OPTIONS, run JOB (flags of the line are added), show how it ended: its results
 * by name, or a JSON object. An interrupt ends it so that it can go on. Returns an exit status. */
int command_jobs_run(const struct options *options, const struct stoa_job_options *job);

/* Run JOB on an open store, with interrupts caught, to its end, showing its progress. An exit
 * status: on COMMAND_DONE *OUT tells how it ended, and its jobs are the caller's to free. */
int command_jobs_wait(struct stoa *stoa, const struct stoa_job_options *job,
                      struct stoa_completion *out);

/* A line about a job: what it does now, when it ran last and how that ended. */
void command_jobs_add(struct sheet *sheet, const struct stoa_job_info *info);

#endif
