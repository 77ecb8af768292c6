/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl convert: a session file from tables, from other formats, or from a recording. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "clients/files/csv.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/convert.h"
#include "clients/trajctl/omissions.h"
#include "clients/trajctl/options.h"
#include "daemon/learn/recording_session.h"

static const struct command_help help = {
    .name = "convert",
    .usage = "csv|nwb|npz|mat|recording [FILE] --out S.h5 [options]",
    .about =
        "Makes a session file from tables of comma-separated values, each with a header line "
        "that names the columns (in any order), or from a recording. trajctl convert nwb --help "
        "tells about that format, and npz and mat likewise. In tables, times are in s on one "
        "clock. An empty field means not observed or not known. What does not fit together is "
        "refused with file, line and column. The page clients/man/convert-csv.md shows every "
        "table. From a recording: its frames, whether they could be decoded or not, and what "
        "events told of movement, trials, targets and units; a session that was replayed and "
        "recorded comes back as it was, and teaches the same model.",
    .example = "trajctl convert csv --out s.h5 --frames spikes.csv --kinematics hand.csv \\\n"
               "    --trials trials.csv --targets targets.csv --length-unit mm\n"
               "trajctl convert recording r.0001.rec --out s.h5\n",
    .operands = 2,
    .inputs = 1,
};

int convert_write(const struct traj_session *session, const char *out, struct traj_error *error)
{
    if (!session || traj_session_write(session, out, error) != 0) {
        return -1;
    }
    printf("%s: %zu bins, %zu units, %zu features, %zu kinematic samples, %zu trials, "
           "%zu targets\n",
           out, session->bins, session->units, session->features, session->samples, session->trials,
           session->targets);
    return 0;
}

static int convert(const struct traj_csv_options *csv, const char *out)
{
    struct traj_error error = {0};
    struct traj_session *session = traj_csv_convert(csv, &error);
    int result = convert_write(session, out, &error);
    traj_session_free(session);
    return result ? failure("convert", "%s", error.text) : 0;
}

static int convert_recording(const char *path, const struct traj_recording_choice *choice,
                             bool partial, const char *out)
{
    struct traj_error error = {0};
    struct traj_recording_omissions omitted;
    struct traj_session *session = traj_recording_session(path, out, choice, &omitted, &error);
    int result = session ? check_parts(path, &omitted, partial, &error) : -1;
    if (result == 0) {
        result = convert_write(session, out, &error);
    }
    traj_session_free(session);
    if (result != 0) {
        return failure("convert", "%s", error.text);
    }
    tell_omissions("convert", path, &omitted);
    return 0;
}

#define FORMATS "csv, nwb, npz, mat or recording"

typedef int format_function(int argc, char **argv);

/* The format whose name is the first word, or NULL where it has no options of its own. */
static format_function *find_format(const char *word)
{
    static const struct {
        const char *name;
        format_function *run;
    } formats[] = {{"nwb", convert_nwb}, {"npz", convert_npz}, {"mat", convert_mat}};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(word, formats[i].name) == 0) {
            return formats[i].run;
        }
    }
    return NULL;
}

int cmd_convert(int argc, char **argv)
{
    format_function *format = argc > 1 ? find_format(argv[1]) : NULL;
    if (format) {
        return format(argc - 1, argv + 1);
    }
    if (argc > 1 && argv[1][0] != '-' && strcmp(argv[1], "csv") != 0 &&
        strcmp(argv[1], "recording") != 0) {
        return usage_error("convert", "no format is called \"%s\": " FORMATS, argv[1]);
    }
    struct traj_csv_options csv = {0};
    struct traj_recording_choice choice = {0};
    const char *out = NULL;
    bool partial = false;
    const struct command_option options[] = {
        {"out", "S.h5", OPTION_TEXT, &out, "session file to write", .required = true,
         .file = FILE_WRITTEN},
        {"frames", "F.csv", OPTION_TEXT, &csv.frames,
         "columns t_end (end of the bin) and perhaps dt (its width), then one a unit: counts",
         .file = FILE_READ},
        {"features", "F.csv", OPTION_TEXT, &csv.features,
         "columns t_end and perhaps dt, then one a continuous feature", .file = FILE_READ},
        {"kinematics", "K.csv", OPTION_TEXT, &csv.kinematics,
         "columns t, position (x, y, z or p1, p2, ...) and perhaps velocity (vx, vy, vz or v1, "
         "v2, ...)",
         .file = FILE_READ},
        {"trials", "R.csv", OPTION_TEXT, &csv.trials,
         "columns start, stop and perhaps target (a target's id), go, move, rewarded",
         .file = FILE_READ},
        {"targets", "T.csv", OPTION_TEXT, &csv.targets,
         "columns id (perhaps) and position as in kinematics", .file = FILE_READ},
        {"length-unit", "UNIT", OPTION_TEXT, &csv.length_unit,
         "unit of all positions, such as mm; needed where there are any"},
        {"subject", "NAME", OPTION_TEXT, &csv.subject, "who was recorded"},
        {"description", "TEXT", OPTION_TEXT, &csv.description, "what the session is"},
        {"run", "NAME", OPTION_TEXT, &choice.run,
         "of a recording of several runs, the one whose session event has this name"},
        {"run-number", "N", OPTION_SIZE, &choice.number,
         "or the N-th that has frames or movement, from 1, where names do not tell them apart", 1,
         1e15, .plain = true},
        {"partial", NULL, OPTION_FLAG, &partial,
         "of a recording whose parts are not all there, convert what is before the missing one"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *from = optind < argc ? argv[optind] : "";
    const char *path = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (strcmp(from, "recording") == 0) {
        if (!path || csv.frames || csv.features || csv.kinematics || csv.trials || csv.targets) {
            return usage_error("convert", "recording takes one file and no tables");
        }
        if (choice.run && choice.number > 0) {
            return usage_error("convert", "name either --run or --run-number");
        }
        choice.subject = csv.subject;
        choice.length_unit = csv.length_unit;
        choice.description = csv.description;
        return convert_recording(path, &choice, partial, out);
    }
    if (strcmp(from, "csv") != 0) {
        return usage_error("convert", "\"%s\" is not " FORMATS "%s", from,
                           find_format(from) ? ": the format comes first" : "");
    }
    if (path || choice.run || choice.number > 0 || partial) {
        return usage_error("convert", "csv takes tables, and neither a file nor a run");
    }
    return convert(&csv, out);
}
