/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The commands, one file each (cmd_NAME.c).  argv[0] is the command's own name.  They return the
 * exit status: 0, 1 where something failed at run time, EXIT_USAGE where the command line is wrong.
 */
#ifndef TRAJCTL_COMMANDS_H
#define TRAJCTL_COMMANDS_H

#include <stddef.h>

struct command {
    const char *name;
    const char *line; /* what it does, in one line */
    int (*run)(int argc, char **argv);
};

/* The i-th command, in the order in which a new user needs them, NULL after the last; one without a
 * name is a heading. */
const struct command *command_at(size_t i);
/* The command of this name, or NULL. */
const struct command *command_find(const char *name);

int cmd_bench(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_dashboard(int argc, char **argv);
int cmd_decode(int argc, char **argv);
int cmd_evaluate(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_event(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_intents(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_prior(int argc, char **argv);
int cmd_recalibrate(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_rig(int argc, char **argv);
int cmd_rig_source(int argc, char **argv);
int cmd_rival(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_split(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_trial(int argc, char **argv);
int cmd_units_map(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
