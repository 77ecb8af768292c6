/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model by rule, and its frames; see bench_model.h. */
#include "clients/trajctl/bench_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"

#define REACH 100.0 /* mm */
#define PI 3.14159265358979323846
#define TRIAL_S 2.0    /* of which the first third is before movement onset */
#define NODES_MAX 2000 /* of all targets: as far as train goes with a filter over courses */
#define NODES_MIN 8    /* of one target */
#define SPEEDS 7
#define GAINS 3
#define SKIP 0.02                    /* probability of a place to be skipped */
#define CYCLE_MAX ((size_t)64 << 20) /* bytes of counts */

static const double slowness[SPEEDS] = {0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5};

/* splitmix64 (Steele et al. 2014) to [0, 1). */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Near enough to a normal deviate for made-up tuning. */
static double normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += uniform(state);
    }
    return sum;
}

static unsigned poisson(uint64_t *state, double mean)
{
    double product = uniform(state), limit = exp(-mean);
    unsigned count = 0;
    while (product > limit && count < 200) {
        product *= uniform(state);
        count++;
    }
    return count;
}

/* The lattice of one target's states. */
struct lattice {
    size_t nodes, trunk, branch[SPEEDS], states;
    double stay; /* probability of a place to last another bin */
};

static void lay_lattice(struct lattice *l, const struct bench_size *size)
{
    double bins = TRIAL_S / size->bin;
    double most = (double)NODES_MAX / (double)size->targets;
    double nodes = fmax(NODES_MIN, floor(fmin(bins, most)));
    l->nodes = (size_t)nodes;
    l->stay = fmax(SKIP, 1.0 - nodes / bins);
    l->trunk = l->nodes / 3;
    l->states = l->trunk;
    for (size_t s = 0; s < SPEEDS; s++) {
        l->branch[s] = (size_t)ceil((double)(l->nodes - l->trunk) * slowness[s]);
        l->states += l->branch[s];
    }
}

/* Writes into a model under construction, whose arrays are const to everybody else. */
static double *reals(const double *array)
{
    return (double *)(uintptr_t)array;
}

static int32_t *whole(const int32_t *array)
{
    return (int32_t *)(uintptr_t)array;
}

/* State number `own` of a target: the phase in nodes, 0 in the trunk's first place. */
static double phase_of(const struct lattice *l, size_t own, size_t *speed, bool *last)
{
    *last = false;
    *speed = 3;
    if (own < l->trunk) {
        return (double)own;
    }
    own -= l->trunk;
    size_t s = 0;
    while (own >= l->branch[s]) {
        own -= l->branch[s++];
    }
    *speed = s;
    *last = own + 1 == l->branch[s];
    return fmin((double)l->trunk + (double)own / slowness[s], (double)l->nodes - 1);
}

/* Share of the way and of the top speed at a phase: minimum jerk from the onset on. */
static void course(const struct lattice *l, double phase, double *way, double *speed)
{
    double x = (phase - (double)l->trunk) / ((double)(l->nodes - l->trunk) - 1);
    x = fmin(fmax(x, 0.0), 1.0);
    *way = x * x * x * (10 - 15 * x + 6 * x * x);
    *speed = 16 * x * x * (1 - x) * (1 - x);
}

static void put_state(const struct lattice *l, const struct traj_model *model, size_t target,
                      size_t own)
{
    const struct traj_chain *chain = &model->chain;
    size_t j = target * l->states + own, s;
    bool last;
    double phase = phase_of(l, own, &s, &last), way, speed;
    double low = fmin(floor(phase), (double)l->nodes - 1);
    double top = 1.875 * REACH / (TRIAL_S * 2 / 3 * slowness[s]);
    course(l, phase, &way, &speed);
    for (size_t d = 0; d < 2; d++) {
        double to = model->target_position[2 * target + d];
        reals(chain->position)[2 * j + d] = way * to;
        reals(chain->velocity)[2 * j + d] = speed * top * to / REACH;
        reals(chain->position_spread)[4 * j + 3 * d] = 25;
        reals(chain->velocity_spread)[4 * j + 3 * d] = 2500;
    }
    whole(chain->target)[j] = (int32_t)target;
    uint8_t *place = (uint8_t *)(uintptr_t)chain->place;
    place[j] = own < l->trunk ? TRAJ_PLACE_PLAN : last ? TRAJ_PLACE_HOLD : TRAJ_PLACE_MOVE;
    reals(chain->progress)[j] = way;
    reals(chain->eta)[j] = fmax(0, (double)(l->nodes - 1) - phase) * TRIAL_S / (double)l->nodes;
    whole(chain->node)[j] = (int32_t)(target * l->nodes + (size_t)low);
    reals(chain->share)[j] = low + 1 < (double)l->nodes ? phase - low : 0;
    whole(chain->group)[j] = (int32_t)own;
}

/* Counts the links where there is no model yet. */
struct link_writer {
    const struct traj_model *model;
    size_t next;
};

static void put_link(struct link_writer *writer, size_t to, double prob)
{
    if (writer->model) {
        whole(writer->model->chain.link_to)[writer->next] = (int32_t)to;
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++) {
            reals(writer->model->chain.link_prob)[c * writer->model->dims.links + writer->next] =
                prob;
        }
    }
    writer->next++;
}

/* The trunk leads on or waits; a branch leads on, or now and then waits or skips a place. */
static size_t put_links(const struct lattice *l, size_t states, const struct traj_model *model)
{
    struct link_writer writer = {model, 0};
    for (size_t j = 0; j < states; j++) {
        size_t own = j % l->states, to = j - own + l->trunk, s;
        bool last, before_last;
        (void)phase_of(l, own, &s, &last);
        if (model) {
            whole(model->chain.link_first)[j] = (int32_t)writer.next;
        }
        if (last) {
            put_link(&writer, j, 1);
            continue;
        }
        put_link(&writer, j, l->stay);
        if (own + 1 < l->trunk) {
            put_link(&writer, j + 1, 1 - l->stay);
            continue;
        }
        if (own + 1 == l->trunk) {
            for (s = 0; s < SPEEDS; to += l->branch[s++]) {
                put_link(&writer, to, (1 - l->stay) / SPEEDS);
            }
            continue;
        }
        (void)phase_of(l, own + 1, &s, &before_last);
        put_link(&writer, j + 1, (1 - l->stay) * (before_last ? 1 : 1 - SKIP));
        if (!before_last) {
            put_link(&writer, j + 2, (1 - l->stay) * SKIP);
        }
    }
    if (model) {
        whole(model->chain.link_first)[states] = (int32_t)writer.next;
    }
    return writer.next;
}

/* Log rates of one unit at every node: cosine tuning to the velocity, stronger in some. */
static void put_unit(const struct lattice *l, const struct traj_model *model, size_t unit,
                     uint64_t *seed)
{
    double base = log(8.0) + 0.6 * normal(seed), depth = exp(0.5 * normal(seed) - 0.7);
    double prefers = 2 * PI * uniform(seed);
    for (size_t m = 0; m < model->dims.targets; m++) {
        const double *to = model->target_position + 2 * m;
        double along = cos(atan2(to[1], to[0]) - prefers);
        for (size_t g = 0; g < l->nodes; g++) {
            double way, speed;
            course(l, (double)g, &way, &speed);
            reals(model->chain.emission_mean)[(m * l->nodes + g) * model->dims.units + unit] =
                base + depth * (speed * along + 0.3 * way * along + 0.2 * speed);
        }
    }
    reals(model->chain.emission_noise)[unit] = 1;
    for (size_t q = 0; q < GAINS; q++) {
        reals(model->chain.gain)[unit * GAINS + q] = 0.1 * normal(seed);
    }
}

static void put_numbers(const struct lattice *l, struct traj_model *model)
{
    size_t targets = model->dims.targets;
    uint64_t seed = 20261123;
    for (size_t m = 0; m < targets; m++) {
        double angle = 2 * PI * (double)m / (double)targets;
        reals(model->target_position)[2 * m] = REACH * cos(angle);
        reals(model->target_position)[2 * m + 1] = REACH * sin(angle);
        char(*id)[TRAJ_ID_SIZE] = (char(*)[TRAJ_ID_SIZE])(uintptr_t)model->about.target_id;
        (void)snprintf(id[m], TRAJ_ID_SIZE, "%zu", m);
        reals(model->chain.start)[m * l->states] = 1 / (double)targets;
        reals(model->chain.initial)[m * l->states] = 1 / (double)targets;
        for (size_t own = 0; own < l->states; own++) {
            put_state(l, model, m, own);
        }
    }
    (void)put_links(l, model->dims.states, model);
    for (size_t n = 0; n < model->dims.units; n++) {
        put_unit(l, model, n, &seed);
    }
}

struct traj_model *bench_model_make(const struct bench_size *size, struct traj_error *error)
{
    struct lattice l;
    lay_lattice(&l, size);
    struct traj_dims dims = {.position = 2,
                             .state = 4,
                             .units = size->units,
                             .targets = size->targets,
                             .states = size->targets * l.states,
                             .nodes = size->targets * l.nodes,
                             .gains = GAINS,
                             .links = put_links(&l, size->targets * l.states, NULL)};
    struct traj_model *model = traj_model_new(&dims, 0, 0, error);
    if (!model) {
        return NULL;
    }
    model->bin_width = size->bin;
    model->plan.temper = 1;
    model->evidence_temper = 1;
    model->calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    model->chain.start_share = 1;
    model->chain.temper = 0.5;
    (void)snprintf(model->about.family, sizeof model->about.family, "course");
    (void)snprintf(model->about.length_unit, sizeof model->about.length_unit, "mm");
    (void)snprintf(model->about.subject, sizeof model->about.subject, "by rule");
    (void)snprintf(model->about.target_set, sizeof model->about.target_set, "circle");
    put_numbers(&l, model);
    return model;
}

/* Counts of one trial: the course to a target at one speed. */
static void draw_trial(struct bench_frames *frames, size_t first, size_t bins,
                       const struct lattice *l, const struct traj_model *model, size_t target,
                       uint64_t *seed)
{
    for (size_t i = 0; i < bins && first + i < frames->count; i++) {
        size_t g = (size_t)((double)i / (double)bins * (double)l->nodes);
        const double *log_rate =
            model ? model->chain.emission_mean + (target * l->nodes + g) * frames->units : NULL;
        for (size_t n = 0; n < frames->units; n++) {
            double rate = log_rate ? exp(log_rate[n]) : 10.0;
            frames->counts[(first + i) * frames->units + n] =
                (uint16_t)poisson(seed, rate * TRIAL_S / (double)bins);
        }
    }
}

int bench_frames_make(struct bench_frames *frames, const struct bench_size *size,
                      const struct traj_model *model, struct traj_error *error)
{
    struct lattice l;
    uint64_t seed = 7;
    size_t trial = (size_t)fmax(2, TRIAL_S / size->bin + 0.5);
    size_t trials = CYCLE_MAX / (trial * size->units * sizeof *frames->counts);
    trials = trials < 1 ? 1 : trials > 8 ? 8 : trials;
    lay_lattice(&l, size);
    *frames = (struct bench_frames){.units = size->units, .count = trials * trial};
    frames->counts = calloc(frames->count * frames->units, sizeof *frames->counts);
    frames->starts = calloc(frames->count, sizeof *frames->starts);
    if (!frames->counts || !frames->starts) {
        bench_frames_free(frames);
        return traj_error_set(error, "memory is short");
    }
    for (size_t k = 0; k < trials; k++) {
        frames->starts[k * trial] = 1;
        draw_trial(frames, k * trial, trial, &l, model, k * 3 % size->targets, &seed);
    }
    return 0;
}

void bench_frames_free(struct bench_frames *frames)
{
    free(frames->counts);
    free(frames->starts);
    *frames = (struct bench_frames){0};
}
