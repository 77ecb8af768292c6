/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl: everything a person does with trajd.  This file only finds the command. */
#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"

/* In the order in which a new user needs them; a row without a name is a heading. */
static const struct command commands[] = {
    {NULL, "at a glance", NULL},
    {"demo", "all of it at once on a simulated rig, in a browser", cmd_demo},
    {NULL, "sessions", NULL},
    {"simulate", "make a synthetic session", cmd_simulate},
    {"convert", "make a session file from NWB, CSV tables or a recording", cmd_convert},
    {"export", "write a session and decoded intents as NWB or CSV", cmd_export},
    {"split", "cut a session into a part to train on and a part to test on", cmd_split},
    {NULL, "models", NULL},
    {"train", "learn a model from sessions", cmd_train},
    {"evaluate", "compare decoders on a session by cross-validation", cmd_evaluate},
    {"model", "show a model; load one into the daemon, or go back", cmd_model},
    {NULL, "decoding a file", NULL},
    {"decode", "decode a session without a daemon", cmd_decode},
    {"score", "measure decoded intents against the movement", cmd_score},
    {"compare", "say which of two models decodes a session better", cmd_compare},
    {"rig", "closed-loop experiments with a synthetic user", cmd_rig},
    {"rival", "another decoder behind the same sockets", cmd_rival},
    {NULL, "with a running trajd", NULL},
    {"replay", "send a session or a recording to the daemon", cmd_replay},
    {"rig-source", "send a session as a rig would, to try a source", cmd_rig_source},
    {"units-map", "map a rig's units to the model's, from its traffic", cmd_units_map},
    {"record", "record the daemon; check, show and cut recordings", cmd_record},
    {"intents", "write what the daemon publishes to a file", cmd_intents},
    {"monitor", "watch the decoding live", cmd_monitor},
    {"dashboard", "watch the decoding live in a browser", cmd_dashboard},
    {"status", "ask the daemon how it is", cmd_status},
    {"trial", "mark the start, go cue or stop of a trial", cmd_trial},
    {"prior", "say how probable each target is", cmd_prior},
    {"event", "send any event", cmd_event},
    {"recalibrate", "keep the model up to date while it decodes", cmd_recalibrate},
    {"pause", "hold the output, or let it go on", cmd_pause},
    {"reset", "put the decoder back to its prior", cmd_reset},
    {"shutdown", "end the daemon", cmd_shutdown},
    {"keygen", "make keys for a daemon that other machines may reach", cmd_keygen},
    {"bench", "measure the time from a frame to its intent", cmd_bench},
    {NULL, "about", NULL},
    {"completion", "tell a shell which words may come next", cmd_completion},
    {"version", "print the version", cmd_version},
};

static void print_commands(FILE *out)
{
    fputs("usage: trajctl COMMAND [options]      trajctl COMMAND --help tells all about one\n",
          out);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (commands[i].name) {
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].line);
        } else {
            fprintf(out, "\n%s:\n", commands[i].line);
        }
    }
    fputs("\nfirst steps:\n"
          "  trajctl simulate --out s.h5\n"
          "  trajctl split --session s.h5 --train a.h5 --test b.h5\n"
          "  trajctl train --session a.h5 --out m.tjm\n"
          "  trajctl decode --model m.tjm --session b.h5 --out i.jsonl\n"
          "  trajctl score --session b.h5 --intents i.jsonl\n",
          out);
}

const struct command *command_at(size_t i)
{
    return i < COUNT_OF(commands) ? &commands[i] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (commands[i].name && strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* "help" alone lists the commands; "help NAME" is "NAME --help". */
static int help(int argc, char **argv)
{
    if (argc < 3) {
        print_commands(stdout);
        return 0;
    }
    const struct command *command = command_find(argv[2]);
    if (!command) {
        fprintf(stderr, "trajctl: no command is called \"%s\"; trajctl help lists them\n", argv[2]);
        return EXIT_USAGE;
    }
    char option[] = "--help";
    char *ask[] = {argv[2], option, NULL};
    return command->run(2, ask);
}

/*
 * A standard descriptor that is closed would be that of the next file that is opened, and what is
 * said would go into it.  In its place comes one that can neither be read nor written.
 */
static void occupy_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

/* The exit status: what a command has printed must have arrived. */
static int finish(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return status;
    }
    /* The command may have noticed itself. */
    if (!failure_told()) {
        fprintf(stderr, "trajctl: standard output cannot be written%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    }
    return status == 0 ? 1 : status;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        return help(argc, argv);
    }
    if (strcmp(argv[1], "--version") == 0) {
        return cmd_version(1, argv);
    }
    const struct command *command = command_find(argv[1]);
    if (!command) {
        fprintf(stderr, "trajctl: no command is called \"%s\"; trajctl help lists them\n", argv[1]);
        return EXIT_USAGE;
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    occupy_descriptors();
    gsl_set_error_handler_off();
    return finish(run(argc, argv));
}
