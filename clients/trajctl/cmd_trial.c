/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl trial */
#include <getopt.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "trial",
    .usage = "start|go|stop [--control ENDPOINT]",
    .about =
        "Marks the start of a trial, its go cue or its stop by hand; it takes effect before the "
        "next frame. A task computer sends these as events with times of their own.",
    .example = "trajctl trial start\n",
    .operands = 1,
};

int cmd_trial(int argc, char **argv)
{
    static const char *const actions[] = {"start", "go", "stop"};
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *word = optind < argc ? argv[optind] : "";
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(word, actions[i]) == 0) {
            return request_do("trial", endpoint,
                              json_pack("{s:s,s:s}", "cmd", "trial", "action", word));
        }
    }
    return usage_error("trial", "\"%s\" is not start, go or stop", word);
}
