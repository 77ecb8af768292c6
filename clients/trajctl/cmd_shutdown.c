/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl shutdown */
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "shutdown",
    .usage = "[--control ENDPOINT]",
    .about = "Ends trajd in good order, as SIGTERM does.",
    .example = "trajctl shutdown\n",
};

int cmd_shutdown(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    return request_do("shutdown", endpoint, json_pack("{s:s}", "cmd", "shutdown"));
}
