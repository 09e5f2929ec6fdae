/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/io_private.h"

int io_ring_create(const struct io_options *options, struct io **out_io,
                   struct error_detail *detail)
{
    (void)options;
    (void)out_io;
    return error_set(detail, STOA_EUNSUPPORTED, "io_uring comes with the next commit");
}
