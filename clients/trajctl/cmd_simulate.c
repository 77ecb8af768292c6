/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl simulate: a synthetic session file. */
#include <stdio.h>

#include "clients/files/session_file.h"
#include "clients/sim/simulate.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"

static const struct command_help help = {
    .name = "simulate",
    .usage = "--out S.h5 [options]",
    .about =
        "Makes a synthetic session: reaches with minimum-jerk courses and a population of units "
        "whose firing depends on position, velocity and speed (and on the target during a delay). "
        "The same seed and options give the same session. Lengths are in mm, times in s.",
    .example = "trajctl simulate --out s.h5 --task delay --seed 7\n",
};

int cmd_simulate(int argc, char **argv)
{
    struct traj_sim_options sim;
    traj_sim_options_default(&sim);
    sim.day = 1;
    const char *out = NULL, *task = traj_sim_task_name(sim.task);
    bool cut = false;
    const struct command_option options[] = {
        {"out", "S.h5", OPTION_TEXT, &out, "session file to write", .required = true,
         .file = FILE_WRITTEN},
        {"task", "NAME", OPTION_TEXT, &task,
         "delay (centre-out with a delay period), random (random targets one after the other), "
         "curved (centre-out through a via point) or jump (the target jumps in some trials)",
         .words = "delay random curved jump"},
        {"seed", "N", OPTION_U64, &sim.seed, "seed of everything random"},
        {"targets", "N", OPTION_SIZE, &sim.targets, "number of targets", 1, 256},
        {"units", "N", OPTION_SIZE, &sim.units, "number of units", 1, 8192},
        {"trials-per-target", "N", OPTION_SIZE, &sim.trials_per_target, "trials to each target", 1,
         100000},
        {"bin", "SECONDS", OPTION_REAL, &sim.bin_s, "width of a bin, s", 0.001, 1.0},
        {"rate", "HZ", OPTION_REAL, &sim.rate_hz, "mean firing rate of a unit, spikes/s", 0.01,
         1000.0},
        {"population", "N", OPTION_U64, &sim.population_seed,
         "seed of the units, so that sessions of other seeds can come from the same ones; 0 = "
         "that of the session"},
        {"changed", "SHARE", OPTION_REAL, &sim.changed_share,
         "share of the population's units that are other units on this day", 0.0, 1.0},
        {"drift", "SD", OPTION_REAL, &sim.drift_sd,
         "how far the log rates of the units that stayed have moved", 0.0, 3.0},
        {"day", "N", OPTION_U64, &sim.day, "seed of --changed and --drift"},
        {"rename", NULL, OPTION_FLAG, &sim.rename_changed,
         "give other units other names; else names are those of electrodes"},
        {"cut", NULL, OPTION_FLAG, &cut,
         "keep trials alone, with gaps between them, instead of rests and returns too"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (traj_sim_task_parse(task, &sim.task)) {
        return usage_error("simulate", "--task: \"%s\" is not delay, random, curved or jump", task);
    }
    sim.unbroken = !cut;
    struct traj_error error = {0};
    struct traj_session *session = traj_simulate(&sim, &error);
    if (!session || traj_session_write(session, out, &error)) {
        status = failure("simulate", "%s", error.text);
    } else {
        printf("%s: %zu trials, %zu bins, %zu units\n", out, session->trials, session->bins,
               session->units);
        status = 0;
    }
    traj_session_free(session);
    return status;
}
