/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions of a new day as a trained model would meet them: which channels are which, the bins with
 * their movement where it is known, trials and their targets.  Internal to this room.
 */
#ifndef TRAJ_LEARN_TODAY_H
#define TRAJ_LEARN_TODAY_H

#include <stdbool.h>

#include "daemon/learn/error.h"
#include "daemon/learn/session.h"
#include "traj/model.h"

#define TRAJ_UNIT_NEW ((size_t)-1)

struct traj_today_trial {
    size_t first, count; /* bins */
    int32_t target;      /* the model's number, -1 = not known */
    double start, go;    /* s on the session's clock; go NaN = not known */
};

struct traj_today {
    const struct traj_model *model;            /* borrowed */
    const struct traj_session *const *session; /* borrowed */
    size_t sessions;
    size_t units, features, channels; /* of these sessions; channels = units + features */
    size_t *was;                      /* [channels] the model's channel, TRAJ_UNIT_NEW = none */
    size_t lost;                      /* units of the model that the sessions lack */

    size_t bins;       /* of all sessions, one after the other */
    double *dt;        /* [bins] s */
    uint8_t *known;    /* [bins] 1 = x is known */
    double *x;         /* [bins][3 dim] position, velocity, acceleration */
    size_t *steps;     /* [bins] training bins since the one before; 0 = begins anew */
    uint8_t *trial;    /* [bins] 1 = inside a trial */
    uint8_t *enters;   /* [bins] 1 = the first bin of a trial */
    uint8_t *marked;   /* [bins] 1 = the session has trials */
    int32_t *target;   /* [bins] the model's number of the trial's target, -1 = none or not known */
    size_t *run_start; /* [bins] the first bin since the last gap */
    const uint16_t **count; /* [bins] the bin's counts [units], NULL where there are none */
    const float **feature;  /* [bins] its features [features], NULL where there are none */
    double *t_end;          /* [bins] s, each session's own clock */
    size_t bins_known;
    bool targets_alike;      /* the sessions number their targets as the model does */
    size_t trials, labelled; /* trials that have bins; those with a known target among them */
    struct traj_today_trial *trial_list; /* [trials] */
};

/*
 * Units are matched by name where model and sessions both name them, else by order where their
 * numbers agree.  NULL with a sentence that names the file, the dataset and the reason.
 */
struct traj_today *traj_today_new(const struct traj_model *model,
                                  const struct traj_session *const *sessions, size_t count,
                                  struct traj_error *error);
void traj_today_free(struct traj_today *today);

/*
 * What channel c was in bin b as the model's emission takes it, NaN = not observed: a count, its
 * transformed root where `gaussian`, or a feature.
 */
double traj_today_value(const struct traj_today *today, size_t b, size_t c, bool gaussian);

#endif
