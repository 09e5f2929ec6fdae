/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_device.h: what the benchmark asks of the machine around it. One thread. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that the device below DIRECTORY has written since the machine started; 0: unknown. */
uint64_t bench_device_written(const char *directory);

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
