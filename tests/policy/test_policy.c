/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rows of the policy table that the pipeline answers for, one by one, with a decoder that
 * writes down what it is told (tests/common/spy_decoder.h).  mutate.sh takes each policy out of the
 * pipeline and sees that the test named for it fails.
 *
 * test_policy [PATTERN] runs the tests whose name matches.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/limits.h"
#include "daemon/core/order.h"
#include "daemon/core/pipeline.h"
#include "daemon/core/queue.h"
#include "tests/common/spy_decoder.h"
#include "tests/common/tiny_model.h"

/* --- a pipeline on the spy, and short words for what is sent to it ---------------------------- */

struct bench {
    struct tiny_model tiny;
    struct traj_decoder spy;
    void *memory;
    struct traj_pipeline *pipeline;
    const struct traj_counters *counters;
    struct traj_event event;
    uint16_t counts[TINY_UNITS];
    float feature[2];
    struct traj_frame frame;
    struct traj_intent intent;
    enum traj_refusal refusal;
};

static void start_pipeline(struct bench *b, const struct traj_pipeline_settings *settings)
{
    spy_init(&b->spy, &b->tiny.model);
    b->pipeline = traj_pipeline_init(b->memory, traj_pipeline_size(), &b->spy, settings);
    assert_non_null(b->pipeline);
    b->counters = traj_pipeline_counters(b->pipeline);
    assert_string_equal(spy_take(&b->spy), "reset marks0");
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    tiny_model_init(&b->tiny);
    b->memory = malloc(traj_pipeline_size());
    assert_non_null(b->memory);
    b->frame.counts = b->counts;
    b->frame.units = b->frame.units_max = TINY_UNITS;
    b->frame.feature = b->feature;
    b->frame.features_max = 2;
    b->frame.dt = TINY_BIN;
    start_pipeline(b, NULL);
    *state = b;
    return 0;
}

/* The sums that must hold at every instant; checked after every test and every frame. */
static void check_sums(const struct bench *b)
{
    const struct traj_counters *c = b->counters;
    assert_int_equal(c->received, c->decoded + c->late + c->duplicate + c->invalid);
    uint64_t refused = 0;
    uint64_t events = 0;
    for (size_t i = 0; i < TRAJ_REFUSALS; i++) {
        refused += c->refused[i];
        events += c->events_refused[i];
    }
    assert_int_equal(refused, c->invalid);
    for (size_t i = 0; i < TRAJ_EVENT_KINDS; i++)
        events += c->event[i];
    assert_int_equal(events, c->events);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    check_sums(b);
    free(b->memory);
    free(b);
    return 0;
}

static enum traj_disposition frame(struct bench *b, uint64_t seq, double t)
{
    b->frame.seq = seq;
    b->frame.t = t;
    memset(&b->intent, 0xee, sizeof b->intent);
    enum traj_disposition disposition =
        traj_pipeline_frame(b->pipeline, &b->frame, 7.5, &b->intent, &b->refusal);
    check_sums(b);
    return disposition;
}

/* Sends a frame that must be decoded and says what the decoder was told. */
static const char *told(struct bench *b, uint64_t seq, double t)
{
    assert_int_equal(frame(b, seq, t), TRAJ_DECODED);
    return spy_take(&b->spy);
}

static struct traj_event *new_event(struct bench *b, enum traj_event_kind kind, double t)
{
    memset(&b->event, 0, sizeof b->event);
    b->event.kind = kind;
    b->event.t = t;
    return &b->event;
}

static void mark(struct bench *b, enum traj_event_kind kind, double t)
{
    assert_int_equal(traj_pipeline_event(b->pipeline, new_event(b, kind, t)), TRAJ_ACCEPTED);
}

static enum traj_refusal prior(struct bench *b, double t, double p0, double p1, double p2)
{
    struct traj_event *event = new_event(b, TRAJ_EVENT_TARGET_PRIOR, t);
    event->count = 3;
    event->value[0] = p0;
    event->value[1] = p1;
    event->value[2] = p2;
    return traj_pipeline_event(b->pipeline, event);
}

static enum traj_refusal gaze(struct bench *b, double t, double xx, double xy, double yx, double yy)
{
    struct traj_event *event = new_event(b, TRAJ_EVENT_GAZE, t);
    event->dim = 2;
    event->count = 6;
    event->value[0] = 10;
    event->value[2] = xx;
    event->value[3] = xy;
    event->value[4] = yx;
    event->value[5] = yy;
    return traj_pipeline_event(b->pipeline, event);
}

static void session(struct bench *b, bool marks)
{
    new_event(b, TRAJ_EVENT_SESSION, (double)NAN)->marks = marks;
    assert_int_equal(traj_pipeline_event(b->pipeline, &b->event), TRAJ_ACCEPTED);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void every_frame_in_order_is_decoded(void **state)
{
    struct bench *b = *state;
    assert_true(isnan(traj_pipeline_time(b->pipeline)));
    for (uint64_t i = 0; i < 5; i++) {
        b->frame.device = 100 + i;
        assert_string_equal(told(b, 40 + i, 1 + TINY_BIN * (double)i), "step1");
        assert_int_equal(b->intent.seq, i);
        assert_int_equal(b->intent.frame, 40 + i);
        assert_true(b->intent.t == b->frame.t && traj_pipeline_time(b->pipeline) == b->frame.t);
        assert_int_equal(b->intent.flags, 0);
        assert_true(b->intent.valid);
        assert_int_equal(b->intent.stamps.device, 100 + i);
        assert_true(b->intent.stamps.recv == 7.5 && isnan(b->intent.stamps.done));
    }
    assert_int_equal(b->counters->decoded, 5);
    assert_int_equal(b->counters->gaps, 0);
    assert_int_equal(b->counters->resets, 0);
    assert_int_equal(b->spy.calibrated, 5);
}

static void refused(struct bench *b, uint64_t seq, double t, enum traj_refusal cause)
{
    uint64_t before = b->counters->refused[cause];
    assert_int_equal(frame(b, seq, t), TRAJ_INVALID);
    assert_int_equal(b->refusal, cause);
    assert_int_equal(b->counters->refused[cause], before + 1);
    assert_string_equal(spy_take(&b->spy), "");
}

static void wrong_number_of_units_is_refused(void **state)
{
    struct bench *b = *state;
    b->frame.units = TINY_UNITS - 1;
    refused(b, 0, 1, TRAJ_REFUSED_UNITS);
    b->frame.units = 0;
    refused(b, 0, 1, TRAJ_REFUSED_UNITS);
}

static void wrong_number_of_features_is_refused(void **state)
{
    struct bench *b = *state;
    b->frame.features = 1;
    refused(b, 0, 1, TRAJ_REFUSED_UNITS);
}

static void absurd_counts_are_refused(void **state)
{
    struct bench *b = *state;
    b->counts[4] = 1001;
    refused(b, 0, 1, TRAJ_REFUSED_COUNTS);
    b->counts[4] = 1000;
    assert_string_equal(told(b, 1, 1), "step1");
    b->counts[4] = TRAJ_COUNT_MISSING;
    assert_string_equal(told(b, 2, 1.02), "step1");
}

static void infinite_features_are_refused(void **state)
{
    struct bench *b = *state;
    b->tiny.model.dims.features = 2;
    b->frame.features = 2;
    b->feature[1] = INFINITY;
    refused(b, 0, 1, TRAJ_REFUSED_FIELD);
    b->feature[1] = NAN;
    assert_string_equal(told(b, 0, 1), "step1");
}

static void absurd_times_are_refused(void **state)
{
    struct bench *b = *state;
    refused(b, 0, (double)NAN, TRAJ_REFUSED_FIELD);
    refused(b, 0, (double)INFINITY, TRAJ_REFUSED_FIELD);
    refused(b, 0, -1e13, TRAJ_REFUSED_FIELD);
}

static void absurd_widths_are_refused(void **state)
{
    struct bench *b = *state;
    const double absurd[] = {0, -0.02, 1.9e-5, (double)NAN, (double)INFINITY, 2.01};
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        b->frame.dt = absurd[i];
        refused(b, 0, 1, TRAJ_REFUSED_FIELD);
    }
}

static void a_refused_frame_leaves_no_trace(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    b->counts[0] = 5000;
    for (int i = 0; i < 20; i++)
        refused(b, 1, 1.02, TRAJ_REFUSED_COUNTS);
    traj_pipeline_refuse_frame(b->pipeline, TRAJ_REFUSED_SYNTAX);
    b->counts[0] = 0;
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_int_equal(b->intent.flags, 0);
    assert_int_equal(b->intent.seq, 1);
    assert_int_equal(b->counters->received, 23);
    assert_int_equal(b->counters->invalid, 21);
    assert_int_equal(b->counters->refused[TRAJ_REFUSED_SYNTAX], 1);
}

static void a_duplicate_is_dropped(void **state)
{
    struct bench *b = *state;
    for (uint64_t i = 0; i < 10; i++) {
        (void)told(b, i, 1 + TINY_BIN * (double)i);
        assert_int_equal(frame(b, i, 1 + TINY_BIN * (double)i), TRAJ_DUPLICATE);
        assert_int_equal(b->refusal, TRAJ_ACCEPTED);
    }
    assert_int_equal(frame(b, 3, 99), TRAJ_DUPLICATE);
    assert_string_equal(spy_take(&b->spy), "");
    assert_int_equal(b->counters->duplicate, 11);
    assert_int_equal(b->counters->late, 0);
    assert_int_equal(b->counters->gaps, 0);
    assert_int_equal(b->counters->missing, 0);
}

static void an_overtaken_frame_is_late(void **state)
{
    struct bench *b = *state;
    (void)told(b, 10, 1);
    (void)told(b, 14, 1.08);
    assert_int_equal(b->counters->missing, 3);
    assert_int_equal(frame(b, 12, 1.04), TRAJ_LATE);
    assert_string_equal(spy_take(&b->spy), "");
    assert_int_equal(b->counters->late, 1);
    assert_int_equal(b->counters->missing, 2);
    /* Its copy came before, though never decoded; one from before the run was not missing. */
    assert_int_equal(frame(b, 12, 1.04), TRAJ_DUPLICATE);
    assert_int_equal(frame(b, 9, 0.98), TRAJ_LATE);
    assert_int_equal(b->counters->missing, 2);
}

/* A seq that is absurd makes the sum of those that are missing as large as it gets, and no more. */
static void what_is_missing_never_runs_over(void **state)
{
    struct bench *b = *state;
    assert_int_equal(frame(b, 1, 0), TRAJ_DECODED);
    assert_int_equal(frame(b, UINT64_MAX - 2, 1), TRAJ_DECODED);
    assert_true(b->counters->missing == TRAJ_MISSING_MAX);
    assert_int_equal(frame(b, UINT64_MAX, 2), TRAJ_DECODED);
    assert_true(b->counters->missing == TRAJ_MISSING_MAX);
}

static void a_time_that_is_past_is_late(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    assert_int_equal(frame(b, 1, 1), TRAJ_LATE);
    assert_int_equal(frame(b, 2, 0.9), TRAJ_LATE);
    assert_string_equal(spy_take(&b->spy), "");
    assert_int_equal(b->counters->late, 2);
    assert_int_equal(b->counters->missing, 0);
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_int_equal(b->intent.flags, 0);
}

static void what_left_the_window_is_late_and_not_balanced(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    (void)told(b, TRAJ_ORDER_WINDOW + 5, 1.02);
    assert_int_equal(b->counters->missing, TRAJ_ORDER_WINDOW + 4);
    assert_int_equal(frame(b, 0, 1), TRAJ_LATE);
    assert_int_equal(frame(b, 5, 1), TRAJ_LATE);
    assert_int_equal(b->counters->missing, TRAJ_ORDER_WINDOW + 4);
    assert_int_equal(frame(b, 6, 1), TRAJ_LATE);
    assert_int_equal(b->counters->missing, TRAJ_ORDER_WINDOW + 3);
}

static void seqs_of_a_skipped_stretch_are_not_taken_for_seen(void **state)
{
    struct bench *b = *state;
    uint64_t last = TRAJ_ORDER_WINDOW - 10;
    for (uint64_t i = 0; i <= last; i++)
        (void)told(b, i, TINY_BIN * (double)i);
    /* Those skipped take the places in the window of some that were seen. */
    (void)told(b, last + 20, TINY_BIN * (double)(last + 20));
    assert_int_equal(frame(b, last + 15, 0), TRAJ_LATE);
    assert_int_equal(b->counters->missing, 18);
    assert_int_equal(frame(b, last - 100, 0), TRAJ_DUPLICATE);
}

/* --- gaps ------------------------------------------------------------------------------------- */

static void a_gap_in_seq_is_predicted_over(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 4, 1.08), "step4");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP);
    assert_true(b->intent.valid);
    assert_int_equal(b->counters->gaps, 1);
    assert_int_equal(b->counters->missing, 3);
    assert_int_equal(b->counters->resets, 0);
    /* Even where the times hide it. */
    assert_string_equal(told(b, 6, 1.1), "step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP);
}

static void a_gap_in_time_is_predicted_over(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 1, 1.25), "step13");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP);
    assert_int_equal(b->counters->missing, 0);
    assert_string_equal(told(b, 2, 1.27), "step1");
    assert_int_equal(b->intent.flags, 0);
}

static void half_a_bin_of_jitter_is_no_gap(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 1, 1.0299), "step1");
    assert_int_equal(b->intent.flags, 0);
    assert_string_equal(told(b, 2, 1.0602), "step2");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP);
    assert_string_equal(told(b, 3, 1.061), "step1");
    assert_int_equal(b->intent.flags, 0);
}

static void steps_come_from_the_training_bin_and_exposure_from_the_frame(void **state)
{
    struct bench *b = *state;
    b->frame.dt = 0.06;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 1, 1.06), "step3");
    assert_int_equal(b->intent.flags, 0);
    assert_true(b->spy.dt == 0.06);
    b->frame.dt = 0.005;
    assert_string_equal(told(b, 2, 1.065), "step1");
    assert_int_equal(b->intent.flags, 0);
}

static void beyond_gap_reset_the_posterior_starts_anew(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 1, 1.999), "step50");
    assert_string_equal(told(b, 2, 3.01), "reset step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP | TRAJ_INTENT_RESET);
    assert_int_equal(b->counters->gaps, 2);
    assert_int_equal(b->counters->resets, 1);
}

/* However long a gap may last by the settings, the work of one frame is bounded. */
static void a_gap_of_too_many_bins_starts_anew(void **state)
{
    struct bench *b = *state;
    struct traj_pipeline_settings settings;
    traj_pipeline_settings_default(&settings);
    settings.gap_reset_s = 60;
    start_pipeline(b, &settings);
    const double longest = TRAJ_GAP_BINS_MAX * TINY_BIN;
    (void)told(b, 0, 1);
    assert_string_equal(told(b, 1, 1 + longest), "step1000");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP);
    assert_string_equal(told(b, 2, 1 + 2 * longest + TINY_BIN), "reset step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP | TRAJ_INTENT_RESET);
    /* Nor does a start that is due reach further back. */
    mark(b, TRAJ_EVENT_TRIAL_START, 2 + 2 * longest);
    (void)spy_take(&b->spy);
    assert_string_equal(told(b, 3, 1 + 4 * longest), "reset marks1 start blind1 step1000");
}

/* --- events ----------------------------------------------------------------------------------- */

static void an_event_waits_for_a_frame_later_than_itself(void **state)
{
    struct bench *b = *state;
    session(b, true);
    (void)told(b, 0, 1);
    mark(b, TRAJ_EVENT_TRIAL_START, 1.04);
    assert_string_equal(spy_take(&b->spy), "");
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_string_equal(told(b, 2, 1.04), "step1");
    assert_string_equal(told(b, 3, 1.06), "start step1");
    assert_int_equal(b->intent.flags, 0);
    assert_int_equal(b->counters->events_late, 0);
}

static void events_take_effect_by_time_and_equals_by_arrival(void **state)
{
    struct bench *b = *state;
    session(b, true);
    (void)told(b, 0, 1);
    mark(b, TRAJ_EVENT_GO, 1.03);
    mark(b, TRAJ_EVENT_TRIAL_STOP, 1.035);
    assert_int_equal(prior(b, 1.01, 1, 1, 1), TRAJ_ACCEPTED);
    assert_int_equal(gaze(b, 1.01, 1, 0, 0, 1), TRAJ_ACCEPTED);
    mark(b, TRAJ_EVENT_TRIAL_START, 1.005);
    assert_int_equal(prior(b, 1.01, 1, 2, 1), TRAJ_ACCEPTED);
    (void)spy_take(&b->spy);
    assert_string_equal(told(b, 1, 1.02), "start prior gaze prior step1");
    assert_true(b->spy.prior[1] == 2);
    assert_string_equal(told(b, 2, 1.04), "go stop step1");
}

static void a_late_event_acts_at_once_and_is_flagged(void **state)
{
    struct bench *b = *state;
    session(b, true);
    (void)told(b, 0, 1);
    (void)told(b, 1, 1.02);
    mark(b, TRAJ_EVENT_TRIAL_START, 1.01);
    assert_string_equal(spy_take(&b->spy), "start");
    assert_int_equal(b->counters->events_late, 1);
    assert_string_equal(told(b, 2, 1.04), "step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_LATE_EVENT);
    assert_string_equal(told(b, 3, 1.06), "step1");
    assert_int_equal(b->intent.flags, 0);
}

static void what_only_recordings_use_is_never_late(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    mark(b, TRAJ_EVENT_KINEMATICS, 0.5);
    mark(b, TRAJ_EVENT_TRIAL_LABEL, 0.5);
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_int_equal(b->intent.flags, 0);
    assert_int_equal(b->counters->events_late, 0);
    assert_int_equal(b->counters->event[TRAJ_EVENT_KINEMATICS], 1);
    assert_int_equal(b->counters->event[TRAJ_EVENT_TRIAL_LABEL], 1);
}

static void events_of_later_work_are_counted(void **state)
{
    struct bench *b = *state;
    mark(b, TRAJ_EVENT_EFFECTOR, 0.5);
    assert_string_equal(told(b, 0, 1), "step1");
    mark(b, TRAJ_EVENT_EFFECTOR, 0.6);
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_LATE_EVENT);
    assert_int_equal(b->counters->events, 2);
    assert_int_equal(b->counters->event[TRAJ_EVENT_EFFECTOR], 2);
}

/* A set of targets named t0, t1 ... for a model of two dimensions. */
static enum traj_refusal targets(struct bench *b, double t, size_t count)
{
    struct traj_event *event = new_event(b, TRAJ_EVENT_TARGETS, t);
    event->dim = 2;
    event->ids = count;
    event->count = 2 * count;
    (void)snprintf(event->text, sizeof event->text, "set");
    for (size_t m = 0; m < count; m++) {
        (void)snprintf(event->id[m], sizeof event->id[m], "t%zu", m);
        event->value[2 * m] = (double)m;
    }
    return traj_pipeline_event(b->pipeline, event);
}

static void targets_move_before_the_next_frame(void **state)
{
    struct bench *b = *state;
    session(b, true);
    (void)told(b, 0, 1);
    assert_int_equal(targets(b, 1.01, 5), TRAJ_ACCEPTED);
    assert_string_equal(spy_take(&b->spy), "");
    assert_string_equal(told(b, 1, 1.02), "targets5 step1");
    /* One that is late moves them at once. */
    assert_int_equal(targets(b, 1.015, 4), TRAJ_ACCEPTED);
    assert_string_equal(told(b, 2, 1.04), "targets4 step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_LATE_EVENT);
    /* Too many, or more sets than can wait. */
    assert_int_equal(targets(b, 2, TRAJ_SLOTS_LEAST + 1), TRAJ_REFUSED_SIZE);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(targets(b, 2 + (double)i, 3), TRAJ_ACCEPTED);
    assert_int_equal(targets(b, 7, 3), TRAJ_REFUSED_SIZE);
    assert_string_equal(told(b, 3, 1.06), "step1");
    /* A new session begins with the model's own. */
    session(b, true);
    assert_string_equal(spy_take(&b->spy), "reset believe marks1 targets0");
    assert_string_equal(told(b, 0, 9), "step1");
}

static void a_swapped_decoder_is_carried_too(void **state)
{
    struct bench *b = *state;
    struct traj_decoder other;
    (void)told(b, 0, 1);
    assert_int_equal(targets(b, 1.01, 5), TRAJ_ACCEPTED);
    assert_string_equal(told(b, 1, 1.02), "targets5 step1");
    spy_init(&other, b->spy.model);
    (void)traj_pipeline_swap(b->pipeline, &other);
    assert_string_equal(spy_take(&other), "targets5 marks0");
}

static void opinions_reach_the_decoder(void **state)
{
    struct bench *b = *state;
    struct traj_event *event = new_event(b, TRAJ_EVENT_ESTIMATE, 0.5);
    event->dim = 2;
    event->count = 6;
    event->of = TRAJ_ESTIMATE_VELOCITY;
    event->value[2] = event->value[5] = 1;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_ACCEPTED);
    event = new_event(b, TRAJ_EVENT_ESTIMATE, 0.5);
    event->count = 3;
    event->of = TRAJ_ESTIMATE_TARGETS;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_ACCEPTED);
    assert_string_equal(told(b, 0, 1), "opinion1 opinion2 step1");
    event = new_event(b, TRAJ_EVENT_ESTIMATE, 1.5);
    event->count = 2;
    event->of = TRAJ_ESTIMATE_TARGETS;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_REFUSED_UNITS);
    event = new_event(b, TRAJ_EVENT_ESTIMATE, 1.5);
    event->dim = 2;
    event->count = 6;
    event->value[2] = -1;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_REFUSED_FIELD);
}

static void a_trial_that_begins_inside_a_gap_has_run_since(void **state)
{
    struct bench *b = *state;
    session(b, true);
    (void)told(b, 0, 1);
    /* 10 bins of nothing before the start, its first bin, then 3 more, the frame's the last. */
    mark(b, TRAJ_EVENT_TRIAL_START, 1.2);
    (void)spy_take(&b->spy);
    assert_string_equal(told(b, 14, 1.28), "blind10 start blind1 step3");
    /* A stop at the last frame's time costs nothing; a start one bin before the frame: one bin. */
    mark(b, TRAJ_EVENT_TRIAL_STOP, 1.28);
    mark(b, TRAJ_EVENT_TRIAL_START, 1.48);
    assert_string_equal(told(b, 15, 1.5), "stop blind10 start step1");
    /* Start and go inside one gap. */
    mark(b, TRAJ_EVENT_TRIAL_START, 1.6);
    mark(b, TRAJ_EVENT_GO, 1.7);
    assert_string_equal(told(b, 16, 1.8), "blind5 start blind1 blind4 go blind1 step4");
}

static void a_reset_by_gap_comes_before_the_events_inside_it(void **state)
{
    struct bench *b = *state;
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 2);
    (void)told(b, 0, 2.02);
    (void)told(b, 1, 2.04);
    mark(b, TRAJ_EVENT_TRIAL_STOP, 2.04);
    mark(b, TRAJ_EVENT_TRIAL_START, 4);
    assert_string_equal(told(b, 2, 4.02), "reset start step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_GAP | TRAJ_INTENT_RESET);
    /* Leading bins that are missing count from the start, no further back than gap_reset_s. */
    mark(b, TRAJ_EVENT_TRIAL_START, 8);
    assert_string_equal(told(b, 3, 8.1), "reset start blind1 step4");
    mark(b, TRAJ_EVENT_TRIAL_START, 10);
    assert_string_equal(told(b, 4, 15), "reset start blind1 step49");
}

static void a_gap_reset_ends_the_trial(void **state)
{
    struct bench *b = *state;
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 2);
    (void)told(b, 0, 2.02);
    assert_string_equal(told(b, 1, 5), "reset step1");
    mark(b, TRAJ_EVENT_GO, 5.01);
    mark(b, TRAJ_EVENT_TRIAL_STOP, 5.01);
    assert_string_equal(told(b, 2, 5.02), "step1");
}

static void a_first_frame_counts_from_the_trial_start(void **state)
{
    struct bench *b = *state;
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 0);
    (void)spy_take(&b->spy);
    assert_string_equal(told(b, 0, 0.1), "start blind1 step4");
}

static void a_session_starts_everything_anew(void **state)
{
    struct bench *b = *state;
    session(b, true);
    assert_string_equal(spy_take(&b->spy), "reset believe marks1");
    (void)told(b, 100, 50);
    (void)told(b, 101, 50.02);
    mark(b, TRAJ_EVENT_TRIAL_START, 50.03);
    mark(b, TRAJ_EVENT_EFFECTOR, 49);
    session(b, false);
    assert_string_equal(spy_take(&b->spy), "reset believe marks0");
    assert_true(isnan(traj_pipeline_time(b->pipeline)));
    /* An older seq and time come first now, the waiting start is gone, so is what was late. */
    assert_string_equal(told(b, 0, 1), "step1");
    assert_int_equal(b->intent.seq, 0);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_RESET);
    assert_string_equal(told(b, 1, 60), "reset step1");
    assert_int_equal(b->counters->resets, 3);
}

static void marks_are_believed_when_they_come(void **state)
{
    struct bench *b = *state;
    mark(b, TRAJ_EVENT_TRIAL_STOP, 0.5);
    mark(b, TRAJ_EVENT_GO, 0.6);
    assert_string_equal(told(b, 0, 1), "step1");
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    assert_string_equal(told(b, 1, 1.02), "marks1 start step1");
    mark(b, TRAJ_EVENT_TRIAL_START, 1.02);
    assert_string_equal(told(b, 2, 1.04), "start step1");
    mark(b, TRAJ_EVENT_TRIAL_STOP, 1.04);
    mark(b, TRAJ_EVENT_GO, 1.05);
    assert_string_equal(told(b, 3, 1.06), "stop step1");
}

static void a_copy_of_an_event_has_no_effect(void **state)
{
    struct bench *b = *state;
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    (void)spy_take(&b->spy);
    assert_string_equal(told(b, 0, 1.02), "start step1");
    (void)told(b, 1, 1.04);
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    assert_string_equal(told(b, 2, 1.06), "step1");
    assert_int_equal(b->intent.flags, 0);
    assert_int_equal(b->counters->events_late, 0);
    assert_int_equal(b->counters->events_duplicate, 2);
    /* Other numbers at the same time are another event. */
    assert_int_equal(prior(b, 1.07, 1, 2, 1), TRAJ_ACCEPTED);
    assert_int_equal(prior(b, 1.07, 1, 3, 1), TRAJ_ACCEPTED);
    assert_string_equal(told(b, 3, 1.08), "prior prior step1");
}

static void an_event_that_does_not_fit_the_model_is_refused(void **state)
{
    struct bench *b = *state;
    struct traj_event *event = new_event(b, TRAJ_EVENT_TARGET_PRIOR, 1);
    event->count = 2;
    event->value[0] = 1;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_REFUSED_UNITS);
    assert_int_equal(prior(b, 1, 1, -1, 1), TRAJ_REFUSED_FIELD);
    assert_int_equal(prior(b, 1, 0, 0, 0), TRAJ_REFUSED_FIELD);
    assert_int_equal(prior(b, 1, 0, (double)NAN, 1), TRAJ_REFUSED_FIELD);
    assert_int_equal(prior(b, (double)NAN, 1, 1, 1), TRAJ_REFUSED_FIELD);
    assert_int_equal(gaze(b, 1, 1, 2, 2, 1), TRAJ_REFUSED_FIELD);
    assert_int_equal(gaze(b, 1, 1, 0.5, 0.4, 1), TRAJ_REFUSED_FIELD);
    assert_int_equal(gaze(b, 1, (double)NAN, 0, 0, 1), TRAJ_REFUSED_FIELD);
    event = new_event(b, TRAJ_EVENT_GAZE, 1);
    event->dim = 3;
    event->count = 12;
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_REFUSED_UNITS);
    traj_pipeline_refuse_event(b->pipeline, TRAJ_REFUSED_SYNTAX);
    assert_string_equal(told(b, 0, 2), "step1");
    assert_int_equal(b->counters->events, 10);
    assert_int_equal(b->counters->events_refused[TRAJ_REFUSED_UNITS], 2);
    assert_int_equal(b->counters->events_refused[TRAJ_REFUSED_FIELD], 7);
    assert_int_equal(b->counters->events_refused[TRAJ_REFUSED_SYNTAX], 1);
}

static void too_many_waiting_events_are_refused(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < TRAJ_QUEUE_CAPACITY; i++)
        assert_int_equal(prior(b, 1 + 1e-4 * i, 1, 1, 1), TRAJ_ACCEPTED);
    assert_int_equal(prior(b, 3, 1, 1, 1), TRAJ_REFUSED_SIZE);
    assert_int_equal(frame(b, 0, 2), TRAJ_DECODED);
    (void)spy_take(&b->spy);
    assert_int_equal(prior(b, 3, 1, 1, 1), TRAJ_ACCEPTED);
    assert_int_equal(b->counters->events_refused[TRAJ_REFUSED_SIZE], 1);
}

static enum traj_refusal estimate(struct bench *b, double t, enum traj_estimate_of of)
{
    struct traj_event *event = new_event(b, TRAJ_EVENT_ESTIMATE, t);
    event->of = of;
    event->dim = of == TRAJ_ESTIMATE_TARGETS ? 0 : 2;
    event->count = of == TRAJ_ESTIMATE_TARGETS ? 3 : 6;
    if (event->dim == 2)
        event->value[2] = event->value[5] = 1;
    return traj_pipeline_event(b->pipeline, event);
}

/* A place of the effector at a time; it is told from others by its numbers. */
static enum traj_refusal effector(struct bench *b, double t)
{
    struct traj_event *event = new_event(b, TRAJ_EVENT_EFFECTOR, t);
    event->dim = event->count = 2;
    event->value[0] = t;
    return traj_pipeline_event(b->pipeline, event);
}

/* Whoever steers tells where the effector is, frames or not: that keeps no trial mark out. */
static void what_is_superseded_gives_way_when_too_many_wait(void **state)
{
    struct bench *b = *state;
    session(b, true); /* event 1 */
    assert_int_equal(frame(b, 0, 1), TRAJ_DECODED);
    assert_int_equal(estimate(b, 1.001, TRAJ_ESTIMATE_TARGETS), TRAJ_ACCEPTED); /* 2 */
    assert_int_equal(gaze(b, 1.001, 1, 0, 0, 1), TRAJ_ACCEPTED);                /* 3 */
    for (int i = 0; i < 300; i++)                                               /* 4 to 303 */
        assert_int_equal(effector(b, 1.002 + 1e-3 * i), TRAJ_ACCEPTED);
    mark(b, TRAJ_EVENT_TRIAL_START, 1.0015);                                     /* 304 */
    mark(b, TRAJ_EVENT_GO, 1.5);                                                 /* 305 */
    assert_int_equal(estimate(b, 1.6, TRAJ_ESTIMATE_VELOCITY), TRAJ_ACCEPTED);   /* 306 */
    assert_int_equal(estimate(b, 1.0011, TRAJ_ESTIMATE_TARGETS), TRAJ_ACCEPTED); /* 307, for 2 */
    assert_int_equal(b->counters->events_superseded, 2 + 300 + 3 + 1 - TRAJ_QUEUE_CAPACITY);
    (void)spy_take(&b->spy);
    const char *words = told(b, 1, 1.9);
    assert_non_null(strstr(words, "start"));
    assert_non_null(strstr(words, "go"));
    size_t count;
    const uint64_t *effect = traj_pipeline_effects(b->pipeline, &count);
    assert_int_equal(count, TRAJ_QUEUE_CAPACITY);
    /* Neither the one gaze nor the last of the targets; of effectors the earliest. */
    assert_int_equal(effect[0], 3);
    assert_int_equal(effect[1], 307);
    assert_int_equal(effect[2], 304);
    assert_int_equal(effect[3], 304 - (TRAJ_QUEUE_CAPACITY - 5));
    assert_int_equal(effect[count - 3], 303);
    assert_int_equal(b->counters->events_refused[TRAJ_REFUSED_SIZE], 0);
}

/* Where nothing is superseded the newest is refused, and the last word of each kind stays. */
static void what_is_not_superseded_does_not_give_way(void **state)
{
    struct bench *b = *state;
    assert_int_equal(effector(b, 1), TRAJ_ACCEPTED);
    assert_int_equal(estimate(b, 1, TRAJ_ESTIMATE_POSITION), TRAJ_ACCEPTED);
    assert_int_equal(estimate(b, 1, TRAJ_ESTIMATE_VELOCITY), TRAJ_ACCEPTED);
    for (int i = 3; i < TRAJ_QUEUE_CAPACITY; i++)
        assert_int_equal(prior(b, 2 + 1e-4 * i, 1, 1, 1), TRAJ_ACCEPTED);
    assert_int_equal(prior(b, 3, 1, 1, 1), TRAJ_REFUSED_SIZE);
    assert_int_equal(gaze(b, 3, 1, 0, 0, 1), TRAJ_REFUSED_SIZE);
    /* One that is older than what waits supersedes nothing. */
    assert_int_equal(effector(b, 0.5), TRAJ_REFUSED_SIZE);
    assert_int_equal(effector(b, 3), TRAJ_ACCEPTED);
    assert_int_equal(b->counters->events_superseded, 1);
    assert_int_equal(frame(b, 0, 4), TRAJ_DECODED);
    size_t count;
    const uint64_t *effect = traj_pipeline_effects(b->pipeline, &count);
    assert_int_equal(count, TRAJ_QUEUE_CAPACITY);
    assert_int_equal(effect[0], 2);
    assert_int_equal(effect[1], 3);
    assert_int_equal(effect[count - 1], TRAJ_QUEUE_CAPACITY + 4);
}

/* --- what is published ------------------------------------------------------------------------ */

static void nothing_but_finite_numbers_is_published(void **state)
{
    struct bench *b = *state;
    double *places[] = {b->spy.position + 1, b->spy.position_cov + 2, b->spy.velocity,
                        b->spy.velocity_cov + 3, b->spy.target_prob + 2};
    uint64_t seq = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        double good = *places[i];
        *places[i] = i % 2 == 0 ? (double)NAN : -(double)INFINITY;
        /* The posterior is not left as it is: the next frame starts from the prior. */
        assert_string_equal(told(b, seq, 1 + TINY_BIN * (double)seq), "step1 reset");
        seq++;
        assert_false(b->intent.valid);
        assert_null(b->intent.position);
        assert_null(b->intent.position_cov);
        assert_null(b->intent.velocity);
        assert_null(b->intent.velocity_cov);
        assert_null(b->intent.target_prob);
        assert_null(b->intent.target);
        assert_true(isnan(b->intent.free_prob) && isnan(b->intent.log_evidence));
        assert_true((b->intent.flags & TRAJ_INTENT_RECOVERED) != 0);
        *places[i] = good;
        (void)told(b, seq, 1 + TINY_BIN * (double)seq);
        seq++;
        assert_int_equal(b->intent.flags, TRAJ_INTENT_RESET);
        assert_true(b->intent.valid);
    }
    b->spy.estimate.log_evidence = -(double)INFINITY;
    b->spy.estimate.eta = (double)INFINITY;
    (void)told(b, seq, 1 + TINY_BIN * (double)seq);
    assert_true(isnan(b->intent.log_evidence) && isnan(b->intent.eta) && b->intent.valid);
}

static void a_step_that_fails_publishes_nothing(void **state)
{
    struct bench *b = *state;
    b->spy.answer = TRAJ_E_RANGE;
    assert_string_equal(told(b, 0, 1), "step1 reset");
    assert_false(b->intent.valid);
    assert_null(b->intent.position);
    assert_int_equal(b->spy.calibrated, 0);
}

static void a_recovered_posterior_is_not_valid(void **state)
{
    struct bench *b = *state;
    b->spy.estimate.flags = TRAJ_FLAG_RECOVERED;
    (void)told(b, 0, 1);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_RECOVERED);
    assert_false(b->intent.valid);
    assert_non_null(b->intent.position);
    assert_int_equal(b->counters->recovered, 1);
    b->spy.estimate.flags = 0;
    (void)told(b, 1, 1.02);
    assert_int_equal(b->intent.flags, 0);
    assert_true(b->intent.valid);
}

static void what_is_steered_says_so(void **state)
{
    struct bench *b = *state;
    b->spy.estimate.flags = TRAJ_FLAG_STEERED;
    (void)told(b, 0, 1);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_STEERED);
    assert_true(b->intent.valid);
    b->spy.estimate.flags = 0;
    (void)told(b, 1, 1.02);
    assert_int_equal(b->intent.flags, 0);
}

static void what_tells_of_no_unit_is_not_valid_for_long(void **state)
{
    struct bench *b = *state;
    uint16_t seen[TINY_UNITS];
    memcpy(seen, b->counts, sizeof seen);
    for (size_t n = 0; n < TINY_UNITS; n++)
        b->counts[n] = TRAJ_COUNT_MISSING;
    (void)told(b, 0, 1);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_UNOBSERVED);
    assert_false(b->intent.valid);
    assert_non_null(b->intent.position);
    b->counts[1] = 0; /* nothing counted is something observed */
    (void)told(b, 1, 1.02);
    assert_true(b->intent.flags == 0 && b->intent.valid);
    b->counts[1] = TRAJ_COUNT_MISSING;
    for (uint64_t seq = 2; seq <= 60; seq++) {
        const double t = 1 + TINY_BIN * (double)seq;
        (void)told(b, seq, t);
        const bool predicted = t - 1.02 <= 1.0;
        assert_int_equal(b->intent.flags, predicted ? 0 : TRAJ_INTENT_UNOBSERVED);
        assert_int_equal(b->intent.valid, predicted);
    }
    memcpy(b->counts, seen, sizeof seen);
    (void)told(b, 61, 1 + TINY_BIN * 61);
    assert_true(b->intent.flags == 0 && b->intent.valid);
    /* A posterior that starts anew has seen nothing. */
    traj_pipeline_reset(b->pipeline);
    for (size_t n = 0; n < TINY_UNITS; n++)
        b->counts[n] = TRAJ_COUNT_MISSING;
    (void)told(b, 62, 1 + TINY_BIN * 62);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_UNOBSERVED | TRAJ_INTENT_RESET);
    assert_false(b->intent.valid);
}

/* The longest that readers find a velocity, who add its squares in orders of their own. */
static double longest_norm(const double *v)
{
    const double forth = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    const double back = sqrt(v[2] * v[2] + v[1] * v[1] + v[0] * v[0]);
    return fmax(fmax(forth, back), hypot(hypot(v[0], v[1]), v[2]));
}

/* Whether it was scaled down; no reader finds it above the limit in any case. */
static bool hold(const double *velocity, double limit)
{
    double v[3];
    memcpy(v, velocity, sizeof v);
    const bool scaled = traj_limit_speed(v, 3, limit);
    assert_true(longest_norm(v) <= limit);
    assert_true(!scaled || longest_norm(v) > limit * (1 - 1e-14));
    assert_true(scaled || memcmp(v, velocity, sizeof v) == 0);
    return scaled;
}

static void no_rounding_finds_a_speed_above_its_limit(void **state)
{
    (void)state;
    uint64_t seed = 20;
    size_t scaled = 0, all = 200000;
    for (size_t i = 0; i < all; i++) {
        const double limit = 0.01 + 10 * tiny_uniform(&seed);
        double v[3];
        for (size_t d = 0; d < 3; d++)
            v[d] = 100 * tiny_uniform(&seed) - 50;
        scaled += hold(v, limit);
        /* At the limit itself, and a rounding error to either side of it. */
        const double norm = longest_norm(v);
        scaled += hold(v, nextafter(norm, 0));
        scaled += hold(v, norm);
        scaled += hold(v, nextafter(norm, INFINITY));
        const double same[3] = {v[0], v[0], v[0]};
        scaled += hold(same, nextafter(longest_norm(same), 0));
        /* What is clearly below it is left as it is. */
        assert_false(hold(v, norm * (1 + 1e-14)));
    }
    assert_true(scaled > 2 * all);
}

static void speed_is_held_at_its_limit(void **state)
{
    struct bench *b = *state;
    struct traj_pipeline_settings settings;
    traj_pipeline_settings_default(&settings);
    settings.speed_limit = 2.5;
    start_pipeline(b, &settings);
    (void)told(b, 0, 1);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_LIMITED);
    assert_true(fabs(b->intent.velocity[0] - 1.5) < 1e-14);
    assert_true(fabs(b->intent.velocity[1] - 2) < 1e-14);
    assert_true(b->intent.valid && b->spy.velocity[0] == 3);
    assert_int_equal(b->counters->limited, 1);
    b->spy.velocity[0] = 1.5;
    b->spy.velocity[1] = 2 * (1 - 1e-14);
    (void)told(b, 1, 1.02);
    assert_int_equal(b->intent.flags, 0);
    b->spy.velocity[0] = 1e300;
    b->spy.velocity[1] = 1e300;
    (void)told(b, 2, 1.04);
    assert_true(fabs(b->intent.velocity[0] - 2.5 / sqrt(2)) < 1e-12);
}

static void position_is_held_inside_the_workspace(void **state)
{
    struct bench *b = *state;
    struct traj_pipeline_settings settings;
    traj_pipeline_settings_default(&settings);
    settings.workspace = true;
    settings.low[0] = -5;
    settings.high[0] = 0.5;
    settings.low[1] = 2.25;
    settings.high[1] = 5;
    start_pipeline(b, &settings);
    (void)told(b, 0, 1);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_LIMITED);
    assert_true(b->intent.position[0] == 0.5 && b->intent.position[1] == 2.25);
    assert_true(b->intent.velocity[0] == 3 && b->intent.valid);
    b->spy.position[0] = 0;
    b->spy.position[1] = 3;
    (void)told(b, 1, 1.02);
    assert_int_equal(b->intent.flags, 0);
    assert_int_equal(b->counters->limited, 1);
}

static void a_pause_stops_what_is_driven_and_not_the_estimator(void **state)
{
    struct bench *b = *state;
    (void)told(b, 0, 1);
    traj_pipeline_pause(b->pipeline, true);
    assert_true(traj_pipeline_paused(b->pipeline));
    assert_string_equal(told(b, 1, 1.02), "step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_PAUSED);
    assert_false(b->intent.valid);
    assert_true(b->intent.velocity[0] == 0 && b->intent.velocity[1] == 0);
    assert_true(b->intent.position[0] == 1);
    assert_int_equal(b->counters->paused, 1);
    /* It outlasts a session and ends when it is told to. */
    session(b, true);
    (void)told(b, 0, 1);
    assert_false(b->intent.valid);
    traj_pipeline_pause(b->pipeline, false);
    (void)told(b, 1, 1.02);
    assert_true(b->intent.valid && b->intent.velocity[0] == 3);
    assert_int_equal(b->intent.flags, 0);
}

static void target_state_and_names_are_published(void **state)
{
    struct bench *b = *state;
    b->spy.target_prob[0] = 0.2;
    b->spy.target_prob[1] = 0.35;
    b->spy.target_prob[2] = 0.35;
    (void)told(b, 0, 1);
    assert_string_equal(b->intent.target, "t1");
    assert_int_equal(b->intent.targets, TINY_TARGETS);
    assert_true(b->intent.target_prob[2] == 0.35 && b->intent.free_prob == 0.1);
    assert_string_equal(b->intent.target_set, "ring3");
    assert_memory_equal(b->intent.model, "0123456789ab", 12);
    assert_null(b->intent.state);
    assert_true(isnan(b->intent.state_prob[0]) && isnan(b->intent.progress));
    assert_true(b->intent.log_evidence == -2.5);
    assert_int_equal(b->intent.dim, TINY_DIM);
    b->spy.estimate.phase = TRAJ_PHASE_PLAN;
    b->spy.estimate.progress = 0.25;
    (void)told(b, 1, 1.02);
    assert_string_equal(b->intent.state, "plan");
    assert_true(b->intent.progress == 0.25);
    b->spy.estimate.phase = TRAJ_PHASE_MOVE;
    (void)told(b, 2, 1.04);
    assert_string_equal(b->intent.state, "move");
    /* A model that knows where on a movement it is says so, whatever the trial's marks are. */
    const double place[TRAJ_PLACES] = {0.125, 0.25, 0, 0.25, 0.125, 0.25};
    b->spy.estimate.place_prob = place;
    (void)told(b, 3, 1.06);
    assert_string_equal(b->intent.state, "plan");
    assert_memory_equal(b->intent.state_prob, place, sizeof place);
    const double broken[TRAJ_PLACES] = {0.5, 0.5, (double)NAN};
    b->spy.estimate.place_prob = broken;
    (void)told(b, 4, 1.08);
    assert_null(b->intent.state);
}

static void a_model_without_targets_publishes_none(void **state)
{
    struct bench *b = *state;
    b->tiny.model.dims.targets = 0;
    b->tiny.model.about.digest[0] = '\0';
    b->spy.estimate.target_prob = NULL;
    (void)told(b, 0, 1);
    assert_null(b->intent.target);
    assert_null(b->intent.target_prob);
    assert_null(b->intent.target_set);
    assert_null(b->intent.model);
    assert_true(b->intent.valid);
    struct traj_event *event = new_event(b, TRAJ_EVENT_TARGET_PRIOR, 2);
    assert_int_equal(traj_pipeline_event(b->pipeline, event), TRAJ_REFUSED_UNITS);
}

/* --- commands --------------------------------------------------------------------------------- */

static void a_reset_ends_the_trial_and_keeps_the_order(void **state)
{
    struct bench *b = *state;
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    (void)told(b, 0, 1.02);
    traj_pipeline_reset(b->pipeline);
    assert_string_equal(spy_take(&b->spy), "reset believe");
    mark(b, TRAJ_EVENT_TRIAL_STOP, 1.03);
    assert_string_equal(told(b, 1, 1.04), "step1");
    assert_int_equal(b->intent.flags, TRAJ_INTENT_RESET);
    assert_int_equal(b->intent.seq, 1);
    assert_int_equal(b->counters->resets, 2);
    assert_int_equal(frame(b, 1, 1.04), TRAJ_DUPLICATE);
}

static void a_swap_carries_marks_and_trial_over(void **state)
{
    struct bench *b = *state;
    struct traj_decoder *other = malloc(sizeof *other);
    assert_non_null(other);
    session(b, true);
    mark(b, TRAJ_EVENT_TRIAL_START, 1);
    b->spy.estimate.phase = TRAJ_PHASE_PLAN;
    (void)told(b, 0, 1.02);
    spy_init(other, &b->tiny.model);
    assert_ptr_equal(traj_pipeline_swap(b->pipeline, other), &b->spy);
    assert_string_equal(spy_take(other), "marks1 start");
    other->estimate.phase = TRAJ_PHASE_MOVE;
    assert_int_equal(frame(b, 1, 1.04), TRAJ_DECODED);
    assert_int_equal(b->intent.flags, TRAJ_INTENT_MODEL);
    assert_string_equal(spy_take(other), "step1");
    /* Movement had begun: the new decoder is told so. */
    spy_init(&b->spy, &b->tiny.model);
    assert_ptr_equal(traj_pipeline_swap(b->pipeline, &b->spy), other);
    assert_string_equal(spy_take(&b->spy), "marks1 start go");
    mark(b, TRAJ_EVENT_TRIAL_STOP, 1.05);
    assert_string_equal(told(b, 2, 1.06), "stop step1");
    spy_init(other, &b->tiny.model);
    (void)traj_pipeline_swap(b->pipeline, other);
    assert_string_equal(spy_take(other), "marks1");
    free(other);
}

static void numbers_for_a_former_model_are_passed_over(void **state)
{
    struct bench *b = *state;
    struct tiny_model *other = malloc(sizeof *other);
    struct traj_decoder *spy = malloc(sizeof *spy);
    assert_non_null(other);
    assert_non_null(spy);
    tiny_model_init(other);
    other->model.dims.targets = 2;
    spy_init(spy, &other->model);
    assert_int_equal(prior(b, 1, 1, 1, 1), TRAJ_ACCEPTED);
    (void)traj_pipeline_swap(b->pipeline, spy);
    (void)spy_take(spy);
    assert_int_equal(frame(b, 0, 2), TRAJ_DECODED);
    assert_string_equal(spy_take(spy), "step1");
    free(other);
    free(spy);
}

static void settings_out_of_range_are_named(void **state)
{
    struct bench *b = *state;
    struct traj_pipeline_settings s;
    traj_pipeline_settings_default(&s);
    assert_null(traj_pipeline_settings_check(&s, 2));
    assert_true(s.gap_reset_s == 1.0 && s.count_max == 1000);
    s.gap_reset_s = -1;
    assert_string_equal(traj_pipeline_settings_check(&s, 2), "gap_reset_s");
    s.gap_reset_s = (double)NAN;
    assert_string_equal(traj_pipeline_settings_check(&s, 2), "gap_reset_s");
    traj_pipeline_settings_default(&s);
    s.count_max = 65535;
    assert_string_equal(traj_pipeline_settings_check(&s, 2), "count_max");
    traj_pipeline_settings_default(&s);
    s.speed_limit = (double)INFINITY;
    assert_string_equal(traj_pipeline_settings_check(&s, 2), "speed_limit");
    traj_pipeline_settings_default(&s);
    s.workspace = true;
    assert_string_equal(traj_pipeline_settings_check(&s, 2), "workspace");
    assert_null(traj_pipeline_init(b->memory, traj_pipeline_size(), &b->spy, &s));
    s.high[0] = s.high[1] = 1;
    assert_null(traj_pipeline_settings_check(&s, 2));
    assert_null(traj_pipeline_init(b->memory, traj_pipeline_size() - 1, &b->spy, &s));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_frame_in_order_is_decoded),
        TEST(wrong_number_of_units_is_refused),
        TEST(wrong_number_of_features_is_refused),
        TEST(absurd_counts_are_refused),
        TEST(infinite_features_are_refused),
        TEST(absurd_times_are_refused),
        TEST(absurd_widths_are_refused),
        TEST(a_refused_frame_leaves_no_trace),
        TEST(a_duplicate_is_dropped),
        TEST(an_overtaken_frame_is_late),
        TEST(what_is_missing_never_runs_over),
        TEST(a_time_that_is_past_is_late),
        TEST(what_left_the_window_is_late_and_not_balanced),
        TEST(seqs_of_a_skipped_stretch_are_not_taken_for_seen),
        TEST(a_gap_in_seq_is_predicted_over),
        TEST(a_gap_in_time_is_predicted_over),
        TEST(half_a_bin_of_jitter_is_no_gap),
        TEST(steps_come_from_the_training_bin_and_exposure_from_the_frame),
        TEST(beyond_gap_reset_the_posterior_starts_anew),
        TEST(a_gap_of_too_many_bins_starts_anew),
        TEST(an_event_waits_for_a_frame_later_than_itself),
        TEST(events_take_effect_by_time_and_equals_by_arrival),
        TEST(a_late_event_acts_at_once_and_is_flagged),
        TEST(what_only_recordings_use_is_never_late),
        TEST(events_of_later_work_are_counted),
        TEST(targets_move_before_the_next_frame),
        TEST(a_swapped_decoder_is_carried_too),
        TEST(opinions_reach_the_decoder),
        TEST(a_trial_that_begins_inside_a_gap_has_run_since),
        TEST(a_reset_by_gap_comes_before_the_events_inside_it),
        TEST(a_gap_reset_ends_the_trial),
        TEST(a_first_frame_counts_from_the_trial_start),
        TEST(a_session_starts_everything_anew),
        TEST(marks_are_believed_when_they_come),
        TEST(a_copy_of_an_event_has_no_effect),
        TEST(an_event_that_does_not_fit_the_model_is_refused),
        TEST(too_many_waiting_events_are_refused),
        TEST(what_is_superseded_gives_way_when_too_many_wait),
        TEST(what_is_not_superseded_does_not_give_way),
        TEST(nothing_but_finite_numbers_is_published),
        TEST(a_step_that_fails_publishes_nothing),
        TEST(a_recovered_posterior_is_not_valid),
        TEST(what_is_steered_says_so),
        TEST(what_tells_of_no_unit_is_not_valid_for_long),
        TEST(no_rounding_finds_a_speed_above_its_limit),
        TEST(speed_is_held_at_its_limit),
        TEST(position_is_held_inside_the_workspace),
        TEST(a_pause_stops_what_is_driven_and_not_the_estimator),
        TEST(target_state_and_names_are_published),
        TEST(a_model_without_targets_publishes_none),
        TEST(a_reset_ends_the_trial_and_keeps_the_order),
        TEST(a_swap_carries_marks_and_trial_over),
        TEST(numbers_for_a_former_model_are_passed_over),
        TEST(settings_out_of_range_are_named),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
