/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The models that the daemon holds: the one that runs and the one before it, kept for rollback.
 * All memory for a model and its decoder is got here, outside the decode thread, before anything is
 * swapped.
 */
#ifndef TRAJ_IO_MODELS_H
#define TRAJ_IO_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/config.h"
#include "daemon/io/exchange.h"
#include "daemon/learn/error.h"
#include "traj/decoder.h"

struct traj_loaded {
    struct traj_model *model;
    void *memory; /* the decoder's */
    struct traj_decoder *decoder;
    char path[TRAJ_PATH_SIZE]; /* as it was named */
    char full[TRAJ_PATH_SIZE]; /* the same from the root; "" where it cannot be told */
};

/* Loads and checks a model file and lays out its decoder, at its prior.  NULL with a sentence. */
struct traj_loaded *traj_loaded_open(const char *path, struct traj_error *error);
void traj_loaded_close(struct traj_loaded **loaded);

/* The current model with moved tables (daemon/learn/retune.h). */
struct traj_tables {
    struct traj_model *model; /* NULL = those of the file, which the loaded decoder has */
    void *memory;             /* the decoder's */
    struct traj_decoder *decoder;
    unsigned char *record; /* what a recording holds of it */
    size_t record_size;
    double *coefficient; /* [channels][columns]; NULL = none */
    size_t columns;
};

struct traj_models {
    struct traj_loaded *current;
    struct traj_loaded *former; /* NULL before the first load */
    uint64_t swaps;             /* and rollbacks, each of which makes something of current anew */
    struct traj_tables *tables; /* in force; NULL = those of the current file */
    struct traj_tables *before; /* that a request brings back; likewise */
    bool doubted;               /* intents say so */
    unsigned char *told;        /* what a recording holds of that, where no tables were moved */
};

/* The model that runs: the current one, or what was made of it. */
const struct traj_model *traj_models_running(const struct traj_models *models);

/*
 * Swaps `next` in between two frames, with a new configuration if config is not NULL; takes it
 * over, and what was the former is freed.  0, or -1 with a sentence, and then next is freed and
 * nothing has changed.
 */
int traj_models_swap(struct traj_models *models, struct traj_loaded *next,
                     const struct traj_config *config, struct traj_exchange *exchange,
                     struct traj_answer *answer, struct traj_error *error);

/* Exchanges current and former; the former starts at its prior. 0, or -1 with a sentence. */
int traj_models_rollback(struct traj_models *models, struct traj_exchange *exchange,
                         struct traj_answer *answer, struct traj_error *error);

/*
 * Moves the current model's tables by coefficient[channels][columns], NULL = back to those of the
 * file, between two frames, and nothing begins anew; until: frames that it rests on.  Those that
 * were in force are kept for traj_models_retune_back.  0, or -1 with a sentence, and then nothing
 * has changed.
 */
int traj_models_retune(struct traj_models *models, const double *coefficient, size_t columns,
                       uint64_t until, enum traj_record_retune how, struct traj_exchange *exchange,
                       struct traj_answer *answer, struct traj_error *error);

/* Back to the tables before; a second time it brings back those. */
int traj_models_retune_back(struct traj_models *models, struct traj_exchange *exchange,
                            struct traj_answer *answer, struct traj_error *error);

/* Whether intents say that the tables in force are doubted. */
int traj_models_doubt(struct traj_models *models, bool doubted, struct traj_exchange *exchange,
                      struct traj_answer *answer, struct traj_error *error);

void traj_models_close(struct traj_models *models);

#endif
