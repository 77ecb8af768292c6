/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two threads have between them; see exchange.h. */
#include "daemon/io/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/core/ring.h"
#include "daemon/core/snapshot.h"

/* One command is under way at a time; notes pile up while housekeeping loads a model. */
#define COMMANDS 2
#define NOTES 1024

/* Messages that wait to be published: those of some hundred frames. */
#define LEFT_BYTES ((size_t)1 << 21)
#define TAPE_ALIGNMENT ((size_t)4096)
#define TOPIC_MAX ((size_t)32)

/* A reader that is overtaken so often waits a moment before it tries again. */
#define STATE_TRIES 64

struct traj_exchange {
    void *command_memory, *answer_memory, *note_memory, *state_memory, *left_memory;
    struct traj_ring *commands;
    struct traj_ring *answers;
    struct traj_ring *notes;
    struct traj_snapshot *state;
    struct traj_tape *left; /* messages to be published: a topic, padded with NUL, and a body */
    uint64_t given;         /* decode side: how far it has been read */
    struct traj_stages stages;
    int command_fd, answer_fd, note_fd;
    atomic_bool reload; /* asked for and not yet seen */
    atomic_bool ended;
    bool noted; /* decode side: notes were left since housekeeping was last woken */
};

static int new_ring(size_t record, size_t capacity, void **memory, struct traj_ring **ring)
{
    size_t size = traj_ring_size(record, capacity);

    *memory = size > 0 ? calloc(1, size) : NULL;
    *ring = *memory != NULL ? traj_ring_init(*memory, size, record, capacity) : NULL;
    return *ring != NULL ? 0 : -1;
}

static int new_tape(size_t room, void **memory, struct traj_tape **tape)
{
    size_t size = (traj_tape_size(room) + TAPE_ALIGNMENT - 1) / TAPE_ALIGNMENT * TAPE_ALIGNMENT;

    *memory = aligned_alloc(TAPE_ALIGNMENT, size);
    *tape = *memory != NULL ? traj_tape_init(*memory, size, "") : NULL;
    return *tape != NULL ? 0 : -1;
}

/* -1 if memory or descriptors are short. */
static int open_parts(struct traj_exchange *self)
{
    size_t size = traj_snapshot_size(sizeof(struct traj_state));

    self->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->note_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->command_fd < 0 || self->answer_fd < 0 || self->note_fd < 0) {
        return -1;
    }
    if (new_ring(sizeof(struct traj_command), COMMANDS, &self->command_memory, &self->commands) ||
        new_ring(sizeof(struct traj_answer), COMMANDS, &self->answer_memory, &self->answers) ||
        new_ring(sizeof(struct traj_note), NOTES, &self->note_memory, &self->notes) ||
        new_tape(LEFT_BYTES, &self->left_memory, &self->left)) {
        return -1;
    }
    self->state_memory = calloc(1, size);
    self->state = traj_snapshot_init(self->state_memory, size, sizeof(struct traj_state));
    return self->state != NULL ? 0 : -1;
}

struct traj_exchange *traj_exchange_open(struct traj_error *error)
{
    struct traj_exchange *self = calloc(1, sizeof *self);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->command_fd = self->answer_fd = self->note_fd = -1;
    atomic_init(&self->reload, false);
    atomic_init(&self->ended, false);
    traj_stages_init(&self->stages);
    if (open_parts(self) != 0) {
        (void)traj_error_set(error, "cannot set up the threads' exchange: %s", strerror(errno));
        traj_exchange_close(&self);
    }
    return self;
}

void traj_exchange_close(struct traj_exchange **exchange)
{
    struct traj_exchange *self = *exchange;

    if (self == NULL) {
        return;
    }
    if (self->command_fd >= 0) {
        (void)close(self->command_fd);
    }
    if (self->answer_fd >= 0) {
        (void)close(self->answer_fd);
    }
    if (self->note_fd >= 0) {
        (void)close(self->note_fd);
    }
    free(self->command_memory);
    free(self->answer_memory);
    free(self->note_memory);
    free(self->state_memory);
    free(self->left_memory);
    free(self);
    *exchange = NULL;
}

struct traj_stages *traj_exchange_stages(struct traj_exchange *exchange)
{
    return &exchange->stages;
}

static void ring_bell(int fd)
{
    const uint64_t one = 1;

    /* It can only fail when the counter is full, and then the other side will wake anyhow. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void clear_bell(int fd)
{
    uint64_t rings;

    while (read(fd, &rings, sizeof rings) < 0 && errno == EINTR) {
    }
}

/* --- housekeeping side ------------------------------------------------------------------------ */

int traj_exchange_call(struct traj_exchange *exchange, const struct traj_command *command,
                       struct traj_answer *answer)
{
    if (!traj_ring_push(exchange->commands, command)) {
        return -1;
    }
    ring_bell(exchange->command_fd);
    for (;;) {
        struct pollfd item = {.fd = exchange->answer_fd, .events = POLLIN};
        bool ended = traj_exchange_ended(exchange);

        /* In this order: an answer that was given before the end counts. */
        if (traj_ring_pop(exchange->answers, answer)) {
            return 0;
        }
        if (ended) {
            return -1;
        }
        (void)poll(&item, 1, -1);
        clear_bell(exchange->answer_fd);
    }
}

bool traj_exchange_leave(struct traj_exchange *exchange, const char *topic, const char *body,
                         size_t size)
{
    char *place = traj_tape_reserve(exchange->left, TOPIC_MAX + size);
    size_t length = strnlen(topic, TOPIC_MAX - 1);

    if (place == NULL) {
        return false;
    }
    memset(place, 0, TOPIC_MAX);
    memcpy(place, topic, length);
    memcpy(place + TOPIC_MAX, body, size);
    traj_tape_commit(exchange->left, TOPIC_MAX + size);
    ring_bell(exchange->command_fd);
    return true;
}

int traj_exchange_note_fd(const struct traj_exchange *exchange)
{
    return exchange->note_fd;
}

void traj_exchange_note_clear(struct traj_exchange *exchange)
{
    clear_bell(exchange->note_fd);
}

bool traj_exchange_next_note(struct traj_exchange *exchange, struct traj_note *note)
{
    return traj_ring_pop(exchange->notes, note);
}

bool traj_exchange_reload_asked(struct traj_exchange *exchange)
{
    return atomic_exchange_explicit(&exchange->reload, false, memory_order_acquire);
}

bool traj_exchange_ended(const struct traj_exchange *exchange)
{
    return atomic_load_explicit(&exchange->ended, memory_order_acquire);
}

void traj_exchange_state(struct traj_exchange *exchange, struct traj_state *state)
{
    while (!traj_snapshot_read(exchange->state, state, STATE_TRIES)) {
        (void)poll(NULL, 0, 1);
    }
}

/* --- decode side ----------------------------------------------------------------------------- */

int traj_exchange_command_fd(const struct traj_exchange *exchange)
{
    return exchange->command_fd;
}

void traj_exchange_command_clear(struct traj_exchange *exchange)
{
    clear_bell(exchange->command_fd);
}

bool traj_exchange_next_command(struct traj_exchange *exchange, struct traj_command *command)
{
    return traj_ring_pop(exchange->commands, command);
}

void traj_exchange_answer(struct traj_exchange *exchange, const struct traj_answer *answer)
{
    /* There is room: at most one command is under way. */
    (void)traj_ring_push(exchange->answers, answer);
    ring_bell(exchange->answer_fd);
}

const char *traj_exchange_left(struct traj_exchange *exchange, const char **body, size_t *size)
{
    const char *message;

    /* What was given the last time is done with. */
    traj_tape_release(exchange->left, exchange->given);
    message = traj_tape_read(exchange->left, &exchange->given, size);
    if (message == NULL) {
        return NULL;
    }
    *body = message + TOPIC_MAX;
    *size -= TOPIC_MAX;
    return message;
}

void traj_exchange_reload(struct traj_exchange *exchange)
{
    exchange->noted = true;
    atomic_store_explicit(&exchange->reload, true, memory_order_release);
}

void traj_exchange_stir(struct traj_exchange *exchange)
{
    exchange->noted = true;
}

bool traj_exchange_note(struct traj_exchange *exchange, const struct traj_note *note)
{
    exchange->noted = true;
    return traj_ring_push(exchange->notes, note);
}

void traj_exchange_wake(struct traj_exchange *exchange)
{
    if (exchange->noted) {
        exchange->noted = false;
        ring_bell(exchange->note_fd);
    }
}

void traj_exchange_publish(struct traj_exchange *exchange, const struct traj_state *state)
{
    traj_snapshot_write(exchange->state, state);
}

void traj_exchange_end(struct traj_exchange *exchange)
{
    atomic_store_explicit(&exchange->ended, true, memory_order_release);
    ring_bell(exchange->answer_fd);
    ring_bell(exchange->note_fd);
}
