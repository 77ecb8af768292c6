/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks of frames against a model; see frame_check.h. */
#include "daemon/core/frame_check.h"

#include <math.h>

#include "daemon/core/pipeline.h"

bool traj_time_is_sane(double t)
{
    return t >= -TRAJ_TIME_MAX && t <= TRAJ_TIME_MAX;
}

static enum traj_refusal check_sizes(const struct traj_frame *frame, const struct traj_dims *dims,
                                     struct traj_objection *objection)
{
    if (frame->units != dims->units)
        return traj_object(objection, TRAJ_REFUSED_UNITS, "counts", (double)frame->units,
                           "the model's units are", (double)dims->units);
    if (frame->features != dims->features)
        return traj_object(objection, TRAJ_REFUSED_UNITS, "features", (double)frame->features,
                           "the model's features are", (double)dims->features);
    return TRAJ_ACCEPTED;
}

static enum traj_refusal check_numbers(const struct traj_frame *frame, unsigned count_max,
                                       struct traj_objection *objection)
{
    for (size_t n = 0; n < frame->units; n++) {
        if (frame->counts[n] > count_max && frame->counts[n] != TRAJ_COUNT_MISSING) {
            (void)traj_object(objection, TRAJ_REFUSED_COUNTS, "counts", frame->counts[n],
                              "count_max is", count_max);
            objection->index = n;
            return TRAJ_REFUSED_COUNTS;
        }
    }
    for (size_t f = 0; f < frame->features; f++) {
        if (isinf(frame->feature[f])) {
            (void)traj_object(objection, TRAJ_REFUSED_FIELD, "features", (double)NAN, "infinite",
                              (double)NAN);
            objection->index = f;
            return TRAJ_REFUSED_FIELD;
        }
    }
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_frame_check(const struct traj_frame *frame, const struct traj_model *model,
                                   unsigned count_max, struct traj_objection *objection)
{
    const double widest = TRAJ_DT_BINS_MAX * model->bin_width;
    const double narrowest = TRAJ_DT_BINS_MIN * model->bin_width;
    enum traj_refusal refusal = check_sizes(frame, &model->dims, objection);
    if (refusal == TRAJ_ACCEPTED)
        refusal = check_numbers(frame, count_max, objection);
    if (refusal != TRAJ_ACCEPTED)
        return refusal;
    if (!traj_time_is_sane(frame->t))
        return traj_object(objection, TRAJ_REFUSED_FIELD, "t", frame->t, "the furthest is",
                           TRAJ_TIME_MAX);
    if (!(frame->dt >= narrowest))
        return traj_object(objection, TRAJ_REFUSED_FIELD, "dt", frame->dt,
                           "the narrowest that is believed of this model is", narrowest);
    if (!(frame->dt <= widest))
        return traj_object(objection, TRAJ_REFUSED_FIELD, "dt", frame->dt,
                           "the widest that is believed of this model is", widest);
    return TRAJ_ACCEPTED;
}
