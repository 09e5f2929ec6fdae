/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The public header compiles alone, as C. */
#include "stoa.h"

int main(void)
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
    return create.size == sizeof(create) && options.size == sizeof(options) &&
                   block.size == sizeof(block) && STOA_EINVAL == -1
               ? 0
               : 1;
}
