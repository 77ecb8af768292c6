/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A rival that an experiment starts; see loop_rival.h. */
#include "clients/trajctl/loop_rival.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/files/session_file.h"

/* This very program. */
static const char self[] = "/proc/self/exe";

static void become(const char *const *arguments, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody else would end it */
    if (getppid() != parent) {
        _exit(127);
    }
    (void)execv(self, (char *const *)(uintptr_t)arguments);
    (void)fprintf(stderr, "trajctl rig: %s: %s\n", self, strerror(errno));
    _exit(127);
}

int loop_rival_start(struct loop_rival *rival, enum traj_rival_kind kind,
                     const struct traj_session *calibration, const struct traj_session *second,
                     double radius, struct traj_error *error)
{
    char first_path[96], second_path[96], size[32];
    *rival = (struct loop_rival){.folder = "/tmp/trajctl-rival-XXXXXX"};
    if (!mkdtemp(rival->folder)) {
        rival->folder[0] = '\0';
        return traj_error_set(error, "no folder for a rival: %s", strerror(errno));
    }
    (void)snprintf(first_path, sizeof first_path, "%s/first.h5", rival->folder);
    (void)snprintf(second_path, sizeof second_path, "%s/second.h5", rival->folder);
    (void)snprintf(rival->frames, sizeof rival->frames, "ipc://%s/frames", rival->folder);
    (void)snprintf(rival->intents, sizeof rival->intents, "ipc://%s/intents", rival->folder);
    (void)snprintf(size, sizeof size, "%.9g", radius);
    if (traj_session_write(calibration, first_path, error) != 0 ||
        (second && traj_session_write(second, second_path, error) != 0)) {
        return -1;
    }
    const char *arguments[] = {"trajctl",
                               "rival",
                               "--kind",
                               traj_rival_name(kind),
                               "--frames",
                               rival->frames,
                               "--intents",
                               rival->intents,
                               "--session",
                               first_path,
                               second ? "--second" : NULL,
                               second_path,
                               "--radius",
                               size,
                               NULL};
    const pid_t parent = getpid();
    rival->pid = fork();
    if (rival->pid == 0) {
        become(arguments, parent);
    }
    if (rival->pid < 0) {
        rival->pid = 0;
        return traj_error_set(error, "no rival can be started: %s", strerror(errno));
    }
    return 0;
}

void loop_rival_stop(struct loop_rival *rival)
{
    static const char *const files[] = {"first.h5", "second.h5", "frames", "intents"};
    if (rival->pid > 0) {
        (void)kill(rival->pid, SIGTERM);
        (void)waitpid(rival->pid, NULL, 0);
        rival->pid = 0;
    }
    for (size_t i = 0; rival->folder[0] != '\0' && i < sizeof files / sizeof *files; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", rival->folder, files[i]);
        (void)unlink(path);
    }
    if (rival->folder[0] != '\0') {
        (void)rmdir(rival->folder);
        rival->folder[0] = '\0';
    }
}
