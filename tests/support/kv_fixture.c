/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/kv_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void kv_fixture_make_directory(char out_directory[64])
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || strlen(parent) > 40) {
        parent = "/tmp";
    }
    snprintf(out_directory, 64, "%s/stoa-kv-XXXXXX", parent);
    const char *made = mkdtemp(out_directory);
    ensure(made != NULL);
}

void kv_fixture_remove_directory(const char *directory)
{
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what stays is in /tmp */
}

int kv_fixture_open(struct kv_fixture *fixture)
{
    struct kv_options options = {.path = fixture->directory, .cache_size = 64 << 20};
    int result = fixture->on_disk ? kv_wiredtiger_open(&options, &fixture->kv, &fixture->detail)
                                  : kv_memory_open(fixture->disk, &fixture->kv, &fixture->detail);
    if (result == 0) {
        result = kv_session_open(fixture->kv, &fixture->session, &fixture->detail);
        ensure(result == 0);
    }
    return result;
}

void kv_fixture_close(struct kv_fixture *fixture)
{
    kv_session_close(fixture->session);
    kv_close(fixture->kv);
    fixture->session = NULL;
    fixture->kv = NULL;
}

void kv_fixture_reopen(struct kv_fixture *fixture)
{
    kv_fixture_close(fixture);
    int result = kv_fixture_open(fixture);
    if (result != 0) {
        fprintf(stderr, "reopen: %s\n", fixture->detail.text);
    }
    ensure(result == 0);
}

struct kv_fixture *kv_fixture_create(bool on_disk)
{
    struct kv_fixture *fixture = calloc(1, sizeof(*fixture));
    ensure(fixture != NULL);
    fixture->on_disk = on_disk;
    if (on_disk) {
        kv_fixture_make_directory(fixture->directory);
    } else {
        fixture->disk = kv_memory_disk_create();
        ensure(fixture->disk != NULL);
    }
    int result = kv_fixture_open(fixture);
    if (result != 0) {
        fprintf(stderr, "open: %s\n", fixture->detail.text);
    }
    ensure(result == 0);
    return fixture;
}

void kv_fixture_destroy(struct kv_fixture *fixture)
{
    if (fixture == NULL) {
        return;
    }
    kv_fixture_close(fixture);
    kv_memory_disk_destroy(fixture->disk);
    if (fixture->on_disk) {
        kv_fixture_remove_directory(fixture->directory);
    }
    free(fixture);
}
