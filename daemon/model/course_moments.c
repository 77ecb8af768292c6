/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the filter over courses shows of its posterior; see course_filter.h. */
#include "daemon/model/course_filter.h"

#include <math.h>
#include <string.h>

/* Mean and covariance over states of values with a spread within each state. */
static void mixture_moments(const struct traj_course_filter *f, const double *value,
                            const double *spread, double *mean, double *cov)
{
    const size_t dim = f->dim;
    double off[TRAJ_DIM_MAX];
    memset(mean, 0, dim * sizeof(double));
    memset(cov, 0, dim * dim * sizeof(double));
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        for (size_t d = 0; d < dim; d++)
            mean[d] += f->weight[i] * value[j * dim + d];
    }
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        for (size_t d = 0; d < dim; d++)
            off[d] = value[j * dim + d] - mean[d];
        for (size_t d = 0; d < dim; d++)
            for (size_t e = 0; e < dim; e++)
                cov[d * dim + e] +=
                    f->weight[i] * (spread[(j * dim + d) * dim + e] + off[d] * off[e]);
    }
}

/*
 * Probabilities of targets and places: states of one and the other follow each other, so that their
 * sums are taken together.  Where the effector is told, while a trial goes on, only the way out
 * tells which target it is for: the hold at one, the way back or no course at all say nothing
 * against the next.  Where the effector goes does.
 */
static void add_classes(const struct traj_course_filter *f, double *target, double *place)
{
    const struct traj_chain *c = &f->model->chain;
    const bool steers = f->steer.told && f->context == TRAJ_CONTEXT_TRIAL;
    double elsewhere = 0.0;
    memset(target, 0, f->model->dims.targets * sizeof(double));
    memset(place, 0, TRAJ_PLACES * sizeof(double));
    for (size_t i = 0; i < f->now.count;) {
        const int32_t to = c->target[f->now.active[i]];
        const uint8_t at = c->place[f->now.active[i]];
        const bool out = at == TRAJ_PLACE_PLAN || at == TRAJ_PLACE_MOVE;
        double sum = 0.0;
        for (; i < f->now.count && c->target[f->now.active[i]] == to &&
               c->place[f->now.active[i]] == at;
             i++)
            sum += f->weight[i];
        place[at] += sum;
        if (to >= 0 && (out || !steers))
            target[to] += sum;
        else
            elsewhere += sum;
    }
    if (steers)
        traj_steer_redirect(&f->steer, elsewhere, target);
}

/* Progress and eta, over the states that have one. */
static void add_times(const struct traj_course_filter *f, struct traj_plane *sum)
{
    const struct traj_chain *c = &f->model->chain;
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        if (c->progress[j] >= 0.0) {
            sum->on_course += f->weight[i];
            sum->progress += f->weight[i] * c->progress[j];
        }
        if (c->eta[j] >= 0.0) {
            sum->timed += f->weight[i];
            sum->eta += f->weight[i] * c->eta[j];
        }
    }
}

void traj_course_filter_moments(const struct traj_course_filter *f, double *position,
                                double *position_cov, double *velocity, double *velocity_cov,
                                double *target, double *place, double *progress, double *eta)
{
    const struct traj_chain *c = &f->model->chain;
    struct traj_plane sum = {.on_course = 0.0};
    if (f->dim == 2) {
        f->kernels->plane(f, &sum);
        memcpy(position, sum.position, sizeof sum.position);
        memcpy(velocity, sum.velocity, sizeof sum.velocity);
        memcpy(position_cov, sum.position_cov, sizeof sum.position_cov);
        memcpy(velocity_cov, sum.velocity_cov, sizeof sum.velocity_cov);
    } else {
        mixture_moments(f, c->position, c->position_spread, position, position_cov);
        mixture_moments(f, c->velocity, c->velocity_spread, velocity, velocity_cov);
        add_times(f, &sum);
    }
    if (f->recent.stages > 0)
        traj_recent_correct(&f->recent, f->weight, f->now.active, f->now.count, position,
                            position_cov, velocity, velocity_cov);
    add_classes(f, target, place);
    *progress = sum.on_course > 0.0 ? sum.progress / sum.on_course : NAN;
    *eta = sum.timed > 0.0 ? sum.eta / sum.timed : NAN;
    if (f->steer.steered) {
        traj_steer_moments(&f->steer, position, position_cov, velocity, velocity_cov, target,
                           place);
        *progress = *eta = NAN;
    }
}
