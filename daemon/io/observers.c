/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Those who look on; see observers.h. */
#include "daemon/io/observers.h"

#include <stdlib.h>
#include <string.h>

#include "proto/recording.h"

#define TAPE_BYTES ((size_t)16 << 20) /* half a minute of a thousand frames a second */
#define TAPE_ALIGNMENT ((size_t)4096)

/* Records in one turn, so that requests do not wait for long. */
#define RECORDS_AT_ONCE 256

int traj_observers_prepare(struct traj_observers *observers, struct traj_error *error)
{
    size_t size = traj_tape_size(TAPE_BYTES);

    size = (size + TAPE_ALIGNMENT - 1) / TAPE_ALIGNMENT * TAPE_ALIGNMENT;
    if (observers->memory == NULL) {
        observers->memory = aligned_alloc(TAPE_ALIGNMENT, size);
    }
    observers->tape =
        observers->memory != NULL ? traj_tape_init(observers->memory, size, "") : NULL;
    return observers->tape != NULL ? 0 : traj_error_set(error, "no memory to look on");
}

void traj_observers_close(struct traj_observers *observers)
{
    traj_shadow_close(&observers->shadow);
    free(observers->memory);
    observers->memory = NULL;
}

static int observe(struct traj_observers *observers, bool on, struct traj_exchange *exchange,
                   struct traj_answer *answer, struct traj_error *error)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};

    if (on != observers->on) {
        /* Nobody writes on the tape now, so that it may be laid out anew. */
        if (on && traj_observers_prepare(observers, error) != 0) {
            return -1;
        }
        command.kind = TRAJ_COMMAND_OBSERVE;
        command.tape = on ? observers->tape : NULL;
    }
    if (traj_exchange_call(exchange, &command, answer) != 0) {
        return traj_error_set(error, "the daemon is ending");
    }
    observers->on = on;
    return 0;
}

/* --- the shadow ------------------------------------------------------------------------------- */

/* Tells a shadow that begins in the midst what is in force. */
static int brief(const struct traj_observers *observers, struct traj_shadow *shadow,
                 struct traj_exchange *exchange, struct traj_error *error)
{
    const struct traj_record *known[] = {&observers->settings, &observers->pause};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i]->kind != 0 && traj_shadow_take(shadow, known[i], exchange, error) != 0) {
            return -1;
        }
    }
    return 0;
}

int traj_observers_shadow(struct traj_observers *observers, const char *path,
                          struct traj_exchange *exchange, struct traj_answer *answer,
                          struct traj_error *error)
{
    struct traj_shadow *shadow = path != NULL ? traj_shadow_open(path, error) : NULL;
    bool on = shadow != NULL;

    if ((path != NULL && shadow == NULL) ||
        (shadow != NULL && observers->on && brief(observers, shadow, exchange, error) != 0) ||
        observe(observers, on, exchange, answer, error) != 0) {
        traj_shadow_close(&shadow);
        return -1;
    }
    traj_shadow_close(&observers->shadow);
    observers->shadow = shadow;
    return 0;
}

static void show_shadow(struct traj_observers *observers, const struct traj_record *record,
                        struct traj_exchange *exchange, struct traj_log *log)
{
    struct traj_error error = {{0}};

    if (observers->shadow != NULL &&
        traj_shadow_take(observers->shadow, record, exchange, &error) != 0) {
        traj_log_write(log, TRAJ_LOG_ERROR, "the shadow ends: %s", error.text);
        traj_shadow_close(&observers->shadow);
    }
}

/* --- the tape --------------------------------------------------------------------------------- */

static void note_in_force(struct traj_observers *observers, const struct traj_record *record)
{
    struct traj_recorded_loss loss;

    if (record->kind == TRAJ_RECORD_SETTINGS && record->size <= sizeof observers->settings_bytes) {
        memcpy(observers->settings_bytes, record->payload, record->size);
        observers->settings = *record;
        observers->settings.payload = observers->settings_bytes;
    } else if (record->kind == TRAJ_RECORD_PAUSE) {
        observers->pause = *record;
        observers->pause.payload = NULL;
    } else if (record->kind == TRAJ_RECORD_LOST && traj_recorded_loss(record, &loss)) {
        observers->lost += loss.records;
    }
}

bool traj_observers_work(struct traj_observers *observers, struct traj_exchange *exchange,
                         struct traj_log *log)
{
    if (!observers->on) {
        return false;
    }
    for (int i = 0; i < RECORDS_AT_ONCE; i++) {
        uint64_t at = traj_tape_begin(observers->tape);
        struct traj_record record;
        size_t size;
        const void *bytes = traj_tape_read(observers->tape, &at, &size);

        if (bytes == NULL) {
            return false;
        }
        if (traj_record_view(bytes, size, &record)) {
            note_in_force(observers, &record);
            show_shadow(observers, &record, exchange, log);
        }
        traj_tape_release(observers->tape, at);
    }
    return true;
}
