/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_device.h: what the benchmark asks of the machine around it. One thread. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the device below DIRECTORY has done since the machine started; zeros: unknown. */
struct bench_device_counters {
    uint64_t reads; /* operations */
    uint64_t written_bytes;
};
struct bench_device_counters bench_device_count(const char *directory);

/* Bytes that are free in the file system of DIRECTORY for us; 0: unknown. */
uint64_t bench_device_free(const char *directory);

/* Bring what is dirty in the file system of DIRECTORY to the device. */
int bench_device_sync(const char *directory);

/* Empty the page cache: all of it where ALL is asked for and we are root, else of the files below
 * DIRECTORY. Returns whether all of it was. */
bool bench_device_drop_caches(const char *directory, bool all);

/* Bytes that the files below DIRECTORY take on the device. */
uint64_t bench_device_usage(const char *directory);

/* Delete DIRECTORY with all in it. */
int bench_device_remove(const char *directory);

/* Processors, memory, kernel, file system: one line. */
void bench_device_machine(const char *directory, char *out, size_t size);

#endif
