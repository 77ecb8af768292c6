/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal on a tape that is too small: what went out is lost before what came in, every loss is
 * told with its number, and what is in force is told after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/journal.h"

#define PAGE 4096
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    void *memory;
    struct traj_tape *tape;
    struct traj_journal journal;
    struct traj_counters counters;
    uint64_t frame;
    /* what the reader has seen */
    uint64_t expected; /* number */
    uint64_t read[TRAJ_RECORD_KINDS], lost, lost_inputs, losses;
    int in_force; /* records of what is in force since the last loss of what came in; 3 = all */
};

static void set_up(struct fixture *f, size_t room)
{
    size_t size = (traj_tape_size(room) + PAGE - 1) / PAGE * PAGE;
    struct traj_pipeline_settings settings;
    memset(f, 0, sizeof *f);
    f->memory = aligned_alloc(PAGE, size);
    f->tape = traj_tape_init(f->memory, size, "");
    assert_non_null(f->tape);
    traj_journal_init(&f->journal, f->tape);
    f->in_force = 3;
    traj_pipeline_settings_default(&settings);
    traj_journal_model(&f->journal, DIGEST, "/m.tjm", TRAJ_RECORD_MODEL_RUNS,
                       (struct traj_moment){0, 0});
    traj_journal_settings(&f->journal, &settings, 0, (struct traj_moment){0, 0});
    assert_int_equal(traj_tape_waiting(f->tape), 0);
    traj_journal_start(&f->journal, true, 0, &f->counters, (struct traj_moment){0, 0});
}

/* A frame and its intent, of so many bytes each. */
static void push(struct fixture *f, size_t size)
{
    static unsigned char body[65536];
    struct traj_moment moment = {.frame = f->frame, .stamp = (double)f->frame};
    assert_true(size <= sizeof body);
    memset(body, (int)(f->frame & 0xff), size);
    traj_journal_frame(&f->journal, body, size, TRAJ_DECODED, TRAJ_ACCEPTED, moment);
    traj_journal_intent(&f->journal, NULL, 0, body, size, moment);
    f->frame++;
}

static void look_at(struct fixture *f, const struct traj_record *record)
{
    struct traj_recorded_loss loss;
    f->read[record->kind]++;
    if (traj_recorded_loss(record, &loss)) {
        assert_true(record->carried && record->number == f->expected);
        assert_true(loss.records > 0 && loss.inputs <= loss.records);
        f->expected += loss.records;
        f->lost += loss.records;
        f->lost_inputs += loss.inputs;
        f->losses++;
        f->in_force = loss.inputs > 0 ? 0 : f->in_force;
        return;
    }
    if (record->carried) {
        f->in_force++;
        return;
    }
    assert_true(record->number == f->expected);
    f->expected++;
    /* After a loss model, settings and pause come before anything else. */
    assert_int_equal(f->in_force, 3);
    if (record->kind == TRAJ_RECORD_FRAME) {
        const unsigned char *body = record->payload;
        assert_true(record->size == 0 || body[record->size - 1] == (record->frame & 0xff));
    }
}

/* Reads so many records off the tape, or all (0). */
static void drain(struct fixture *f, size_t most)
{
    uint64_t at = traj_tape_begin(f->tape);
    const void *bytes;
    size_t size, count = 0;
    while ((most == 0 || count < most) && (bytes = traj_tape_read(f->tape, &at, &size)) != NULL) {
        struct traj_record record;
        assert_true(traj_record_view(bytes, size, &record));
        assert_int_equal(size, TRAJ_RECORD_HEADER + record.size);
        look_at(f, &record);
        traj_tape_release(f->tape, at);
        count++;
    }
}

static void what_went_out_is_lost_first(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 1 << 18);
    uint64_t lost_outputs_alone = 0;
    while (f.journal.lost_inputs_all == 0) {
        push(&f, 500);
        if (f.journal.lost_inputs_all == 0)
            lost_outputs_alone = f.journal.lost_all;
    }
    assert_true(lost_outputs_alone > 50);
    drain(&f, 0);
    /* Everything that came in up to there is on the tape, in order. */
    assert_int_equal(f.read[TRAJ_RECORD_FRAME], f.frame - 1);
    assert_int_equal(f.lost_inputs, 0);
    push(&f, 500);
    drain(&f, 0);
    assert_int_equal(f.lost, f.journal.lost_all);
    assert_int_equal(f.lost_inputs, 1);
    traj_journal_stop(&f.journal, (struct traj_moment){f.frame, 0});
    drain(&f, 0);
    assert_int_equal(f.read[TRAJ_RECORD_END], 1);
    assert_true(f.expected == f.journal.number + 0);
    free(f.memory);
}

/* A reader that is now faster, now slower than what comes. */
static void losses_add_up(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 1 << 16);
    uint64_t seed = 7;
    for (int round = 0; round < 50000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        push(&f, (size_t)(seed >> 33) % 1200);
        if ((round / 500) % 2 == 1 || round % 7 == 0)
            drain(&f, 1 + (size_t)(seed >> 60));
    }
    traj_journal_stop(&f.journal, (struct traj_moment){f.frame, 0});
    drain(&f, 0);
    print_message("%lu of %lu records lost in %lu losses, %lu of them came in\n",
                  (unsigned long)f.lost, (unsigned long)(2 * f.frame), (unsigned long)f.losses,
                  (unsigned long)f.lost_inputs);
    assert_true(f.losses > 10 && f.lost_inputs > 0);
    assert_true(f.lost == f.journal.lost_all && f.lost_inputs == f.journal.lost_inputs_all);
    assert_true(f.read[TRAJ_RECORD_FRAME] + f.read[TRAJ_RECORD_INTENT] + f.lost == 2 * f.frame);
    assert_int_equal(f.read[TRAJ_RECORD_END], 1);
    free(f.memory);
}

/* A message longer than the tape is lost, and what comes after it is not. */
static void a_message_too_long_is_told(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 1 << 15);
    push(&f, 100);
    push(&f, 60000);
    push(&f, 100);
    drain(&f, 0);
    assert_int_equal(f.read[TRAJ_RECORD_FRAME], 2);
    assert_int_equal(f.read[TRAJ_RECORD_INTENT], 2);
    assert_int_equal(f.losses, 1);
    assert_true(f.lost == 2 && f.lost_inputs == 1);
    free(f.memory);
}

/* Nor is one that would fit onto the tape and that no reader would take for a record. */
static void a_record_that_would_be_none_is_told(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 2 * TRAJ_RECORD_PAYLOAD_MAX);
    unsigned char *body = calloc(TRAJ_RECORD_PAYLOAD_MAX + 1, 1);
    assert_non_null(body);
    for (size_t more = 0; more < 2; more++) {
        traj_journal_frame(&f.journal, body, TRAJ_RECORD_PAYLOAD_MAX + more, TRAJ_DECODED,
                           TRAJ_ACCEPTED, (struct traj_moment){0, 0});
        drain(&f, 0);
    }
    push(&f, 100);
    drain(&f, 0);
    assert_int_equal(f.read[TRAJ_RECORD_FRAME], 2);
    assert_true(f.lost == 1 && f.lost_inputs == 1);
    free(body);
    free(f.memory);
}

static void nothing_is_told_while_it_is_off(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 1 << 16);
    traj_journal_stop(&f.journal, (struct traj_moment){0, 0});
    drain(&f, 0);
    push(&f, 100);
    traj_journal_reset(&f.journal, (struct traj_moment){0, 0});
    traj_journal_pause(&f.journal, true, (struct traj_moment){0, 0});
    assert_int_equal(traj_tape_waiting(f.tape), 0);
    /* A second recording begins with what is in force by then, and counts anew. */
    memset(f.read, 0, sizeof f.read);
    f.expected = 0;
    f.frame = 5;
    traj_journal_start(&f.journal, false, 0, &f.counters, (struct traj_moment){5, 1});
    uint64_t at = traj_tape_begin(f.tape);
    struct traj_record record;
    size_t size = 0;
    const void *bytes = traj_tape_read(f.tape, &at, &size);
    assert_true(bytes != NULL && traj_record_view(bytes, size, &record));
    assert_true(record.kind == TRAJ_RECORD_START && record.code == TRAJ_RECORD_MIDST);
    drain(&f, 0);
    assert_int_equal(f.read[TRAJ_RECORD_PAUSE], 1);
    assert_int_equal(f.read[TRAJ_RECORD_MODEL], 1);
    free(f.memory);
}

/* How the model and the tables came to run, as the beginning of a recording tells it. */
static void assert_told(unsigned untold, unsigned model, unsigned tables)
{
    static struct fixture f;
    unsigned char payload[TRAJ_RECORDED_RETUNE(0)];
    struct traj_recorded_retune moved = {.base = DIGEST, .digest = DIGEST};
    set_up(&f, 1 << 16);
    traj_journal_stop(&f.journal, (struct traj_moment){0, 0});
    drain(&f, 0);
    traj_journal_retune(&f.journal, payload, traj_recorded_put_retune(&moved, NULL, payload),
                        TRAJ_RECORD_RETUNE_GIVEN, (struct traj_moment){0, 0});
    traj_journal_start(&f.journal, false, untold, &f.counters, (struct traj_moment){0, 0});
    uint64_t at = traj_tape_begin(f.tape);
    struct traj_record record;
    size_t size = 0, seen = 0;
    const void *bytes;
    while ((bytes = traj_tape_read(f.tape, &at, &size)) != NULL) {
        assert_true(traj_record_view(bytes, size, &record) && !record.carried);
        if (record.kind == TRAJ_RECORD_MODEL)
            assert_int_equal(record.code, model);
        if (record.kind == TRAJ_RECORD_RETUNE)
            assert_int_equal(record.code, tables);
        seen += record.kind == TRAJ_RECORD_MODEL || record.kind == TRAJ_RECORD_RETUNE;
    }
    assert_int_equal(seen, 2);
    free(f.memory);
}

static void what_no_intent_has_told_of_is_new(void **state)
{
    (void)state;
    assert_told(0, TRAJ_RECORD_MODEL_RUNS, TRAJ_RECORD_RETUNE_RUNS);
    assert_told(TRAJ_INTENT_MODEL, TRAJ_RECORD_MODEL_LOADED, TRAJ_RECORD_RETUNE_RUNS);
    assert_told(TRAJ_INTENT_RETUNED, TRAJ_RECORD_MODEL_RUNS, TRAJ_RECORD_RETUNE_GIVEN);
    assert_told(TRAJ_INTENT_MODEL | TRAJ_INTENT_RETUNED, TRAJ_RECORD_MODEL_LOADED,
                TRAJ_RECORD_RETUNE_GIVEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_out_is_lost_first),
        cmocka_unit_test(losses_add_up),
        cmocka_unit_test(a_message_too_long_is_told),
        cmocka_unit_test(a_record_that_would_be_none_is_told),
        cmocka_unit_test(nothing_is_told_while_it_is_off),
        cmocka_unit_test(what_no_intent_has_told_of_is_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
