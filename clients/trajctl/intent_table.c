/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file of intents as a table. */
#include "clients/trajctl/intent_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/intent.h"

enum { TIME, POSITION, VELOCITY, POSITION_COV, VELOCITY_COV, TARGET_PROB, FREE_PROB, STATE_PROB };
#define KINDS 8

/* While a file is read: how wide each column is and which of them hold anything. */
struct filling {
    struct intent_table *table;
    size_t width[KINDS], room;
    bool used[KINDS];
};

/* --- the sizes, from a first reading ---------------------------------------------------------- */

typedef int take_function(const struct traj_intent *intent, struct filling *f, const char **why);

static int measure(const struct traj_intent *intent, struct filling *f, const char **why)
{
    struct traj_nwb_decoded *d = &f->table->decoded;
    if (intent->position || intent->velocity) {
        if (d->dim != 0 && d->dim != intent->dim) {
            *why = "has another number of dimensions than the intents before";
            return -1;
        }
        d->dim = intent->dim;
    }
    if (intent->target_prob && intent->targets > d->targets) {
        d->targets = intent->targets;
    }
    d->rows++;
    return 0;
}

static bool make_room(struct filling *f)
{
    struct intent_table *table = f->table;
    const struct traj_nwb_decoded *d = &table->decoded;
    const size_t width[KINDS] = {
        1, d->dim, d->dim, d->dim * d->dim, d->dim * d->dim, d->targets, 1, TRAJ_INTENT_STATES};
    for (size_t k = 0; k < KINDS; k++) {
        f->width[k] = width[k];
        table->column[k] = calloc(d->rows + 1, (width[k] + 1) * sizeof(double));
        if (!table->column[k]) {
            return false;
        }
        for (size_t i = 0; i < d->rows * width[k]; i++) {
            table->column[k][i] = (double)NAN;
        }
    }
    f->room = d->rows;
    table->valid = calloc(d->rows + 1, 1);
    table->target = calloc(d->targets + 1, sizeof *table->target);
    table->target_id = calloc(d->targets + 1, sizeof *table->target_id);
    return table->valid && table->target && table->target_id;
}

/* --- the numbers, from a second --------------------------------------------------------------- */

static void put(struct filling *f, size_t kind, const double *value, size_t count)
{
    size_t row = f->table->decoded.rows;
    if (!value || count > f->width[kind]) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        f->table->column[kind][row * f->width[kind] + i] = value[i];
        f->used[kind] = f->used[kind] || !isnan(value[i]);
    }
}

/* The most probable target, where there is one, tells by its name how its column is called. */
static void name_target(struct filling *f, const struct traj_intent *intent)
{
    size_t best = 0, equals = 0;
    if (!intent->target || !intent->target_prob || intent->targets == 0) {
        return;
    }
    for (size_t m = 1; m < intent->targets; m++) {
        if (intent->target_prob[m] > intent->target_prob[best]) {
            best = m;
        }
    }
    for (size_t m = 0; m < intent->targets; m++) {
        equals += intent->target_prob[m] >= intent->target_prob[best];
    }
    char *name = f->table->target[best];
    if (name[0] == '\0' && equals == 1) {
        snprintf(name, sizeof f->table->target[best], "%s", intent->target);
    }
}

static int fill(const struct traj_intent *intent, struct filling *f, const char **why)
{
    struct intent_table *table = f->table;
    size_t row = table->decoded.rows;
    if (row == f->room) {
        *why = "came while the file was read";
        return -1;
    }
    if (row > 0 && !(intent->t > table->column[TIME][row - 1])) {
        *why = "is not later than the intent before: export one run at a time";
        return -1;
    }
    put(f, TIME, &intent->t, 1);
    put(f, POSITION, intent->position, intent->dim);
    put(f, VELOCITY, intent->velocity, intent->dim);
    put(f, POSITION_COV, intent->position_cov, intent->dim * intent->dim);
    put(f, VELOCITY_COV, intent->velocity_cov, intent->dim * intent->dim);
    put(f, TARGET_PROB, intent->target_prob, intent->targets);
    put(f, FREE_PROB, &intent->free_prob, 1);
    put(f, STATE_PROB, isnan(intent->state_prob[0]) ? NULL : intent->state_prob,
        TRAJ_INTENT_STATES);
    table->valid[row] = intent->valid;
    name_target(f, intent);
    if (intent->model) {
        snprintf(table->model, sizeof table->model, "%.12s", intent->model);
    }
    table->decoded.rows++;
    return 0;
}

static int read_lines(FILE *in, const char *path, take_function *take, struct filling *f,
                      struct traj_error *error)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t length;
    int result = 0;
    struct traj_intent_buffer *buffer = malloc(sizeof *buffer);
    while (buffer && result == 0 && (length = getline(&line, &cap, in)) >= 0) {
        struct traj_refusal_detail detail = {0};
        number++;
        if (length > 0 && line[length - 1] == '\n') {
            length--;
        }
        if (length == 0) {
            continue;
        }
        enum traj_refusal refusal = traj_intent_parse(line, (size_t)length, buffer, &detail);
        if (refusal == TRAJ_REFUSED_TYPE) {
            continue;
        }
        const char *why = detail.reason ? detail.reason : "is not an intent";
        detail.field = detail.field ? detail.field : "not an intent";
        if (refusal == TRAJ_ACCEPTED) {
            detail.field = "t";
            result = take(&buffer->intent, f, &why);
        } else {
            result = -1;
        }
        if (result) {
            traj_error_set(error, "%s line %zu: %s: %s", path, number, detail.field, why);
        }
    }
    if (!buffer) {
        result = traj_error_set(error, "%s: memory is short", path);
    }
    if (result == 0 && ferror(in)) {
        result = traj_error_set(error, "%s cannot be read: %s", path, strerror(errno));
    }
    free(buffer);
    free(line);
    return result;
}

/* --- the table -------------------------------------------------------------------------------- */

static void point(struct filling *f)
{
    struct intent_table *table = f->table;
    struct traj_nwb_decoded *d = &table->decoded;
    const double **into[KINDS] = {
        &d->t,           &d->position,  &d->velocity,  &d->position_cov, &d->velocity_cov,
        &d->target_prob, &d->free_prob, &d->state_prob};
    for (size_t k = 0; k < KINDS; k++) {
        *into[k] = f->used[k] ? table->column[k] : NULL;
    }
    for (size_t m = 0; m < d->targets; m++) {
        if (table->target[m][0] == '\0') {
            snprintf(table->target[m], sizeof table->target[m], "%zu", m);
        }
        table->target_id[m] = table->target[m];
    }
    d->valid = table->valid;
    d->target_id = table->target_id;
    d->states = TRAJ_INTENT_STATES;
    d->state_name = traj_intent_state_name;
    d->length_unit = "";
    d->model = table->model;
}

static int read_twice(FILE *in, const char *path, struct filling *f, struct traj_error *error)
{
    if (read_lines(in, path, measure, f, error) != 0) {
        return -1;
    }
    if (f->table->decoded.rows == 0) {
        return traj_error_set(error, "%s holds no intent", path);
    }
    if (!make_room(f)) {
        return traj_error_set(error, "%s: memory is short", path);
    }
    f->table->decoded.rows = 0;
    if (fseek(in, 0, SEEK_SET) != 0) {
        return traj_error_set(error, "%s cannot be read twice: %s", path, strerror(errno));
    }
    return read_lines(in, path, fill, f, error);
}

int intent_table_read(const char *path, struct intent_table *table, struct traj_error *error)
{
    struct filling f = {.table = table};
    memset(table, 0, sizeof *table);
    FILE *in = fopen(path, "r");
    if (!in) {
        return traj_error_set(error, "%s cannot be read: %s", path, strerror(errno));
    }
    int result = read_twice(in, path, &f, error);
    fclose(in);
    if (result) {
        intent_table_free(table);
        return -1;
    }
    point(&f);
    return 0;
}

void intent_table_free(struct intent_table *table)
{
    for (size_t k = 0; k < KINDS; k++) {
        free(table->column[k]);
        table->column[k] = NULL;
    }
    free(table->valid);
    free(table->target);
    free(table->target_id);
    table->valid = NULL;
    table->target = NULL;
    table->target_id = NULL;
}
