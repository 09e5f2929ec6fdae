/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_engines.h: which engines this build has. */
#ifndef BENCH_ENGINES_H
#define BENCH_ENGINES_H

#include "bench_engine.h"

#ifdef BENCH_HAVE_ROCKSDB
#define BENCH_ENGINE_ROCKSDB &bench_engine_rocksdb
#else
#define BENCH_ENGINE_ROCKSDB NULL
#endif

#endif
