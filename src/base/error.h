/* SPDX-License-Identifier: GPL-3.0-or-later */
/* error.h: what went wrong, for a person. A fallible function returns 0 or a negative STOA_E… and
 * may fill a detail that its caller owns. Layers prefix the text on the way up: "open segment 42:
 * write index: no space left". */
#ifndef ERROR_H
#define ERROR_H

#include "stoa/error.h"

enum { ERROR_TEXT_SIZE = 384 };

struct error_detail {
    int code;                   /* STOA_E…, or 0 */
    int os_error;               /* errno where the cause was the system's, else 0 */
    char text[ERROR_TEXT_SIZE]; /* always terminated; cut at the end where too long */
};

/* Fill DETAIL (NULL is allowed) with CODE and the formatted text. Returns CODE. */
int error_set(struct error_detail *detail, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from an errno value, mapped by error_from_errno; the system's text is appended. Returns
 * the code. */
int error_set_errno(struct error_detail *detail, int os_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put the formatted text and ": " before what DETAIL (NULL is allowed) says. Returns DETAIL's code,
 * or 0 for NULL. */
int error_prefix(struct error_detail *detail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* STOA_E… for a positive errno value; STOA_EIO where nothing fits better. */
int error_from_errno(int os_error);

#endif
