/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl bench: how long a frame takes to become an intent, seen from outside. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "clients/trajctl/bench_daemon.h"
#include "clients/trajctl/bench_load.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/model_file.h"
#include "traj/version.h"

#define LIST_MAX 16
#define SECONDS 60.0
#define QUICK_SECONDS 2.0
#define LONG_FRAMES 300000 /* of the first cell of 1-ms bins */
#define WARMUP_S 0.5
#define WARMUP_MIN 50
#define BEHIND_BINS 10.0 /* a cell whose last answers are so late does not keep up */
#define FRAMES_MAX 100000000

static const struct command_help help = {
    .name = "bench",
    .usage = "[options]",
    .about =
        "Measures trajd from outside: makes a model of each size (a filter over courses, by rule) "
        "and frames to go with it, starts a trajd of its own, sends on an absolute schedule and "
        "measures from the planned time of sending to the receipt of the intent, so that a stall "
        "counts against every frame that it delays; a frame without an intent counts as infinitely "
        "late. With --intents it measures what runs there "
        "instead, trajd or any program that speaks the same sockets. Nothing is asserted.",
    .example = "trajctl bench --quick\n"
               "trajctl bench --channels 256 --targets 8 --bin-ms 5 --seconds 60 --json\n",
};

struct list {
    double value[LIST_MAX];
    size_t count;
};

struct bench {
    const char *channels_text, *targets_text, *bins_text, *transport;
    const char *program, *config, *frames_at, *intents_at, *control_at, *write_model, *samples;
    struct list channels, targets, bins;
    double seconds;
    size_t frames; /* of every cell; 0 = as long as `seconds` */
    bool quick, json, quiet, long_done;
    struct progress progress;
    json_t *cells;
};

/* What was measured of one cell. */
struct cell {
    struct bench_size size;
    const char *transport;
    const char *family;
    struct bench_load load;
    double seconds, cpu, decode_cpu; /* s of time and of processor */
    double p50, p99, p999, max, late_p99;
    size_t lost, unanswered; /* the former without what was still waiting at the end */
    bool keeps_up;
    json_t *before, *after; /* status; NULL where it answers no requests */
};

static bool read_list(const char *text, struct list *list)
{
    list->count = 0;
    while (*text && list->count < LIST_MAX) {
        char word[32];
        size_t length = strcspn(text, ",");
        if (length == 0 || length >= sizeof word) {
            return false;
        }
        memcpy(word, text, length);
        word[length] = '\0';
        if (!number_real(word, &list->value[list->count]) || list->value[list->count] <= 0) {
            return false;
        }
        list->count++;
        text += length + (text[length] == ',' ? 1 : 0);
    }
    return list->count > 0 && *text == '\0';
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The value that the share q of sorted values does not exceed; NaN of none. */
static double quantile(const float *sorted, size_t count, double q)
{
    if (count == 0) {
        return NAN;
    }
    size_t rank = (size_t)ceil(q * (double)count);
    return (double)sorted[rank > 0 ? rank - 1 : 0];
}

/*
 * Latencies of the frames from `from` to `to`, sorted.  A frame without an intent is later than any
 * other: left out, it would make a daemon that loses frames look fast.  Returns how many there are.
 */
static size_t sort_latencies(const struct bench_load *load, size_t from, size_t to, float *sorted)
{
    size_t count = 0, missing = 0;
    for (size_t i = from; i < to; i++) {
        bool came = !isnan(load->latency[i]);
        missing += !came;
        sorted[count++] = came ? load->latency[i] : INFINITY;
    }
    qsort(sorted, count, sizeof *sorted, ascending);
    return missing;
}

/* The quantiles, and whether the daemon kept up. */
static int judge(struct cell *cell, struct traj_error *error)
{
    const struct bench_load *load = &cell->load;
    size_t tail = load->sent / 10;
    float *sorted = malloc((load->sent + 1) * sizeof *sorted);
    if (!sorted) {
        return traj_error_set(error, "memory is short");
    }
    (void)sort_latencies(load, load->sent - tail, load->sent, sorted);
    cell->keeps_up =
        !load->given_up && (tail == 0 || quantile(sorted, tail, 0.5) < BEHIND_BINS * load->bin);
    cell->unanswered = sort_latencies(load, 0, load->sent, sorted);
    cell->p50 = quantile(sorted, load->sent, 0.5);
    cell->p99 = quantile(sorted, load->sent, 0.99);
    cell->p999 = quantile(sorted, load->sent, 0.999);
    cell->max = quantile(sorted, load->sent, 1);
    /* What was still waiting when the load was given up is not lost, it is late. */
    cell->lost = load->given_up ? 0 : cell->unanswered;
    memcpy(sorted, load->late, load->sent * sizeof *sorted);
    qsort(sorted, load->sent, sizeof *sorted, ascending);
    cell->late_p99 = quantile(sorted, load->sent, 0.99);
    free(sorted);
    return 0;
}

/* A whole number of a thread's or the process's status; NaN where there is none. */
static double told(const json_t *status, const char *thread, const char *key)
{
    const json_t *object =
        thread ? json_object_get(json_object_get(status, "threads"), thread) : status;
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static double grown(const struct cell *cell, const char *thread, const char *key)
{
    return told(cell->after, thread, key) - told(cell->before, thread, key);
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_json(const struct cell *cell)
{
    json_t *json = json_pack(
        "{s:I, s:I, s:f, s:s, s:s, s:I, s:I, s:I, s:b, s:f}", "channels",
        (json_int_t)cell->size.units, "targets", (json_int_t)cell->size.targets, "bin_ms",
        1e3 * cell->size.bin, "transport", cell->transport, "family", cell->family, "frames",
        (json_int_t)cell->load.sent, "lost", (json_int_t)cell->lost, "unanswered",
        (json_int_t)cell->unanswered, "keeps_up", (int)cell->keeps_up, "seconds", cell->seconds);
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"p50_us", 1e6 * cell->p50},
                   {"p99_us", 1e6 * cell->p99},
                   {"p999_us", 1e6 * cell->p999},
                   {"max_us", 1e6 * cell->max},
                   {"sent_late_p99_us", 1e6 * cell->late_p99},
                   {"cpu", cell->cpu / cell->seconds},
                   {"decode_cpu", cell->decode_cpu / cell->seconds},
                   {"memory_bytes", told(cell->after, NULL, "memory")},
                   {"decode_minor_faults", grown(cell, "decode", "minor_faults")},
                   {"decode_major_faults", grown(cell, "decode", "major_faults")}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        json_object_set_new(json, numbers[i].key, number(numbers[i].value));
    }
    json_t *stages = json_object_get(cell->after, "stages_ms");
    json_object_set(json, "stages_ms", stages ? stages : json_null());
    return json;
}

static void print_head(void)
{
    printf("%8s %7s %6s %5s %8s %9s %9s %9s %9s %10s %6s %5s %7s %6s\n", "channels", "targets",
           "bin ms", "over", "frames", "p50 us", "p99 us", "99.9 % us", "max us", "unanswered",
           "lost", "cpu", "MiB", "faults");
}

static void print_cell(const struct cell *cell)
{
    printf("%8zu %7zu %6g %5s %8zu %9.1f %9.1f %9.1f %9.1f %10zu %6zu ", cell->size.units,
           cell->size.targets, 1e3 * cell->size.bin, cell->transport, cell->load.sent,
           1e6 * cell->p50, 1e6 * cell->p99, 1e6 * cell->p999, 1e6 * cell->max, cell->unanswered,
           cell->lost);
    if (isnan(cell->cpu)) {
        printf("%5s ", "-");
    } else {
        printf("%4.0f%% ", 100 * cell->cpu / cell->seconds);
    }
    if (cell->after) {
        printf("%7.1f %6.0f", told(cell->after, NULL, "memory") / 1048576.0,
               grown(cell, "decode", "minor_faults") + grown(cell, "decode", "major_faults"));
    } else {
        printf("%7s %6s", "-", "-");
    }
    printf("%s\n", cell->keeps_up ? "" : "  CANNOT KEEP UP");
    (void)fflush(stdout);
}

/* Every measured frame's latency, us, one a line; "lost" where no intent came. */
static int write_samples(const char *path, const struct bench_load *load, struct traj_error *error)
{
    struct output output;
    if (output_open(&output, path, error) != 0) {
        return -1;
    }
    for (size_t i = 0; i < load->sent; i++) {
        if (isnan(load->latency[i])) {
            (void)fputs("lost\n", output.file);
        } else {
            (void)fprintf(output.file, "%.2f\n", 1e6 * (double)load->latency[i]);
        }
    }
    return output_commit(&output, error);
}

static size_t frames_of(struct bench *b, const struct bench_size *size)
{
    if (b->frames > 0) {
        return b->frames;
    }
    if (!b->quick && size->bin < 0.0015 && !b->long_done) {
        b->long_done = true;
        double frames = fmax(LONG_FRAMES, b->seconds / size->bin);
        return (size_t)frames;
    }
    return (size_t)fmax(1, b->seconds / size->bin);
}

/* What has been used so far of the daemon whose cell it is. */
struct usage {
    struct cell *cell;
    struct bench_daemon *daemon;
    double cpu, time; /* before */
};

/* Before the measured frames, and after them as long as intents come: what connecting, warming up
 * and waiting for what is lost cost is nothing of the cell's. */
static void look_at_usage(void *context, bool end)
{
    struct usage *usage = context;
    struct cell *cell = usage->cell;
    if (!end) {
        cell->before = bench_daemon_status(usage->daemon);
        usage->cpu = bench_daemon_cpu(usage->daemon);
        usage->time = monotonic_seconds();
        return;
    }
    cell->cpu = bench_daemon_cpu(usage->daemon) - usage->cpu;
    cell->seconds = monotonic_seconds() - usage->time;
    json_decref(cell->after);
    cell->after = bench_daemon_status(usage->daemon);
}

/* Load, and what the daemon used meanwhile; a daemon that is gone is no slow one. */
static int run_load(struct cell *cell, struct bench_daemon *daemon, struct traj_error *error)
{
    struct usage usage = {.cell = cell, .daemon = daemon, .time = monotonic_seconds()};
    cell->load.look = look_at_usage;
    cell->load.context = &usage;
    int result = bench_load_run(&cell->load, error);
    if (bench_daemon_ended(daemon, error)) {
        return -1;
    }
    cell->decode_cpu = grown(cell, "decode", "cpu_s");
    if (result == 0 && cell->before && !cell->after) {
        return traj_error_set(error, "trajd answers no more at the end of the cell");
    }
    return result;
}

static int measure(struct bench *b, struct cell *cell, struct bench_daemon *daemon,
                   const struct bench_frames *frames, struct traj_error *error)
{
    cell->load = (struct bench_load){
        .frames_endpoint = daemon->frames,
        .intents_endpoint = daemon->intents,
        .frames = frames,
        .bin = cell->size.bin,
        .count = frames_of(b, &cell->size),
        .warmup = (size_t)fmax(WARMUP_MIN, WARMUP_S / cell->size.bin),
    };
    int result = run_load(cell, daemon, error);
    if (result == 0) {
        result = judge(cell, error);
    }
    if (result == 0 && b->samples) {
        result = write_samples(b->samples, &cell->load, error);
    }
    if (result == 0) {
        json_array_append_new(b->cells, cell_json(cell));
        if (!b->json) {
            print_cell(cell);
        }
    }
    bench_load_free(&cell->load);
    json_decref(cell->before);
    json_decref(cell->after);
    return result;
}

/* One cell with a daemon of its own. */
static int run_cell(struct bench *b, const struct bench_size *size, bool tcp,
                    struct traj_error *error)
{
    struct cell cell = {.size = *size, .transport = tcp ? "tcp" : "ipc", .family = "course"};
    struct bench_frames frames = {0};
    struct bench_daemon daemon = {0};
    char program[600];
    struct traj_model *model = bench_model_make(size, error);
    if (!model) {
        return -1;
    }
    bench_daemon_find(program, sizeof program);
    int result = bench_frames_make(&frames, size, model, error);
    if (result == 0) {
        result = bench_daemon_start(&daemon, b->program ? b->program : program, model, b->config,
                                    tcp, error);
    }
    /* The daemon has read it; the memory is its own again. */
    traj_model_free(model);
    if (result == 0) {
        result = measure(b, &cell, &daemon, &frames, error);
    }
    bench_daemon_stop(&daemon);
    bench_frames_free(&frames);
    return result;
}

/* The cells are counted through: transports change fastest, then targets, channels and bins. */
static int run_all(struct bench *b, struct traj_error *error)
{
    size_t transports = strcmp(b->transport, "both") == 0 ? 2 : 1;
    size_t all = b->bins.count * b->channels.count * b->targets.count * transports;
    for (size_t i = 0; i < all; i++) {
        size_t rest = i / transports;
        struct bench_size size = {.targets = (size_t)b->targets.value[rest % b->targets.count]};
        rest /= b->targets.count;
        size.units = (size_t)b->channels.value[rest % b->channels.count];
        size.bin = 1e-3 * b->bins.value[rest / b->channels.count];
        bool tcp = transports == 2 ? i % 2 == 1 : strcmp(b->transport, "tcp") == 0;
        progress_update(&b->progress, "cells", (double)i / (double)all);
        progress_end(&b->progress);
        int result = interrupted() ? -1 : run_cell(b, &size, tcp, error);
        if (result != 0) {
            return interrupted() ? 1 : -1;
        }
    }
    return 0;
}

/* What runs already: its sizes are those of its model, or what the options say. */
static int run_attached(struct bench *b, struct traj_error *error)
{
    struct cell cell = {.transport = strncmp(b->intents_at, "tcp", 3) == 0 ? "tcp" : "ipc",
                        .family = "unknown"};
    struct bench_frames frames = {0};
    struct bench_daemon daemon = {0};
    int result = bench_daemon_attach(&daemon, b->frames_at, b->intents_at, b->control_at, error);
    json_t *status = result == 0 ? bench_daemon_status(&daemon) : NULL;
    json_t *model = json_object_get(status, "model");
    if (result == 0 && b->control_at && !model) {
        result = traj_error_set(error, "no trajd answers at %s%s", b->control_at,
                                options_keys_doubt(b->control_at));
    }
    cell.size = (struct bench_size){.units = (size_t)b->channels.value[0],
                                    .targets = (size_t)b->targets.value[0],
                                    .bin = 1e-3 * b->bins.value[0]};
    if (model) {
        cell.size.units = (size_t)told(model, NULL, "units");
        cell.size.targets = (size_t)fmax(1, told(model, NULL, "targets"));
        cell.size.bin = told(model, NULL, "bin_width");
        cell.family = json_string_value(json_object_get(model, "family"));
    }
    struct traj_model *made = NULL;
    if (result == 0) {
        made = bench_model_make(&cell.size, error);
        result = made ? bench_frames_make(&frames, &cell.size, made, error) : -1;
    }
    traj_model_free(made);
    if (result == 0) {
        result = measure(b, &cell, &daemon, &frames, error);
    }
    json_decref(status);
    bench_daemon_stop(&daemon);
    bench_frames_free(&frames);
    return result;
}

static int write_model(const struct bench *b, struct traj_error *error)
{
    struct bench_size size = {.units = (size_t)b->channels.value[0],
                              .targets = (size_t)b->targets.value[0],
                              .bin = 1e-3 * b->bins.value[0]};
    struct traj_model *model = bench_model_make(&size, error);
    int result = model ? traj_model_save(model, b->write_model, error) : -1;
    traj_model_free(model);
    return result;
}

/* Names the machine, for nothing here means anything without it. */
static json_t *machine(void)
{
    struct utsname system;
    char line[256], cpu[200] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[strcspn(colon, "\n")] = '\0';
            (void)snprintf(cpu, sizeof cpu, "%s", colon + 2);
            break;
        }
    }
    if (file) {
        (void)fclose(file);
    }
    (void)uname(&system);
    return json_pack("{s:s, s:I, s:s, s:s}", "cpu", cpu, "processors",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "system", system.sysname, "release",
                     system.release);
}

static int check_options(struct bench *b)
{
    const struct {
        const char *option, *text;
        struct list *list;
        double low, high;
    } lists[] = {{"--channels", b->channels_text, &b->channels, 1, TRAJ_UNITS_MAX},
                 {"--targets", b->targets_text, &b->targets, 1, TRAJ_TARGETS_MAX},
                 {"--bin-ms", b->bins_text, &b->bins, 0.5, 100}};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        bool good = read_list(lists[i].text, lists[i].list);
        for (size_t k = 0; good && k < lists[i].list->count; k++) {
            double value = lists[i].list->value[k];
            good = value >= lists[i].low && value <= lists[i].high &&
                   (lists[i].list == &b->bins || value == floor(value));
        }
        if (!good) {
            return usage_error("bench", "%s: \"%s\" is no list of numbers between %g and %g",
                               lists[i].option, lists[i].text, lists[i].low, lists[i].high);
        }
    }
    if (strcmp(b->transport, "ipc") != 0 && strcmp(b->transport, "tcp") != 0 &&
        strcmp(b->transport, "both") != 0) {
        return usage_error("bench", "--transport: \"%s\" is not ipc, tcp or both", b->transport);
    }
    if ((b->frames_at != NULL) != (b->intents_at != NULL) || (b->control_at && !b->intents_at)) {
        return usage_error("bench",
                           "--source and --intents belong together, and --control to them");
    }
    return OPTIONS_RUN;
}

static void print_result(struct bench *b)
{
    json_t *all = json_pack("{s:s, s:o, s:O}", "version", TRAJ_VERSION, "machine", machine(),
                            "cells", b->cells);
    if (b->json) {
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
        putchar('\n');
    } else {
        json_t *m = json_object_get(all, "machine");
        printf("%s, %d processors, %s %s; trajd %s\n", json_string_value(json_object_get(m, "cpu")),
               (int)json_integer_value(json_object_get(m, "processors")),
               json_string_value(json_object_get(m, "system")),
               json_string_value(json_object_get(m, "release")), TRAJ_VERSION);
    }
    json_decref(all);
}

int cmd_bench(int argc, char **argv)
{
    struct bench b = {.channels_text = "96,256,1024,4096",
                      .targets_text = "8,32,108",
                      .bins_text = "1,5,20",
                      .transport = "ipc",
                      .seconds = -1};
    const struct command_option options[] = {
        {"channels", "LIST", OPTION_TEXT, &b.channels_text, "numbers of units, with commas"},
        {"targets", "LIST", OPTION_TEXT, &b.targets_text, "numbers of targets"},
        {"bin-ms", "LIST", OPTION_TEXT, &b.bins_text, "widths of a bin, ms"},
        {"frames", "N", OPTION_SIZE, &b.frames, "frames of each cell; otherwise --seconds", 1,
         FRAMES_MAX, .plain = true},
        {"seconds", "S", OPTION_REAL, &b.seconds,
         "how long each cell runs: 60, and the first of 1-ms bins 300000 frames; --quick: 2", 0.01,
         1e6, .plain = true},
        {"quick", NULL, OPTION_FLAG, &b.quick,
         "2 s a cell, of 96 and 1024 units, 8 and 32 targets, 5 and 20 ms unless lists are given"},
        {"transport", "NAME", OPTION_TEXT, &b.transport, "ipc, tcp or both",
         .words = "ipc tcp both"},
        {"json", NULL, OPTION_FLAG, &b.json, "print JSON instead of a table"},
        {"trajd", "PROGRAM", OPTION_TEXT, &b.program,
         "the daemon to start; otherwise the one beside this program", .file = FILE_READ},
        {"config", "C.json", OPTION_TEXT, &b.config, "its configuration", .file = FILE_READ},
        {"source", "ENDPOINT", OPTION_TEXT, &b.frames_at,
         "measure what already runs: where it takes frames"},
        {"intents", "ENDPOINT", OPTION_TEXT, &b.intents_at, "and where it publishes intents"},
        {"control", "ENDPOINT", OPTION_TEXT, &b.control_at,
         "and where it answers requests; without it the first of each list must be its sizes"},
        {"samples", "FILE", OPTION_TEXT, &b.samples,
         "write the last cell's latencies, us, a line "
         "each",
         .file = FILE_WRITTEN},
        {"write-model", "M.tjm", OPTION_TEXT, &b.write_model,
         "write the model of the first cell, and measure nothing", .file = FILE_WRITTEN},
        {"quiet", NULL, OPTION_FLAG, &b.quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (b.quick) {
        b.channels_text =
            strcmp(b.channels_text, "96,256,1024,4096") == 0 ? "96,1024" : b.channels_text;
        b.targets_text = strcmp(b.targets_text, "8,32,108") == 0 ? "8,32" : b.targets_text;
        b.bins_text = strcmp(b.bins_text, "1,5,20") == 0 ? "5,20" : b.bins_text;
    }
    if (b.seconds < 0) {
        b.seconds = b.quick ? QUICK_SECONDS : SECONDS;
    } else {
        b.long_done = true;
    }
    status = check_options(&b);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct traj_error error = {0};
    if (b.write_model) {
        return write_model(&b, &error) ? failure("bench", "%s", error.text) : 0;
    }
    interrupt_catch();
    progress_init(&b.progress, "bench", b.quiet || !b.json);
    b.cells = json_array();
    if (!b.json) {
        print_head();
    }
    int result = b.intents_at ? run_attached(&b, &error) : run_all(&b, &error);
    progress_end(&b.progress);
    print_result(&b);
    json_decref(b.cells);
    if (result < 0) {
        return failure("bench", "%s", error.text);
    }
    return result > 0 ? failure("bench", "interrupted") : 0;
}
