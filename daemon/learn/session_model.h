/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The model of a filter over an unbroken recording from its states and links.  Internal. */
#ifndef TRAJ_LEARN_SESSION_MODEL_H
#define TRAJ_LEARN_SESSION_MODEL_H

#include "daemon/learn/session_links.h"

/* What cross-validation chooses about it. */
struct traj_session_choice {
    double temper;
    double drift_rate;    /* 1/s */
    double switch_rate;   /* 1/s, at which the target changes under way */
    bool without_recent;  /* no regression on the recent past, though there is one */
    double answer_temper; /* of the recent past's likelihood */
    double gain[4 * TRAJ_DIM_MAX * TRAJ_DIM_MAX]; /* [2 dim][2 dim], traj_recent_model.gain */
    struct traj_calibration calibration;
};

/* A checked model.  text becomes about.training (NULL = none).  NULL with a sentence. */
struct traj_model *traj_session_model(const struct traj_session_states *states,
                                      const struct traj_session_links *links,
                                      const struct traj_session_choice *choice, const char *text,
                                      struct traj_error *error);

#endif
