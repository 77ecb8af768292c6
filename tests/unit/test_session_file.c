/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Session files: what is written reads back equal, every kind of damage is refused by one sentence
 * that names file, dataset and index, and the types that other programs write are read.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <hdf5.h>

#include "clients/files/session_file.h"

static char folder[64] = "/tmp/trajd-session-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = 1 - turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

/* ---- a session with every part ----------------------------------------------------------- */

#define BINS 50
#define UNITS 3
#define SAMPLES 60

static void fill_frames(struct traj_session *s)
{
    for (size_t i = 0; i < BINS; i++) {
        s->t_end[i] = 1.0 + 0.02 * (double)i;
        s->dt[i] = 0.02;
        for (size_t n = 0; n < UNITS; n++)
            s->counts[UNITS * i + n] = (uint16_t)((7 * i + n) % 5);
        s->feature[2 * i] = (float)i / 3.0f;
        s->feature[2 * i + 1] = i % 9 == 0 ? NAN : 1.0f;
    }
    s->counts[4] = TRAJ_COUNT_MISSING;
    strcpy(s->unit_name[0], "elec1-a");
    strcpy(s->unit_name[1], "\xc3\xa9lan");
    strcpy(s->unit_name[2], "a name of thirty-one bytes long");
}

static struct traj_session *example(void)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("example");
    assert_int_equal(traj_session_make_frames(s, BINS, UNITS, 2, TRAJ_SESSION_UNIT_NAME, &error),
                     0);
    fill_frames(s);
    assert_int_equal(traj_session_make_kinematics(s, SAMPLES, 2, TRAJ_SESSION_VELOCITY, &error), 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        s->kin_t[i] = 1.0 + (double)i / 60.0;
        s->position[2 * i] = sin((double)i);
        s->velocity[2 * i + 1] = cos((double)i) / 3.0;
    }
    unsigned all =
        TRAJ_SESSION_GO | TRAJ_SESSION_MOVE | TRAJ_SESSION_REWARDED | TRAJ_SESSION_TARGET;
    assert_int_equal(traj_session_make_trials(s, 4, all, &error), 0);
    for (size_t r = 0; r < 4; r++) {
        s->start[r] = 1.0 + 0.25 * (double)r;
        s->stop[r] = s->start[r] + 0.2;
        s->target[r] = (int32_t)r - 1;
        s->rewarded[r] = (double)(r % 2);
    }
    s->go[1] = 1.3;
    assert_int_equal(traj_session_make_targets(s, 3, 2, &error), 0);
    s->target_position[3] = -0.1;
    strcpy(s->target_id[2], "left");
    strcpy(s->length_unit, "mm");
    strcpy(s->subject, "subject one");
    strcpy(s->description, "two lines,\n\xc2\xb5m and all");
    return s;
}

static bool same(const void *a, const void *b, size_t bytes)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && memcmp(a, b, bytes) == 0);
}

static void assert_sessions_equal(const struct traj_session *a, const struct traj_session *b)
{
    assert_string_equal(a->subject, b->subject);
    assert_string_equal(a->description, b->description);
    assert_string_equal(a->length_unit, b->length_unit);
    assert_true(a->bins == b->bins && a->units == b->units && a->features == b->features);
    assert_true(same(a->counts, b->counts, 2 * a->bins * a->units));
    assert_true(same(a->feature, b->feature, 4 * a->bins * a->features));
    assert_true(same(a->t_end, b->t_end, 8 * a->bins) && same(a->dt, b->dt, 8 * a->bins));
    assert_true(same(a->unit_name, b->unit_name, a->units * TRAJ_ID_SIZE));
    assert_true(a->samples == b->samples && a->dim == b->dim);
    assert_true(same(a->kin_t, b->kin_t, 8 * a->samples));
    assert_true(same(a->position, b->position, 8 * a->samples * a->dim));
    assert_true(same(a->velocity, b->velocity, 8 * a->samples * a->dim));
    assert_true(a->trials == b->trials);
    assert_true(same(a->start, b->start, 8 * a->trials) && same(a->stop, b->stop, 8 * a->trials));
    assert_true(same(a->go, b->go, 8 * a->trials) && same(a->move, b->move, 8 * a->trials));
    assert_true(same(a->rewarded, b->rewarded, 8 * a->trials));
    assert_true(same(a->target, b->target, 4 * a->trials));
    assert_true(a->targets == b->targets && a->target_dim == b->target_dim);
    assert_true(same(a->target_position, b->target_position, 8 * a->targets * a->target_dim));
    assert_true(same(a->target_id, b->target_id, a->targets * TRAJ_ID_SIZE));
}

static void write_example(const char *path)
{
    struct traj_error error = {{0}};
    struct traj_session *s = example();
    if (traj_session_write(s, path, &error) != 0)
        fail_msg("%s", error.text);
    traj_session_free(s);
}

static struct traj_session *read_good(const char *path)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_read(path, &error);
    if (s == NULL)
        fail_msg("%s", error.text);
    assert_string_equal(error.text, "");
    return s;
}

static size_t read_bytes(const char *path, unsigned char **bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    *bytes = malloc(size + 1);
    assert_non_null(*bytes);
    assert_true(fread(*bytes, 1, size, file) == size);
    (void)fclose(file);
    return size;
}

/* ---- round trips ------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    const char *path = in_folder("round.h5");
    struct traj_session *s = example();
    write_example(path);
    struct traj_session *back = read_good(path);
    assert_sessions_equal(s, back);
    assert_string_equal(back->path, path);
    traj_session_free(back);
    traj_session_free(s);
}

static void test_same_session_same_bytes(void **state)
{
    (void)state;
    unsigned char *a = NULL, *b = NULL;
    write_example(in_folder("a.h5"));
    (void)sleep(1); /* a time of day in the file would show */
    write_example(in_folder("b.h5"));
    size_t size = read_bytes(in_folder("a.h5"), &a);
    assert_true(read_bytes(in_folder("b.h5"), &b) == size);
    assert_memory_equal(a, b, size);
    free(a);
    free(b);
}

static void test_parts_may_be_absent(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    const char *path = in_folder("part.h5");
    struct traj_session *s = traj_session_new("part");
    assert_int_equal(traj_session_make_kinematics(s, 3, 1, 0, &error), 0);
    s->kin_t[1] = 1.0;
    s->kin_t[2] = 2.0;
    strcpy(s->length_unit, "cm");
    assert_int_equal(traj_session_write(s, path, &error), 0);
    struct traj_session *back = read_good(path);
    assert_sessions_equal(s, back);
    assert_true(back->bins == 0 && back->trials == 0 && back->targets == 0);
    traj_session_free(back);
    traj_session_free(s);

    s = traj_session_new("part");
    assert_int_equal(traj_session_make_frames(s, 2, 0, 1, 0, &error), 0);
    s->t_end[1] = 0.5;
    s->dt[0] = s->dt[1] = 0.5;
    assert_int_equal(traj_session_write(s, path, &error), 0);
    back = read_good(path);
    assert_sessions_equal(s, back);
    assert_true(back->units == 0 && back->samples == 0 && back->counts == NULL);
    traj_session_free(back);
    traj_session_free(s);
}

static void test_large_arrays_are_packed(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    const char *path = in_folder("large.h5");
    struct traj_session *s = traj_session_new("large");
    assert_int_equal(traj_session_make_frames(s, 20000, 96, 0, 0, &error), 0);
    for (size_t i = 0; i < s->bins; i++) {
        s->t_end[i] = 0.02 * (double)(i + 1);
        s->dt[i] = 0.02;
        s->counts[96 * i + i % 96] = (uint16_t)(i % 7);
    }
    assert_int_equal(traj_session_write(s, path, &error), 0);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    print_message("20000 x 96 counts in %ld bytes\n", (long)about.st_size);
    assert_true(about.st_size < 20000L * 96);
    struct traj_session *back = read_good(path);
    assert_sessions_equal(s, back);
    traj_session_free(back);
    traj_session_free(s);
}

static void test_write_refuses(void **state)
{
    (void)state;
    struct traj_error a = {{0}}, b = {{0}}, c = {{0}}, d = {{0}};
    struct stat about;
    struct traj_session *s = example();
    char expected[200];
    assert_int_equal(traj_session_write(s, in_folder("none/x.h5"), &a), -1);
    (void)snprintf(expected, sizeof expected, "%s: cannot be written: No such file or directory",
                   in_folder("none/x.h5"));
    assert_string_equal(a.text, expected);
    assert_int_equal(mkdir(in_folder("taken"), 0700), 0);
    assert_int_equal(traj_session_write(s, in_folder("taken"), &b), -1);
    (void)snprintf(expected, sizeof expected, "%s: cannot be written: Is a directory",
                   in_folder("taken"));
    assert_string_equal(b.text, expected);
    /* What is no file stays what it is. */
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(traj_session_write(s, in_folder("pipe"), &d), -1);
    (void)snprintf(expected, sizeof expected, "%s: cannot be written: not a regular file",
                   in_folder("pipe"));
    assert_string_equal(d.text, expected);
    assert_true(stat(in_folder("pipe"), &about) == 0 && S_ISFIFO(about.st_mode));
    assert_int_equal(unlink(in_folder("pipe")), 0);
    s->dt[1] = -1.0;
    assert_int_equal(traj_session_write(s, in_folder("bad.h5"), &c), -1);
    assert_string_equal(c.text, "example: /frames/dt[1] = -1 is not a positive width");
    assert_int_not_equal(access(in_folder("bad.h5"), F_OK), 0);
    traj_session_free(s);
}

/* ---- damage ------------------------------------------------------------------------------ */

/* Replaces a dataset by another of the same name; value NULL leaves it unwritten. */
static void put(hid_t file, const char *name, hid_t type, int rank, hsize_t rows, hsize_t columns,
                const void *value)
{
    hsize_t dims[2] = {rows, columns};
    if (H5Lexists(file, name, H5P_DEFAULT) > 0)
        assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (value == NULL && rows > 0 && columns > 0) { /* unwritten chunks take no room in the file */
        hsize_t chunk[2] = {1, 1};
        assert_true(H5Pset_chunk(list, rank, chunk) >= 0);
    }
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(id >= 0);
    if (value != NULL)
        assert_true(H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
    (void)H5Dclose(id);
    (void)H5Pclose(list);
    (void)H5Sclose(space);
}

static void put_attribute(hid_t file, const char *name, hid_t type, hsize_t count,
                          const void *value)
{
    if (H5Aexists(file, name) > 0)
        assert_true(H5Adelete(file, name) >= 0);
    hid_t space = H5Screate_simple(1, &count, NULL);
    hid_t id = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(id >= 0 && H5Awrite(id, type, value) >= 0);
    (void)H5Aclose(id);
    (void)H5Sclose(space);
}

static hid_t fixed_string(size_t size, H5T_str_t pad)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    assert_true(H5Tset_size(type, size) >= 0 && H5Tset_strpad(type, pad) >= 0);
    return type;
}

static void drop(hid_t file, const char *name)
{
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
}

/* Writes one element of a dataset of doubles. */
static void poke(hid_t file, const char *name, hsize_t row, double value)
{
    hid_t id = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(id);
    hsize_t from[2] = {row, 0}, one[2] = {1, 1};
    hid_t memory = H5Screate_simple(1, one, NULL);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, one, NULL) >= 0);
    assert_true(H5Dwrite(id, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &value) >= 0);
    (void)H5Sclose(memory);
    (void)H5Sclose(space);
    (void)H5Dclose(id);
}

static const double zeros[4 * BINS * UNITS];

static void format_missing(hid_t f)
{
    assert_true(H5Adelete(f, "format") >= 0);
}

static void format_other(hid_t f)
{
    hid_t type = fixed_string(4, H5T_STR_NULLPAD);
    put_attribute(f, "format", type, 1, "nwb\0");
    (void)H5Tclose(type);
}

static void format_number(hid_t f)
{
    put_attribute(f, "format", H5T_NATIVE_DOUBLE, 1, zeros);
}

static void version_missing(hid_t f)
{
    assert_true(H5Adelete(f, "version") >= 0);
}

static void version_two(hid_t f)
{
    const int two = 2;
    put_attribute(f, "version", H5T_NATIVE_INT, 1, &two);
}

static void version_text(hid_t f)
{
    hid_t type = fixed_string(1, H5T_STR_NULLPAD);
    put_attribute(f, "version", type, 1, "1");
    (void)H5Tclose(type);
}

static void version_list(hid_t f)
{
    const int pair[2] = {1, 1};
    put_attribute(f, "version", H5T_NATIVE_INT, 2, pair);
}

static void unit_absent(hid_t f)
{
    assert_true(H5Adelete(f, "length_unit") >= 0);
}

static void unit_long(hid_t f)
{
    hid_t type = fixed_string(40, H5T_STR_NULLPAD);
    put_attribute(f, "length_unit", type, 1, "forty bytes are more than a unit can be.");
    (void)H5Tclose(type);
}

static void all_absent(hid_t f)
{
    drop(f, "/frames");
    drop(f, "/kinematics");
}

static void frames_no_group(hid_t f)
{
    drop(f, "/frames");
    put(f, "/frames", H5T_NATIVE_DOUBLE, 1, 3, 1, zeros);
}

static void t_end_absent(hid_t f)
{
    drop(f, "/frames/t_end");
}

static void t_end_group(hid_t f)
{
    drop(f, "/frames/t_end");
    (void)H5Gclose(H5Gcreate2(f, "/frames/t_end", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void t_end_dangling(hid_t f)
{
    drop(f, "/frames/t_end");
    assert_true(H5Lcreate_soft("/nowhere", f, "/frames/t_end", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void t_end_flat(hid_t f)
{
    put(f, "/frames/t_end", H5T_NATIVE_DOUBLE, 2, 1, BINS, zeros);
}

static void t_end_back(hid_t f)
{
    poke(f, "/frames/t_end", 31, 0.25);
}

static void t_end_text(hid_t f)
{
    char text[BINS * 2] = {0};
    hid_t type = fixed_string(2, H5T_STR_NULLPAD);
    put(f, "/frames/t_end", type, 1, BINS, 1, text);
    (void)H5Tclose(type);
}

static void t_end_wide(hid_t f)
{
    put(f, "/frames/t_end", H5T_NATIVE_LDOUBLE, 1, BINS, 1, zeros);
}

static void t_end_huge_integer(hid_t f)
{
    int64_t t[BINS];
    for (int i = 0; i < BINS; i++)
        t[i] = ((int64_t)1 << 53) + 2 * i;
    put(f, "/frames/t_end", H5T_NATIVE_INT64, 1, BINS, 1, t);
}

static void frames_empty(hid_t f)
{
    put(f, "/frames/t_end", H5T_NATIVE_DOUBLE, 1, 0, 1, NULL);
    put(f, "/frames/dt", H5T_NATIVE_DOUBLE, 1, 0, 1, NULL);
    drop(f, "/frames/features");
    put(f, "/frames/counts", H5T_NATIVE_UINT16, 2, 0, UNITS, NULL);
}

static void dt_short(hid_t f)
{
    put(f, "/frames/dt", H5T_NATIVE_DOUBLE, 1, BINS - 1, 1, zeros);
}

static void dt_absent(hid_t f)
{
    drop(f, "/frames/dt");
}

static void dt_zero(hid_t f)
{
    poke(f, "/frames/dt", 2, 0.0);
}

static void counts_absent(hid_t f)
{
    drop(f, "/frames/counts");
    drop(f, "/frames/features");
}

static void counts_short(hid_t f)
{
    put(f, "/frames/counts", H5T_NATIVE_UINT16, 2, BINS - 2, UNITS, zeros);
}

static void counts_negative(hid_t f)
{
    int32_t counts[BINS][UNITS] = {{0}};
    counts[6][2] = -1;
    put(f, "/frames/counts", H5T_NATIVE_INT32, 2, BINS, UNITS, counts);
}

static void counts_large(hid_t f)
{
    uint64_t counts[BINS][UNITS] = {{0}};
    counts[0][1] = 65536;
    put(f, "/frames/counts", H5T_NATIVE_UINT64, 2, BINS, UNITS, counts);
}

static void counts_broken(hid_t f)
{
    double counts[BINS][UNITS] = {{0}};
    counts[5][0] = 1.5;
    put(f, "/frames/counts", H5T_NATIVE_DOUBLE, 2, BINS, UNITS, counts);
}

static void counts_nan(hid_t f)
{
    float counts[BINS][UNITS] = {{0}};
    counts[5][1] = NAN;
    put(f, "/frames/counts", H5T_NATIVE_FLOAT, 2, BINS, UNITS, counts);
}

static void counts_vector(hid_t f)
{
    put(f, "/frames/counts", H5T_NATIVE_UINT16, 1, BINS, 1, zeros);
}

static void counts_claim(hid_t f)
{
    put(f, "/frames/counts", H5T_NATIVE_UINT16, 2, (hsize_t)1 << 40, UNITS, NULL);
}

static void units_many(hid_t f)
{
    drop(f, "/frames/unit_name");
    put(f, "/frames/counts", H5T_NATIVE_UINT16, 2, BINS, 9000, NULL);
}

static void names_few(hid_t f)
{
    char names[2][4] = {"a", "b"};
    hid_t type = fixed_string(4, H5T_STR_NULLTERM);
    put(f, "/frames/unit_name", type, 1, 2, 1, names);
    (void)H5Tclose(type);
}

static void names_numbers(hid_t f)
{
    put(f, "/frames/unit_name", H5T_NATIVE_INT, 1, UNITS, 1, zeros);
}

static void names_long(hid_t f)
{
    char names[UNITS][40] = {"a", "b", "thirty-two bytes of name exactly"};
    hid_t type = fixed_string(40, H5T_STR_NULLTERM);
    put(f, "/frames/unit_name", type, 1, UNITS, 1, names);
    (void)H5Tclose(type);
}

static void features_huge(hid_t f)
{
    double features[BINS][2] = {{0}};
    features[7][1] = 1e300;
    put(f, "/frames/features", H5T_NATIVE_DOUBLE, 2, BINS, 2, features);
}

static void position_absent(hid_t f)
{
    drop(f, "/kinematics/position");
}

static void position_nan(hid_t f)
{
    poke(f, "/kinematics/position", 9, NAN);
}

static void position_short(hid_t f)
{
    put(f, "/kinematics/position", H5T_NATIVE_DOUBLE, 2, SAMPLES - 1, 2, zeros);
}

static void velocity_wide(hid_t f)
{
    put(f, "/kinematics/velocity", H5T_NATIVE_DOUBLE, 2, SAMPLES, 3, zeros);
}

static void samples_back(hid_t f)
{
    poke(f, "/kinematics/t", 1, 0.5);
}

static void stop_absent(hid_t f)
{
    drop(f, "/trials/stop");
}

static void stop_early(hid_t f)
{
    poke(f, "/trials/stop", 2, 1.5);
}

static void start_back(hid_t f)
{
    poke(f, "/trials/start", 1, 1.0);
}

static void go_short(hid_t f)
{
    put(f, "/trials/go", H5T_NATIVE_DOUBLE, 1, 3, 1, zeros);
}

static void target_beyond(hid_t f)
{
    const int32_t target[4] = {0, 1, 3, 0};
    put(f, "/trials/target", H5T_NATIVE_INT32, 1, 4, 1, target);
}

static void target_nan(hid_t f)
{
    const double target[4] = {0, NAN, 1, 0};
    put(f, "/trials/target", H5T_NATIVE_DOUBLE, 1, 4, 1, target);
}

static void targets_absent(hid_t f)
{
    drop(f, "/targets");
}

static void targets_solid(hid_t f)
{
    put(f, "/targets/position", H5T_NATIVE_DOUBLE, 2, 3, 3, zeros);
}

static void ids_same(hid_t f)
{
    hid_t type = fixed_string(4, H5T_STR_SPACEPAD);
    put(f, "/targets/id", type, 1, 3, 1, "up  up  down");
    (void)H5Tclose(type);
}

static void ids_few(hid_t f)
{
    hid_t type = fixed_string(4, H5T_STR_SPACEPAD);
    put(f, "/targets/id", type, 1, 2, 1, "up  down");
    (void)H5Tclose(type);
}

struct damage {
    const char *sentence; /* after the file's name; up to a final * that stands for anything */
    void (*make)(hid_t file);
};

static const struct damage damages[] = {
    {"attribute format is missing", format_missing},
    {"attribute format is \"nwb\", not \"trajd-session\"", format_other},
    {"attribute format is not a string", format_number},
    {"attribute version is missing", version_missing},
    {"attribute version is 2, this program reads 1", version_two},
    {"attribute version is not a number", version_text},
    {"attribute version holds 2 values, not one", version_list},
    {"attribute length_unit is missing but positions have lengths", unit_absent},
    {"attribute length_unit has 40 bytes, at most 31 are possible", unit_long},
    {"holds neither /frames nor /kinematics", all_absent},
    {"/frames is not a group", frames_no_group},
    {"/frames/t_end is missing", t_end_absent},
    {"/frames/t_end is not a dataset", t_end_group},
    {"/frames/t_end cannot be read: *", t_end_dangling},
    {"/frames/t_end has 2 dimensions where 1 are expected", t_end_flat},
    {"/frames/t_end[31] = 0.25 is not later than /frames/t_end[30] = 1.6", t_end_back},
    {"/frames/t_end holds strings, not numbers", t_end_text},
    {"/frames/t_end holds numbers of 16 bytes, at most 8 are read", t_end_wide},
    {"/frames/t_end[0] = 9.00719925e+15 is too large to be read exactly", t_end_huge_integer},
    {"/frames/t_end is empty", frames_empty},
    {"/frames/dt has 49 rows but /frames/t_end has 50", dt_short},
    {"/frames/dt is missing", dt_absent},
    {"/frames/dt[2] = 0 is not a positive width", dt_zero},
    {"/frames/counts is missing, and so is /frames/features", counts_absent},
    {"/frames/counts has 48 rows but /frames/t_end has 50", counts_short},
    {"/frames/counts[6, 2] = -1 lies outside 0 to 65535", counts_negative},
    {"/frames/counts[0, 1] = 65536 lies outside 0 to 65535", counts_large},
    {"/frames/counts[5, 0] = 1.5 is not a whole number", counts_broken},
    {"/frames/counts[5, 1] = nan lies outside 0 to 65535", counts_nan},
    {"/frames/counts has 1 dimensions where 2 are expected", counts_vector},
    {"/frames/counts claims 1099511627776 x 3 values, more than a file of *", counts_claim},
    {"/frames/counts: 9000 units, at most 8192 are possible", units_many},
    {"/frames/unit_name has 2 rows but /frames/counts has 3 columns", names_few},
    {"/frames/unit_name holds numbers, not strings", names_numbers},
    {"/frames/unit_name[2] has 32 bytes, at most 31 are possible", names_long},
    {"/frames/features[7, 1] = 1e+300 is too large for 32-bit floating point", features_huge},
    {"/kinematics/position is missing", position_absent},
    {"/kinematics/position[9, 0] is not finite", position_nan},
    {"/kinematics/position has 59 rows but /kinematics/t has 60", position_short},
    {"/kinematics/velocity has 3 columns but /kinematics/position has 2", velocity_wide},
    {"/kinematics/t[1] = 0.5 is not later than /kinematics/t[0] = 1", samples_back},
    {"/trials/stop is missing", stop_absent},
    {"/trials/stop[2] = 1.5 is not later than /trials/start[2] = 1.5", stop_early},
    {"/trials/start[1] = 1 is not later than /trials/start[0] = 1", start_back},
    {"/trials/go has 3 rows but /trials/start has 4", go_short},
    {"/trials/target[2] = 3 is neither -1 nor a row of /targets/position, which has 3",
     target_beyond},
    {"/trials/target[1] = nan lies outside the range of 32-bit integers", target_nan},
    {"/trials/target[1] = 0 is neither -1 nor a row of /targets/position, which has 0",
     targets_absent},
    {"/targets/position has 3 columns but /kinematics/position has 2", targets_solid},
    {"/targets/id: the name \"up\" stands there twice", ids_same},
    {"/targets/id has 2 rows but /targets/position has 3", ids_few},
};

static void assert_refused(const char *path, const char *sentence)
{
    struct traj_error error = {{0}};
    char expected[600];
    struct traj_session *s = traj_session_read(path, &error);
    assert_null(s);
    (void)snprintf(expected, sizeof expected, "%s: %s", path, sentence);
    size_t length = strlen(expected);
    if (expected[length - 1] == '*')
        error.text[length - 1] = expected[length - 1] = '\0';
    assert_string_equal(error.text, expected);
    assert_true(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
}

static void test_damage_is_named(void **state)
{
    (void)state;
    size_t count = sizeof damages / sizeof *damages;
    for (size_t i = 0; i < count; i++) {
        const char *path = in_folder("damaged.h5");
        write_example(path);
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        damages[i].make(file);
        assert_true(H5Fclose(file) >= 0);
        assert_refused(path, damages[i].sentence);
    }
    print_message("%zu damaged files, each refused by its own sentence\n", count);
}

static void test_files_that_are_none(void **state)
{
    (void)state;
    assert_refused(in_folder("absent.h5"), "No such file or directory");
    assert_refused(folder, "is not a file");
    FILE *file = fopen(in_folder("text.h5"), "w");
    assert_non_null(file);
    (void)fputs("t,x,y\n0,1,2\n", file);
    (void)fclose(file);
    assert_refused(in_folder("text.h5"), "is not an HDF5 file");
    file = fopen(in_folder("empty.h5"), "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_refused(in_folder("empty.h5"), "is not an HDF5 file");
}

static void write_bytes(const char *path, const unsigned char *bytes, size_t size)
{
    (void)unlink(path); /* some file systems wait for the disk when a file is written over */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fwrite(bytes, 1, size, file) == size);
    (void)fclose(file);
}

static void test_truncated_files_give_one_sentence(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t tried = 0;
    write_example(in_folder("whole.h5"));
    size_t size = read_bytes(in_folder("whole.h5"), &bytes);
    for (size_t keep = 0; keep < size; keep += keep < 600 ? 13 : 97) {
        struct traj_error error = {{0}};
        const char *path = in_folder("cut.h5");
        write_bytes(path, bytes, keep);
        assert_null(traj_session_read(path, &error));
        assert_true(strncmp(error.text, path, strlen(path)) == 0);
        assert_null(strchr(error.text, '\n'));
        tried++;
    }
    free(bytes);
    print_message("%zu truncations of %zu bytes, each refused\n", tried, size);
}

/*
 * A file that is whole in length but not in content either reads as a valid session or is refused.
 */
static void test_overwritten_stretches(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t refused = 0, tried = 0;
    write_example(in_folder("whole.h5"));
    size_t size = read_bytes(in_folder("whole.h5"), &bytes);
    for (size_t from = 64; from + 16 < size; from += 211) {
        struct traj_error error = {{0}};
        unsigned char saved[16];
        memcpy(saved, bytes + from, sizeof saved);
        memset(bytes + from, 0, sizeof saved);
        write_bytes(in_folder("holed.h5"), bytes, size);
        memcpy(bytes + from, saved, sizeof saved);
        struct traj_session *s = traj_session_read(in_folder("holed.h5"), &error);
        assert_true((s == NULL) == (error.text[0] != '\0'));
        refused += s == NULL ? 1 : 0;
        tried++;
        traj_session_free(s);
    }
    free(bytes);
    print_message("%zu files with a hole of 16 bytes: %zu refused, the others valid\n", tried,
                  refused);
}

/* ---- what other programs write ----------------------------------------------------------- */

static void retype_numbers(hid_t f)
{
    double wide[BINS][UNITS] = {{0}};
    float narrow[BINS];
    double version = 1.0;
    const int64_t target[4] = {-1, 0, 1, 2};
    const int8_t rewarded[4] = {0, 1, 0, 1};
    double features[BINS][2] = {{0}};
    wide[3][1] = 65535.0;
    features[1][0] = 0.1;
    features[2][0] = NAN;
    for (int i = 0; i < BINS; i++)
        narrow[i] = (float)(i + 1);
    put(f, "/frames/counts", H5T_NATIVE_DOUBLE, 2, BINS, UNITS, wide);
    put(f, "/frames/features", H5T_NATIVE_DOUBLE, 2, BINS, 2, features);
    put(f, "/frames/t_end", H5T_NATIVE_FLOAT, 1, BINS, 1, narrow);
    put(f, "/trials/target", H5T_NATIVE_INT64, 1, 4, 1, target);
    put(f, "/trials/rewarded", H5T_NATIVE_INT8, 1, 4, 1, rewarded);
    put_attribute(f, "version", H5T_NATIVE_DOUBLE, 1, &version);
}

static void test_other_number_types(void **state)
{
    (void)state;
    const char *path = in_folder("types.h5");
    write_example(path);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    retype_numbers(file);
    (void)H5Fclose(file);
    struct traj_session *s = read_good(path);
    assert_true(s->counts[3 * UNITS + 1] == TRAJ_COUNT_MISSING && s->counts[0] == 0);
    assert_true(fabs((double)s->feature[2] - 0.1) < 1e-8 && isnan(s->feature[4]));
    assert_true(fabs(s->t_end[49] - 50.0) < 1e-12);
    assert_true(s->target[3] == 2 && s->target[0] == -1);
    assert_true(s->rewarded[1] > 0.5 && s->rewarded[2] < 0.5);
    traj_session_free(s);
}

/* h5py writes truth values as an enumeration of FALSE and TRUE in one byte. */
static void test_truth_values(void **state)
{
    (void)state;
    const char *path = in_folder("truth.h5");
    const int8_t value[4] = {1, 0, 0, 1};
    int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    assert_true(H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0);
    write_example(path);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    put(file, "/trials/rewarded", type, 1, 4, 1, value);
    int8_t raster[BINS][UNITS] = {{0, 1, 0}};
    put(file, "/frames/counts", type, 2, BINS, UNITS, raster);
    (void)H5Fclose(file);
    (void)H5Tclose(type);
    struct traj_session *s = read_good(path);
    assert_true(s->rewarded[0] > 0.5 && s->rewarded[1] < 0.5 && s->rewarded[3] > 0.5);
    assert_true(s->counts[1] == 1 && s->counts[2] == 0);
    traj_session_free(s);
}

static void test_other_string_types(void **state)
{
    (void)state;
    const char *path = in_folder("strings.h5");
    const char *ids[3] = {"north", "s\303\274d", "west"};
    const char *subject = "variable and ASCII";
    hid_t padded = fixed_string(6, H5T_STR_SPACEPAD), filled = fixed_string(4, H5T_STR_NULLPAD);
    hid_t variable = fixed_string(H5T_VARIABLE, H5T_STR_NULLTERM);
    hid_t unicode = H5Tcopy(variable);
    assert_true(H5Tset_cset(unicode, H5T_CSET_UTF8) >= 0);
    write_example(path);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    put(file, "/frames/unit_name", padded, 1, UNITS, 1, "one   two   three ");
    put(file, "/targets/id", unicode, 1, 3, 1, ids);
    put_attribute(file, "subject", variable, 1, &subject);
    put_attribute(file, "length_unit", filled, 1, "px\0");
    assert_true(H5Adelete(file, "description") >= 0);
    (void)H5Fclose(file);
    struct traj_session *s = read_good(path);
    assert_string_equal(s->unit_name[1], "two");
    assert_string_equal(s->unit_name[2], "three");
    assert_string_equal(s->target_id[0], "north");
    assert_string_equal(s->target_id[1], ids[1]);
    assert_string_equal(s->subject, subject);
    assert_string_equal(s->length_unit, "px");
    assert_string_equal(s->description, "");
    traj_session_free(s);
    (void)H5Tclose(padded);
    (void)H5Tclose(filled);
    (void)H5Tclose(variable);
    (void)H5Tclose(unicode);
}

static void test_optional_datasets_may_be_missing(void **state)
{
    (void)state;
    const char *path = in_folder("few.h5");
    static const char *const optional[] = {
        "/frames/unit_name", "/frames/features", "/kinematics/velocity", "/trials/go",
        "/trials/move",      "/trials/rewarded", "/trials/target",       "/targets/id"};
    write_example(path);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        drop(file, optional[i]);
    put(file, "/frames/something_else", H5T_NATIVE_INT, 1, 3, 1, zeros);
    (void)H5Fclose(file);
    struct traj_session *s = read_good(path);
    assert_true(s->unit_name == NULL && s->feature == NULL && s->velocity == NULL);
    assert_true(s->go == NULL && s->move == NULL && s->rewarded == NULL && s->target == NULL);
    assert_string_equal(s->target_id[2], "2");
    traj_session_free(s);
}

static void test_error_printing_is_left_as_it_was(void **state)
{
    (void)state;
    H5E_auto2_t before = NULL, after = NULL;
    void *data = NULL;
    struct traj_error error = {{0}};
    (void)H5Eget_auto2(H5E_DEFAULT, &before, &data);
    assert_null(traj_session_read(in_folder("absent.h5"), &error));
    (void)H5Eget_auto2(H5E_DEFAULT, &after, &data);
    assert_true(before == after && before != NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const name[] = {"round.h5", "a.h5",       "b.h5",     "part.h5",
                                       "large.h5", "damaged.h5", "text.h5",  "empty.h5",
                                       "whole.h5", "cut.h5",     "holed.h5", "types.h5",
                                       "truth.h5", "strings.h5", "few.h5"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        (void)unlink(in_folder(name[i]));
    (void)rmdir(in_folder("taken"));
    return rmdir(folder); /* fails where a temporary file was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_same_session_same_bytes),
        cmocka_unit_test(test_parts_may_be_absent),
        cmocka_unit_test(test_large_arrays_are_packed),
        cmocka_unit_test(test_write_refuses),
        cmocka_unit_test(test_damage_is_named),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_truncated_files_give_one_sentence),
        cmocka_unit_test(test_overwritten_stretches),
        cmocka_unit_test(test_other_number_types),
        cmocka_unit_test(test_truth_values),
        cmocka_unit_test(test_other_string_types),
        cmocka_unit_test(test_optional_datasets_may_be_missing),
        cmocka_unit_test(test_error_printing_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
