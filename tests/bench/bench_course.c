/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long one step of the filter over courses takes, the family that train chooses by default,
 * without sockets:
 *
 *     bench_course [UNITS TARGETS BIN_MS FRAMES]     a model by rule, as trajctl bench makes it
 *     bench_course MODEL.tjm FRAMES                  a trained one of counts
 *
 * Prints times, what share of the states take part, and how the likelihood's kernel stands to what
 * the processor and its memory can do; asserts nothing.
 */
#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "daemon/model/internal.h"
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

/* The frame's counts of a trained model: at a rate that every node has on the average. */
static void draw(const struct traj_model *model, uint64_t *seed, uint16_t *counts)
{
    for (size_t n = 0; n < model->dims.units; n++) {
        const size_t node = (size_t)(*seed >> 33) % model->dims.nodes;
        const double rate = exp(model->chain.emission_mean[node * model->dims.units + n]);
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        counts[n] = (double)(*seed >> 11) * 0x1p-53 < rate * model->bin_width ? 1 : 0;
    }
}

struct timing {
    double *took;
    double states, spikes;
};

static void run(struct traj_decoder *decoder, const struct bench_frames *frames, size_t count,
                struct timing *timing)
{
    const struct traj_model *model = traj_decoder_model(decoder);
    uint16_t *drawn = need(calloc(model->dims.units + 1, sizeof *drawn));
    uint64_t seed = 20261123;
    for (size_t i = 0; i < count; i++) {
        const size_t place = frames->count ? i % frames->count : i % 100;
        const uint16_t *counts = frames->count ? frames->counts + place * frames->units : drawn;
        struct traj_estimate estimate;
        if (frames->count == 0)
            draw(model, &seed, drawn);
        if (frames->count ? frames->starts[place] : place == 0)
            traj_decoder_trial_start(decoder);
        const struct traj_observation frame = {counts, NULL, model->bin_width, 1};
        const double begun = now();
        (void)traj_decoder_step(decoder, &frame, &estimate);
        timing->took[i] = now() - begun;
        timing->states += (double)decoder->filter.actives / (double)count;
        for (size_t n = 0; n < model->dims.units; n++)
            timing->spikes += (double)counts[n] / (double)count;
    }
    free(drawn);
}

static int measure(const struct traj_model *model, const struct bench_frames *frames, size_t count)
{
    struct traj_settings settings;
    struct traj_decoder *decoder;
    struct timing timing = {.took = need(calloc(count, sizeof(double)))};
    const size_t size = traj_decoder_size(&model->dims);
    void *memory = need(malloc(size));
    traj_settings_default(&settings);
    if (traj_decoder_init(memory, size, model, &settings, &decoder) != TRAJ_OK) {
        (void)fprintf(stderr, "bench_course: the model is refused\n");
        free(memory);
        free(timing.took);
        return 1;
    }
    run(decoder, frames, count, &timing);
    qsort(timing.took, count, sizeof *timing.took, ascending);
    printf("%zu units, %zu targets, bins of %g ms: %zu states on %zu nodes, %zu bytes; "
           "%.0f states and %.1f spikes a frame; step: median %.1f us, 99 %% %.1f, most %.1f\n",
           model->dims.units, model->dims.targets, 1e3 * model->bin_width, model->dims.states,
           model->dims.nodes, size, timing.states, timing.spikes, timing.took[count / 2],
           timing.took[count - 1 - count / 100], timing.took[count - 1]);
    free(memory);
    free(timing.took);
    return 0;
}

static int measure_size(size_t units, size_t targets, double bin_ms, size_t count)
{
    const struct bench_size size = {units, targets, 1e-3 * bin_ms};
    struct traj_error error = {""};
    struct bench_frames frames = {0};
    struct traj_model *model = bench_model_make(&size, &error);
    if (!model || bench_frames_make(&frames, &size, model, &error) != 0) {
        (void)fprintf(stderr, "bench_course: %s\n", error.text);
        bench_frames_free(&frames);
        traj_model_free(model);
        return 1;
    }
    const int result = measure(model, &frames, count);
    bench_frames_free(&frames);
    traj_model_free(model);
    return result;
}

static int measure_file(const char *path, size_t count)
{
    const struct bench_frames none = {0};
    struct traj_error error = {""};
    struct traj_model *model = traj_model_load(path, &error);
    if (!model || model->dims.states == 0 || model->chain.gaussian != 0.0) {
        (void)fprintf(stderr, "bench_course: %s\n",
                      model ? "not a filter over courses of counts" : error.text);
        return 1;
    }
    const int result = measure(model, &none, count);
    traj_model_free(model);
    return result;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return measure_file(argv[1], strtoul(argv[2], NULL, 10));
    if (argc == 5)
        return measure_size(strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10),
                            strtod(argv[3], NULL), strtoul(argv[4], NULL, 10));
    return measure_size(96, 8, 20, 2000) || measure_size(96, 8, 5, 2000) ||
           measure_size(1024, 32, 5, 500);
}
