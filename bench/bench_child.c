/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_child.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_reads.h"
#include "bench_usage.h"

struct worker {
    const struct bench_engine_ops *ops;
    struct bench_place place;
    struct bench_engine *engine; /* NULL while closed */
    struct bench_outcome *outcome;
    struct bench_kept *kept;
    struct bench_read *reads; /* BENCH_SAMPLES_MAX */
    uint64_t memory_before;
};

static const struct bench_blocks *blocks_of(const struct worker *worker,
                                            const struct bench_order *order)
{
    return order->small ? worker->place.small_blocks : worker->place.blocks;
}

/* ---- writing ---- */

static void note_values(struct worker *worker, const struct bench_block *block)
{
    for (size_t i = 0; i < block->change_count; i++) {
        struct stoa_bytes value = block->changes[i].value;
        worker->kept->state_sums[block->key_numbers[i]] = bench_sum(value.data, value.size);
    }
}

static void note_stored(struct worker *worker, const struct bench_order *order, size_t count)
{
    size_t size;
    const struct bench_block *slice = bench_blocks_slice(blocks_of(worker, order), &size);
    worker->outcome->blocks = count;
    for (size_t i = 0; i < count; i++) {
        worker->outcome->logical += slice[i].logical_size;
        if (!order->small) {
            note_values(worker, &slice[i]);
        }
    }
    if (!order->small && count > 0 && slice[0].number == worker->kept->imported) {
        worker->kept->imported += count;
    }
    worker->outcome->backlog =
        worker->ops->backlog == NULL ? 0 : worker->ops->backlog(worker->engine);
}

static int do_import(struct worker *worker, const struct bench_order *order,
                     struct bench_fault *fault)
{
    size_t count;
    const struct bench_block *slice = bench_blocks_slice(blocks_of(worker, order), &count);
    bench_blocks_touch(blocks_of(worker, order));
    struct bench_usage begin = bench_usage_now();
    int result = worker->ops->import(worker->engine, slice, count, &worker->kept->acked, fault);
    bench_usage_store(&begin, worker->outcome);
    if (result == 0) {
        note_stored(worker, order, count);
    }
    return result;
}

static int do_commit(struct worker *worker, const struct bench_order *order,
                     struct bench_fault *fault)
{
    size_t count, done = 0;
    const struct bench_block *slice = bench_blocks_slice(blocks_of(worker, order), &count);
    bench_blocks_touch(blocks_of(worker, order));
    struct bench_usage begin = bench_usage_now();
    uint64_t before = bench_now();
    uint64_t until = before + (uint64_t)(order->seconds * 1e9);
    while (done < count && (order->whole || before < until)) {
        if (worker->ops->commit(worker->engine, &slice[done], fault) != 0) {
            return -1;
        }
        uint64_t now = bench_now();
        worker->outcome->done.took[done++] = now - before;
        before = now;
    }
    bench_usage_store(&begin, worker->outcome);
    worker->outcome->done.count = done;
    worker->kept->acked = done > 0 ? slice[done - 1].number + 1 : worker->kept->acked;
    note_stored(worker, order, done);
    return 0;
}

/* ---- beside the commits ---- */

struct beside {
    struct worker *worker;
    const struct bench_order *order;
    _Atomic bool stop;
    int result;
    struct bench_fault fault;
};

static void *read_beside(void *context)
{
    enum { READ_CHUNK = 256 };
    struct beside *beside = context;
    struct worker *worker = beside->worker;
    struct bench_samples *samples = &worker->outcome->reads;
    while (!beside->stop && samples->count + READ_CHUNK <= BENCH_SAMPLES_MAX &&
           beside->result == 0) {
        struct bench_reads reads = {
            .items = worker->reads + samples->count,
            .took = samples->took + samples->count,
            .count = READ_CHUNK,
            .depth = 1,
            .threads = 1,
            .until = UINT64_MAX,
        };
        beside->result = worker->ops->read(worker->engine, &reads, &beside->fault);
        samples->count += READ_CHUNK;
    }
    return NULL;
}

static void *upkeep_beside(void *context)
{
    struct beside *beside = context;
    struct worker *worker = beside->worker;
    bool done = true;
    while (!beside->stop && done && beside->result == 0) {
        beside->result =
            worker->ops->upkeep(worker->engine, beside->order->upkeep, &done, &beside->fault);
        worker->outcome->upkeeps += done && beside->result == 0;
    }
    return NULL;
}

static int do_beside(struct worker *worker, const struct bench_order *order,
                     struct bench_fault *fault)
{
    struct beside beside = {.worker = worker, .order = order};
    bool reads = order->action == BENCH_MIXED;
    pthread_t thread;
    if (reads) {
        bench_reads_choose(worker->place.blocks, worker->kept, order, worker->reads,
                           BENCH_SAMPLES_MAX);
    }
    if (pthread_create(&thread, NULL, reads ? read_beside : upkeep_beside, &beside) != 0) {
        return bench_fault_set(fault, "a thread could not be started");
    }
    int result = do_commit(worker, order, fault);
    beside.stop = true;
    (void)pthread_join(thread, NULL); /* created joinable */
    if (result == 0 && beside.result != 0) {
        *fault = beside.fault;
        return -1;
    }
    return result;
}

/* ---- reading ---- */

static int do_reads(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    ensure(order->count <= BENCH_SAMPLES_MAX);
    bench_reads_choose(blocks_of(worker, order), worker->kept, order, worker->reads, order->count);
    memset(worker->outcome->done.took, 0, order->count * sizeof(uint64_t));
    struct bench_usage begin = bench_usage_now();
    struct bench_reads reads = {
        .items = worker->reads,
        .took = worker->outcome->done.took,
        .count = order->count,
        .depth = order->depth,
        .threads = order->threads,
        .until = bench_now() + (uint64_t)(order->seconds * 1e9),
    };
    if (worker->ops->read(worker->engine, &reads, fault) != 0) {
        return -1;
    }
    bench_usage_store(&begin, worker->outcome);
    worker->outcome->done.count = order->count;
    return 0;
}

/* Behind a crash: what was acknowledged of the slice is there, and what was there before. */
static int do_check(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    size_t count, size;
    const struct bench_block *slice = bench_blocks_slice(blocks_of(worker, order), &size);
    for (count = 0; count < size && slice[count].number < worker->kept->acked; count++) {
        worker->reads[count] = (struct bench_read){
            .kind = BENCH_BLOCK,
            .sum = bench_sum(slice[count].block.data, slice[count].block.size),
        };
        memcpy(worker->reads[count].key, slice[count].hash, 32);
    }
    if (!order->small) {
        bench_reads_choose(worker->place.blocks, worker->kept, order, worker->reads + count,
                           order->count);
        count += order->count;
    }
    struct bench_reads reads = {
        .items = worker->reads,
        .took = worker->outcome->done.took,
        .count = count,
        .depth = 1,
        .threads = 1,
        .until = UINT64_MAX,
    };
    worker->outcome->blocks = count;
    return worker->ops->read(worker->engine, &reads, fault);
}

/* ---- orders ---- */

static int do_close(struct worker *worker, struct bench_fault *fault)
{
    struct bench_engine *engine = worker->engine;
    worker->engine = NULL;
    return engine == NULL ? 0 : worker->ops->close(engine, fault);
}

static int do_open(struct worker *worker, const struct bench_order *order,
                   struct bench_fault *fault)
{
    if (do_close(worker, fault) != 0) {
        return -1;
    }
    struct bench_setup setup = {
        .directory = worker->place.directory,
        .mode = order->mode,
        .bytes_max = worker->place.bytes_max,
    };
    struct bench_usage begin = bench_usage_now();
    int result = worker->ops->open(worker->ops, &setup, &worker->engine, fault);
    bench_usage_store(&begin, worker->outcome);
    return result;
}

static int do_order(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    struct bench_usage begin = bench_usage_now();
    int result = -1;
    switch (order->action) {
    case BENCH_OPEN:
        return do_open(worker, order, fault);
    case BENCH_IMPORT:
        return do_import(worker, order, fault);
    case BENCH_COMMIT:
        return do_commit(worker, order, fault);
    case BENCH_MIXED:
    case BENCH_UPKEEP:
        return do_beside(worker, order, fault);
    case BENCH_FLUSH:
        result = worker->ops->flush(worker->engine, fault);
        bench_usage_store(&begin, worker->outcome);
        return result;
    case BENCH_READ:
        return do_reads(worker, order, fault);
    case BENCH_CHECK:
        return do_check(worker, order, fault);
    case BENCH_CLOSE:
        result = do_close(worker, fault);
        bench_usage_store(&begin, worker->outcome);
        return result;
    }
    return bench_fault_set(fault, "no such order");
}

static void outcome_clear(struct bench_outcome *outcome)
{
    size_t head = offsetof(struct bench_outcome, done);
    memset(outcome, 0, head);
    outcome->done.count = 0;
    outcome->reads.count = 0;
}

static _Noreturn void child_main(const struct bench_child *child, const struct bench_place *place,
                                 int socket)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* without it an orphan only ends at its next order */
    struct worker worker = {
        .ops = child->ops, .place = *place, .outcome = child->outcome, .kept = child->kept};
    worker.reads = memory_alloc_zeroed(BENCH_SAMPLES_MAX, sizeof(*worker.reads));
    ensure(worker.reads != NULL);
    /* All memory of the child's own is touched before the first open: growth is the engine's. */
    memset(worker.reads, 1, BENCH_SAMPLES_MAX * sizeof(*worker.reads));
    memset(worker.outcome->done.took, 0, sizeof(worker.outcome->done.took));
    memset(worker.outcome->reads.took, 0, sizeof(worker.outcome->reads.took));
    worker.memory_before = bench_usage_memory();
    struct bench_order order;
    while (recv(socket, &order, sizeof(order), MSG_WAITALL) == (ssize_t)sizeof(order)) {
        outcome_clear(worker.outcome);
        worker.outcome->result = do_order(&worker, &order, &worker.outcome->fault);
        uint64_t memory = bench_usage_memory();
        worker.outcome->memory = memory > worker.memory_before ? memory - worker.memory_before : 0;
        if (send(socket, "", 1, MSG_NOSIGNAL) != 1) {
            break;
        }
    }
    _exit(0);
}

int bench_child_start(struct bench_child *child, const struct bench_engine_ops *ops,
                      const struct bench_place *place, struct bench_fault *fault)
{
    int sockets[2];
    child->ops = ops;
    child->pid = -1;
    child->socket = -1;
    if (child->outcome == NULL) {
        child->outcome = bench_blocks_share(sizeof(*child->outcome));
        child->kept = bench_blocks_share(sizeof(*child->kept));
    }
    if (child->outcome == NULL || child->kept == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return bench_fault_set(fault, "%s: %s", ops->name, strerror(errno));
    }
    (void)fflush(NULL); /* so that the child does not print it again */
    child->pid = fork();
    if (child->pid == 0) {
        (void)close(sockets[0]); /* the parent's */
        child_main(child, place, sockets[1]);
    }
    (void)close(sockets[1]); /* the child's */
    child->socket = sockets[0];
    return child->pid > 0 ? 0 : bench_fault_set(fault, "%s: fork: %s", ops->name, strerror(errno));
}

static int give_order(struct bench_child *child, const struct bench_order *order,
                      struct bench_fault *fault)
{
    (void)kill(child->pid, SIGCONT); /* it is ours and was not waited for */
    return send(child->socket, order, sizeof(*order), MSG_NOSIGNAL) == (ssize_t)sizeof(*order)
               ? 0
               : bench_fault_set(fault, "%s: its process died", child->ops->name);
}

int bench_child_run(struct bench_child *child, const struct bench_order *order,
                    struct bench_fault *fault)
{
    char answer = 0;
    if (give_order(child, order, fault) != 0) {
        return -1;
    }
    if (recv(child->socket, &answer, 1, MSG_WAITALL) != 1) {
        return bench_fault_set(fault, "%s: its process died", child->ops->name);
    }
    (void)kill(child->pid, SIGSTOP); /* the same */
    return child->outcome->result == 0
               ? 0
               : bench_fault_set(fault, "%s: %s", child->ops->name, child->outcome->fault.text);
}

int bench_child_kill(struct bench_child *child, const struct bench_order *order, uint64_t acked,
                     struct bench_fault *fault)
{
    enum { POLL_US = 200 };
    char answer;
    ssize_t ended = -1;
    if (give_order(child, order, fault) != 0) {
        return -1;
    }
    while (child->kept->acked < acked && ended < 0) {
        (void)usleep(POLL_US); /* shorter is as good */
        ended = recv(child->socket, &answer, 1, MSG_DONTWAIT);
    }
    (void)kill(child->pid, SIGKILL);    /* it is ours and was not waited for */
    (void)waitpid(child->pid, NULL, 0); /* killed, or it has ended */
    (void)close(child->socket);         /* nobody is at its other end */
    child->pid = -1;
    child->socket = -1;
    return child->kept->acked >= acked
               ? 0
               : bench_fault_set(fault, "%s: it failed before it could be killed: %s",
                                 child->ops->name, child->outcome->fault.text);
}

void bench_child_stop(struct bench_child *child)
{
    if (child->socket >= 0) {
        /* The child ends when it sees this. Closing would not do: later children hold copies. */
        (void)shutdown(child->socket, SHUT_RDWR);
        (void)close(child->socket);
        child->socket = -1;
    }
    if (child->pid > 0) {
        (void)kill(child->pid, SIGCONT);
        (void)waitpid(child->pid, NULL, 0); /* how it ended was told by its last answer */
        child->pid = -1;
    }
    if (child->outcome != NULL) {
        (void)munmap(child->outcome, sizeof(*child->outcome)); /* valid mapping */
        child->outcome = NULL;
    }
    if (child->kept != NULL) {
        (void)munmap(child->kept, sizeof(*child->kept)); /* valid mapping */
        child->kept = NULL;
    }
}
