/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A trajd to be measured; see bench_daemon.h. */
#include "clients/trajctl/bench_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/model_file.h"

#define READY_S 120.0 /* a model of hundreds of megabytes is read and checked */
#define ASK_MS 500
#define STOP_S 5.0

/* Says nothing by itself: nothing but frames and intents is to be measured. */
static const char quiet_config[] = "{\"stale_ms\":0,\"status_ms\":0,\"log_level\":\"warning\"}\n";

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

void bench_daemon_find(char *out, size_t cap)
{
    static const char *const places[] = {"/trajd", "/../../daemon/trajd"};
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    if (length > 0) {
        self[length] = '\0';
        slash = strrchr(self, '/');
    }
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        *slash = '\0';
        (void)snprintf(out, cap, "%s%s", self, places[i]);
        if (is_program(out)) {
            return;
        }
    }
    (void)snprintf(out, cap, "trajd");
}

/* folder/name into out. */
static void name_in(const struct bench_daemon *daemon, const char *name, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s/%s", daemon->folder, name);
}

static int write_config(const char *path, struct traj_error *error)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(quiet_config, file) < 0) {
        if (file) {
            (void)fclose(file);
        }
        return traj_error_set(error, "%s: %s", path, strerror(errno));
    }
    return fclose(file) == 0 ? 0 : traj_error_set(error, "%s: %s", path, strerror(errno));
}

/* The child: becomes trajd; what it says on standard output is nobody's. */
static void become(const char *program, char *const *arguments, pid_t parent)
{
    int nothing = open("/dev/null", O_RDWR);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody else would end it */
    if (getppid() != parent) {
        _exit(127);
    }
    if (nothing >= 0) {
        (void)dup2(nothing, STDIN_FILENO);
        (void)dup2(nothing, STDOUT_FILENO);
    }
    (void)execvp(program, arguments);
    (void)fprintf(stderr, "trajctl bench: %s: %s\n", program, strerror(errno));
    _exit(127);
}

static int wait_until_ready(struct bench_daemon *daemon, struct traj_error *error)
{
    double give_up = monotonic_seconds() + READY_S;
    const char *reply;
    while (traj_control_request(daemon->control, "{\"cmd\":\"ping\"}", ASK_MS, &reply) != 0) {
        int status;
        if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            return traj_error_set(error, "trajd ended instead of starting");
        }
        if (monotonic_seconds() > give_up) {
            return traj_error_set(error, "trajd does not answer");
        }
    }
    return 0;
}

/* The addresses that the system chose. */
static int read_addresses(struct bench_daemon *daemon, struct traj_error *error)
{
    json_t *status = bench_daemon_status(daemon);
    json_t *endpoints = json_object_get(status, "endpoints");
    const char *frames = json_string_value(json_object_get(endpoints, "frames"));
    const char *intents = json_string_value(json_object_get(endpoints, "intents"));
    int result = 0;
    if (!frames || !intents) {
        result = traj_error_set(error, "trajd does not say where its sockets are");
    } else {
        (void)snprintf(daemon->frames, sizeof daemon->frames, "%s", frames);
        (void)snprintf(daemon->intents, sizeof daemon->intents, "%s", intents);
    }
    json_decref(status);
    return result;
}

int bench_daemon_start(struct bench_daemon *daemon, const char *program, struct traj_model *model,
                       const char *config, bool tcp, struct traj_error *error)
{
    char model_path[96], config_path[96], control[128], frames[128], intents[128];
    *daemon = (struct bench_daemon){.folder = "/tmp/trajctl-bench-XXXXXX"};
    if (!mkdtemp(daemon->folder)) {
        daemon->folder[0] = '\0';
        return traj_error_set(error, "no folder for the daemon: %s", strerror(errno));
    }
    name_in(daemon, "model.tjm", model_path, sizeof model_path);
    name_in(daemon, "config.json", config_path, sizeof config_path);
    (void)snprintf(control, sizeof control, "ipc://%s/control", daemon->folder);
    (void)snprintf(frames, sizeof frames, tcp ? "tcp://127.0.0.1:*" : "ipc://%s/frames",
                   daemon->folder);
    (void)snprintf(intents, sizeof intents, tcp ? "tcp://127.0.0.1:*" : "ipc://%s/intents",
                   daemon->folder);
    if (write_config(config_path, error) || traj_model_save(model, model_path, error)) {
        return -1;
    }
    const char *arguments[] = {
        program,    "--model", model_path,  "--config", config ? config : config_path,
        "--frames", frames,    "--intents", intents,    "--control",
        control,    NULL};
    const pid_t parent = getpid();
    daemon->pid = fork();
    if (daemon->pid == 0) {
        become(program, (char *const *)(uintptr_t)arguments, parent);
    }
    if (daemon->pid < 0) {
        daemon->pid = 0;
        return traj_error_set(error, "cannot start %s: %s", program, strerror(errno));
    }
    int rc = traj_control_open_with(control, options_keys(), &daemon->control);
    if (rc != 0) {
        return traj_error_set(error, "%s: %s", control, strerror(-rc));
    }
    return wait_until_ready(daemon, error) ? -1 : read_addresses(daemon, error);
}

int bench_daemon_attach(struct bench_daemon *daemon, const char *frames, const char *intents,
                        const char *control, struct traj_error *error)
{
    *daemon = (struct bench_daemon){0};
    (void)snprintf(daemon->frames, sizeof daemon->frames, "%s", frames);
    (void)snprintf(daemon->intents, sizeof daemon->intents, "%s", intents);
    int rc = control ? traj_control_open_with(control, options_keys(), &daemon->control) : 0;
    return rc == 0 ? 0 : traj_error_set(error, "%s: %s", control, strerror(-rc));
}

json_t *bench_daemon_status(struct bench_daemon *daemon)
{
    const char *reply;
    if (!daemon->control ||
        traj_control_request(daemon->control, "{\"cmd\":\"status\"}", 10 * ASK_MS, &reply) != 0) {
        return NULL;
    }
    return json_loads(reply, 0, NULL);
}

bool bench_daemon_ended(struct bench_daemon *daemon, struct traj_error *error)
{
    int status;
    if (daemon->pid == 0 || waitpid(daemon->pid, &status, WNOHANG) != daemon->pid) {
        return false;
    }
    daemon->pid = 0;
    bool killed = WIFSIGNALED(status);
    traj_error_set(error, "trajd ended during the cell (%s %d)", killed ? "signal" : "status",
                   killed ? WTERMSIG(status) : WEXITSTATUS(status));
    return true;
}

double bench_daemon_cpu(const struct bench_daemon *daemon)
{
    clockid_t clock;
    struct timespec used;
    if (daemon->pid == 0 || clock_getcpuclockid(daemon->pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0) {
        return NAN;
    }
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

void bench_daemon_stop(struct bench_daemon *daemon)
{
    static const char *const files[] = {"model.tjm", "config.json", "frames", "intents", "control"};
    traj_control_close(&daemon->control);
    if (daemon->pid > 0) {
        double give_up = monotonic_seconds() + STOP_S;
        (void)kill(daemon->pid, SIGTERM);
        while (waitpid(daemon->pid, NULL, WNOHANG) == 0) {
            if (monotonic_seconds() > give_up) {
                (void)kill(daemon->pid, SIGKILL);
            }
            pause_ms(5);
        }
        daemon->pid = 0;
    }
    if (daemon->folder[0] != '\0') {
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            char path[128];
            name_in(daemon, files[i], path, sizeof path);
            (void)unlink(path);
        }
        (void)rmdir(daemon->folder);
        daemon->folder[0] = '\0';
    }
}
