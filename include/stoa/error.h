/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa/error.h: error codes. Every fallible call returns 0 or one of these, all negative. */
#ifndef STOA_ERROR_H
#define STOA_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum stoa_error {
    STOA_OK = 0,
#define STOA_ERROR(number, name, help) STOA_##name = (number),
#include "stoa/error.def"
#undef STOA_ERROR
};

/* A short English text for CODE, never NULL; "unknown error" for a number that is none of ours. */
const char *stoa_strerror(int code);

/* The symbolic name of CODE, such as "STOA_EINVAL"; "STOA_UNKNOWN" for a number that is none of
 * ours. */
const char *stoa_error_name(int code);

#ifdef __cplusplus
}
#endif

#endif
