/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coordinates in which movements to different targets look alike. */
#include "daemon/learn/frame_of_target.h"

#include <math.h>
#include <string.h>

#include "traj/model.h"

static void identity(double *out, size_t n)
{
    memset(out, 0, n * n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i * n + i] = 1;
}

void traj_rotation_to(const double *vector, size_t dim, double *out)
{
    double length = 0, u[TRAJ_DIM_MAX] = {0};
    for (size_t i = 0; i < dim; i++)
        length += vector[i] * vector[i];
    length = sqrt(length);
    identity(out, dim);
    if (!(length > 0))
        return;
    for (size_t i = 0; i < dim; i++)
        u[i] = vector[i] / length;
    if (dim == 1) {
        out[0] = u[0];
        return;
    }
    if (u[0] < -1 + 1e-9) { /* opposite: half a turn in the plane of the first two axes */
        out[0] = -1;
        out[dim + 1] = -1;
        return;
    }
    /* I + K + K^2 / (1 + e.u) with K = u e' - e u' (Rodrigues' formula), e the first axis. */
    double k[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    memset(k, 0, dim * dim * sizeof *k);
    for (size_t i = 1; i < dim; i++) {
        k[i * dim] = u[i];
        k[i] = -u[i];
    }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++) {
            double square = 0;
            for (size_t l = 0; l < dim; l++)
                square += k[i * dim + l] * k[l * dim + j];
            out[i * dim + j] += k[i * dim + j] + square / (1 + u[0]);
        }
}

void traj_frame_maps(const double *rotation, const double *origin, double scale, size_t dim,
                     size_t order, double *into, double *back)
{
    size_t extended = order * dim + 1;
    identity(into, extended);
    identity(back, extended);
    for (size_t i = 0; i < dim; i++) {
        double shift = 0;
        for (size_t j = 0; j < dim; j++) {
            for (size_t o = 0; o < order; o++) {
                into[(o * dim + i) * extended + o * dim + j] = rotation[j * dim + i] / scale;
                back[(o * dim + i) * extended + o * dim + j] = rotation[i * dim + j] * scale;
            }
            shift += rotation[j * dim + i] * origin[j];
        }
        into[i * extended + extended - 1] = -shift / scale;
        back[i * extended + extended - 1] = origin[i];
    }
}
