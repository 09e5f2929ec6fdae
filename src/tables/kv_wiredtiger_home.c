/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/kv_wiredtiger_home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stoa/error.h"

bool kv_wiredtiger_home_has(const char *path, const char *file)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return false;
    }
    struct stat status;
    bool there = fstatat(dirfd(directory), file, &status, 0) == 0;
    (void)closedir(directory); /* nothing was written */
    return there;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int kv_wiredtiger_home_check(const char *path, bool *out_empty, struct error_detail *detail)
{
    static const char *const wanted[] = {"WiredTiger", "WiredTiger.turtle", "WiredTiger.wt"};
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_set_errno(detail, errno, "tables in %s", path);
    }
    bool empty = true;
    const struct dirent *entry;
    errno = 0;
    while (empty && (entry = readdir(directory)) != NULL) {
        empty = is_dots(entry->d_name);
    }
    int failure = errno;
    (void)closedir(directory); /* nothing was written */
    if (failure != 0) {
        return error_set_errno(detail, failure, "list tables in %s", path);
    }
    for (size_t i = 0; !empty && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!kv_wiredtiger_home_has(path, wanted[i])) {
            return error_set(detail, STOA_ECORRUPT, "tables in %s: %s is missing", path, wanted[i]);
        }
    }
    *out_empty = empty;
    return 0;
}

/* NAME.ID.wt, and what WiredTiger makes of one that is in its way: NAME.ID.wt.N. */
static bool is_table_file(const char *name)
{
    const char *end = strstr(name, ".wt");
    return strncmp(name, "WiredTiger", strlen("WiredTiger")) != 0 && end != NULL &&
           (end[3] == '\0' || end[3] == '.');
}

int kv_wiredtiger_home_sweep(const char *path, bool (*keep)(void *context, const char *file),
                             void *context, struct error_detail *detail)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_set_errno(detail, errno, "tables in %s", path);
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        if (is_table_file(entry->d_name) && !keep(context, entry->d_name) &&
            unlinkat(dirfd(directory), entry->d_name, 0) != 0 && errno != ENOENT) {
            result = error_set_errno(detail, errno, "remove %s/%s", path, entry->d_name);
        }
    }
    (void)closedir(directory); /* nothing was written */
    return result;
}

uint64_t kv_wiredtiger_home_bytes(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return 0;
    }
    uint64_t bytes = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        if (!is_dots(entry->d_name) &&
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
            bytes += (uint64_t)status.st_blocks * 512;
        }
    }
    (void)closedir(directory); /* nothing was written */
    return bytes;
}
