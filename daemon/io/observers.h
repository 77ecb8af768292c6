/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Those who look on while the decode thread decodes: the shadow and recalibration.  The decode
 * thread puts what goes into its pipeline and comes out of it on a tape in memory, as it does for
 * the recorder; the housekeeping thread reads it after the intent has left, so that nobody who
 * looks on ever delays one.  Where they are slower than the frames for long, records are lost and
 * told.
 */
#ifndef TRAJ_IO_OBSERVERS_H
#define TRAJ_IO_OBSERVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/tape.h"
#include "daemon/io/exchange.h"
#include "daemon/io/log.h"
#include "daemon/io/models.h"
#include "daemon/io/shadow.h"
#include "daemon/learn/error.h"
#include "daemon/learn/recalibrate.h"

struct traj_observers {
    void *memory; /* the tape's; NULL until somebody looks on */
    struct traj_tape *tape;
    bool on;
    uint64_t lost; /* records that found no room */
    /* In force, for whoever begins to look on; payload leads into the bytes beside it. */
    struct traj_record settings, pause;
    unsigned char settings_bytes[TRAJ_RECORDED_SETTINGS_MAX];
    struct traj_shadow *shadow;             /* NULL = none */
    struct traj_recalibrator *recalibrator; /* NULL = off */
    const struct traj_model *base;          /* that it recalibrates */
    uint64_t swaps;                         /* of the models, when that became the current one */
    bool awaits; /* its model runs from a record on that has not come yet */
};

/*
 * Gets the tape's memory; before the decode thread runs it is handed the tape itself
 * (traj_decode_loop_observe).  0, or -1 with a sentence.
 */
int traj_observers_prepare(struct traj_observers *observers, struct traj_error *error);
void traj_observers_close(struct traj_observers *observers);

/* From now on (housekeeping's thread): a shadow of this model file, or none where path is NULL.
 * *answer tells the frame.  0, or -1 with a sentence, and then nothing has changed. */
int traj_observers_shadow(struct traj_observers *observers, const char *path,
                          struct traj_exchange *exchange, struct traj_answer *answer,
                          struct traj_error *error);

/*
 * Recalibration of the current model by these options, from here on; NULL = none, and the tables
 * are those of the file again.  *answer tells the frame.  0, or -1 with a sentence.
 */
int traj_observers_recalibrate(struct traj_observers *observers,
                               const struct traj_recalibrate_options *options,
                               struct traj_models *models, struct traj_exchange *exchange,
                               struct traj_answer *answer, struct traj_error *error);

/* Works off what is on the tape, or a part of it: then true, and the rest is for the next turn. */
bool traj_observers_work(struct traj_observers *observers, struct traj_models *models,
                         struct traj_exchange *exchange, struct traj_log *log);

#endif
