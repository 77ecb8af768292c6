/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regression on the recent past; see recent.h. */
#include "daemon/model/recent.h"

#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

#define STEPS_MAX 4096u /* bins that are followed through a gap; by then all is forgotten */

void traj_recent_lay_out(struct traj_recent *recent, struct traj_arena *arena,
                         const struct traj_dims *dims)
{
    const size_t stages = dims->stages, out = 2 * dims->position;
    recent->stages = stages;
    recent->channels = dims->units + dims->features;
    recent->out = out;
    if (stages == 0)
        return;
    recent->stage = traj_arena_take(arena, stages * recent->channels, sizeof(double));
    recent->share = traj_arena_take(arena, stages, sizeof(double));
    recent->answer = traj_arena_take(arena, out, sizeof(double));
    recent->factor = traj_arena_take(arena, out * out, sizeof(double));
    recent->table = traj_arena_take(arena, dims->states * out, sizeof(double));
    recent->half = traj_arena_take(arena, dims->states, sizeof(double));
    recent->apart = traj_arena_take(arena, out, sizeof(double));
}

bool traj_recent_init(struct traj_recent *recent, const struct traj_model *model)
{
    const struct traj_recent_model *told = &model->recent;
    const size_t out = recent->out;
    recent->model = model;
    if (recent->stages == 0)
        return true;
    if (!traj_cholesky(out, told->noise, recent->factor))
        return false;
    for (size_t j = 0; j < model->dims.states; j++) {
        double *row = recent->table + j * out;
        memcpy(row, told->mean + j * out, out * sizeof(double));
        traj_solve_lower(out, recent->factor, row);
        recent->half[j] = 0.0;
        for (size_t i = 0; i < out; i++)
            recent->half[j] += 0.5 * row[i] * row[i];
        traj_solve_lower_transposed(out, recent->factor, row);
    }
    traj_recent_clear(recent);
    return true;
}

void traj_recent_clear(struct traj_recent *recent)
{
    if (recent->stages == 0)
        return;
    memset(recent->stage, 0, recent->stages * recent->channels * sizeof(double));
    memset(recent->share, 0, recent->stages * sizeof(double));
    memcpy(recent->answer, recent->model->recent.offset, recent->out * sizeof(double));
}

/* One bin: every stage follows the one before it, the first of which has just been set. */
static void pass_on(struct traj_recent *recent)
{
    const double follow = recent->model->recent.follow;
    const size_t channels = recent->channels;
    for (size_t k = 1; k < recent->stages; k++) {
        const double *before = recent->stage + (k - 1) * channels;
        double *here = recent->stage + k * channels;
        for (size_t n = 0; n < channels; n++)
            here[n] += follow * (before[n] - here[n]);
        recent->share[k] += follow * (recent->share[k - 1] - recent->share[k]);
    }
}

static void pass_gap(struct traj_recent *recent, size_t bins)
{
    memset(recent->stage, 0, recent->channels * sizeof(double));
    recent->share[0] = 0.0;
    for (size_t i = 0; i < bins && i < STEPS_MAX; i++)
        pass_on(recent);
}

void traj_recent_step(struct traj_recent *recent, const double *s, size_t observed, size_t steps)
{
    const struct traj_recent_model *told = &recent->model->recent;
    const size_t out = recent->out, inputs = recent->stages * recent->channels;
    if (steps > 1)
        pass_gap(recent, steps - 1);
    for (size_t n = 0; n < recent->channels; n++)
        recent->stage[n] = s[n] - told->center[n];
    recent->share[0] = (double)observed / (double)recent->channels;
    pass_on(recent);
    memcpy(recent->answer, told->offset, out * sizeof(double));
    for (size_t i = 0; i < inputs; i++) {
        const double value = recent->stage[i], *weight = told->weight + i * out;
        for (size_t o = 0; o < out; o++)
            recent->answer[o] += value * weight[o];
    }
}

double traj_recent_sure(const struct traj_recent *recent)
{
    return recent->share[recent->stages - 1];
}

double traj_recent_likelihood(const struct traj_recent *recent, size_t j)
{
    const double *row = recent->table + j * recent->out;
    double sum = -recent->half[j];
    for (size_t o = 0; o < recent->out; o++)
        sum += recent->answer[o] * row[o];
    return traj_recent_sure(recent) * sum;
}

void traj_recent_unexplained(const struct traj_recent *recent, const double *weight,
                             const int32_t *active, size_t actives, double *out)
{
    const double *mean = recent->model->recent.mean, sure = traj_recent_sure(recent);
    memcpy(out, recent->answer, recent->out * sizeof(double));
    for (size_t i = 0; i < actives; i++) {
        const size_t j = (size_t)active[i];
        for (size_t o = 0; o < recent->out; o++)
            out[o] -= weight[i] * mean[j * recent->out + o];
    }
    for (size_t o = 0; o < recent->out; o++)
        out[o] *= sure;
}

double traj_recent_reach(const double *cov, const double *velocity, size_t dim)
{
    double variance = 0.0, square = 0.0;
    for (size_t d = 0; d < dim; d++)
        variance += cov[d * dim + d] / (double)dim;
    for (size_t d = 0; velocity && d < dim; d++)
        square += velocity[d] * velocity[d];
    if (!velocity || !(variance > 0.0))
        return variance;
    const double speed = sqrt(square);
    return variance * speed / (speed + sqrt(variance));
}

void traj_recent_correct(const struct traj_recent *recent, const double *weight,
                         const int32_t *active, size_t actives, double *position,
                         const double *position_cov, double *velocity, const double *velocity_cov)
{
    const size_t out = recent->out, dim = out / 2;
    const double *gain = recent->model->recent.gain;
    double *apart = recent->apart;
    const double of_position = traj_recent_reach(position_cov, NULL, dim);
    const double of_velocity = traj_recent_reach(velocity_cov, velocity, dim);
    traj_recent_unexplained(recent, weight, active, actives, apart);
    for (size_t i = 0; i < out; i++)
        for (size_t d = 0; d < dim; d++) {
            position[d] += of_position * apart[i] * gain[i * out + d];
            velocity[d] += of_velocity * apart[i] * gain[i * out + dim + d];
        }
}
