/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The models that the daemon holds; see models.h. */
#include "daemon/io/models.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"

/* The path from the root, or "". */
static void resolve(const char *path, char *full, size_t size)
{
    char *whole = realpath(path, NULL);

    if (whole != NULL && strlen(whole) < size) {
        memcpy(full, whole, strlen(whole) + 1);
    }
    free(whole);
}

/* Loads the file and lays the decoder out; -1 with a sentence. */
static int fill(struct traj_loaded *loaded, const char *path, struct traj_error *error)
{
    enum traj_status status;
    size_t size;

    if (strlen(path) >= sizeof loaded->path) {
        return traj_error_set(error, "the model's path is too long");
    }
    memcpy(loaded->path, path, strlen(path) + 1);
    loaded->model = traj_model_load(path, error);
    if (loaded->model == NULL) {
        return -1;
    }
    resolve(path, loaded->full, sizeof loaded->full);
    size = traj_decoder_size(&loaded->model->dims);
    loaded->memory = size > 0 ? calloc(1, size) : NULL;
    if (loaded->memory == NULL) {
        return traj_error_set(error, "%s: no memory for a decoder of %zu bytes", path, size);
    }
    status = traj_decoder_init(loaded->memory, size, loaded->model, NULL, &loaded->decoder);
    if (status != TRAJ_OK) {
        return traj_error_set(error, "%s: %s", path, traj_status_text(status));
    }
    return 0;
}

struct traj_loaded *traj_loaded_open(const char *path, struct traj_error *error)
{
    struct traj_loaded *loaded = calloc(1, sizeof *loaded);

    if (loaded == NULL) {
        (void)traj_error_set(error, "out of memory");
    } else if (fill(loaded, path, error) != 0) {
        traj_loaded_close(&loaded);
    }
    return loaded;
}

void traj_loaded_close(struct traj_loaded **loaded)
{
    if (*loaded != NULL) {
        traj_model_free((*loaded)->model);
        free((*loaded)->memory);
        free(*loaded);
        *loaded = NULL;
    }
}

/* Has the decode thread use a decoder; -1 with a sentence if it has ended. */
static int put_in_place(struct traj_loaded *next, enum traj_record_model how,
                        const struct traj_config *config, struct traj_exchange *exchange,
                        struct traj_answer *answer, struct traj_error *error)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_APPLY,
                                   .config = config,
                                   .decoder = next->decoder,
                                   .path = next->full,
                                   .how = how};

    if (traj_exchange_call(exchange, &command, answer) != 0) {
        return traj_error_set(error, "the daemon is ending");
    }
    return 0;
}

int traj_models_swap(struct traj_models *models, struct traj_loaded *next,
                     const struct traj_config *config, struct traj_exchange *exchange,
                     struct traj_answer *answer, struct traj_error *error)
{
    enum traj_record_model how =
        config != NULL ? TRAJ_RECORD_MODEL_RELOAD : TRAJ_RECORD_MODEL_LOADED;

    if (put_in_place(next, how, config, exchange, answer, error) != 0) {
        traj_loaded_close(&next);
        return -1;
    }
    traj_loaded_close(&models->former);
    models->former = models->current;
    models->current = next;
    return 0;
}

int traj_models_rollback(struct traj_models *models, struct traj_exchange *exchange,
                         struct traj_answer *answer, struct traj_error *error)
{
    struct traj_loaded *next = models->former;

    if (next == NULL) {
        return traj_error_set(error, "there is no former model to go back to");
    }
    traj_decoder_reset(next->decoder);
    if (put_in_place(next, TRAJ_RECORD_MODEL_ROLLBACK, NULL, exchange, answer, error) != 0) {
        return -1;
    }
    models->former = models->current;
    models->current = next;
    return 0;
}

void traj_models_close(struct traj_models *models)
{
    traj_loaded_close(&models->current);
    traj_loaded_close(&models->former);
}
