/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of heights, mended record by record: each is right by itself, so there is nothing to
 * swap. How far that is, is a record in the table "meta", written with them:
 *   next height (8), its hash (32), 1 where that is known (1), line (8). */
#include "base/ensure.h"
#include "store/index_private.h"

enum { NOTE_SIZE = 49, STRAYS_AT_ONCE = 1024 };

static const char table_heights[] = INDEX_TABLE_HEIGHTS;
static const char note_name[] = "rebuild-heights";

static struct bytes note_key(void)
{
    return bytes_of(note_name, sizeof(note_name) - 1);
}

int index_heights_read_note(struct kv_session *session, struct index_heights_note *out_note,
                            struct error_detail *detail)
{
    struct bytes value;
    int result = kv_get(session, INDEX_META_TABLE, note_key(), &value, detail);
    if (result == 0 && value.size != NOTE_SIZE) {
        result = error_set(detail, STOA_ECORRUPT, "tables: progress of a rebuild is not readable");
    }
    if (result == 0) {
        out_note->next = bytes_load_le64(value.data);
        memcpy(out_note->hash, value.data + 8, 32);
        out_note->known = value.data[40] != 0;
        out_note->line = bytes_load_le64(value.data + 41);
    }
    return result;
}

static int write_note(struct kv_session *session, const struct index_heights_note *note,
                      struct error_detail *detail)
{
    uint8_t value[NOTE_SIZE];
    if (note == NULL) {
        return kv_remove(session, INDEX_META_TABLE, note_key(), detail);
    }
    bytes_store_le64(value, note->next);
    memcpy(value + 8, note->hash, 32);
    value[40] = note->known;
    bytes_store_le64(value + 41, note->line);
    return kv_put(session, INDEX_META_TABLE, note_key(), bytes_of(value, sizeof(value)), detail);
}

static int put_row(struct kv_session *session, const struct index_heights_row *row,
                   struct error_detail *detail)
{
    uint8_t key[PLACE_HEIGHT_KEY_SIZE];
    uint8_t value[PLACE_HEIGHT_VALUE_MAX];
    struct bytes there;
    struct place_height place = {.position = row->position, .front = row->front};
    memcpy(place.hash, row->hash, 32);
    place_encode_height_key(row->height, key);
    struct bytes wanted = bytes_of(value, place_encode_height(&place, value));
    int result = kv_get(session, table_heights, bytes_of(key, sizeof(key)), &there, detail);
    if (result == 0 && place_is_of_height(there, wanted)) {
        return 0;
    }
    return result == 0 || result == STOA_ENOTFOUND
               ? kv_put(session, table_heights, bytes_of(key, sizeof(key)), wanted, detail)
               : result;
}

/* Heights above HEAD of which there are records, STRAYS_AT_ONCE at most. */
static int find_strays(struct kv_session *session, uint64_t head, uint64_t *out, size_t *out_count,
                       struct error_detail *detail)
{
    struct kv_cursor *cursor;
    uint8_t key[PLACE_HEIGHT_KEY_SIZE];
    place_encode_height_key(head + 1, key);
    int result = kv_cursor_open(session, table_heights, &cursor, detail);
    *out_count = 0;
    if (result != 0) {
        return result;
    }
    result = kv_cursor_seek(cursor, bytes_of(key, sizeof(key)), detail);
    while (result == 0 && *out_count < STRAYS_AT_ONCE) {
        struct bytes found;
        struct bytes value;
        kv_cursor_current(cursor, &found, &value);
        if (found.size != sizeof(key)) {
            result = error_set(detail, STOA_ECORRUPT, "tables: a height is not readable");
            break;
        }
        out[(*out_count)++] = place_decode_height_key(found.data);
        result = kv_cursor_next(cursor, detail);
    }
    kv_cursor_close(cursor);
    return result == STOA_ENOTFOUND ? 0 : result;
}

static int write_once(struct kv_session *session, const struct index_heights_write *write,
                      const uint64_t *strays, size_t stray_count, struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < write->count; i++) {
        result = put_row(session, &write->rows[i], detail);
    }
    for (size_t i = 0; result == 0 && i < stray_count; i++) {
        uint8_t key[PLACE_HEIGHT_KEY_SIZE];
        place_encode_height_key(strays[i], key);
        result = kv_remove(session, table_heights, bytes_of(key, sizeof(key)), detail);
    }
    return result == 0 ? write_note(session, write->note, detail) : result;
}

/* In a transaction, again where others changed the same tables meanwhile. */
static int transact(struct kv_session *session, const struct index_heights_write *write,
                    const uint64_t *strays, size_t stray_count, struct error_detail *detail)
{
    int result = STOA_EBUSY;
    for (unsigned tries = 0; result == STOA_EBUSY && tries < INDEX_COMMIT_TRIES; tries++) {
        result = kv_begin(session, detail);
        if (result != 0) {
            return result;
        }
        result = write_once(session, write, strays, stray_count, detail);
        if (result != 0) {
            kv_rollback(session);
        } else {
            result = kv_commit(session, detail);
        }
    }
    return result;
}

int index_heights_write(struct kv_session *session, const struct index_heights_write *write,
                        struct error_detail *detail)
{
    uint64_t strays[STRAYS_AT_ONCE];
    size_t stray_count = 0;
    int result;
    do {
        result = write->trim ? find_strays(session, write->head, strays, &stray_count, detail) : 0;
        if (result == 0) {
            result = transact(session, write, strays, stray_count, detail);
        }
    } while (result == 0 && stray_count == STRAYS_AT_ONCE);
    return result;
}
