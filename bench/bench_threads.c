/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_threads.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/ensure.h"

/* What the threads of one call share. */
struct sharing {
    struct bench_engine *engine;
    const struct bench_reads *reads;
    const struct bench_threads_ops *ops;
    atomic_size_t next;
    atomic_flag failed; /* who sets it fills the fault, which is looked at after all have ended */
    bool wrong;
    struct bench_fault fault;
};

static int read_one(struct sharing *sharing, void *reader, size_t index, struct bench_fault *fault)
{
    const struct bench_read *read = &sharing->reads->items[index];
    uint64_t sum = 0;
    uint64_t begun = bench_now();
    if (sharing->ops->read(sharing->engine, reader, read, &sum, fault) != 0) {
        return -1;
    }
    uint64_t took = bench_now() - begun;
    sharing->reads->took[index] = took > 0 ? took : 1;
    return bench_read_check(read, sum, fault);
}

static int read_some(struct sharing *sharing, struct bench_fault *fault)
{
    void *reader = NULL;
    int result = 0;
    if (sharing->ops->begin != NULL && sharing->ops->begin(sharing->engine, &reader, fault) != 0) {
        return -1;
    }
    while (result == 0 && bench_now() < sharing->reads->until) {
        size_t index = atomic_fetch_add_explicit(&sharing->next, 1, memory_order_relaxed);
        if (index >= sharing->reads->count) {
            break;
        }
        result = read_one(sharing, reader, index, fault);
    }
    if (sharing->ops->end != NULL) {
        sharing->ops->end(reader);
    }
    return result;
}

static void *thread_main(void *context)
{
    struct sharing *sharing = context;
    struct bench_fault fault;
    if (read_some(sharing, &fault) != 0 && !atomic_flag_test_and_set(&sharing->failed)) {
        sharing->wrong = true;
        sharing->fault = fault;
        atomic_store(&sharing->next, sharing->reads->count); /* the others may stop */
    }
    return NULL;
}

int bench_threads_run(struct bench_engine *engine, const struct bench_reads *reads, unsigned count,
                      const struct bench_threads_ops *ops, struct bench_fault *fault)
{
    ensure(count > 0);
    ensure(count <= BENCH_THREADS_MAX);
    struct sharing sharing = {
        .engine = engine, .reads = reads, .ops = ops, .failed = ATOMIC_FLAG_INIT};
    pthread_t threads[BENCH_THREADS_MAX];
    unsigned started = 0;
    while (count > 1 && started < count &&
           pthread_create(&threads[started], NULL, thread_main, &sharing) == 0) {
        started++;
    }
    if (count == 1) {
        (void)thread_main(&sharing); /* how it went is in SHARING */
    }
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL); /* they were created joinable */
    }
    if (count > 1 && started < count) {
        return bench_fault_set(fault, "only %u of %u threads could be started", started, count);
    }
    if (sharing.wrong) {
        *fault = sharing.fault;
    }
    return sharing.wrong ? -1 : 0;
}
