/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoder's insides, for the files of this room that make it up. */
#ifndef TRAJ_MODEL_INTERNAL_H
#define TRAJ_MODEL_INTERNAL_H

#include "daemon/model/carry.h"
#include "daemon/model/course_filter.h"
#include "daemon/model/health.h"
#include "daemon/model/history.h"
#include "daemon/model/mixture.h"
#include "daemon/model/observe.h"
#include "daemon/model/opinion.h"
#include "daemon/model/target.h"

struct traj_trial {
    bool marks; /* trial marks will come */
    enum traj_phase phase;
    size_t elapsed; /* training bins since the trial's start, 0 = no frame yet */
};

/* What a filter over courses knows while its targets change (retarget.c). */
struct traj_kept {
    double *prob;    /* [states there is room for] by the states to come */
    double *drifted; /* [C] */
    double *stage;   /* [stages][C] */
    double *share;   /* [stages] */
    int32_t *target; /* [slots] which of those to come each target is, -1 = none */
    bool fresh, entering;
    enum traj_context context;
};

struct traj_decoder {
    const struct traj_model *model; /* the one it was made with, or that carried to other targets */
    struct traj_settings settings;
    struct traj_health health;
    struct traj_history history;
    struct traj_observed observed;
    struct traj_target_belief belief;
    struct traj_opinion opinion; /* of another decoder */
    struct traj_mixture mixture;
    struct traj_course_filter filter; /* in place of the mixture where dims.states > 0 */
    struct traj_carry carry;          /* to other targets, */
    struct traj_kept kept;            /* and what is kept meanwhile */
    unsigned char *block;             /* all of its memory; the filter's is the last of it */
    size_t filter_at;
    struct traj_trial trial;
    double last_dt; /* s, of the last frame; 0 before the first */
    /* NULL, or called when a step is about to be made: events before it have taken effect, no state
     * has moved yet (learn/smooth.h). */
    void (*watch)(void *context, size_t steps);
    void *watch_context;
    /* What an estimate points to: */
    double *position;          /* [D] */
    double *position_cov;      /* [D][D] */
    double *velocity;          /* [D] */
    double *velocity_cov;      /* [D][D] */
    double *target_prob;       /* [M] */
    double *change;            /* [M] scratch: change of a belief */
    double place[TRAJ_PLACES]; /* probability of each, filter over courses */
};

/* What the trial makes of a frame that comes `steps` bins after the last (trial.c). */
struct traj_trial_frame {
    bool plan;          /* the bin belongs to the plan window: its counts speak there alone */
    size_t fresh_steps; /* bins since the movement's beginning, this one counted */
};
/* Fills *estimate with the posterior as it stands, but for log_evidence, phase and flags. */
void traj_decoder_publish(struct traj_decoder *decoder, struct traj_estimate *estimate);

struct traj_trial_frame traj_trial_advance(struct traj_decoder *decoder, size_t steps);

#endif
