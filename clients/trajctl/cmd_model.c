/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl model: a model file, or the daemon's model. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "daemon/learn/model_file.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "model",
    .usage = "show [M.tjm] | load M.tjm | rollback [--control ENDPOINT]",
    .about =
        "show M.tjm: tells what is in a model file. show: tells which model the daemon runs. "
        "load: checks a model file and has the daemon go on with it between two frames; if it is "
        "bad the daemon goes on with the one it has. rollback: back to the model before the last.",
    .example = "trajctl model show m.tjm\n"
               "trajctl model load better.tjm\n",
    .operands = 2,
};

static int show_file(const char *path)
{
    struct traj_error error = {0};
    struct traj_model *model = traj_model_load(path, &error);
    if (!model) {
        return failure("model", "%s", error.text);
    }
    traj_model_show(model, stdout);
    traj_model_free(model);
    return 0;
}

/* Prints the model in the daemon's reply. */
static int print_reply(int status, json_t *reply)
{
    if (status == 0) {
        json_dumpf(json_object_get(reply, "model"), stdout,
                   JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        putchar('\n');
    }
    json_decref(reply);
    return status;
}

static int load(const char *endpoint, const char *path)
{
    /* The daemon has another working directory. */
    char *full = realpath(path, NULL);
    if (!full) {
        return failure("model", "%s cannot be read: %s", path, strerror(errno));
    }
    json_t *request = json_pack("{s:s,s:s,s:s}", "cmd", "model", "action", "load", "path", full),
           *reply = NULL;
    int status = request_send("model", endpoint, request, REQUEST_LOAD_MS, &reply);
    free(full);
    return print_reply(status, reply);
}

static int ask(const char *endpoint, const char *action)
{
    json_t *request = json_pack("{s:s,s:s}", "cmd", "model", "action", action), *reply = NULL;
    int status = request_send("model", endpoint, request, REQUEST_MS, &reply);
    return print_reply(status, reply);
}

int cmd_model(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *word = optind < argc ? argv[optind] : "";
    const char *path = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (strcmp(word, "show") == 0) {
        return path ? show_file(path) : ask(endpoint, "show");
    }
    if (strcmp(word, "load") == 0) {
        return path ? load(endpoint, path) : usage_error("model", "load needs a model file");
    }
    if (strcmp(word, "rollback") == 0) {
        return path ? usage_error("model", "rollback takes no file") : ask(endpoint, "rollback");
    }
    return usage_error("model", "\"%s\" is not show, load or rollback", word);
}
