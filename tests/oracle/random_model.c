/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random models; see random_model.h. */
#include "tests/oracle/random_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t random_bits(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double random_uniform(struct random *random)
{
    return (double)(random_bits(random) >> 11) * 0x1p-53;
}

double random_between(struct random *random, double low, double high)
{
    return low + (high - low) * random_uniform(random);
}

double random_normal(struct random *random)
{
    const double radius = sqrt(-2.0 * log(1.0 - random_uniform(random)));
    return radius * cos(6.283185307179586 * random_uniform(random));
}

unsigned random_poisson(struct random *random, double mean)
{
    double left = exp(-mean);
    unsigned count = 0;
    for (double product = random_uniform(random); product > left && count < 1000; count++)
        product *= random_uniform(random);
    return count;
}

size_t random_below(struct random *random, size_t n)
{
    return (size_t)(random_bits(random) % n);
}

void random_covariance(struct random *random, size_t n, double scale, double *out)
{
    double *root = malloc(n * n * sizeof *root);
    if (!root)
        abort();
    for (size_t i = 0; i < n * n; i++)
        root[i] = random_normal(random) / sqrt((double)n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = i == j ? 0.3 : 0.0;
            for (size_t t = 0; t < n; t++)
                sum += root[i * n + t] * root[j * n + t];
            out[i * n + j] = sum * scale * scale;
            out[j * n + i] = sum * scale * scale;
        }
    }
    free(root);
}

static double *take(unsigned char **place, size_t count)
{
    double *out = (double *)(void *)*place;
    *place += count * sizeof(double);
    return out;
}

static void allocate(struct random_model *made)
{
    const struct traj_dims *d = &made->model.dims;
    const size_t square = d->state * d->state;
    const size_t numbers = d->units * (d->state + 1) + d->features * (d->state + 1 + d->features) +
                           d->components * (3 * square + 2 * d->state + 1) +
                           d->targets * (d->position + d->units) + 2 * d->units +
                           5 * d->components + d->tunings * d->units * (d->state + 1) +
                           4 * d->warps + d->units * (d->factors + 1);
    made->memory = calloc(numbers, sizeof(double));
    if (!made->memory)
        abort();
    unsigned char *place = made->memory;
    made->weight = take(&place, d->units * d->state);
    made->offset = take(&place, d->units);
    made->own_weight = take(&place, d->tunings * d->units * d->state);
    made->own_offset = take(&place, d->tunings * d->units);
    made->feature_weight = take(&place, d->features * d->state);
    made->feature_offset = take(&place, d->features);
    made->feature_noise = take(&place, d->features * d->features);
    made->transition = take(&place, d->components * square);
    made->drift = take(&place, d->components * d->state);
    made->noise = take(&place, d->components * square);
    made->start = take(&place, d->components * d->state);
    made->start_cov = take(&place, d->components * square);
    made->prior = take(&place, d->components);
    made->position = take(&place, d->targets * d->position);
    made->rate = take(&place, d->targets * d->units);
    made->lag = (int32_t *)(void *)take(&place, d->units);
    made->target = (int32_t *)(void *)take(&place, d->components);
    made->own = (int32_t *)(void *)take(&place, d->components);
    made->delay = (int32_t *)(void *)take(&place, d->components);
    made->root_noise = take(&place, d->units);
    made->root_factor = take(&place, d->units * d->factors);
    made->warped = (int32_t *)(void *)take(&place, d->components);
    made->speed = take(&place, d->warps);
    made->speed_variance = take(&place, d->warps);
    made->speed_walk = take(&place, d->warps);
    made->speed_limit = take(&place, d->warps);
    made->restarts = (uint8_t *)take(&place, d->components);
}

static void draw_observations(struct random_model *made, struct random *random)
{
    const struct traj_dims *d = &made->model.dims;
    for (size_t i = 0; i < d->units * d->state; i++)
        made->weight[i] = 0.4 * random_normal(random) / sqrt((double)d->state);
    for (size_t n = 0; n < d->units; n++) {
        made->offset[n] = log(random_between(random, 5.0, 60.0));
        made->lag[n] = (int32_t)random_below(random, d->lag + 1);
    }
    for (size_t i = 0; i < d->tunings * d->units * d->state; i++)
        made->own_weight[i] = 0.4 * random_normal(random) / sqrt((double)d->state);
    for (size_t i = 0; i < d->tunings * d->units; i++)
        made->own_offset[i] = log(random_between(random, 5.0, 60.0));
    for (size_t k = 0; k < d->components; k++)
        made->own[k] = (int32_t)random_below(random, d->tunings + 1) - 1;
    for (size_t i = 0; i < d->features * d->state; i++)
        made->feature_weight[i] = random_normal(random);
    for (size_t f = 0; f < d->features; f++)
        made->feature_offset[f] = random_normal(random);
    random_covariance(random, d->features, 1.3, made->feature_noise);
    for (size_t i = 0; i < d->targets * d->units; i++)
        made->rate[i] = random_between(random, 2.0, 40.0);
    for (size_t i = 0; i < d->targets * d->position; i++)
        made->position[i] = 2.0 * random_normal(random);
}

static void draw_component(struct random_model *made, struct random *random, size_t k)
{
    const size_t s = made->model.dims.state;
    double *transition = made->transition + k * s * s;
    for (size_t i = 0; i < s; i++) {
        for (size_t j = 0; j < s; j++)
            transition[i * s + j] =
                (i == j ? 0.93 : 0.0) + 0.03 * random_normal(random) / sqrt((double)s);
        made->drift[k * s + i] = 0.05 * random_normal(random);
        made->start[k * s + i] = 0.7 * random_normal(random);
    }
    random_covariance(random, s, 0.15, made->noise + k * s * s);
    random_covariance(random, s, 0.5, made->start_cov + k * s * s);
}

static void draw_components(struct random_model *made, struct random *random,
                            size_t free_components)
{
    const struct traj_dims *d = &made->model.dims;
    double sum = 0.0;
    for (size_t k = 0; k < d->components; k++) {
        const bool is_free = k + free_components >= d->components || d->targets == 0;
        draw_component(made, random, k);
        made->target[k] = is_free ? -1 : (int32_t)(k % d->targets);
        made->restarts[k] = k + free_components < d->components;
        made->delay[k] = (int32_t)random_below(random, d->delay + 1);
        made->prior[k] = random_between(random, 0.5, 1.5);
        sum += made->prior[k];
    }
    for (size_t k = 0; k < d->components; k++)
        made->prior[k] /= sum;
}

/* Noise of roots, shared by units about as much as it is their own; offsets are those of roots. */
static void draw_roots(struct random_model *made, struct random *random)
{
    const struct traj_dims *d = &made->model.dims;
    for (size_t n = 0; n < d->units && d->factors > 0; n++) {
        made->root_noise[n] = random_between(random, 0.2, 0.8);
        made->offset[n] = random_between(random, 0.5, 1.5);
        for (size_t w = 0; w < d->tunings; w++)
            made->own_offset[w * d->units + n] = random_between(random, 0.5, 1.5);
    }
    for (size_t i = 0; i < d->units * d->factors; i++)
        made->root_factor[i] = 0.4 * random_normal(random) / sqrt((double)d->factors);
}

/* Clocks that run up to twice as fast or slow; some components keep time. */
static void draw_speeds(struct random_model *made, struct random *random)
{
    const struct traj_dims *d = &made->model.dims;
    for (size_t w = 0; w < d->warps; w++) {
        made->speed[w] = random_between(random, -0.4, 0.4);
        made->speed_variance[w] = random_between(random, 0.01, 0.08);
        made->speed_walk[w] = random_below(random, 2) ? random_between(random, 0.0, 0.01) : 0.0;
        made->speed_limit[w] = random_between(random, 0.5, 1.2);
    }
    for (size_t k = 0; k < d->components && d->warps > 0; k++)
        made->warped[k] = (int32_t)random_below(random, d->warps + 1) - 1;
}

void random_model_make(struct random_model *made, struct random *random,
                       const struct traj_dims *dims, size_t free_components)
{
    memset(made, 0, sizeof *made);
    struct traj_model *model = &made->model;
    model->dims = *dims;
    allocate(made);
    draw_observations(made, random);
    draw_components(made, random, free_components);
    draw_speeds(made, random);
    draw_roots(made, random);
    model->bin_width = 0.02;
    model->tuning =
        (struct traj_tuning){made->weight,     made->offset, made->lag,        made->own_weight,
                             made->own_offset, made->own,    made->root_noise, made->root_factor};
    model->feature =
        (struct traj_feature_map){made->feature_weight, made->feature_offset, made->feature_noise};
    model->dynamics = (struct traj_dynamics){made->transition, made->drift, made->noise,
                                             made->start, made->start_cov};
    model->warp = (struct traj_warp){made->speed, made->speed_variance, made->speed_walk,
                                     made->speed_limit, made->warped};
    model->component_target = made->target;
    model->component_prior = made->prior;
    model->component_delay = made->delay;
    model->trial_reset = made->restarts;
    model->target_position = made->position;
    model->plan = (struct traj_plan){0.0, 0.0, NULL, 1.0};
    model->evidence_temper = 1.0;
    model->calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
}

void random_model_free(struct random_model *made)
{
    free(made->memory);
    made->memory = NULL;
}

void random_frame(const struct traj_model *model, struct random *random, double missing,
                  uint16_t *counts, float *features)
{
    for (size_t n = 0; n < model->dims.units; n++) {
        const unsigned count =
            random_poisson(random, model->bin_width * random_between(random, 0.0, 90.0));
        counts[n] = random_uniform(random) < missing ? TRAJ_COUNT_MISSING : (uint16_t)count;
    }
    for (size_t f = 0; f < model->dims.features; f++)
        features[f] = random_uniform(random) < missing ? NAN : (float)(1.5 * random_normal(random));
}

struct traj_decoder *random_decoder(const struct traj_model *model,
                                    const struct traj_settings *settings, void **memory)
{
    const size_t size = traj_decoder_size(&model->dims);
    *memory = malloc(size);
    struct traj_decoder *decoder = NULL;
    const enum traj_status status = traj_decoder_init(*memory, size, model, settings, &decoder);
    if (status != TRAJ_OK) {
        const char *what = NULL;
        traj_model_check(model, &what, NULL);
        fprintf(stderr, "decoder: %s (%s)\n", traj_status_text(status), what ? what : "?");
        abort();
    }
    return decoder;
}

uint64_t test_seed(uint64_t otherwise)
{
    const char *text = getenv("TRAJ_TEST_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;
    printf("seed %" PRIu64 " (TRAJ_TEST_SEED sets it)\n", seed);
    return seed;
}
