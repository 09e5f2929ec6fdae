/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers on their way out: to who waits, or into the queue of completions until they are reaped.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "engine/engine_private.h"

/* Of a block that verified once; so its first field is a header. */
struct stoa_header engine_completion_header(const struct stoa_block *block)
{
    struct bytes cursor = bytes_of(block->block.data, block->block.size);
    struct bytes fields = cursor;
    struct rlp_item item = {.encoding = cursor};
    bool is_block =
        rlp_read_list(&cursor, &fields, NULL) == 0 && rlp_read(&fields, &item, NULL) == 0;
    ensure(is_block);
    struct stoa_header header = {
        .height = block->height,
        .canonical = block->canonical,
        .header = {item.encoding.data, item.encoding.size},
        .view = block->view,
    };
    memcpy(header.hash, block->hash, 32);
    memcpy(header.total_difficulty, block->total_difficulty, 32);
    return header;
}

/* What the engine served: there also where verification found damage. */
static void fill_served(const struct engine_request *own, struct stoa_completion *out)
{
    switch ((int)own->what) {
    case STOA_MESSAGE_GET_HEAD:
        out->head = own->head;
        break;
    case STOA_MESSAGE_GET_STATS:
        out->stats = own->report;
        break;
    case STOA_MESSAGE_GET_CACHE_STATS:
        out->cache_stats = own->report;
        break;
    case STOA_MESSAGE_GET_HEALTH:
        out->health = own->report;
        break;
    case STOA_MESSAGE_GET_BRANCHES:
        out->branches = own->report;
        out->branch_count = own->report_count;
        break;
    case STOA_MESSAGE_VERIFY:
    case STOA_MESSAGE_LIST_DAMAGES:
        out->verified = own->report;
        out->damages = own->damages;
        out->damage_count = own->report_count;
        break;
    case STOA_MESSAGE_ANALYZE_STORE:
        out->analysis = own->report;
        break;
    case STOA_MESSAGE_LIST_SNAPSHOTS:
        out->copies = own->report;
        out->copy_count = own->report_count;
        break;
    case STOA_MESSAGE_QUERY_ARCHIVE:
        out->archive = own->report;
        break;
    case STOA_MESSAGE_QUERY_STORAGE:
        out->storage = own->report;
        break;
    case STOA_MESSAGE_LIST_JOBS:
        out->jobs = own->report;
        out->job_count = own->report_count;
        break;
    default:
        if (engine_jobs_find(own->what) >= 0) {
            out->jobs = own->report;
            out->job_count = own->report_count;
        }
        break;
    }
}

void engine_completion_drop(struct stoa_completion *completion)
{
    stoa_release(completion->transaction.block.view);
    stoa_release(completion->block.view);
    stoa_release(completion->header.view);
    for (size_t i = 0; i < completion->block_count; i++) {
        stoa_release(completion->blocks[i].view);
    }
    memory_free((void *)(uintptr_t)completion->value.data);
    memory_free(completion->blocks);
    memory_free(completion->proof);
    memory_free(completion->logs.logs);
    memory_free(completion->history.entries);
    memory_free(completion->headers.headers);
    memory_free(completion->stats);
    memory_free(completion->cache_stats);
    memory_free(completion->health);
    memory_free(completion->branches);
    memory_free(completion->verified);
    memory_free(completion->damages);
    memory_free(completion->analysis);
    memory_free(completion->jobs);
    memory_free(completion->copies);
    memory_free(completion->archive);
    memory_free(completion->storage);
}

void engine_completion_fill(const struct engine_request *own, struct stoa_completion *out)
{
    const struct store_request *request = &own->request;
    *out = (struct stoa_completion){
        .tag = own->tag,
        .correlation_id = own->entry.id,
        .message = own->what,
        .tries = own->tries,
        .effect = request->result == 0 ? STOA_EFFECT_DONE
                  : request->appended  ? STOA_EFFECT_UNKNOWN
                                       : STOA_EFFECT_NONE,
        .result = request->result,
    };
    engine_tell(&out->detail, &request->detail);
    if (own->serve != NULL) {
        fill_served(own, out);
        return;
    }
    if (request->kind == STORE_PUT_BLOCK || request->kind >= STORE_UPDATE_HEAD) {
        memcpy(out->hash, request->hash, 32);
        out->height = request->height;
    }
    if (request->result != 0) {
        return;
    }
    if (own->what == STOA_MESSAGE_GET_HEADER) {
        out->header = engine_completion_header(&request->block);
    } else if (request->kind == STORE_GET_BLOCK) {
        out->block = request->block;
    } else if (request->kind == STORE_GET_TRANSACTION) {
        out->transaction = request->transaction;
    } else if (request->kind == STORE_QUERY_LOGS) {
        out->logs = request->logs;
    } else if (request->kind == STORE_QUERY_HISTORY) {
        out->history = request->history;
    } else if (request->kind == STORE_GET_RANGE) {
        out->blocks = request->blocks;
        out->block_count = request->block_count;
    } else if (request->kind == STORE_GET_HEADERS) {
        out->headers = request->headers;
    } else if (request->kind == STORE_GET_PROOF) {
        out->proof = request->proof;
    } else if (request->kind == STORE_GET_STATE_ROOT) {
        memcpy(out->hash, request->hash, 32);
    } else if (request->kind == STORE_GET_ACCOUNT) {
        out->account = request->account;
    } else if (request->kind == STORE_GET_STATE || request->kind == STORE_GET_STORAGE ||
               request->kind == STORE_GET_CODE) {
        out->value = (struct stoa_bytes){request->value.data, request->value.size};
    }
}

void engine_tell_answer(struct stoa *stoa, struct engine_request *own)
{
    engine_metrics_answered(own);
    engine_batch_explain(own);
    if (own->waiter != NULL) {
        own->waiter->answer = own;
        sem_post(&own->waiter->answered);
        return;
    }
    pthread_mutex_lock(&stoa->done_mutex);
    bool first = stoa->done_first == NULL;
    own->next = NULL;
    if (first) {
        stoa->done_last = &stoa->done_first;
    }
    *stoa->done_last = own;
    stoa->done_last = &own->next;
    if (stoa->waiting != 0) {
        pthread_cond_signal(&stoa->done_changed);
    }
    if (first && stoa->done_fd >= 0) {
        (void)eventfd_write(stoa->done_fd, 1); /* it cannot overflow: reap takes it back to 0 */
    }
    pthread_mutex_unlock(&stoa->done_mutex);
}

/* Wait with the mutex held until something is done, nothing is under way, or the time has passed.
 */
static void wait_for_completion(struct stoa *stoa, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    int waited = 0;
    stoa->waiting++;
    while (stoa->done_first == NULL && stoa->under_way != 0 && waited == 0) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&stoa->done_changed, &stoa->done_mutex);
        } else {
            waited = pthread_cond_timedwait(&stoa->done_changed, &stoa->done_mutex, &until);
        }
    }
    stoa->waiting--;
}

int stoa_reap(struct stoa *stoa, struct stoa_completion *out, unsigned count, int timeout_ms)
{
    if (stoa->remote != NULL) {
        return stoa->remote->reap(stoa->remote_state, out, count, timeout_ms);
    }
    unsigned taken = 0;
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_first == NULL && timeout_ms != 0) {
        wait_for_completion(stoa, timeout_ms);
    }
    while (taken < count && stoa->done_first != NULL) {
        struct engine_request *own = stoa->done_first;
        stoa->done_first = own->next;
        engine_completion_fill(own, &out[taken++]);
        if (own->spare != NULL) {
            engine_request_to_pool(stoa, own->spare);
        }
        engine_request_to_pool(stoa, own);
    }
    if (taken != 0 && stoa->done_first == NULL && stoa->done_fd >= 0) {
        eventfd_t ignored;
        (void)eventfd_read(stoa->done_fd, &ignored); /* empty again; EAGAIN where it was already */
    }
    engine_request_count_down(stoa, taken);
    pthread_mutex_unlock(&stoa->done_mutex);
    return (int)taken;
}

int stoa_completion_fd(struct stoa *stoa)
{
    if (stoa->remote != NULL) {
        return stoa->remote->completion_fd(stoa->remote_state);
    }
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_fd < 0) {
        stoa->done_fd = eventfd(stoa->done_first != NULL, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    int fd = stoa->done_fd < 0 ? error_from_errno(errno) : stoa->done_fd;
    pthread_mutex_unlock(&stoa->done_mutex);
    return fd;
}
