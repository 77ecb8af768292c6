/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small model; see tiny_model.h. */
#include "tests/common/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REACH 100.0    /* mm from the centre to a target */
#define STIFFNESS 40.0 /* 1/s^2 pull towards the target */
#define DAMPING 12.0   /* 1/s */

static void fill_tuning(struct tiny_model *tiny)
{
    for (size_t n = 0; n < TINY_UNITS; n++) {
        double angle = 2 * 3.14159265358979 * (double)n / TINY_UNITS;
        tiny->weight[n][2] = 0.004 * cos(angle); /* per mm/s */
        tiny->weight[n][3] = 0.004 * sin(angle);
        tiny->offset[n] = log(20.0 + 3.0 * (double)n);
    }
    tiny->lag[1] = 1;
}

/* A damped spring that pulls to the target; the free component keeps its velocity. */
static void fill_component(struct tiny_model *tiny, size_t k)
{
    double(*a)[TINY_STATE] = tiny->transition[k];
    bool free = k >= TINY_TARGETS;
    for (size_t d = 0; d < TINY_DIM; d++) {
        size_t v = d + TINY_DIM;
        a[d][d] = 1;
        a[d][v] = TINY_BIN;
        a[v][v] = free ? 0.98 : 1 - TINY_BIN * DAMPING;
        if (!free) {
            a[v][d] = -TINY_BIN * STIFFNESS;
            tiny->drift[k][v] = TINY_BIN * STIFFNESS * tiny->target_position[k][d];
        }
        tiny->noise[k][d][d] = free ? 0.5 : 0.05;
        tiny->noise[k][v][v] = free ? 900 : 60;
        tiny->start_cov[k][d][d] = free ? 400 : 4;
        tiny->start_cov[k][v][v] = free ? 4000 : 100;
    }
    tiny->component_target[k] = free ? -1 : (int32_t)k;
    tiny->component_prior[k] = free ? 0.1 : 0.3;
    tiny->trial_reset[k] = !free;
}

static void point(struct tiny_model *tiny)
{
    struct traj_model *model = &tiny->model;
    model->dims = (struct traj_dims){.position = TINY_DIM,
                                     .state = TINY_STATE,
                                     .units = TINY_UNITS,
                                     .targets = TINY_TARGETS,
                                     .components = TINY_COMPONENTS,
                                     .lag = 1};
    model->bin_width = TINY_BIN;
    model->tuning.weight = &tiny->weight[0][0];
    model->tuning.offset = tiny->offset;
    model->tuning.lag = tiny->lag;
    model->dynamics.transition = &tiny->transition[0][0][0];
    model->dynamics.drift = &tiny->drift[0][0];
    model->dynamics.noise = &tiny->noise[0][0][0];
    model->dynamics.start = &tiny->start[0][0];
    model->dynamics.start_cov = &tiny->start_cov[0][0][0];
    model->component_target = tiny->component_target;
    model->component_prior = tiny->component_prior;
    model->trial_reset = tiny->trial_reset;
    model->target_position = &tiny->target_position[0][0];
    model->plan.temper = 1;
    model->switch_rate = 0.5;
    model->evidence_temper = 1;
    model->calibration = (struct traj_calibration){
        .position_scale = 1.2, .velocity_scale = 0.9, .target_power = 0.8};
}

static void describe(struct tiny_model *tiny)
{
    struct traj_description *about = &tiny->model.about;
    for (size_t m = 0; m < TINY_TARGETS; m++)
        (void)snprintf(tiny->target_id[m], sizeof tiny->target_id[m], "t%zu", m);
    (void)strcpy(about->family, "mixture");
    (void)strcpy(about->length_unit, "mm");
    (void)strcpy(about->subject, "nobody");
    (void)strcpy(about->target_set, "ring3");
    (void)strcpy(about->digest, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    about->target_id = (const char(*)[TRAJ_ID_SIZE])tiny->target_id;
}

void tiny_model_init(struct tiny_model *tiny)
{
    memset(tiny, 0, sizeof *tiny);
    for (size_t m = 0; m < TINY_TARGETS; m++) {
        double angle = 2 * 3.14159265358979 * (double)m / TINY_TARGETS;
        tiny->target_position[m][0] = REACH * cos(angle);
        tiny->target_position[m][1] = REACH * sin(angle);
    }
    fill_tuning(tiny);
    for (size_t k = 0; k < TINY_COMPONENTS; k++)
        fill_component(tiny, k);
    point(tiny);
    describe(tiny);
}

void tiny_model_add_plan(struct tiny_model *tiny)
{
    for (size_t m = 0; m < TINY_TARGETS; m++) {
        for (size_t n = 0; n < TINY_UNITS; n++)
            tiny->plan_rate[m][n] = 10 + 15 * (double)((m + n) % TINY_TARGETS);
    }
    tiny->model.plan.begin = 0.02;
    tiny->model.plan.end = 0.1;
    tiny->model.plan.rate = &tiny->plan_rate[0][0];
    tiny->model.plan.temper = 0.7;
}

void tiny_model_name_units(struct tiny_model *tiny)
{
    for (size_t n = 0; n < TINY_UNITS; n++)
        (void)snprintf(tiny->unit_name[n], sizeof tiny->unit_name[n], "u%zu", n);
    tiny->model.about.unit_name = (const char(*)[TRAJ_ID_SIZE])tiny->unit_name;
}

uint64_t tiny_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double tiny_uniform(uint64_t *state)
{
    return (double)(tiny_random(state) >> 11) * 0x1p-53;
}

size_t tiny_choice(uint64_t *state, size_t n)
{
    return (size_t)(tiny_random(state) % n);
}

void tiny_counts(uint64_t seed, uint64_t i, uint16_t counts[TINY_UNITS])
{
    uint64_t state = seed * 1000003 + i;
    for (size_t n = 0; n < TINY_UNITS; n++) {
        uint64_t draw = tiny_random(&state) % 50;
        counts[n] = draw == 49 ? (uint16_t)TRAJ_COUNT_MISSING : (uint16_t)(draw % 8 / 2);
    }
}

uint64_t tiny_seed(void)
{
    const char *text = getenv("TRAJ_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("seed %llu (TRAJ_SEED)\n", (unsigned long long)seed);
    return seed;
}
