/* SPDX-License-Identifier: GPL-3.0-or-later */
/* storage_survey.h: where the bytes of a store are: what the loop knows is taken first, then a
 * worker asks tables, segments and snapshots for the rest, beside everything else. */
#ifndef STORAGE_SURVEY_H
#define STORAGE_SURVEY_H

#include "maint/advice.h"
#include "maint/job.h"
#include "maint/verify_notes.h"

struct storage_survey {
    struct stoa_storage totals; /* its lists are these: */
    struct buffer tables;       /* of struct stoa_storage_table */
    struct buffer indexes;      /* of struct stoa_storage_index */
    struct buffer segments;     /* of struct stoa_storage_segment */
    struct buffer advice;       /* of struct stoa_storage_advice */
    struct buffer verified;     /* of struct stoa_verification */

    /* The module's. */
    bool (*stop)(void *context);
    void *context;
    struct buffer unsealed;   /* segments, as told by the loop */
    struct buffer damaged;    /* numbers of segments that scrubbing found damaged */
    struct prune_floors kept; /* what is below is dead */
    uint32_t sealed;          /* segments up to this */
    uint32_t thin_last;       /* and those that are taken on by pruning and archiving */
    uint64_t archive_to;      /* heights up to this may be packed, as it is set; 0: none */
    struct advice_facts facts;
    struct stoa_verification newest; /* that is among them */
};

/* On the loop. STOP is polled by the worker: true ends it with STOA_ECANCELED. STOA_ENOMEM. Then
 * storage_survey_deinit in any case. */
int storage_survey_begin(struct storage_survey *survey, struct jobs *jobs, struct store *store,
                         const struct verify_notes *notes, const struct stoa_maintenance *settings);
/* On a worker, in WORK's run. */
int storage_survey_run(struct storage_survey *survey, struct store_work *work, struct io *io,
                       struct kv_session *session);
void storage_survey_deinit(struct storage_survey *survey);

#endif
