/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks verified by the thread that stores them. A caller that waits for one block may as well do
 * the work itself: that spares two changes of thread, which take longer than the work where senders
 * are given. Where they are recovered, or blocks are submitted side by side, workers do it. */
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/prepare.h"

struct engine_prepared {
    struct prepare prepare;
    struct engine_prepared *next;
};

void engine_prepare(struct stoa *stoa, struct engine_request *own)
{
    struct store_request *request = &own->request;
    bool cheap = (request->put.skip & STOA_SKIP_SENDERS) != 0;
    if (request->kind != STORE_PUT_BLOCK || own->spare != NULL || !cheap) {
        return; /* with a spare its bytes are a copy's, which may outlive this */
    }
    pthread_mutex_lock(&stoa->done_mutex);
    struct engine_prepared *prepared = stoa->prepared;
    if (prepared != NULL) {
        stoa->prepared = prepared->next;
    }
    pthread_mutex_unlock(&stoa->done_mutex);
    if (prepared == NULL) {
        prepared = memory_alloc(sizeof(*prepared));
        if (prepared == NULL) {
            return; /* a worker does it */
        }
        prepare_init(&prepared->prepare);
    }
    prepared->prepare.put = &request->put;
    prepared->prepare.chain_id = stoa->chain_id;
    prepared->prepare.detail = (struct error_detail){.code = 0};
    (void)prepare_verify(&prepared->prepare, NULL); /* kept in prepare.result */
    own->prepared = prepared;
    request->prepared = &prepared->prepare;
}

void engine_prepare_give(struct stoa *stoa, struct engine_request *own)
{
    if (own->prepared != NULL) {
        own->prepared->next = stoa->prepared;
        stoa->prepared = own->prepared;
        own->prepared = NULL;
    }
}

void engine_prepare_free(struct stoa *stoa)
{
    while (stoa->prepared != NULL) {
        struct engine_prepared *next = stoa->prepared->next;
        prepare_deinit(&stoa->prepared->prepare);
        memory_free(stoa->prepared);
        stoa->prepared = next;
    }
}
