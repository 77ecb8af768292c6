/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording made in memory as the daemon makes it, and then damaged in every way: what is read of
 * it decodes to what was recorded, or is known not to be known.  And what it is as a session.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/journal.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/recording_session.h"
#include "daemon/learn/rerun.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "tests/system/tiny_model.h"

#define UNITS 7
#define TARGETS 3
#define FRAMES 240
#define TAPE ((size_t)1 << 22)
#define ROUNDS 600

struct fixture {
    char folder[64], model_path[96], path[96];
    struct traj_model *model;
    void *memory, *decoder_memory, *pipeline_memory;
    struct traj_decoder *decoder;
    struct traj_pipeline *pipeline;
    struct traj_tape *tape;
    struct traj_journal journal;
    struct traj_event event;
    unsigned char *image;
    size_t size;
    uint64_t seed;
};

static uint64_t draw(struct fixture *f, uint64_t below)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return (f->seed >> 33) % below;
}

static struct traj_moment now(const struct fixture *f)
{
    uint64_t frame = traj_pipeline_counters(f->pipeline)->decoded;
    return (struct traj_moment){.frame = frame, .stamp = 0.01 * (double)frame};
}

/* --- the daemon ------------------------------------------------------------------------------- */

static void send_event(struct fixture *f, const char *body)
{
    struct traj_moment at = now(f);
    enum traj_refusal refusal = traj_event_parse(body, strlen(body), &f->event, NULL);
    if (refusal == TRAJ_ACCEPTED)
        refusal = traj_pipeline_event(f->pipeline, &f->event);
    else
        traj_pipeline_refuse_event(f->pipeline, refusal);
    traj_journal_event(&f->journal, body, strlen(body), traj_pipeline_counters(f->pipeline)->events,
                       traj_pipeline_at_once(f->pipeline), refusal, at);
}

/* A count above what is believed makes a frame that is refused. */
static void send_counts(struct fixture *f, uint64_t seq, double t, uint16_t more)
{
    static char line[65536];
    uint16_t counts[UNITS];
    unsigned char body[256];
    struct traj_frame frame = {.seq = seq, .t = t, .dt = 0.02, .units = UNITS, .counts = counts};
    struct traj_intent intent;
    struct traj_moment at = now(f);
    enum traj_refusal refusal;
    for (size_t n = 0; n < UNITS; n++)
        counts[n] = (uint16_t)(more + (seq * 7 + n * n + seq / 5) % 4);
    size_t size = traj_frame_write_binary(&frame, body, sizeof body);
    enum traj_disposition became =
        traj_pipeline_frame(f->pipeline, &frame, at.stamp, &intent, &refusal);
    traj_journal_frame(&f->journal, body, size, became, refusal, at);
    if (became != TRAJ_DECODED)
        return;
    size_t effects;
    const uint64_t *effect = traj_pipeline_effects(f->pipeline, &effects);
    intent.stamps.done = at.stamp + 0.001;
    size = traj_intent_write(&intent, line, sizeof line);
    traj_journal_intent(&f->journal, effect, effects, line, size, at);
}

static void send_frame(struct fixture *f, uint64_t seq, double t)
{
    send_counts(f, seq, t, 0);
}

/* Frames that are refused, each with the seq of a good one that comes after it. */
static void send_refused(struct fixture *f, uint64_t seq, double t)
{
    if (seq == 25)
        send_frame(f, seq, 1e13);
    if (seq == 45 || seq == 72)
        send_counts(f, seq, t, 60000);
}

static void run(struct fixture *f, const char *session)
{
    char body[256];
    send_event(f, session);
    send_event(f, "{\"type\":\"targets\",\"t\":0,\"set\":\"s\",\"id\":[\"a\",\"b\",\"c\"],"
                  "\"position\":[[1,0],[0,1],[-1,0]]}");
    send_event(f, "{\"type\":\"units\",\"t\":0,\"first\":0,\"id\":[\"u\",\"v\",\"w\"]}");
    send_event(f, "{\"type\":\"units\",\"t\":0,\"first\":3,\"id\":[\"x\",\"y\",\"z\",\"o\"]}");
    for (uint64_t seq = 0; seq < FRAMES / 2; seq++) {
        double t = 0.02 * (double)(seq + 1);
        (void)snprintf(body, sizeof body,
                       "{\"type\":\"kinematics\",\"t\":%.17g,\"position\":[%.17g,2]}", t - 0.02,
                       0.1 * t);
        send_event(f, body);
        if (seq % 40 == 5) {
            (void)snprintf(body, sizeof body, "{\"type\":\"trial_start\",\"t\":%.17g}", t + 0.01);
            send_event(f, body);
        }
        if (seq % 40 == 30) {
            (void)snprintf(body, sizeof body, "{\"type\":\"trial_stop\",\"t\":%.17g}", t - 0.03);
            send_event(f, body);
            (void)snprintf(body, sizeof body,
                           "{\"type\":\"trial_label\",\"t\":%.17g,\"target\":%d}", t,
                           (int)(seq / 40 % TARGETS));
            send_event(f, body);
        }
        if (seq % 50 == 20)
            send_event(f, "nonsense");
        send_refused(f, seq, t);
        if (seq % 30 == 12)
            continue; /* comes late, below */
        send_frame(f, seq, t);
        if (seq % 30 == 13)
            send_frame(f, seq - 1, t - 0.02);
        if (seq % 30 == 20)
            send_frame(f, seq, t);
    }
    /* Whatever time a frame claims that was refused, the next goes by the one before. */
    send_counts(f, FRAMES, 1e9, 60000);
    send_frame(f, FRAMES + 1, 0.01 * (FRAMES + 2));
}

/* A model is loaded while the estimator is at its prior: the next intent says so. */
static void swap(struct fixture *f)
{
    traj_journal_model(&f->journal, f->model->about.digest, f->model_path, TRAJ_RECORD_MODEL_LOADED,
                       now(f));
    (void)traj_pipeline_swap(f->pipeline, f->decoder);
}

static void write_image(struct fixture *f)
{
    struct traj_recording_header header = {.part = 1};
    uint64_t at = traj_tape_begin(f->tape);
    unsigned char *bytes;
    size_t size;
    f->image = malloc(TRAJ_RECORDING_HEADER + TAPE);
    assert_non_null(f->image);
    memcpy(header.model, f->model->about.digest, 64);
    (void)strcpy(header.name, "test");
    traj_recording_write_header(&header, f->image);
    f->size = TRAJ_RECORDING_HEADER;
    while ((bytes = traj_tape_read(f->tape, &at, &size)) != NULL) {
        traj_record_seal(bytes, size);
        memcpy(f->image + f->size, bytes, size);
        f->size += size;
    }
}

static void put_file(const struct fixture *f, const unsigned char *image, size_t size)
{
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct traj_error error = {{0}};
    struct traj_pipeline_settings settings;
    assert_non_null(f);
    f->seed = 3;
    (void)strcpy(f->folder, "/tmp/trajd-rerun-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->model_path, sizeof f->model_path, "%s/model.tjm", f->folder);
    (void)snprintf(f->path, sizeof f->path, "%s/test.rec", f->folder);
    f->model = tiny_model(UNITS, TARGETS, 2, 1, &error);
    assert_non_null(f->model);
    assert_int_equal(traj_model_save(f->model, f->model_path, &error), 0);
    size_t size = traj_decoder_size(&f->model->dims);
    f->decoder_memory = malloc(size);
    assert_int_equal(traj_decoder_init(f->decoder_memory, size, f->model, NULL, &f->decoder),
                     TRAJ_OK);
    f->pipeline_memory = malloc(traj_pipeline_size());
    f->pipeline = traj_pipeline_init(f->pipeline_memory, traj_pipeline_size(), f->decoder, NULL);
    assert_non_null(f->pipeline);
    size = (traj_tape_size(TAPE) + 4095) / 4096 * 4096;
    f->memory = aligned_alloc(4096, size);
    f->tape = traj_tape_init(f->memory, size, "");
    assert_non_null(f->tape);
    traj_journal_init(&f->journal, f->tape);
    traj_pipeline_settings_default(&settings);
    traj_journal_model(&f->journal, f->model->about.digest, f->model_path, TRAJ_RECORD_MODEL_RUNS,
                       now(f));
    traj_journal_settings(&f->journal, &settings, 0, now(f));
    traj_journal_start(&f->journal, true, 0, traj_pipeline_counters(f->pipeline), now(f));
    swap(f);
    run(f, "{\"type\":\"session\",\"run\":\"one\",\"marks\":true,\"length_unit\":\"mm\"}");
    traj_pipeline_reset(f->pipeline);
    traj_journal_reset(&f->journal, now(f));
    swap(f);
    run(f, "{\"type\":\"session\",\"run\":\"two\",\"marks\":true,\"length_unit\":\"mm\","
           "\"subject\":\"R\"}");
    traj_journal_stop(&f->journal, now(f));
    assert_int_equal(f->journal.lost_all, 0);
    write_image(f);
    put_file(f, f->image, f->size);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->path);
    (void)unlink(f->model_path);
    assert_int_equal(rmdir(f->folder), 0);
    traj_model_free(f->model);
    free(f->image);
    free(f->memory);
    free(f->decoder_memory);
    free(f->pipeline_memory);
    free(f);
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct seen {
    size_t equal, unknown;
};

static size_t bare_length(const char *text, size_t size)
{
    while (size > 0 && memcmp(text + size, ",\"stamps\":", 10) != 0)
        size--;
    return size;
}

/* Reads and decodes all there is; every intent that can be compared must be equal. */
static struct seen compare(struct fixture *f)
{
    static char line[65536];
    const char *models[] = {f->model_path};
    struct traj_rerun_options options = {.models = models, .count = 1};
    struct seen seen = {0, 0};
    struct traj_error error = {{0}};
    struct traj_recording_item item;
    struct traj_rerun_result result;
    struct traj_recording *recording = traj_recording_open(f->path, &error);
    size_t length = 0;
    uint64_t frame = 0;
    int more;
    if (recording == NULL)
        return seen; /* the header is damaged */
    struct traj_rerun *rerun = traj_rerun_open(&options, &error);
    assert_non_null(rerun);
    while ((more = traj_recording_next(recording, &item, &error)) > 0) {
        uint64_t effect[TRAJ_RECORDING_EFFECTS];
        const void *body;
        size_t effects, size;
        assert_int_equal(traj_rerun_take(rerun, &item, &result, &error), 0);
        if (result.decoded) {
            length = bare_length(line, traj_intent_write(&result.intent, line, sizeof line) - 10);
            frame = item.record.frame;
        }
        if (item.found != TRAJ_FOUND_RECORD ||
            !traj_recorded_intent(&item.record, effect, &effects, &body, &size))
            continue;
        if (!result.known) {
            seen.unknown++;
            continue;
        }
        assert_true(frame == item.record.frame);
        assert_int_equal(bare_length(body, size - 10), length);
        assert_memory_equal(body, line, length);
        seen.equal++;
    }
    assert_int_equal(more, 0);
    traj_rerun_close(rerun);
    traj_recording_close(recording);
    return seen;
}

static void whole_it_is_equal(void **state)
{
    struct fixture *f = *state;
    struct seen seen = compare(f);
    print_message("%zu bytes, %zu intents\n", f->size, seen.equal);
    assert_int_equal(seen.unknown, 0);
    assert_int_equal(seen.equal, traj_pipeline_counters(f->pipeline)->decoded);
    assert_true(seen.equal > FRAMES - 20);
}

/* One damage: bits flipped, a piece lost, a piece doubled, a piece of noise, an end cut off. */
static size_t damage(struct fixture *f, unsigned char *image)
{
    size_t size = f->size;
    size_t at = TRAJ_RECORDING_HEADER + (size_t)draw(f, size - TRAJ_RECORDING_HEADER);
    size_t piece = (size_t)draw(f, size - at < 3000 ? size - at : 3000);
    memcpy(image, f->image, size);
    switch (draw(f, 5)) {
    case 0:
        image[at] ^= (unsigned char)(1u << draw(f, 8));
        return size;
    case 1:
        memmove(image + at, image + at + piece, size - at - piece);
        return size - piece;
    case 2:
        memmove(image + at + piece, image + at, size - at);
        return size + piece;
    case 3:
        for (size_t i = 0; i < piece; i++)
            image[at + i] = (unsigned char)draw(f, 256);
        return size;
    default:
        return at;
    }
}

static void damaged_it_is_equal_or_unknown(void **state)
{
    struct fixture *f = *state;
    unsigned char *image = malloc(f->size + 4096);
    size_t equal = 0, unknown = 0, sessions = 0;
    assert_non_null(image);
    for (int round = 0; round < ROUNDS; round++) {
        struct traj_recording_choice choice = {.run = "two"};
        struct traj_recording_omissions omissions;
        struct traj_error error = {{0}};
        size_t size = damage(f, image);
        put_file(f, image, size);
        struct seen seen = compare(f);
        equal += seen.equal;
        unknown += seen.unknown;
        if (round % 5 == 0) {
            struct traj_session *session =
                traj_recording_session(f->path, "x", &choice, &omissions, &error);
            sessions += session != NULL;
            traj_session_free(session);
        }
    }
    print_message("%d recordings: %zu intents equal, %zu not to be compared, %zu sessions\n",
                  ROUNDS, equal, unknown, sessions);
    assert_true(equal > 0 && unknown > 0 && sessions > ROUNDS / 20);
    free(image);
}

/* --- as a session ----------------------------------------------------------------------------- */

static void it_is_a_session(void **state)
{
    struct fixture *f = *state;
    struct traj_recording_choice choice = {.run = NULL};
    struct traj_recording_omissions omissions;
    struct traj_error error = {{0}};
    assert_null(traj_recording_session(f->path, "x", &choice, &omissions, &error));
    assert_non_null(strstr(error.text, "1 \"one\" ("));
    assert_non_null(strstr(error.text, " frames), 2 \"two\" ("));
    error.text[0] = 0;
    choice.number = 3;
    assert_null(traj_recording_session(f->path, "x", &choice, &omissions, &error));
    assert_non_null(strstr(error.text, "no run 3: 2 have frames"));
    error.text[0] = 0;
    choice.number = 0;
    choice.run = "three";
    assert_null(traj_recording_session(f->path, "x", &choice, &omissions, &error));
    assert_non_null(strstr(error.text, "three"));
    choice.run = "two";
    choice.description = "again";
    struct traj_session *s = traj_recording_session(f->path, "x", &choice, &omissions, &error);
    assert_non_null(s);
    assert_string_equal(s->subject, "R");
    assert_string_equal(s->length_unit, "mm");
    assert_string_equal(s->description, "again");
    /* Late frames stand in their places, and none twice. */
    assert_int_equal(s->bins, FRAMES / 2 + 1);
    assert_true(s->units == UNITS && s->unit_name != NULL);
    assert_string_equal(s->unit_name[6], "o");
    for (size_t i = 0; i < FRAMES / 2; i++) {
        assert_true(s->t_end[i] == 0.02 * (double)(i + 1) ||
                    s->t_end[i] == 0.02 * (double)(i + 2) - 0.02);
        for (size_t n = 0; n < UNITS; n++)
            assert_int_equal(s->counts[i * UNITS + n], (i * 7 + n * n + i / 5) % 4);
    }
    assert_int_equal(omissions.duplicate, 4 + 2);
    assert_int_equal(omissions.refused, 2 + 1);
    assert_int_equal(omissions.backwards, 1);
    assert_int_equal(omissions.lost, 0);
    assert_true(s->samples == FRAMES / 2 && s->dim == 2 && s->velocity == NULL);
    assert_true(s->targets == 3 && s->target_position[3] == 1);
    assert_true(s->trials == 3 && s->go == NULL && s->rewarded == NULL);
    for (size_t r = 0; r < s->trials; r++) {
        assert_int_equal(s->target[r], r);
        assert_true(fabs(s->start[r] - (0.02 * (double)(40 * r + 6) + 0.01)) < 1e-9);
        assert_true(fabs(s->stop[r] - (0.02 * (double)(40 * r + 31) - 0.03)) < 1e-9);
    }
    traj_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_it_is_equal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_it_is_equal_or_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_a_session, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
