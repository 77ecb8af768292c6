/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long one decoding step takes:  bench_step [UNITS COMPONENTS POSITION ORDER FEATURES FRAMES].
 * Prints the median, the 99th percentile and the longest, in microseconds; asserts nothing.
 */
#include "tests/oracle/random_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct traj_dims *dims, size_t frames)
{
    struct random random = {20261123};
    struct random_model made;
    random_model_make(&made, &random, dims, 1);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    uint16_t *counts = malloc((dims->units + 1) * sizeof *counts);
    float *features = malloc((dims->features + 1) * sizeof *features);
    double *took = malloc(frames * sizeof *took);
    if (!counts || !features || !took)
        abort();
    traj_decoder_trial_start(decoder);
    for (size_t i = 0; i < frames; i++) {
        random_frame(&made.model, &random, 0.0, counts, features);
        const struct traj_observation frame = {counts, features, made.model.bin_width, 1};
        struct traj_estimate estimate;
        const double begun = now();
        traj_decoder_step(decoder, &frame, &estimate);
        took[i] = now() - begun;
    }
    qsort(took, frames, sizeof *took, ascending);
    printf("N %5zu  K %3zu  S %2zu  F %3zu  %8zu bytes: median %8.1f us, 99 %% %8.1f, most %8.1f\n",
           dims->units, dims->components, dims->state, dims->features, traj_decoder_size(dims),
           took[frames / 2], took[frames - 1 - frames / 100], took[frames - 1]);
    free(took);
    free(features);
    free(counts);
    free(memory);
    random_model_free(&made);
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    return argc > at ? (size_t)strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const size_t frames = argument(argc, argv, 6, 2000);
    if (argc > 1) {
        const size_t dim = argument(argc, argv, 3, 2);
        const size_t components = argument(argc, argv, 2, 9);
        const struct traj_dims dims = {.position = dim,
                                       .state = dim * argument(argc, argv, 4, 2),
                                       .units = argument(argc, argv, 1, 98),
                                       .features = argument(argc, argv, 5, 0),
                                       .targets = components > 1 ? components - 1 : 0,
                                       .components = components,
                                       .lag = 5};
        if (frames == 0 || traj_decoder_size(&dims) == 0) {
            fprintf(stderr, "bench_step: sizes out of range\n");
            return 2;
        }
        measure(&dims, frames);
        return 0;
    }
    const size_t units[] = {32, 98, 192, 400, 1024};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        for (size_t order = 2; order <= 3; order++) {
            const struct traj_dims dims = {.position = 2,
                                           .state = 2 * order,
                                           .units = units[i],
                                           .targets = 8,
                                           .components = 9,
                                           .lag = 5};
            measure(&dims, frames);
        }
    }
    const struct traj_dims features = {
        .position = 2, .state = 6, .features = 96, .targets = 8, .components = 9};
    measure(&features, frames);
    return 0;
}
