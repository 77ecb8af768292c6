/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a sequence of messages and commands to parser, pipeline and a small estimator.  The
 * input is lines; the first byte says what a line is:
 *     F body   a frame as it stands on the wire        E body   an event likewise
 *     f abcd.. a frame near the last one: seq on by a - 'a', t by b - 'a' half bins, dt = c - 'a'
 *              half bins, then a count of each unit
 *     R reset   P pause   C go on   S put a fresh decoder in the former's place
 * After each line the sums must hold, an intent must be writable and readable, and what was dropped
 * must not have moved anything but counters.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/pipeline.h"
#include "tests/common/tiny_model.h"
#include "tests/fuzz/require.h"

enum { ROOM = 64, LINES_MAX = 500 };

/* What the whole run needs; made once, as a fuzzer calls the entry point many times. */
struct rig {
    struct tiny_model tiny;
    void *memory[2]; /* of the decoder in use and of the next one */
    void *pipeline_memory;
    struct traj_pipeline *pipeline;
    struct traj_event event;
    uint64_t seq; /* of the last frame sent, and its time */
    double t;
    uint64_t intents; /* since the run began */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

static struct traj_decoder *make_decoder(struct rig *rig, void *memory)
{
    struct traj_decoder *decoder = NULL;
    REQUIRE(traj_decoder_init(memory, traj_decoder_size(&rig->tiny.model.dims), &rig->tiny.model,
                              NULL, &decoder) == TRAJ_OK);
    return decoder;
}

static void check_sums(const struct traj_counters *c)
{
    uint64_t refused = 0;
    uint64_t events = 0;
    for (size_t i = 0; i < TRAJ_REFUSALS; i++) {
        refused += c->refused[i];
        events += c->events_refused[i];
    }
    for (size_t i = 0; i < TRAJ_EVENT_KINDS; i++)
        events += c->event[i];
    REQUIRE(c->received == c->decoded + c->late + c->duplicate + c->invalid);
    REQUIRE(refused == c->invalid && events == c->events);
    REQUIRE(c->recovered == 0); /* a count that the checks let through breaks no estimator */
}

static void check_intent(struct rig *rig, const struct traj_intent *intent, double before)
{
    static char out[8192];
    static struct traj_intent_buffer parsed;
    REQUIRE(intent->seq == rig->intents++);
    REQUIRE(intent->t == traj_pipeline_time(rig->pipeline));
    REQUIRE(isnan(before) || intent->t > before);
    /* Frames without any number for long are a prediction and no more. */
    const bool unobserved = (intent->flags & TRAJ_INTENT_UNOBSERVED) != 0;
    REQUIRE(intent->valid == (!traj_pipeline_paused(rig->pipeline) && !unobserved));
    REQUIRE(intent->position != NULL && intent->velocity != NULL);
    size_t length = traj_intent_write(intent, out, sizeof out);
    REQUIRE(length > 0 && length <= traj_intent_size(TINY_DIM, TINY_TARGETS));
    REQUIRE(traj_intent_parse(out, length, &parsed, NULL) == TRAJ_ACCEPTED);
    REQUIRE(parsed.intent.flags == intent->flags);
    double sum = parsed.intent.free_prob;
    for (size_t m = 0; m < parsed.intent.targets; m++)
        sum += parsed.intent.target_prob[m];
    REQUIRE(fabs(sum - 1) < 1e-9);
}

static void take_frame(struct rig *rig, const struct traj_frame *frame)
{
    double before = traj_pipeline_time(rig->pipeline);
    struct traj_intent intent;
    enum traj_refusal refusal;
    enum traj_disposition disposition =
        traj_pipeline_frame(rig->pipeline, frame, 1.0, &intent, &refusal);
    REQUIRE((disposition == TRAJ_INVALID) == (refusal != TRAJ_ACCEPTED));
    if (disposition == TRAJ_DECODED) {
        ACCEPTED(0);
        check_intent(rig, &intent, before);
        rig->seq = frame->seq;
        rig->t = frame->t;
        /* At once again it is a copy. */
        REQUIRE(traj_pipeline_frame(rig->pipeline, frame, 1.0, &intent, NULL) == TRAJ_DUPLICATE);
    } else {
        double after = traj_pipeline_time(rig->pipeline);
        REQUIRE(after == before || (isnan(after) && isnan(before)));
    }
}

static void take_body(struct rig *rig, const uint8_t *body, size_t size)
{
    uint16_t counts[ROOM];
    float feature[ROOM];
    struct traj_frame frame = {
        .counts = counts, .feature = feature, .units_max = ROOM, .features_max = ROOM};
    enum traj_refusal refusal = traj_frame_parse(body, size, &frame, NULL);
    if (refusal != TRAJ_ACCEPTED)
        traj_pipeline_refuse_frame(rig->pipeline, refusal);
    else
        take_frame(rig, &frame);
}

static void take_near(struct rig *rig, const uint8_t *line, size_t size)
{
    uint16_t counts[TINY_UNITS] = {0};
    int step[3] = {1, 2, 2};
    for (size_t i = 0; i < size && i < 3; i++)
        step[i] = line[i] - 'a';
    for (size_t n = 0; n + 3 < size && n < TINY_UNITS; n++)
        counts[n] = (uint16_t)(line[n + 3] == '-' ? TRAJ_COUNT_MISSING : line[n + 3] * 4u);
    struct traj_frame frame = {.seq = rig->seq + (uint64_t)(int64_t)step[0],
                               .t = rig->t + TINY_BIN / 2 * step[1],
                               .dt = TINY_BIN / 2 * step[2],
                               .units = TINY_UNITS,
                               .counts = counts};
    take_frame(rig, &frame);
}

static void take_event(struct rig *rig, const uint8_t *body, size_t size)
{
    enum traj_refusal refusal = traj_event_parse(body, size, &rig->event, NULL);
    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_event(rig->pipeline, refusal);
        return;
    }
    ACCEPTED(1);
    if (rig->event.kind == TRAJ_EVENT_SESSION)
        rig->intents = 0;
    (void)traj_pipeline_event(rig->pipeline, &rig->event);
}

static void swap(struct rig *rig)
{
    void *former = rig->memory[0];
    (void)traj_pipeline_swap(rig->pipeline, make_decoder(rig, rig->memory[1]));
    rig->memory[0] = rig->memory[1];
    rig->memory[1] = former;
}

static void take_line(struct rig *rig, const uint8_t *line, size_t size)
{
    if (size == 0)
        return;
    switch (line[0]) {
    case 'F':
        take_body(rig, line + 1, size - 1);
        break;
    case 'f':
        take_near(rig, line + 1, size - 1);
        break;
    case 'E':
        take_event(rig, line + 1, size - 1);
        break;
    case 'R':
        traj_pipeline_reset(rig->pipeline);
        break;
    case 'P':
        traj_pipeline_pause(rig->pipeline, true);
        break;
    case 'C':
        traj_pipeline_pause(rig->pipeline, false);
        break;
    case 'S':
        swap(rig);
        break;
    default:
        break;
    }
    check_sums(traj_pipeline_counters(rig->pipeline));
}

static struct rig *the_rig(void)
{
    static struct rig rig;
    if (rig.pipeline_memory == NULL) {
        tiny_model_init(&rig.tiny);
        tiny_model_add_plan(&rig.tiny);
        for (size_t i = 0; i < 2; i++) {
            rig.memory[i] = malloc(traj_decoder_size(&rig.tiny.model.dims));
            REQUIRE(rig.memory[i] != NULL);
        }
        rig.pipeline_memory = malloc(traj_pipeline_size());
        REQUIRE(rig.pipeline_memory != NULL);
    }
    return &rig;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig *rig = the_rig();
    struct traj_pipeline_settings settings;
    traj_pipeline_settings_default(&settings);
    settings.speed_limit = 200;
    settings.workspace = true;
    for (size_t d = 0; d < TINY_DIM; d++) {
        settings.low[d] = -80;
        settings.high[d] = 80;
    }
    rig->pipeline = traj_pipeline_init(rig->pipeline_memory, traj_pipeline_size(),
                                       make_decoder(rig, rig->memory[0]), &settings);
    REQUIRE(rig->pipeline != NULL);
    rig->seq = 0;
    rig->t = 0;
    rig->intents = 0;
    for (size_t lines = 0; size > 0 && lines < LINES_MAX; lines++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        take_line(rig, data, length);
        size_t taken = end != NULL ? length + 1 : length;
        data += taken;
        size -= taken;
    }
    return 0;
}
