/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One closed-loop experiment: calibration, training, a decoder behind its sockets, a block. */
#ifndef TRAJCTL_LOOP_RUN_H
#define TRAJCTL_LOOP_RUN_H

#include "clients/rig/figures.h"
#include "clients/rig/scenario.h"
#include "daemon/learn/fit.h"

/* In the order of enum traj_rival_kind after the first. */
enum loop_decoder { LOOP_TRAJD, LOOP_KALMAN, LOOP_REFIT, LOOP_WIENER, LOOP_DECODERS };
#define LOOP_DECODER_LIST "trajd, kalman, refit, wiener"
const char *loop_decoder_name(enum loop_decoder decoder);
int loop_decoder_parse(const char *name, enum loop_decoder *decoder);

struct loop_setup {
    struct traj_scenario scenario;
    const char *trajd;  /* program, or NULL */
    const char *config; /* of trajd, or NULL */
    const char *model;  /* file, or NULL: trained on the calibration block */
    const char *family; /* or NULL */
    const char *keep;   /* folder, or NULL */
    bool asap;
    bool kinematics; /* as in struct traj_block_options */
    enum traj_family trained;
};

/* Whether the words in it mean anything; 0 or -1. */
int loop_setup_check(struct loop_setup *setup);

/* How well a decoder did with a seed. */
struct loop_result {
    double figure[TRAJ_FIGURES];
    struct traj_starts starts[TRAJ_STARTS];
};

/* 0, or -1 with a sentence. */
int loop_run(const struct loop_setup *setup, uint64_t seed, enum loop_decoder decoder,
             struct loop_result *result, struct traj_error *error);

#endif
