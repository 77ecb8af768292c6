/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of a recording where a disk, or whoever else writes there, is in the way: what could be
 * kept is kept, and what could not is told once.  Time is an argument here, so that nothing waits.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/io/recorder_file.h"
#include "daemon/learn/recording_file.h"
#include "daemon/learn/recording_parts.h"
#include "proto/recording.h"

#define TAPE ((size_t)4 << 20)
#define BODY ((size_t)16384) /* bytes of a frame */
#define FULL 64              /* of them fill a part of 1 MB, and no fewer */
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    char folder[64];
    void *memory;
    struct traj_tape *tape;
    struct traj_recorder_file *file;
    uint64_t next; /* number of the next record */
    double now;
};

/* --- the daemon ------------------------------------------------------------------------------- */

static void put(struct fixture *f, struct traj_record *record, const void *payload, size_t size)
{
    unsigned char *place = traj_tape_reserve(f->tape, TRAJ_RECORD_HEADER + size);
    assert_non_null(place);
    record->size = size;
    traj_record_put_header(record, place);
    memcpy(place + TRAJ_RECORD_HEADER, payload, size);
    traj_tape_commit(f->tape, TRAJ_RECORD_HEADER + size);
}

static void put_frames(struct fixture *f, size_t count)
{
    static const unsigned char body[BODY] = {1};
    for (size_t i = 0; i < count; i++) {
        struct traj_record record = {.kind = TRAJ_RECORD_FRAME, .number = f->next++};
        put(f, &record, body, sizeof body);
    }
}

/* What the decode thread tells when the tape was full and has room again. */
static void put_loss(struct fixture *f, uint64_t records)
{
    const struct traj_recorded_loss loss = {.records = records, .inputs = records};
    struct traj_record record = {.kind = TRAJ_RECORD_LOST,
                                 .code = TRAJ_RECORD_LOST_BUFFER,
                                 .carried = true,
                                 .number = f->next};
    unsigned char payload[TRAJ_RECORDED_LOSS];
    put(f, &record, payload, traj_recorded_put_loss(&loss, payload));
    f->next += records;
}

/* Takes what there is to take at one instant. */
static void take(struct fixture *f, bool last)
{
    while (traj_recorder_file_take(f->file, f->tape, last, f->now))
        ;
}

static struct traj_recorder_state state_of(const struct fixture *f)
{
    struct traj_recorder_state state = {.open = false};
    traj_recorder_file_state(f->file, &state);
    return state;
}

/* --- what is there ---------------------------------------------------------------------------- */

struct seen {
    size_t frames, lost, gaps, broken;
    uint64_t first; /* of the header of the part that is read first */
};

static void name_part(const struct fixture *f, uint64_t part, char path[TRAJ_TAPE_NAME + 32])
{
    char suffix[TRAJ_RECORDING_PART_SUFFIX];
    traj_recording_part_suffix(suffix, part);
    (void)snprintf(path, TRAJ_TAPE_NAME + 32, "%s%s", traj_recorder_file_base(f->file), suffix);
}

/* Reads from this part on to the end. */
static struct seen read_from(const struct fixture *f, uint64_t part)
{
    char path[TRAJ_TAPE_NAME + 32];
    struct traj_error error = {{0}};
    struct traj_recording_item item;
    struct seen seen = {0};
    int more;
    name_part(f, part, path);
    struct traj_recording *recording = traj_recording_open(path, &error);
    assert_non_null(recording);
    seen.first = traj_recording_header(recording)->first;
    while ((more = traj_recording_next(recording, &item, &error)) > 0) {
        struct traj_recorded_loss loss;
        if (item.found == TRAJ_FOUND_RECORD && traj_recorded_loss(&item.record, &loss))
            seen.lost += loss.records;
        seen.frames +=
            item.found == TRAJ_FOUND_RECORD && item.record.kind == TRAJ_RECORD_FRAME ? 1 : 0;
        seen.gaps += item.found == TRAJ_FOUND_GAP ? 1 : 0;
        seen.broken += item.found == TRAJ_FOUND_BROKEN || item.found == TRAJ_FOUND_TORN ? 1 : 0;
    }
    assert_int_equal(more, 0);
    traj_recording_close(recording);
    return seen;
}

/* --- fixture ---------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    static struct fixture f;
    struct traj_record_config config = {.rotate_mb = 1, .buffer_mb = 4, .sync_s = 1.0};
    struct traj_error error = {{0}};
    (void)signal(SIGXFSZ, SIG_IGN);
    f = (struct fixture){.folder = "/tmp/trajd-files-XXXXXX", .now = 100.0};
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(config.directory, sizeof config.directory, "%s", f.folder);
    f.file = traj_recorder_file_open(&config, &error);
    assert_non_null(f.file);
    assert_int_equal(traj_recorder_file_begin(f.file, DIGEST, &error), 0);
    size_t size = (traj_tape_size(TAPE) + 4095) / 4096 * 4096;
    f.memory = aligned_alloc(4096, size);
    assert_non_null(f.memory);
    f.tape = traj_tape_init(f.memory, size, traj_recorder_file_base(f.file));
    assert_non_null(f.tape);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[TRAJ_TAPE_NAME + 32];
    for (uint64_t part = 1; part < 10; part++) {
        name_part(f, part, path);
        (void)unlink(path);
    }
    traj_recorder_file_free(&f->file);
    free(f->memory);
    return rmdir(f->folder);
}

/* Whether files may grow at all. */
static void let_files_grow(bool allowed)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = allowed ? limit.rlim_max : 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Somebody has put a file there: the part that is open goes on, and nothing waits for it. */
static void a_part_that_cannot_be_begun_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char path[TRAJ_TAPE_NAME + 32], words[64];
    name_part(f, 2, path);
    FILE *stranger = fopen(path, "w");
    assert_non_null(stranger);
    (void)fclose(stranger);
    for (size_t round = 0; round < 8; round++) {
        put_frames(f, 140);
        take(f, false);
        assert_int_equal(traj_tape_waiting(f->tape), 0);
        assert_false(state_of(f).failing);
        f->now += 0.3;
    }
    assert_int_equal(state_of(f).part, 1);
    assert_int_equal(state_of(f).lost, 0);
    (void)snprintf(words, sizeof words, "0002.rec cannot be begun: %s; part 1 goes on",
                   "File exists");
    assert_non_null(strstr(state_of(f).error, words));

    /* The file is gone: the next part begins within a second, not before anybody has looked. */
    assert_int_equal(unlink(path), 0);
    put_frames(f, 1);
    f->now += 1.1;
    take(f, false);
    assert_int_equal(state_of(f).part, 2);
    assert_non_null(strstr(state_of(f).error, "0002.rec could not be begun for a while"));
    put_frames(f, 3);
    take(f, true);
    struct seen seen = read_from(f, 1);
    assert_int_equal(seen.frames, 8 * 140 + 4);
    assert_int_equal(seen.lost + seen.gaps + seen.broken, 0);
}

/* Nothing stands behind what the journal told of a loss when the part is full. */
static void a_loss_that_was_told_counts_for_the_next_part(void **state)
{
    struct fixture *f = *state;
    put_frames(f, 10);
    take(f, false);
    assert_int_equal(state_of(f).part, 1);
    put_frames(f, FULL - 10);
    put_loss(f, 5);
    take(f, false);
    assert_int_equal(state_of(f).part, 2);
    put_frames(f, 2);
    take(f, true);
    struct seen seen = read_from(f, 2);
    assert_int_equal(seen.first, FULL + 5);
    assert_int_equal(seen.frames, 2);
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(read_from(f, 1).lost, 5);
}

/* Nothing stands behind it when the disk refuses what comes next. */
static void a_loss_that_was_told_counts_for_one_of_the_disk(void **state)
{
    struct fixture *f = *state;
    put_frames(f, 3);
    put_loss(f, 5);
    take(f, false);
    let_files_grow(false);
    put_frames(f, 140); /* more than half of the tape */
    take(f, false);
    put_frames(f, 70);
    f->now += 1.1;
    take(f, false);
    let_files_grow(true);
    assert_true(state_of(f).failing);
    assert_true(state_of(f).lost > 0);
    put_frames(f, 2);
    f->now += 1.1;
    take(f, true);
    struct seen seen = read_from(f, 1);
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.lost, 5 + state_of(f).lost);
    assert_int_equal(seen.frames + seen.lost, f->next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_part_that_cannot_be_begun_loses_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_loss_that_was_told_counts_for_the_next_part, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_loss_that_was_told_counts_for_one_of_the_disk, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
