/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What moves the cursor; see plant.h. */
#include "clients/rig/plant.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"velocity", "position", "blend"};

const char *traj_plant_kind_name(enum traj_plant_kind kind)
{
    return names[kind];
}

int traj_plant_kind_parse(const char *name, enum traj_plant_kind *kind)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum traj_plant_kind)i;
            return 0;
        }
    }
    return -1;
}

/* The cursor comes to `to`, or to the edge of the box. */
static void move(struct traj_cursor *cursor, size_t d, double to)
{
    double held = fmin(cursor->box, fmax(-cursor->box, to));
    cursor->velocity[d] = (held - cursor->position[d]) / cursor->bin_s;
    cursor->position[d] = held;
}

void traj_plant_step(const struct traj_plant_options *plant, const struct traj_answer *answer,
                     struct traj_cursor *cursor)
{
    double pull = plant->kind == TRAJ_PLANT_POSITION ? 1.0
                  : plant->kind == TRAJ_PLANT_BLEND  ? 1.0 - exp(-cursor->bin_s / plant->blend_s)
                                                     : 0.0;
    for (size_t d = 0; d < cursor->dim; d++) {
        double to = cursor->position[d];
        if (answer->valid && isfinite(answer->velocity[d])) {
            to += pull < 1.0 ? cursor->bin_s * answer->velocity[d] : 0.0;
        }
        if (answer->valid && isfinite(answer->position[d])) {
            to += pull * (answer->position[d] - to);
        }
        move(cursor, d, to);
    }
}

struct traj_belief traj_hand_belief(const struct traj_hand *hand, double bin_s)
{
    return (struct traj_belief){.gain = 1.0,
                                .smoothing = exp(-bin_s / hand->smoothing_s),
                                .delay = (size_t)lround(hand->delay_s / bin_s),
                                .noise = 1.0};
}

void traj_hand_step(struct traj_hand *hand, const double *intended, struct traj_cursor *cursor)
{
    struct traj_belief true_one = traj_hand_belief(hand, cursor->bin_s);
    double s = true_one.smoothing;
    size_t now = hand->bin++;
    memcpy(hand->past[now % TRAJ_USER_MEMORY], intended, cursor->dim * sizeof *intended);
    /* Before the first intent the hand was at rest. */
    const double *due =
        now >= true_one.delay ? hand->past[(now - true_one.delay) % TRAJ_USER_MEMORY] : NULL;
    for (size_t d = 0; d < cursor->dim; d++) {
        double w = s * cursor->velocity[d] + (1.0 - s) * (due ? due[d] : 0.0);
        move(cursor, d, cursor->position[d] + cursor->bin_s * w);
    }
}
