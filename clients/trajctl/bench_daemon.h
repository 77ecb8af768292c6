/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The trajd that `trajctl bench` measures: one that it starts itself, or one that runs already. */
#ifndef TRAJCTL_BENCH_DAEMON_H
#define TRAJCTL_BENCH_DAEMON_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/learn/error.h"
#include "traj/client.h"
#include "traj/model.h"

struct bench_daemon {
    pid_t pid;                      /* 0 = not started by us */
    char folder[64];                /* its sockets and model; "" = none */
    char frames[256], intents[256]; /* where it takes and gives */
    struct traj_control *control;   /* NULL = what is measured answers no requests */
};

/*
 * Starts `program` with the model (saved for it) and, unless NULL, a configuration, with sockets in
 * a folder of its own or, with tcp, on loopback ports.  Waits until it answers.  0, or -1 with a
 * sentence; bench_daemon_stop in any case.
 */
int bench_daemon_start(struct bench_daemon *daemon, const char *program, struct traj_model *model,
                       const char *config, bool tcp, struct traj_error *error);

/* Asks one that runs already; control may be NULL. */
int bench_daemon_attach(struct bench_daemon *daemon, const char *frames, const char *intents,
                        const char *control, struct traj_error *error);

/* Its status, a new reference; NULL if there is none to be had. */
json_t *bench_daemon_status(struct bench_daemon *daemon);

/* Whether what was started here has ended by itself; how, goes into the error's sentence. */
bool bench_daemon_ended(struct bench_daemon *daemon, struct traj_error *error);

/* Processor time of the whole process so far, s; NaN where it was not started by us. */
double bench_daemon_cpu(const struct bench_daemon *daemon);

/* Ends what was started; removes its folder. */
void bench_daemon_stop(struct bench_daemon *daemon);

/* The trajd that belongs to this trajctl: beside it, or where a build puts it, else "trajd". */
void bench_daemon_find(char *out, size_t cap);

#endif
