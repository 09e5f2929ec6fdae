/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fees.h: prices that a chain implies but does not store. Pure; any thread. */
#ifndef FEES_H
#define FEES_H

#include "chain/header.h"
#include "chain/transaction.h"

/* How steeply the price of blob gas rises, from these forks on. */
enum { FEES_FRACTION_CANCUN = 3338477, FEES_FRACTION_PRAGUE = 5007716 };

/* What TRANSACTION paid for a unit of gas in the block of HEADER, in wei, big-endian: its gas
 * price, or from EIP-1559 on the base fee and what of its priority fee the maximum leaves room for.
 */
void fees_gas_price(const struct transaction *transaction, const struct header *header,
                    uint8_t out_price[32]);

/* The price of a unit of blob gas in the block of HEADER (EIP-4844: an exponential of
 * excessBlobGas). The steepness is Cancun's, or Prague's where the header has a requestsHash;
 * chains that changed it later by configuration alone are not told apart by their headers. False
 * where the header has no blob gas, or the price has more than 256 bits. */
bool fees_blob_price(const struct header *header, uint8_t out_price[32]);

/* The price at EXCESS blob gas with the steepness FRACTION (baseFeeUpdateFraction), not 0. False:
 * it has more than 256 bits. */
bool fees_blob_price_of(uint64_t excess, uint64_t fraction, uint8_t out_price[32]);

/* Blob gas of a transaction with COUNT blobs. */
uint64_t fees_blob_gas(size_t count);

#endif
