/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was intended while a subject steered; see intention.h. */
#include "daemon/learn/intention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/decode.h"
#include "daemon/learn/recording_file.h"
#include "proto/event.h"

#define ENDED 0.9        /* of the rewarded trials ended within the radius */
#define HALF_WINDOW 0.03 /* s: velocity by central difference where none was recorded */

/* ---- relabelling ----------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static double distance(const struct traj_session *session, const double *position, int32_t target)
{
    const double *at = session->target_position + (size_t)target * session->target_dim;
    double square = 0;
    for (size_t d = 0; d < session->dim; d++)
        square += (at[d] - position[d]) * (at[d] - position[d]);
    return sqrt(square);
}

/* The distance within which trials ended; *trials with a known target. */
static int find_radius(const struct traj_session *session, struct traj_relabelling *done,
                       struct traj_error *error)
{
    double *ended = malloc((session->trials + 1) * sizeof *ended), position[TRAJ_DIM_MAX];
    size_t count = 0;
    if (!ended)
        return traj_error_set(error, "%s: no memory for its trials", session->path);
    for (size_t k = 0; k < session->trials; k++) {
        const int32_t target = session->target ? session->target[k] : -1;
        const bool rewarded =
            !session->rewarded || isnan(session->rewarded[k]) || session->rewarded[k] > 0;
        done->trials += target >= 0;
        if (target >= 0 && rewarded &&
            traj_session_kinematics(session, session->stop[k], HALF_WINDOW, position, NULL) == 0)
            ended[count++] = distance(session, position, target);
    }
    qsort(ended, count, sizeof *ended, compare_doubles);
    done->radius = count > 0 ? ended[(size_t)(ENDED * (double)(count - 1))] : 0;
    free(ended);
    return done->trials > 0
               ? 0
               : traj_error_set(error,
                                "%s: no trial has a known target, so that nothing is known "
                                "of what was intended",
                                session->path);
}

/* A session that told positions alone gets velocities. */
static int add_velocity(struct traj_session *session, struct traj_error *error)
{
    if (session->velocity)
        return 0;
    double *velocity = calloc(session->samples * session->dim + 1, sizeof *velocity);
    if (!velocity)
        return traj_error_set(error, "%s: no memory for velocities", session->path);
    for (size_t i = 0; i < session->samples; i++)
        (void)traj_session_kinematics(session, session->kin_t[i], HALF_WINDOW, NULL,
                                      velocity + i * session->dim);
    session->velocity = velocity;
    return 0;
}

static void relabel_sample(struct traj_session *session, size_t i, int32_t target,
                           struct traj_relabelling *done)
{
    const size_t dim = session->dim;
    const double *at = session->target_position + (size_t)target * session->target_dim;
    const double *position = session->position + i * dim;
    double *velocity = session->velocity + i * dim;
    const double far = distance(session, position, target);
    double square = 0;
    for (size_t d = 0; d < dim; d++)
        square += velocity[d] * velocity[d];
    const bool there = far <= done->radius || !(far > 0);
    for (size_t d = 0; d < dim; d++)
        velocity[d] = there ? 0 : sqrt(square) * (at[d] - position[d]) / far;
    done->stilled += there;
    done->turned += !there;
}

int traj_intention_relabel(struct traj_session *session, struct traj_relabelling *done,
                           struct traj_error *error)
{
    *done = (struct traj_relabelling){.radius = 0};
    if (session->samples == 0 || session->trials == 0 || session->targets == 0)
        return traj_error_set(error,
                              "%s: relabelling needs kinematics, trials and targets, and it has "
                              "%zu samples, %zu trials and %zu targets",
                              session->path, session->samples, session->trials, session->targets);
    if (session->target_dim != session->dim)
        return traj_error_set(error, "%s: targets have %zu dimensions, positions %zu",
                              session->path, session->target_dim, session->dim);
    if (find_radius(session, done, error) || add_velocity(session, error))
        return -1;
    for (size_t i = 0; i < session->samples; i++) {
        const size_t trial = traj_session_trial_at(session, session->kin_t[i]);
        if (trial != (size_t)-1 && session->target && session->target[trial] >= 0)
            relabel_sample(session, i, session->target[trial], done);
    }
    return 0;
}

/* ---- where the cursor was -------------------------------------------------------------------- */

/* Positions at times, as they come. */
struct track {
    size_t count, room, dim;
    double *t, *position, *velocity;
};

static int extend(struct track *track, double t, const double *position, const double *velocity,
                  size_t dim)
{
    if (track->dim == 0)
        track->dim = dim;
    if (track->dim != dim || (track->count > 0 && t <= track->t[track->count - 1]))
        return 0;
    if (track->count == track->room) {
        const size_t room = 2 * track->room + 1024;
        double *at = realloc(track->t, room * sizeof *at);
        track->t = at ? at : track->t;
        double *p = realloc(track->position, room * dim * sizeof *p);
        track->position = p ? p : track->position;
        double *v = realloc(track->velocity, room * dim * sizeof *v);
        track->velocity = v ? v : track->velocity;
        if (!at || !p || !v)
            return -1;
        track->room = room;
    }
    track->t[track->count] = t;
    memcpy(track->position + track->count * dim, position, dim * sizeof *position);
    if (velocity)
        memcpy(track->velocity + track->count * dim, velocity, dim * sizeof *velocity);
    track->count++;
    return 0;
}

/* Hands the track over to the session. */
static int settle(struct traj_session *session, const struct track *track, bool velocity,
                  struct traj_error *error)
{
    if (track->count == 0)
        return 0;
    if (traj_session_make_kinematics(session, track->count, track->dim,
                                     velocity ? TRAJ_SESSION_VELOCITY : 0, error))
        return -1;
    memcpy(session->kin_t, track->t, track->count * sizeof *track->t);
    memcpy(session->position, track->position, track->count * track->dim * sizeof *track->position);
    if (velocity)
        memcpy(session->velocity, track->velocity,
               track->count * track->dim * sizeof *track->velocity);
    return 0;
}

static void drop(struct track *track)
{
    free(track->t);
    free(track->position);
    free(track->velocity);
}

/* Takes the event if it tells where the effector was while the session ran. */
static int take_event(struct track *track, const struct traj_session *session,
                      const struct traj_record *record, struct traj_event *event)
{
    uint64_t number;
    const void *body;
    size_t size;
    if (!traj_recorded_event(record, &number, &body, &size) ||
        traj_event_parse(body, size, event, NULL) != TRAJ_ACCEPTED ||
        event->kind != TRAJ_EVENT_EFFECTOR || session->bins == 0 ||
        event->t < session->t_end[0] - 1 || event->t > session->t_end[session->bins - 1] + 1)
        return 0;
    return extend(track, event->t, event->value, NULL, event->dim > 0 ? event->dim : event->count);
}

int traj_intention_effector(struct traj_session *session, const char *recording,
                            struct traj_error *error)
{
    struct traj_recording_item item;
    struct track track = {.count = 0};
    int more = 0;
    if (session->samples > 0)
        return 0;
    struct traj_event *event = malloc(sizeof *event);
    struct traj_recording *file = traj_recording_open(recording, error);
    while (event && file && (more = traj_recording_next(file, &item, error)) > 0) {
        if (item.found == TRAJ_FOUND_RECORD && take_event(&track, session, &item.record, event)) {
            more = traj_error_set(error, "%s: no memory for its effector events", recording);
            break;
        }
    }
    if (!event)
        more = traj_error_set(error, "memory is short");
    int status = file && more == 0 ? settle(session, &track, false, error) : -1;
    traj_recording_close(file);
    free(event);
    drop(&track);
    return status;
}

static int take_intent(void *context, const struct traj_intent *intent)
{
    struct track *track = context;
    return intent->position && intent->velocity
               ? extend(track, intent->t, intent->position, intent->velocity, intent->dim)
               : 0;
}

int traj_intention_decoded(struct traj_session *session, const struct traj_model *model,
                           struct traj_error *error)
{
    const struct traj_decode_options options = {.trials = true, .smooth = true};
    struct track track = {.count = 0};
    if (session->samples > 0)
        return 0;
    int status = traj_decode(model, session, &options, take_intent, &track, NULL, error);
    if (status == 0)
        status = settle(session, &track, true, error);
    drop(&track);
    return status;
}
