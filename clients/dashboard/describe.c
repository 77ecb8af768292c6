/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model as targets and mean courses. */
#include "clients/dashboard/describe.h"

#include <math.h>
#include <stdlib.h>

#define COURSE_POINTS 25 /* of a course, over its progress */
#define MEAN_STEPS 60    /* bins for which a component's mean is followed */

static json_t *point(const double *x, size_t dim)
{
    json_t *list = json_array();
    for (size_t d = 0; d < dim; d++) {
        json_array_append_new(list, json_real(isfinite(x[d]) ? x[d] : 0.0));
    }
    return list;
}

static json_t *targets_of(const struct traj_model *model)
{
    json_t *list = json_array();
    size_t dim = model->dims.position;
    for (size_t m = 0; m < model->dims.targets; m++) {
        json_array_append_new(list,
                              json_pack("{s:s,s:o}", "id", model->about.target_id[m], "position",
                                        point(model->target_position + m * dim, dim)));
    }
    return list;
}

static json_t *course(size_t target, json_t *points)
{
    return json_pack("{s:I,s:o}", "target", (json_int_t)target, "points", points);
}

/*
 * The filter over courses: the states on the way to a target at about the same progress are
 * averaged, so that all durations of a course give one line.
 */
static json_t *course_of_chain(const struct traj_model *model, size_t target)
{
    double sum[COURSE_POINTS][TRAJ_DIM_MAX] = {{0.0}};
    size_t count[COURSE_POINTS] = {0};
    const struct traj_chain *chain = &model->chain;
    size_t dim = model->dims.position;
    for (size_t j = 0; j < model->dims.states; j++) {
        double progress = chain->progress[j];
        if (chain->target[j] == (int32_t)target && progress >= 0.0 && progress <= 1.0) {
            size_t at = (size_t)lround(progress * (COURSE_POINTS - 1));
            count[at]++;
            for (size_t d = 0; d < dim; d++) {
                sum[at][d] += chain->position[j * dim + d];
            }
        }
    }
    json_t *points = json_array();
    for (size_t at = 0; at < COURSE_POINTS; at++) {
        for (size_t d = 0; d < dim && count[at] > 0; d++) {
            sum[at][d] /= (double)count[at];
        }
        if (count[at] > 0) {
            json_array_append_new(points, point(sum[at], dim));
        }
    }
    return course(target, points);
}

/* A linear-Gaussian component: its mean is followed for a while from where it starts. */
static json_t *course_of_component(const struct traj_model *model, size_t k)
{
    size_t dim = model->dims.position, size = model->dims.state;
    const double *a = model->dynamics.transition + k * size * size;
    const double *b = model->dynamics.drift + k * size;
    double x[TRAJ_STATE_MAX] = {0.0}, next[TRAJ_STATE_MAX];
    json_t *points = json_array();
    for (size_t i = 0; i < size; i++) {
        x[i] = model->dynamics.start[k * size + i];
    }
    for (size_t step = 0; step < MEAN_STEPS; step++) {
        json_array_append_new(points, point(x, dim));
        for (size_t i = 0; i < size; i++) {
            next[i] = b[i];
            for (size_t j = 0; j < size; j++) {
                next[i] += a[i * size + j] * x[j];
            }
        }
        for (size_t i = 0; i < size; i++) {
            x[i] = next[i];
        }
    }
    return course((size_t)model->component_target[k], points);
}

static json_t *courses_of(const struct traj_model *model)
{
    json_t *list = json_array();
    if (model->dims.states > 0) {
        for (size_t m = 0; m < model->dims.targets; m++) {
            json_array_append_new(list, course_of_chain(model, m));
        }
    }
    for (size_t k = 0; k < model->dims.components; k++) {
        if (model->component_target[k] >= 0) {
            json_array_append_new(list, course_of_component(model, k));
        }
    }
    return list;
}

json_t *describe_model(const struct traj_model *model)
{
    const struct traj_description *about = &model->about;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:f,s:o,s:o}", "digest", about->digest, "family",
                     about->family, "subject", about->subject, "length_unit", about->length_unit,
                     "target_set", about->target_set, "dim", (json_int_t)model->dims.position,
                     "units", (json_int_t)model->dims.units, "bin_width", model->bin_width,
                     "targets", targets_of(model), "courses", courses_of(model));
}
