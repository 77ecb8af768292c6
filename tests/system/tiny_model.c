/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small model made by rule; see tiny_model.h. */
#include "tests/system/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/learn/model_file.h"

#define BIN 0.02
#define TWO_PI 6.283185307179586

/* The model's arrays are const for everybody but who makes it. */
#define WRITABLE(pointer) ((double *)(pointer))

static void fill_tuning(struct traj_model *model, uint64_t seed)
{
    for (size_t n = 0; n < model->dims.units; n++) {
        double angle = TWO_PI * (double)n / (double)model->dims.units + 0.37 * (double)seed;
        double *velocity =
            WRITABLE(model->tuning.weight) + n * model->dims.state + model->dims.position;

        for (size_t d = 0; d < model->dims.position; d++) {
            velocity[d] = 0.004 * cos(angle - 0.25 * TWO_PI * (double)d);
        }
        WRITABLE(model->tuning.offset)[n] = log(12.0 + (double)(n % 5));
        ((int32_t *)model->tuning.lag)[n] = (int32_t)(n % (model->dims.lag + 1));
    }
}

/* One component: speed and place decay towards a point, which for a target is the target. */
static void fill_dynamics(struct traj_model *model, size_t k, const double *goal)
{
    const struct traj_dynamics *dynamics = &model->dynamics;
    const size_t dim = model->dims.position;
    const size_t state = model->dims.state;
    double *a = WRITABLE(dynamics->transition) + k * state * state;
    double *q = WRITABLE(dynamics->noise) + k * state * state;
    double *v = WRITABLE(dynamics->start_cov) + k * state * state;

    for (size_t p = 0; p < dim; p++) {
        size_t s = dim + p; /* the velocity that belongs to position p */

        a[p * state + p] = 1.0;
        a[p * state + s] = BIN;
        a[s * state + p] = goal != NULL ? -0.3 : 0.0;
        a[s * state + s] = 0.9;
        WRITABLE(dynamics->drift)[k * state + s] = goal != NULL ? 0.3 * goal[p] : 0.0;
        q[p * state + p] = 0.01;
        q[s * state + s] = 400.0;
        v[p * state + p] = 25.0;
        v[s * state + s] = 100.0;
    }
}

static void fill_targets(struct traj_model *model)
{
    const size_t targets = model->dims.targets;
    const size_t dim = model->dims.position;

    for (size_t m = 0; m < targets; m++) {
        double *position = WRITABLE(model->target_position) + dim * m;

        for (size_t d = 0; d < dim && d < 2; d++) {
            position[d] = 100.0 * cos(TWO_PI * ((double)m / (double)targets - 0.25 * (double)d));
        }
        (void)snprintf((char *)model->about.target_id[m], TRAJ_ID_SIZE, "t%zu", m);
    }
    for (size_t k = 0; k <= targets; k++) {
        ((int32_t *)model->component_target)[k] = k < targets ? (int32_t)k : -1;
        ((uint8_t *)model->trial_reset)[k] = k < targets;
        WRITABLE(model->component_prior)[k] = 1.0 / (double)(targets + 1);
        fill_dynamics(model, k, k < targets ? model->target_position + dim * k : NULL);
    }
}

struct traj_model *tiny_model(size_t units, size_t targets, size_t dim, uint64_t seed,
                              struct traj_error *error)
{
    struct traj_dims dims = {.position = dim,
                             .state = 2 * dim,
                             .units = units,
                             .targets = targets,
                             .components = targets + 1,
                             .lag = 2};
    struct traj_model *model = traj_model_new(&dims, 0, 0, error);

    if (model == NULL) {
        return NULL;
    }
    model->bin_width = BIN;
    model->switch_rate = 0.5;
    model->evidence_temper = 1.0;
    model->plan.temper = 1.0;
    model->calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    (void)strcpy(model->about.family, "mixture");
    (void)strcpy(model->about.length_unit, "mm");
    (void)strcpy(model->about.subject, "tiny");
    (void)strcpy(model->about.target_set, "ring");
    fill_tuning(model, seed);
    fill_targets(model);
    return model;
}
