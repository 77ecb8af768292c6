/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl reset */
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "reset",
    .usage = "[--control ENDPOINT]",
    .about =
        "Puts the decoder back to its prior before the next frame: no trial, no target prior, no "
        "memory of earlier frames.",
    .example = "trajctl reset\n",
};

int cmd_reset(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    return request_do("reset", endpoint, json_pack("{s:s}", "cmd", "reset"));
}
