/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An experiment as a JSON file: the page clients/man/rig.md says what each field means. */
#ifndef TRAJ_RIG_SCENARIO_H
#define TRAJ_RIG_SCENARIO_H

#include "clients/rig/block.h"

struct traj_scenario {
    char name[64];
    struct traj_block_options block; /* of the closed-loop block */
    double calibration_s;            /* by hand */
    double second_s;                 /* of a second calibration, in closed loop */
    bool second_trajd;               /* trajd has one too, not ReFIT alone */
    struct traj_plant_options plant; /* of trajd's intents */
};

void traj_scenario_default(struct traj_scenario *scenario);

/* Lays a file over *scenario.  Strict: an unknown key, a wrong type and a number out of range are
 * refused.  0, or -1 with a sentence that names file, field and reason. */
int traj_scenario_read(struct traj_scenario *scenario, const char *path, struct traj_error *error);

/* The same from text; `name` stands for the path in sentences. */
int traj_scenario_parse(struct traj_scenario *scenario, const char *text, size_t size,
                        const char *name, struct traj_error *error);

#endif
