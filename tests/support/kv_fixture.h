/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_fixture.h: an empty keyed store of either kind for a test, that can be closed and opened
 * again. Failures end the test. */
#ifndef KV_FIXTURE_H
#define KV_FIXTURE_H

#include <stdbool.h>

#include "tables/kv.h"

struct kv_fixture {
    bool on_disk;                /* WiredTiger in DIRECTORY, else the twin on DISK */
    struct kv_memory_disk *disk; /* NULL: on_disk */
    char directory[64];
    struct kv *kv;
    struct kv_session *session;
    struct error_detail detail;
};

struct kv_fixture *kv_fixture_create(bool on_disk);
void kv_fixture_destroy(struct kv_fixture *fixture);

/* Close without a checkpoint and open again. */
void kv_fixture_reopen(struct kv_fixture *fixture);
void kv_fixture_close(struct kv_fixture *fixture);
int kv_fixture_open(struct kv_fixture *fixture);

/* Make, or remove with all in it, a directory for tests. */
void kv_fixture_make_directory(char out_directory[64]);
void kv_fixture_remove_directory(const char *directory);

#endif
