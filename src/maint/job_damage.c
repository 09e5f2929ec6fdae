/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/job_damage.h"

#include <string.h>

#include "base/memory.h"
#include "stoa/error.h"

static bool is_same(const struct job_damage *a, const struct job_damage *b)
{
    return a->offset == b->offset && a->size == b->size && strcmp(a->file, b->file) == 0 &&
           strcmp(a->what, b->what) == 0;
}

int job_damages_add(struct job_damages *damages, const struct job_damage *damage)
{
    for (unsigned i = 0; i < damages->count; i++) {
        if (is_same(&damages->items[i], damage)) {
            damages->items[i] = *damage;
            return 0;
        }
    }
    if (damages->items == NULL) {
        damages->items = memory_alloc(JOB_DAMAGES_MAX * sizeof(*damages->items));
    }
    if (damages->items == NULL || damages->count == JOB_DAMAGES_MAX) {
        damages->more++;
        return damages->items == NULL ? STOA_ENOMEM : 0;
    }
    damages->items[damages->count++] = *damage;
    return 0;
}

void job_damages_begin(struct job_damages *damages)
{
    for (unsigned i = 0; i < damages->count; i++) {
        damages->items[i].is_stale = true;
    }
    damages->more = 0;
}

void job_damages_settle(struct job_damages *damages)
{
    unsigned count = 0;
    for (unsigned i = 0; i < damages->count; i++) {
        if (!damages->items[i].is_stale) {
            damages->items[count++] = damages->items[i];
        }
    }
    damages->count = count;
}

void job_damages_clear(struct job_damages *damages)
{
    damages->count = 0;
    damages->more = 0;
}

void job_damages_deinit(struct job_damages *damages)
{
    memory_free(damages->items);
    *damages = (struct job_damages){.count = 0};
}
