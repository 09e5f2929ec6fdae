/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wide.h: the little arithmetic on 256-bit unsigned integers that showing a chain needs: fees,
 * difficulties, amounts in decimal. Pure; any thread. Overflow is told, never wrapped. */
#ifndef WIDE_H
#define WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIDE_LIMBS = 4, WIDE_DECIMAL_SIZE = 79 };

struct wide {
    uint64_t limbs[WIDE_LIMBS]; /* least significant first */
};

struct wide wide_of(uint64_t value);
struct wide wide_load(const uint8_t big_endian[32]);
void wide_store(const struct wide *value, uint8_t out_big_endian[32]);

bool wide_is_zero(const struct wide *value);

/* Below 0, 0, above 0, as memcmp. */
int wide_compare(const struct wide *a, const struct wide *b);

/* False where the result has more than 256 bits; OUT is then unchanged. OUT may be A or B. */
bool wide_add(const struct wide *a, const struct wide *b, struct wide *out);
bool wide_multiply(const struct wide *a, uint64_t factor, struct wide *out);

/* A - B, of which A is not the smaller one. OUT may be A or B. */
void wide_subtract(const struct wide *a, const struct wide *b, struct wide *out);

/* Quotient to OUT (may be A), remainder returned. DIVISOR is not 0. */
uint64_t wide_divide(const struct wide *a, uint64_t divisor, struct wide *out);

/* Decimal digits without leading zeros, and a terminator. Returns the number of digits. */
size_t wide_to_decimal(const struct wide *value, char out[WIDE_DECIMAL_SIZE]);

/* VALUE / 10^DECIMALS as a decimal fraction without trailing zeros ("1.5", "0.000000001", "12"). */
enum { WIDE_FRACTION_SIZE = WIDE_DECIMAL_SIZE + 34 };
void wide_to_fraction(const struct wide *value, unsigned decimals, char out[WIDE_FRACTION_SIZE]);

#endif
