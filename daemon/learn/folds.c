/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-validation inside the training sessions: which data are left out together. */
#include "daemon/learn/folds.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/learn/random.h"

#define GRACE_SPAN 1e-5 /* s, by which a span begins before its trial */

/*
 * Edge b of the blocks of an unbroken session, b = 0..folds.  Edges lie one bin before a trial's
 * start, so that every trial belongs to one block.
 */
static double block_edge(const struct traj_training *training, const struct traj_session *session,
                         size_t b)
{
    double first = session->t_end[0] - session->dt[0], last = session->t_end[session->bins - 1];
    if (b == 0)
        return first - training->bin;
    if (b >= training->folds)
        return last;
    if (session->trials >= training->folds)
        return session->start[b * session->trials / training->folds] - training->bin;
    return first + (last - first) * (double)b / (double)training->folds;
}

static unsigned block_at(const struct traj_training *training, const struct traj_session *session,
                         double t)
{
    size_t b = 0;
    while (b + 1 < training->folds && t > block_edge(training, session, b + 1))
        b++;
    return (unsigned)b;
}

/* ---- dealing --------------------------------------------------------------------------------- */

/* Deals the trials of one target (-1: unknown) of cut-out sessions to the folds in turn. */
static void deal_target(struct traj_training *training, int32_t target, const bool *blocks,
                        size_t *order, size_t *next, uint64_t *random)
{
    size_t count = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->target == target && trial->session != (size_t)-1 && !blocks[trial->session])
            order[count++] = r;
    }
    traj_random_shuffle(random, order, count);
    for (size_t i = 0; i < count; i++)
        training->trial[order[i]].fold = (unsigned)((*next)++ % training->folds);
}

static int deal_trials(struct traj_training *training, const bool *blocks, uint64_t seed,
                       struct traj_error *error)
{
    size_t *order = malloc((training->trials + 1) * sizeof *order);
    if (!order)
        return traj_error_set(error, "no memory for %zu trials", training->trials);
    size_t next = 0;
    uint64_t random = seed;
    for (size_t m = 0; m <= training->targets; m++)
        deal_target(training, (int32_t)m - 1, blocks, order, &next, &random);
    free(order);
    for (size_t r = 0; r < training->trials; r++) {
        struct traj_course *trial = &training->trial[r];
        if (trial->session == (size_t)-1 || !blocks[trial->session])
            continue;
        trial->fold = block_at(training, training->session[trial->session], trial->t);
    }
    return 0;
}

/* Fold of an instant of a session, once its trials have theirs. */
static unsigned fold_at(const struct traj_training *training, size_t s, size_t first_trial,
                        bool block, double t)
{
    const struct traj_session *session = training->session[s];
    if (block)
        return block_at(training, session, t);
    size_t r = traj_session_trial_at(session, t);
    return r == (size_t)-1 ? TRAJ_FOLD_NEVER : training->trial[first_trial + r].fold;
}

static void spread(struct traj_training *training, const bool *blocks)
{
    size_t first_trial = 0, first_bin = 0;
    for (size_t s = 0; s < training->sessions; s++) {
        const struct traj_session *session = training->session[s];
        for (size_t i = 0; i < session->bins; i++)
            training->fold[first_bin + i] =
                (uint8_t)fold_at(training, s, first_trial, blocks[s], session->t_end[i]);
        for (size_t c = 0; c < training->runs; c++) {
            const struct traj_course *run = &training->run[c];
            for (size_t i = 0; run->session == s && i < run->count; i++)
                training->state_fold[run->first + i] = (uint8_t)fold_at(
                    training, s, first_trial, blocks[s], run->t + (double)i * training->bin);
        }
        first_trial += session->trials;
        first_bin += session->bins;
    }
    for (size_t r = 0; r < training->trials; r++)
        memset(training->state_fold + training->trial[r].first, (int)training->trial[r].fold,
               training->trial[r].count);
    for (size_t c = 0; c < training->runs; c++)
        if (training->run[c].session == (size_t)-1)
            memset(training->state_fold + training->run[c].first, (int)TRAJ_FOLD_ALWAYS,
                   training->run[c].count);
}

int traj_folds_deal(struct traj_training *training, size_t folds, uint64_t seed,
                    struct traj_error *error)
{
    bool *blocks = calloc(training->sessions, sizeof *blocks);
    if (!blocks)
        return traj_error_set(error, "no memory");
    size_t units_of_data = 0; /* trials, or blocks of bins, that can be left out */
    for (size_t s = 0; s < training->sessions; s++) {
        const struct traj_session *session = training->session[s];
        blocks[s] = traj_session_is_unbroken(session);
        training->unbroken |= blocks[s];
        units_of_data += session->trials > 0 ? session->trials : session->bins / 50;
    }
    if (folds > TRAJ_FOLDS_MAX)
        folds = TRAJ_FOLDS_MAX;
    training->folds = folds < units_of_data ? folds : units_of_data;
    if (training->folds < 2)
        training->folds = 0;
    int status = 0;
    if (training->folds > 0) {
        status = deal_trials(training, blocks, seed, error);
        spread(training, blocks);
    }
    free(blocks);
    return status;
}

/* ---- held-out parts -------------------------------------------------------------------------- */

static size_t bins_in_folds(const struct traj_training *training)
{
    size_t count = 0;
    for (size_t i = 0; i < training->bins; i++)
        count += training->fold[i] < TRAJ_FOLD_NEVER;
    return count;
}

/* Spans of the trials of a fold, as many as the share of them that may be kept. */
static size_t trial_spans(const struct traj_training *training, size_t s, size_t first_trial,
                          unsigned fold, double share, struct traj_span *span)
{
    const struct traj_session *session = training->session[s];
    size_t count = 0;
    double due = 0.5;
    for (size_t r = 0; r < session->trials; r++) {
        if (training->trial[first_trial + r].fold != fold)
            continue;
        due += share;
        if (due < 1)
            continue;
        due -= 1;
        /* Neighbouring trials that touch make one span: spans must be disjoint. */
        double from = session->start[r] - GRACE_SPAN;
        if (count > 0 && from <= span[count - 1].to)
            span[count - 1].to = session->stop[r];
        else
            span[count++] = (struct traj_span){from, session->stop[r]};
    }
    return count;
}

struct traj_session *traj_training_held_out(const struct traj_training *training, size_t s,
                                            unsigned fold, size_t bins_max,
                                            struct traj_error *error)
{
    const struct traj_session *session = training->session[s];
    size_t first_trial = 0;
    for (size_t i = 0; i < s; i++)
        first_trial += training->session[i]->trials;
    double share = (double)bins_max / (double)(bins_in_folds(training) + 1);
    share = share < 1 ? share : 1;
    struct traj_span *span = calloc(session->trials + 1, sizeof *span);
    if (!span) {
        traj_error_set(error, "no memory for %zu trials", session->trials);
        return NULL;
    }
    size_t count = 0;
    if (traj_session_is_unbroken(session)) {
        double from = block_edge(training, session, fold);
        double to = block_edge(training, session, fold + 1);
        span[count++] = (struct traj_span){from, from + share * (to - from)};
    } else {
        count = trial_spans(training, s, first_trial, fold, share, span);
    }
    struct traj_session *part = count > 0 ? traj_session_cut(session, span, count, error) : NULL;
    free(span);
    return part;
}
