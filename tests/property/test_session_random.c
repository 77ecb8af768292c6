/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whatever valid session is written reads back equal; a cut of it is valid, unless it leaves trials
 * and frames that do not overlap, and holds what it should.
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

#include "clients/files/session_file.h"

#define ROUNDS 120

static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit)
{
    return (size_t)(draw() % limit);
}

static double unit(void)
{
    return (double)(draw() >> 11) / 9007199254740992.0;
}

/* Any finite double, subnormal ones and negative zero included. */
static double any_number(void)
{
    double value = NAN;
    while (!isfinite(value)) {
        uint64_t bits = draw();
        memcpy(&value, &bits, sizeof value);
    }
    return value;
}

static void any_name(char *name, size_t i)
{
    static const char *const letters[] = {
        "a", "Z", " ", "\"", "\\", "\xc3\xa9", "\xf0\x9f\xa7\xa0"};
    size_t length = (size_t)snprintf(name, TRAJ_ID_SIZE, "%zu", i);
    for (size_t k = below(8); k > 0; k--) {
        const char *letter = letters[below(7)];
        if (length + strlen(letter) + 1 < TRAJ_ID_SIZE) {
            strcpy(name + length, letter);
            length += strlen(letter);
        }
    }
}

static void random_times(double *time, size_t count)
{
    double t = 100.0 * unit() - 50.0;
    for (size_t i = 0; i < count; i++) {
        t += below(20) == 0 ? 2.0 * unit() + 1e-3 : 0.02;
        time[i] = t;
    }
}

static void random_frames(struct traj_session *s)
{
    struct traj_error error = {{0}};
    size_t units = below(5), features = units == 0 ? 1 + below(3) : below(3);
    unsigned parts = units > 0 && below(2) ? TRAJ_SESSION_UNIT_NAME : 0u;
    size_t bins = below(4) == 0 ? 1 + below(3) : 1 + below(9000);
    assert_int_equal(traj_session_make_frames(s, bins, units, features, parts, &error), 0);
    random_times(s->t_end, bins);
    for (size_t i = 0; i < bins; i++)
        s->dt[i] = 1e-3 + unit();
    for (size_t i = 0; i < bins * units; i++)
        s->counts[i] = (uint16_t)(below(50) == 0 ? below(65536) : below(4));
    for (size_t i = 0; i < bins * features; i++)
        s->feature[i] = below(10) == 0 ? NAN : (float)(unit() - 0.5);
    for (size_t n = 0; parts != 0 && n < units; n++)
        any_name(s->unit_name[n], n);
}

static void random_kinematics(struct traj_session *s, size_t dim)
{
    struct traj_error error = {{0}};
    size_t samples = 1 + below(5000);
    unsigned parts = below(2) ? TRAJ_SESSION_VELOCITY : 0u;
    assert_int_equal(traj_session_make_kinematics(s, samples, dim, parts, &error), 0);
    random_times(s->kin_t, samples);
    for (size_t i = 0; i < samples * dim; i++)
        s->position[i] = any_number();
    for (size_t i = 0; parts != 0 && i < samples * dim; i++)
        s->velocity[i] = any_number();
}

static void random_trials(struct traj_session *s, size_t dim)
{
    struct traj_error error = {{0}};
    size_t targets = below(9), trials = below(40);
    unsigned parts = (unsigned)below(16) * TRAJ_SESSION_GO;
    if (targets > 0)
        assert_int_equal(traj_session_make_targets(s, targets, dim, &error), 0);
    for (size_t i = 0; i < targets * dim; i++)
        s->target_position[i] = any_number();
    for (size_t m = 0; m < targets && below(2); m++)
        any_name(s->target_id[m], m);
    if (trials == 0)
        return;
    assert_int_equal(traj_session_make_trials(s, trials, parts, &error), 0);
    random_times(s->start, trials);
    for (size_t r = 0; r < trials; r++) {
        s->stop[r] = s->start[r] + 1e-3 + unit();
        if (s->go != NULL && below(2))
            s->go[r] = s->start[r] + unit();
        if (s->rewarded != NULL)
            s->rewarded[r] = below(2) ? 1.0 : 0.0;
        if (s->target != NULL)
            s->target[r] = (int32_t)below(targets + 1) - 1;
    }
}

static bool trials_meet_frames(const struct traj_session *s)
{
    bool meet = s->bins == 0 || s->trials == 0;
    for (size_t r = 0; r < s->trials && !meet; r++)
        meet = s->start[r] < s->t_end[s->bins - 1] && s->stop[r] > s->t_end[0] - s->dt[0];
    return meet;
}

static void move_trials(struct traj_session *s, double by)
{
    for (size_t r = 0; r < s->trials; r++) {
        s->start[r] += by;
        s->stop[r] += by;
        if (s->go != NULL)
            s->go[r] += by;
    }
}

static struct traj_session *random_session(void)
{
    struct traj_session *s = traj_session_new("random");
    assert_non_null(s);
    size_t dim = 1 + below(TRAJ_DIM_MAX), which = below(4);
    if (which != 0)
        random_frames(s);
    if (which != 1)
        random_kinematics(s, dim);
    random_trials(s, dim);
    if (!trials_meet_frames(s))
        move_trials(s, s->t_end[0] - s->dt[0] / 2.0 - s->start[0]);
    strcpy(s->length_unit, "mm");
    any_name(s->subject, 7);
    return s;
}

static bool same(const void *a, const void *b, size_t bytes)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && memcmp(a, b, bytes) == 0);
}

static void assert_equal(const struct traj_session *a, const struct traj_session *b)
{
    assert_true(a->bins == b->bins && a->samples == b->samples && a->trials == b->trials);
    assert_true(a->units == b->units && a->features == b->features && a->dim == b->dim);
    assert_true(a->targets == b->targets && a->target_dim == b->target_dim);
    assert_true(same(a->counts, b->counts, 2 * a->bins * a->units));
    assert_true(same(a->feature, b->feature, 4 * a->bins * a->features));
    assert_true(same(a->t_end, b->t_end, 8 * a->bins) && same(a->dt, b->dt, 8 * a->bins));
    assert_true(same(a->unit_name, b->unit_name, a->units * TRAJ_ID_SIZE));
    assert_true(same(a->kin_t, b->kin_t, 8 * a->samples));
    assert_true(same(a->position, b->position, 8 * a->samples * a->dim));
    assert_true(same(a->velocity, b->velocity, 8 * a->samples * a->dim));
    assert_true(same(a->start, b->start, 8 * a->trials) && same(a->stop, b->stop, 8 * a->trials));
    assert_true(same(a->go, b->go, 8 * a->trials) && same(a->move, b->move, 8 * a->trials));
    assert_true(same(a->rewarded, b->rewarded, 8 * a->trials));
    assert_true(same(a->target, b->target, 4 * a->trials));
    assert_true(same(a->target_position, b->target_position, 8 * a->targets * a->target_dim));
    assert_true(same(a->target_id, b->target_id, a->targets * TRAJ_ID_SIZE));
    assert_string_equal(a->subject, b->subject);
}

static void test_written_sessions_read_back_equal(void **state)
{
    (void)state;
    char path[] = "/tmp/trajd-random-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    size_t values = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct traj_error error = {{0}};
        struct traj_session *s = random_session();
        if (traj_session_check(s, &error) != 0 || traj_session_write(s, path, &error) != 0)
            fail_msg("round %zu: %s", round, error.text);
        struct traj_session *back = traj_session_read(path, &error);
        if (back == NULL)
            fail_msg("round %zu: %s", round, error.text);
        assert_equal(s, back);
        values += s->bins * (s->units + s->features) + s->samples * s->dim;
        traj_session_free(back);
        traj_session_free(s);
    }
    (void)unlink(path);
    print_message("%d random sessions, %zu values, equal after writing and reading\n", ROUNDS,
                  values);
}

/* Counts what a span should hold by walking the whole session. */
static void expect(const struct traj_session *s, const struct traj_span *span, size_t spans,
                   size_t kept[3])
{
    memset(kept, 0, 3 * sizeof *kept);
    for (size_t k = 0; k < spans; k++) {
        double from = span[k].from, to = span[k].to;
        for (size_t i = 0; i < s->bins; i++)
            kept[0] += s->t_end[i] > from && s->t_end[i] <= to ? 1 : 0;
        for (size_t i = 0; i < s->samples; i++)
            kept[1] += s->kin_t[i] >= from && s->kin_t[i] <= to ? 1 : 0;
        for (size_t r = 0; r < s->trials; r++)
            kept[2] += s->start[r] >= from && s->stop[r] <= to ? 1 : 0;
    }
}

static void test_cuts_hold_what_they_should(void **state)
{
    (void)state;
    size_t bins = 0, apart = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct traj_error error = {{0}};
        struct traj_session *s = random_session();
        struct traj_span span[4];
        size_t spans = below(5), kept[3];
        double t = -60.0;
        for (size_t k = 0; k < spans; k++) {
            span[k].from = t + 60.0 * unit() + 0.01;
            span[k].to = t = span[k].from + 120.0 * unit();
        }
        struct traj_session *cut = traj_session_cut(s, span, spans, &error);
        assert_non_null(cut);
        expect(s, span, spans, kept);
        assert_true(cut->bins == kept[0] && cut->samples == kept[1] && cut->trials == kept[2]);
        if (kept[0] > 0 || kept[1] > 0)
            assert_true((traj_session_check(cut, &error) == 0) == trials_meet_frames(cut));
        apart += !trials_meet_frames(cut);
        bins += cut->bins;
        traj_session_free(cut);
        traj_session_free(s);
    }
    print_message("%d random cuts, %zu bins kept, %zu cuts with trials beside all frames\n", ROUNDS,
                  bins, apart);
}

int main(void)
{
    const char *seed = getenv("TRAJ_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 20261123u;
    random_state = random_state == 0 ? 1 : random_state;
    print_message("TRAJ_SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_sessions_read_back_equal),
        cmocka_unit_test(test_cuts_hold_what_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
