/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl convert nwb: a session file from Neurodata Without Borders. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clients/files/nwb.h"
#include "clients/trajctl/convert.h"
#include "clients/trajctl/options.h"

static const struct command_help help = {
    .name = "convert nwb",
    .usage = "F.nwb --out S.h5 [options]",
    .about =
        "Makes a session file from Neurodata Without Borders 2 (HDF5) and says what it took from "
        "where. Without options it takes what is obviously meant: spikes of /units in bins of 20 "
        "ms, or else binned spikes; the one position or velocity below /acquisition or "
        "/processing; the trials. A series is named by its path or the end of it, a column of a "
        "table by its name; none leaves it out. The page clients/man/convert-nwb.md tells the "
        "rest.",
    .example = "trajctl convert nwb sub-M1.nwb --out s.h5\n"
               "trajctl convert nwb maze.nwb --position hand_pos --velocity hand_vel \\\n"
               "    --bin-ms 10 --align trials --length-unit mm --out s.h5\n",
    .operands = 1,
    .inputs = 1,
};

/* What the options fill besides those of the reader. */
struct words {
    const char *out, *align;
    double bin_ms;
    struct option_list unit_where;
};

static int take_align(const char *align, enum traj_bin_alignment *into)
{
    static const char *const name[] = {[TRAJ_BINS_CLOCK] = "clock",
                                       [TRAJ_BINS_SAMPLES] = "samples",
                                       [TRAJ_BINS_SAMPLES_START] = "samples-start",
                                       [TRAJ_BINS_TRIALS] = "trials"};
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        if (strcmp(align, name[i]) == 0) {
            *into = (enum traj_bin_alignment)i;
            return OPTIONS_RUN;
        }
    }
    return usage_error("convert nwb", "\"%s\" is not clock, samples, samples-start or trials",
                       align);
}

static int run(const char *path, const struct traj_nwb_options *options, const char *out)
{
    static struct traj_nwb_report report;
    struct traj_error error = {0};
    struct traj_session *session = traj_nwb_read(path, options, &report, &error);
    if (session) {
        fputs(report.text, stdout);
    }
    int result = convert_write(session, out, &error);
    traj_session_free(session);
    return result ? failure("convert", "%s", error.text) : 0;
}

static int parse(int argc, char **argv, struct traj_nwb_options *nwb, struct words *words)
{
    const struct command_option options[] = {
        {"out", "S.h5", OPTION_TEXT, &words->out, "session file to write", .required = true,
         .file = FILE_WRITTEN},
        {"position", "SERIES", OPTION_TEXT, &nwb->position,
         "where the hand or the cursor is: a series, or a container of one for each axis"},
        {"velocity", "SERIES", OPTION_TEXT, &nwb->velocity,
         "its velocity; without a position that is integrated"},
        {"axes", "N,N", OPTION_TEXT, &nwb->axes, "columns of them to keep, counted from 0"},
        {"bin-ms", "MS", OPTION_REAL, &words->bin_ms,
         "width of a bin; without it 20, or as binned spikes have it", .low = 0.1, .high = 1e4,
         .plain = true},
        {"align", "HOW", OPTION_TEXT, &words->align,
         "where bins of spikes lie: clock (whole multiples of the width), samples or samples-start "
         "(they end or begin at samples of the movement), trials (counted from each start)"},
        {"from", "S", OPTION_REAL, &nwb->bins.from, "bin spikes from here on, s", .plain = true},
        {"to", "S", OPTION_REAL, &nwb->bins.to, "up to here", .plain = true},
        {"unit-where", "COLUMN=VALUE,..", OPTION_REPEATED, &words->unit_where,
         "keep units whose column holds one of these"},
        {"unit-name", "COLUMN", OPTION_TEXT, &nwb->unit_name,
         "column of /units that names them; without it unit_name, or else the id", .plain = true},
        {"counts", "SERIES", OPTION_TEXT, &nwb->counts, "binned spikes, instead of spike times"},
        {"features", "SERIES", OPTION_TEXT, &nwb->features, "continuous features"},
        {"stamps-start", NULL, OPTION_FLAG, &nwb->stamps_start,
         "times of binned series are beginnings of bins, not ends"},
        {"trials", "TABLE", OPTION_TEXT, &nwb->trials,
         "path of the table of trials; without it /intervals/trials", .plain = true},
        {"target", "COLUMN", OPTION_TEXT, &nwb->target,
         "column of trials that names the target, or says where it is"},
        {"target-position", "COLUMN", OPTION_TEXT, &nwb->target_position,
         "column of trials that says where the target is"},
        {"go", "COLUMN", OPTION_TEXT, &nwb->go, "column of trials with the time of the go cue"},
        {"move", "COLUMN", OPTION_TEXT, &nwb->move, "and of movement onset"},
        {"rewarded", "COLUMN", OPTION_TEXT, &nwb->rewarded, "and whether it succeeded"},
        {"length-unit", "UNIT", OPTION_TEXT, &nwb->length_unit,
         "unit of positions in the session; metric ones are converted"},
        {"subject", "NAME", OPTION_TEXT, &nwb->subject, "who was recorded"},
        {"description", "TEXT", OPTION_TEXT, &nwb->description, "what the session is"},
    };
    return options_parse(&help, options, COUNT_OF(options), argc, argv);
}

int convert_nwb(int argc, char **argv)
{
    struct traj_nwb_options nwb = {.bins = {.from = (double)NAN, .to = (double)NAN}};
    struct words words = {.align = "clock"};
    int status = parse(argc, argv, &nwb, &words);
    if (status == OPTIONS_RUN) {
        status = take_align(words.align, &nwb.bins.align);
    }
    if (status == OPTIONS_RUN && optind >= argc) {
        status = usage_error("convert nwb", "name the NWB file");
    }
    if (status == OPTIONS_RUN) {
        nwb.bins.width = 1e-3 * words.bin_ms;
        nwb.unit_where = words.unit_where.item;
        nwb.unit_conditions = words.unit_where.count;
        status = run(argv[optind], &nwb, words.out);
    }
    option_list_free(&words.unit_where);
    return status;
}
