/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_threads.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/ensure.h"

/* What the threads of one call share. */
struct sharing {
    struct bench_engine *engine;
    const struct bench_reads *reads;
    bench_threads_read read;
    atomic_size_t next;
    atomic_flag failed; /* who sets it fills the fault, which is looked at after all have ended */
    bool wrong;
    struct bench_fault fault;
};

static void *read_some(void *context)
{
    struct sharing *sharing = context;
    for (;;) {
        struct bench_fault fault;
        size_t index = atomic_fetch_add_explicit(&sharing->next, 1, memory_order_relaxed);
        if (index >= sharing->reads->count) {
            return NULL;
        }
        if (sharing->read(sharing->engine, sharing->reads, index, &fault) != 0 &&
            !atomic_flag_test_and_set(&sharing->failed)) {
            sharing->wrong = true;
            sharing->fault = fault;
            atomic_store(&sharing->next, sharing->reads->count); /* the others may stop */
        }
    }
}

int bench_threads_run(struct bench_engine *engine, const struct bench_reads *reads, unsigned count,
                      bench_threads_read read, struct bench_fault *fault)
{
    ensure(count > 0 && count <= BENCH_THREADS_MAX);
    struct sharing sharing = {
        .engine = engine, .reads = reads, .read = read, .failed = ATOMIC_FLAG_INIT};
    pthread_t threads[BENCH_THREADS_MAX];
    unsigned started = 0;
    while (count > 1 && started < count &&
           pthread_create(&threads[started], NULL, read_some, &sharing) == 0) {
        started++;
    }
    if (count == 1) {
        (void)read_some(&sharing); /* how it went is in SHARING */
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
