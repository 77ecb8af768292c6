/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NWB file -> struct traj_session: the whole; the parts are in files of their own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/foreign.h"
#include "clients/files/nwb_parts.h"

#define TEXT_MAX 65536 /* a longer description is not one */

/* NWB 2 says so by an attribute; NWB 1 had a dataset of that name, and another layout. */
int traj_nwb_check_version(const struct traj_h5_input *input)
{
    char version[32] = "";
    int there = traj_h5_read_text(input, "/", "nwb_version", false, version, sizeof version);
    if (there < 0)
        return -1;
    if (there == 1 && version[0] == '2')
        return 0;
    return traj_error_set(input->error,
                          "%s: attribute nwb_version is \"%s\", where one that begins with 2 is "
                          "expected",
                          input->path, version);
}

/* Puts the beginning of a text into a field, whole characters only. */
static void copy_start(const char *text, char *field, size_t size)
{
    size_t length = strlen(text);
    if (length >= size)
        for (length = size - 1; length > 0 && ((unsigned char)text[length] & 0xC0u) == 0x80u;)
            length--;
    memcpy(field, text, length);
    field[length] = '\0';
}

/* A text that may be missing; one that cannot be read is as good as none. */
static void read_text(const struct traj_h5_input *input, const char *name, char *field, size_t size)
{
    struct traj_error unsaid = {{0}};
    struct traj_h5_input probe = *input;
    struct traj_h5_dataset dataset;
    char *text = calloc(1, TEXT_MAX);
    probe.error = &unsaid;
    if (text != NULL && traj_h5_dataset_open(&probe, name, 0, false, &dataset) != 0) {
        if (traj_h5_read_strings(&probe, &dataset, text, TEXT_MAX) == 0)
            copy_start(text, field, size);
        traj_h5_dataset_close(&dataset);
    }
    free(text);
}

static int set_text(const struct traj_nwb_file *file, const char *option, const char *name,
                    const char *given, const char *place, char *field, size_t size)
{
    if (given == NULL) {
        read_text(&file->input, place, field, size);
        return 0;
    }
    if (strlen(given) >= size)
        return traj_error_set(file->input.error,
                              "--%s: the %s has %zu bytes, at most %zu are "
                              "possible",
                              option, name, strlen(given), size - 1);
    memcpy(field, given, strlen(given) + 1);
    return 0;
}

static int read_texts(const struct traj_nwb_file *file, struct traj_session *s)
{
    const struct traj_nwb_options *o = file->options;
    if (set_text(file, "subject", "subject", o->subject, "/general/subject/subject_id", s->subject,
                 sizeof s->subject) != 0 ||
        set_text(file, "description", "description", o->description, "/session_description",
                 s->description, sizeof s->description) != 0)
        return -1;
    if (strcmp(s->description, TRAJ_NWB_NO_DESCRIPTION) == 0)
        s->description[0] = '\0';
    if (o->length_unit == NULL)
        return 0;
    if (strlen(o->length_unit) >= sizeof s->length_unit)
        return traj_error_set(file->input.error, "--length-unit %s is too long a name",
                              o->length_unit);
    memcpy(s->length_unit, o->length_unit, strlen(o->length_unit) + 1);
    return 0;
}

static int read_frames(struct traj_nwb_file *file, struct traj_session *session)
{
    const struct traj_nwb_options *o = file->options;
    int spikes = traj_nwb_has_spikes(file);
    if (spikes < 0)
        return -1;
    bool named = o->counts != NULL || o->features != NULL;
    if (spikes > 0 && !named)
        return traj_nwb_read_spikes(file, session);
    if (o->unit_conditions > 0)
        return traj_error_set(
            file->input.error, "%s: --unit-where chooses units of /units/spike_times, and %s",
            file->input.path,
            spikes > 0 ? "--counts or --features names others" : "there are none");
    return traj_nwb_read_binned(file, session);
}

static int read_parts(struct traj_nwb_file *file, struct traj_session *session)
{
    if (traj_nwb_check_version(&file->input) != 0 || traj_nwb_list_series(file) != 0 ||
        read_texts(file, session) != 0 || traj_nwb_read_kinematics(file, session) != 0 ||
        traj_nwb_read_trials(file, session) != 0 || read_frames(file, session) != 0)
        return -1;
    if (session->bins == 0 && session->samples == 0)
        return traj_error_set(
            file->input.error,
            "%s: holds neither /units/spike_times nor a series of binned spikes or "
            "of positions; name them by --counts or --position",
            file->input.path);
    return traj_session_check(session, file->input.error);
}

struct traj_session *traj_nwb_read_open(const struct traj_h5_input *input,
                                        const struct traj_nwb_options *options,
                                        struct traj_nwb_report *report)
{
    struct traj_nwb_file file = {
        .input = *input, .options = options, .report = report, .scale = 1.0};
    struct traj_session *session = traj_session_new(input->path);
    report->length = 0;
    report->text[0] = '\0';
    int status = session != NULL ? read_parts(&file, session)
                                 : traj_error_set(input->error, "%s: no memory", input->path);
    free(file.series);
    if (status == 0)
        return session;
    traj_session_free(session);
    return NULL;
}

struct traj_session *traj_nwb_read(const char *path, const struct traj_nwb_options *options,
                                   struct traj_nwb_report *report, struct traj_error *error)
{
    struct traj_session *session = NULL;
    struct traj_h5_input input;
    struct traj_foreign before;
    struct traj_h5_printing printing = traj_h5_silence();
    traj_foreign_begin(&before, path);
    if (traj_h5_open(&input, path, error) == 0)
        session = traj_nwb_read_open(&input, options, report);
    traj_h5_close(&input);
    traj_foreign_end(&before);
    traj_h5_restore(&printing);
    return session;
}
