/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transitions between the states of an unbroken recording; see session_links.h. */
#include "daemon/learn/session_links.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FREE_RATE 0.6       /* 1/s, from courses to free places and back */
#define NEAR 0.3            /* units of distance (places.h) within which they lead to each other */
#define NEAR_SHARE_MIN 1e-3 /* of the greatest: rarer ones are left out */
#define REST_RATE_MIN 0.02  /* 1/s, to leave the rest where no reach was seen to begin */
#define HOLD_RATE_MIN 0.06  /* 1/s, to leave the target likewise */
#define MARKED_SHARE 0.95   /* of the probability that stands anew when a trial begins */
#define UNMARKED_SHARE 1e-9
#define OCCUPANCY_PRIOR 0.5 /* bins that every state counts for in the initial distribution */

/* Rates a bin at which the rest and the hold are left, by context. */
struct leaving {
    double rest[TRAJ_CONTEXTS], hold[TRAJ_CONTEXTS];
};

/* ---- rates of leaving ---------------------------------------------------------------------- */

/* Bins spent in a kind of state by context, and how often it was left. */
struct tally {
    double bins[TRAJ_CONTEXTS], left[TRAJ_CONTEXTS];
};

static double rate_of(const struct tally *tally, size_t context, double least)
{
    double rate = (tally->left[context] + 0.5) / (tally->bins[context] + 1);
    rate = tally->left[context] > 0 ? rate : 0;
    return fmin(fmax(rate, least), 0.9);
}

/* Whether bin b lies inside a trial of the training's list. */
static uint8_t *mark_trials(const struct traj_training *training)
{
    uint8_t *inside = calloc(training->bins + 1, 1);
    for (size_t r = 0; inside && r < training->trials; r++)
        for (size_t i = 0; i < training->trial[r].bin_count; i++)
            inside[training->trial[r].bin_first + i] = 1;
    return inside;
}

/*
 * Where the decoder hears of trials, a reach that has begun by the trial's start is put on its
 * course by the start distribution, so that only those that begin later leave the rest.
 */
static int count_leaving(const struct traj_session_states *states, struct leaving *leaving)
{
    const struct traj_training *training = states->design->training;
    const struct traj_labels *labels = states->design->labels;
    struct tally rest = {{0}, {0}}, hold = {{0}, {0}};
    uint8_t *inside = mark_trials(training);
    if (!inside)
        return -1;
    for (size_t b = 0; b + 1 < training->bins; b++) {
        int32_t now = labels->place[b], then = labels->place[b + 1];
        bool follows = training->run_start[b + 1] <= b && now >= 0 &&
                       states->state[b] != TRAJ_PLACE_UNUSED &&
                       states->state[b + 1] != TRAJ_PLACE_UNUSED;
        bool holds = now > 0 && (size_t)(now - 1) % labels->row == labels->steps;
        size_t context = inside[b] && inside[b + 1] ? TRAJ_CONTEXT_TRIAL : TRAJ_CONTEXT_BETWEEN;
        struct tally *tally = now == TRAJ_LABEL_REST ? &rest : &hold;
        if (!follows || (now != TRAJ_LABEL_REST && !holds))
            continue;
        tally->bins[context]++;
        tally->bins[TRAJ_CONTEXT_UNMARKED]++;
        if (now == then)
            continue;
        tally->left[TRAJ_CONTEXT_UNMARKED]++;
        tally->left[context] += holds || context == TRAJ_CONTEXT_TRIAL ? 1 : 0;
    }
    free(inside);
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++) {
        leaving->rest[c] = rate_of(&rest, c, REST_RATE_MIN * training->bin);
        leaving->hold[c] = rate_of(&hold, c, HOLD_RATE_MIN * training->bin);
    }
    return 0;
}

/* ---- rows ---------------------------------------------------------------------------------- */

struct builder {
    const struct traj_session_states *states;
    struct leaving leaving;
    double pace[3];
    double cross; /* a bin, between courses and free places */
    double *near; /* [courses][places] rows sum to 1 */
    double *back; /* [places][courses] rows sum to 1 */
    double *row;  /* [TRAJ_CONTEXTS][states] */
};

/* Nearness of courses' places and free places, each way as probabilities. */
static void measure_nearness(struct builder *builder)
{
    const struct traj_session_states *states = builder->states;
    size_t courses = states->courses, places = states->places.places, width = 2 * states->dim;
    for (size_t j = 0; j < courses; j++)
        for (size_t i = 0; i < places; i++) {
            double d = traj_places_distance(&states->places, states->centre + j * width,
                                            states->places.centre + i * width);
            double near = exp(-0.5 * d / (NEAR * NEAR)) + 1e-12;
            builder->near[j * places + i] = builder->back[i * courses + j] = near;
        }
    double *table[] = {builder->near, builder->back};
    for (size_t k = 0; k < 2; k++) {
        size_t rows = k ? places : courses, columns = k ? courses : places;
        for (size_t j = 0; j < rows; j++) {
            double *row = table[k] + j * columns, most = 0, sum = 0;
            for (size_t i = 0; i < columns; i++)
                most = fmax(most, row[i]);
            for (size_t i = 0; i < columns; i++)
                sum += row[i] = row[i] < NEAR_SHARE_MIN * most ? 0 : row[i];
            for (size_t i = 0; i < columns; i++)
                row[i] /= sum;
        }
    }
}

/* The row of a place on a course, or the rest, in one context, as if there were no free places. */
static void course_row(const struct builder *builder, size_t j, size_t context, double *row)
{
    const struct traj_labels *labels = builder->states->design->labels;
    if (j == 0) {
        row[0] = 1 - builder->leaving.rest[context];
        for (size_t m = 0; m < labels->targets; m++)
            row[1 + m * labels->row] = builder->leaving.rest[context] / (double)labels->targets;
        return;
    }
    size_t g = (j - 1) % labels->row, base = j - g;
    if (g == labels->steps) {
        row[j] = 1 - builder->leaving.hold[context];
        row[j + 1] = builder->leaving.hold[context];
        return;
    }
    for (size_t k = 0; k < 3; k++) {
        size_t to = g + k;
        if (g < labels->steps)
            row[base + (to < labels->steps ? to : labels->steps)] += builder->pace[k];
        else
            row[to < labels->row ? base + to : 0] += builder->pace[k];
    }
}

static void fill_row(struct builder *builder, size_t j)
{
    const struct traj_session_states *states = builder->states;
    size_t courses = states->courses, places = states->places.places;
    memset(builder->row, 0, TRAJ_CONTEXTS * states->states * sizeof *builder->row);
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++) {
        double *row = builder->row + c * states->states;
        double cross = courses > 0 && places > 0 ? builder->cross : 0;
        if (j < courses)
            course_row(builder, j, c, row);
        for (size_t i = 0; j < courses && i < courses; i++)
            row[i] *= 1 - cross;
        for (size_t i = 0; j < courses && i < places; i++)
            row[courses + i] = cross * builder->near[j * places + i];
        for (size_t i = 0; j >= courses && i < courses; i++)
            row[i] = cross * builder->back[(j - courses) * courses + i];
        for (size_t i = 0; j >= courses && i < places; i++)
            row[courses + i] = (1 - cross) * states->places.move[(j - courses) * places + i];
    }
}

static bool any(const struct builder *builder, size_t i)
{
    size_t states = builder->states->states;
    return builder->row[i] > 0 || builder->row[states + i] > 0 || builder->row[2 * states + i] > 0;
}

/* Twice: once to count, once to write. */
static int write_links(struct traj_session_links *links, struct builder *builder)
{
    size_t states = builder->states->states, next = 0;
    links->links = 0;
    for (size_t j = 0; j < states; j++) {
        fill_row(builder, j);
        for (size_t i = 0; i < states; i++)
            links->links += any(builder, i);
    }
    links->first = calloc(states + 1, sizeof *links->first);
    links->to = calloc(links->links, sizeof *links->to);
    links->prob = calloc(TRAJ_CONTEXTS * links->links, sizeof *links->prob);
    if (!links->first || !links->to || !links->prob)
        return -1;
    for (size_t j = 0; j < states; j++) {
        fill_row(builder, j);
        links->first[j] = (int32_t)next;
        for (size_t i = 0; i < states; i++) {
            if (!any(builder, i))
                continue;
            links->to[next] = (int32_t)i;
            for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
                links->prob[c * links->links + next] = builder->row[c * states + i];
            next++;
        }
    }
    links->first[states] = (int32_t)next;
    return 0;
}

/* ---- where trials begin -------------------------------------------------------------------- */

static void put_initial(struct traj_session_links *links, const struct traj_session_states *states)
{
    double total = 0;
    for (size_t j = 0; j < states->states; j++)
        total += links->initial[j] = states->count[j] + OCCUPANCY_PRIOR;
    for (size_t j = 0; j < states->states; j++)
        links->initial[j] /= total;
    memcpy(links->start, links->initial, states->states * sizeof *links->start);
    links->start_share = UNMARKED_SHARE;
}

/* Where on its course a reach is in its trial's first bin, the same for all targets; reaches that
 * were not found had not begun. */
static void put_start(struct traj_session_links *links, const struct traj_session_states *states)
{
    const struct traj_training *training = states->design->training;
    const struct traj_labels *labels = states->design->labels;
    double total = 0, targets = (double)labels->targets;
    memset(links->start, 0, states->states * sizeof *links->start);
    links->start[0] = 0.5;
    for (size_t r = 0; r < training->trials; r++) {
        size_t b = training->trial[r].bin_first;
        if (training->trial[r].bin_count == 0 || states->state[b] == TRAJ_PLACE_UNUSED)
            continue;
        size_t g = labels->place[b] > 0 ? ((size_t)labels->place[b] - 1) % labels->row : 0;
        if (labels->place[b] <= 0 || g >= labels->steps) {
            links->start[0]++;
            continue;
        }
        for (size_t m = 0; m < labels->targets; m++) {
            double *row = links->start + 1 + m * labels->row;
            row[g > 0 ? g - 1 : 0] += 0.25 / targets;
            row[g] += 0.5 / targets;
            row[g + 1] += 0.25 / targets;
        }
    }
    for (size_t j = 0; j < states->states; j++)
        total += links->start[j];
    for (size_t j = 0; j < states->states; j++)
        links->start[j] /= total;
    links->start_share = MARKED_SHARE;
}

int traj_session_links_make(struct traj_session_links *links,
                            const struct traj_session_states *states, struct traj_error *error)
{
    const struct traj_session_design *design = states->design;
    size_t courses = states->courses, places = states->places.places;
    struct builder builder = {.states = states};
    *links = (struct traj_session_links){.states = states->states};
    links->initial = calloc(states->states + 1, sizeof *links->initial);
    links->start = calloc(states->states + 1, sizeof *links->start);
    builder.near = calloc(courses * places + 1, sizeof *builder.near);
    builder.back = calloc(courses * places + 1, sizeof *builder.back);
    builder.row = calloc(TRAJ_CONTEXTS * states->states, sizeof *builder.row);
    builder.cross = 1 - exp(-FREE_RATE * design->training->bin);
    int status = links->initial && links->start && builder.near && builder.back && builder.row &&
                         (courses == 0 || count_leaving(states, &builder.leaving) == 0)
                     ? 0
                     : -1;
    if (status == 0) {
        put_initial(links, states);
        if (courses > 0) {
            traj_labels_pace(design->training->bin, design->labels->step, builder.pace);
            measure_nearness(&builder);
            put_start(links, states);
        }
        status = write_links(links, &builder);
    }
    free(builder.near);
    free(builder.back);
    free(builder.row);
    return status ? traj_error_set(error, "no memory for the transitions of %zu states",
                                   states->states)
                  : 0;
}

void traj_session_links_free(struct traj_session_links *links)
{
    free(links->first);
    free(links->to);
    free(links->prob);
    free(links->initial);
    free(links->start);
}
