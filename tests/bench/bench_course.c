/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long one step of the filter over courses takes, the family that train chooses by default,
 * without sockets:
 *
 *     bench_course [UNITS TARGETS BIN_MS FRAMES]     a model by rule, as trajctl bench makes it
 *     bench_course MODEL.tjm FRAMES                  a trained one of counts; one of 96 units and 8
 *                                                    targets is also widened to 1024 and 32, which
 *                                                    nobody trains in a minute
 *     bench_course count UNITS TARGETS BIN_MS FRAMES steps alone, of a filter whose counts tell
 *                                                    nothing: for instructions to be counted
 *     bench_course --check [MODEL.tjm ...]           the sizes for which a time is promised, and
 *                                                    the models; ends with 1 where a median step
 *                                                    takes longer than is promised for its size
 *
 * Prints times, what share of the states take part, and how the likelihood's kernel stands to what
 * the processor and its memory can do; judges with --check alone.
 */
#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "daemon/model/internal.h"
#include "daemon/model/lanes.h"
#include "tests/bench/wide_model.h"
#include "traj/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *need(void *memory)
{
    if (!memory) {
        (void)fprintf(stderr, "bench_course: no memory\n");
        exit(1);
    }
    return memory;
}

/* Counts of a trained model's frame: each unit at the rate that it has at some node. */
static void draw(const struct traj_model *model, uint64_t *seed, uint16_t *counts)
{
    const size_t channels = model->dims.units + model->dims.features;
    for (size_t n = 0; n < model->dims.units; n++) {
        const size_t node = (size_t)(*seed >> 33) % model->dims.nodes;
        const double mean = model->chain.emission_mean[node * channels + n];
        const double expected = model->chain.gaussian != 0.0 ? fmax(mean * mean - 0.25, 0.0)
                                                             : exp(mean) * model->bin_width;
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        counts[n] = (uint16_t)(expected + (double)(*seed >> 11) * 0x1p-53);
    }
}

/* The longest median step that is promised: of a filter of either kind, by rule or trained. */
static const struct {
    size_t units, targets;
    double us;
} promises[] = {{96, 8, 40.0}, {1024, 32, 1200.0}};

/* us; infinity where nothing is promised of the size. */
static double promised(const struct traj_dims *dims)
{
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++)
        if (dims->units == promises[i].units && dims->targets == promises[i].targets)
            return promises[i].us;
    return INFINITY;
}

struct timing {
    bool prepare; /* what does not depend on the frame is done before it, and not counted */
    bool cold;    /* the caches have been used by others before the frame */
    bool goes;    /* in every other frame the count of one unit is missing, of each in turn */
    unsigned char *other;
    double *took;
    double states, spikes;
};

#define OTHER_WORK ((size_t)4 << 20) /* bytes: more than the caches of one processor */

/* As when others have worked here since the last frame. */
static void forget_caches(unsigned char *other)
{
    for (size_t i = 0; i < OTHER_WORK; i += 64)
        other[i]++;
}

/* An effector that goes round, as whoever steers tells of it with every frame. */
static void steer(struct traj_decoder *decoder, size_t i)
{
    double position[TRAJ_DIM_MAX] = {0.0};
    position[0] = 50.0 * sin(0.01 * (double)i);
    (void)traj_decoder_effector(decoder, position);
}

static void run(struct traj_decoder *decoder, const struct bench_frames *frames, size_t count,
                struct timing *timing)
{
    const struct traj_model *model = traj_decoder_model(decoder);
    const size_t units = model->dims.units;
    uint16_t *counts = need(calloc(units + 1, sizeof *counts));
    uint64_t seed = 20261123;
    for (size_t i = 0; i < count; i++) {
        const size_t place = frames->count ? i % frames->count : i % 100;
        struct traj_estimate estimate;
        if (frames->count)
            memcpy(counts, frames->counts + place * units, units * sizeof *counts);
        else
            draw(model, &seed, counts);
        for (size_t n = 0; n < units; n++)
            timing->spikes += (double)counts[n] / (double)count;
        if (timing->goes && i % 2 == 1)
            counts[i / 2 % units] = TRAJ_COUNT_MISSING;
        if (frames->count ? frames->starts[place] : place == 0)
            traj_decoder_trial_start(decoder);
        if (model->dims.paces > 0)
            steer(decoder, i);
        const struct traj_observation frame = {counts, NULL, model->bin_width, 1};
        if (timing->prepare)
            traj_decoder_prepare(decoder);
        if (timing->cold)
            forget_caches(timing->other);
        const double begun = now();
        (void)traj_decoder_step(decoder, &frame, &estimate);
        timing->took[i] = now() - begun;
        timing->states += (double)decoder->filter.now.count / (double)count;
    }
    free(counts);
}

static void show(const char *what, const struct timing *timing, size_t count)
{
    printf("    %s: median %.1f us, 99 %% %.1f, most %.1f\n", what, timing->took[count / 2],
           timing->took[count - 1 - count / 100], timing->took[count - 1]);
}

/* A fresh decoder takes all frames; sorts what they took. */
static int time_frames(const struct traj_model *model, const struct bench_frames *frames,
                       size_t count, struct timing *timing)
{
    struct traj_settings settings;
    struct traj_decoder *decoder;
    const size_t size = traj_decoder_size(&model->dims);
    void *memory = need(malloc(size));
    traj_settings_default(&settings);
    if (traj_decoder_init(memory, size, model, &settings, &decoder) != TRAJ_OK) {
        (void)fprintf(stderr, "bench_course: the model is refused\n");
        free(memory);
        return 1;
    }
    run(decoder, frames, count, timing);
    qsort(timing->took, count, sizeof *timing->took, ascending);
    free(memory);
    return 0;
}

/* A line for the times of one way of going about it; 0, or 1 where the model is refused. */
static int measure_way(const char *what, const struct traj_model *model,
                       const struct bench_frames *frames, size_t count, struct timing *timing)
{
    const int result = time_frames(model, frames, count, timing);
    if (result == 0)
        show(what, timing, count);
    return result;
}

/* The median step beside what is promised; in *broken whether it takes longer. */
static void hold(const struct traj_model *model, const struct timing *timing, size_t count,
                 bool *broken)
{
    const double most = promised(&model->dims);
    if (most < INFINITY) {
        const bool holds = timing->took[count / 2] <= most;
        printf("    promised: median %.0f us, which %s\n", most, holds ? "holds" : "DOES NOT HOLD");
        *broken = *broken || !holds;
    }
}

static void describe(const struct traj_model *model, const struct timing *timing)
{
    printf("%zu units, %zu targets, bins of %g ms, %s: %zu states on %zu nodes, %zu bytes;\n"
           "    %.0f states and %.1f spikes a frame\n",
           model->dims.units, model->dims.targets, 1e3 * model->bin_width,
           model->chain.gaussian != 0.0 ? "Gaussian" : "Poisson", model->dims.states,
           model->dims.nodes, traj_decoder_size(&model->dims), timing->states, timing->spikes);
}

static int measure(const struct traj_model *model, const struct bench_frames *frames, size_t count,
                   bool *broken)
{
    struct timing timing = {.took = need(calloc(count, sizeof(double))),
                            .other = need(calloc(OTHER_WORK, 1))};
    int result = time_frames(model, frames, count, &timing);
    if (result == 0) {
        describe(model, &timing);
        show("step", &timing, count);
        hold(model, &timing, count, broken);
        timing.goes = true;
        result = measure_way("where a unit comes and goes", model, frames, count, &timing);
    }
    timing.goes = false;
    timing.prepare = true;
    if (result == 0)
        result = measure_way("where the rest is done ahead", model, frames, count, &timing);
    timing.cold = true;
    if (result == 0)
        result = measure_way("the same with caches that others have used since", model, frames,
                             count, &timing);
    free(timing.other);
    free(timing.took);
    return result;
}

/* All nodes alike, so that what is counted tells nothing and no state is given up for it. */
static void flatten(const struct traj_model *model)
{
    double *log_rate = (double *)(uintptr_t)model->chain.emission_mean;
    for (size_t i = 0; i < model->dims.nodes * model->dims.units; i++)
        log_rate[i] = log(10.0);
}

static int measure_size(const struct bench_size *size, size_t count, bool flat, bool *broken)
{
    struct traj_error error = {""};
    struct bench_frames frames = {0};
    struct traj_model *model = bench_model_make(size, &error);
    if (!model || bench_frames_make(&frames, size, flat ? NULL : model, &error) != 0) {
        (void)fprintf(stderr, "bench_course: %s\n", error.text);
        bench_frames_free(&frames);
        traj_model_free(model);
        return 1;
    }
    int result;
    if (flat) {
        struct timing timing = {.took = need(calloc(count, sizeof(double)))};
        flatten(model);
        result = time_frames(model, &frames, count, &timing);
        printf("%.1f states and %.1f spikes a frame\n", timing.states, timing.spikes);
        free(timing.took);
    } else {
        result = measure(model, &frames, count, broken);
    }
    bench_frames_free(&frames);
    traj_model_free(model);
    return result;
}

/* The same model widened to the greatest size of which a time is promised. */
static int measure_wide(const struct traj_model *model, size_t count, bool *broken)
{
    const struct bench_frames none = {0};
    struct traj_error error = {""};
    struct traj_model *wide =
        wide_model(model, promises[1].units, promises[1].targets / promises[0].targets, &error);
    if (!wide) {
        (void)fprintf(stderr, "bench_course: %s\n", error.text);
        return 1;
    }
    printf("widened, ");
    const int result = measure(wide, &none, count, broken);
    traj_model_free(wide);
    return result;
}

static int measure_file(const char *path, size_t count, bool *broken)
{
    const struct bench_frames none = {0};
    struct traj_error error = {""};
    struct traj_model *model = traj_model_load(path, &error);
    if (!model || model->dims.states == 0 || model->dims.units == 0) {
        (void)fprintf(stderr, "bench_course: %s\n",
                      model ? "not a filter over courses of counts" : error.text);
        return 1;
    }
    int result = measure(model, &none, count, broken);
    if (result == 0 && model->chain.gaussian != 0.0 && model->dims.features == 0 &&
        model->dims.units == promises[0].units && model->dims.targets == promises[0].targets)
        result = measure_wide(model, count, broken);
    traj_model_free(model);
    return result;
}

/* ---- the kernel of the likelihood beside what the machine can do ---------------------------- */

#define REPEATS 30

/* The shortest of some runs, s. */
static double shortest(void (*work)(void *), void *on)
{
    double best = INFINITY;
    for (int i = 0; i < REPEATS; i++) {
        const double begun = now();
        work(on);
        const double took = now() - begun;
        best = took < best ? took : best;
    }
    return 1e-6 * best;
}

struct kernel_load {
    struct traj_rows rows;
    size_t nodes, rounds;
    double *table, *out;
    double sum;
};

static void run_kernel(void *on)
{
    struct kernel_load *load = on;
    for (size_t i = 0; i < load->rounds; i++)
        traj_rows_choose()(&load->rows, 0, load->nodes, load->out);
}

/* A product and a sum after the other, in registers alone: the peak without fused ones. */
TRAJ_INLINE void calculate(void *on)
{
    struct kernel_load *load = on;
    traj_four x[12];
    const traj_four factor = traj_four_all(0.999), add = traj_four_all(1e-3);
    for (size_t k = 0; k < 12; k++)
        x[k] = traj_four_all((double)k);
    for (size_t i = 0; i < load->rounds; i++)
        for (size_t k = 0; k < 12; k++)
            x[k] = x[k] * factor + add;
    for (size_t k = 0; k < 12; k++)
        load->sum += traj_four_sum(x[k]);
}

/* Reads the table and does nothing with it but add. */
TRAJ_INLINE void read_table(void *on)
{
    struct kernel_load *load = on;
    traj_four sum[4] = {traj_four_all(0), traj_four_all(0), traj_four_all(0), traj_four_all(0)};
    const size_t all = load->rows.count * load->nodes;
    for (size_t i = 0; i < all; i += 16)
        for (size_t k = 0; k < 4; k++)
            sum[k] += traj_four_get(load->table + i + 4 * k);
    load->sum += traj_four_sum(sum[0] + sum[1] + sum[2] + sum[3]);
}

static void calculate_plain(void *on)
{
    calculate(on);
}

static void read_table_plain(void *on)
{
    read_table(on);
}

TRAJ_WIDE static void calculate_wide(void *on)
{
    calculate(on);
}

TRAJ_WIDE static void read_table_wide(void *on)
{
    read_table(on);
}

static void load_kernel(struct kernel_load *load, size_t units, size_t nodes)
{
    const double **row = need(calloc(units, sizeof *row));
    double *value = need(calloc(units, sizeof *value));
    load->table = need(calloc(units * nodes, sizeof *load->table));
    load->out = need(calloc(nodes, sizeof *load->out));
    for (size_t i = 0; i < units * nodes; i++)
        load->table[i] = 1e-3 * (double)(i % 1000);
    for (size_t n = 0; n < units; n++) {
        row[n] = load->table + n * nodes;
        value[n] = 1.0;
    }
    load->nodes = nodes;
    load->rows = (struct traj_rows){units, row, value};
}

static void free_kernel(struct kernel_load *load)
{
    free((void *)(uintptr_t)load->rows.row);
    free((void *)(uintptr_t)load->rows.value);
    free(load->table);
    free(load->out);
}

static void measure_kernel(void)
{
    struct kernel_load load = {.rounds = 2000};
    load_kernel(&load, 32, 64); /* 16 kB */
    const double took = shortest(run_kernel, &load);
    const double rate = 2e-9 * 32 * 64 * (double)load.rounds / took;
    free_kernel(&load);
    load.rounds = 100000;
    const double peak = 2e-9 * 48 * (double)load.rounds /
                        shortest(TRAJ_CAN_RUN_WIDE ? calculate_wide : calculate_plain, &load);
    load.rounds = 1;
    load_kernel(&load, 1024, 2000); /* 16 MB */
    const double bytes = 8e-9 * 1024 * 2000;
    const double read =
        bytes / shortest(TRAJ_CAN_RUN_WIDE ? read_table_wide : read_table_plain, &load);
    const double streamed = bytes / shortest(run_kernel, &load);
    free_kernel(&load);
    printf("kernel of the likelihood: from the nearest cache %.1f of %.1f Gflop/s (%.0f %% of the "
           "peak of products and sums);\n    a table of 1024 units and 2000 nodes at %.1f of %.1f "
           "GB/s (%.0f %% of reading alone)\n",
           rate, peak, 100 * rate / peak, streamed, read, 100 * streamed / read);
}

static struct bench_size size_of(char **argv)
{
    return (struct bench_size){strtoul(argv[0], NULL, 10), strtoul(argv[1], NULL, 10),
                               1e-3 * strtod(argv[2], NULL)};
}

#define CHECKED 1000 /* frames, of which the median is judged */

/* What is promised: of the sizes for which it is, and of the models. */
static int check(char **model, size_t models)
{
    bool broken = false;
    int result = 0;
    for (size_t i = 0; i < sizeof promises / sizeof *promises && result == 0; i++) {
        const struct bench_size size = {promises[i].units, promises[i].targets, 0.02};
        result = measure_size(&size, CHECKED, false, &broken);
    }
    for (size_t i = 0; i < models && result == 0; i++)
        result = measure_file(model[i], CHECKED, &broken);
    return result != 0 || broken;
}

int main(int argc, char **argv)
{
    static const struct bench_size usual[] = {
        {96, 8, 0.02}, {256, 8, 0.005}, {1024, 32, 0.02}, {1024, 32, 0.005}};
    struct bench_size size;
    bool broken = false;
    int result = 0;
    if (argc > 1 && strcmp(argv[1], "--check") == 0)
        return check(argv + 2, (size_t)argc - 2);
    if (argc == 3)
        return measure_file(argv[1], strtoul(argv[2], NULL, 10), &broken);
    if (argc == 6 && strcmp(argv[1], "count") == 0) {
        size = size_of(argv + 2);
        return measure_size(&size, strtoul(argv[5], NULL, 10), true, &broken);
    }
    if (argc == 5) {
        size = size_of(argv + 1);
        return measure_size(&size, strtoul(argv[4], NULL, 10), false, &broken);
    }
    measure_kernel();
    for (size_t i = 0; i < sizeof usual / sizeof *usual && result == 0; i++)
        result = measure_size(&usual[i], i < 2 ? 2000 : 1000, false, &broken);
    return result;
}
