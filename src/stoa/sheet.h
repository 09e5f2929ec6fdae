/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sheet.h: answers for people: lines of a name and a value, aligned, and the forms values take. The
 * only thing that can fail is memory: it is remembered, and told by sheet_print, through which all
 * of it goes. One thread. */
#ifndef SHEET_H
#define SHEET_H

#include <time.h>

#include "base/buffer.h"

struct sheet {
    struct buffer text;
    int result;
};

void sheet_init(struct sheet *sheet);
void sheet_deinit(struct sheet *sheet);

/* "NAME  value" */
void sheet_line(struct sheet *sheet, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Text as it is. */
void sheet_add(struct sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "NAME  0x…"; a dash where DATA is NULL. */
void sheet_hex(struct sheet *sheet, const char *name, const void *data, size_t size);

/* "0x…" in place. */
void sheet_add_hex(struct sheet *sheet, const void *data, size_t size);

/* An amount of wei in ether or gwei. */
void sheet_ether(struct sheet *sheet, const char *name, const uint8_t wei[32]);
void sheet_gwei(struct sheet *sheet, const char *name, const uint8_t wei[32]);
void sheet_decimal(struct sheet *sheet, const char *name, const uint8_t value[32]);

/* "2015-07-30 15:26:13 UTC" */
void sheet_time(struct sheet *sheet, const char *name, uint64_t seconds);

/* A moment, "never" for 0; a count in groups of three digits; a number of bytes in the unit that
 * suits it. */
enum { SHEET_TEXT_SIZE = 32 };
const char *sheet_time_text(uint64_t seconds, char out[SHEET_TEXT_SIZE]);
const char *sheet_count_text(uint64_t value, char out[SHEET_TEXT_SIZE]);
const char *sheet_size_text(uint64_t bytes, char out[SHEET_TEXT_SIZE]);

/* All of it to standard output. False, with a message, where that fails or memory was short. */
bool sheet_print(const struct sheet *sheet);

#endif
