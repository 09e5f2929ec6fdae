/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An index made anew beside itself: a second list of runs, whose tables are named as the index's
 * own, so that they change hands by a change of lists alone. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

static struct runs *create_anew(struct runs *runs)
{
    struct runs *anew = runs_create(runs->name, runs->filter_size);
    if (anew != NULL) {
        snprintf(anew->list_name, sizeof(anew->list_name), "%s-new", runs->name);
        anew->base = runs;
    }
    return anew;
}

static int no_memory(const struct runs *runs, struct error_detail *detail)
{
    return error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", runs->name);
}

int runs_anew_read(struct runs *runs, struct kv_session *session, struct error_detail *detail)
{
    struct runs *anew = create_anew(runs);
    if (anew == NULL) {
        return no_memory(runs, detail);
    }
    int result = runs_list_read(anew, session, &anew->current, detail);
    if (result != 0 || anew->current->count == 0) {
        runs_close(anew);
        return result;
    }
    runs->anew = anew;
    return 0;
}

int runs_anew_open(struct runs *runs, struct runs **out_anew, struct error_detail *detail)
{
    if (runs->anew == NULL) {
        struct runs *anew = create_anew(runs);
        if (anew != NULL) {
            anew->current = runs_version_create(0);
        }
        if (anew == NULL || anew->current == NULL) {
            runs_close(anew);
            return no_memory(runs, detail);
        }
        runs->anew = anew;
    }
    *out_anew = runs->anew;
    return 0;
}

int runs_anew_keep(struct runs *anew, struct error_detail *detail)
{
    ensure(anew->base != NULL);
    if (anew->loaded == NULL) {
        return 0;
    }
    const struct runs_version *current = anew->current;
    struct runs_version *version = runs_version_create(current->count + 1);
    if (version == NULL) {
        return no_memory(anew, detail);
    }
    version->list[0] = anew->loaded;
    memcpy(version->list + 1, current->list, current->count * sizeof(version->list[0]));
    anew->loaded = NULL;
    runs_version_install(anew, version);
    return 0;
}

int runs_anew_record(struct runs *runs, struct kv_session *session, struct error_detail *detail)
{
    ensure(runs->anew != NULL && runs->anew->loaded == NULL && runs->recorded == NULL);
    const struct runs_version *from = runs->anew->current;
    struct runs_version *version = runs_version_create(from->count);
    if (version == NULL) {
        return no_memory(runs, detail);
    }
    memcpy(version->list, from->list, from->count * sizeof(version->list[0]));
    runs_change_begin(runs);
    int result = runs_list_write(runs, session, version, detail);
    if (result == 0) {
        result = runs_list_remove(runs->anew, session, detail);
    }
    if (result != 0) {
        memory_free(version);
        runs_change_end(runs);
        return result;
    }
    runs->recorded = version;
    return 0;
}

void runs_anew_cancel(struct runs *runs)
{
    ensure(runs->recorded != NULL);
    memory_free(runs->recorded);
    runs->recorded = NULL;
    runs_change_end(runs);
}

void runs_anew_publish(struct runs *runs)
{
    struct runs *anew = runs->anew;
    ensure(runs->recorded != NULL && anew->current->references == 1);
    for (size_t i = 0; i < anew->current->count; i++) { /* they change hands */
        struct run *run = anew->current->list[i];
        ensure(run->references == 1);
        run->references = 0;
    }
    anew->current->count = 0;
    struct runs_version *version = runs->recorded;
    runs->recorded = NULL;
    runs_version_install(runs, version);
    while (anew->retired != NULL) { /* merged away, and not dropped yet */
        struct run *run = anew->retired;
        anew->retired = run->next;
        runs_retire(runs, run);
    }
    runs->anew = NULL;
    runs_close(anew);
    runs_change_end(runs);
}

int runs_anew_record_drop(struct runs *runs, struct kv_session *session,
                          struct error_detail *detail)
{
    return runs->anew == NULL ? 0 : runs_list_remove(runs->anew, session, detail);
}

void runs_anew_drop(struct runs *runs, struct kv_session *session)
{
    struct runs *anew = runs->anew;
    if (anew == NULL) {
        return;
    }
    struct runs_version *none = runs_version_create(0);
    if (none == NULL) {
        return; /* its tables go at the next open */
    }
    runs_discard(anew, session);
    runs_version_install(anew, none);
    runs_drop_retired(anew, session);
    while (anew->retired != NULL) { /* a cursor holds it yet: the index's writer drops it later */
        struct run *run = anew->retired;
        anew->retired = run->next;
        runs_retire(runs, run);
    }
    runs->anew = NULL;
    runs_close(anew);
}
