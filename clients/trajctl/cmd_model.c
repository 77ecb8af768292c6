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
    .usage = "show [M.tjm] | list | rollback | load M.tjm | shadow M.tjm",
    .about =
        "show M.tjm: tells what is in a model file. show: tells which model the daemon runs. "
        "load: checks a model file and has the daemon go on with it between two frames; if it is "
        "bad the daemon goes on with the one it has. rollback: back to the model before the last. "
        "list: which models the daemon holds. shadow: has a second model decode the same frames, "
        "whose intents it publishes under the topic shadow; status tells how well it "
        "explains them.",
    .example = "trajctl model show m.tjm\n"
               "trajctl model shadow candidate.tjm\n"
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

/* Prints what the daemon's reply says under this key. */
static int print_reply(int status, json_t *reply, const char *key)
{
    if (status == 0) {
        json_dumpf(json_object_get(reply, key), stdout,
                   JSON_INDENT(1) | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY);
        putchar('\n');
    }
    json_decref(reply);
    return status;
}

/* Has the daemon do something with a model file; path NULL = with none. */
static int use_file(const char *endpoint, const char *action, const char *path, const char *key)
{
    /* The daemon has another working directory. */
    char *full = path ? realpath(path, NULL) : NULL;
    if (path && !full) {
        return failure("model", "%s cannot be read: %s", path, strerror(errno));
    }
    json_t *request = json_pack("{s:s,s:s,s:s?}", "cmd", "model", "action", action, "path", full),
           *reply = NULL;
    int status = request_send("model", endpoint, request, REQUEST_LOAD_MS, &reply);
    free(full);
    return print_reply(status, reply, key);
}

static int ask(const char *endpoint, const char *action, const char *key)
{
    json_t *request = json_pack("{s:s,s:s}", "cmd", "model", "action", action), *reply = NULL;
    int status = request_send("model", endpoint, request, REQUEST_MS, &reply);
    return print_reply(status, reply, key);
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
        return path ? show_file(path) : ask(endpoint, "show", "model");
    }
    if (strcmp(word, "load") == 0) {
        return path ? use_file(endpoint, "load", path, "model")
                    : usage_error("model", "load needs a model file");
    }
    if (strcmp(word, "shadow") == 0) {
        return path ? use_file(endpoint, "shadow", strcmp(path, "off") == 0 ? NULL : path, "shadow")
                    : usage_error("model", "shadow needs a model file, or off");
    }
    if (strcmp(word, "rollback") == 0) {
        return path ? usage_error("model", "rollback takes no file")
                    : ask(endpoint, "rollback", "model");
    }
    if (strcmp(word, "list") == 0) {
        return path ? usage_error("model", "list takes no file") : ask(endpoint, "list", "models");
    }
    return usage_error("model", "\"%s\" is not show, list, load, rollback or shadow", word);
}
