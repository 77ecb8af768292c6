/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trajctl completion: which words may come next.  The scripts of bash and zsh ask for it while
 * somebody types, so that what they offer is what this program takes.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"

static const struct command_help help = {
    .name = "completion",
    .usage = "[COMMAND]",
    .about =
        "Prints the commands, or the options of one: a line each, with tabs between the name, the "
        "word that stands for a value, the only values that it may have, and a sentence. It is "
        "what the completions of bash and zsh ask; both are installed with trajctl.",
    .example = "trajctl completion train\n",
    .operands = 1,
};

int cmd_completion(int argc, char **argv)
{
    int status = options_parse(&help, NULL, 0, argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (optind == argc) {
        const struct command *command;
        for (size_t i = 0; (command = command_at(i)); i++) {
            if (command->name) {
                printf("%s\t%s\n", command->name, command->line);
            }
        }
        return 0;
    }
    const struct command *command = command_find(argv[optind]);
    if (!command) {
        return usage_error("completion", "no command is called \"%s\"", argv[optind]);
    }
    char list[] = OPTIONS_LIST;
    char *ask[] = {argv[optind], list, NULL};
    return command->run(2, ask);
}
