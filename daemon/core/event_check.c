/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks of events against a model, and the memory of recent ones. */
#include "daemon/core/event_check.h"

#include <math.h>
#include <string.h>

#include "daemon/core/frame_check.h"
#include "daemon/core/pipeline.h"

/* Relative to the variances: senders that compute in float32 are welcome (proto/event.c agrees). */
#define ASYMMETRY 1e-6

/* Whether a symmetric positive definite matrix stands in cov[dim][dim]: Cholesky goes through. */
static bool is_covariance(const double *cov, size_t dim)
{
    double lower[TRAJ_DIM_MAX][TRAJ_DIM_MAX];
    for (size_t i = 0; i < dim; i++) {
        for (size_t j = 0; j <= i; j++) {
            double a = cov[i * dim + j];
            double b = cov[j * dim + i];
            if (!isfinite(a) || !(fabs(a - b) <= ASYMMETRY * (cov[i * dim + i] + cov[j * dim + j])))
                return false;
            double sum = a;
            for (size_t k = 0; k < j; k++)
                sum -= lower[i][k] * lower[j][k];
            if (i != j)
                lower[i][j] = sum / lower[j][j];
            else if (sum > 0)
                lower[i][i] = sqrt(sum);
            else
                return false;
        }
    }
    return true;
}

static enum traj_refusal fits_targets(const char *field, size_t count, size_t targets,
                                      struct traj_objection *objection)
{
    return count == targets && targets > 0
               ? TRAJ_ACCEPTED
               : traj_object(objection, TRAJ_REFUSED_UNITS, field, (double)count,
                             "the targets there are or will be", (double)targets);
}

static enum traj_refusal fits_dimensions(const char *field, size_t count, size_t dim,
                                         struct traj_objection *objection)
{
    return count == dim ? TRAJ_ACCEPTED
                        : traj_object(objection, TRAJ_REFUSED_UNITS, field, (double)count,
                                      "the model's dimensions are", (double)dim);
}

static enum traj_refusal check_prior(const struct traj_event *event, size_t targets,
                                     struct traj_objection *objection)
{
    enum traj_refusal refusal = fits_targets("prob", event->count, targets, objection);
    if (refusal != TRAJ_ACCEPTED)
        return refusal;
    double sum = 0;
    for (size_t m = 0; m < targets; m++) {
        if (!(event->value[m] >= 0))
            return traj_object(objection, TRAJ_REFUSED_FIELD, "prob", event->value[m],
                               "the least is", 0.0);
        sum += event->value[m];
    }
    return sum > 0 && isfinite(sum) ? TRAJ_ACCEPTED
                                    : traj_object(objection, TRAJ_REFUSED_FIELD, "prob",
                                                  (double)NAN, "all are 0", (double)NAN);
}

/* A position or velocity with its covariance. */
static enum traj_refusal check_place(const struct traj_event *event, size_t dim,
                                     struct traj_objection *objection)
{
    const bool velocity = event->kind == TRAJ_EVENT_ESTIMATE && event->of == TRAJ_ESTIMATE_VELOCITY;
    const char *field = velocity ? "velocity" : "position";
    enum traj_refusal refusal = fits_dimensions(field, event->dim, dim, objection);
    if (refusal != TRAJ_ACCEPTED)
        return refusal;
    if (event->count != dim + dim * dim)
        return traj_object(objection, TRAJ_REFUSED_UNITS, "cov", (double)event->count - (double)dim,
                           "it must have as many numbers as", (double)(dim * dim));
    for (size_t d = 0; d < dim; d++) {
        if (!isfinite(event->value[d]))
            return traj_object(objection, TRAJ_REFUSED_FIELD, field, (double)NAN, "not finite",
                               (double)NAN);
    }
    return is_covariance(event->value + dim, dim)
               ? TRAJ_ACCEPTED
               : traj_object(objection, TRAJ_REFUSED_FIELD, "cov", (double)NAN,
                             "not symmetric and positive definite", (double)NAN);
}

enum traj_refusal traj_event_check(const struct traj_event *event, const struct traj_dims *dims,
                                   struct traj_objection *objection)
{
    if ((int)event->kind < 0 || event->kind >= TRAJ_EVENT_KINDS)
        return traj_object(objection, TRAJ_REFUSED_TYPE, "type", (double)NAN, "unknown",
                           (double)NAN);
    if (event->kind == TRAJ_EVENT_SESSION)
        return TRAJ_ACCEPTED;
    if (!traj_time_is_sane(event->t))
        return traj_object(objection, TRAJ_REFUSED_FIELD, "t", event->t, "the furthest is",
                           TRAJ_TIME_MAX);
    if (event->count > TRAJ_EVENT_VALUES_MAX)
        return traj_object(objection, TRAJ_REFUSED_SIZE, "position", (double)event->count,
                           "the most is", TRAJ_EVENT_VALUES_MAX);
    if (event->kind == TRAJ_EVENT_TARGET_PRIOR)
        return check_prior(event, dims->targets, objection);
    if (event->kind == TRAJ_EVENT_ESTIMATE && event->of == TRAJ_ESTIMATE_TARGETS)
        return fits_targets("loglik", event->count, dims->targets, objection);
    if (event->kind == TRAJ_EVENT_GAZE || event->kind == TRAJ_EVENT_ESTIMATE)
        return check_place(event, dims->position, objection);
    if (event->kind == TRAJ_EVENT_EFFECTOR && dims->paces > 0)
        return fits_dimensions("position", event->dim, dims->position, objection);
    return TRAJ_ACCEPTED;
}

bool traj_event_acts(enum traj_event_kind kind)
{
    return kind == TRAJ_EVENT_TRIAL_START || kind == TRAJ_EVENT_GO ||
           kind == TRAJ_EVENT_TRIAL_STOP || kind == TRAJ_EVENT_TARGET_PRIOR ||
           kind == TRAJ_EVENT_GAZE || kind == TRAJ_EVENT_EFFECTOR || kind == TRAJ_EVENT_ESTIMATE ||
           kind == TRAJ_EVENT_TARGETS;
}

/* FNV-1a over the bytes of what an event says. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

struct traj_event_print traj_event_print_of(const struct traj_event *event)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    hash = hash_bytes(hash, &event->count, sizeof event->count);
    hash = hash_bytes(hash, event->value, event->count * sizeof event->value[0]);
    if (event->kind == TRAJ_EVENT_ESTIMATE)
        hash = hash_bytes(hash, &event->of, sizeof event->of);
    if (event->kind == TRAJ_EVENT_TARGETS) {
        hash = hash_bytes(hash, event->text, strnlen(event->text, sizeof event->text));
        for (size_t i = 0; i < event->ids; i++)
            hash = hash_bytes(hash, event->id[i], strnlen(event->id[i], TRAJ_EVENT_ID_SIZE));
    }
    return (struct traj_event_print){.kind = event->kind, .t = event->t, .hash = hash};
}

bool traj_event_known(const struct traj_event_memory *memory, const struct traj_event_print *print)
{
    size_t count = memory->count < TRAJ_EVENT_MEMORY ? memory->count : TRAJ_EVENT_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct traj_event_print *other = &memory->print[i];
        if (other->kind == print->kind && other->t == print->t && other->hash == print->hash)
            return true;
    }
    return false;
}

void traj_event_remember(struct traj_event_memory *memory, const struct traj_event_print *print)
{
    memory->print[memory->count++ % TRAJ_EVENT_MEMORY] = *print;
}
