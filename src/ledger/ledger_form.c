/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forms a segment has on disk: as it was written, thinned (thin.h), packed (arc.h). Of those
 * that are there the packed one counts, then the thinned one: each is whole when it has its name,
 * and says what the others say, or all that is still wanted of it. */
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

void ledger_form_name(const struct ledger_file *file, char out_name[SEGMENT_NAME_SIZE])
{
    if (file->packed) {
        char name[SEGMENT_NAME_SIZE];
        arc_name(file->number, true, name);
        int length = snprintf(out_name, SEGMENT_NAME_SIZE, LEDGER_ARCHIVE "/%s", name);
        ensure(length > 0 && length < SEGMENT_NAME_SIZE);
    } else if (file->thin) {
        thin_name(file->number, true, out_name);
    } else {
        segment_name(file->number, true, out_name);
    }
}

char *ledger_form_path(const struct ledger_file *file)
{
    char name[SEGMENT_NAME_SIZE];
    if (file->packed) {
        arc_name(file->number, true, name);
        return ledger_archive_path(file->ledger, name);
    }
    ledger_form_name(file, name);
    return ledger_path(file->ledger, name);
}

void ledger_form_set(struct ledger_file *file, const struct ledger_form *form)
{
    file->thin = form->thin;
    file->packed = form->packed;
    file->disk_size = form->size;
    file->size = form->packed ? 0 : form->size;
    file->has_trailer = false;
}

int ledger_form_find(struct ledger_file *file)
{
    const struct ledger_form last = {
        .thin = file->thin, .packed = file->packed, .size = file->disk_size};
    const struct ledger_form forms[] = {{.packed = true}, {.thin = true}, {.thin = false}};
    int result = STOA_ENOTFOUND;
    for (unsigned i = 0; i < 3 && result == STOA_ENOTFOUND; i++) {
        struct ledger_form form = forms[i];
        if (form.packed && file->ledger->archive == NULL) {
            continue;
        }
        ledger_form_set(file, &form);
        char *path = ledger_form_path(file);
        result = path != NULL ? io_file_size(file->ledger->io, path, &form.size) : STOA_ENOMEM;
        memory_free(path);
        if (result == 0) {
            ledger_form_set(file, &form);
        }
    }
    if (result == STOA_ENOTFOUND) {
        ledger_form_set(file, &last);
    }
    return result;
}

void ledger_form_place(const struct ledger_file *file, uint64_t *offset, uint64_t *size)
{
    const struct arc_map *map = file->arc;
    if (!file->packed || map == NULL) {
        return;
    }
    uint32_t index = arc_map_find_at(map, *offset);
    index = index < map->header.group_count ? index : map->header.group_count - 1;
    *offset = map->groups[index].offset;
    *size = map->groups[index].size;
}
