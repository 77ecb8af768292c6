/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl convert: a session file from tables. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "clients/files/csv.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"

static const struct command_help help = {
    .name = "convert",
    .usage = "csv --out S.h5 [--frames F.csv] [options]",
    .about = "Makes a session file from tables of comma-separated values, each with a header line "
             "that names the columns (in any order). Times are in s on one clock. An empty field "
             "means not observed or not known. What does not fit together is refused with file, "
             "line and column. The page clients/man/convert-csv.md shows every table.",
    .example = "trajctl convert csv --out s.h5 --frames spikes.csv --kinematics hand.csv \\\n"
               "    --trials trials.csv --targets targets.csv --length-unit mm\n",
    .operands = 1,
};

static int convert(const struct traj_csv_options *csv, const char *out)
{
    struct traj_error error = {0};
    struct traj_session *session = traj_csv_convert(csv, &error);
    int result = session ? traj_session_write(session, out, &error) : -1;
    if (result == 0) {
        printf("%s: %zu bins, %zu units, %zu features, %zu kinematic samples, %zu trials, "
               "%zu targets\n",
               out, session->bins, session->units, session->features, session->samples,
               session->trials, session->targets);
    }
    traj_session_free(session);
    return result ? failure("convert", "%s", error.text) : 0;
}

int cmd_convert(int argc, char **argv)
{
    struct traj_csv_options csv = {0};
    const char *out = NULL;
    const struct command_option options[] = {
        {"out", "S.h5", OPTION_TEXT, &out, "session file to write", .required = true},
        {"frames", "F.csv", OPTION_TEXT, &csv.frames,
         "columns t_end (end of the bin) and perhaps dt (its width), then one a unit: counts"},
        {"features", "F.csv", OPTION_TEXT, &csv.features,
         "columns t_end and perhaps dt, then one a continuous feature"},
        {"kinematics", "K.csv", OPTION_TEXT, &csv.kinematics,
         "columns t, position (x, y, z or p1, p2, ...) and perhaps velocity (vx, vy, vz or v1, "
         "v2, ...)"},
        {"trials", "R.csv", OPTION_TEXT, &csv.trials,
         "columns start, stop and perhaps target (a target's id), go, move, rewarded"},
        {"targets", "T.csv", OPTION_TEXT, &csv.targets,
         "columns id (perhaps) and position as in kinematics"},
        {"length-unit", "UNIT", OPTION_TEXT, &csv.length_unit,
         "unit of all positions, such as mm; needed where there are any"},
        {"subject", "NAME", OPTION_TEXT, &csv.subject, "who was recorded"},
        {"description", "TEXT", OPTION_TEXT, &csv.description, "what the session is"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *from = optind < argc ? argv[optind] : "";
    if (strcmp(from, "csv") != 0) {
        return usage_error("convert", "\"%s\" is not csv, the one format so far", from);
    }
    return convert(&csv, out);
}
