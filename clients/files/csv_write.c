/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a session as tables of comma-separated values. */
#include "clients/files/csv_write.h"

#include <math.h>
#include <string.h>

#include "proto/number.h"

const char *const traj_csv_part_name[TRAJ_CSV_PARTS] = {"frames", "features", "kinematics",
                                                        "trials", "targets"};

/* ---- fields ------------------------------------------------------------------------------ */

void traj_csv_number(FILE *out, double value)
{
    char text[TRAJ_NUMBER_SIZE];
    if (isfinite(value))
        (void)fwrite(text, 1, traj_number_write(value, text), out);
}

void traj_csv_text(FILE *out, const char *text)
{
    size_t length = strlen(text);
    bool blank =
        length > 0 && (strchr(" \t", text[0]) != NULL || strchr(" \t", text[length - 1]) != NULL);
    if (!blank && strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, out);
        return;
    }
    (void)putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            (void)putc('"', out);
        (void)putc(*text, out);
    }
    (void)putc('"', out);
}

void traj_csv_axis(FILE *out, const char *prefix, bool velocity, size_t axis, size_t dim)
{
    if (dim <= 3)
        (void)fprintf(out, "%s%s%c", prefix, velocity ? "v" : "", "xyz"[axis]);
    else
        (void)fprintf(out, "%s%c%zu", prefix, velocity ? 'v' : 'p', axis + 1);
}

static void next(FILE *out, double value)
{
    (void)putc(',', out);
    traj_csv_number(out, value);
}

/* ---- parts ------------------------------------------------------------------------------- */

static void write_frames(FILE *out, const struct traj_session *s)
{
    (void)fputs("t_end,dt", out);
    for (size_t n = 0; n < s->units; n++) {
        (void)putc(',', out);
        if (s->unit_name != NULL)
            traj_csv_text(out, s->unit_name[n]);
        else
            (void)fprintf(out, "unit%zu", n + 1);
    }
    (void)putc('\n', out);
    for (size_t i = 0; i < s->bins; i++) {
        traj_csv_number(out, s->t_end[i]);
        next(out, s->dt[i]);
        for (size_t n = 0; n < s->units; n++) {
            uint16_t count = s->counts[i * s->units + n];
            next(out, count == TRAJ_COUNT_MISSING ? (double)NAN : (double)count);
        }
        (void)putc('\n', out);
    }
}

static void write_features(FILE *out, const struct traj_session *s)
{
    (void)fputs("t_end,dt", out);
    for (size_t f = 0; f < s->features; f++)
        (void)fprintf(out, ",feature%zu", f + 1);
    (void)putc('\n', out);
    for (size_t i = 0; i < s->bins; i++) {
        traj_csv_number(out, s->t_end[i]);
        next(out, s->dt[i]);
        for (size_t f = 0; f < s->features; f++)
            next(out, (double)s->feature[i * s->features + f]);
        (void)putc('\n', out);
    }
}

static void write_kinematics(FILE *out, const struct traj_session *s)
{
    (void)putc('t', out);
    for (size_t d = 0; d < s->dim; d++)
        traj_csv_axis(out, ",", false, d, s->dim);
    for (size_t d = 0; s->velocity != NULL && d < s->dim; d++)
        traj_csv_axis(out, ",", true, d, s->dim);
    (void)putc('\n', out);
    for (size_t i = 0; i < s->samples; i++) {
        traj_csv_number(out, s->kin_t[i]);
        for (size_t d = 0; d < s->dim; d++)
            next(out, s->position[i * s->dim + d]);
        for (size_t d = 0; s->velocity != NULL && d < s->dim; d++)
            next(out, s->velocity[i * s->dim + d]);
        (void)putc('\n', out);
    }
}

static void write_trials(FILE *out, const struct traj_session *s)
{
    const double *const label[] = {s->go, s->move, s->rewarded};
    static const char *const name[] = {"go", "move", "rewarded"};
    (void)fprintf(out, "start,stop%s", s->target != NULL ? ",target" : "");
    for (size_t k = 0; k < 3; k++)
        if (label[k] != NULL)
            (void)fprintf(out, ",%s", name[k]);
    (void)putc('\n', out);
    for (size_t r = 0; r < s->trials; r++) {
        traj_csv_number(out, s->start[r]);
        next(out, s->stop[r]);
        if (s->target != NULL)
            (void)putc(',', out);
        if (s->target != NULL && s->target[r] >= 0)
            traj_csv_text(out, s->target_id[s->target[r]]);
        for (size_t k = 0; k < 3; k++)
            if (label[k] != NULL)
                next(out, label[k][r]);
        (void)putc('\n', out);
    }
}

static void write_targets(FILE *out, const struct traj_session *s)
{
    (void)fputs("id", out);
    for (size_t d = 0; d < s->target_dim; d++)
        traj_csv_axis(out, ",", false, d, s->target_dim);
    (void)putc('\n', out);
    for (size_t m = 0; m < s->targets; m++) {
        traj_csv_text(out, s->target_id[m]);
        for (size_t d = 0; d < s->target_dim; d++)
            next(out, s->target_position[m * s->target_dim + d]);
        (void)putc('\n', out);
    }
}

bool traj_csv_has(const struct traj_session *session, enum traj_csv_part part)
{
    const size_t rows[TRAJ_CSV_PARTS] = {session->bins * session->units,
                                         session->bins * session->features, session->samples,
                                         session->trials, session->targets};
    return rows[part] > 0;
}

void traj_csv_write(FILE *out, const struct traj_session *session, enum traj_csv_part part)
{
    static void (*const write[TRAJ_CSV_PARTS])(FILE *, const struct traj_session *) = {
        write_frames, write_features, write_kinematics, write_trials, write_targets};
    write[part](out, session);
}
