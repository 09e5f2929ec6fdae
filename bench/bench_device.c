/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_device.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

struct bench_device_counters bench_device_count(const char *directory)
{
    struct stat status;
    char path[64];
    struct bench_device_counters counters = {0};
    if (stat(directory, &status) != 0) {
        return counters;
    }
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(status.st_dev),
                   minor(status.st_dev));
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return counters;
    }
    unsigned long long reads = 0, sectors = 0;
    if (fscanf(file, "%llu %*u %*u %*u %*u %*u %llu", &reads, &sectors) == 2) {
        counters = (struct bench_device_counters){reads, sectors * 512};
    }
    (void)fclose(file); /* was only read */
    return counters;
}

uint64_t bench_device_free(const char *directory)
{
    struct statvfs status;
    return statvfs(directory, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize : 0;
}

int bench_device_sync(const char *directory)
{
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = file < 0 ? -1 : syncfs(file);
    if (file >= 0) {
        (void)close(file); /* was only read */
    }
    return result;
}

/* Call EACH with every file below DIRECTORY, directories after what is in them. */
static int walk(const char *directory, int (*each)(const FTSENT *entry, void *context),
                void *context)
{
    char *path = strdup(directory);
    char *paths[2] = {path, NULL};
    FTS *tree = path == NULL ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int result = tree == NULL ? -1 : 0;
    for (FTSENT *entry; tree != NULL && (entry = fts_read(tree)) != NULL;) {
        if (entry->fts_info != FTS_D && each(entry, context) != 0) {
            result = -1;
        }
    }
    if (tree != NULL) {
        (void)fts_close(tree); /* nothing of it is needed any more */
    }
    free(path);
    return result;
}

static int forget_file(const FTSENT *entry, void *context)
{
    (void)context;
    int file = entry->fts_info == FTS_F ? open(entry->fts_accpath, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* only a hint */
        (void)close(file);                                    /* was only read */
    }
    return 0;
}

bool bench_device_drop_caches(const char *directory, bool all)
{
    if (all) {
        (void)bench_device_sync(
            directory); /* dirty pages stay otherwise; dropping is best effort */
    }
    int file = all ? open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC) : -1;
    bool dropped = file >= 0 && write(file, "3\n", 2) == 2;
    if (file >= 0) {
        (void)close(file); /* the write told */
    }
    if (!dropped) {
        (void)walk(directory, forget_file, NULL); /* only a hint */
    }
    return dropped;
}

static int add_usage(const FTSENT *entry, void *context)
{
    uint64_t *sum = context;
    *sum += entry->fts_statp == NULL ? 0 : (uint64_t)entry->fts_statp->st_blocks * 512;
    return 0;
}

uint64_t bench_device_usage(const char *directory)
{
    uint64_t sum = 0;
    (void)walk(directory, add_usage, &sum); /* what vanished meanwhile takes no room */
    return sum;
}

static int remove_entry(const FTSENT *entry, void *context)
{
    (void)context;
    return entry->fts_info == FTS_DP ? rmdir(entry->fts_accpath) : unlink(entry->fts_accpath);
}

int bench_device_remove(const char *directory)
{
    return walk(directory, remove_entry, NULL);
}

/* The value after NAME in /proc/cpuinfo. */
static void processor_name(char *out, size_t size)
{
    char line[256];
    (void)snprintf(out, size, "processor unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(out, size, "%s", colon + 2);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file); /* was only read */
    }
}

void bench_device_machine(const char *directory, char *out, size_t size)
{
    char processor[128];
    struct utsname system = {0};
    struct sysinfo info = {0};
    struct stat status = {0};
    processor_name(processor, sizeof(processor));
    (void)uname(&system);           /* zeros say that it failed */
    (void)sysinfo(&info);           /* the same */
    (void)stat(directory, &status); /* the same */
    (void)snprintf(out, size, "%d x %s, %.0f GiB, %s %s, device %u:%u", get_nprocs(), processor,
                   (double)info.totalram * info.mem_unit / 1073741824.0, system.sysname,
                   system.release, major(status.st_dev), minor(status.st_dev));
}
