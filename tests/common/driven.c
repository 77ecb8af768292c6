/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A simulated session through the pipeline; see driven.h. */
#include "tests/common/driven.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/decode.h"

static struct traj_event event; /* large */

void driven_estimate(struct driven *driven, enum traj_estimate_of of, double t, const double *value,
                     size_t count, size_t dim)
{
    event.of = of;
    driven_send(driven, TRAJ_EVENT_ESTIMATE, t, value, count, dim);
}

void driven_send(struct driven *driven, enum traj_event_kind kind, double t, const double *value,
                 size_t count, size_t dim)
{
    const enum traj_estimate_of of = event.of;
    memset(&event, 0, sizeof event);
    event.of = of;
    event.kind = kind;
    event.t = t;
    event.dim = dim;
    event.count = count;
    if (count > 0)
        memcpy(event.value, value, count * sizeof *value);
    assert_int_equal(traj_pipeline_event(driven->pipeline, &event), TRAJ_ACCEPTED);
}

void driven_targets(struct driven *driven, double t, const struct traj_session *session)
{
    memset(&event, 0, sizeof event);
    event.kind = TRAJ_EVENT_TARGETS;
    event.t = t;
    event.dim = session->target_dim;
    event.ids = session->targets;
    event.count = session->targets * session->target_dim;
    memcpy(event.text, "moved", sizeof "moved");
    memcpy(event.id, session->target_id, session->targets * sizeof event.id[0]);
    memcpy(event.value, session->target_position, event.count * sizeof event.value[0]);
    assert_int_equal(traj_pipeline_event(driven->pipeline, &event), TRAJ_ACCEPTED);
}

static void send_marks(struct driven *driven, size_t *mark, double t)
{
    const struct traj_session *s = driven->session;
    for (; *mark < 3 * s->trials; ++*mark) {
        const size_t r = *mark / 3, kind = *mark % 3;
        const double at = kind == 0 ? s->start[r] : kind == 1 ? (s->go ? s->go[r] : t) : s->stop[r];
        static const enum traj_event_kind kinds[] = {TRAJ_EVENT_TRIAL_START, TRAJ_EVENT_GO,
                                                     TRAJ_EVENT_TRIAL_STOP};
        if (!(at < t - TRAJ_TIME_GRACE))
            return;
        driven_send(driven, kinds[kind], at, NULL, 0, 0);
    }
}

void driven_run(struct driven *driven)
{
    const struct traj_session *s = driven->session;
    const size_t size = traj_decoder_size(&driven->model->dims);
    void *memory = malloc(size), *room = malloc(traj_pipeline_size());
    struct traj_decoder *decoder = NULL;
    size_t mark = 0;
    assert_non_null(memory);
    assert_non_null(room);
    assert_int_equal(traj_decoder_init(memory, size, driven->model, NULL, &decoder), TRAJ_OK);
    driven->pipeline = traj_pipeline_init(room, traj_pipeline_size(), decoder, NULL);
    assert_non_null(driven->pipeline);
    memset(&event, 0, sizeof event);
    event.kind = TRAJ_EVENT_SESSION;
    event.marks = driven->trials;
    assert_int_equal(traj_pipeline_event(driven->pipeline, &event), TRAJ_ACCEPTED);
    for (size_t b = 0; b < s->bins; b++) {
        struct traj_frame frame = {.seq = b,
                                   .t = s->t_end[b],
                                   .dt = s->dt[b],
                                   .counts = s->counts + b * s->units,
                                   .units = s->units,
                                   .units_max = s->units};
        struct traj_intent intent;
        if (driven->trials)
            send_marks(driven, &mark, s->t_end[b]);
        if (driven->before)
            driven->before(driven, b);
        assert_int_equal(traj_pipeline_frame(driven->pipeline, &frame, 0.0, &intent, NULL),
                         TRAJ_DECODED);
        driven->after(driven, b, &intent);
    }
    free(room);
    free(memory);
}

size_t driven_trial(const struct traj_session *session, size_t bin)
{
    const double t = session->t_end[bin];
    for (size_t r = 0; r < session->trials; r++)
        if (session->start[r] < t && t <= session->stop[r])
            return r;
    return (size_t)-1;
}

struct traj_session *driven_simulate(const struct traj_sim_options *options)
{
    struct traj_error error = {""};
    struct traj_session *session = traj_simulate(options, &error);
    if (!session)
        fail_msg("%s", error.text);
    return session;
}

struct traj_model *driven_train(const struct traj_session *session, bool calibrate)
{
    struct traj_error error = {""};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = TRAJ_FAMILY_COURSE;
    options.folds = 3;
    options.calibrate = calibrate;
    struct traj_model *model = traj_fit(&session, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s", error.text);
    return model;
}

static int compare(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

double driven_median(double *value, size_t count)
{
    qsort(value, count, sizeof *value, compare);
    return count == 0 ? 0.0 : value[count / 2];
}
