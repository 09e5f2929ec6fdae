/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_job.h: a job of upkeep as the tool and JSON-RPC show it. Pure but for the writer's memory;
 * any thread. */
#ifndef JSON_JOB_H
#define JSON_JOB_H

#include "render/json_writer.h"
#include "stoa.h"

/* What is not known of the time that remains is null. */
void json_job_append(struct json_writer *writer, const char *key, const struct stoa_job_info *info);

#endif
