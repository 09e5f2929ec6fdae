/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"

const char *stoa_strerror(int code)
{
    switch (code) {
    case STOA_OK:
        return "no error";
#define STOA_ERROR(number, name, help) \
    case STOA_##name:                  \
        return help;
#include "stoa/error.def"
#undef STOA_ERROR
    default:
        return "unknown error";
    }
}

const char *stoa_error_name(int code)
{
    switch (code) {
    case STOA_OK:
        return "STOA_OK";
#define STOA_ERROR(number, name, help) \
    case STOA_##name:                  \
        return "STOA_" #name;
#include "stoa/error.def"
#undef STOA_ERROR
    default:
        return "STOA_UNKNOWN";
    }
}

__attribute__((format(printf, 4, 0))) static void
fill(struct error_detail *detail, int code, int os_error, const char *format, va_list arguments)
{
    detail->code = code;
    detail->os_error = os_error;
    int length = vsnprintf(detail->text, sizeof(detail->text), format, arguments);
    ensure(length >= 0);
    if (os_error != 0 && (size_t)length < sizeof(detail->text)) {
        char text[128];
        snprintf(detail->text + length, sizeof(detail->text) - (size_t)length, ": %s",
                 strerror_r(os_error, text, sizeof(text)));
    }
}

int error_set(struct error_detail *detail, int code, const char *format, ...)
{
    ensure(code < 0);
    if (detail != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(detail, code, 0, format, arguments);
        va_end(arguments);
    }
    return code;
}

int error_set_errno(struct error_detail *detail, int os_error, const char *format, ...)
{
    int code = error_from_errno(os_error);
    if (detail != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(detail, code, os_error, format, arguments);
        va_end(arguments);
    }
    return code;
}

int error_prefix(struct error_detail *detail, const char *format, ...)
{
    if (detail == NULL) {
        return 0;
    }
    char rest[ERROR_TEXT_SIZE];
    memcpy(rest, detail->text, sizeof(rest));
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(detail->text, sizeof(detail->text), format, arguments);
    va_end(arguments);
    ensure(length >= 0);
    if ((size_t)length < sizeof(detail->text)) {
        size_t room = sizeof(detail->text) - (size_t)length;
        int written = snprintf(detail->text + length, room, ": %s", rest);
        ensure(written >= 0);
    }
    return detail->code;
}

int error_from_errno(int os_error)
{
    switch (os_error) {
    case ENOMEM:
        return STOA_ENOMEM;
    case ENOENT:
    case ENOTDIR:
        return STOA_ENOTFOUND;
    case EEXIST:
    case ENOTEMPTY:
        return STOA_EEXISTS;
    case EAGAIN:
    case EBUSY:
        return STOA_EBUSY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STOA_ENOSPACE;
    case EROFS:
        return STOA_EREADONLY;
    case EACCES:
    case EPERM:
        return STOA_EPERM;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
        return STOA_EINVAL;
    case ENOSYS:
    case EOPNOTSUPP:
        return STOA_ENOTSUP;
    case ETIMEDOUT:
    case ETIME:
        return STOA_ETIMEOUT;
    case ECANCELED:
        return STOA_ECANCELED;
    default:
        return STOA_EIO;
    }
}
