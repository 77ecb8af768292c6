/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl convert npz, convert mat: a session file from named arrays. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clients/files/arrays.h"
#include "clients/trajctl/convert.h"
#include "clients/trajctl/options.h"

#define ABOUT                                                                                      \
    "Makes a session file from arrays that are called as the page clients/man/convert-arrays.md "  \
    "says: counts or spike_times, position, start, stop, target and so on; --array says what the " \
    "file calls one of them. Whatever else the file holds does not matter. "

static const struct command_help npz_help = {
    .name = "convert npz",
    .usage = "F.npz --out S.h5 [options]",
    .about = ABOUT "The file is one that numpy's savez wrote.",
    .example = "trajctl convert npz mine.npz --dt 0.02 --length-unit mm --out s.h5\n"
               "trajctl convert npz mine.npz --array counts=spk --array position=hand --out s.h5\n",
    .operands = 1,
    .inputs = 1,
};

static const struct command_help mat_help = {
    .name = "convert mat",
    .usage = "F.mat --out S.h5 [options]",
    .about = ABOUT "The file is one that MATLAB's save wrote (5, 7 or 7.3); a field of a struct is "
                   "named with a point, and rows of targets are counted from 1.",
    .example = "trajctl convert mat mine.mat --dt 0.02 --length-unit mm --out s.h5\n"
               "trajctl convert mat mine.mat --array counts=data.spikes --transposed --out s.h5\n",
    .operands = 1,
    .inputs = 1,
};

typedef struct traj_session *read_function(const char *path,
                                           const struct traj_arrays_options *options,
                                           struct traj_error *error);

struct words {
    const char *out;
    double bin_ms;
    struct option_list array;
};

static int parse(const struct command_help *help, int argc, char **argv,
                 struct traj_arrays_options *arrays, struct words *words)
{
    const struct command_option options[] = {
        {"out", "S.h5", OPTION_TEXT, &words->out, "session file to write", .required = true,
         .file = FILE_WRITTEN},
        {"array", "ARRAY=NAME", OPTION_REPEATED, &words->array,
         "what the file calls an array of the page"},
        {"dt", "S", OPTION_REAL, &arrays->dt, "width of every bin, where no array dt says it",
         .low = 1e-4, .high = 1, .plain = true},
        {"transposed", NULL, OPTION_FLAG, &arrays->transposed,
         "counts, features, position and velocity have time along their columns"},
        {"bin-ms", "MS", OPTION_REAL, &words->bin_ms, "width of the bins of spike_times",
         .low = 0.1, .high = 1e4},
        {"from", "S", OPTION_REAL, &arrays->bins.from, "bin spikes from here on", .plain = true},
        {"to", "S", OPTION_REAL, &arrays->bins.to, "up to here", .plain = true},
        {"length-unit", "UNIT", OPTION_TEXT, &arrays->length_unit,
         "unit of all positions, such as mm"},
        {"subject", "NAME", OPTION_TEXT, &arrays->subject, "who was recorded"},
        {"description", "TEXT", OPTION_TEXT, &arrays->description, "what the session is"},
    };
    return options_parse(help, options, COUNT_OF(options), argc, argv);
}

static int convert(const char *path, const struct traj_arrays_options *arrays, read_function *read,
                   const char *out)
{
    struct traj_error error = {0};
    struct traj_session *session = read(path, arrays, &error);
    int result = convert_write(session, out, &error);
    traj_session_free(session);
    return result ? failure("convert", "%s", error.text) : 0;
}

static int run(const struct command_help *help, read_function *read, int argc, char **argv)
{
    struct traj_arrays_options arrays = {.bins = {.from = (double)NAN, .to = (double)NAN}};
    struct words words = {.bin_ms = 1e3 * TRAJ_BIN_WIDTH};
    int status = parse(help, argc, argv, &arrays, &words);
    if (status == OPTIONS_RUN && !read) {
        status =
            failure("convert", "this trajctl was built without the library for %s files", argv[0]);
    }
    if (status == OPTIONS_RUN && optind >= argc) {
        status = usage_error(help->name, "name the file");
    }
    if (status == OPTIONS_RUN) {
        arrays.bins.width = 1e-3 * words.bin_ms;
        arrays.array = words.array.item;
        arrays.arrays = words.array.count;
        status = convert(argv[optind], &arrays, read, words.out);
    }
    option_list_free(&words.array);
    return status;
}

int convert_npz(int argc, char **argv)
{
#ifdef TRAJ_HAVE_LIBZIP
    return run(&npz_help, traj_npz_read, argc, argv);
#else
    return run(&npz_help, NULL, argc, argv);
#endif
}

int convert_mat(int argc, char **argv)
{
#ifdef TRAJ_HAVE_MATIO
    return run(&mat_help, traj_mat_read, argc, argv);
#else
    return run(&mat_help, NULL, argc, argv);
#endif
}
