/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/wide.h"

#include <string.h>

#include "base/bytes.h"
#include "base/ensure.h"

__extension__ typedef unsigned __int128 wide_product;

struct wide wide_of(uint64_t value)
{
    return (struct wide){.limbs = {value}};
}

struct wide wide_load(const uint8_t big_endian[32])
{
    struct wide value;
    for (size_t i = 0; i < WIDE_LIMBS; i++) {
        value.limbs[i] = bytes_load_be64(big_endian + 8 * (WIDE_LIMBS - 1 - i));
    }
    return value;
}

void wide_store(const struct wide *value, uint8_t out_big_endian[32])
{
    for (size_t i = 0; i < WIDE_LIMBS; i++) {
        bytes_store_be64(out_big_endian + 8 * (WIDE_LIMBS - 1 - i), value->limbs[i]);
    }
}

bool wide_is_zero(const struct wide *value)
{
    return (value->limbs[0] | value->limbs[1] | value->limbs[2] | value->limbs[3]) == 0;
}

int wide_compare(const struct wide *a, const struct wide *b)
{
    for (size_t i = WIDE_LIMBS; i-- > 0;) {
        if (a->limbs[i] != b->limbs[i]) {
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
        }
    }
    return 0;
}

bool wide_add(const struct wide *a, const struct wide *b, struct wide *out)
{
    struct wide sum;
    uint64_t carry = 0;
    for (size_t i = 0; i < WIDE_LIMBS; i++) {
        wide_product limb = (wide_product)a->limbs[i] + b->limbs[i] + carry;
        sum.limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> 64);
    }
    if (carry != 0) {
        return false;
    }
    *out = sum;
    return true;
}

bool wide_multiply(const struct wide *a, uint64_t factor, struct wide *out)
{
    struct wide product;
    uint64_t carry = 0;
    for (size_t i = 0; i < WIDE_LIMBS; i++) {
        wide_product limb = (wide_product)a->limbs[i] * factor + carry;
        product.limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> 64);
    }
    if (carry != 0) {
        return false;
    }
    *out = product;
    return true;
}

void wide_subtract(const struct wide *a, const struct wide *b, struct wide *out)
{
    ensure(wide_compare(a, b) >= 0);
    struct wide difference;
    uint64_t borrow = 0;
    for (size_t i = 0; i < WIDE_LIMBS; i++) {
        wide_product limb = (wide_product)a->limbs[i] - b->limbs[i] - borrow;
        difference.limbs[i] = (uint64_t)limb;
        borrow = (uint64_t)(limb >> 64) & 1;
    }
    ensure(borrow == 0);
    *out = difference;
}

uint64_t wide_divide(const struct wide *a, uint64_t divisor, struct wide *out)
{
    ensure(divisor != 0);
    struct wide quotient;
    uint64_t remainder = 0;
    for (size_t i = WIDE_LIMBS; i-- > 0;) {
        wide_product limb = (wide_product)remainder << 64 | a->limbs[i];
        quotient.limbs[i] = (uint64_t)(limb / divisor);
        remainder = (uint64_t)(limb % divisor);
    }
    *out = quotient;
    ensure(remainder < divisor);
    return remainder;
}

size_t wide_to_decimal(const struct wide *value, char out[WIDE_DECIMAL_SIZE])
{
    char digits[WIDE_DECIMAL_SIZE];
    size_t count = 0;
    struct wide rest = *value;
    do {
        ensure(count < WIDE_DECIMAL_SIZE - 1);
        digits[count++] = (char)('0' + wide_divide(&rest, 10, &rest));
    } while (!wide_is_zero(&rest));
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    out[count] = '\0';
    return count;
}

void wide_to_fraction(const struct wide *value, unsigned decimals, char out[WIDE_FRACTION_SIZE])
{
    ensure(decimals <= 32);
    char digits[WIDE_DECIMAL_SIZE];
    size_t count = wide_to_decimal(value, digits);
    size_t whole = count > decimals ? count - decimals : 0;
    size_t end = 0;
    if (whole == 0) {
        out[end++] = '0';
    }
    memcpy(out + end, digits, whole);
    end += whole;
    size_t point = end;
    out[end++] = '.';
    for (size_t i = count - whole; i < decimals; i++) {
        out[end++] = '0';
    }
    memcpy(out + end, digits + whole, count - whole);
    end += count - whole;
    while (out[end - 1] == '0' && end - 1 > point) {
        end--;
    }
    if (end - 1 == point) {
        end--;
    }
    out[end] = '\0';
}
