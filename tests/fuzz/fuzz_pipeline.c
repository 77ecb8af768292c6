/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a sequence of messages and commands to parser, pipeline and a small estimator.  The
 * input is lines; the first byte says what a line is:
 *     F body   a frame as it stands on the wire        E body   an event likewise
 *     f abcd.. a frame near the last one: seq on by a - 'a', t by b - 'a' half bins, dt = c - 'a'
 *              half bins, then a count of each unit
 *     R reset   P pause   C go on   S put a fresh decoder in the former's place
 *     A go on with a decoder of other rates   D doubt, Dn no more   p prepare for the next frame
 *     L abcd   limits from now on: speed a - 'a' times 50, gap_reset_s b - 'a' tenths, workspace of
 *              c - 'a' times 10 to each side ('a': none), counts up to d - 'a' times 40
 * A first line that begins with M chooses the model: Mc a filter over courses, whose targets can be
 * moved, Ms one that knows of steering; a linear mixture otherwise.
 *
 * After each line the sums must hold, an intent must be writable and readable and within the
 * limits, and what was dropped must not have moved anything but counters.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/bench_model.h"
#include "daemon/core/pipeline.h"
#include "daemon/learn/model_file.h"
#include "tests/common/tiny_model.h"
#include "tests/fuzz/require.h"
#include "tests/oracle/chain_model.h"

enum { ROOM = 64, LINES_MAX = 500 };

enum family { MIXTURE, COURSE, STEERED, FAMILIES };

/* Ways of reading: a frame that is decoded, by family; then the rest. */
enum { READ_EVENT = FAMILIES, READ_SET, READ_ADOPTED, READ_LIMITS, READ_WAYS };

/* What the whole run needs; made once, as a fuzzer calls the entry point many times. */
struct rig {
    struct tiny_model tiny;
    struct chain_model chain[2];
    struct chain_steering steering[2];
    const struct traj_model *model[FAMILIES][2]; /* one, and one with the same states */
    enum family family;
    size_t which;       /* of the two runs */
    void *memory[2];    /* of the decoder in use and of the next one */
    size_t memory_size; /* of each */
    void *pipeline_memory;
    struct traj_pipeline *pipeline;
    struct traj_pipeline_settings settings;
    bool doubted;
    struct traj_event event;
    uint64_t seq; /* of the last frame sent, and its time */
    double t;
    uint64_t intents; /* since the run began */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(READ_WAYS);

static struct traj_decoder *make_decoder(struct rig *rig, void *memory)
{
    struct traj_decoder *decoder = NULL;
    REQUIRE(traj_decoder_init(memory, rig->memory_size, rig->model[rig->family][rig->which], NULL,
                              &decoder) == TRAJ_OK);
    return decoder;
}

static void check_sums(const struct rig *rig)
{
    const struct traj_counters *c = traj_pipeline_counters(rig->pipeline);
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
    /* Nothing that the checks let through breaks an estimator. */
    REQUIRE(c->recovered == 0);
}

static void check_limits(const struct rig *rig, const struct traj_intent *intent)
{
    const struct traj_pipeline_settings *settings = &rig->settings;
    double sum = 0;
    for (size_t d = 0; d < intent->dim; d++) {
        sum += intent->velocity[d] * intent->velocity[d];
        REQUIRE(!settings->workspace || (intent->position[d] >= settings->low[d] &&
                                         intent->position[d] <= settings->high[d]));
    }
    REQUIRE(!(settings->speed_limit > 0) || sqrt(sum) <= settings->speed_limit);
    REQUIRE(sum == 0 || !traj_pipeline_paused(rig->pipeline));
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
    const bool recovered = (intent->flags & TRAJ_INTENT_RECOVERED) != 0;
    REQUIRE(intent->valid == (!traj_pipeline_paused(rig->pipeline) && !unobserved && !recovered));
    REQUIRE(rig->doubted == ((intent->flags & TRAJ_INTENT_DOUBTFUL) != 0));
    REQUIRE((intent->position != NULL && intent->velocity != NULL) || recovered);
    if (intent->position != NULL && intent->velocity != NULL)
        check_limits(rig, intent);
    size_t length = traj_intent_write(intent, out, sizeof out);
    REQUIRE(length > 0 && length <= traj_intent_size(intent->dim, intent->targets));
    REQUIRE(traj_intent_parse(out, length, &parsed, NULL) == TRAJ_ACCEPTED);
    REQUIRE(parsed.intent.flags == intent->flags);
    double sum = parsed.intent.free_prob;
    for (size_t m = 0; m < parsed.intent.targets; m++)
        sum += parsed.intent.target_prob[m];
    REQUIRE(fabs(sum - 1) < 1e-9 || recovered);
}

static void take_frame(struct rig *rig, const struct traj_frame *frame)
{
    double before = traj_pipeline_time(rig->pipeline);
    struct traj_intent intent;
    enum traj_refusal refusal;
    enum traj_disposition disposition =
        traj_pipeline_frame(rig->pipeline, frame, 1.0, &intent, &refusal);
    REQUIRE((disposition == TRAJ_INVALID) == (refusal != TRAJ_ACCEPTED));
    REQUIRE((refusal != TRAJ_ACCEPTED) == (traj_pipeline_objection(rig->pipeline)->field != NULL));
    if (disposition == TRAJ_DECODED) {
        ACCEPTED(rig->family);
        check_intent(rig, &intent, before);
        const char *own = rig->model[rig->family][0]->about.target_set;
        if (intent.target_set != NULL && strcmp(intent.target_set, own) != 0)
            ACCEPTED(READ_SET);
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
    const struct traj_model *model = rig->model[rig->family][0];
    uint16_t counts[ROOM] = {0};
    int step[3] = {1, 2, 2};
    for (size_t i = 0; i < size && i < 3; i++)
        step[i] = line[i] - 'a';
    for (size_t n = 0; n + 3 < size && n < model->dims.units; n++)
        counts[n] = (uint16_t)(line[n + 3] == '-' ? TRAJ_COUNT_MISSING : line[n + 3] * 4u);
    struct traj_frame frame = {.seq = rig->seq + (uint64_t)(int64_t)step[0],
                               .t = rig->t + model->bin_width / 2 * step[1],
                               .dt = model->bin_width / 2 * step[2],
                               .units = model->dims.units,
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
    ACCEPTED(READ_EVENT);
    if (rig->event.kind == TRAJ_EVENT_SESSION)
        rig->intents = 0;
    const bool refused = traj_pipeline_event(rig->pipeline, &rig->event) != TRAJ_ACCEPTED;
    REQUIRE(refused == (traj_pipeline_objection(rig->pipeline)->field != NULL));
}

/* The decoder of the second block is in force now. */
static void exchange_memory(struct rig *rig)
{
    void *former = rig->memory[0];
    rig->memory[0] = rig->memory[1];
    rig->memory[1] = former;
}

static void swap(struct rig *rig)
{
    (void)traj_pipeline_swap(rig->pipeline, make_decoder(rig, rig->memory[1]));
    rig->doubted = false;
    exchange_memory(rig);
}

static void adopt(struct rig *rig)
{
    rig->which = 1 - rig->which;
    if (traj_pipeline_adopt(rig->pipeline, make_decoder(rig, rig->memory[1])) != NULL) {
        REQUIRE(rig->family != MIXTURE);
        ACCEPTED(READ_ADOPTED);
        exchange_memory(rig);
    } else {
        REQUIRE(rig->family == MIXTURE);
    }
}

static void doubt(struct rig *rig, bool doubted)
{
    traj_pipeline_doubt(rig->pipeline, doubted);
    rig->doubted = doubted;
}

static void limit(struct rig *rig, const uint8_t *line, size_t size)
{
    struct traj_pipeline_settings next = rig->settings;
    int step[4] = {4, 10, 8, 25};
    for (size_t i = 0; i < size && i < 4; i++)
        step[i] = line[i] - 'a';
    next.speed_limit = 50.0 * step[0];
    next.gap_reset_s = 0.1 * step[1];
    next.workspace = step[2] != 0;
    next.count_max = (uint16_t)(step[3] < 0 ? 0 : step[3] * 40);
    for (size_t d = 0; d < 2; d++) {
        next.low[d] = -10.0 * step[2];
        next.high[d] = 10.0 * step[2];
    }
    if (traj_pipeline_settings_check(&next, 2) != NULL)
        return;
    ACCEPTED(READ_LIMITS);
    traj_pipeline_configure(rig->pipeline, &next);
    rig->settings = next;
}

static void take_command(struct rig *rig, const uint8_t *line, size_t size)
{
    switch (line[0]) {
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
    case 'A':
        adopt(rig);
        break;
    case 'D':
        doubt(rig, size < 2 || line[1] != 'n');
        break;
    case 'p':
        traj_pipeline_prepare(rig->pipeline);
        break;
    case 'L':
        limit(rig, line + 1, size - 1);
        break;
    default:
        break;
    }
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
    default:
        take_command(rig, line, size);
        break;
    }
    check_sums(rig);
}

/* ---- models ---------------------------------------------------------------------------------- */

static const struct traj_model *make_course(bool tilted)
{
    struct traj_error error = {""};
    /* Wide bins, so that there are few states. */
    const struct bench_size size = {.units = TINY_UNITS, .targets = TINY_TARGETS, .bin = 0.1};
    struct traj_model *model = bench_model_make(&size, &error);
    REQUIRE(model != NULL);
    for (size_t i = 0; tilted && i < model->dims.nodes * model->dims.units; i++)
        ((double *)(uintptr_t)model->chain.emission_mean)[i] += 0.2 * ((double)(i % 3) - 1);
    return model;
}

static const struct traj_model *make_steered(struct rig *rig, size_t which)
{
    static const char id[TARGETS][TRAJ_ID_SIZE] = {"left", "right"};
    struct chain_model *m = &rig->chain[which];
    struct random random = {2};
    chain_draw(m, &random, true, 0);
    chain_remember(m, &random);
    chain_add_steering(m, &rig->steering[which], &random);
    for (size_t i = 0; which > 0 && i < NODES * UNITS; i++)
        m->mean[i] *= 1.1;
    m->model.about.target_id = id;
    (void)strcpy(m->model.about.family, "course");
    (void)strcpy(m->model.about.target_set, "two");
    (void)strcpy(m->model.about.digest, rig->tiny.model.about.digest);
    return &m->model;
}

static void make_models(struct rig *rig)
{
    tiny_model_init(&rig->tiny);
    tiny_model_add_plan(&rig->tiny);
    for (size_t which = 0; which < 2; which++) {
        rig->model[MIXTURE][which] = &rig->tiny.model;
        rig->model[COURSE][which] = make_course(which > 0);
        rig->model[STEERED][which] = make_steered(rig, which);
    }
    for (size_t f = 0; f < FAMILIES; f++) {
        const size_t size = traj_decoder_size(&rig->model[f][0]->dims);
        rig->memory_size = size > rig->memory_size ? size : rig->memory_size;
    }
}

static struct rig *the_rig(void)
{
    static struct rig rig;
    if (rig.pipeline_memory == NULL) {
        make_models(&rig);
        for (size_t i = 0; i < 2; i++) {
            rig.memory[i] = malloc(rig.memory_size);
            REQUIRE(rig.memory[i] != NULL);
        }
        rig.pipeline_memory = malloc(traj_pipeline_size());
        REQUIRE(rig.pipeline_memory != NULL);
    }
    return &rig;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void begin(struct rig *rig, const uint8_t *data, size_t size)
{
    const uint8_t wanted = size > 1 && data[0] == 'M' ? data[1] : 0;
    rig->family = wanted == 'c' ? COURSE : wanted == 's' ? STEERED : MIXTURE;
    rig->which = 0;
    rig->doubted = false;
    traj_pipeline_settings_default(&rig->settings);
    rig->settings.speed_limit = 200;
    rig->settings.workspace = true;
    for (size_t d = 0; d < TINY_DIM; d++) {
        rig->settings.low[d] = -80;
        rig->settings.high[d] = 80;
    }
    rig->pipeline = traj_pipeline_init(rig->pipeline_memory, traj_pipeline_size(),
                                       make_decoder(rig, rig->memory[0]), &rig->settings);
    REQUIRE(rig->pipeline != NULL);
    rig->seq = 0;
    rig->t = 0;
    rig->intents = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig *rig = the_rig();
    begin(rig, data, size);
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
