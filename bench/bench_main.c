/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench: measures Stoa beside other stores and the machine's limits; stoa-bench(1). */
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
#include "bench_report.h"
#include "bench_run.h"
#include "config.h"

struct arguments {
    struct bench_plan plan;
    const char *directory;
    const char *output;   /* the JSON; NULL: none */
    const char *markdown; /* NULL: none */
    const char *pictures; /* NULL: none */
    const char *notes;    /* NULL: none */
    bool json;            /* on standard output, not the table */
    bool render;          /* results that are there already */
    bool rounds_given;
    bool minutes_given;
    char command[1024];
};

static void usage(FILE *file)
{
#define BENCH_OPTION(letter, text, argument, help) \
    fprintf(file, "  --%-9s %-8s %s\n", #text, argument, help);
    fputs("usage: stoa-bench [OPTION...]\n"
          "       stoa-bench --render [OPTION...] RESULT.json...\n"
          "Measure Stoa beside other stores and the machine's limits, on the same made blocks.\n",
          file);
#include "bench_option.def"
#undef BENCH_OPTION
    fputs("engines:", file);
    for (unsigned i = 0; i < bench_engine_count; i++) {
        fprintf(file, " %s", bench_engines[i]->name);
    }
    fputs("\nphases:", file);
    for (unsigned i = 0; i < BENCH_PHASES; i++) {
        fprintf(file, " %s", bench_phase_names[i]);
    }
    fputs("\n", file);
}

static _Noreturn void fail_usage(const char *what, const char *text)
{
    fprintf(stderr, "stoa-bench: %s: %s\n", what, text);
    usage(stderr);
    exit(2);
}

static uint64_t number_of(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        fail_usage(option, text);
    }
    return value;
}

static const char *engine_name(unsigned index)
{
    return bench_engines[index]->name;
}

static const char *phase_name(unsigned index)
{
    return bench_phase_names[index];
}

/* The set that the words of LIST, separated by commas, name. */
static unsigned set_of(const char *what, char *list, const char *(*name_of)(unsigned index),
                       unsigned count)
{
    unsigned set = 0;
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        unsigned i = 0;
        while (i < count && strcmp(word, name_of(i)) != 0) {
            i++;
        }
        if (i == count) {
            fail_usage(what, word);
        }
        set |= 1U << i;
    }
    return set;
}

static void parse_option(int letter, struct arguments *arguments)
{
    struct bench_plan *plan = &arguments->plan;
    switch (letter) {
    case 'q':
        plan->quick = true;
        break;
    case 'm':
        plan->seconds = 60.0 * (double)number_of("--minutes", optarg, 1, 1440);
        arguments->minutes_given = true;
        break;
    case 'd':
        arguments->directory = optarg;
        break;
    case 'g':
        plan->bytes_max = number_of("--megabytes", optarg, 1, 1 << 20) << 20;
        break;
    case 'r':
        plan->rounds = (unsigned)number_of("--rounds", optarg, 1, 32);
        arguments->rounds_given = true;
        break;
    case 's':
        plan->seed = number_of("--seed", optarg, 0, UINT64_MAX);
        break;
    case 'e':
        plan->engines = set_of("no such engine", optarg, engine_name, bench_engine_count);
        break;
    case 'p':
        plan->phases = set_of("no such phase", optarg, phase_name, BENCH_PHASES);
        break;
    case 'j':
        arguments->json = true;
        break;
    case 'o':
        arguments->output = optarg;
        break;
    case 'M':
        arguments->markdown = optarg;
        break;
    case 'P':
        arguments->pictures = optarg;
        break;
    case 'n':
        arguments->notes = optarg;
        break;
    case 'R':
        arguments->render = true;
        break;
    case 'V':
        puts("stoa-bench " PACKAGE_VERSION);
        exit(0);
    case 'h':
        usage(stdout);
        exit(0);
    default:
        usage(stderr);
        exit(2);
    }
}

static void parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
#define BENCH_OPTION(letter, text, argument, help) \
    {#text, argument[0] == '\0' ? no_argument : required_argument, NULL, letter},
#include "bench_option.def"
#undef BENCH_OPTION
        {NULL, 0, NULL, 0},
    };
    struct bench_plan *plan = &arguments->plan;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        parse_option(c, arguments);
    }
    if (arguments->render != (optind < argc)) {
        usage(stderr);
        exit(2);
    }
    if (plan->quick) {
        enum { QUICK_BYTES = 32 << 20 };
        plan->seconds = arguments->minutes_given ? plan->seconds : 12;
        plan->rounds = arguments->rounds_given ? plan->rounds : 1;
        plan->bytes_max = plan->bytes_max < QUICK_BYTES ? plan->bytes_max : QUICK_BYTES;
        plan->drop_caches = false;
    }
    /* What is read cold has to have been imported, and so has what is opened again. */
    if ((plan->phases & (1U << BENCH_PHASE_COLD | 1U << BENCH_PHASE_MIXED)) != 0) {
        plan->phases |= 1U << BENCH_PHASE_IMPORT;
    }
}

/* Interrupted: the wait for the child ends with an error, and what was made is cleared away. */
static void on_signal(int signal)
{
    (void)signal;
}

/* As it was given: reading the options takes lists apart. */
static void note_command(int argc, char **argv, struct arguments *arguments)
{
    char *command = arguments->command;
    size_t size = sizeof(arguments->command);
    size_t used = (size_t)snprintf(command, size, "stoa-bench");
    for (int i = 1; i < argc && used < size; i++) {
        used += (size_t)snprintf(command + used, size - used, " %s", argv[i]);
    }
}

static void describe(const struct arguments *arguments, json_t *result)
{
    char date[32], machine[512];
    time_t now = time(NULL);
    struct tm parts;
    (void)strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&now, &parts));
    bench_device_machine(arguments->directory, machine, sizeof(machine));
    (void)json_object_set_new(result, "command", json_string(arguments->command));
    (void)json_object_set_new(result, "date", json_string(date));
    (void)json_object_set_new(result, "machine", json_string(machine));
    (void)json_object_set_new(result, "seed", json_integer((json_int_t)arguments->plan.seed));
    (void)json_object_set_new(result, "rounds", json_integer(arguments->plan.rounds));
}

/* So much that all stores, and what the device is measured with, find room. */
static void fit_space(struct arguments *arguments)
{
    enum { STORES = 16 }; /* what is imported so often over, with all that is written besides */
    uint64_t available = bench_device_free(arguments->directory);
    struct bench_plan *plan = &arguments->plan;
    if (available > 0 && plan->bytes_max > available / STORES) {
        plan->bytes_max = available / STORES;
        fprintf(stderr, "stoa-bench: little space: %llu MiB an engine\n",
                (unsigned long long)(plan->bytes_max >> 20));
    }
}

/* A run, its stores removed. NULL: it failed, and was told. */
static json_t *measure(struct arguments *arguments)
{
    char directory[4096];
    (void)snprintf(directory, sizeof(directory), "%s/stoa-bench-XXXXXX", arguments->directory);
    if (mkdtemp(directory) == NULL) {
        fprintf(stderr, "stoa-bench: %s: %s\n", directory, strerror(errno));
        return NULL;
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);  /* valid signals */
    (void)sigaction(SIGTERM, &action, NULL); /* the same */
    arguments->plan.directory = directory;
    fit_space(arguments);
    json_t *result = bench_result_create();
    struct bench_fault fault = {.text = ""};
    describe(arguments, result);
    uint64_t begun = bench_now();
    int outcome = bench_run(&arguments->plan, result, &fault);
    if (bench_device_remove(directory) != 0) {
        fprintf(stderr, "stoa-bench: %s: could not be removed\n", directory);
    }
    if (outcome != 0) {
        fprintf(stderr, "stoa-bench: %s\n", fault.text);
        json_decref(result);
        return NULL;
    }
    (void)json_object_set_new(result, "seconds", json_real(1e-9 * (double)(bench_now() - begun)));
    const char *name;
    json_t *phase;
    json_object_foreach(json_object_get(result, "phases"), name, phase)
    {
        (void)json_object_set_new(phase, "command", json_string(arguments->command));
    }
    bench_result_finish(result);
    return result;
}

/* The results in the files, put together. NULL: one is none, and was told. */
static json_t *load(const struct arguments *arguments, char **paths, int count)
{
    json_t *result = bench_result_create();
    double seconds = 0;
    for (int i = 0; i < count; i++) {
        json_error_t error;
        json_t *part = json_load_file(paths[i], JSON_REJECT_DUPLICATES, &error);
        const char *kind = json_string_value(json_object_get(part, "benchmark"));
        if (kind == NULL || strcmp(kind, "stoa-bench") != 0) {
            fprintf(stderr, "stoa-bench: %s: %s\n", paths[i],
                    part == NULL ? error.text : "not a result of stoa-bench");
            json_decref(part);
            json_decref(result);
            return NULL;
        }
        seconds += json_number_value(json_object_get(part, "seconds"));
        bench_result_merge(result, part);
        json_decref(part);
    }
    (void)json_object_set_new(result, "command", json_string(arguments->command));
    (void)json_object_set_new(result, "seconds", json_real(seconds));
    return result;
}

/* ---- what is written ---- */

static FILE *open_output(const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "stoa-bench: %s: %s\n", path, strerror(errno));
    }
    return out;
}

static int close_output(FILE *out, const char *path)
{
    bool failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (failed) {
        fprintf(stderr, "stoa-bench: %s: could not be written\n", path);
    }
    return failed ? -1 : 0;
}

/* Every digit of a number, so that what is made of the file is what was made of RESULT itself. */
static int write_json(const json_t *result, FILE *out)
{
    int outcome = json_dumpf(result, out, JSON_INDENT(1));
    return outcome == 0 && fputc('\n', out) != EOF ? 0 : -1;
}

/* The whole of a text file; NULL: it cannot be read, and was told. */
static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL || getdelim(&text, &size, '\0', file) < 0) {
        fprintf(stderr, "stoa-bench: %s: %s\n", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (file != NULL) {
        (void)fclose(file); /* was only read */
    }
    return text;
}

static int write_markdown(const struct arguments *arguments, const json_t *result)
{
    char *notes = arguments->notes == NULL ? NULL : read_text(arguments->notes);
    if (arguments->notes != NULL && notes == NULL) {
        return -1;
    }
    FILE *out = open_output(arguments->markdown);
    if (out == NULL) {
        free(notes);
        return -1;
    }
    const char *pictures = arguments->pictures;
    const char *slash = pictures == NULL ? NULL : strrchr(pictures, '/');
    bench_report_markdown(result, notes, slash != NULL ? slash + 1 : pictures, out);
    free(notes);
    return close_output(out, arguments->markdown);
}

static int write_pictures(const struct arguments *arguments, const json_t *result)
{
    if (mkdir(arguments->pictures, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "stoa-bench: %s: %s\n", arguments->pictures, strerror(errno));
        return -1;
    }
    for (unsigned phase = 0; phase < BENCH_PHASES; phase++) {
        char path[4096];
        if (bench_result_cases(result, (enum bench_phase)phase) == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s.svg", arguments->pictures,
                       bench_phase_names[phase]);
        FILE *out = open_output(path);
        if (out == NULL) {
            return -1;
        }
        (void)bench_report_picture(result, (enum bench_phase)phase, out); /* it has cases */
        if (close_output(out, path) != 0) {
            return -1;
        }
    }
    return 0;
}

static int write_all(const struct arguments *arguments, const json_t *result)
{
    if (arguments->output != NULL) {
        FILE *out = open_output(arguments->output);
        int outcome = out == NULL ? -1 : write_json(result, out);
        if (out == NULL || close_output(out, arguments->output) != 0 || outcome != 0) {
            return -1;
        }
    }
    if (arguments->pictures != NULL && write_pictures(arguments, result) != 0) {
        return -1;
    }
    if (arguments->markdown != NULL && write_markdown(arguments, result) != 0) {
        return -1;
    }
    if (arguments->json) {
        (void)write_json(result, stdout); /* looked at below */
    } else {
        bench_report_table(result, stdout);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "stoa-bench: the report could not be written\n");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .plan =
            {
                .seed = 1,
                .rounds = 3,
                .seconds = 780,
                .phases = BENCH_ALL_PHASES,
                .engines = (1U << bench_engine_count) - 1,
                .bytes_max = (uint64_t)4 << 30,
                .drop_caches = true,
            },
        .directory = ".",
    };
    note_command(argc, argv, &arguments);
    parse(argc, argv, &arguments);
    arguments.plan.progress = isatty(STDERR_FILENO) ? stderr : NULL;
    json_t *result =
        arguments.render ? load(&arguments, argv + optind, argc - optind) : measure(&arguments);
    int outcome = result == NULL ? -1 : write_all(&arguments, result);
    json_decref(result);
    return outcome == 0 ? 0 : 1;
}
