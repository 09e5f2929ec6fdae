/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_group.h"

#include "base/ensure.h"
#include "base/error.h"
#include "state/trie_delta.h"

enum { HEAD_MAX = 1 + 2 * TRIE_DELTA_NUMBER_MAX, OLDER_HEAD_MAX = 2 * TRIE_DELTA_NUMBER_MAX };

void trie_group_init(struct trie_group *group)
{
    *group = (struct trie_group){.height = 0};
    buffer_init(&group->older);
}

void trie_group_deinit(struct trie_group *group)
{
    buffer_deinit(&group->older);
}

void trie_group_begin(struct trie_group *group, struct bytes newest, uint64_t height)
{
    buffer_clear(&group->older);
    group->newest = newest;
    group->newest_height = height;
    group->height = height;
}

int trie_group_add(struct trie_group *group, struct bytes delta, uint64_t height)
{
    ensure(group->newest.size != 0);
    ensure(height < group->height);
    if (buffer_reserve(&group->older, OLDER_HEAD_MAX + delta.size) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = group->older.data + group->older.size;
    to = trie_delta_put_number(to, group->height - height);
    to = trie_delta_put_number(to, delta.size);
    memcpy(to, delta.data, delta.size);
    group->older.size = (size_t)(to - group->older.data) + delta.size;
    group->height = height;
    return 0;
}

size_t trie_group_size(const struct trie_group *group)
{
    return HEAD_MAX + group->newest.size + group->older.size;
}

static uint8_t *put_bytes(uint8_t *to, struct bytes bytes)
{
    if (bytes.size != 0) {
        memcpy(to, bytes.data, bytes.size);
    }
    return to + bytes.size;
}

size_t trie_group_write(const struct trie_group *group, uint8_t *out)
{
    uint8_t *to = out;
    ensure(group->newest.size == 0 || group->newest.data[0] < TRIE_GROUP_MARK);
    if (group->older.size == 0) {
        return (size_t)(put_bytes(to, group->newest) - out);
    }
    *to++ = TRIE_GROUP_MARK;
    to = trie_delta_put_number(to, group->newest_height - group->height);
    to = trie_delta_put_number(to, group->newest.size);
    to = put_bytes(put_bytes(to, group->newest), buffer_bytes(&group->older));
    return (size_t)(to - out);
}

/* ---- reading ---- */

/* An entry from its newest version on. */
struct reading {
    struct bytes left;
    struct bytes record; /* of the version that was reached */
    uint64_t height;     /* and its height */
    uint64_t oldest;
    struct buffer *scratch;
    struct buffer other; /* as well: what one is made of has to stay meanwhile */
};

static int corrupt(struct error_detail *detail)
{
    return error_set(detail, STOA_ECORRUPT, "entry of a trie's record");
}

static bool take_sized(struct bytes *cursor, struct bytes *out)
{
    uint64_t size;
    if (!trie_delta_take_number(cursor, &size) || size > cursor->size) {
        return false;
    }
    *out = bytes_of(cursor->data, (size_t)size);
    *cursor = bytes_of(cursor->data + size, cursor->size - (size_t)size);
    return true;
}

static int begin(struct reading *reading, struct bytes entry, uint64_t height,
                 struct error_detail *detail)
{
    uint64_t span;
    reading->oldest = height;
    buffer_init(&reading->other);
    if (entry.size == 0 || entry.data[0] != TRIE_GROUP_MARK) {
        reading->record = entry;
        reading->height = height;
        reading->left = bytes_of(NULL, 0);
        return 0;
    }
    reading->left = bytes_of(entry.data + 1, entry.size - 1);
    if (!trie_delta_take_number(&reading->left, &span) || span > UINT64_MAX - height ||
        !take_sized(&reading->left, &reading->record) || reading->record.size == 0 ||
        reading->record.data[0] >= TRIE_GROUP_MARK) {
        return corrupt(detail);
    }
    reading->height = height + span;
    return 0;
}

/* The next older version. */
static int step(struct reading *reading, struct error_detail *detail)
{
    struct bytes delta;
    uint64_t step;
    if (!trie_delta_take_number(&reading->left, &step) || step == 0 ||
        step > reading->height - reading->oldest || !take_sized(&reading->left, &delta)) {
        return corrupt(detail);
    }
    buffer_clear(&reading->other);
    int result = trie_delta_apply(reading->record, delta, &reading->other);
    if (result != 0) {
        return result == STOA_ENOMEM ? error_set(detail, result, "trie record") : corrupt(detail);
    }
    if (reading->other.size == 0 || reading->other.data[0] >= TRIE_GROUP_MARK) {
        return corrupt(detail); /* as of the newest */
    }
    struct buffer made = reading->other;
    reading->other = *reading->scratch;
    *reading->scratch = made;
    reading->record = buffer_bytes(reading->scratch);
    reading->height -= step;
    return 0;
}

/* To the newest version at or below BOUND. */
static int reach(struct reading *reading, uint64_t bound, struct error_detail *detail)
{
    int result = 0;
    while (result == 0 && reading->height > bound) {
        result = step(reading, detail);
    }
    return result;
}

int trie_group_find(struct bytes entry, uint64_t height, uint64_t bound, struct buffer *scratch,
                    struct bytes *out_record, uint64_t *out_height, struct error_detail *detail)
{
    struct reading reading = {.scratch = scratch};
    ensure(height <= bound);
    int result = begin(&reading, entry, height, detail);
    result = result == 0 ? reach(&reading, bound, detail) : result;
    if (result == 0) {
        *out_record = reading.record;
        *out_height = reading.height;
    }
    buffer_deinit(&reading.other);
    return result;
}

static int write_cut(const struct reading *reading, struct buffer *out)
{
    struct trie_group group = {
        .older = {.data = (uint8_t *)(uintptr_t)reading->left.data, .size = reading->left.size},
        .newest = reading->record,
        .newest_height = reading->height,
        .height = reading->oldest,
    };
    buffer_clear(out);
    int result = buffer_reserve(out, trie_group_size(&group));
    if (result == 0) {
        out->size = trie_group_write(&group, out->data);
    }
    return result;
}

int trie_group_cut(struct bytes entry, uint64_t height, uint64_t bound, struct buffer *out,
                   struct error_detail *detail)
{
    struct buffer scratch;
    buffer_init(&scratch);
    struct reading reading = {.scratch = &scratch};
    ensure(height <= bound);
    buffer_clear(out);
    int result = begin(&reading, entry, height, detail);
    bool cut = result == 0 && reading.height > bound;
    result = result == 0 ? reach(&reading, bound, detail) : result;
    if (result == 0 && cut && reading.left.size == 0 && reading.height != height) {
        result = corrupt(detail); /* alone it would be of the oldest one's height */
    } else if (result == 0 && cut) {
        result = write_cut(&reading, out);
        result = result == 0 ? 0 : error_set(detail, result, "trie record");
    }
    buffer_deinit(&reading.other);
    buffer_deinit(&scratch);
    return result;
}
