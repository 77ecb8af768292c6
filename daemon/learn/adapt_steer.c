/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tuning to what is steered, of a model that is adapted: a few trials tell too little of it, so
 * it moves as the tables do.  What today's table of a channel is more than yesterday's (all of it
 * where the unit is new) is regressed on the velocity, the place and the speed of the nodes
 * (daemon/learn/retune.h), and yesterday's tuning goes along.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"
#include "daemon/learn/matrix.h"
#include "daemon/learn/retune.h"

#define RIDGE 1e-3 /* of a direction's variance, which is 1 */

/* What a node is regressed on: 1 and its directions. */
static void node_row(const struct traj_retune_basis *basis, size_t e, double *row)
{
    const size_t directions = basis->columns - TRAJ_RETUNE_FIXED;
    row[0] = 1;
    memcpy(row + 1, basis->direction + e * directions, directions * sizeof *row);
}

static void gather(const struct traj_adapt *adapt, const struct traj_model *model,
                   const struct traj_retune_basis *basis, double *gram, double *cross)
{
    const size_t channels = adapt->today->channels, before = basis->channels;
    const size_t inputs = basis->columns - TRAJ_RETUNE_FIXED + 1;
    double row[TRAJ_RETUNE_COLUMNS_MAX];
    for (size_t e = 0; e < basis->nodes; e++) {
        node_row(basis, e, row);
        for (size_t i = 0; i < inputs; i++)
            for (size_t k = 0; k < inputs; k++)
                gram[i * inputs + k] += row[i] * row[k];
        for (size_t c = 0; c < channels; c++) {
            const size_t was = adapt->today->was[c];
            double more = model->chain.emission_mean[e * channels + c];
            if (was != TRAJ_UNIT_NEW)
                more -= adapt->from->chain.emission_mean[e * before + was];
            for (size_t i = 0; i < inputs; i++)
                cross[i * channels + c] += row[i] * more;
        }
    }
}

int traj_adapt_steer(const struct traj_adapt *adapt, const struct traj_model *model)
{
    const size_t channels = adapt->today->channels, dim = model->dims.position;
    const size_t row = 2 * dim + 2, inputs = 2 * dim + 2;
    struct traj_retune_basis basis;
    double ridge[TRAJ_RETUNE_COLUMNS_MAX], more[TRAJ_RETUNE_COLUMNS_MAX];
    if (model->dims.paces == 0)
        return 0;
    if (traj_retune_basis_init(&basis, adapt->from, adapt->error))
        return -1;
    double *gram = calloc(2 * inputs * inputs + inputs * channels, sizeof *gram);
    if (!gram) {
        traj_retune_basis_free(&basis);
        return -1;
    }
    double *cross = gram + 2 * inputs * inputs;
    gather(adapt, model, &basis, gram, cross);
    for (size_t i = 0; i < inputs; i++)
        ridge[i] = i == 0 ? 0 : RIDGE * (double)basis.nodes;
    traj_matrix_solve_moments(gram, ridge, inputs, cross, channels, gram + inputs * inputs);
    for (size_t c = 0; c < channels; c++) {
        double *tuning = (double *)(uintptr_t)model->steer.tuning + c * row;
        const size_t was = adapt->today->was[c];
        memset(tuning, 0, row * sizeof *tuning);
        if (was != TRAJ_UNIT_NEW)
            memcpy(tuning, adapt->from->steer.tuning + was * row, row * sizeof *tuning);
        for (size_t i = 0; i < inputs; i++)
            more[i] = cross[i * channels + c];
        traj_retune_steer(&basis, dim, more[0], more + 1, tuning);
    }
    free(gram);
    traj_retune_basis_free(&basis);
    return 0;
}
