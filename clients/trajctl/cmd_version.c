/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl version */
#include <stdio.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "traj/version.h"

static const struct command_help help = {
    .name = "version",
    .usage = "",
    .about = "Prints the version of trajctl. `trajctl status` tells the daemon's.",
};

int cmd_version(int argc, char **argv)
{
    int status = options_parse(&help, NULL, 0, argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    printf("trajctl %s\n", TRAJ_VERSION);
    return 0;
}
