/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The models that the daemon holds; see models.h. */
#include "daemon/io/models.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/learn/retune.h"

/* The path from the root, or "" where it cannot be told; -1 with a sentence if memory is short. */
static int resolve(const char *path, char *full, size_t size, struct traj_error *error)
{
    char *whole = realpath(path, NULL);

    if (whole == NULL && errno == ENOMEM) {
        return traj_error_set(error, "%s: no memory for the whole of its name", path);
    }
    if (whole != NULL && strlen(whole) < size) {
        memcpy(full, whole, strlen(whole) + 1);
    }
    free(whole);
    return 0;
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
    if (loaded->model == NULL || resolve(path, loaded->full, sizeof loaded->full, error) != 0) {
        return -1;
    }
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

static void close_tables(struct traj_tables **tables)
{
    if (*tables != NULL) {
        traj_model_free((*tables)->model);
        free((*tables)->memory);
        free((*tables)->record);
        free((*tables)->coefficient);
        free(*tables);
        *tables = NULL;
    }
}

/* Another file runs: tables that were moved are of no more use, and nobody holds them. */
static void forget_tables(struct traj_models *models)
{
    close_tables(&models->tables);
    close_tables(&models->before);
    free(models->told);
    models->told = NULL;
    models->doubted = false;
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
    models->swaps++;
    forget_tables(models);
    return 0;
}

int traj_models_rollback(struct traj_models *models, struct traj_exchange *exchange,
                         struct traj_answer *answer, struct traj_error *error)
{
    struct traj_loaded *next = models->former;

    if (next == NULL) {
        return traj_error_set(error, "there is no former model to go back to");
    }
    /*
     * As if it had been loaded anew: what it knew of units when it ran last is forgotten too, and
     * the targets that it stood on; those in force now are told to it when it takes over.
     */
    (void)traj_decoder_targets(next->decoder, NULL, 0, NULL, NULL);
    traj_decoder_reset(next->decoder);
    traj_decoder_believe(next->decoder);
    if (put_in_place(next, TRAJ_RECORD_MODEL_ROLLBACK, NULL, exchange, answer, error) != 0) {
        return -1;
    }
    models->former = models->current;
    models->current = next;
    models->swaps++;
    forget_tables(models);
    return 0;
}

/* --- moved tables ----------------------------------------------------------------------------- */

const struct traj_model *traj_models_running(const struct traj_models *models)
{
    return models->tables != NULL && models->tables->model != NULL ? models->tables->model
                                                                   : models->current->model;
}

/* A decoder of this model, at its prior. */
static int open_decoder(struct traj_tables *tables, const struct traj_model *model,
                        struct traj_error *error)
{
    size_t size = traj_decoder_size(&model->dims);

    tables->memory = size > 0 ? calloc(1, size) : NULL;
    if (tables->memory == NULL ||
        traj_decoder_init(tables->memory, size, model, NULL, &tables->decoder) != TRAJ_OK) {
        return traj_error_set(error, "no memory for a decoder of %zu bytes", size);
    }
    return 0;
}

/* What a recording is to hold of tables; made anew when only the doubt changes. */
static int describe(struct traj_tables *tables, const struct traj_models *models, uint64_t until,
                    bool doubted, struct traj_error *error)
{
    const struct traj_model *base = models->current->model;
    struct traj_recorded_retune told = {.until = until, .doubted = doubted};
    size_t channels = base->dims.units + base->dims.features;

    memcpy(told.base, base->about.digest, sizeof told.base);
    memcpy(told.digest, (tables->model != NULL ? tables->model : base)->about.digest,
           sizeof told.digest);
    told.channels = tables->coefficient != NULL ? (uint32_t)channels : 0;
    told.columns = tables->coefficient != NULL ? (uint32_t)tables->columns : 0;
    tables->record_size = TRAJ_RECORDED_RETUNE((size_t)told.channels * told.columns);
    tables->record = malloc(tables->record_size);
    if (tables->record == NULL) {
        return traj_error_set(error, "out of memory");
    }
    (void)traj_recorded_put_retune(&told, tables->coefficient, tables->record);
    return 0;
}

static int fill_tables(struct traj_tables *tables, const struct traj_models *models,
                       const double *coefficient, size_t columns, uint64_t until,
                       struct traj_error *error)
{
    const struct traj_model *base = models->current->model;
    size_t count = (base->dims.units + base->dims.features) * columns;

    if (coefficient != NULL) {
        tables->model = traj_retune(base, coefficient, columns, error);
        if (tables->model == NULL) {
            return -1;
        }
        tables->columns = columns;
        tables->coefficient = malloc(count * sizeof *tables->coefficient);
        if (tables->coefficient == NULL) {
            return traj_error_set(error, "out of memory");
        }
        memcpy(tables->coefficient, coefficient, count * sizeof *coefficient);
    }
    return open_decoder(tables, tables->model != NULL ? tables->model : base, error) != 0
               ? -1
               : describe(tables, models, until, false, error);
}

/* Has the decode thread go on with these tables; those in force become the ones before. */
static int go_on(struct traj_models *models, struct traj_tables *next, enum traj_record_retune how,
                 struct traj_exchange *exchange, struct traj_answer *answer,
                 struct traj_error *error)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_RETUNE,
                                   .decoder = next->decoder,
                                   .body = (const char *)next->record,
                                   .size = next->record_size,
                                   .moved = how};

    if (traj_exchange_call(exchange, &command, answer) != 0) {
        close_tables(&next);
        return traj_error_set(error, "the daemon is ending");
    }
    if (answer->refusal != TRAJ_ACCEPTED) {
        close_tables(&next);
        return traj_error_set(error,
                              "%s: the tables of a model that is no filter over courses cannot "
                              "be moved",
                              models->current->path);
    }
    close_tables(&models->before);
    models->before = models->tables;
    models->tables = next;
    models->doubted = false;
    return 0;
}

int traj_models_retune(struct traj_models *models, const double *coefficient, size_t columns,
                       uint64_t until, enum traj_record_retune how, struct traj_exchange *exchange,
                       struct traj_answer *answer, struct traj_error *error)
{
    struct traj_tables *next = calloc(1, sizeof *next);

    if (next == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (fill_tables(next, models, coefficient, columns, until, error) != 0) {
        close_tables(&next);
        return -1;
    }
    return go_on(models, next, how, exchange, answer, error);
}

int traj_models_retune_back(struct traj_models *models, struct traj_exchange *exchange,
                            struct traj_answer *answer, struct traj_error *error)
{
    const struct traj_tables *before = models->before;

    if (models->tables == NULL) {
        return traj_error_set(error, "the model's tables are those of its file");
    }
    return traj_models_retune(models, before != NULL ? before->coefficient : NULL,
                              before != NULL ? before->columns : 0, 0, TRAJ_RECORD_RETUNE_BACK,
                              exchange, answer, error);
}

int traj_models_doubt(struct traj_models *models, bool doubted, struct traj_exchange *exchange,
                      struct traj_answer *answer, struct traj_error *error)
{
    struct traj_tables none = {NULL, NULL, NULL, NULL, 0, NULL, 0};
    struct traj_tables *tables = models->tables != NULL ? models->tables : &none;
    unsigned char *former = tables->record;
    struct traj_command command = {
        .kind = TRAJ_COMMAND_RETUNE, .on = doubted, .moved = TRAJ_RECORD_RETUNE_DOUBT};

    if (describe(tables, models, 0, doubted, error) != 0) {
        tables->record = former;
        return -1;
    }
    command.body = (const char *)tables->record;
    command.size = tables->record_size;
    if (traj_exchange_call(exchange, &command, answer) != 0) {
        free(tables->record);
        tables->record = former;
        return traj_error_set(error, "the daemon is ending");
    }
    models->doubted = doubted;
    /* The journal has let go of what it held. */
    free(former);
    if (tables == &none) {
        free(models->told);
        models->told = none.record;
    }
    return 0;
}

void traj_models_close(struct traj_models *models)
{
    forget_tables(models);
    traj_loaded_close(&models->current);
    traj_loaded_close(&models->former);
}
