/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/aside.h"

#include <pthread.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/server.h"
#include "stoa/error.h"

struct aside {
    struct server *server;
    unsigned under_way; /* the loop's */
    unsigned thread_count;
    pthread_t threads[ASIDE_THREADS];
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    pthread_cond_t finished;
    bool ending;
    struct aside_job *first;
    struct aside_job **last;
    struct aside_job *ended;
};

static void *run_thread(void *context)
{
    struct aside *aside = context;
    pthread_mutex_lock(&aside->mutex);
    for (;;) {
        struct aside_job *job = aside->first;
        if (job == NULL) {
            if (aside->ending) {
                break;
            }
            pthread_cond_wait(&aside->changed, &aside->mutex);
            continue;
        }
        aside->first = job->next;
        if (aside->first == NULL) {
            aside->last = &aside->first;
        }
        pthread_mutex_unlock(&aside->mutex);
        job->run(job);
        pthread_mutex_lock(&aside->mutex);
        job->next = aside->ended;
        aside->ended = job;
        pthread_cond_signal(&aside->finished);
        server_wake(aside->server);
    }
    pthread_mutex_unlock(&aside->mutex);
    return NULL;
}

int aside_create(struct server *server, struct aside **out_aside)
{
    struct aside *aside = memory_alloc_zeroed(1, sizeof(*aside));
    if (aside == NULL) {
        return STOA_ENOMEM;
    }
    aside->server = server;
    aside->last = &aside->first;
    pthread_mutex_init(&aside->mutex, NULL);
    pthread_cond_init(&aside->changed, NULL);
    pthread_cond_init(&aside->finished, NULL);
    while (aside->thread_count < ASIDE_THREADS) {
        if (pthread_create(&aside->threads[aside->thread_count], NULL, run_thread, aside) != 0) {
            aside_destroy(aside);
            return STOA_EIO;
        }
        aside->thread_count++;
    }
    *out_aside = aside;
    return 0;
}

void aside_destroy(struct aside *aside)
{
    if (aside == NULL) {
        return;
    }
    ensure(aside->under_way == 0);
    pthread_mutex_lock(&aside->mutex);
    aside->ending = true;
    pthread_cond_broadcast(&aside->changed);
    pthread_mutex_unlock(&aside->mutex);
    for (unsigned i = 0; i < aside->thread_count; i++) {
        pthread_join(aside->threads[i], NULL);
    }
    pthread_cond_destroy(&aside->changed);
    pthread_cond_destroy(&aside->finished);
    pthread_mutex_destroy(&aside->mutex);
    memory_free(aside);
}

bool aside_begin(struct aside *aside, struct aside_job *job)
{
    if (aside->under_way == ASIDE_JOBS_MAX) {
        return false;
    }
    aside->under_way++;
    job->next = NULL;
    pthread_mutex_lock(&aside->mutex);
    *aside->last = job;
    aside->last = &job->next;
    pthread_cond_signal(&aside->changed);
    pthread_mutex_unlock(&aside->mutex);
    return true;
}

void aside_finish(struct aside *aside)
{
    while (aside->under_way != 0) {
        pthread_mutex_lock(&aside->mutex);
        while (aside->ended == NULL) {
            pthread_cond_wait(&aside->finished, &aside->mutex);
        }
        pthread_mutex_unlock(&aside->mutex);
        aside_take(aside);
    }
}

void aside_take(struct aside *aside)
{
    if (aside->under_way == 0) {
        return;
    }
    pthread_mutex_lock(&aside->mutex);
    struct aside_job *job = aside->ended;
    aside->ended = NULL;
    pthread_mutex_unlock(&aside->mutex);
    while (job != NULL) {
        struct aside_job *next = job->next;
        aside->under_way--;
        job->done(job);
        job = next;
    }
}
