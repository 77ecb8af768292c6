/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the regression on the recent past answers in each state; see session_answers.h. */
#include "daemon/learn/session_answers.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define RIDGE 10.0        /* of the regression on position and velocity */
#define RESIDUAL_PRIOR 20 /* bins that the regression counts for in a state's mean */

/* Work space. */
struct fitting {
    struct traj_session_states *states;
    const double *answer; /* [bins][out] */
    size_t inputs, out;
    double *beta; /* [inputs][out] */
    double *gram; /* [inputs][inputs] */
    double *work; /* [inputs][inputs] */
    double *row, *ridge;
};

static const double *state_of(const struct traj_training *training, size_t b)
{
    return training->x + b * 3 * training->dim;
}

/* Regression of the answers on position and velocity. */
static void regress(struct fitting *fitting)
{
    const struct traj_session_states *states = fitting->states;
    const struct traj_training *training = states->design->training;
    size_t n = fitting->inputs, out = fitting->out;
    for (size_t b = 0; b < training->bins; b++) {
        if (states->state[b] == TRAJ_PLACE_UNUSED)
            continue;
        traj_places_regress_on(&states->places, training, state_of(training, b), fitting->row);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n; k++)
                fitting->gram[i * n + k] += fitting->row[i] * fitting->row[k];
            for (size_t o = 0; o < out; o++)
                fitting->beta[i * out + o] += fitting->row[i] * fitting->answer[b * out + o];
        }
    }
    for (size_t i = 0; i < n; i++)
        fitting->ridge[i] = i > 0 ? RIDGE : 0;
    traj_matrix_solve_moments(fitting->gram, fitting->ridge, n, fitting->beta, out, fitting->work);
}

static double regression_at(const struct fitting *fitting, size_t o)
{
    double sum = 0;
    for (size_t i = 0; i < fitting->inputs; i++)
        sum += fitting->row[i] * fitting->beta[i * fitting->out + o];
    return sum;
}

static void fit_means(struct fitting *fitting)
{
    struct traj_session_states *states = fitting->states;
    const struct traj_training *training = states->design->training;
    size_t out = fitting->out;
    for (size_t b = 0; b < training->bins; b++) {
        if (states->state[b] == TRAJ_PLACE_UNUSED)
            continue;
        double *mean = states->answer + states->state[b] * out;
        traj_places_regress_on(&states->places, training, state_of(training, b), fitting->row);
        for (size_t o = 0; o < out; o++)
            mean[o] += fitting->answer[b * out + o] - regression_at(fitting, o);
    }
    for (size_t j = 0; j < states->states; j++) {
        traj_places_regress_on(&states->places, training, states->centre + j * out, fitting->row);
        for (size_t o = 0; o < out; o++)
            states->answer[j * out + o] =
                states->answer[j * out + o] / (states->count[j] + RESIDUAL_PRIOR) +
                regression_at(fitting, o);
    }
}

static void fit_noise(struct fitting *fitting)
{
    struct traj_session_states *states = fitting->states;
    const struct traj_training *training = states->design->training;
    size_t out = fitting->out;
    double count = 0, off[2 * TRAJ_DIM_MAX];
    for (size_t b = 0; b < training->bins; b++) {
        if (states->state[b] == TRAJ_PLACE_UNUSED)
            continue;
        count++;
        for (size_t o = 0; o < out; o++)
            off[o] = fitting->answer[b * out + o] - states->answer[states->state[b] * out + o];
        for (size_t o = 0; o < out; o++)
            for (size_t p = 0; p < out; p++)
                states->answer_noise[o * out + p] += off[o] * off[p];
    }
    for (size_t i = 0; i < out * out; i++)
        states->answer_noise[i] /= count > 0 ? count : 1;
    traj_matrix_make_positive(states->answer_noise, out, NULL, fitting->work);
}

int traj_session_answers_fit(struct traj_session_states *states)
{
    const struct traj_session_recent *recent = states->design->recent;
    size_t out = 2 * states->dim, n = traj_places_regressors(states->dim);
    size_t most = n > out ? n : out;
    if (!recent || recent->stages == 0)
        return 0;
    double *answer = traj_session_recent_answers(recent, states->without);
    double *block = calloc(n * n + most * most + n * out + 2 * n, sizeof *block);
    states->answer = calloc(states->states * out + 1, sizeof *states->answer);
    states->answer_noise = calloc(out * out, sizeof *states->answer_noise);
    int status = answer && block && states->answer && states->answer_noise ? 0 : -1;
    if (status == 0) {
        struct fitting fitting = {.states = states,
                                  .answer = answer,
                                  .inputs = n,
                                  .out = out,
                                  .gram = block,
                                  .work = block + n * n,
                                  .beta = block + n * n + most * most,
                                  .row = block + n * n + most * most + n * out,
                                  .ridge = block + n * n + most * most + n * out + n};
        regress(&fitting);
        fit_means(&fitting);
        fit_noise(&fitting);
    }
    free(answer);
    free(block);
    return status;
}
