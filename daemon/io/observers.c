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
    traj_recalibrator_free(observers->recalibrator);
    observers->recalibrator = NULL;
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
    bool on = shadow != NULL || observers->recalibrator != NULL;

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

/* --- recalibration ---------------------------------------------------------------------------- */

int traj_observers_recalibrate(struct traj_observers *observers,
                               const struct traj_recalibrate_options *options,
                               struct traj_models *models, struct traj_exchange *exchange,
                               struct traj_answer *answer, struct traj_error *error)
{
    const struct traj_model *base = models->current->model;
    struct traj_recalibrator *recalibrator =
        options != NULL ? traj_recalibrator_new(base, options, error) : NULL;

    if (options != NULL && recalibrator == NULL) {
        return -1;
    }
    /* It begins with the tables of the file, and so does what runs. */
    if ((models->tables != NULL && traj_models_retune(models, NULL, 0, 0, TRAJ_RECORD_RETUNE_BACK,
                                                      exchange, answer, error) != 0) ||
        observe(observers, recalibrator != NULL || observers->shadow != NULL, exchange, answer,
                error) != 0) {
        traj_recalibrator_free(recalibrator);
        return -1;
    }
    traj_recalibrator_free(observers->recalibrator);
    observers->recalibrator = recalibrator;
    observers->base = base;
    observers->swaps = models->swaps;
    observers->awaits = false;
    return 0;
}

static void end_recalibration(struct traj_observers *observers, const struct traj_error *error,
                              struct traj_log *log)
{
    traj_log_write(log, TRAJ_LOG_ERROR, "recalibration ends: %s", error->text);
    traj_recalibrator_free(observers->recalibrator);
    observers->recalibrator = NULL;
}

/*
 * Another model runs, or is about to: it is recalibrated from where it does.  So is one that has
 * gone and come back meanwhile, for its tables are those of its file again.
 */
static void follow_model(struct traj_observers *observers, const struct traj_models *models,
                         struct traj_log *log)
{
    const struct traj_model *base = models->current->model;
    struct traj_recalibrate_options options;
    struct traj_error error = {{0}};

    if (observers->recalibrator == NULL || observers->swaps == models->swaps) {
        return;
    }
    options = *traj_recalibrator_options(observers->recalibrator);
    traj_recalibrator_free(observers->recalibrator);
    observers->recalibrator = traj_recalibrator_new(base, &options, &error);
    observers->base = base;
    observers->swaps = models->swaps;
    observers->awaits = true;
    if (observers->recalibrator == NULL) {
        end_recalibration(observers, &error, log);
    }
}

/* Does what recalibration asks for. */
static int obey(struct traj_observers *observers, enum traj_recalibrate_order order,
                struct traj_models *models, struct traj_exchange *exchange, struct traj_log *log,
                struct traj_error *error)
{
    struct traj_recalibrate_state state;
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED};
    const double *wanted;
    size_t columns;
    uint64_t until;
    int rc = 0;

    traj_recalibrator_state(observers->recalibrator, &state);
    wanted = traj_recalibrator_wanted(observers->recalibrator, &columns, &until);
    if (order == TRAJ_RECALIBRATE_UPDATE) {
        rc = traj_models_retune(models, wanted, columns, until, TRAJ_RECORD_RETUNE_UPDATED,
                                exchange, &answer, error);
    } else if (order == TRAJ_RECALIBRATE_UNDO) {
        rc = traj_models_retune(models, NULL, 0, 0, TRAJ_RECORD_RETUNE_UNDONE, exchange, &answer,
                                error);
    } else if (order == TRAJ_RECALIBRATE_DOUBT) {
        rc = traj_models_doubt(models, state.doubted, exchange, &answer, error);
    }
    if (rc != 0 || order == TRAJ_RECALIBRATE_NOTHING) {
        return rc;
    }
    traj_log_write(log, order == TRAJ_RECALIBRATE_UPDATE ? TRAJ_LOG_INFO : TRAJ_LOG_WARNING,
                   "%s from frame %llu on (%.12s); candidate %.1f, loaded model %.1f standard "
                   "errors better",
                   order == TRAJ_RECALIBRATE_UPDATE ? "recalibrated"
                   : order == TRAJ_RECALIBRATE_UNDO ? "recalibration undone"
                   : state.doubted                  ? "the running model is doubted"
                                                    : "the running model is not doubted any more",
                   (unsigned long long)answer.frame, traj_models_running(models)->about.digest,
                   state.candidate, state.loaded);
    return 0;
}

/* Whether the record is one of those that the model in question has decoded. */
static bool is_its(struct traj_observers *observers, const struct traj_record *record)
{
    struct traj_recorded_model model;

    if (observers->awaits && traj_recorded_model(record, &model)) {
        observers->awaits = strcmp(model.digest, observers->base->about.digest) != 0;
    }
    return !observers->awaits;
}

static void recalibrate(struct traj_observers *observers, const struct traj_record *record,
                        struct traj_models *models, struct traj_exchange *exchange,
                        struct traj_log *log)
{
    enum traj_recalibrate_order order;
    struct traj_error error = {{0}};

    if (observers->recalibrator == NULL || !is_its(observers, record)) {
        return;
    }
    if (traj_recalibrator_take(observers->recalibrator, record, &order, &error) != 0 ||
        obey(observers, order, models, exchange, log, &error) != 0) {
        end_recalibration(observers, &error, log);
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

bool traj_observers_work(struct traj_observers *observers, struct traj_models *models,
                         struct traj_exchange *exchange, struct traj_log *log)
{
    if (!observers->on) {
        return false;
    }
    follow_model(observers, models, log);
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
            recalibrate(observers, &record, models, exchange, log);
        }
        traj_tape_release(observers->tape, at);
    }
    return true;
}
