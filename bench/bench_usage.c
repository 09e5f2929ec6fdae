/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/ensure.h"

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

uint64_t bench_usage_memory(void)
{
    return proc_number("/proc/self/status", "RssAnon:") * 1024;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

struct bench_usage bench_usage_now(void)
{
    struct rusage usage;
    ensure(getrusage(RUSAGE_SELF, &usage) == 0);
    return (struct bench_usage){
        .time = bench_now(),
        .cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
        .system_seconds = seconds_of(usage.ru_stime),
        .written = proc_number("/proc/self/io", "write_bytes:"),
    };
}

void bench_usage_store(const struct bench_usage *begin, struct bench_outcome *outcome)
{
    struct bench_usage end = bench_usage_now();
    outcome->seconds = 1e-9 * (double)(end.time - begin->time);
    outcome->cpu_seconds = end.cpu_seconds - begin->cpu_seconds;
    outcome->system_seconds = end.system_seconds - begin->system_seconds;
    outcome->written = end.written - begin->written;
}
