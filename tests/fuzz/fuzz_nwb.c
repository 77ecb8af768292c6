/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A NWB file whose structure is bent by the input: each byte decides about one object, 0 that it is
 * as the standard has it, other values that it is missing, of another type, rank or length, or that
 * its numbers are wild.  Whatever comes of it is refused by a sentence or is a session that holds
 * together; the unbent file is one.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "clients/files/nwb_parts.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

/* The input, byte by byte; 0 once it is used up. */
struct dice {
    const uint8_t *at, *end;
    hid_t file;
};

static unsigned roll(struct dice *d)
{
    return d->at < d->end ? *d->at++ : 0u;
}

#define VALUES_MAX 600

/* A dataset of `rows` x `columns` (0 = a vector, rows 0 = one value) numbers, or what is left of
 * it. */
static void put(struct dice *d, const char *path, size_t rows, size_t columns, const double *value)
{
    static const double wild[] = {NAN, INFINITY, -1.0, 1e300, 65536.0, 0.5, -0.0, 1e9};
    double bent[VALUES_MAX];
    unsigned how = roll(d);
    int rank = rows == 0 ? 0 : (columns == 0 ? 1 : 2);
    hsize_t dims[3] = {rows, columns, 1};
    memset(bent, 0, sizeof bent);
    memcpy(bent, value, (rows > 0 ? rows * (columns > 0 ? columns : 1) : 1) * sizeof *value);
    hid_t type = H5T_NATIVE_DOUBLE;
    switch (how % 9) {
    case 1:
        return;
    case 2:
        dims[0] = roll(d) % 20u;
        break;
    case 3:
        rank = (int)(roll(d) % 4u);
        dims[1] = 1 + roll(d) % 3u;
        dims[0] = dims[0] < 20 ? dims[0] : 20;
        break;
    case 4:
        type = roll(d) % 2u ? H5T_NATIVE_UINT8 : H5T_NATIVE_INT64;
        break;
    case 5:
        type = H5T_C_S1;
        break;
    case 6:
        bent[roll(d) * 2u] = wild[roll(d) % 8u];
        break;
    case 7:
        dims[0] = (hsize_t)1 << (roll(d) % 48u); /* a claim, without values */
        rank = rank > 1 ? rank : 1;
        break;
    default:
        break;
    }
    hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    (void)H5Pset_create_intermediate_group(links, 1);
    hid_t id = H5Dcreate2(d->file, path, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    if (id >= 0 && points > 0 && points <= VALUES_MAX && how % 9 != 5)
        (void)H5Dwrite(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, bent);
    (void)H5Dclose(id);
    (void)H5Pclose(links);
    (void)H5Sclose(space);
}

static void put_text(struct dice *d, const char *object, const char *name, const char *text)
{
    unsigned how = roll(d);
    if (how % 4 == 1 || H5Oexists_by_name(d->file, object, H5P_DEFAULT) <= 0)
        return;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    (void)H5Tset_size(type, strlen(text) + 1);
    if (how % 4 == 2)
        type = H5T_NATIVE_INT;
    char bytes[64] = "";
    memcpy(bytes, text, strlen(text));
    if (how % 4 == 3)
        memset(bytes, (int)roll(d), strlen(text));
    hid_t id = H5Acreate_by_name(d->file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT,
                                 H5P_DEFAULT);
    if (id >= 0)
        (void)H5Awrite(id, type, bytes);
    (void)H5Aclose(id);
    (void)H5Sclose(space);
    if (type != H5T_NATIVE_INT)
        (void)H5Tclose(type);
}

static void put_number(struct dice *d, const char *object, const char *name, double value)
{
    static const double other[] = {0.0, -1.0, INFINITY, NAN, 1e-300, 2.0};
    unsigned how = roll(d);
    if (how % 8 == 1 || H5Oexists_by_name(d->file, object, H5P_DEFAULT) <= 0)
        return;
    if (how % 8 > 1)
        value = other[how % 8 - 2];
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t id = H5Acreate_by_name(d->file, object, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
    if (id >= 0)
        (void)H5Awrite(id, H5T_NATIVE_DOUBLE, &value);
    (void)H5Aclose(id);
    (void)H5Sclose(space);
}

#define SAMPLES 50

static void put_movement(struct dice *d, bool stamps)
{
    double t[SAMPLES], position[SAMPLES * 2], zero = 0.0;
    for (size_t i = 0; i < SAMPLES; i++) {
        t[i] = 0.01 * (double)i;
        position[2 * i] = sin(t[i]);
        position[2 * i + 1] = cos(t[i]);
    }
    put(d, "/processing/behavior/Position/hand/data", SAMPLES, 2, position);
    put_text(d, "/processing/behavior/Position/hand/data", "unit", "mm");
    put_number(d, "/processing/behavior/Position/hand/data", "conversion", 1.0);
    put_text(d, "/processing/behavior/Position/hand", "neurodata_type", "SpatialSeries");
    if (stamps) {
        put(d, "/processing/behavior/Position/hand/timestamps", SAMPLES, 0, t);
    } else {
        put(d, "/processing/behavior/Position/hand/starting_time", 0, 0, &zero);
        put_number(d, "/processing/behavior/Position/hand/starting_time", "rate", 100.0);
    }
    put(d, "/processing/behavior/hand_vel/data", SAMPLES, 2, position);
    put(d, "/processing/behavior/hand_vel/timestamps", SAMPLES, 0, t);
    put_text(d, "/processing/behavior/hand_vel", "neurodata_type", "TimeSeries");
}

static void put_units(struct dice *d)
{
    double spike[30], interval[4] = {0.0, 0.3, 0.0, 0.5};
    const double end[3] = {10, 20, 30}, id[3] = {0, 1, 2}, intervals[3] = {1, 2, 2};
    for (size_t i = 0; i < 30; i++)
        spike[i] = 0.016 * (double)i;
    put(d, "/units/spike_times", 30, 0, spike);
    put(d, "/units/spike_times_index", 3, 0, end);
    put(d, "/units/id", 3, 0, id);
    put(d, "/units/obs_intervals", 2, 2, interval);
    put(d, "/units/obs_intervals_index", 3, 0, intervals);
}

static void put_binned(struct dice *d)
{
    double count[30], t[10], width[10];
    for (size_t i = 0; i < 30; i++)
        count[i] = (double)(i % 4);
    for (size_t i = 0; i < 10; i++) {
        t[i] = 0.05 * (double)(i + 1);
        width[i] = 0.05;
    }
    put(d, "/acquisition/binned_spikes/data", 10, 3, count);
    put(d, "/acquisition/binned_spikes/timestamps", 10, 0, t);
    put(d, "/acquisition/bin_width/data", 10, 0, width);
    put(d, "/acquisition/features/data", 10, 3, count);
    put(d, "/acquisition/features/timestamps", 10, 0, t);
}

static void put_trials(struct dice *d, bool ragged)
{
    const double start[3] = {0.0, 0.2, 0.35}, stop[3] = {0.1, 0.3, 0.45}, go[3] = {0.05, NAN, 0.4};
    const double place[10] = {1, 0, 0, 1, 1, 0, 0, 1, 1, 1}, active[3] = {1, 0, 0};
    const double index[3] = {2, 3, 5};
    put(d, "/intervals/trials/start_time", 3, 0, start);
    put(d, "/intervals/trials/stop_time", 3, 0, stop);
    put(d, "/intervals/trials/go_cue_time", 3, 0, go);
    put(d, "/intervals/trials/success", 3, 0, active);
    put(d, "/intervals/trials/target_pos", ragged ? 5 : 3, 2, place);
    if (ragged) {
        put(d, "/intervals/trials/target_pos_index", 3, 0, index);
        put(d, "/intervals/trials/active_target", 3, 0, active);
    } else if (roll(d) % 2u) {
        put(d, "/intervals/trials/target_id", 3, 0, active);
    }
}

/* A file in memory alone. */
static hid_t create(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_fapl_core(access, 65536, 0);
    hid_t file = H5Fcreate("fuzz.nwb", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    (void)H5Pclose(access);
    REQUIRE(file >= 0);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_nwb_report report;
    struct dice d = {data, data + size, create()};
    struct traj_error error = {{0}}, again = {{0}};
    const unsigned shape = roll(&d), wish = roll(&d);
    const struct traj_nwb_options options = {
        .axes = wish & 1u ? "1,0" : NULL,
        .length_unit = wish & 2u ? "m" : NULL,
        .counts = wish & 4u ? "binned_spikes" : NULL,
        .features = wish & 8u ? "features" : NULL,
        .stamps_start = (wish & 16u) != 0,
        .bins = {.align = (enum traj_bin_alignment)((wish >> 5) % 4u),
                 .width = 0.02,
                 .from = (double)NAN,
                 .to = (double)NAN}};
    struct traj_h5_printing printing = traj_h5_silence();
    put_text(&d, "/", "nwb_version", "2.7.0");
    put_movement(&d, (shape & 1u) == 0);
    if ((shape & 2u) == 0)
        put_units(&d);
    if ((shape & 2u) != 0 || (wish & 12u) != 0)
        put_binned(&d);
    put_trials(&d, (shape & 4u) != 0);
    const struct traj_h5_input input = {"fuzz.nwb", d.file, 4096.0, &error};
    struct traj_session *session = traj_nwb_read_open(&input, &options, &report);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    REQUIRE(report.length == strlen(report.text));
    REQUIRE(session != NULL || size > 0);
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(0);
    }
    traj_session_free(session);
    REQUIRE(H5Fget_obj_count(d.file, H5F_OBJ_ALL) == 1); /* the file itself */
    (void)H5Fclose(d.file);
    traj_h5_restore(&printing);
    return 0;
}
