/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the bytes of the store are: answered by a worker (maint/storage_survey.h). */
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "maint/storage_survey.h"

struct querying {
    struct engine_work work;
    struct storage_survey survey;
};

/* The bytes of LIST at *AT, which moves on. */
static void *move_list(uint8_t **at, const struct buffer *list)
{
    void *to = *at;
    if (list->size != 0) {
        memcpy(to, list->data, list->size);
    }
    *at += list->size;
    return to;
}

/* The answer and its lists behind it, for who asked. */
static int join(struct querying *querying)
{
    const struct storage_survey *survey = &querying->survey;
    struct stoa_storage *storage = memory_alloc_zeroed(
        1, sizeof(*storage) + survey->tables.size + survey->indexes.size + survey->segments.size +
               survey->advice.size + survey->verified.size);
    if (storage == NULL) {
        return STOA_ENOMEM;
    }
    uint8_t *at = (uint8_t *)(storage + 1);
    *storage = survey->totals;
    storage->tables = move_list(&at, &survey->tables);
    storage->table_count = survey->tables.size / sizeof(*storage->tables);
    storage->indexes = move_list(&at, &survey->indexes);
    storage->index_count = survey->indexes.size / sizeof(*storage->indexes);
    storage->list = move_list(&at, &survey->segments);
    storage->segment_count = survey->segments.size / sizeof(*storage->list);
    storage->advice = move_list(&at, &survey->advice);
    storage->advice_count = survey->advice.size / sizeof(*storage->advice);
    storage->verifications = move_list(&at, &survey->verified);
    storage->verification_count = survey->verified.size / sizeof(*storage->verifications);
    querying->work.own->report = storage;
    return 0;
}

/* On the worker. */
static bool is_ending(void *context)
{
    struct stoa *stoa = context;
    return atomic_load_explicit(&stoa->ending, memory_order_relaxed); /* a hint only */
}

static int run_query(struct engine_work *work, struct io *io, struct kv_session *session)
{
    struct querying *querying = (struct querying *)work; /* it is first */
    int result = storage_survey_run(&querying->survey, &work->work, io, session);
    return result == 0 ? join(querying) : result;
}

static void end_query(struct engine_work *work)
{
    storage_survey_deinit(&((struct querying *)work)->survey);
}

void engine_storage_serve(struct engine_request *own)
{
    struct stoa *stoa = own->stoa;
    struct querying *querying = engine_work_make(own, sizeof(*querying));
    if (querying == NULL) {
        return;
    }
    querying->work.run = run_query;
    querying->work.end = end_query;
    querying->survey.stop = is_ending;
    querying->survey.context = stoa;
    int result = storage_survey_begin(&querying->survey, stoa->jobs, stoa->store, &stoa->verified,
                                      &stoa->maintenance);
    if (result != 0) {
        storage_survey_deinit(&querying->survey);
        memory_free(querying);
        engine_deliver_served(own, result);
        return;
    }
    engine_work_start(&querying->work);
}

int stoa_query_storage(struct stoa *stoa, struct stoa_storage **out_storage,
                       struct stoa_detail *detail)
{
    return out_storage == NULL
               ? engine_refuse(detail, STOA_EINVAL, "query storage: nowhere to put it")
               : engine_work_ask(stoa, STOA_MESSAGE_QUERY_STORAGE, NULL, (void **)out_storage,
                                 detail);
}
