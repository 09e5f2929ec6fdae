/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sanitized.h: how much slower a test is under this build's sanitizer, about. Tests that repeat the
 * same work with many seeds divide their default number by it; what a variable asks for stays. */
#ifndef SANITIZED_H
#define SANITIZED_H

#if defined(__SANITIZE_THREAD__)
#define SANITIZED_THREADS 1
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED_ADDRESSES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED_THREADS 1
#elif __has_feature(address_sanitizer)
#define SANITIZED_ADDRESSES 1
#endif
#endif

#if defined(SANITIZED_THREADS)
enum { SANITIZED_SLOWER = 12 };
#elif defined(SANITIZED_ADDRESSES)
enum { SANITIZED_SLOWER = 4 };
#else
enum { SANITIZED_SLOWER = 1 };
#endif

#endif
