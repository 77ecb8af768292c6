/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the time of a decoded frame goes, stage by stage: written by the decode thread, read by
 * housekeeping.  Every stage counts the same frames, those that became an intent.
 */
#ifndef TRAJ_IO_STAGES_H
#define TRAJ_IO_STAGES_H

#include "daemon/core/tally.h"

enum traj_stage {
    TRAJ_STAGE_RECEIVE, /* from the wake-up, or the message before it, until it was taken in */
    TRAJ_STAGE_WAIT,    /* until its turn came: what stood before it was decoded */
    TRAJ_STAGE_PARSE,   /* bytes to numbers */
    TRAJ_STAGE_DECODE,  /* the pipeline and the estimator */
    TRAJ_STAGE_FORMAT,  /* the intent as JSON */
    TRAJ_STAGE_SEND,    /* handed to libzmq; of `publish: newest` those sent alone */
    TRAJ_STAGE_TOTAL,   /* from the wake-up until its intent was formatted and, if it is, sent */
    TRAJ_STAGES
};

struct traj_stages {
    struct traj_tally tally[TRAJ_STAGES];
};

/* "receive", "wait", "parse", "decode", "format", "send", "total". */
const char *traj_stage_name(enum traj_stage stage);

void traj_stages_init(struct traj_stages *stages);

/* Records a duration, s; one that is negative counts as 0. */
void traj_stages_record(struct traj_stages *stages, enum traj_stage stage, double duration);

#endif
