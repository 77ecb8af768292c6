/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * make_model OUT UNITS TARGETS SEED [DIM [FAMILY]]: writes a small model made by rule to a file.
 *
 * FAMILY:
 *     mixture   linear-Gaussian components (tiny_model.h), the default
 *     course    a filter over courses as `trajctl bench` makes it: counts as they are, slow gains
 *     steered   a filter over courses with random numbers that knows of steering and of the recent
 *               past (chain_model.h): 3 units and 2 targets, no other numbers of them
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "tests/oracle/chain_model.h"
#include "tests/system/tiny_model.h"

#define BIN 0.02

struct wanted {
    const char *path, *family;
    size_t units, targets, dim;
    uint64_t seed;
};

/* The rule gives one model of each size: the seed makes some units fire more and others less. */
static struct traj_model *make_course(const struct wanted *wanted, struct traj_error *error)
{
    const struct bench_size size = {.units = wanted->units, .targets = wanted->targets, .bin = BIN};
    struct traj_model *model = bench_model_make(&size, error);

    for (size_t i = 0; model != NULL && i < model->dims.nodes * model->dims.units; i++) {
        ((double *)(uintptr_t)model->chain.emission_mean)[i] +=
            0.3 * sin((double)(wanted->seed * (i % model->dims.units + 1)));
    }
    return model;
}

static int save_course(const struct wanted *wanted, struct traj_error *error)
{
    struct traj_model *model = make_course(wanted, error);
    int rc = model != NULL ? traj_model_save(model, wanted->path, error) : -1;

    traj_model_free(model);
    return rc;
}

static int save_steered(const struct wanted *wanted, struct traj_error *error)
{
    static const char id[TARGETS][TRAJ_ID_SIZE] = {"left", "right"};
    static struct chain_model m;
    static struct chain_steering s;
    struct random random = {wanted->seed};

    if (wanted->units != UNITS || wanted->targets != TARGETS) {
        return traj_error_set(error, "a steered model has %d units and %d targets", UNITS, TARGETS);
    }
    chain_draw(&m, &random, true, 0);
    chain_remember(&m, &random);
    chain_add_steering(&m, &s, &random);
    m.model.about.target_id = id;
    (void)strcpy(m.model.about.family, "course");
    (void)strcpy(m.model.about.length_unit, "mm");
    (void)strcpy(m.model.about.target_set, "two");
    return traj_model_save(&m.model, wanted->path, error);
}

static int save_mixture(const struct wanted *wanted, struct traj_error *error)
{
    struct traj_model *model =
        tiny_model(wanted->units, wanted->targets, wanted->dim, wanted->seed, error);
    int rc = model != NULL ? traj_model_save(model, wanted->path, error) : -1;

    traj_model_free(model);
    return rc;
}

static int save(const struct wanted *wanted, struct traj_error *error)
{
    if (strcmp(wanted->family, "mixture") == 0) {
        return save_mixture(wanted, error);
    }
    if (wanted->dim != 2) {
        return traj_error_set(error, "a model of family %s has 2 dimensions", wanted->family);
    }
    if (strcmp(wanted->family, "course") == 0) {
        return save_course(wanted, error);
    }
    if (strcmp(wanted->family, "steered") == 0) {
        return save_steered(wanted, error);
    }
    return traj_error_set(error, "no family %s: mixture, course or steered", wanted->family);
}

int main(int argc, char **argv)
{
    struct traj_error error = {{0}};

    if (argc < 5 || argc > 7) {
        (void)fprintf(stderr, "usage: make_model OUT UNITS TARGETS SEED [DIM [FAMILY]]\n");
        return 2;
    }
    const struct wanted wanted = {.path = argv[1],
                                  .family = argc > 6 ? argv[6] : "mixture",
                                  .units = strtoul(argv[2], NULL, 10),
                                  .targets = strtoul(argv[3], NULL, 10),
                                  .dim = argc > 5 ? strtoul(argv[5], NULL, 10) : 2,
                                  .seed = strtoul(argv[4], NULL, 10)};
    if (save(&wanted, &error) != 0) {
        (void)fprintf(stderr, "make_model: %s\n", error.text);
        return 1;
    }
    return 0;
}
