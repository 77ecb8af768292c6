/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl split: the first part of a session to train on, the rest to test on. */
#include <math.h>
#include <stdio.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"

static const struct command_help help = {
    .name = "split",
    .usage = "--session S.h5 --train A.h5 --test B.h5 [options]",
    .about =
        "Cuts a session in two: its first part to train on and the rest to test on, as a session "
        "is used in earnest. Where the session has trials the cut lies between two of them and "
        "--fraction counts trials; otherwise it counts time.",
    .example = "trajctl split --session s.h5 --train a.h5 --test b.h5 --fraction 0.75\n",
};

/* The instant at which to cut; NaN when a part would be empty. */
static double cut_time(const struct traj_session *session, double fraction)
{
    if (session->trials > 0) {
        size_t first = (size_t)lround(fraction * (double)session->trials);
        if (first == 0 || first >= session->trials) {
            return NAN;
        }
        return 0.5 * (session->stop[first - 1] + session->start[first]);
    }
    if (session->bins < 2) {
        return NAN;
    }
    double begin = session->t_end[0] - session->dt[0], end = session->t_end[session->bins - 1];
    return begin + fraction * (end - begin);
}

static int write_part(const struct traj_session *session, double from, double to, const char *path,
                      struct traj_error *error)
{
    const struct traj_span span = {from, to};
    struct traj_session *part = traj_session_cut(session, &span, 1, error);
    int result = part ? traj_session_write(part, path, error) : -1;
    if (result == 0) {
        printf("%s: %zu trials, %zu bins\n", path, part->trials, part->bins);
    }
    traj_session_free(part);
    return result;
}

int cmd_split(int argc, char **argv)
{
    const char *path = NULL, *train = NULL, *test = NULL;
    double fraction = 0.75;
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &path, "session file to cut", .required = true,
         .file = FILE_READ},
        {"train", "A.h5", OPTION_TEXT, &train, "file to write the first part to", .required = true,
         .file = FILE_WRITTEN},
        {"test", "B.h5", OPTION_TEXT, &test, "file to write the rest to", .required = true,
         .file = FILE_WRITTEN},
        {"fraction", "SHARE", OPTION_REAL, &fraction, "share that the first part holds", 0.001,
         0.999},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct traj_error error = {0};
    struct traj_session *session = traj_session_read(path, &error);
    int result = session ? 0 : -1;
    if (session) {
        double cut = cut_time(session, fraction);
        result = isnan(cut) ? traj_error_set(&error, "%s: a part would hold nothing", path) : 0;
        if (result == 0) {
            result = write_part(session, -1e300, cut, train, &error);
        }
        if (result == 0) {
            result = write_part(session, cut, 1e300, test, &error);
        }
    }
    traj_session_free(session);
    return result ? failure("split", "%s", error.text) : 0;
}
