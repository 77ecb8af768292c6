/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoder that writes down what it is told; see spy_decoder.h. */
#include "tests/common/spy_decoder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void note(struct traj_decoder *spy, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct traj_decoder *spy, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof spy->log - spy->length;
    int length = vsnprintf(spy->log + spy->length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        spy->length += (size_t)length;
}

void spy_init(struct traj_decoder *spy, const struct traj_model *model)
{
    memset(spy, 0, sizeof *spy);
    spy->model = model;
    for (size_t m = 0; m < model->dims.targets; m++)
        spy->target_prob[m] = 0.9 / (double)model->dims.targets;
    for (size_t d = 0; d < model->dims.position; d++) {
        spy->position[d] = 1 + (double)d;
        spy->velocity[d] = 3 + (double)d;
        spy->position_cov[d * model->dims.position + d] = 1;
        spy->velocity_cov[d * model->dims.position + d] = 1;
    }
    spy->estimate = (struct traj_estimate){.position = spy->position,
                                           .position_cov = spy->position_cov,
                                           .velocity = spy->velocity,
                                           .velocity_cov = spy->velocity_cov,
                                           .target_prob = spy->target_prob,
                                           .free_prob = 0.1,
                                           .log_evidence = -2.5,
                                           .progress = (double)NAN,
                                           .eta = (double)NAN};
}

const char *spy_take(struct traj_decoder *spy)
{
    static char taken[sizeof spy->log];
    memcpy(taken, spy->log, spy->length);
    taken[spy->length] = '\0';
    if (spy->length > 0)
        taken[spy->length - 1] = '\0'; /* the last blank */
    spy->length = 0;
    return taken;
}

const struct traj_model *traj_decoder_model(const struct traj_decoder *decoder)
{
    return decoder->model;
}

void traj_decoder_reset(struct traj_decoder *decoder)
{
    note(decoder, "reset ");
}

void traj_decoder_believe(struct traj_decoder *decoder)
{
    note(decoder, "believe ");
}

enum traj_status traj_decoder_adopt(struct traj_decoder *decoder, const struct traj_decoder *from)
{
    (void)from;
    note(decoder, "adopt ");
    return TRAJ_OK;
}

void traj_decoder_marks(struct traj_decoder *decoder, bool marks)
{
    note(decoder, "marks%d ", marks);
}

void traj_decoder_trial_start(struct traj_decoder *decoder)
{
    note(decoder, "start ");
}

void traj_decoder_go(struct traj_decoder *decoder)
{
    note(decoder, "go ");
}

void traj_decoder_trial_stop(struct traj_decoder *decoder)
{
    note(decoder, "stop ");
}

enum traj_status traj_decoder_target_prior(struct traj_decoder *decoder, const double *prob)
{
    note(decoder, "prior ");
    memcpy(decoder->prior, prob, decoder->model->dims.targets * sizeof prob[0]);
    return TRAJ_OK;
}

enum traj_status traj_decoder_gaze(struct traj_decoder *decoder, const double *position,
                                   const double *cov)
{
    (void)position;
    (void)cov;
    note(decoder, "gaze ");
    return TRAJ_OK;
}

enum traj_status traj_decoder_effector(struct traj_decoder *decoder, const double *position)
{
    (void)position;
    note(decoder, "effector ");
    return TRAJ_OK;
}

size_t traj_decoder_slots(const struct traj_decoder *decoder)
{
    (void)decoder;
    return TRAJ_SLOTS_LEAST;
}

enum traj_status traj_decoder_targets(struct traj_decoder *decoder, const char *name, size_t count,
                                      const char (*id)[TRAJ_ID_SIZE], const double *position)
{
    (void)name;
    (void)id;
    (void)position;
    note(decoder, "targets%zu ", count);
    return TRAJ_OK;
}

enum traj_status traj_decoder_opinion(struct traj_decoder *decoder, enum traj_opinion_of of,
                                      const double *value, const double *cov)
{
    (void)value;
    (void)cov;
    note(decoder, "opinion%d ", (int)of);
    return TRAJ_OK;
}

void traj_decoder_prepare(struct traj_decoder *decoder)
{
    (void)decoder;
}

enum traj_status traj_decoder_step(struct traj_decoder *decoder,
                                   const struct traj_observation *observation,
                                   struct traj_estimate *estimate)
{
    bool blind = observation->counts == NULL && observation->features == NULL;
    note(decoder, "%s%zu ", blind ? "blind" : "step", observation->steps);
    if (!blind)
        decoder->dt = observation->dt;
    *estimate = decoder->estimate;
    return decoder->answer;
}

void traj_decoder_calibrate(struct traj_decoder *decoder, struct traj_estimate *estimate)
{
    (void)estimate;
    decoder->calibrated++;
}
