/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"

const char *const bench_peer_names[BENCH_PEER_COUNT] = {"stoa", "rocksdb", "raw"};

struct row_text {
    const char *name;
    const char *title;
    bool writes;
};

static const struct row_text row_texts[BENCH_ROW_COUNT] = {
    [BENCH_ROW_IMPORT] = {"import", "bulk import, durable every 64 blocks", true},
    [BENCH_ROW_IMPORT_VERIFIED] =
        {"import-verified",
         "bulk import of a valid chain of small blocks, verified in full, "
         "senders recovered",
         true},
    [BENCH_ROW_COMMIT] = {"commit", "durable commit, one by one", true},
    [BENCH_ROW_HOT_BLOCK] = {"hot-block", "hot: block by hash, 1 thread", false},
    [BENCH_ROW_HOT_BLOCK_2] = {"hot-block-2", "hot: block by hash, 2 threads", false},
    [BENCH_ROW_HOT_RECEIPTS] = {"hot-receipts", "hot: receipts of a block, 1 thread", false},
    [BENCH_ROW_HOT_RECEIPTS_2] = {"hot-receipts-2", "hot: receipts of a block, 2 threads", false},
    [BENCH_ROW_HOT_TRANSACTION] = {"hot-transaction", "hot: transaction, receipt, sender, 1 thread",
                                   false},
    [BENCH_ROW_HOT_TRANSACTION_2] = {"hot-transaction-2",
                                     "hot: transaction, receipt, sender, 2 threads", false},
    [BENCH_ROW_HOT_STATE] = {"hot-state", "hot: state value, 1 thread", false},
    [BENCH_ROW_HOT_STATE_2] = {"hot-state-2", "hot: state value, 2 threads", false},
    [BENCH_ROW_COLD_1] = {"cold-1", "cold: block by hash, 1 in flight", false},
    [BENCH_ROW_COLD_32] = {"cold-32", "cold: block by hash, 32 in flight", false},
    [BENCH_ROW_COLD_ALL_32] = {"cold-all-32", "cold: block, receipts, senders, 32 in flight",
                               false},
};

/* ---- sums ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct bench_round bench_report_median(const struct bench_series *series)
{
    enum { MEMBERS = sizeof(struct bench_round) / sizeof(double) };
    ensure(series->count > 0 && series->count <= BENCH_ROUNDS_MAX);
    double members[MEMBERS] = {0};
    struct bench_round result;
    double max = 0;
    for (unsigned m = 0; m < MEMBERS; m++) {
        double values[BENCH_ROUNDS_MAX] = {0};
        for (unsigned i = 0; i < series->count; i++) {
            double round[MEMBERS];
            memcpy(round, &series->rounds[i], sizeof(round));
            values[i] = round[m];
            max = series->rounds[i].max > max ? series->rounds[i].max : max;
        }
        members[m] = median(values, series->count);
    }
    memcpy(&result, members, sizeof(result));
    result.max = max;
    return result;
}

uint64_t bench_report_quantile(const uint64_t *samples, size_t count, double q)
{
    ensure(count > 0);
    size_t index = (size_t)(q * (double)count);
    return samples[index < count ? index : count - 1];
}

/* ---- goals ---- */

struct goal {
    enum bench_row row;
    enum bench_peer against;
    bool latency; /* p50 at most FACTOR times AGAINST's; else the rate at least FACTOR times */
    double factor;
    const char *text;
};

static const struct goal goals[] = {
    {BENCH_ROW_COMMIT, BENCH_RAW, true, 1.5, "commit p50 at most 1.5 times the raw device's"},
    {BENCH_ROW_COMMIT, BENCH_ROCKSDB, false, 4, "commit rate at least 4 times RocksDB's"},
    {BENCH_ROW_IMPORT, BENCH_ROCKSDB, false, 4, "import rate at least 4 times RocksDB's"},
    {BENCH_ROW_COLD_32, BENCH_ROCKSDB, false, 2,
     "cold block reads, 32 in flight, at least 2 times RocksDB's with 32 threads"},
};

enum { GOAL_COUNT = sizeof(goals) / sizeof(goals[0]) };

/* Returns whether both sides were measured. */
static bool goal_ratio(const struct bench_report *report, const struct goal *goal,
                       double *out_ratio)
{
    const struct bench_series *ours = &report->series[goal->row][BENCH_STOA];
    const struct bench_series *theirs = &report->series[goal->row][goal->against];
    if (ours->count == 0 || theirs->count == 0) {
        return false;
    }
    struct bench_round a = bench_report_median(ours);
    struct bench_round b = bench_report_median(theirs);
    *out_ratio = goal->latency ? a.p50 / b.p50 : a.rate / b.rate;
    return true;
}

static const char *goal_verdict(const struct bench_report *report, const struct goal *goal,
                                char text[64])
{
    double ratio = 0;
    if (!goal_ratio(report, goal, &ratio)) {
        (void)snprintf(text, 64, "not measured");
    } else {
        bool met = goal->latency ? ratio <= goal->factor : ratio >= goal->factor;
        (void)snprintf(text, 64, "%s: %.2f times", met ? "met" : "MISSED", ratio);
    }
    return text;
}

/* ---- text ---- */

/* A time in the unit that suits it. */
static const char *time_text(double seconds, char text[32])
{
    if (seconds <= 0) {
        (void)snprintf(text, 32, "-");
    } else if (seconds < 1e-3) {
        (void)snprintf(text, 32, "%.1f us", seconds * 1e6);
    } else if (seconds < 1) {
        (void)snprintf(text, 32, "%.2f ms", seconds * 1e3);
    } else {
        (void)snprintf(text, 32, "%.2f s", seconds);
    }
    return text;
}

static const char *ratio_text(const struct bench_report *report, enum bench_row row,
                              enum bench_peer peer, enum bench_peer base, char text[32])
{
    const struct bench_series *ours = &report->series[row][peer];
    const struct bench_series *theirs = &report->series[row][base];
    if (peer == base || theirs->count == 0) {
        (void)snprintf(text, 32, "-");
    } else {
        (void)snprintf(text, 32, "%.2f",
                       bench_report_median(ours).rate / bench_report_median(theirs).rate);
    }
    return text;
}

/* One line of a table. */
static void put_cells(const char *const *cells, unsigned count, bool markdown, FILE *out)
{
    if (markdown) {
        for (unsigned i = 0; i < count; i++) {
            (void)fprintf(out, "| %s ", cells[i]);
        }
        (void)fputs("|\n", out);
        return;
    }
    (void)fprintf(out, "  %-8s", cells[0]);
    for (unsigned i = 1; i < count; i++) {
        (void)fprintf(out, " %10s", cells[i]);
    }
    (void)fputs("\n", out);
}

enum { ROW_CELLS = 11, TOTAL_CELLS = 7 };

static const char *const row_heads[ROW_CELLS] = {
    "",         "a second", "p50",      "p95",   "p99",       "max",
    "CPU each", "io/byte",  "dev/byte", "x raw", "x rocksdb",
};

static const char *const total_heads[TOTAL_CELLS] = {
    "", "load/s", "dev/byte", "open", "memory MiB", "disk MiB", "disk/byte",
};

static void put_row(const struct bench_report *report, enum bench_row row, enum bench_peer peer,
                    bool markdown, FILE *out)
{
    struct bench_round m = bench_report_median(&report->series[row][peer]);
    char rate[32], t[5][32], written[32] = "-", device[32] = "-", ratio[2][32];
    (void)snprintf(rate, sizeof(rate), "%.0f", m.rate);
    if (row_texts[row].writes) {
        (void)snprintf(written, sizeof(written), "%.2f", m.written);
        (void)snprintf(device, sizeof(device), "%.2f", m.device);
    }
    const char *cells[ROW_CELLS] = {
        bench_peer_names[peer],
        rate,
        time_text(m.p50, t[0]),
        time_text(m.p95, t[1]),
        time_text(m.p99, t[2]),
        time_text(m.max, t[3]),
        time_text(m.cpu, t[4]),
        written,
        device,
        ratio_text(report, row, peer, BENCH_RAW, ratio[0]),
        ratio_text(report, row, peer, BENCH_ROCKSDB, ratio[1]),
    };
    put_cells(cells, ROW_CELLS, markdown, out);
}

static bool row_used(const struct bench_report *report, enum bench_row row)
{
    bool used = false;
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        used = used || report->series[row][peer].count > 0;
    }
    return used;
}

static void put_totals(const struct bench_totals *totals, enum bench_peer peer, bool markdown,
                       FILE *out)
{
    char open[32], whole[32] = "-", device[32] = "-", memory[32], disk[32], share[32] = "-";
    if (totals->import_seconds > 0) {
        (void)snprintf(whole, sizeof(whole), "%.0f",
                       (double)totals->import_blocks / totals->import_seconds);
        (void)snprintf(device, sizeof(device), "%.2f", totals->import_device);
    }
    if (totals->logical > 0) {
        (void)snprintf(share, sizeof(share), "%.2f",
                       (double)totals->disk / (double)totals->logical);
    }
    (void)snprintf(memory, sizeof(memory), "%.0f", (double)totals->memory / 1048576.0);
    (void)snprintf(disk, sizeof(disk), "%.0f", (double)totals->disk / 1048576.0);
    const char *cells[TOTAL_CELLS] = {
        bench_peer_names[peer],
        whole,
        device,
        time_text(totals->open_seconds, open),
        memory,
        disk,
        share,
    };
    put_cells(cells, TOTAL_CELLS, markdown, out);
}

static void put_title(const char *title, bool markdown, FILE *out)
{
    (void)fprintf(out, "\n%s%s\n%s", markdown ? "## " : "", title, markdown ? "\n" : "");
}

static void put_heads(const char *const *heads, unsigned count, bool markdown, FILE *out)
{
    put_cells(heads, count, markdown, out);
    if (markdown) {
        (void)fputs("|---", out);
        for (unsigned i = 1; i < count; i++) {
            (void)fputs("|--:", out);
        }
        (void)fputs("|\n", out);
    }
}

/* The tables of all rows and the totals, each after its title. */
static void put_tables(const struct bench_report *report, bool markdown, FILE *out)
{
    for (unsigned row = 0; row < BENCH_ROW_COUNT; row++) {
        if (!row_used(report, (enum bench_row)row)) {
            continue;
        }
        put_title(row_texts[row].title, markdown, out);
        put_heads(row_heads, ROW_CELLS, markdown, out);
        for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
            if (report->series[row][peer].count > 0) {
                put_row(report, (enum bench_row)row, (enum bench_peer)peer, markdown, out);
            }
        }
    }
    put_title("the whole (load: import with a final flush; open: cold)", markdown, out);
    put_heads(total_heads, TOTAL_CELLS, markdown, out);
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (report->totals[peer].used) {
            put_totals(&report->totals[peer], (enum bench_peer)peer, markdown, out);
        }
    }
}

void bench_report_table(const struct bench_report *report, FILE *out)
{
    char text[64];
    (void)fprintf(out, "%s\n%s\n%llu blocks of %.1f KB, seed %llu, %.0f s in all. %s\n",
                  report->machine, report->directory, (unsigned long long)report->blocks,
                  (double)report->block_bytes / 1e3, (unsigned long long)report->seed,
                  report->seconds, report->cache_note);
    put_tables(report, false, out);
    (void)fprintf(out, "\ngoals\n");
    for (unsigned i = 0; i < GOAL_COUNT; i++) {
        (void)fprintf(out, "  %-76s %s\n", goals[i].text, goal_verdict(report, &goals[i], text));
    }
}

/* ---- Markdown ---- */

static void put_markdown_notes(const struct bench_report *report, FILE *out)
{
    (void)fprintf(
        out,
        "\nEach engine runs in its own process; they take turns, slice by slice, in changing "
        "order. Figures are medians over the rounds, `max` the\nlargest of all. Import rates "
        "include "
        "the work that a slice leaves in the background; `CPU each` does everywhere: processor "
        "time of all threads an operation.\n`io/byte` and `dev/byte` are bytes written a byte "
        "stored, as "
        "`/proc/PID/io` and `/proc/diskstats` count them. All get the same bytes: block,\n"
        "receipts, senders, 200 transaction hashes, 1,000 state changes. No one verifies; "
        "RocksDB is given the transactions' hashes, Stoa computes them.\nThe checksum of every "
        "value read is checked. Time in which an engine only waits for its own timer is not "
        "counted.\nThe stores hold %.1f GB of blocks each, against caches of 256 MiB; no block is "
        "read cold twice in a round. %s.\n",
        1e-9 * (double)report->blocks * (double)report->block_bytes, report->cache_note);
    if (report->chain_blocks > 0) {
        (void)fprintf(out,
                      "The valid chain: %llu blocks of %.1f KB and %.1f transactions on average; "
                      "every root, bloom and gas sum checked, every sender recovered.\n",
                      (unsigned long long)report->chain_blocks,
                      1e-3 * (double)report->chain_bytes / (double)report->chain_blocks,
                      (double)report->chain_transactions / (double)report->chain_blocks);
    }
    (void)fputs("\n", out);
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (report->totals[peer].used) {
            (void)fprintf(out, "- **%s**: %s\n", bench_peer_names[peer],
                          report->totals[peer].describe);
        }
    }
}

void bench_report_markdown(const struct bench_report *report, FILE *out)
{
    char text[64];
    (void)fprintf(out,
                  "# Benchmark results\n\nMade by `%s` on %s; do not edit.\n\n%s, %s. %llu blocks "
                  "of %.1f KB, seed %llu; the run took %.0f s.\n\n## Goals\n\n| goal | result "
                  "|\n|---|---|\n",
                  report->command, report->date, report->machine, report->directory,
                  (unsigned long long)report->blocks, (double)report->block_bytes / 1e3,
                  (unsigned long long)report->seed, report->seconds);
    for (unsigned i = 0; i < GOAL_COUNT; i++) {
        (void)fprintf(out, "| %s | %s |\n", goals[i].text, goal_verdict(report, &goals[i], text));
    }
    put_tables(report, true, out);
    put_markdown_notes(report, out);
}

/* ---- JSON ---- */

static void put_json_text(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
    (void)fputc('"', out);
}

static void put_json_round(const struct bench_round *round, FILE *out)
{
    (void)fprintf(out,
                  "{\"rate\":%.3f,\"acknowledgedRate\":%.3f,\"p50\":%.9f,\"p95\":%.9f,"
                  "\"p99\":%.9f,\"max\":%.9f,\"cpu\":%.9f,\"written\":%.4f,\"device\":%.4f}",
                  round->rate, round->acknowledged_rate, round->p50, round->p95, round->p99,
                  round->max, round->cpu, round->written, round->device);
}

static void put_json_engine(const struct bench_report *report, enum bench_peer peer, FILE *out)
{
    const struct bench_totals *totals = &report->totals[peer];
    (void)fprintf(out, "\"%s\":{\"settings\":", bench_peer_names[peer]);
    put_json_text(totals->describe, out);
    (void)fprintf(out,
                  ",\"importSeconds\":%.6f,\"importBlocks\":%llu,\"importDevice\":%.4f,"
                  "\"openSeconds\":%.6f,\"memory\":%llu,\"disk\":%llu,\"logical\":%llu,"
                  "\"phases\":{",
                  totals->import_seconds, (unsigned long long)totals->import_blocks,
                  totals->import_device, totals->open_seconds, (unsigned long long)totals->memory,
                  (unsigned long long)totals->disk, (unsigned long long)totals->logical);
    const char *comma = "";
    for (unsigned row = 0; row < BENCH_ROW_COUNT; row++) {
        const struct bench_series *series = &report->series[row][peer];
        if (series->count == 0) {
            continue;
        }
        struct bench_round middle = bench_report_median(series);
        (void)fprintf(out, "%s\"%s\":{\"median\":", comma, row_texts[row].name);
        put_json_round(&middle, out);
        (void)fprintf(out, ",\"rounds\":[");
        for (unsigned i = 0; i < series->count; i++) {
            (void)fputs(i > 0 ? "," : "", out);
            put_json_round(&series->rounds[i], out);
        }
        (void)fputs("]}", out);
        comma = ",";
    }
    (void)fputs("}}", out);
}

void bench_report_json(const struct bench_report *report, FILE *out)
{
    (void)fputs("{\"command\":", out);
    put_json_text(report->command, out);
    (void)fputs(",\"machine\":", out);
    put_json_text(report->machine, out);
    (void)fputs(",\"directory\":", out);
    put_json_text(report->directory, out);
    (void)fprintf(out,
                  ",\"date\":\"%s\",\"blocks\":%llu,\"blockBytes\":%llu,\"seed\":%llu,"
                  "\"seconds\":%.3f,\"engines\":{",
                  report->date, (unsigned long long)report->blocks,
                  (unsigned long long)report->block_bytes, (unsigned long long)report->seed,
                  report->seconds);
    const char *comma = "";
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (report->totals[peer].used) {
            (void)fputs(comma, out);
            put_json_engine(report, (enum bench_peer)peer, out);
            comma = ",";
        }
    }
    (void)fputs("},\"goals\":[", out);
    for (unsigned i = 0; i < GOAL_COUNT; i++) {
        double ratio = 0;
        bool measured = goal_ratio(report, &goals[i], &ratio);
        bool met =
            measured && (goals[i].latency ? ratio <= goals[i].factor : ratio >= goals[i].factor);
        (void)fprintf(out, "%s{\"goal\":", i > 0 ? "," : "");
        put_json_text(goals[i].text, out);
        (void)fprintf(out, ",\"measured\":%s,\"ratio\":%.4f,\"met\":%s}",
                      measured ? "true" : "false", ratio, met ? "true" : "false");
    }
    (void)fputs("]}\n", out);
}
