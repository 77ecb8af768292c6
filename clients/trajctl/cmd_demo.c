/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trajctl demo: all of it at once on a simulated rig, for whoever wants to look before reading.  It
 * runs the commands that a user would, as processes of their own, and says which.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/trajctl/bench_daemon.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"

#define ENDPOINT 600
#define PATIENCE_S 0.5 /* a daemon that cannot start has ended by then */

static const struct command_help help = {
    .name = "demo",
    .usage = "[options]",
    .about =
        "Simulates a session, trains on it, starts trajd, plays the session to it over and over as "
        "a rig would, and serves the dashboard. Everything runs on this machine, trajd at its "
        "default ports unless --private; Ctrl-C ends all of it. The session and the model stay in "
        "the folder, so that the next time begins at once.",
    .example = "trajctl demo\n",
};

/* The rig publishes at an address of its own, so that the dashboard, too, hears spikes there. */
struct endpoints {
    char rig[ENDPOINT], intents[ENDPOINT], control[ENDPOINT];
};

struct demo {
    const char *folder;
    bool quiet, apart;
    struct endpoints at;
    char program[512], daemon[512]; /* this trajctl, and its trajd */
    char session[512], model[512];
    char port[16];
    pid_t trajd, rig, dashboard; /* 0 = does not run */
};

/* Runs words[0] with the rest; its pid, or -1. */
static pid_t start(const struct demo *d, const char *const *words, bool silent)
{
    if (!d->quiet) {
        fputs("demo:", stderr);
        for (size_t i = 0; words[i]; i++) {
            const char *slash = i == 0 ? strrchr(words[i], '/') : NULL;
            fprintf(stderr, " %s", slash ? slash + 1 : words[i]);
        }
        fputc('\n', stderr);
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (silent && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))) {
            _exit(127);
        }
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        fprintf(stderr, "demo: %s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

/* Whether it ended well. */
static bool finish(pid_t pid)
{
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        if (interrupted()) {
            (void)kill(pid, SIGTERM);
        }
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void end(pid_t *pid)
{
    if (*pid > 0) {
        (void)kill(*pid, SIGTERM);
        (void)finish(*pid);
    }
    *pid = 0;
}

/* Whether one that was started has ended by itself. */
static bool gone(pid_t *pid)
{
    if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) == *pid) {
        *pid = 0;
    }
    return *pid <= 0;
}

/*
 * A session and its model, unless they are there; 0, or the exit status.  Courses, so that there
 * are targets to be seen; fewer folds than usual, so that they are seen soon.
 */
static int prepare(struct demo *d)
{
    const char *simulate[] = {d->program, "simulate", "--out", d->session, "--trials-per-target",
                              "8",        "--units",  "64",    NULL};
    const char *train[] = {d->program,
                           "train",
                           "--session",
                           d->session,
                           "--out",
                           d->model,
                           "--family",
                           "course",
                           "--folds",
                           "3",
                           d->quiet ? "--quiet" : NULL,
                           NULL};
    if (access(d->session, R_OK) != 0 && !finish(start(d, simulate, true))) {
        return failure("demo", "no session could be written into %s", d->folder);
    }
    if (access(d->model, R_OK) != 0 && !finish(start(d, train, false))) {
        return interrupted() ? 1 : failure("demo", "training failed");
    }
    return 0;
}

/* Until Ctrl-C, or the end of the daemon or of the dashboard. */
static int run(struct demo *d)
{
    char connect[ENDPOINT + 1], bind[ENDPOINT + 1];
    snprintf(connect, sizeof connect, ">%s", d->at.rig);
    snprintf(bind, sizeof bind, "@%s", d->at.rig);
    const char *trajd[] = {d->daemon,   "--model",     d->model,    "--frames",    connect,
                           "--intents", d->at.intents, "--control", d->at.control, NULL};
    const char *dashboard[] = {d->program,    "dashboard", "--control",   "--port",
                               d->port,       "--intents", d->at.intents, "--control-endpoint",
                               d->at.control, "--frames",  d->at.rig,     NULL};
    const char *rig[] = {d->program, "replay",   "--quiet", "--session",
                         d->session, "--frames", bind,      NULL};
    d->trajd = start(d, trajd, false);
    double began = monotonic_seconds();
    while (!interrupted() && monotonic_seconds() - began < PATIENCE_S) {
        if (gone(&d->trajd)) {
            return failure("demo", "trajd ended at once; is another one running?");
        }
        (void)poll(NULL, 0, 50);
    }
    d->dashboard = start(d, dashboard, false);
    while (!interrupted()) {
        if (gone(&d->trajd) || gone(&d->dashboard)) {
            return failure("demo", "%s has ended", d->trajd > 0 ? "the dashboard" : "trajd");
        }
        if (gone(&d->rig)) {
            d->rig = start(d, rig, false);
        }
        (void)poll(NULL, 0, 100);
    }
    return 0;
}

static bool name_socket(char out[ENDPOINT], const char *folder, const char *name)
{
    int length = snprintf(out, ENDPOINT, "ipc://%s/%s", folder, name);
    return length > 0 && length < ENDPOINT;
}

/* Where they meet: at the default ports, or apart from whatever else runs, in the folder. */
static bool name_endpoints(struct demo *d)
{
    char folder[PATH_MAX];
    if (!d->apart) {
        d->at = (struct endpoints){"tcp://127.0.0.1:5604", "tcp://127.0.0.1:5602",
                                   "tcp://127.0.0.1:5603"};
        return true;
    }
    return realpath(d->folder, folder) && name_socket(d->at.rig, folder, "rig") &&
           name_socket(d->at.intents, folder, "intents") &&
           name_socket(d->at.control, folder, "control");
}

int cmd_demo(int argc, char **argv)
{
    struct demo d = {.folder = "trajd-demo"};
    size_t port = 5610;
    const struct command_option options[] = {
        {"folder", "DIR", OPTION_TEXT, &d.folder,
         "where session and model are kept; made if absent"},
        {"port", "N", OPTION_SIZE, &port, "port of the dashboard; 0 takes one that is free", 0,
         65535},
        {"private", NULL, OPTION_FLAG, &d.apart,
         "sockets in the folder instead of trajd's ports, beside another trajd"},
        {"quiet", NULL, OPTION_FLAG, &d.quiet, "do not say what is run"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    ssize_t size = readlink("/proc/self/exe", d.program, sizeof d.program - 1);
    if (size < 0 || (mkdir(d.folder, 0777) != 0 && errno != EEXIST)) {
        return failure("demo", "%s: %s", d.folder, strerror(errno));
    }
    bench_daemon_find(d.daemon, sizeof d.daemon);
    int a = snprintf(d.session, sizeof d.session, "%s/session.h5", d.folder);
    int b = snprintf(d.model, sizeof d.model, "%s/model.tjm", d.folder);
    if (a < 0 || (size_t)a >= sizeof d.session || b < 0 || (size_t)b >= sizeof d.model ||
        !name_endpoints(&d)) {
        return usage_error("demo", "--folder: the name is too long");
    }
    snprintf(d.port, sizeof d.port, "%zu", port);
    interrupt_catch();
    status = prepare(&d);
    status = status == 0 ? run(&d) : status;
    end(&d.rig);
    end(&d.dashboard);
    end(&d.trajd);
    return status;
}
