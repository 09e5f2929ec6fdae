/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "support/made_random.h"

/* What the child remembers of a block, to ask for it and check what comes. */
struct memo {
    uint8_t hash[32];
    uint64_t block_sum;
    uint64_t receipts_sum;
    uint64_t senders_sum;
};

struct worker {
    const struct bench_engine_ops *ops;
    struct bench_setup setup;
    uint64_t seed;
    uint64_t chain_next;         /* block of the chain */
    struct bench_engine *engine; /* NULL while closed */
    struct bench_outcome *outcome;
    struct made_load *load;
    struct made_load_block *blocks; /* BENCH_SLICE_MAX */
    struct memo *memos;
    uint64_t height; /* blocks made so far: the next number */
    struct bench_read *reads;
    uint64_t newest; /* the height for which newest_keys was made */
    uint8_t *key_seen;
    struct bench_read *newest_states;
    size_t newest_state_count;
    uint64_t memory_before;
};

struct usage {
    uint64_t time;
    double cpu;
    uint64_t written;
};

/* ---- measuring ---- */

/* The number after NAME in a file of /proc; 0 where it is not there. */
static uint64_t proc_number(const char *path, const char *name)
{
    char line[256];
    uint64_t value = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtoull(line + strlen(name), NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file); /* was only read */
    }
    return value;
}

static uint64_t memory_now(void)
{
    return proc_number("/proc/self/status", "RssAnon:") * 1024;
}

static struct usage usage_now(void)
{
    struct rusage usage;
    ensure(getrusage(RUSAGE_SELF, &usage) == 0);
    return (struct usage){
        .time = bench_now(),
        .cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
               1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
        .written = proc_number("/proc/self/io", "write_bytes:"),
    };
}

static void usage_store(const struct usage *begin, uint64_t acknowledged,
                        struct bench_outcome *outcome)
{
    struct usage end = usage_now();
    outcome->seconds = 1e-9 * (double)(acknowledged - begin->time);
    outcome->settle_seconds = 0;
    outcome->cpu_seconds = end.cpu - begin->cpu;
    outcome->written = end.written - begin->written;
}

/* Wait for the work that the engine does in the background to end: it says that nothing is left,
 * and has done nothing for a while. What counts is the time in which it worked, not the time in
 * which it only waited for a timer (Stoa lets a batch grow up to a second old). */
static int settle(struct worker *worker, struct bench_fault *fault)
{
    enum { TICK_US = 10000, QUIET_TICKS = 4, ASK_TICKS = 10 };
    const double tick_cpu_min = 0.1 * TICK_US * 1e-6;
    struct usage before = usage_now();
    double worked = 0;
    unsigned quiet = 0;
    int busy = 0;
    do {
        (void)usleep(TICK_US);
        struct usage now = usage_now();
        if (now.cpu - before.cpu >= tick_cpu_min || now.written > before.written) {
            worked += 1e-9 * (double)(now.time - before.time);
            quiet = 0;
        } else {
            quiet++;
        }
        before = now;
        if (quiet >= QUIET_TICKS && (quiet - QUIET_TICKS) % ASK_TICKS == 0) {
            busy = worker->ops->busy(worker->engine, fault); /* asking costs: not every time */
            before = usage_now();
        }
    } while (busy > 0 || (busy == 0 && quiet < QUIET_TICKS));
    worker->outcome->settle_seconds = worked;
    return busy;
}

/* ---- writing ---- */

static void make_blocks(struct worker *worker, size_t count)
{
    static const uint8_t no_parent[32];
    ensure(count <= BENCH_SLICE_MAX && worker->height + count <= worker->setup.blocks_max);
    worker->outcome->logical = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = worker->height++;
        struct made_load_block *block = &worker->blocks[i];
        struct memo *memo = &worker->memos[number];
        made_load_make(worker->load, number, number == 0 ? no_parent : (memo - 1)->hash, block);
        if (worker->ops->wants_postings) {
            made_load_index(block);
        }
        memcpy(memo->hash, block->hash, 32);
        memo->block_sum = bench_sum(block->block.data, block->block.size);
        memo->receipts_sum = bench_sum(block->receipts.data, block->receipts.size);
        memo->senders_sum = bench_sum(block->senders, sizeof(block->senders));
        worker->outcome->logical += made_load_logical_size(block);
    }
}

/* All is acknowledged: wait for what it left in the background, note what was used. */
static int store_settled(struct worker *worker, const struct usage *begin, uint64_t acknowledged,
                         struct bench_fault *fault)
{
    if (settle(worker, fault) != 0) {
        return -1;
    }
    double settled = worker->outcome->settle_seconds;
    usage_store(begin, acknowledged, worker->outcome);
    worker->outcome->settle_seconds = settled;
    return 0;
}

static int do_writes(struct worker *worker, const struct bench_order *order,
                     struct bench_fault *fault)
{
    make_blocks(worker, order->count);
    struct usage begin = usage_now();
    if (order->action == BENCH_IMPORT) {
        if (worker->ops->import(worker->engine, worker->blocks, order->count, fault) != 0) {
            return -1;
        }
    } else {
        for (size_t i = 0; i < order->count; i++) {
            uint64_t before = bench_now();
            if (worker->ops->commit(worker->engine, &worker->blocks[i], fault) != 0) {
                return -1;
            }
            worker->outcome->samples[i] = bench_now() - before;
        }
        worker->outcome->sample_count = order->count;
    }
    return store_settled(worker, &begin, bench_now(), fault);
}

static int do_chain(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    const struct made_chain *chain = worker->setup.chain;
    uint64_t first = worker->chain_next;
    worker->chain_next += order->count;
    worker->outcome->logical = 0;
    worker->outcome->transactions = 0;
    for (uint64_t i = first; i < worker->chain_next; i++) {
        const struct made_block *block = made_chain_block(chain, i);
        ensure(block != NULL);
        worker->outcome->logical += block->block.size + block->receipts.size + block->senders.size;
        worker->outcome->transactions += block->transaction_count;
    }
    struct usage begin = usage_now();
    if (worker->ops->import_chain(worker->engine, chain, first, order->count, fault) != 0) {
        return -1;
    }
    return store_settled(worker, &begin, bench_now(), fault);
}

/* ---- reading ---- */

static uint64_t newest_first(const struct worker *worker)
{
    return worker->height > BENCH_NEWEST ? worker->height - BENCH_NEWEST : 0;
}

/* The values that the newest blocks left: going back from the head, the first of each key. */
static void collect_states(struct worker *worker)
{
    static const uint8_t no_parent[32];
    if (worker->newest == worker->height) {
        return;
    }
    worker->newest = worker->height;
    worker->newest_state_count = 0;
    memset(worker->key_seen, 0, MADE_LOAD_KEYS);
    for (uint64_t number = worker->height; number-- > newest_first(worker);) {
        struct made_load_block *block = &worker->blocks[0];
        made_load_make(worker->load, number,
                       number == 0 ? no_parent : worker->memos[number - 1].hash, block);
        for (unsigned i = 0; i < MADE_LOAD_CHANGES; i++) {
            if (worker->key_seen[block->key_numbers[i]] != 0) {
                continue;
            }
            worker->key_seen[block->key_numbers[i]] = 1;
            struct bench_read *read = &worker->newest_states[worker->newest_state_count++];
            read->number = number;
            read->sum = bench_sum(block->changes[i].value.data, block->changes[i].value.size);
            memcpy(read->key, block->changes[i].key.data, 32);
        }
    }
}

static int set_transaction_read(struct worker *worker, uint64_t number, struct made_random *random,
                                struct bench_read *read)
{
    static const uint8_t no_parent[32];
    struct made_load_block *block = &worker->blocks[number % BENCH_SLICE_MAX];
    if (block->number != number || block->block.size == 0) {
        made_load_make(worker->load, number,
                       number == 0 ? no_parent : worker->memos[number - 1].hash, block);
    }
    uint32_t index = (uint32_t)made_random_below(random, MADE_LOAD_TRANSACTIONS);
    memcpy(read->key, block->transaction_hashes[index], 32);
    if (bench_sum_transaction(buffer_bytes(&block->block), buffer_bytes(&block->receipts), index,
                              &read->sum) != 0) {
        return -1;
    }
    read->sum ^= bench_sum(block->senders[index], 20);
    return 0;
}

static void set_block_read(const struct memo *memo, enum bench_kind kind, struct bench_read *read)
{
    memcpy(read->key, memo->hash, 32);
    read->sum = kind == BENCH_BLOCK      ? memo->block_sum
                : kind == BENCH_RECEIPTS ? memo->receipts_sum
                                         : memo->block_sum ^ memo->receipts_sum ^ memo->senders_sum;
}

static int prepare_newest(struct worker *worker, const struct bench_order *order,
                          struct bench_fault *fault)
{
    struct made_random random = made_random_of(order->salt, 5);
    if (order->kind == BENCH_STATE) {
        collect_states(worker);
    }
    uint64_t first = newest_first(worker);
    for (size_t i = 0; i < order->count; i++) {
        struct bench_read *read = &worker->reads[i];
        uint64_t number = first + made_random_below(&random, worker->height - first);
        read->number = number;
        if (order->kind == BENCH_STATE) {
            *read = worker->newest_states[made_random_below(&random, worker->newest_state_count)];
        } else if (order->kind != BENCH_TRANSACTION) {
            set_block_read(&worker->memos[number], order->kind, read);
        } else if (set_transaction_read(worker, number, &random, read) != 0) {
            return bench_fault_set(fault, "made block %llu is damaged", (unsigned long long)number);
        }
    }
    return 0;
}

/* COUNT distinct blocks in random order. */
static void prepare_all(struct worker *worker, const struct bench_order *order)
{
    struct made_random random = made_random_of(order->salt, 6);
    uint64_t total = worker->height;
    uint32_t *numbers = memory_alloc_zeroed(total, sizeof(*numbers));
    ensure(numbers != NULL && order->count <= total);
    for (uint64_t i = 0; i < total; i++) {
        numbers[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < order->count; i++) {
        uint64_t j = i + made_random_below(&random, total - i);
        uint32_t number = numbers[j];
        numbers[j] = numbers[i];
        worker->reads[i].number = number;
        set_block_read(&worker->memos[number], order->kind, &worker->reads[i]);
    }
    memory_free(numbers);
}

static int do_reads(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    ensure(order->count <= BENCH_SAMPLES_MAX && worker->height > 0);
    if (order->action == BENCH_READ_ALL) {
        prepare_all(worker, order);
    } else if (prepare_newest(worker, order, fault) != 0) {
        return -1;
    }
    struct bench_reads reads = {
        .kind = order->kind,
        .depth = order->depth,
        .threads = order->threads,
        .items = worker->reads,
        .took = worker->outcome->samples,
        .count = order->count,
    };
    struct usage begin = usage_now();
    if (worker->ops->read(worker->engine, &reads, fault) != 0) {
        return -1;
    }
    usage_store(&begin, bench_now(), worker->outcome);
    worker->outcome->sample_count = order->count;
    return 0;
}

/* ---- orders ---- */

static int do_close(struct worker *worker, struct bench_fault *fault)
{
    if (worker->engine == NULL) {
        return 0;
    }
    struct bench_engine *engine = worker->engine;
    worker->engine = NULL;
    return worker->ops->close(engine, fault);
}

static int do_order(struct worker *worker, const struct bench_order *order,
                    struct bench_fault *fault)
{
    int result = 0;
    struct usage begin = usage_now();
    switch (order->action) {
    case BENCH_OPEN:
        if (do_close(worker, fault) != 0) {
            return -1;
        }
        begin = usage_now();
        if (order->mode == BENCH_MODE_CHAIN && worker->setup.chain == NULL) {
            worker->setup.chain = made_chain_create(worker->seed, worker->setup.chain_blocks);
            worker->chain_next = made_chain_first(worker->setup.chain);
            begin = usage_now();
        }
        result = worker->ops->open(&worker->setup, order->mode, &worker->engine, fault);
        usage_store(&begin, bench_now(), worker->outcome);
        return result;
    case BENCH_IMPORT:
    case BENCH_COMMIT:
        return do_writes(worker, order, fault);
    case BENCH_IMPORT_CHAIN:
        return do_chain(worker, order, fault);
    case BENCH_FLUSH:
        result = worker->ops->flush(worker->engine, fault);
        return result != 0 ? -1 : store_settled(worker, &begin, bench_now(), fault);
    case BENCH_READ_NEWEST:
    case BENCH_READ_ALL:
        return do_reads(worker, order, fault);
    case BENCH_CLOSE:
        result = do_close(worker, fault);
        usage_store(&begin, bench_now(), worker->outcome);
        return result;
    }
    return bench_fault_set(fault, "no such order");
}

/* All memory of the child's own is touched before the first open, so that growth is the engine's.
 */
static void worker_init(struct worker *worker, uint64_t seed)
{
    worker->load = made_load_create(seed);
    worker->blocks = memory_alloc_zeroed(BENCH_SLICE_MAX, sizeof(*worker->blocks));
    worker->memos = memory_alloc_zeroed(worker->setup.blocks_max, sizeof(*worker->memos));
    worker->reads = memory_alloc_zeroed(BENCH_SAMPLES_MAX, sizeof(*worker->reads));
    worker->key_seen = memory_alloc_zeroed(MADE_LOAD_KEYS, 1);
    worker->newest_states = memory_alloc_zeroed((size_t)BENCH_NEWEST * MADE_LOAD_CHANGES,
                                                sizeof(*worker->newest_states));
    ensure(worker->blocks != NULL && worker->memos != NULL && worker->reads != NULL &&
           worker->key_seen != NULL && worker->newest_states != NULL);
    static const uint8_t no_parent[32];
    for (size_t i = 0; i < BENCH_SLICE_MAX; i++) {
        made_load_make(worker->load, i, no_parent, &worker->blocks[i]);
        worker->blocks[i].number = UINT64_MAX; /* not a block of the chain */
    }
    memset(worker->memos, 1, worker->setup.blocks_max * sizeof(*worker->memos));
    memset(worker->reads, 1, BENCH_SAMPLES_MAX * sizeof(*worker->reads));
    memset(worker->newest_states, 1,
           (size_t)BENCH_NEWEST * MADE_LOAD_CHANGES * sizeof(*worker->newest_states));
    memset(worker->key_seen, 1, MADE_LOAD_KEYS);
    memset(worker->outcome, 0, sizeof(*worker->outcome));
    worker->memory_before = memory_now();
}

static _Noreturn void child_main(const struct bench_child *child, const struct bench_setup *setup,
                                 uint64_t seed, int socket)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* without it an orphan only ends at its next order */
    struct worker worker = {
        .ops = child->ops, .setup = *setup, .seed = seed, .outcome = child->outcome};
    worker_init(&worker, seed);
    struct bench_order order;
    while (recv(socket, &order, sizeof(order), MSG_WAITALL) == (ssize_t)sizeof(order)) {
        worker.outcome->sample_count = 0;
        worker.outcome->result = do_order(&worker, &order, &worker.outcome->fault);
        uint64_t memory = memory_now();
        worker.outcome->memory = memory > worker.memory_before ? memory - worker.memory_before : 0;
        if (send(socket, "", 1, MSG_NOSIGNAL) != 1) {
            break;
        }
    }
    _exit(0);
}

int bench_child_start(struct bench_child *child, const struct bench_engine_ops *ops,
                      const struct bench_setup *setup, uint64_t seed, struct bench_fault *fault)
{
    int sockets[2];
    *child = (struct bench_child){.ops = ops, .pid = -1, .socket = -1};
    void *shared = mmap(NULL, sizeof(*child->outcome), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return bench_fault_set(fault, "%s: %s", ops->name, strerror(errno));
    }
    child->outcome = shared;
    (void)fflush(NULL); /* so that the child does not print it again */
    child->pid = fork();
    if (child->pid == 0) {
        (void)close(sockets[0]); /* the parent's */
        child_main(child, setup, seed, sockets[1]);
    }
    (void)close(sockets[1]); /* the child's */
    child->socket = sockets[0];
    return child->pid > 0 ? 0 : bench_fault_set(fault, "%s: fork: %s", ops->name, strerror(errno));
}

int bench_child_run(struct bench_child *child, const struct bench_order *order,
                    struct bench_fault *fault)
{
    char answer = 0;
    if (send(child->socket, order, sizeof(*order), MSG_NOSIGNAL) != (ssize_t)sizeof(*order) ||
        recv(child->socket, &answer, 1, MSG_WAITALL) != 1) {
        return bench_fault_set(fault, "%s: its process died", child->ops->name);
    }
    if (child->outcome->result != 0) {
        *fault = child->outcome->fault;
        return -1;
    }
    return 0;
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
        (void)waitpid(child->pid, NULL, 0); /* how it ended was told by its last answer */
        child->pid = -1;
    }
    if (child->outcome != NULL) {
        (void)munmap(child->outcome, sizeof(*child->outcome)); /* valid mapping */
        child->outcome = NULL;
    }
}
