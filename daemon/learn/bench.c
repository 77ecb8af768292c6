/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Held-out decoding. */
#include "daemon/learn/bench.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"

#define VELOCITY_WINDOW 0.05 /* s, half of the difference that stands for true velocity */

static void free_held(struct traj_held *held)
{
    traj_session_free(held->session);
    free(held->position);
    free(held->velocity);
    free(held->known);
    free(held->trial);
    free(held->target);
}

/* Movement at every bin's end, and the target of its trial. */
static int fill_held(struct traj_held *held, size_t dim, struct traj_error *error)
{
    const struct traj_session *session = held->session;
    size_t bins = session->bins;
    held->position = calloc(bins * dim + 1, sizeof *held->position);
    held->velocity = calloc(bins * dim + 1, sizeof *held->velocity);
    held->known = calloc(bins + 1, sizeof *held->known);
    held->trial = calloc(bins + 1, sizeof *held->trial);
    held->target = calloc(bins + 1, sizeof *held->target);
    if (!held->position || !held->velocity || !held->known || !held->trial || !held->target)
        return traj_error_set(error, "%s: no memory for %zu bins", session->path, bins);
    for (size_t i = 0; i < bins; i++) {
        size_t trial = traj_session_trial_at(session, session->t_end[i]);
        held->known[i] =
            traj_session_kinematics(session, session->t_end[i], VELOCITY_WINDOW,
                                    held->position + i * dim, held->velocity + i * dim) == 0;
        held->trial[i] = trial != (size_t)-1;
        held->target[i] = trial != (size_t)-1 && session->target ? session->target[trial] : -1;
    }
    return 0;
}

int traj_bench_make(struct traj_bench *bench, const struct traj_training *training, size_t bins_max,
                    struct traj_error *error)
{
    *bench = (struct traj_bench){.training = training};
    bench->held = calloc(training->sessions * training->folds + 1, sizeof *bench->held);
    if (!bench->held)
        return traj_error_set(error, "no memory for %zu folds", training->folds);
    for (unsigned f = 0; f < training->folds; f++)
        for (size_t s = 0; s < training->sessions; s++) {
            struct traj_error cause = {""};
            struct traj_session *part = traj_training_held_out(training, s, f, bins_max, &cause);
            if (!part && cause.text[0])
                return traj_error_set(error, "%s", cause.text);
            if (!part || part->bins == 0) {
                traj_session_free(part);
                continue;
            }
            struct traj_held *held = &bench->held[bench->count++];
            *held = (struct traj_held){.session = part, .fold = f};
            if (fill_held(held, training->dim, error))
                return -1;
        }
    return 0;
}

void traj_bench_free(struct traj_bench *bench)
{
    for (size_t i = 0; i < bench->count; i++)
        free_held(&bench->held[i]);
    free(bench->held);
    *bench = (struct traj_bench){.training = NULL};
}

/* What an intent is brought to. */
struct delivery {
    const struct traj_held *held;
    traj_bench_sink *sink;
    void *context;
    const struct traj_decoder *decoder;
};

static int deliver(void *context, const struct traj_intent *intent)
{
    const struct delivery *delivery = context;
    size_t bin = (size_t)intent->frame;
    if (bin < delivery->held->session->bins && delivery->held->known[bin])
        delivery->sink(delivery->context, delivery->held, bin, intent, delivery->decoder);
    return 0;
}

static void note_decoder(void *context, const struct traj_decoder *decoder)
{
    struct delivery *delivery = context;
    delivery->decoder = decoder;
}

int traj_bench_run(const struct traj_bench *bench, const struct traj_maker *maker, bool marks,
                   traj_bench_sink *sink, void *context, struct traj_error *error)
{
    struct traj_decode_options options = {.trials = marks, .begun = note_decoder};
    struct traj_model *model = NULL;
    int status = 0;
    for (size_t i = 0; i < bench->count && status == 0; i++) {
        const struct traj_held *held = &bench->held[i];
        if (!model || bench->held[i - 1].fold != held->fold) {
            traj_model_free(model);
            model = maker->make(maker->context, held->fold, error);
            if (!model)
                return -1;
        }
        struct delivery delivery = {held, sink, context, NULL};
        options.begun_context = &delivery;
        status = traj_decode(model, held->session, &options, deliver, &delivery, NULL, error);
    }
    traj_model_free(model);
    return status;
}

struct squares {
    enum traj_bench_part part;
    double sum;
    double count;
};

static void add_square(void *context, const struct traj_held *held, size_t bin,
                       const struct traj_intent *intent, const struct traj_decoder *decoder)
{
    (void)decoder;
    struct squares *squares = context;
    if (!intent->position || (squares->part == TRAJ_BENCH_TRIALS && !held->trial[bin]))
        return;
    squares->count++;
    for (size_t d = 0; d < intent->dim; d++) {
        double apart = intent->position[d] - held->position[bin * intent->dim + d];
        squares->sum += apart * apart;
    }
}

int traj_bench_error(const struct traj_bench *bench, const struct traj_maker *maker, bool marks,
                     enum traj_bench_part part, double *mean_square, struct traj_error *error)
{
    struct squares squares = {part, 0, 0};
    if (traj_bench_run(bench, maker, marks, add_square, &squares, error))
        return -1;
    *mean_square = squares.count > 0 ? squares.sum / squares.count : INFINITY;
    return 0;
}
