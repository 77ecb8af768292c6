/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl prior */
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "prior",
    .usage = "set P1 P2 ... [--control ENDPOINT]",
    .about =
        "Says how probable each target is, in the model's order of targets; one number a target, "
        "not negative, brought to the sum 1. Holds until the trial stops. A small share is always "
        "left to every target, so that the decoder can overcome a wrong prior.",
    .example = "trajctl prior set 0.7 0.1 0.1 0.1\n",
    .operands = 257,
};

int cmd_prior(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (optind >= argc || strcmp(argv[optind], "set") != 0) {
        return usage_error("prior", "\"%s\" is not known; there is prior set P1 P2 ...",
                           optind < argc ? argv[optind] : "");
    }
    if (optind + 1 == argc) {
        return usage_error("prior", "set needs one number for each target");
    }
    double sum = 0.0, p;
    for (int i = optind + 1; i < argc; i++) {
        if (!number_real(argv[i], &p) || p < 0.0) {
            return usage_error("prior", "\"%s\" is not a number of at least 0", argv[i]);
        }
        sum += p;
    }
    if (!(sum > 0.0) || !isfinite(sum)) {
        return usage_error("prior", "the numbers have no sum that they could be divided by");
    }
    json_t *prob = json_array();
    for (int i = optind + 1; i < argc; i++) {
        (void)number_real(argv[i], &p);
        json_array_append_new(prob, json_real(p / sum));
    }
    return request_do("prior", endpoint, json_pack("{s:s,s:o}", "cmd", "prior", "prob", prob));
}
