/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether several sessions may be learned from together. */
#include <math.h>
#include <string.h>

#include "daemon/learn/training.h"

/* Positions of targets may differ by rounding of the programs that wrote them. */
#define SAME_POSITION 1e-6

static int check_alone(const struct traj_session *session, bool with_frames,
                       struct traj_error *error)
{
    if (traj_session_check(session, error))
        return -1;
    if (with_frames && (session->bins == 0 || (session->units == 0 && session->features == 0)))
        return traj_error_set(
            error, "%s: /frames: none, so there is nothing to learn decoding from", session->path);
    if (session->samples < 2)
        return traj_error_set(error,
                              "%s: /kinematics: none, so there is nothing to learn movement from",
                              session->path);
    if (session->dim < 1 || session->dim > TRAJ_DIM_MAX)
        return traj_error_set(error, "%s: /kinematics/position: %zu columns, not 1 to %d",
                              session->path, session->dim, TRAJ_DIM_MAX);
    if (session->units > TRAJ_UNITS_MAX)
        return traj_error_set(error, "%s: /frames/counts: %zu units, more than %d", session->path,
                              session->units, TRAJ_UNITS_MAX);
    if (session->targets > TRAJ_TARGETS_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu targets, more than %d",
                              session->path, session->targets, TRAJ_TARGETS_MAX);
    return (with_frames && traj_session_says(session, error)) || traj_session_moves(session, error)
               ? -1
               : 0;
}

static int check_names(const struct traj_session *a, const struct traj_session *b,
                       struct traj_error *error)
{
    if (!a->unit_name || !b->unit_name)
        return 0;
    for (size_t n = 0; n < a->units; n++)
        if (strcmp(a->unit_name[n], b->unit_name[n]) != 0)
            return traj_error_set(error, "%s: /frames/unit_name[%zu]: \"%s\", but \"%s\" in %s",
                                  b->path, n, b->unit_name[n], a->unit_name[n], a->path);
    return 0;
}

static int check_targets(const struct traj_session *a, const struct traj_session *b,
                         struct traj_error *error)
{
    if (a->targets != b->targets)
        return traj_error_set(error, "%s: /targets/position: %zu targets, but %zu in %s", b->path,
                              b->targets, a->targets, a->path);
    double extent = 0;
    for (size_t i = 0; i < a->targets * a->dim; i++)
        extent = fmax(extent, fabs(a->target_position[i]));
    for (size_t i = 0; i < a->targets * a->dim; i++)
        if (fabs(a->target_position[i] - b->target_position[i]) > SAME_POSITION * extent)
            return traj_error_set(error, "%s: /targets/position[%zu]: another place than in %s",
                                  b->path, i / a->dim, a->path);
    return 0;
}

static int check_pair(const struct traj_session *a, const struct traj_session *b, bool with_frames,
                      struct traj_error *error)
{
    if (b->dim != a->dim)
        return traj_error_set(error, "%s: /kinematics/position: %zu columns, but %zu in %s",
                              b->path, b->dim, a->dim, a->path);
    if (strcmp(a->length_unit, b->length_unit) != 0)
        return traj_error_set(error, "%s: length_unit: \"%s\", but \"%s\" in %s", b->path,
                              b->length_unit, a->length_unit, a->path);
    if (b->targets > 0 || (with_frames && a->targets > 0)) {
        if (check_targets(a, b, error))
            return -1;
    }
    if (!with_frames)
        return 0;
    if (b->units != a->units)
        return traj_error_set(error, "%s: /frames/counts: %zu units, but %zu in %s", b->path,
                              b->units, a->units, a->path);
    if (b->features != a->features)
        return traj_error_set(error, "%s: /frames/features: %zu features, but %zu in %s", b->path,
                              b->features, a->features, a->path);
    return check_names(a, b, error);
}

int traj_training_agree(const struct traj_session *const *sessions, size_t count,
                        const struct traj_session *const *priors, size_t prior_count,
                        struct traj_error *error)
{
    if (count == 0)
        return traj_error_set(error, "no session to learn from");
    for (size_t i = 0; i < count; i++)
        if (check_alone(sessions[i], true, error) ||
            check_pair(sessions[0], sessions[i], true, error))
            return -1;
    for (size_t i = 0; i < prior_count; i++)
        if (check_alone(priors[i], false, error) ||
            check_pair(sessions[0], priors[i], false, error))
            return -1;
    return 0;
}
