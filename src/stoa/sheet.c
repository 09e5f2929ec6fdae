/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/sheet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "render/wide.h"
#include "stoa.h"
#include "stoa/console.h"

enum { NAME_WIDTH = 18, ETHER_DECIMALS = 18, GWEI_DECIMALS = 9 };

static void append(struct sheet *sheet, const void *data, size_t size)
{
    if (sheet->result == 0) {
        sheet->result = buffer_append(&sheet->text, data, size);
    }
}

__attribute__((format(printf, 2, 0))) static void
append_arguments(struct sheet *sheet, const char *format, va_list arguments)
{
    char text[1024];
    int length = vsnprintf(text, sizeof(text), format, arguments);
    ensure(length >= 0);
    append(sheet, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

static void append_name(struct sheet *sheet, const char *name)
{
    size_t length = strlen(name);
    append(sheet, name, length);
    do { /* one space at least */
        append(sheet, " ", 1);
    } while (++length < NAME_WIDTH);
}

void sheet_init(struct sheet *sheet)
{
    *sheet = (struct sheet){.result = 0};
    buffer_init(&sheet->text);
}

void sheet_deinit(struct sheet *sheet)
{
    buffer_deinit(&sheet->text);
}

void sheet_line(struct sheet *sheet, const char *name, const char *format, ...)
{
    append_name(sheet, name);
    va_list arguments;
    va_start(arguments, format);
    append_arguments(sheet, format, arguments);
    va_end(arguments);
    append(sheet, "\n", 1);
}

void sheet_add(struct sheet *sheet, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_arguments(sheet, format, arguments);
    va_end(arguments);
}

void sheet_hex(struct sheet *sheet, const char *name, const void *data, size_t size)
{
    append_name(sheet, name);
    if (data == NULL && size > 0) {
        append(sheet, "-", 1);
    } else {
        sheet_add_hex(sheet, data, size);
    }
    append(sheet, "\n", 1);
}

void sheet_add_hex(struct sheet *sheet, const void *data, size_t size)
{
    if (sheet->result == 0) {
        sheet->result = buffer_reserve(&sheet->text, 2 * size + 3);
    }
    if (sheet->result != 0) {
        return;
    }
    char *end = (char *)sheet->text.data + sheet->text.size;
    memcpy(end, "0x", 2);
    bytes_to_hex(data, size, end + 2);
    sheet->text.size += 2 * size + 2;
}

static void add_fraction(struct sheet *sheet, const char *name, const uint8_t wei[32],
                         unsigned decimals, const char *unit)
{
    char text[WIDE_FRACTION_SIZE];
    struct wide value = wide_load(wei);
    wide_to_fraction(&value, decimals, text);
    sheet_line(sheet, name, "%s%s", text, unit);
}

void sheet_ether(struct sheet *sheet, const char *name, const uint8_t wei[32])
{
    add_fraction(sheet, name, wei, ETHER_DECIMALS, " ether");
}

void sheet_gwei(struct sheet *sheet, const char *name, const uint8_t wei[32])
{
    add_fraction(sheet, name, wei, GWEI_DECIMALS, " gwei");
}

void sheet_decimal(struct sheet *sheet, const char *name, const uint8_t value[32])
{
    add_fraction(sheet, name, value, 0, "");
}

void sheet_time(struct sheet *sheet, const char *name, uint64_t seconds)
{
    time_t moment = seconds > INT64_MAX ? (time_t)-1 : (time_t)seconds;
    struct tm parts;
    char text[64];
    if (moment < 0 || gmtime_r(&moment, &parts) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        (void)snprintf(text, sizeof(text), "%" PRIu64 " s after 1970", seconds);
    }
    sheet_line(sheet, name, "%s", text);
}

const char *sheet_time_text(uint64_t seconds, char out[SHEET_TEXT_SIZE])
{
    time_t at = (time_t)seconds;
    struct tm parts;
    if (seconds == 0 || gmtime_r(&at, &parts) == NULL) {
        (void)snprintf(out, SHEET_TEXT_SIZE, "never");
    } else {
        (void)strftime(out, SHEET_TEXT_SIZE, "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return out;
}

const char *sheet_count_text(uint64_t value, char out[SHEET_TEXT_SIZE])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    ensure(length > 0);
    size_t end = 0;
    for (size_t i = 0; i < (size_t)length; i++) {
        if (i > 0 && ((size_t)length - i) % 3 == 0) {
            out[end++] = ',';
        }
        out[end++] = digits[i];
    }
    out[end] = '\0';
    return out;
}

const char *sheet_size_text(uint64_t bytes, char out[SHEET_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, SHEET_TEXT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

bool sheet_print(const struct sheet *sheet)
{
    if (sheet->result != 0) {
        console_error("%s", stoa_strerror(sheet->result));
        return false;
    }
    return console_write(&sheet->text);
}
