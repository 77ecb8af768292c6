/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of trajd; see options.h. */
#include "daemon/io/options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

const char traj_options_help[] =
    "usage: trajd --model MODEL.tjm [--config CONFIG.json] [--frames ENDPOINT]\n"
    "             [--intents ENDPOINT] [--control ENDPOINT] [--check-config]\n"
    "\n"
    "Decodes intended movement from neural frames and publishes it as JSON.\n"
    "\n"
    "  --model FILE        the model, as trajctl train writes it\n"
    "  --config FILE       settings as JSON; the command line goes before it\n"
    "  --frames ENDPOINT   where frames and events come in (@tcp://127.0.0.1:5601)\n"
    "  --intents ENDPOINT  where intents are published     (@tcp://127.0.0.1:5602)\n"
    "  --control ENDPOINT  where requests are answered     (@tcp://127.0.0.1:5603)\n"
    "  --check-config      print the effective configuration as JSON and check it,\n"
    "                      with the model if it names one; 0 if trajd could start\n"
    "  --help, --version\n"
    "\n"
    "An endpoint is tcp://127.0.0.1:PORT or ipc://PATH; @ before it (or nothing)\n"
    "binds, > connects.  SIGTERM and SIGINT end trajd; SIGHUP reads configuration\n"
    "and model again and, if they are good, goes on with them between two frames.\n";

int traj_options_parse(struct traj_options *options, int argc, char **argv,
                       struct traj_error *error)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"model", required_argument, NULL, 'm'},
        {"frames", required_argument, NULL, 'f'},
        {"intents", required_argument, NULL, 'i'},
        {"control", required_argument, NULL, 'o'},
        {"check-config", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    memset(options, 0, sizeof *options);
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
        switch (letter) {
        case 'c':
            options->config = optarg;
            break;
        case 'm':
            options->model = optarg;
            break;
        case 'f':
            options->frames = optarg;
            break;
        case 'i':
            options->intents = optarg;
            break;
        case 'o':
            options->control = optarg;
            break;
        case 'k':
            options->check_config = true;
            break;
        case 'h':
            options->help = true;
            break;
        case 'v':
            options->version = true;
            break;
        case ':':
            return traj_error_set(error, "option %s needs a value; see --help", argv[optind - 1]);
        default:
            return traj_error_set(error, "option %s is not known; see --help", argv[optind - 1]);
        }
    }
    if (optind < argc) {
        return traj_error_set(error, "\"%s\" is not an option; see --help", argv[optind]);
    }
    return 0;
}

int traj_options_config(const struct traj_options *options, struct traj_config *config,
                        struct traj_error *error)
{
    const struct {
        const char *key;
        const char *value;
    } overrides[] = {{"model", options->model},
                     {"frames", options->frames},
                     {"intents", options->intents},
                     {"control", options->control}};

    traj_config_default(config);
    if (options->config != NULL && traj_config_read(config, options->config, error) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof overrides / sizeof overrides[0]; i++) {
        if (overrides[i].value != NULL &&
            traj_config_override(config, overrides[i].key, overrides[i].value, error) != 0) {
            return -1;
        }
    }
    return traj_config_agrees(config, error);
}
