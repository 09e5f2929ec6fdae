/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench: measures Stoa beside RocksDB and the raw device on the same made blocks; see --help.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench_device.h"
#include "bench_engines.h"
#include "bench_run.h"

enum form { FORM_TABLE, FORM_MARKDOWN, FORM_JSON };

struct arguments {
    struct bench_plan plan;
    const char *directory;
    enum form form;
    const char *output; /* NULL: standard output */
    bool blocks_given;
    bool rounds_given;
};

static void usage(FILE *file)
{
    fputs("usage: stoa-bench [--quick] [--dir DIR] [--blocks N] [--rounds N] [--seed S]\n"
          "                  [--engines stoa,rocksdb,raw] [--phases "
          "import,commit,hot,cold,verified]\n"
          "                  [--json | --markdown] [--output FILE]\n"
          "Measure Stoa beside RocksDB and the raw device, on the same made blocks.\n"
          "  --quick     a minute's smoke run: 1500 blocks, 2 rounds, the page cache left alone\n"
          "  --dir       where to put the stores while it runs (.)\n"
          "  --blocks    blocks to import (16000)\n"
          "  --rounds    rounds of the other phases (5)\n"
          "  --output    write the report there, not to standard output\n",
          file);
}

static _Noreturn void fail_usage(const char *format, const char *what)
{
    fputs("stoa-bench: ", stderr);
    fprintf(stderr, "%s: %s\n", format, what);
    usage(stderr);
    exit(2);
}

static uint64_t number_of(const char *option, const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max) {
        fail_usage(option, text);
    }
    return value;
}

static const struct bench_engine_ops *const engines[BENCH_PEER_COUNT] = {
    [BENCH_STOA] = &bench_engine_stoa,
    [BENCH_ROCKSDB] = BENCH_ENGINE_ROCKSDB,
    [BENCH_RAW] = &bench_engine_raw,
};

static void choose_engines(struct bench_plan *plan, char *list)
{
    memset(plan->engines, 0, sizeof(plan->engines));
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        unsigned peer = 0;
        while (peer < BENCH_PEER_COUNT && strcmp(name, bench_peer_names[peer]) != 0) {
            peer++;
        }
        if (peer == BENCH_PEER_COUNT) {
            fail_usage("no such engine", name);
        }
        if (engines[peer] == NULL) {
            fail_usage("not built in", name);
        }
        plan->engines[peer] = engines[peer];
    }
}

static void choose_phases(struct bench_plan *plan, char *list)
{
    static const char *const names[] = {"import", "commit", "hot", "cold", "verified"};
    enum { PHASES = sizeof(names) / sizeof(names[0]) };
    plan->phases = 0;
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        unsigned i = 0;
        while (i < PHASES && strcmp(name, names[i]) != 0) {
            i++;
        }
        if (i == PHASES) {
            fail_usage("no such phase", name);
        }
        plan->phases |= 1U << i;
    }
}

static void make_quick(struct arguments *arguments)
{
    struct bench_plan *plan = &arguments->plan;
    plan->blocks = arguments->blocks_given ? plan->blocks : 1500;
    plan->rounds = arguments->rounds_given ? plan->rounds : 2;
    plan->drop_caches = false;
    plan->slice = 250;
    plan->chain_slice = 300;
    plan->commits = 100;
    plan->hot_reads = 1000;
    plan->cold_reads = 500;
    plan->cold_reads_one = 100;
}

static void parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"quick", no_argument, NULL, 'q'},        {"dir", required_argument, NULL, 'd'},
        {"blocks", required_argument, NULL, 'b'}, {"rounds", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},   {"engines", required_argument, NULL, 'e'},
        {"phases", required_argument, NULL, 'p'}, {"json", no_argument, NULL, 'j'},
        {"markdown", no_argument, NULL, 'm'},     {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct bench_plan *plan = &arguments->plan;
    bool quick = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'q':
            quick = true;
            break;
        case 'd':
            arguments->directory = optarg;
            break;
        case 'b':
            plan->blocks = number_of("--blocks", optarg, 100000);
            arguments->blocks_given = true;
            break;
        case 'r':
            plan->rounds = (unsigned)number_of("--rounds", optarg, BENCH_ROUNDS_MAX - 1);
            arguments->rounds_given = true;
            break;
        case 's':
            plan->seed = number_of("--seed", optarg, UINT64_MAX);
            break;
        case 'e':
            choose_engines(plan, optarg);
            break;
        case 'p':
            choose_phases(plan, optarg);
            break;
        case 'j':
            arguments->form = FORM_JSON;
            break;
        case 'm':
            arguments->form = FORM_MARKDOWN;
            break;
        case 'o':
            arguments->output = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind != argc || plan->blocks == 0 || plan->rounds == 0 || plan->phases == 0) {
        usage(stderr);
        exit(2);
    }
    if (quick) {
        make_quick(arguments);
    }
}

/* Interrupted: the wait for the child ends with an error, and what was made is cleared away. */
static void on_signal(int signal)
{
    (void)signal;
}

static void describe(int argc, char **argv, const char *directory, struct bench_report *report)
{
    size_t used = (size_t)snprintf(report->command, sizeof(report->command), "stoa-bench");
    for (int i = 1; i < argc && used < sizeof(report->command); i++) {
        used += (size_t)snprintf(report->command + used, sizeof(report->command) - used, " %s",
                                 argv[i]);
    }
    time_t now = time(NULL);
    struct tm parts;
    (void)strftime(report->date, sizeof(report->date), "%Y-%m-%d", gmtime_r(&now, &parts));
    bench_device_machine(directory, report->machine, sizeof(report->machine));
    (void)snprintf(report->directory, sizeof(report->directory), "stores in %s", directory);
}

static int write_report(const struct arguments *arguments, const struct bench_report *report)
{
    FILE *out = arguments->output == NULL ? stdout : fopen(arguments->output, "w");
    if (out == NULL) {
        fprintf(stderr, "stoa-bench: %s: %s\n", arguments->output, strerror(errno));
        return 1;
    }
    if (arguments->form == FORM_JSON) {
        bench_report_json(report, out);
    } else if (arguments->form == FORM_MARKDOWN) {
        bench_report_markdown(report, out);
    } else {
        bench_report_table(report, out);
    }
    bool failed = ferror(out) != 0;
    if ((out == stdout ? fflush(out) : fclose(out)) != 0 || failed) {
        fprintf(stderr, "stoa-bench: the report could not be written\n");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .plan =
            {
                .blocks = 16000,
                .seed = 1,
                .rounds = 5,
                .slice = 1000,
                .chain_slice = 1500,
                .commits = 600,
                .hot_reads = 5000,
                .cold_reads = 3000,
                .cold_reads_one = 500,
                .phases = BENCH_PHASE_ALL,
                .drop_caches = true,
            },
        .directory = ".",
    };
    memcpy(arguments.plan.engines, engines, sizeof(engines));
    parse(argc, argv, &arguments);
    arguments.plan.progress = isatty(STDERR_FILENO) ? stderr : NULL;

    char directory[4096];
    (void)snprintf(directory, sizeof(directory), "%s/stoa-bench-XXXXXX", arguments.directory);
    if (mkdtemp(directory) == NULL) {
        fprintf(stderr, "stoa-bench: %s: %s\n", directory, strerror(errno));
        return 1;
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);  /* valid signals */
    (void)sigaction(SIGTERM, &action, NULL); /* the same */
    arguments.plan.directory = directory;

    static struct bench_report report;
    struct bench_fault fault = {.text = ""};
    describe(argc, argv, arguments.directory, &report);
    int result = bench_run(&arguments.plan, &report, &fault);
    if (bench_device_remove(directory) != 0) {
        fprintf(stderr, "stoa-bench: %s: could not be removed\n", directory);
    }
    if (result != 0) {
        fprintf(stderr, "stoa-bench: %s\n", fault.text);
        return 1;
    }
    return write_report(&arguments, &report);
}
