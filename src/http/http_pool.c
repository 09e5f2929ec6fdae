/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/http_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/ensure.h"
#include "base/memory.h"

struct http_pool {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t given;
    struct http_job *first;
    struct http_job **end;
    unsigned idle;
    bool ending;
    unsigned count;
    pthread_t threads[];
};

static struct http_job *take(struct http_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->ending) {
        pool->idle++;
        pthread_cond_wait(&pool->given, &pool->lock);
        pool->idle--;
    }
    struct http_job *job = pool->first;
    if (job != NULL) {
        pool->first = job->next;
        pool->end = pool->first == NULL ? &pool->first : pool->end;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *work(void *context)
{
    struct http_pool *pool = context;
    struct http_job *job;
    while ((job = take(pool)) != NULL) {
        job->run(job);
    }
    return NULL;
}

static int start_thread(struct http_pool *pool)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the host's threads */
    int error = pthread_create(&pool->threads[pool->count], NULL, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pool->count += error == 0;
    return error;
}

int http_pool_create(unsigned threads, struct http_pool **out_pool, struct error_detail *detail)
{
    ensure(threads > 0);
    struct http_pool *pool =
        memory_alloc_zeroed(1, sizeof(*pool) + threads * sizeof(*pool->threads));
    if (pool == NULL) {
        return error_set(detail, STOA_ENOMEM, "threads of HTTP: %s", stoa_strerror(STOA_ENOMEM));
    }
    pool->end = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->given, NULL);
    for (unsigned i = 0; i < threads; i++) {
        int error = start_thread(pool);
        if (error != 0) {
            http_pool_destroy(pool);
            return error_set_errno(detail, error, "start a thread of HTTP");
        }
    }
    *out_pool = pool;
    return 0;
}

void http_pool_destroy(struct http_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->given);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    ensure(pool->first == NULL);
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->lock);
    memory_free(pool);
}

void http_pool_give(struct http_pool *pool, struct http_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    ensure(!pool->ending);
    *pool->end = job;
    pool->end = &job->next;
    bool wake = pool->idle > 0;
    pthread_mutex_unlock(&pool->lock);
    if (wake) {
        pthread_cond_signal(&pool->given);
    }
}
