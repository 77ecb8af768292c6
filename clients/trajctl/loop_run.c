/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One closed-loop experiment; see loop_run.h. */
#include "clients/trajctl/loop_run.h"

#include <stdio.h>
#include <string.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/bench_daemon.h"
#include "clients/trajctl/loop_link.h"
#include "clients/trajctl/loop_rival.h"
#include "daemon/learn/intention.h"
#include "daemon/learn/model_file.h"

/* Blocks of a seed, by number: each goes its own way. */
enum { BLOCK_CALIBRATION, BLOCK_SECOND, BLOCK_RUN };

static const char *const names[LOOP_DECODERS] = {"trajd", "kalman", "refit", "wiener"};

const char *loop_decoder_name(enum loop_decoder decoder)
{
    return names[decoder];
}

int loop_decoder_parse(const char *name, enum loop_decoder *decoder)
{
    for (size_t i = 0; i < LOOP_DECODERS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *decoder = (enum loop_decoder)i;
            return 0;
        }
    }
    return -1;
}

int loop_setup_check(struct loop_setup *setup)
{
    setup->trained = TRAJ_FAMILY_AUTO;
    return setup->family ? traj_family_parse(setup->family, &setup->trained) : 0;
}

/* Writes what --keep asks for: a session, or a model where session is NULL. */
static int keep(const struct loop_setup *setup, uint64_t seed, const char *what,
                const struct traj_session *session, struct traj_model *model,
                struct traj_error *error)
{
    char path[512];
    if (!setup->keep) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/seed%llu-%s.%s", setup->keep, (unsigned long long)seed,
                   what, session ? "h5" : "tjm");
    return session ? traj_session_write(session, path, error) : traj_model_save(model, path, error);
}

/* Calibrations are of reaches to targets where they are learned, that stay where they are. */
static void keep_targets_still(struct traj_block_options *o)
{
    if (o->task.kind == TRAJ_TASK_JUMP) {
        o->task.kind = TRAJ_TASK_CENTRE_OUT;
    }
    o->task.turn = 0.0;
    o->task.scale = 1.0;
    o->prior = 0.0;
}

static int calibrate(const struct loop_setup *setup, uint64_t seed, struct traj_block *block,
                     struct traj_error *error)
{
    struct traj_block_options o = setup->scenario.block;
    o.seconds = setup->scenario.calibration_s;
    o.practice_s = o.watch_s = 0.0;
    o.changes = 0;
    o.seed = seed;
    o.block = BLOCK_CALIBRATION;
    keep_targets_still(&o);
    return traj_block_run(&o, NULL, block, error) == 0 &&
                   traj_session_check(block->session, error) == 0 &&
                   keep(setup, seed, "calibration", block->session, NULL, error) == 0
               ? 0
               : -1;
}

/* A model of a calibration by hand and, unless NULL, of a second one in closed loop. */
static struct traj_model *train(const struct loop_setup *setup, uint64_t seed,
                                const struct traj_session *calibration,
                                const struct traj_session *second, const char *what,
                                struct traj_error *error)
{
    const struct traj_session *sessions[] = {calibration, second};
    struct traj_fit_options fit;
    traj_fit_options_default(&fit);
    fit.family = setup->trained;
    struct traj_model *model = traj_fit(sessions, second ? 2 : 1, NULL, 0, &fit, error);
    if (model && keep(setup, seed, what, NULL, model, error) != 0) {
        traj_model_free(model);
        return NULL;
    }
    return model;
}

/* A block with whoever listens at the sockets. */
static int close_loop(const struct loop_setup *setup, uint64_t seed, unsigned number,
                      const char *who, const struct traj_plant_options *plant,
                      struct loop_link *link, struct traj_block *block, struct traj_error *error)
{
    struct traj_block_options o = setup->scenario.block;
    o.plant = *plant;
    o.kinematics = setup->kinematics;
    o.seed = seed;
    o.block = number;
    if (number == BLOCK_SECOND) {
        o.seconds = setup->scenario.second_s;
        keep_targets_still(&o);
        o.changes = 0;
    }
    return traj_block_run(&o, loop_link_of(link), block, error) == 0
               ? keep(setup, seed, who, block->session, NULL, error)
               : -1;
}

static void judge(const struct loop_setup *setup, const struct traj_block *block,
                  struct loop_result *out)
{
    traj_figures_of(block, &setup->scenario.block, out->figure);
    traj_starts_of(block, setup->scenario.block.watch_s, out->starts);
}

/* Starts trajd with a model and closes the loop with it. */
static int block_of_trajd(const struct loop_setup *setup, uint64_t seed, unsigned number,
                          struct traj_model *model, struct traj_block *block,
                          struct traj_error *error)
{
    struct bench_daemon daemon = {0};
    struct loop_link *link = NULL;
    char program[512];
    bench_daemon_find(program, sizeof program);
    int result = bench_daemon_start(&daemon, setup->trajd ? setup->trajd : program, model,
                                    setup->config, false, error);
    if (result == 0) {
        link = loop_link_open(daemon.frames, daemon.intents, daemon.control, 0, setup->asap, error);
        result =
            link ? close_loop(setup, seed, number, number == BLOCK_RUN ? "trajd" : "trajd-second",
                              &setup->scenario.plant, link, block, error)
                 : -1;
    }
    loop_link_close(link);
    bench_daemon_stop(&daemon);
    return result;
}

/* What trajd decodes with: the model that was given, or of one calibration, or of two. */
static struct traj_model *prepare(const struct loop_setup *setup, uint64_t seed,
                                  struct traj_error *error)
{
    struct traj_block calibration, second = {0};
    struct traj_relabelling done;
    if (setup->model) {
        return traj_model_load(setup->model, error);
    }
    const bool again = setup->scenario.second_trajd;
    int result = calibrate(setup, seed, &calibration, error);
    struct traj_model *model = result == 0 ? train(setup, seed, calibration.session, NULL,
                                                   again ? "first-model" : "model", error)
                                           : NULL;
    if (model && again) {
        result = block_of_trajd(setup, seed, BLOCK_SECOND, model, &second, error);
        traj_model_free(model);
        model = result == 0 && traj_intention_relabel(second.session, &done, error) == 0
                    ? train(setup, seed, calibration.session, second.session, "model", error)
                    : NULL;
    }
    traj_block_free(&calibration);
    traj_block_free(&second);
    return model;
}

static int run_trajd(const struct loop_setup *setup, uint64_t seed, struct loop_result *out,
                     struct traj_error *error)
{
    struct traj_block block = {0};
    struct traj_model *model = prepare(setup, seed, error);
    int result = model ? block_of_trajd(setup, seed, BLOCK_RUN, model, &block, error) : -1;
    if (result == 0) {
        judge(setup, &block, out);
    }
    traj_block_free(&block);
    traj_model_free(model);
    return result;
}

/* Starts a rival and closes the loop with it. */
static int block_of_rival(const struct loop_setup *setup, uint64_t seed, unsigned number,
                          enum traj_rival_kind kind, const struct traj_session *calibration,
                          const struct traj_session *second, struct traj_block *block,
                          struct traj_error *error)
{
    const struct traj_plant_options plant = {.kind = TRAJ_PLANT_VELOCITY};
    struct loop_rival rival;
    struct loop_link *link = NULL;
    int result = loop_rival_start(&rival, kind, calibration, second,
                                  setup->scenario.block.task.radius, error);
    if (result == 0) {
        link = loop_link_open(rival.frames, rival.intents, NULL, rival.pid, setup->asap, error);
        /* The velocity Kalman filter drives the second calibration for ReFIT. */
        result = link ? close_loop(setup, seed, number,
                                   number == BLOCK_RUN ? traj_rival_name(kind) : "refit-second",
                                   &plant, link, block, error)
                      : -1;
    }
    loop_link_close(link);
    loop_rival_stop(&rival);
    return result;
}

/* ReFIT trains on a second block, which the velocity Kalman filter drives. */
static int run_rival(const struct loop_setup *setup, uint64_t seed, enum traj_rival_kind kind,
                     struct loop_result *out, struct traj_error *error)
{
    struct traj_block calibration, second = {0}, block = {0};
    int result = calibrate(setup, seed, &calibration, error);
    if (result == 0 && kind == TRAJ_RIVAL_REFIT) {
        result = block_of_rival(setup, seed, BLOCK_SECOND, TRAJ_RIVAL_KALMAN, calibration.session,
                                NULL, &second, error);
    }
    if (result == 0) {
        result = block_of_rival(setup, seed, BLOCK_RUN, kind, calibration.session, second.session,
                                &block, error);
    }
    if (result == 0) {
        judge(setup, &block, out);
    }
    traj_block_free(&calibration);
    traj_block_free(&second);
    traj_block_free(&block);
    return result;
}

int loop_run(const struct loop_setup *setup, uint64_t seed, enum loop_decoder decoder,
             struct loop_result *out, struct traj_error *error)
{
    if (decoder == LOOP_TRAJD) {
        return run_trajd(setup, seed, out, error);
    }
    return run_rival(setup, seed, (enum traj_rival_kind)(decoder - LOOP_KALMAN), out, error);
}
