/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl pause */
#include <getopt.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "pause",
    .usage = "on|off [--control ENDPOINT]",
    .about =
        "on: decoding goes on, but every intent says that it is not valid, so that nothing moves. "
        "off: intents are valid again.",
    .example = "trajctl pause on\n",
    .operands = 1,
};

int cmd_pause(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (optind >= argc) {
        return usage_error("pause", "name on or off");
    }
    const char *word = argv[optind];
    bool on = strcmp(word, "on") == 0;
    if (!on && strcmp(word, "off") != 0) {
        return usage_error("pause", "\"%s\" is not on or off", word);
    }
    return request_do("pause", endpoint, json_pack("{s:s,s:b}", "cmd", "pause", "on", (int)on));
}
