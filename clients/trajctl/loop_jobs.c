/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Experiments in child processes; see loop_jobs.h. */
#include "clients/trajctl/loop_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/trajctl/interrupt.h"

#define LOOK_MS 100 /* between two looks at whether the user interrupts */
#define GRACE_S 3.0 /* to end in good order */

/* What a child writes to its pipe: little enough to go through in one piece. */
struct answer {
    int status;
    struct loop_result result;
    struct traj_error error;
};

/* A child at work on an experiment. */
struct child {
    pid_t pid; /* 0 = none */
    int pipe;
    size_t experiment;
    size_t got; /* bytes of the answer */
    struct answer answer;
};

struct pool {
    const struct loop_jobs *jobs;
    struct child *child; /* [processes] */
    struct pollfd *poll; /* [processes] */
    size_t next, done, experiments;
    struct loop_result *result;
};

static uint64_t seed_of(const struct pool *p, size_t experiment)
{
    return p->jobs->seed[experiment / p->jobs->decoders];
}

static enum loop_decoder decoder_of(const struct pool *p, size_t experiment)
{
    return p->jobs->decoder[experiment % p->jobs->decoders];
}

static void tell(const struct pool *p)
{
    char text[64];
    const size_t last = p->next > 0 ? p->next - 1 : 0;
    (void)snprintf(text, sizeof text, "seed %llu, %s", (unsigned long long)seed_of(p, last),
                   loop_decoder_name(decoder_of(p, last)));
    progress_update(p->jobs->progress, text, (double)p->done / (double)p->experiments);
}

/* The child's whole life. */
static void work(const struct pool *p, size_t experiment, int out)
{
    struct answer *answer = calloc(1, sizeof *answer);
    if (answer) {
        answer->status = loop_run(p->jobs->setup, seed_of(p, experiment), decoder_of(p, experiment),
                                  &answer->result, &answer->error);
        const char *from = (const char *)answer;
        for (size_t left = sizeof *answer; left > 0;) {
            ssize_t wrote = write(out, from, left);
            if (wrote < 0 && errno != EINTR) {
                break;
            }
            from += wrote > 0 ? wrote : 0;
            left -= wrote > 0 ? (size_t)wrote : 0;
        }
    }
    free(answer);
    _exit(0);
}

static int start(struct pool *p, size_t slot, struct traj_error *error)
{
    struct child *c = &p->child[slot];
    const pid_t parent = getpid();
    int ends[2];
    if (pipe(ends) != 0) {
        return traj_error_set(error, "no pipe to a child: %s", strerror(errno));
    }
    /* What the child starts must not keep the pipe open after its end. */
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        /* Ends with its parent, as what it starts ends with it. */
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)close(ends[0]);
        if (getppid() == parent) {
            work(p, p->next, ends[1]);
        }
        _exit(0);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return traj_error_set(error, "no child to run an experiment: %s", strerror(errno));
    }
    c->pid = pid;
    c->pipe = ends[0];
    c->got = 0;
    c->experiment = p->next++;
    tell(p);
    return 0;
}

/* Waits for the child's end, and takes what it wrote. */
static int finish(struct pool *p, struct child *c, struct traj_error *error)
{
    int how = 0;
    while (waitpid(c->pid, &how, 0) < 0 && errno == EINTR) {
    }
    (void)close(c->pipe);
    c->pid = 0;
    p->done++;
    if (c->got != sizeof c->answer) {
        return traj_error_set(error, "seed %llu, %s: its process ended before it was done (%s)",
                              (unsigned long long)seed_of(p, c->experiment),
                              loop_decoder_name(decoder_of(p, c->experiment)),
                              WIFSIGNALED(how) ? strsignal(WTERMSIG(how)) : "without a word");
    }
    if (c->answer.status != 0) {
        return traj_error_set(error, "%s", c->answer.error.text);
    }
    p->result[(c->experiment % p->jobs->decoders) * p->jobs->seeds +
              c->experiment / p->jobs->decoders] = c->answer.result;
    tell(p);
    return 0;
}

/* Reads what a child has written by now; 1 at its end, 0 if there may be more. */
static int listen_to(struct child *c)
{
    ssize_t got = read(c->pipe, (char *)&c->answer + c->got, sizeof c->answer - c->got);
    if (got < 0) {
        return errno != EINTR && errno != EAGAIN;
    }
    c->got += (size_t)got;
    return got == 0 || c->got == sizeof c->answer;
}

static int turn(struct pool *p, struct traj_error *error)
{
    const size_t processes = p->jobs->processes;
    int result = 0;
    for (size_t i = 0; result == 0 && i < processes; i++) {
        if (p->child[i].pid == 0 && p->next < p->experiments) {
            result = start(p, i, error);
        }
        p->poll[i] =
            (struct pollfd){.fd = p->child[i].pid ? p->child[i].pipe : -1, .events = POLLIN};
    }
    if (result == 0 && poll(p->poll, processes, LOOK_MS) < 0 && errno != EINTR) {
        result = traj_error_set(error, "no word of a child: %s", strerror(errno));
    }
    for (size_t i = 0; result == 0 && i < processes; i++) {
        if (p->child[i].pid && p->poll[i].revents && listen_to(&p->child[i])) {
            result = finish(p, &p->child[i], error);
        }
    }
    return result == 0 && interrupted() ? traj_error_set(error, "interrupted") : result;
}

static void send_all(const struct pool *p, int number)
{
    for (size_t i = 0; i < p->jobs->processes; i++) {
        if (p->child[i].pid) {
            (void)kill(p->child[i].pid, number);
        }
    }
}

/* How many are still at work. */
static size_t collect(struct pool *p)
{
    size_t left = 0;
    for (size_t i = 0; i < p->jobs->processes; i++) {
        struct child *c = &p->child[i];
        if (c->pid && waitpid(c->pid, NULL, WNOHANG) == c->pid) {
            (void)close(c->pipe);
            c->pid = 0;
        }
        left += c->pid != 0;
    }
    return left;
}

/*
 * Ends whoever is still at work.  In a closed loop a child hears of it at once, ends what it
 * started and removes what it made; while it trains it has nothing of the kind, and looks at
 * nothing.
 */
static void end(struct pool *p)
{
    double give_up = monotonic_seconds() + GRACE_S;
    send_all(p, SIGTERM);
    while (collect(p) > 0 && monotonic_seconds() < give_up) {
        (void)poll(NULL, 0, LOOK_MS);
    }
    send_all(p, SIGKILL);
    while (collect(p) > 0) {
        (void)poll(NULL, 0, LOOK_MS);
    }
}

int loop_jobs_run(const struct loop_jobs *jobs, struct loop_result *result,
                  struct traj_error *error)
{
    struct pool p = {.jobs = jobs,
                     .child = calloc(jobs->processes, sizeof *p.child),
                     .poll = calloc(jobs->processes, sizeof *p.poll),
                     .experiments = jobs->seeds * jobs->decoders,
                     .result = result};
    int status = p.child && p.poll
                     ? 0
                     : traj_error_set(error, "no memory to run %zu experiments", jobs->seeds);
    while (status == 0 && p.done < p.experiments) {
        status = turn(&p, error);
    }
    if (p.child) {
        end(&p);
    }
    free(p.child);
    free(p.poll);
    return status;
}
