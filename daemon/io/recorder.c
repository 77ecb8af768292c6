/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The recorder's thread and what it is told; see recorder.h.  The files are recorder_file.c's. */
#include "daemon/io/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/io/clock.h"
#include "daemon/io/recorder_file.h"

/*
 * The thread looks at the tape so often while nothing is on it.  It is never woken: waking it would
 * be a system call of the decode thread.
 */
#define IDLE_MS 5

#define TAPE_ALIGNMENT ((size_t)4096)

/* Whoever asks for the end of a recording waits so long for the disk. */
#define FINISH_S 10.0

struct traj_recorder {
    struct traj_record_config config;
    void *memory; /* the tape's, shared */
    size_t size;
    int tape_fd;
    char tape_path[128]; /* "" = memory of this process alone */
    struct traj_tape *tape;
    struct traj_recorder_file *file;
    pthread_t thread;
    bool started;

    /* What housekeeping and this thread tell each other. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;   /* a recording is to be written */
    bool finish; /* and comes to its end */
    bool quit;
    struct traj_recorder_state state;
};

/* --- the tape's memory ------------------------------------------------------------------------ */

/* A file of shared memory that is locked as long as this process lives; -1 if there can be none. */
static int open_shared(struct traj_recorder *self)
{
    (void)snprintf(self->tape_path, sizeof self->tape_path, "/dev/shm/trajd-%ld-%.0f.tape",
                   (long)getpid(), 1e6 * traj_clock_now());
    self->tape_fd = open(self->tape_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->tape_fd < 0) {
        self->tape_path[0] = '\0';
        return -1;
    }
    /* Allocated now: shared memory that ran out later would end the process by SIGBUS. */
    if (flock(self->tape_fd, LOCK_EX | LOCK_NB) != 0 ||
        posix_fallocate(self->tape_fd, 0, (off_t)self->size) != 0) {
        return -1;
    }
    self->memory = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, self->tape_fd, 0);
    if (self->memory == MAP_FAILED) {
        self->memory = NULL;
        return -1;
    }
    return 0;
}

static void close_tape(struct traj_recorder *self)
{
    if (self->tape_path[0] == '\0') {
        free(self->memory);
    } else {
        if (self->memory != NULL) {
            (void)munmap(self->memory, self->size);
        }
        (void)unlink(self->tape_path);
    }
    if (self->tape_fd >= 0) {
        (void)close(self->tape_fd);
    }
    self->memory = NULL;
    self->tape_fd = -1;
    self->tape_path[0] = '\0';
}

static int open_tape(struct traj_recorder *self, struct traj_log *log, struct traj_error *error)
{
    self->size = traj_tape_size((size_t)self->config.buffer_mb << 20);
    self->size = (self->size + TAPE_ALIGNMENT - 1) / TAPE_ALIGNMENT * TAPE_ALIGNMENT;
    if (open_shared(self) != 0) {
        close_tape(self);
        self->memory = aligned_alloc(TAPE_ALIGNMENT, self->size);
        if (self->memory == NULL) {
            return traj_error_set(error, "record: no memory for a buffer of %d MB",
                                  self->config.buffer_mb);
        }
        traj_log_write(log, TRAJ_LOG_WARNING,
                       "record: no shared memory in /dev/shm; what is in the buffer is lost if "
                       "the daemon is killed");
    }
    self->tape = traj_tape_init(self->memory, self->size, "");
    return self->tape != NULL ? 0 : traj_error_set(error, "record: no tape");
}

/* --- the thread ------------------------------------------------------------------------------- */

static void publish_state(struct traj_recorder *self)
{
    struct traj_recorder_state state;

    traj_recorder_file_state(self->file, &state);
    (void)pthread_mutex_lock(&self->lock);
    state.open = self->open;
    self->state = state;
    (void)pthread_mutex_unlock(&self->lock);
}

/* Waits for a recording to begin; false when the thread is to end instead. */
static bool wait_for_work(struct traj_recorder *self, bool *finish)
{
    bool quit;

    (void)pthread_mutex_lock(&self->lock);
    while (!self->open && !self->quit) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    *finish = self->finish || self->quit;
    quit = !self->open;
    (void)pthread_mutex_unlock(&self->lock);
    return !quit;
}

static void end_recording(struct traj_recorder *self)
{
    traj_recorder_file_close(self->file);
    publish_state(self);
    /* From here on the next recording may begin, and file and tape are not this thread's. */
    (void)pthread_mutex_lock(&self->lock);
    self->open = false;
    self->finish = false;
    (void)pthread_mutex_unlock(&self->lock);
}

static void *run(void *argument)
{
    struct traj_recorder *self = argument;
    bool finish;

    (void)prctl(PR_SET_NAME, "recorder");
    while (wait_for_work(self, &finish)) {
        bool moved = traj_recorder_file_take(self->file, self->tape, finish, traj_clock_now());

        publish_state(self);
        if (moved) {
            continue;
        }
        if (finish) {
            end_recording(self);
        } else {
            (void)poll(NULL, 0, IDLE_MS);
        }
    }
    return NULL;
}

/* --- from outside ----------------------------------------------------------------------------- */

static int start_thread(struct traj_recorder *self, struct traj_error *error)
{
    int rc = pthread_create(&self->thread, NULL, run, self);

    if (rc != 0) {
        return traj_error_set(error, "record: cannot start a thread: %s", strerror(rc));
    }
    self->started = true;
    return 0;
}

struct traj_recorder *traj_recorder_open(const struct traj_record_config *config,
                                         struct traj_log *log, struct traj_error *error)
{
    struct traj_recorder *self = calloc(1, sizeof *self);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->config = *config;
    self->tape_fd = -1;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    self->file = traj_recorder_file_open(config, error);
    if (self->file == NULL) {
        traj_recorder_close(&self);
        return NULL;
    }
    traj_recorder_file_mend(self->file, log);
    if (open_tape(self, log, error) != 0 || start_thread(self, error) != 0) {
        traj_recorder_close(&self);
    }
    return self;
}

struct traj_tape *traj_recorder_tape(struct traj_recorder *recorder)
{
    return recorder->tape;
}

int traj_recorder_begin(struct traj_recorder *recorder, const char *digest,
                        struct traj_error *error)
{
    struct traj_recorder_state state;
    bool open;

    (void)pthread_mutex_lock(&recorder->lock);
    open = recorder->open;
    (void)pthread_mutex_unlock(&recorder->lock);
    if (open) {
        return traj_error_set(error, "a recording is under way");
    }
    /* The thread waits, so that file and tape are this one's alone. */
    if (traj_recorder_file_begin(recorder->file, digest, error) != 0) {
        return -1;
    }
    recorder->tape =
        traj_tape_init(recorder->memory, recorder->size, traj_recorder_file_base(recorder->file));
    /* Whoever asks next is told of this file, not of the last recording's. */
    traj_recorder_file_state(recorder->file, &state);
    (void)pthread_mutex_lock(&recorder->lock);
    recorder->state = state;
    recorder->open = true;
    (void)pthread_cond_broadcast(&recorder->changed);
    (void)pthread_mutex_unlock(&recorder->lock);
    return 0;
}

int traj_recorder_finish(struct traj_recorder *recorder, struct traj_error *error)
{
    double give_up = traj_clock_now() + FINISH_S;
    bool open = true;

    (void)pthread_mutex_lock(&recorder->lock);
    recorder->finish = recorder->open;
    (void)pthread_mutex_unlock(&recorder->lock);
    while (open && traj_clock_now() < give_up) {
        (void)pthread_mutex_lock(&recorder->lock);
        open = recorder->open;
        (void)pthread_mutex_unlock(&recorder->lock);
        if (open) {
            (void)poll(NULL, 0, 1);
        }
    }
    return !open ? 0
                 : traj_error_set(error,
                                  "the disk has not taken the rest of the recording within "
                                  "%g s; it is still being written",
                                  FINISH_S);
}

void traj_recorder_state(struct traj_recorder *recorder, struct traj_recorder_state *state)
{
    (void)pthread_mutex_lock(&recorder->lock);
    *state = recorder->state;
    state->open = recorder->open;
    (void)pthread_mutex_unlock(&recorder->lock);
    state->waiting = traj_tape_waiting(recorder->tape);
    state->capacity = traj_tape_capacity(recorder->tape);
}

void traj_recorder_close(struct traj_recorder **recorder)
{
    struct traj_recorder *self = *recorder;

    if (self == NULL) {
        return;
    }
    if (self->started) {
        (void)pthread_mutex_lock(&self->lock);
        self->quit = true;
        (void)pthread_cond_broadcast(&self->changed);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
    }
    close_tape(self);
    traj_recorder_file_free(&self->file);
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
    *recorder = NULL;
}
