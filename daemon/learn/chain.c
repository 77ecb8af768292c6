/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A filter over courses from courses and rates; see chain.h. */
#include "daemon/learn/chain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/learn/model_layout.h"
#include "traj/decoder.h"

#define OFFSET_S 0.28     /* s: so much of a trial's beginning may be missing */
#define OFFSET_PRIOR 0.05 /* probability that any of it is */
#define SPREAD_PRIOR 5.0  /* trials that the pooled spread counts for at each phase */
#define SPREAD_SMOOTH 3.0 /* phases over which spreads are smoothed */
/* How often a place is stayed at before movement onset, stayed at and passed over beyond it, a
 * second. */
#define WAIT_HZ 1.5
#define STAY_HZ 1.0
#define SKIP_HZ 1.0
#define WANDER_MAX 0.3    /* of any of these, a bin */
#define SPREAD_FLOOR 0.01 /* sd that is added to positions within a state, of reach length */

/* The lattice: place z from z_first on; the trunk up to the onset, then a branch a slowness. */
struct lattice {
    const struct traj_reach *reach;
    long first;                            /* z of the trunk's first place */
    long onset;                            /* z of its last */
    size_t trunk;                          /* places of the trunk */
    size_t branch[TRAJ_REACH_SLOWS];       /* places of a branch */
    size_t branch_start[TRAJ_REACH_SLOWS]; /* its first state, from the target's first */
    size_t states;                         /* of one target */
};

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static int32_t *writable_i(const int32_t *array)
{
    return (int32_t *)(uintptr_t)array;
}

static void lay_lattice(struct lattice *lattice, const struct traj_reach *reach)
{
    double most = 0;
    for (size_t i = 0; i < TRAJ_REACH_DELAYS; i++)
        most = fmax(most, reach->delay[i]);
    lattice->reach = reach;
    lattice->first = -(long)most;
    lattice->onset = (long)reach->onset;
    lattice->trunk = (size_t)(lattice->onset - lattice->first) + 1;
    lattice->states = lattice->trunk;
    for (size_t s = 0; s < TRAJ_REACH_SLOWS; s++) {
        double length = ((double)(reach->phases - 1) - reach->onset) * traj_reach_slow[s];
        lattice->branch[s] = length < 1 ? 1 : (size_t)ceil(length);
        lattice->branch_start[s] = lattice->states;
        lattice->states += lattice->branch[s];
    }
}

/* Number of the place z in a slowness (the trunk is common to all), from the target's first
 * state. */
static size_t state_of(const struct lattice *lattice, size_t slow, long z)
{
    if (z <= lattice->onset)
        return z < lattice->first ? 0 : (size_t)(z - lattice->first);
    size_t past = (size_t)(z - lattice->onset) - 1;
    past = past < lattice->branch[slow] ? past : lattice->branch[slow] - 1;
    return lattice->branch_start[slow] + past;
}

/* What is measured of the trials about their courses. */
struct spreads {
    double *position; /* [phases][dim][dim] */
    double *velocity; /* [phases][dim][dim] */
};

static void course_velocity(const struct traj_reach *reach, size_t target, double phase,
                            double slow, double *out)
{
    double before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX];
    double last = (double)(reach->phases - 1);
    double from = fmax(phase - 1, 0), to = fmin(phase + 1, last);
    double pace = phase > reach->onset ? slow : 1;
    traj_reach_position(reach, target, from, before);
    traj_reach_position(reach, target, to, after);
    for (size_t d = 0; d < reach->dim; d++)
        out[d] = (after[d] - before[d]) / ((to - from) * reach->training->bin * pace);
}

/* Sums of squares of what the courses miss, by phase. */
static void gather_spreads(const struct traj_reach *reach, double *position, double *velocity,
                           double *weight)
{
    const struct traj_training *training = reach->training;
    size_t dim = reach->dim;
    for (size_t r = 0; r < reach->trials; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t i = 0; i < trial->count; i++) {
            size_t b = trial->first + i, cell = trial->cell[0];
            double phase = traj_reach_phase(reach, traj_reach_place(reach, cell, i),
                                            traj_reach_slowness(cell));
            double at[TRAJ_DIM_MAX], v[TRAJ_DIM_MAX];
            size_t g = (size_t)(phase + 0.5);
            if (!training->known[b])
                continue;
            traj_reach_position(reach, trial->target, phase, at);
            course_velocity(reach, trial->target, phase, traj_reach_slowness(cell), v);
            for (size_t d = 0; d < dim; d++) {
                at[d] = training->x[b * 3 * dim + d] - at[d];
                v[d] = training->x[(b * 3 + 1) * dim + d] - v[d];
            }
            for (size_t d = 0; d < dim; d++)
                for (size_t e = 0; e < dim; e++) {
                    position[(g * dim + d) * dim + e] += at[d] * at[e];
                    velocity[(g * dim + d) * dim + e] += v[d] * v[e];
                }
            weight[g]++;
        }
    }
}

/*
 * What squares of residuals are multiplied by.  A course from n trials and a prior of k leans
 * towards each of them by h = 1 / (n + k): what the trial misses of the course without it is its
 * residual / (1 - h).  That course is from n - 1 trials, a new trial's from n: errors fall as
 * 1 + 1 / (trials + k).
 */
static double widening(double n)
{
    double h = 1 / (fmax(n, 1) + TRAJ_REACH_PRIOR);
    double without = 1 / (fmax(n, 1) - 1 + TRAJ_REACH_PRIOR);
    return (1 + h) / (1 + without) / ((1 - h) * (1 - h));
}

/* Smooths over phase and shrinks to the pooled spread. */
static void smooth_spreads(const struct traj_reach *reach, const double *sum, const double *weight,
                           double floor, double *out)
{
    size_t phases = reach->phases, square = reach->dim * reach->dim;
    double widen = widening(reach->per_course);
    double pooled[TRAJ_DIM_MAX * TRAJ_DIM_MAX] = {0}, total = 0;
    for (size_t g = 0; g < phases; g++) {
        total += weight[g];
        for (size_t i = 0; i < square; i++)
            pooled[i] += sum[g * square + i];
    }
    for (size_t g = 0; g < phases; g++) {
        double mass = SPREAD_PRIOR;
        double *row = out + g * square;
        for (size_t i = 0; i < square; i++)
            row[i] = SPREAD_PRIOR * pooled[i] / fmax(total, 1);
        for (size_t h = 0; h < phases; h++) {
            double apart = ((double)g - (double)h) / SPREAD_SMOOTH,
                   near = exp(-0.5 * apart * apart);
            mass += near * weight[h];
            for (size_t i = 0; i < square; i++)
                row[i] += near * sum[h * square + i];
        }
        for (size_t i = 0; i < square; i++)
            row[i] = row[i] / mass * widen + (i % (reach->dim + 1) == 0 ? floor : 0);
    }
}

static int measure_spreads(const struct traj_reach *reach, struct spreads *spreads)
{
    size_t size = reach->phases * reach->dim * reach->dim;
    double *sums = calloc(2 * size + reach->phases, sizeof *sums);
    spreads->position = calloc(size, sizeof(double));
    spreads->velocity = calloc(size, sizeof(double));
    if (!sums || !spreads->position || !spreads->velocity) {
        free(sums);
        return -1;
    }
    double floor = SPREAD_FLOOR / 0.03 * reach->scatter;
    floor *= floor;
    gather_spreads(reach, sums, sums + size, sums + 2 * size);
    smooth_spreads(reach, sums, sums + 2 * size, floor, spreads->position);
    smooth_spreads(reach, sums + size, sums + 2 * size, floor, spreads->velocity);
    free(sums);
    return 0;
}

/* ---- states -------------------------------------------------------------------------------- */

static void put_state(const struct lattice *lattice, const struct traj_model *model,
                      const struct spreads *spreads, size_t target, size_t slow, long z)
{
    const struct traj_reach *reach = lattice->reach;
    const struct traj_chain *chain = &model->chain;
    size_t dim = reach->dim, own = state_of(lattice, slow, z), j = target * lattice->states + own;
    double phase = traj_reach_phase(reach, (double)z, traj_reach_slow[slow]);
    size_t low = (size_t)phase, g = (size_t)(phase + 0.5);
    double share = phase - (double)low, left = (double)(reach->phases - 1) - phase;
    traj_reach_position(reach, target, phase, writable(chain->position) + j * dim);
    course_velocity(reach, target, phase, traj_reach_slow[slow],
                    writable(chain->velocity) + j * dim);
    memcpy(writable(chain->position_spread) + j * dim * dim, spreads->position + g * dim * dim,
           dim * dim * sizeof(double));
    memcpy(writable(chain->velocity_spread) + j * dim * dim, spreads->velocity + g * dim * dim,
           dim * dim * sizeof(double));
    writable_i(chain->target)[j] = (int32_t)target;
    ((uint8_t *)(uintptr_t)chain->place)[j] = z < lattice->onset ? TRAJ_PLACE_PLAN
                                              : left > 0         ? TRAJ_PLACE_MOVE
                                                                 : TRAJ_PLACE_HOLD;
    writable(chain->progress)[j] =
        z <= lattice->onset ? 0
                            : (phase - reach->onset) / ((double)(reach->phases - 1) - reach->onset);
    double pace = phase > reach->onset ? traj_reach_slow[slow] : 1;
    writable(chain->eta)[j] = left * pace * reach->training->bin;
    writable_i(chain->node)[j] = (int32_t)(target * reach->phases + low);
    writable(chain->share)[j] = share;
    writable_i(chain->group)[j] = (int32_t)own;
}

static void put_states(const struct lattice *lattice, const struct traj_model *model,
                       const struct spreads *spreads)
{
    for (size_t m = 0; m < lattice->reach->targets; m++) {
        for (long z = lattice->first; z <= lattice->onset; z++)
            put_state(lattice, model, spreads, m, 0, z);
        for (size_t s = 0; s < TRAJ_REACH_SLOWS; s++)
            for (size_t i = 0; i < lattice->branch[s]; i++)
                put_state(lattice, model, spreads, m, s, lattice->onset + 1 + (long)i);
    }
}

/* ---- transitions --------------------------------------------------------------------------- */

/* Probability of each slowness. */
static void slowness_prior(const struct traj_reach *reach, double *prior)
{
    for (size_t s = 0; s < TRAJ_REACH_SLOWS; s++) {
        prior[s] = 0;
        for (size_t d = 0; d < TRAJ_REACH_DELAYS; d++)
            prior[s] += reach->prior[s * TRAJ_REACH_DELAYS + d];
    }
}

/* With model NULL it counts. */
struct link_writer {
    const struct traj_model *model;
    size_t next;
};

static void put_link(struct link_writer *writer, size_t to, double prob)
{
    if (!(prob > 0))
        return;
    if (writer->model) {
        const struct traj_chain *chain = &writer->model->chain;
        writable_i(chain->link_to)[writer->next] = (int32_t)to;
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
            writable(chain->link_prob)[c * writer->model->dims.links + writer->next] = prob;
    }
    writer->next++;
}

/* What a place of a branch leads to: the next, now and then the same or the one after it. */
static void put_branch_links(struct link_writer *writer, size_t j, size_t left, double wander)
{
    double stay = fmin(STAY_HZ * wander, WANDER_MAX), skip = fmin(SKIP_HZ * wander, WANDER_MAX);
    if (left == 0) {
        put_link(writer, j, 1);
        return;
    }
    put_link(writer, j, stay);
    put_link(writer, j + 1, left > 1 ? 1 - stay - skip : 1 - stay);
    put_link(writer, j + 2, left > 1 ? skip : 0);
}

/*
 * The warp need not hold for a whole trial: a hand may hesitate, before it moves or under way, and
 * then catch up.  wander: bins of it, see struct traj_chain_choice.
 */
static size_t put_links(const struct lattice *lattice, double wander,
                        const struct traj_model *model)
{
    struct link_writer writer = {model, 0};
    double prior[TRAJ_REACH_SLOWS], wait = fmin(WAIT_HZ * wander, WANDER_MAX);
    slowness_prior(lattice->reach, prior);
    for (size_t j = 0; j < lattice->reach->targets * lattice->states; j++) {
        size_t own = j % lattice->states, base = j - own;
        if (model)
            writable_i(model->chain.link_first)[j] = (int32_t)writer.next;
        if (own < lattice->trunk)
            put_link(&writer, j, wait);
        if (own + 1 < lattice->trunk) {
            put_link(&writer, j + 1, 1 - wait);
        } else if (own + 1 == lattice->trunk) {
            for (size_t s = 0; s < TRAJ_REACH_SLOWS; s++)
                put_link(&writer, base + lattice->branch_start[s], (1 - wait) * prior[s]);
        } else {
            size_t s = 0;
            while (s + 1 < TRAJ_REACH_SLOWS && own >= lattice->branch_start[s + 1])
                s++;
            put_branch_links(&writer, j, lattice->branch_start[s] + lattice->branch[s] - own - 1,
                             wander);
        }
    }
    if (model)
        writable_i(model->chain.link_first)[model->dims.states] = (int32_t)writer.next;
    return writer.next;
}

/* Where trials begin: the delay of the onset, and what may be missing of the beginning. */
static void put_start(const struct lattice *lattice, const struct traj_model *model)
{
    const struct traj_reach *reach = lattice->reach;
    size_t offsets = (size_t)(OFFSET_S / reach->training->bin + 0.5);
    double targets = (double)reach->targets;
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        for (size_t o = 0; o <= offsets; o++) {
            double share =
                o == 0 ? 1 - (offsets > 0 ? OFFSET_PRIOR : 0) : OFFSET_PRIOR / (double)offsets;
            long z = (long)o - (long)reach->delay[c % TRAJ_REACH_DELAYS];
            size_t own = state_of(lattice, c / TRAJ_REACH_DELAYS, z);
            for (size_t m = 0; m < reach->targets; m++)
                writable(model->chain.start)[m * lattice->states + own] +=
                    reach->prior[c] * share / targets;
        }
    memcpy(writable(model->chain.initial), model->chain.start, model->dims.states * sizeof(double));
}

/* ---- the model ----------------------------------------------------------------------------- */

static void describe(const struct traj_reach *reach, const char *text, struct traj_model *model)
{
    const struct traj_session *session = reach->training->session[0];
    struct traj_description *about = &model->about;
    (void)snprintf(about->family, sizeof about->family, "course");
    (void)snprintf(about->target_set, sizeof about->target_set, "default");
    memcpy(about->length_unit, session->length_unit, sizeof about->length_unit);
    memcpy(about->subject, session->subject, sizeof about->subject);
    about->length_unit[sizeof about->length_unit - 1] = '\0';
    about->subject[sizeof about->subject - 1] = '\0';
    memcpy((void *)(uintptr_t)about->target_id, session->target_id, reach->targets * TRAJ_ID_SIZE);
    memcpy(writable(model->target_position), session->target_position,
           reach->targets * reach->dim * sizeof(double));
    if (about->unit_name && session->unit_name)
        memcpy((void *)(uintptr_t)about->unit_name, session->unit_name,
               model->dims.units * TRAJ_ID_SIZE);
    if (about->training && text)
        memcpy((void *)(uintptr_t)about->training, text, strlen(text) + 1);
}

static int fill(const struct lattice *lattice, const struct traj_rates *rates,
                const struct traj_chain_choice *choice, struct traj_model *model,
                struct traj_error *error)
{
    struct spreads spreads = {NULL, NULL};
    const char *what = NULL;
    size_t index = 0;
    int status = measure_spreads(lattice->reach, &spreads);
    if (status)
        traj_error_set(error, "no memory for a filter over courses");
    if (status == 0) {
        model->bin_width = lattice->reach->training->bin;
        model->plan.temper = 1;
        model->evidence_temper = 1;
        model->calibration = choice->calibration;
        model->chain.start_share = 1;
        model->chain.switch_prob = choice->switch_prob;
        model->chain.temper = choice->temper;
        put_states(lattice, model, &spreads);
        (void)put_links(lattice, choice->wander * model->bin_width, model);
        put_start(lattice, model);
        memcpy(writable(model->chain.emission_mean), rates->log_rate,
               rates->nodes * rates->units * sizeof(double));
        memcpy(writable(model->chain.emission_doubt), rates->doubt, rates->nodes * sizeof(double));
        for (size_t n = 0; n < rates->units; n++)
            writable(model->chain.emission_noise)[n] = 1;
        memcpy(writable(model->chain.gain), rates->gain,
               rates->units * rates->gains * sizeof(double));
        enum traj_status checked = traj_model_check(model, &what, &index);
        if (checked != TRAJ_OK)
            status = traj_error_set(error, "%s: what was fitted is no model: %s[%zu]: %s",
                                    lattice->reach->training->session[0]->path, what ? what : "?",
                                    index, traj_status_text(checked));
    }
    free(spreads.position);
    free(spreads.velocity);
    return status;
}

struct traj_model *traj_chain_assemble(const struct traj_reach *reach,
                                       const struct traj_rates *rates,
                                       const struct traj_chain_choice *choice,
                                       const char *training_text, struct traj_error *error)
{
    struct lattice lattice;
    lay_lattice(&lattice, reach);
    struct traj_dims dims = {.position = reach->dim,
                             .state = 2 * reach->dim,
                             .units = rates->units,
                             .targets = reach->targets,
                             .states = reach->targets * lattice.states,
                             .nodes = rates->nodes,
                             .gains = rates->gains,
                             .links =
                                 put_links(&lattice, choice->wander * reach->training->bin, NULL)};
    struct traj_model *model =
        traj_model_make(&dims, false, reach->training->session[0]->unit_name != NULL,
                        training_text ? strlen(training_text) + 1 : 0, error);
    if (!model)
        return NULL;
    describe(reach, training_text, model);
    if (fill(&lattice, rates, choice, model, error)) {
        free(model);
        return NULL;
    }
    return model;
}
