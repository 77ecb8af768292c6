/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A second model beside the first; see shadow.h. */
#include "daemon/io/shadow.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/io/clock.h"
#include "daemon/learn/rerun.h"
#include "proto/intent.h"

struct traj_shadow {
    struct traj_loaded *loaded;
    struct traj_rerun *rerun;
    char *out;
    size_t out_cap;
    struct traj_intent_buffer main; /* the first model's intent */
    /* Of the last frame, until the first model's intent of it has come. */
    bool waiting;
    uint64_t frame; /* its index of decoded frames, as the first model counts them */
    size_t dim;
    double evidence;
    double position[TRAJ_DIM_MAX];
    uint64_t decoded, lost, compared;
    double evidence_sum, main_sum, apart_sum;
};

static int fill(struct traj_shadow *self, const char *path, struct traj_error *error)
{
    struct traj_rerun_options options = {NULL, 0, false, false, NULL};
    const struct traj_dims *dims;

    self->loaded = traj_loaded_open(path, error);
    if (self->loaded == NULL) {
        return -1;
    }
    dims = &self->loaded->model->dims;
    options.pinned = self->loaded->model;
    self->rerun = traj_rerun_open(&options, error);
    self->out_cap = traj_intent_size(dims->position, dims->targets);
    self->out = malloc(self->out_cap);
    if (self->out == NULL) {
        return traj_error_set(error, "out of memory");
    }
    return self->rerun != NULL ? 0 : -1;
}

struct traj_shadow *traj_shadow_open(const char *path, struct traj_error *error)
{
    struct traj_shadow *self = calloc(1, sizeof *self);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    if (fill(self, path, error) != 0) {
        traj_shadow_close(&self);
    }
    return self;
}

void traj_shadow_close(struct traj_shadow **shadow)
{
    struct traj_shadow *self = *shadow;

    if (self == NULL) {
        return;
    }
    traj_rerun_close(self->rerun);
    traj_loaded_close(&self->loaded);
    free(self->out);
    free(self);
    *shadow = NULL;
}

/* Leaves the intent to be published, and keeps what is to be compared with the first model's. */
static void tell(struct traj_shadow *self, const struct traj_record *record,
                 struct traj_intent *intent, struct traj_exchange *exchange)
{
    size_t size;

    intent->stamps.done = traj_clock_now();
    size = traj_intent_write(intent, self->out, self->out_cap);
    if (size == 0 || !traj_exchange_leave(exchange, TRAJ_SHADOW_TOPIC, self->out, size)) {
        self->lost++;
    }
    self->decoded++;
    self->waiting = intent->position != NULL;
    self->frame = record->frame;
    self->evidence = intent->log_evidence;
    self->dim = intent->dim;
    for (size_t d = 0; self->waiting && d < intent->dim; d++) {
        self->position[d] = intent->position[d];
    }
}

static void compare(struct traj_shadow *self, const struct traj_record *record)
{
    uint64_t effect[TRAJ_RECORDING_EFFECTS];
    size_t effects, size;
    const void *body;
    const struct traj_intent *main = &self->main.intent;
    double square = 0.0;

    if (!self->waiting || record->frame != self->frame ||
        !traj_recorded_intent(record, effect, &effects, &body, &size) ||
        traj_intent_parse(body, size, &self->main, NULL) != TRAJ_ACCEPTED ||
        main->position == NULL || main->dim != self->dim || !isfinite(main->log_evidence) ||
        !isfinite(self->evidence)) {
        return;
    }
    for (size_t d = 0; d < self->dim; d++) {
        square += (main->position[d] - self->position[d]) * (main->position[d] - self->position[d]);
    }
    self->waiting = false;
    self->compared++;
    self->evidence_sum += self->evidence;
    self->main_sum += main->log_evidence;
    self->apart_sum += sqrt(square);
}

int traj_shadow_take(struct traj_shadow *shadow, const struct traj_record *record,
                     struct traj_exchange *exchange, struct traj_error *error)
{
    struct traj_recording_item item = {.found = TRAJ_FOUND_RECORD, .record = *record};
    struct traj_rerun_result result;

    if (record->kind == TRAJ_RECORD_INTENT) {
        compare(shadow, record);
        return 0;
    }
    if (traj_rerun_take(shadow->rerun, &item, &result, error) != 0) {
        return -1;
    }
    if (result.decoded) {
        tell(shadow, record, &result.intent, exchange);
    }
    return 0;
}

const struct traj_loaded *traj_shadow_model(const struct traj_shadow *shadow)
{
    return shadow->loaded;
}

void traj_shadow_state(const struct traj_shadow *shadow, struct traj_shadow_state *state)
{
    double count = (double)shadow->compared;

    state->decoded = shadow->decoded;
    state->lost = shadow->lost;
    state->compared = shadow->compared;
    state->evidence = shadow->evidence_sum / count;
    state->main = shadow->main_sum / count;
    state->apart = shadow->apart_sum / count;
}
