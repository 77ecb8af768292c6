/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl event */
#include <getopt.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "event",
    .usage = "JSON [--control ENDPOINT]",
    .about =
        "Sends any event, as it would stand on the frames socket. Without \"t\" it takes effect "
        "before the next frame.",
    .example = "trajctl event '{\"type\":\"gaze\",\"position\":[80,0],\"cov\":[400,0,0,400]}'\n",
    .operands = 1,
};

int cmd_event(int argc, char **argv)
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
        return usage_error("event", "an event is missing");
    }
    json_error_t why;
    json_t *event = json_loads(argv[optind], JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(event)) {
        json_decref(event);
        return usage_error("event", "this is no JSON object: %s",
                           event ? "another value" : why.text);
    }
    return request_do("event", endpoint, json_pack("{s:s,s:o}", "cmd", "event", "event", event));
}
