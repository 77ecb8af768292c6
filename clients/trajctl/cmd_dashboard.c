/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl dashboard: the decoding, live, in a browser. */
#include <math.h>
#include <stdio.h>

#include "clients/dashboard/dashboard.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"

#define PORT 5610

static const struct command_help help = {
    .name = "dashboard",
    .usage = "[options]",
    .about =
        "Serves one page that shows in a browser what trajd decodes, live: the workspace with the "
        "posterior and the targets, probabilities over time, state, latency and losses. It "
        "subscribes to intents like any other client, and the page loads nothing from anywhere "
        "else. Targets and courses are drawn from the model file that the daemon names. Spikes "
        "and trial marks are known to the source alone: --frames taps it. The page only shows, "
        "unless --control is given.",
    .example = "trajctl dashboard\n"
               "trajctl dashboard --control --port 8080\n"
               "trajctl dashboard --frames tcp://127.0.0.1:5604\n",
};

/* When to end; one command runs in a process. */
static double end_at;

static bool stop(void)
{
    return interrupted() || (isfinite(end_at) && monotonic_seconds() >= end_at);
}

static void ready(const char *url, void *arg)
{
    (void)arg;
    printf("dashboard: %s (Ctrl-C ends it)\n", url);
    fflush(stdout);
}

int cmd_dashboard(int argc, char **argv)
{
    struct dashboard_options run = {
        .intents = TRAJ_DEFAULT_INTENTS,
        .address = "127.0.0.1",
        .port = PORT,
        .stop = stop,
        .ready = ready,
    };
    const char *control = TRAJ_DEFAULT_CONTROL;
    bool may_order = false;
    double seconds = NAN;
    struct traj_error error = {{0}};
    const struct command_option options[] = {
        {"intents", "ENDPOINT", OPTION_TEXT, &run.intents, "where trajd publishes intents"},
        {"frames", "ENDPOINT", OPTION_TEXT, &run.frames,
         "where the source also publishes its frames and events, for spikes, trials and true "
         "positions; @ENDPOINT listens there for the source"},
        {"model", "M.tjm", OPTION_TEXT, &run.model,
         "the model file, where the one that trajd names is not on this machine", .plain = true,
         .file = FILE_READ},
        {"control", NULL, OPTION_FLAG, &may_order,
         "let the page mark trials, set priors, pause, and swap models"},
        {"control-endpoint", "ENDPOINT", OPTION_TEXT, &control,
         "where trajd answers requests, with --control"},
        {"bind", "ADDRESS", OPTION_TEXT, &run.address,
         "numeric address to listen at; other machines reach the page by one that is not loopback, "
         "and it then only shows"},
        {"port", "N", OPTION_SIZE, &run.port, "port to listen at; 0 = any that is free", 0, 65535},
        {"seconds", "S", OPTION_REAL, &seconds, "end after so long", 0.1, 1e9},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (!dashboard_can_listen(run.address)) {
        return usage_error(
            "dashboard", "--bind: \"%s\" is not the numeric address of one interface", run.address);
    }
    if (may_order && !dashboard_is_loopback(run.address)) {
        return usage_error("dashboard", "--control needs a loopback address: whoever reaches the "
                                        "page could give orders");
    }
    run.control = may_order ? control : NULL;
    run.keys = options_keys();
    end_at = monotonic_seconds() + seconds;
    interrupt_catch();
    return dashboard_run(&run, &error) ? failure("dashboard", "%s", error.text) : 0;
}
