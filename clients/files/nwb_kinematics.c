/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Position and velocity of an NWB file -> /kinematics of a session. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/nwb_parts.h"

#define GAP 0.5 /* s: samples further apart are not joined (daemon/learn/session.h) */

/* ---- units of length --------------------------------------------------------------------- */

/* Metres in a unit of length; 0 where it is none that is known.  What follows a slash or " per " is
 * time.  `short_name` takes its short name, or the text as it is. */
static double metres(const char *unit, char *short_name, size_t size)
{
    static const struct {
        const char *name, *short_name;
        double metres;
    } known[] = {{"m", "m", 1.0},    {"meter", "m", 1.0},        {"metre", "m", 1.0},
                 {"cm", "cm", 1e-2}, {"centimeter", "cm", 1e-2}, {"centimetre", "cm", 1e-2},
                 {"mm", "mm", 1e-3}, {"millimeter", "mm", 1e-3}, {"millimetre", "mm", 1e-3},
                 {"um", "um", 1e-6}, {"micrometer", "um", 1e-6}};
    char text[64];
    const char *per = strstr(unit, " per ");
    size_t length = per != NULL ? (size_t)(per - unit) : strcspn(unit, "/");
    length = length < sizeof text ? length : sizeof text - 1;
    memcpy(text, unit, length);
    text[length] = '\0';
    (void)snprintf(short_name, size, "%s", text);
    if (length > 2 && text[length - 1] == 's')
        text[length - 1] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i].name) == 0) {
            (void)snprintf(short_name, size, "%s", known[i].short_name);
            return known[i].metres;
        }
    return 0.0;
}

/* The session's unit, from the option or from the file. */
static int choose_unit(const struct traj_nwb_file *file, struct traj_session *session,
                       const char *place, const char *unit)
{
    char name[64];
    (void)metres(unit, name, sizeof name);
    if (file->options->length_unit != NULL)
        (void)snprintf(name, sizeof name, "%s", file->options->length_unit);
    if (name[0] == '\0')
        return traj_error_set(file->input.error,
                              "%s: %s/data has no unit of length; name one by --length-unit",
                              file->input.path, place);
    if (strlen(name) >= sizeof session->length_unit)
        return traj_error_set(file->input.error,
                              "%s: %s/data has the unit \"%s\", which is too long a name; name "
                              "another by --length-unit",
                              file->input.path, place, name);
    memcpy(session->length_unit, name, strlen(name) + 1);
    return 0;
}

double traj_nwb_unit_factor(const struct traj_session *session, const char *unit)
{
    char name[64];
    double from = metres(unit, name, sizeof name);
    double to = metres(session->length_unit, name, sizeof name);
    return from > 0.0 && to > 0.0 ? from / to : 1.0;
}

/* ---- which columns ----------------------------------------------------------------------- */

/* Reads "0,1"; all columns without an option.  Their number, or 0 with a sentence. */
static size_t choose_axes(const struct traj_nwb_file *file, const char *place, size_t columns,
                          size_t axis[TRAJ_DIM_MAX])
{
    const char *at = file->options->axes;
    size_t count = 0;
    if (at == NULL) {
        for (; count < columns && count < TRAJ_DIM_MAX; count++)
            axis[count] = count;
        if (columns <= TRAJ_DIM_MAX)
            return count;
        traj_error_set(file->input.error,
                       "%s: %s has %zu columns, at most %d are possible; choose "
                       "by --axes",
                       file->input.path, place, columns, TRAJ_DIM_MAX);
        return 0;
    }
    for (;;) {
        char *end = NULL;
        unsigned long value = strtoul(at, &end, 10);
        bool good = end != at && (*end == ',' || *end == '\0') && *at >= '0' && *at <= '9';
        if (!good || value >= columns || count == TRAJ_DIM_MAX) {
            traj_error_set(file->input.error, "%s: --axes %s does not name columns 0 to %zu of %s",
                           file->input.path, file->options->axes, columns - 1, place);
            return 0;
        }
        axis[count++] = value;
        if (*end == '\0')
            return count;
        at = end + 1;
    }
}

/* ---- samples ----------------------------------------------------------------------------- */

struct movement {
    struct traj_nwb_signal position, velocity; /* count 0 = there is none */
    struct traj_nwb_samples where, speed;
    size_t axis[TRAJ_DIM_MAX], dim;
};

/* Trapezoids, begun anew at 0 behind each gap: where the hand was in the meantime is not known. */
static void integrate(struct traj_nwb_samples *where, const struct traj_nwb_samples *speed)
{
    size_t columns = speed->columns;
    for (size_t i = 0; i < speed->rows; i++)
        for (size_t c = 0; c < columns; c++) {
            const double *v = speed->value + i * columns + c;
            double dt = i > 0 ? speed->t[i] - speed->t[i - 1] : INFINITY;
            double before = dt <= GAP ? where->value[(i - 1) * columns + c] : 0.0;
            double step = dt <= GAP ? 0.5 * dt * (v[0] + *(v - columns)) : 0.0;
            /* A lost sample is passed over below, and what follows it goes on from zero. */
            where->value[i * columns + c] =
                isnan(before + step) && !isnan(*v) ? 0.0 : before + step;
        }
}

static int integrate_velocity(const struct traj_nwb_file *file, struct movement *m)
{
    const struct traj_nwb_samples *speed = &m->speed;
    m->where = *speed;
    m->where.t = calloc(speed->rows, sizeof *m->where.t);
    m->where.value = calloc(speed->rows, speed->columns * sizeof *m->where.value);
    if (m->where.t == NULL || m->where.value == NULL)
        return traj_error_set(file->input.error, "%s: no memory for %zu samples", file->input.path,
                              speed->rows);
    memcpy(m->where.t, speed->t, speed->rows * sizeof *speed->t);
    integrate(&m->where, speed);
    return 0;
}

static bool is_lost(const struct movement *m, size_t i)
{
    for (size_t d = 0; d < m->dim; d++)
        if (!isfinite(m->where.value[i * m->where.columns + m->axis[d]]) ||
            (m->speed.rows > 0 && !isfinite(m->speed.value[i * m->speed.columns + m->axis[d]])))
            return true;
    return false;
}

static double scaled(double value, double factor)
{
    return factor == 1.0 ? value : value * factor;
}

static int store(struct traj_nwb_file *file, struct traj_session *session, struct movement *m)
{
    double factor = traj_nwb_unit_factor(session, m->where.unit);
    double speed_factor = m->speed.rows > 0 ? traj_nwb_unit_factor(session, m->speed.unit) : 1.0;
    unsigned parts = m->speed.rows > 0 ? TRAJ_SESSION_VELOCITY : 0u;
    if (traj_session_make_kinematics(session, m->where.rows, m->dim, parts, file->input.error) != 0)
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < m->where.rows; i++) {
        if (is_lost(m, i))
            continue;
        session->kin_t[n] = m->where.t[i];
        for (size_t d = 0; d < m->dim; d++) {
            session->position[n * m->dim + d] =
                scaled(m->where.value[i * m->where.columns + m->axis[d]], factor);
            if (m->speed.rows > 0)
                session->velocity[n * m->dim + d] =
                    scaled(m->speed.value[i * m->speed.columns + m->axis[d]], speed_factor);
        }
        n++;
    }
    session->samples = n;
    file->scale = m->where.conversion * factor;
    if (n < m->where.rows)
        traj_nwb_tell(file, "left out: %zu samples without a number", m->where.rows - n);
    if (n > 0)
        return 0;
    return traj_error_set(file->input.error, "%s: %s/data holds no number", file->input.path,
                          m->position.count > 0 ? m->position.place : m->velocity.place);
}

static int same_rows(const struct traj_nwb_file *file, const struct movement *m)
{
    bool same = m->where.rows == m->speed.rows && m->where.columns == m->speed.columns;
    for (size_t i = 0; same && i < m->where.rows; i++)
        same = fabs(m->where.t[i] - m->speed.t[i]) <= 1e-9;
    if (same)
        return 0;
    return traj_error_set(file->input.error,
                          "%s: %s has %zu x %zu values and %s %zu x %zu, or other times: they must "
                          "go together (or --velocity none)",
                          file->input.path, m->position.place, m->where.rows, m->where.columns,
                          m->velocity.place, m->speed.rows, m->speed.columns);
}

/* ---- which series ------------------------------------------------------------------------ */

static int find(const struct traj_nwb_file *file, const char *name, enum traj_nwb_role role,
                const struct traj_nwb_signal *beside, struct traj_nwb_signal *signal)
{
    signal->count = 0;
    if (name == NULL)
        return traj_nwb_obvious_signal(file, role, beside, signal);
    if (strcmp(name, "none") == 0)
        return 0;
    return traj_nwb_named_signal(file, role == TRAJ_NWB_POSITION ? "position" : "velocity", name,
                                 signal);
}

static int load(struct traj_nwb_file *file, struct movement *m)
{
    const struct traj_nwb_signal *first = m->position.count > 0 ? &m->position : &m->velocity;
    if (m->position.count > 0 && traj_nwb_load(file, &m->position, &m->where) != 0)
        return -1;
    if (m->velocity.count > 0 && traj_nwb_load(file, &m->velocity, &m->speed) != 0)
        return -1;
    if (m->position.count == 0 && integrate_velocity(file, m) != 0)
        return -1;
    if (m->velocity.count > 0 && same_rows(file, m) != 0)
        return -1;
    m->dim = choose_axes(file, first->place, m->where.columns, m->axis);
    return m->dim > 0 ? 0 : -1;
}

static void tell(struct traj_nwb_file *file, const struct traj_session *session,
                 const struct movement *m)
{
    if (m->position.count > 0)
        traj_nwb_tell(file, "position: %s (%zu axes, %s)", m->position.place, session->dim,
                      session->length_unit);
    else
        traj_nwb_tell(file, "position: the integral of %s (%zu axes, %s)", m->velocity.place,
                      session->dim, session->length_unit);
    if (m->velocity.count > 0)
        traj_nwb_tell(file, "velocity: %s", m->velocity.place);
}

int traj_nwb_read_kinematics(struct traj_nwb_file *file, struct traj_session *session)
{
    struct movement m = {.dim = 0};
    int position = find(file, file->options->position, TRAJ_NWB_POSITION, NULL, &m.position);
    int velocity = position >= 0 ? find(file, file->options->velocity, TRAJ_NWB_VELOCITY,
                                        position > 0 ? &m.position : NULL, &m.velocity)
                                 : -1;
    if (position < 0 || velocity < 0)
        return -1;
    if (position == 0 && velocity == 0)
        return 0;
    int status = load(file, &m);
    if (status == 0)
        status = choose_unit(file, session, position > 0 ? m.position.place : m.velocity.place,
                             m.where.unit);
    if (status == 0)
        status = store(file, session, &m);
    if (status == 0)
        tell(file, session, &m);
    traj_nwb_samples_free(&m.where);
    traj_nwb_samples_free(&m.speed);
    return status;
}
