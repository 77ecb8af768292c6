/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evidence of single units for the leading target. */
#include "clients/dashboard/evidence.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define POINTS 25      /* of progress, 0 to 1 */
#define FADING_S 0.5   /* time constant */
#define RATE_FLOOR 0.1 /* spikes/s: below this a model's rate is only a guess */

struct evidence {
    size_t targets, units;
    bool gaussian;
    double bin_width;
    double *mean;     /* [targets][POINTS][units], log spikes/s or mean of the root */
    size_t *states;   /* [targets][POINTS] that were averaged; 0 = none there */
    double *variance; /* [units] of the root */
    double *sum;      /* [units] */
};

static void average_states(struct evidence *e, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    size_t channels = model->dims.units + model->dims.features;
    for (size_t j = 0; j < model->dims.states; j++) {
        double progress = chain->progress[j];
        if (chain->target[j] < 0 || !(progress >= 0.0 && progress <= 1.0)) {
            continue;
        }
        size_t at = (size_t)chain->target[j] * POINTS + (size_t)lround(progress * (POINTS - 1));
        const double *from = chain->emission_mean + (size_t)chain->node[j] * channels;
        e->states[at]++;
        for (size_t n = 0; n < e->units; n++) {
            double *mean = &e->mean[at * e->units + n];
            *mean += (from[n] - *mean) / (double)e->states[at];
        }
    }
    for (size_t n = 0; n < e->units && e->gaussian; n++) {
        e->variance[n] = chain->emission_noise[n];
        for (size_t r = 0; r < model->dims.factors; r++) {
            double u = chain->emission_factor[n * model->dims.factors + r];
            e->variance[n] += u * u;
        }
    }
}

struct evidence *evidence_new(const struct traj_model *model)
{
    size_t targets = model->dims.targets, units = model->dims.units;
    if (model->dims.states == 0 || targets < 2 || units == 0) {
        return NULL;
    }
    struct evidence *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->targets = targets;
    self->units = units;
    self->gaussian = model->chain.gaussian != 0.0;
    self->bin_width = model->bin_width;
    self->mean = calloc(targets * POINTS * units, sizeof *self->mean);
    self->states = calloc(targets * POINTS, sizeof *self->states);
    self->variance = calloc(units, sizeof *self->variance);
    self->sum = calloc(units, sizeof *self->sum);
    if (!self->mean || !self->states || !self->variance || !self->sum) {
        evidence_free(self);
        return NULL;
    }
    average_states(self, model);
    return self;
}

void evidence_free(struct evidence *evidence)
{
    if (evidence) {
        free(evidence->mean);
        free(evidence->states);
        free(evidence->variance);
        free(evidence->sum);
        free(evidence);
    }
}

/* log p(count | mean) but for terms that all targets share. */
static double log_likelihood(const struct evidence *e, double count, double dt, size_t unit,
                             double mean)
{
    if (e->gaussian) {
        double left = sqrt(count * e->bin_width / dt + 0.25) - mean;
        return -0.5 * left * left / e->variance[unit];
    }
    double log_rate = fmax(mean, log(RATE_FLOOR));
    return count * log_rate - dt * exp(log_rate);
}

/* e_n of one unit; `at` is the point of progress. */
static double speaks(const struct evidence *e, double count, double dt, size_t unit, size_t leading,
                     size_t at)
{
    double value[TRAJ_TARGETS_MAX], most = -INFINITY, sum = 0.0, own = 0.0;
    size_t known = 0;
    for (size_t m = 0; m < e->targets; m++) {
        size_t place = m * POINTS + at;
        if (e->states[place] > 0) {
            value[known] = log_likelihood(e, count, dt, unit, e->mean[place * e->units + unit]);
            own = m == leading ? value[known] : own;
            most = fmax(most, value[known]);
            known++;
        }
    }
    for (size_t k = 0; k < known; k++) {
        sum += exp(value[k] - most);
    }
    return own - most - log(sum / (double)known);
}

static bool leading_target(const struct traj_intent *intent, size_t *leading)
{
    *leading = 0;
    for (size_t m = 1; intent->target_prob && m < intent->targets; m++) {
        *leading = intent->target_prob[m] > intent->target_prob[*leading] ? m : *leading;
    }
    return intent->target_prob && intent->target_prob[*leading] > 0.0;
}

void evidence_take(struct evidence *evidence, const struct traj_frame *frame,
                   const struct traj_intent *intent)
{
    size_t leading;
    double fading = exp(-frame->dt / FADING_S);
    for (size_t n = 0; n < evidence->units; n++) {
        evidence->sum[n] *= fading;
    }
    if (frame->units != evidence->units || intent->targets != evidence->targets ||
        !(intent->progress >= 0.0 && intent->progress <= 1.0) ||
        !leading_target(intent, &leading)) {
        return;
    }
    size_t at = (size_t)lround(intent->progress * (POINTS - 1));
    if (evidence->states[leading * POINTS + at] == 0) {
        return;
    }
    for (size_t n = 0; n < evidence->units; n++) {
        if (frame->counts[n] != TRAJ_COUNT_MISSING) {
            evidence->sum[n] += speaks(evidence, frame->counts[n], frame->dt, n, leading, at);
        }
    }
}

const double *evidence_of_units(const struct evidence *evidence, size_t *units)
{
    *units = evidence->units;
    return evidence->sum;
}
