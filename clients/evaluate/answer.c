/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"

#define MAGIC 0x316e6a7274u /* "trjn1", as little-endian bytes */
#define LIMIT ((uint64_t)1 << 40)

struct header {
    uint64_t magic, size; /* of all, in bytes */
    uint64_t bins, dim, targets;
    uint64_t failed; /* 1 = a reason follows in place of numbers */
    uint64_t check;  /* CRC-32C of what follows the header */
};

/* Numbers of a bin: its end, position, covariance, velocity, target probabilities. */
static size_t width_of(size_t dim, size_t targets)
{
    return 1 + dim + dim * dim + dim + targets;
}

static struct header header_of(const struct traj_answer *a)
{
    struct header h = {0};
    memcpy(&h, a->data, a->size < sizeof h ? a->size : sizeof h);
    return h;
}

int traj_answer_make(struct traj_answer *a, const double *t_end, const struct traj_decoded *d,
                     const char *reason, struct traj_error *error)
{
    struct header h = {.magic = MAGIC, .failed = d == NULL};
    size_t length =
        d ? d->bins * width_of(d->dim, d->targets) * sizeof(double) : strlen(reason) + 1;
    a->size = sizeof h + length;
    a->data = malloc(a->size);
    if (!a->data) {
        return traj_error_set(error, "not enough memory for %zu bytes of answer", a->size);
    }
    char *body = (char *)a->data + sizeof h;
    if (d) {
        h.bins = d->bins;
        h.dim = d->dim;
        h.targets = d->targets;
        const double *part[] = {t_end, d->position, d->position_cov, d->velocity, d->target_prob};
        size_t width[] = {1, d->dim, d->dim * d->dim, d->dim, d->targets};
        for (size_t k = 0, at = 0; k < sizeof part / sizeof part[0]; k++) {
            size_t bytes = d->bins * width[k] * sizeof(double);
            if (bytes > 0) {
                memcpy(body + at, part[k], bytes);
            }
            at += bytes;
        }
    } else {
        memcpy(body, reason, length);
    }
    h.size = a->size;
    h.check = traj_crc32c(0, body, length);
    memcpy(a->data, &h, sizeof h);
    return 0;
}

bool traj_answer_good(const struct traj_answer *a)
{
    struct header h = header_of(a);
    if (a->size < sizeof h || h.magic != MAGIC || h.size != a->size || h.bins > LIMIT ||
        h.dim > TRAJ_DIM_MAX || h.targets > TRAJ_TARGETS_MAX) {
        return false;
    }
    const char *body = (const char *)a->data + sizeof h;
    size_t length = a->size - sizeof h;
    bool sized = h.failed ? length > 0 && body[length - 1] == '\0'
                          : length == h.bins * width_of(h.dim, h.targets) * sizeof(double);
    return sized && h.check == traj_crc32c(0, body, length);
}

bool traj_answer_failed(const struct traj_answer *a)
{
    return header_of(a).failed != 0;
}

void traj_answer_reason(const struct traj_answer *a, char *out, size_t cap)
{
    snprintf(out, cap, "%s", (const char *)a->data + sizeof(struct header));
}

size_t traj_answer_targets(const struct traj_answer *a)
{
    return header_of(a).targets;
}

int traj_answer_place(const struct traj_answer *a, const struct traj_session *s,
                      struct traj_decoded *to)
{
    struct header h = header_of(a);
    if (h.dim != to->dim || h.targets != to->targets) {
        return -1;
    }
    double *all = malloc(a->size); /* a copy, because bytes need not be aligned as numbers are */
    if (!all) {
        return -1;
    }
    memcpy(all, (const char *)a->data + sizeof h, a->size - sizeof h);
    double *into[] = {NULL, to->position, to->position_cov, to->velocity, to->target_prob};
    size_t width[] = {1, h.dim, h.dim * h.dim, h.dim, h.targets};
    const double *from = all;
    for (size_t part = 0; part < sizeof into / sizeof into[0]; part++) {
        for (size_t i = 0, k = 0; into[part] && i < h.bins; i++) {
            while (k < s->bins && s->t_end[k] < all[i]) {
                k++;
            }
            if (k < s->bins) {
                memcpy(into[part] + k * width[part], from + i * width[part],
                       width[part] * sizeof(double));
            }
        }
        from += h.bins * width[part];
    }
    free(all);
    return 0;
}
