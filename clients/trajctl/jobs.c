/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units of work in child processes; see jobs.h. */
#include "clients/trajctl/jobs.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/evaluate/answer.h"
#include "clients/trajctl/output.h"
#include "traj/version.h"

#define PATH_SIZE 4096

/* A child at work on a unit; it writes its answer to a file without a name. */
struct child {
    pid_t pid; /* 0 = none */
    size_t unit;
    FILE *file;
    double began;
};

struct pool {
    struct traj_contest *bench;
    const struct jobs *jobs;
    struct child *child; /* [processes] */
    size_t next, done, reused, units;
    double began;
    double *seconds; /* [methods] spent on units of each method */
    double *count;   /* [methods] units that were worked on */
};

const char *jobs_program(char *out, size_t cap)
{
    unsigned char bytes[65536], digest[TRAJ_SHA256_SIZE];
    char hex[TRAJ_SHA256_HEX] = "";
    FILE *file = fopen("/proc/self/exe", "rb");
    if (file) {
        struct traj_sha256 sha;
        size_t got;
        traj_sha256_init(&sha);
        while ((got = fread(bytes, 1, sizeof bytes, file)) > 0) {
            traj_sha256_update(&sha, bytes, got);
        }
        traj_sha256_final(&sha, digest);
        traj_sha256_hex(digest, hex);
        fclose(file);
    }
    snprintf(out, cap, "%s %s", TRAJ_VERSION, hex);
    return out;
}

/* ---- the cache ------------------------------------------------------------------------------- */

static const char *cache_path(const struct pool *p, size_t unit, char *out)
{
    char hex[TRAJ_SHA256_HEX];
    traj_contest_key(p->bench, unit, hex);
    snprintf(out, PATH_SIZE, "%s/%s", p->jobs->cache, hex);
    return out;
}

/* Everything from the file's beginning; 0, or -1. */
static int read_all(FILE *file, struct traj_answer *answer)
{
    long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    *answer = (struct traj_answer){0};
    if (size <= 0 || fseek(file, 0, SEEK_SET)) {
        return -1;
    }
    answer->data = malloc((size_t)size);
    answer->size = (size_t)size;
    if (!answer->data || fread(answer->data, 1, answer->size, file) != answer->size ||
        !traj_answer_good(answer)) {
        free(answer->data);
        answer->data = NULL;
        return -1;
    }
    return 0;
}

static bool from_cache(const struct pool *p, size_t unit, struct traj_answer *answer)
{
    char path[PATH_SIZE];
    FILE *file = p->jobs->cache ? fopen(cache_path(p, unit, path), "rb") : NULL;
    if (!file) {
        return false;
    }
    int result = read_all(file, answer);
    fclose(file);
    return result == 0;
}

static int to_cache(const struct pool *p, size_t unit, const struct traj_answer *answer,
                    struct traj_error *error)
{
    char path[PATH_SIZE];
    struct output output;
    if (!p->jobs->cache || traj_answer_failed(answer)) {
        return 0;
    }
    if (output_open(&output, cache_path(p, unit, path), error)) {
        return -1;
    }
    if (fwrite(answer->data, 1, answer->size, output.file) != answer->size) {
        output_abandon(&output);
        return traj_error_set(error, "%s cannot be written", path);
    }
    return output_commit(&output, error);
}

/* ---- progress -------------------------------------------------------------------------------- */

/* Seconds that the rest will take, from what units of the same methods took; NaN before the first.
 */
static double seconds_left(const struct pool *p)
{
    double all = 0.0, worked = 0.0, left = 0.0;
    for (size_t m = 0; m < traj_methods(); m++) {
        all += p->seconds[m];
        worked += p->count[m];
    }
    for (size_t unit = p->next; unit < p->units; unit++) {
        size_t m = traj_contest_method(p->bench, unit);
        left += p->count[m] > 0.0 ? p->seconds[m] / p->count[m] : all / worked;
    }
    return left / (double)p->jobs->processes;
}

static void tell(const struct pool *p, size_t unit)
{
    char name[160], text[200];
    traj_contest_name(p->bench, unit, name, sizeof name);
    snprintf(text, sizeof text, "%s; all", name);
    p->jobs->progress->known_left = p->done < p->units ? seconds_left(p) : NAN;
    progress_update(p->jobs->progress, text, (double)p->done / (double)p->units);
}

/* ---- work ------------------------------------------------------------------------------------ */

static int take(struct pool *p, size_t unit, struct traj_answer *answer, bool fresh,
                struct traj_error *error)
{
    int result = fresh ? to_cache(p, unit, answer, error) : 0;
    if (result == 0) {
        result = traj_contest_take(p->bench, unit, answer, error);
    }
    free(answer->data);
    p->done++;
    p->reused += !fresh;
    tell(p, unit);
    return result;
}

static void account(struct pool *p, size_t unit, double began)
{
    size_t m = traj_contest_method(p->bench, unit);
    p->seconds[m] += monotonic_seconds() - began;
    p->count[m] += 1.0;
}

static int work_here(struct pool *p, size_t unit, struct traj_error *error)
{
    struct traj_answer answer = {0};
    double began = monotonic_seconds();
    if (traj_contest_work(p->bench, unit, &answer, error)) {
        return -1;
    }
    account(p, unit, began);
    return take(p, unit, &answer, true, error);
}

/* The child's whole life. */
static void work_as_child(const struct pool *p, const struct child *child)
{
    struct traj_answer answer = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would read the answer */
    bool good = traj_contest_work(p->bench, child->unit, &answer, NULL) == 0 &&
                fwrite(answer.data, 1, answer.size, child->file) == answer.size &&
                fflush(child->file) == 0;
    _exit(good ? 0 : 1);
}

static int start_child(struct pool *p, struct child *child, size_t unit, struct traj_error *error)
{
    child->unit = unit;
    child->began = monotonic_seconds();
    child->file = tmpfile();
    if (!child->file) {
        return traj_error_set(error, "no temporary file can be made: %s", strerror(errno));
    }
    fflush(NULL); /* or the child would write once more what waits in its copy */
    child->pid = fork();
    if (child->pid == 0) {
        work_as_child(p, child);
    }
    if (child->pid < 0) {
        fclose(child->file);
        child->pid = 0;
        return traj_error_set(error, "no process can be started: %s", strerror(errno));
    }
    return 0;
}

/* Waits for one child and takes its answer. */
static int end_child(struct pool *p, struct traj_error *error)
{
    int status;
    pid_t pid;
    do {
        pid = waitpid(-1, &status, 0);
    } while (pid < 0 && errno == EINTR);
    struct child *child = p->child;
    while (child < p->child + p->jobs->processes && child->pid != pid) {
        child++;
    }
    if (pid < 0 || child == p->child + p->jobs->processes) {
        return traj_error_set(error, "a process cannot be waited for: %s", strerror(errno));
    }
    struct traj_answer answer;
    int result = 0;
    if (read_all(child->file, &answer)) {
        char why[80];
        snprintf(why, sizeof why,
                 WIFSIGNALED(status) ? "its process died of signal %d"
                                     : "its process ended with status %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        result = traj_answer_make(&answer, NULL, NULL, why, error);
    }
    fclose(child->file);
    child->pid = 0;
    if (result == 0) {
        account(p, child->unit, child->began);
        result = take(p, child->unit, &answer, true, error);
    }
    return result;
}

static struct child *idle_child(struct pool *p)
{
    for (size_t i = 0; i < p->jobs->processes; i++) {
        if (p->child[i].pid == 0) {
            return &p->child[i];
        }
    }
    return NULL;
}

static bool busy(const struct pool *p)
{
    for (size_t i = 0; i < p->jobs->processes; i++) {
        if (p->child[i].pid != 0) {
            return true;
        }
    }
    return false;
}

static int run_units(struct pool *p, struct traj_error *error)
{
    int result = 0;
    while (result == 0 && p->next < p->units) {
        size_t unit = p->next++;
        struct traj_answer kept;
        if (from_cache(p, unit, &kept)) {
            result = take(p, unit, &kept, false, error);
        } else if (p->jobs->processes == 1) {
            result = work_here(p, unit, error);
        } else {
            struct child *child = idle_child(p);
            if (!child) {
                result = end_child(p, error);
                child = idle_child(p);
            }
            result = result ? result : start_child(p, child, unit, error);
        }
    }
    while (result == 0 && busy(p)) {
        result = end_child(p, error);
    }
    for (size_t i = 0; i < p->jobs->processes; i++) { /* after a failure nobody wants the rest */
        if (p->child[i].pid != 0) {
            (void)kill(p->child[i].pid, SIGTERM);
            (void)waitpid(p->child[i].pid, NULL, 0);
            fclose(p->child[i].file);
        }
    }
    return result;
}

int jobs_run(struct traj_contest *bench, const struct jobs *jobs, struct traj_error *error)
{
    struct pool p = {.bench = bench, .jobs = jobs, .units = traj_contest_units(bench)};
    if (jobs->cache && mkdir(jobs->cache, 0777) && errno != EEXIST) {
        return traj_error_set(error, "%s cannot be made: %s", jobs->cache, strerror(errno));
    }
    p.child = calloc(jobs->processes, sizeof *p.child);
    p.seconds = calloc(traj_methods(), sizeof *p.seconds);
    p.count = calloc(traj_methods(), sizeof *p.count);
    int result =
        p.child && p.seconds && p.count
            ? run_units(&p, error)
            : traj_error_set(error, "not enough memory for %zu processes", jobs->processes);
    free(p.child);
    free(p.seconds);
    free(p.count);
    return result;
}
