/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/fees.h"

#include "base/ensure.h"
#include "render/wide.h"

enum { FIELDS_LONDON = 16, FIELDS_CANCUN = 20, GAS_PER_BLOB = 131072 };

void fees_gas_price(const struct transaction *transaction, const struct header *header,
                    uint8_t out_price[32])
{
    if (transaction->type < 2) {
        memcpy(out_price, transaction->gas_price, 32);
        return;
    }
    struct wide maximum = wide_load(transaction->max_fee);
    struct wide priority = wide_load(transaction->max_priority_fee);
    struct wide base = wide_load(header->base_fee);
    struct wide wanted;
    if (header->field_count < FIELDS_LONDON || !wide_add(&base, &priority, &wanted) ||
        wide_compare(&wanted, &maximum) > 0) {
        wanted = maximum;
    }
    wide_store(&wanted, out_price);
}

/* e^(NUMERATOR / DENOMINATOR) by its Taylor series in integers, as EIP-4844 defines it
 * (fake_exponential with a factor of 1). */
static bool exponential(uint64_t numerator, uint64_t denominator, struct wide *out)
{
    struct wide sum = wide_of(0);
    struct wide term = wide_of(denominator);
    for (uint64_t i = 1; !wide_is_zero(&term); i++) {
        if (!wide_add(&sum, &term, &sum) || !wide_multiply(&term, numerator, &term)) {
            return false;
        }
        (void)wide_divide(&term, denominator * i, &term); /* the remainder is dropped by design */
    }
    (void)wide_divide(&sum, denominator, out); /* as above */
    return true;
}

bool fees_blob_price_of(uint64_t excess, uint64_t fraction, uint8_t out_price[32])
{
    ensure(fraction != 0);
    struct wide price;
    if (!exponential(excess, fraction, &price)) {
        return false;
    }
    ensure(!wide_is_zero(&price));
    wide_store(&price, out_price);
    return true;
}

bool fees_blob_price(const struct header *header, uint8_t out_price[32])
{
    uint64_t fraction = header->requests_hash != NULL ? FEES_FRACTION_PRAGUE : FEES_FRACTION_CANCUN;
    return header->field_count >= FIELDS_CANCUN &&
           fees_blob_price_of(header->excess_blob_gas, fraction, out_price);
}

uint64_t fees_blob_gas(size_t count)
{
    return (uint64_t)count * GAS_PER_BLOB;
}
