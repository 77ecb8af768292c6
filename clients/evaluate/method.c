/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/method.h"

#include <gsl/gsl_rng.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "daemon/learn/adapt.h"
#include "daemon/learn/model_file.h"

#define WRONG_PRIOR 0.9 /* probability that a wrong prior gives to its target */

/* The mixture is listed twice, and the automatic choice under another name. */
#define OWN (TRAJ_FAMILIES + 1)

static const struct traj_method baseline[] = {
    {"kalman", TRAJ_FAMILIES, false, traj_kalman},
    {"wiener", TRAJ_FAMILIES, false, traj_wiener},
    {"cascade", TRAJ_FAMILIES, false, traj_cascade},
    {"bayes", TRAJ_FAMILIES, false, traj_naive_bayes},
    {"lda", TRAJ_FAMILIES, false, traj_lda},
};

size_t traj_methods(void)
{
    return OWN + sizeof baseline / sizeof baseline[0];
}

struct traj_method traj_method_at(size_t i)
{
    if (i >= OWN) {
        return baseline[i - OWN];
    }
    if (i == TRAJ_FAMILIES) {
        return (struct traj_method){"mixture+plan", TRAJ_FAMILY_MIXTURE, true, NULL};
    }
    enum traj_family family = (enum traj_family)i;
    return (struct traj_method){family == TRAJ_FAMILY_AUTO ? "default" : traj_family_name(family),
                                family, family != TRAJ_FAMILY_MIXTURE, NULL};
}

size_t traj_method_find(const char *name, size_t length)
{
    size_t i = 0;
    while (i < traj_methods() && (strlen(traj_method_at(i).name) != length ||
                                  strncmp(traj_method_at(i).name, name, length) != 0)) {
        i++;
    }
    return i;
}

int traj_collect(void *collector, const struct traj_intent *intent)
{
    struct traj_collector *c = collector;
    const struct traj_session *s = c->session;
    struct traj_decoded *d = c->decoded;
    while (c->bin < s->bins && s->t_end[c->bin] < intent->t - 1e-9) {
        c->bin++;
    }
    if (c->bin == s->bins || s->t_end[c->bin] > intent->t + 1e-9) {
        return 0;
    }
    size_t i = c->bin++, dim = d->dim;
    if (intent->position) {
        memcpy(d->position + i * dim, intent->position, dim * sizeof(double));
    }
    if (intent->position_cov) {
        memcpy(d->position_cov + i * dim * dim, intent->position_cov, dim * dim * sizeof(double));
    }
    if (intent->velocity) {
        memcpy(d->velocity + i * dim, intent->velocity, dim * sizeof(double));
    }
    if (intent->target_prob && d->targets == intent->targets) {
        memcpy(d->target_prob + i * d->targets, intent->target_prob, d->targets * sizeof(double));
    }
    return 0;
}

struct traj_decoded *traj_model_decode(const struct traj_model *model,
                                       const struct traj_session *session,
                                       const struct traj_decode_options *options,
                                       struct traj_error *error)
{
    size_t dim = model->dims.position;
    struct traj_decoded *decoded = traj_decoded_new(session->bins, dim, model->dims.targets);
    struct traj_collector collector = {decoded, 0, session};
    if (!decoded) {
        traj_error_set(error, "%s: not enough memory to decode", session->path);
    } else if (traj_decode(model, session, options, traj_collect, &collector, NULL, error)) {
        traj_decoded_free(decoded);
        decoded = NULL;
    }
    return decoded;
}

/* What misleads a decoder: after each start, a prior for a target that is not the trial's. */
struct misleading {
    const struct traj_session *session;
    gsl_rng *rng;
    struct traj_event event;
};

static const struct traj_event *mislead(void *context, const struct traj_event *given)
{
    struct misleading *m = context;
    const struct traj_session *s = m->session;
    if (given->kind != TRAJ_EVENT_TRIAL_START || !s->target) {
        return NULL;
    }
    size_t r = 0;
    while (r < s->trials && s->start[r] != given->t) {
        r++;
    }
    if (r == s->trials || s->target[r] < 0 || s->targets < 2) {
        return NULL;
    }
    size_t wrong = gsl_rng_uniform_int(m->rng, (unsigned long)s->targets - 1);
    wrong += wrong >= (size_t)s->target[r];
    m->event.kind = TRAJ_EVENT_TARGET_PRIOR;
    m->event.t = given->t;
    m->event.count = s->targets;
    for (size_t i = 0; i < s->targets; i++) {
        m->event.value[i] =
            i == wrong ? WRONG_PRIOR : (1.0 - WRONG_PRIOR) / (double)(s->targets - 1);
    }
    return &m->event;
}

static struct traj_decoded *decode_misled(const struct traj_model *model,
                                          const struct traj_session *test,
                                          const struct traj_method_run *how,
                                          struct traj_error *error)
{
    struct misleading *m = calloc(1, sizeof *m);
    struct traj_decoded *decoded = NULL;
    if (m) {
        m->session = test;
        m->rng = gsl_rng_alloc(gsl_rng_mt19937);
    }
    if (m && m->rng) {
        gsl_rng_set(m->rng, (unsigned long)how->seed);
        struct traj_decode_options options = {
            .trials = how->trials, .after = mislead, .after_context = m};
        decoded = traj_model_decode(model, test, &options, error);
        gsl_rng_free(m->rng);
    } else {
        traj_error_set(error, "%s: not enough memory to decode", test->path);
    }
    free(m);
    return decoded;
}

struct traj_model *traj_method_fit(size_t i, const struct traj_session *train,
                                   const struct traj_method_run *how, struct traj_error *error)
{
    struct traj_method method = traj_method_at(i);
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = method.family;
    options.plan = method.plan;
    options.progress = how->progress;
    options.progress_context = how->progress_context;
    return how->from ? traj_adapt(how->from, &train, 1, &options, error)
                     : traj_fit(&train, 1, NULL, 0, &options, error);
}

static struct traj_decoded *decode_with(const struct traj_model *model,
                                        const struct traj_session *test,
                                        const struct traj_method_run *how, struct traj_error *error)
{
    struct traj_decode_options plain = {.trials = how->trials};
    return how->wrong_prior ? decode_misled(model, test, how, error)
                            : traj_model_decode(model, test, &plain, error);
}

struct traj_decoded *traj_method_decode(size_t i, const struct traj_session *train,
                                        const struct traj_session *test,
                                        const struct traj_method_run *how, struct traj_error *error)
{
    struct traj_method method = traj_method_at(i);
    if (method.baseline) {
        return method.baseline(train, test, error);
    }
    if (how->from && how->as_is) {
        return decode_with(how->from, test, how, error);
    }
    struct traj_model *model = traj_method_fit(i, train, how, error);
    struct traj_decoded *decoded = model ? decode_with(model, test, how, error) : NULL;
    traj_model_free(model);
    return decoded;
}
