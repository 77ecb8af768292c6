/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tables of comma-separated values: the example converts as documented, and what is wrong is named.
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

#include "clients/files/csv.h"
#include "clients/files/csv_table.h"
#include "clients/files/session_file.h"

static const char *example(const char *name)
{
    static char path[8][1024];
    static int turn;
    const char *source = getenv("TRAJ_SOURCE_DIR");
    turn = (turn + 1) % 8;
    (void)snprintf(path[turn], sizeof path[turn], "%s/tests/unit/csv/%s.csv",
                   source != NULL ? source : ".", name);
    return path[turn];
}

static struct traj_session *convert(const struct traj_csv_options *options)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_csv_convert(options, &error);
    if (s == NULL)
        fail_msg("%s", error.text);
    return s;
}

static void test_example(void **state)
{
    (void)state;
    const struct traj_csv_options o = {
        .frames = example("frames"),
        .features = example("features"),
        .kinematics = example("kinematics"),
        .trials = example("trials"),
        .targets = example("targets"),
        .length_unit = "mm",
        .subject = "M1",
    };
    struct traj_session *s = convert(&o);
    assert_true(s->bins == 3 && s->units == 2 && s->features == 1);
    assert_string_equal(s->unit_name[1], "unit, second");
    const uint16_t counts[6] = {0, 3, 1, TRAJ_COUNT_MISSING, 2, TRAJ_COUNT_MISSING};
    assert_memory_equal(s->counts, counts, sizeof counts);
    assert_true(s->feature[0] == -0.25f && isnan(s->feature[1]) && s->feature[2] == 1.5e-3f);
    assert_true(s->samples == 3 && s->dim == 2); /* the third line is a lost sample */
    assert_true(s->position[0] == 2.0 && s->position[1] == 1.0 && s->kin_t[2] == 0.03);
    assert_true(s->velocity[0] == 0.5 && s->velocity[1] == -0.5);
    assert_true(s->trials == 3 && s->target[0] == 0 && s->target[1] == -1 && s->target[2] == 1);
    assert_true(isnan(s->go[1]) && s->go[2] == 0.06 && isnan(s->rewarded[1]) && s->move == NULL);
    assert_string_equal(s->target_id[1], "say \"right\"");
    assert_string_equal(s->subject, "M1");
    assert_string_equal(s->path, o.frames);
    traj_session_free(s);
}

static void test_example_goes_through_a_file(void **state)
{
    (void)state;
    const struct traj_csv_options o = {.frames = example("frames"),
                                       .trials = example("trials"),
                                       .targets = example("targets"),
                                       .length_unit = "mm"};
    struct traj_error error = {{0}};
    char path[] = "/tmp/trajd-csv-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    struct traj_session *s = convert(&o);
    assert_int_equal(traj_session_write(s, path, &error), 0);
    struct traj_session *back = traj_session_read(path, &error);
    assert_non_null(back);
    assert_memory_equal(s->counts, back->counts, 12);
    assert_string_equal(back->unit_name[1], "unit, second");
    assert_string_equal(back->target_id[1], "say \"right\"");
    traj_session_free(back);
    traj_session_free(s);
    (void)unlink(path);
}

/* ---- tables written here ----------------------------------------------------------------- */

static char folder[64] = "/tmp/trajd-csv-XXXXXX";

static const char *write_table(const char *name, const char *text, size_t length)
{
    static char path[4][128];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    (void)unlink(path[turn]); /* some file systems wait for the disk when a file is written over */
    FILE *file = fopen(path[turn], "wb");
    assert_non_null(file);
    assert_true(fwrite(text, 1, length, file) == length);
    (void)fclose(file);
    return path[turn];
}

static void test_width_is_the_median_difference(void **state)
{
    (void)state;
    static const char text[] = "t_end,u\n1,0\n1.5,0\n2,0\n9,0\n9.5,0\n";
    const struct traj_csv_options o = {.frames = write_table("t.csv", text, sizeof text - 1)};
    struct traj_session *s = convert(&o);
    for (size_t i = 0; i < 5; i++)
        assert_true(fabs(s->dt[i] - 0.5) < 1e-12); /* the gap does not make a bin wider */
    assert_string_equal(s->length_unit, "");
    traj_session_free(s);
}

static void test_many_axes(void **state)
{
    (void)state;
    static const char text[] = "p1,p2,p3,p4,t,v4,v3,v2,v1\n1,2,3,4,0,8,7,6,5\n";
    const struct traj_csv_options o = {.kinematics = write_table("t.csv", text, sizeof text - 1),
                                       .length_unit = "rad"};
    struct traj_session *s = convert(&o);
    assert_true(s->dim == 4 && s->bins == 0 && s->samples == 1);
    assert_true(s->position[3] == 4.0 && s->velocity[0] == 5.0 && s->velocity[3] == 8.0);
    traj_session_free(s);
}

/* ---- refusals ---------------------------------------------------------------------------- */

enum table { FRAMES, FEATURES, KINEMATICS, TRIALS, TARGETS };

struct refusal {
    enum table table;
    const char *text;     /* of the table; the others are good */
    const char *sentence; /* after the file's name */
};

static const struct refusal refusals[] = {
    {FRAMES, "", ": is empty, a line with the columns' names is needed"},
    {FRAMES, "t_end,dt,u\n", ": has no line below the columns' names"},
    {FRAMES, "t_end;dt;u\n1;1;0\n", ": line 1: columns are separated by commas"},
    {FRAMES, "dt,u\n1,0\n", ": line 1: the column t_end is missing"},
    {FRAMES, "t_end,dt\n1,1\n", ": line 1: there is no column beside t_end and dt"},
    {FRAMES, "t_end,dt,u,\n1,1,0,0\n", ": line 1, column 4 has no name"},
    {FRAMES, "t_end,dt,u,u\n1,1,0,0\n", ": line 1: the column \"u\" stands there twice"},
    {FRAMES, "t_end,dt,a name that is longer than 31 bytes\n1,1,0\n",
     ": line 1, column 3: 35 bytes, at most 31 are possible"},
    {FRAMES, "t_end,dt,u\n1,1,0\n2,1\n", ": line 3 has 2 columns, the first line has 3"},
    {FRAMES, "t_end,dt,u\n1,1,0\n2,1,0,5\n", ": line 3 has 4 columns, the first line has 3"},
    {FRAMES, "t_end,dt,u\n1,1,0\n1,1,0\n",
     ": line 3, column t_end: 1 is not later than the line before"},
    {FRAMES, "t_end,dt,u\n1,1,0\n\n\n,1,0\n", ": line 5, column t_end: is empty"},
    {FRAMES, "t_end,dt,u\n1,0,0\n", ": line 2, column dt: 0 is not a positive width"},
    {FRAMES, "t_end,dt,u\n1,,0\n", ": line 2, column dt: is empty"},
    {FRAMES, "t_end,u\n1,0\n", ": line 1: a single bin needs the column dt"},
    {FRAMES, "t_end,dt,u\n1,1,1.5\n",
     ": line 2, column u: 1.5 is not a count: a whole number from 0 to 65534"},
    {FRAMES, "t_end,dt,u\n1,1,-1\n",
     ": line 2, column u: -1 is not a count: a whole number from 0 to 65534"},
    {FRAMES, "t_end,dt,u\n1,1,65535\n",
     ": line 2, column u: 65535 is not a count: a whole number from 0 to 65534"},
    {FRAMES, "t_end,dt,u\n1,1,two\n", ": line 2, column u: \"two\" is not a number"},
    {FRAMES, "t_end,dt,u\n1,1,0x10\n", ": line 2, column u: \"0x10\" is not a number"},
    {FRAMES, "t_end,dt,u\n1,1,1e999\n", ": line 2, column u: \"1e999\" is not a number"},
    {FRAMES, "t_end,dt,u\n1,1,inf\n", ": line 2, column u: \"inf\" is not a number"},
    {FRAMES, "t_end,dt,u\n1,1,1 2\n", ": line 2, column u: \"1 2\" is not a number"},
    {FRAMES, "t_end,dt,u\n1,1,\"0\n2,1,0\n", ": line 4, column 3: the quote is never closed"},
    {FRAMES, "t_end,dt,u\n1,1,0\"\n",
     ": line 2, column 3: a quote stands inside a field that does not begin with one"},
    {FRAMES, "t_end,dt,u\n1,\"1\"x,0\n",
     ": line 2, column 2: something stands behind the closing quote"},
    {FRAMES, "t_end,dt,u\r1,1,0\r", ": line 1, column 3: a carriage return stands inside the line"},
    {FEATURES, "t_end,f\n0.02,1\n0.04,1\n", ": has 2 bins but *"},
    {FEATURES, "t_end,f\n0.02,1\n0.05,1\n0.06,1\n",
     ": line 3, column t_end: 0.05 is not the same as in the table of frames"},
    {FEATURES, "t_end,f\n0.02,1\n0.04,1e39\n0.06,1\n",
     ": line 3, column f: 1e+39 is too large for 32-bit floating point"},
    {KINEMATICS, "x,y\n1,2\n", ": line 1: the column t is missing"},
    {KINEMATICS, "t,y\n1,2\n", ": line 1: the column x (or p1) is missing"},
    {KINEMATICS, "t,x,y,vx\n1,2,3,4\n", ": line 1: 2 axes of position but 1 of velocity"},
    {KINEMATICS, "t,x,y,speed\n1,2,3,4\n",
     ": line 1: the column speed is none of t, x, y, z, vx, vy, vz, p1 .. and v1 .."},
    {KINEMATICS, "t,x,y\n1,2,\n", ": line 2, column y: is empty"},
    {KINEMATICS, "t,x,y\n1,,\n", ": holds no position"},
    {KINEMATICS, "t,x,y\n2,0,0\n1,0,0\n",
     ": line 3, column t: 1 is not later than the line before"},
    {TRIALS, "start\n1\n", ": line 1: the column stop is missing"},
    {TRIALS, "start,stop,taget\n1,2,0\n",
     ": line 1: the column taget is none of start, stop, target, go, move and rewarded"},
    {TRIALS, "start,stop\n1,1\n", ": line 2, column stop: 1 is not later than the trial's start"},
    {TRIALS, "start,stop\n1,\n", ": line 2, column stop: is empty"},
    {TRIALS, "start,stop\n2,3\n1,4\n",
     ": line 3, column start: 1 is not later than the line before"},
    {TRIALS, "start,stop,target\n1,2,up\n", ": line 2, column target: there is no target \"up\""},
    {TARGETS, "id\nleft\n", ": line 1: the column x (or p1) is missing"},
    {TARGETS, "id,x\nleft,1\n", ": line 1: 1 axes of position but 2 in the kinematics"},
    {TARGETS, "id,x,y,radius\nleft,1,2,3\n",
     ": line 1: the column radius is none of id, x, y, z and p1 .."},
    {TARGETS, "id,x,y\nleft,1,\n", ": line 2, column y: is empty"},
    {TARGETS, "id,x,y\n,1,2\n", ": line 2, column id: is empty"},
};

static void assert_refused(const struct traj_csv_options *o, const char *path, const char *sentence)
{
    struct traj_error error = {{0}};
    char expected[600];
    assert_null(traj_csv_convert(o, &error));
    (void)snprintf(expected, sizeof expected, "%s%s", path, sentence);
    size_t length = strlen(expected);
    if (expected[length - 1] == '*')
        error.text[length - 1] = expected[length - 1] = '\0';
    assert_string_equal(error.text, expected);
}

static void test_refusals_name_line_and_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *path = write_table("bad.csv", refusals[i].text, strlen(refusals[i].text));
        const struct traj_csv_options o = {
            .frames = refusals[i].table == FRAMES ? path : example("frames"),
            .features = refusals[i].table == FEATURES ? path : NULL,
            .kinematics = refusals[i].table == KINEMATICS ? path : example("kinematics"),
            .trials = refusals[i].table == TRIALS ? path : NULL,
            .targets = refusals[i].table == TARGETS ? path : example("targets"),
            .length_unit = "mm",
        };
        assert_refused(&o, path, refusals[i].sentence);
    }
    print_message("%zu tables, each refused by its own sentence\n",
                  sizeof refusals / sizeof *refusals);
}

static void test_refusals_of_the_whole(void **state)
{
    (void)state;
    struct traj_csv_options o = {.trials = example("trials")};
    assert_refused(&o, "", "a table of frames, features or kinematics is needed");
    o = (struct traj_csv_options){.kinematics = example("kinematics")};
    assert_refused(&o, o.kinematics, ": the unit of its positions must be given (--length-unit)");
    o = (struct traj_csv_options){.frames = example("none")};
    assert_refused(&o, o.frames, ": No such file or directory");
    o = (struct traj_csv_options){.frames = folder};
    assert_refused(&o, folder, ": is not a file");
    o = (struct traj_csv_options){.frames = example("frames"),
                                  .subject = "a name of more than sixty-three bytes, which is what "
                                             "the session file has room for"};
    assert_refused(&o, "", "the subject has 82 bytes, at most 63 are possible");
    static const char zero[] = "t_end,dt,u\n1,1,\0\n";
    o = (struct traj_csv_options){.frames = write_table("zero.csv", zero, sizeof zero - 1)};
    assert_refused(&o, o.frames, ": line 2, column 3: a byte of value 0 is no text");
}

/* A line without an end must not fill the memory. */
static void test_endless_line(void **state)
{
    (void)state;
    size_t length = (size_t)3 << 20;
    char *text = malloc(length);
    assert_non_null(text);
    memset(text, '"', 1);
    memset(text + 1, 'a', length - 1);
    const struct traj_csv_options o = {.frames = write_table("long.csv", text, length)};
    assert_refused(&o, o.frames, ": line 1, column 1: the line is too long");
    memset(text, ',', length);
    const struct traj_csv_options p = {.frames = write_table("wide.csv", text, length)};
    assert_refused(&p, p.frames, ": line 1: more than 8194 columns");
    free(text);
}

/* Whatever the bytes, a table is read or refused by one sentence. */
static void test_random_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789.-e,,,,\"\n\n\r tx";
    uint32_t seed = 20261123;
    size_t refused = 0;
    print_message("seed %u\n", (unsigned)seed);
    for (int round = 0; round < 3000; round++) {
        char text[80] = "t,x\n";
        size_t length = round % 2 == 0 ? 4 : 0;
        for (seed = seed * 1664525u + 1013904223u; length < 4 + (seed >> 26); length++) {
            uint32_t next = seed ^ (uint32_t)(length * 2654435761u);
            text[length] = alphabet[(next >> 13) % (sizeof alphabet - 1)];
        }
        struct traj_csv_table t;
        struct traj_error error = {{0}};
        int status = traj_csv_table_read(&t, write_table("r.csv", text, length), NULL, &error);
        assert_true((status == 0) == (error.text[0] == '\0'));
        refused += status == 0 ? 0 : 1;
        traj_csv_table_free(&t);
    }
    print_message("3000 tables of random bytes: %zu refused\n", refused);
    assert_true(refused > 0 && refused < 3000);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const name[] = {"t.csv",    "bad.csv",  "zero.csv",
                                       "long.csv", "wide.csv", "r.csv"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, name[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_example_goes_through_a_file),
        cmocka_unit_test(test_width_is_the_median_difference),
        cmocka_unit_test(test_many_axes),
        cmocka_unit_test(test_refusals_name_line_and_column),
        cmocka_unit_test(test_refusals_of_the_whole),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
