/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenario files; see scenario.h. */
#include "clients/rig/scenario.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEGREE (3.141592653589793 / 180.0)
#define FILE_MAX (1 << 20)

struct reading {
    const char *name;
    struct traj_error *error;
};

void traj_scenario_default(struct traj_scenario *scenario)
{
    memset(scenario, 0, sizeof *scenario);
    struct traj_block_options *o = &scenario->block;
    traj_task_options_default(&o->task);
    traj_user_options_default(&o->user);
    traj_neurons_options_default(&o->neurons);
    o->hand_delay_s = 0.15;
    o->hand_smoothing_s = 0.04;
    o->seconds = 240.0;
    o->practice_s = 60.0;
    o->watch_s = 40.0;
    o->belief_gain = 1.0;
    o->marks = true;
    o->effector = true;
    scenario->calibration_s = 180.0;
    scenario->second_s = 180.0;
    scenario->plant = (struct traj_plant_options){.kind = TRAJ_PLANT_POSITION, .blend_s = 0.1};
}

enum kind { REAL, RANGE, SIZE, FLAG };

struct field {
    const char *section, *key;
    enum kind kind;
    void *into;
    double low, high;
};

static int refuse(const struct reading *r, const struct field *f, const char *reason)
{
    return traj_error_set(r->error, "%s: field \"%s.%s\" %s", r->name, f->section, f->key, reason);
}

static int in_range(const struct reading *r, const struct field *f, const json_t *value,
                    double *out)
{
    if (!json_is_number(value)) {
        return refuse(r, f, "must be a number");
    }
    *out = json_number_value(value);
    if (!(*out >= f->low && *out <= f->high)) {
        return traj_error_set(r->error, "%s: field \"%s.%s\" must lie between %g and %g", r->name,
                              f->section, f->key, f->low, f->high);
    }
    return 0;
}

static int read_field(const struct reading *r, const struct field *f, const json_t *value)
{
    double number;
    switch (f->kind) {
    case REAL:
        return in_range(r, f, value, f->into);
    case FLAG:
        if (!json_is_boolean(value)) {
            return refuse(r, f, "must be true or false");
        }
        *(bool *)f->into = json_is_true(value);
        return 0;
    case SIZE:
        if (!json_is_integer(value)) {
            return refuse(r, f, "must be a whole number");
        }
        if (in_range(r, f, value, &number) != 0) {
            return -1;
        }
        *(size_t *)f->into = (size_t)number;
        return 0;
    case RANGE:
        if (json_array_size(value) != 2 || in_range(r, f, json_array_get(value, 0), f->into) ||
            in_range(r, f, json_array_get(value, 1), (double *)f->into + 1) ||
            ((double *)f->into)[1] < ((double *)f->into)[0]) {
            return refuse(r, f, "must be two numbers, the smaller one first");
        }
        return 0;
    }
    return -1;
}

/* Fields that are words. */
static int read_word(const struct reading *r, struct traj_scenario *s, const char *section,
                     const char *key, const json_t *value, bool *known)
{
    const struct field f = {.section = section, .key = key};
    const char *text = json_string_value(value);
    bool task = strcmp(section, "task") == 0 && strcmp(key, "kind") == 0;
    bool plant = strcmp(section, "plant") == 0 && strcmp(key, "kind") == 0;
    *known = task || plant;
    if (task && (!text || traj_task_kind_parse(text, &s->block.task.kind) != 0)) {
        return refuse(r, &f, "is not centre-out, random, jump, via or draw");
    }
    if (plant && (!text || traj_plant_kind_parse(text, &s->plant.kind) != 0)) {
        return refuse(r, &f, "is not velocity, position or blend");
    }
    return 0;
}

static int read_section(const struct reading *r, struct traj_scenario *s, const char *section,
                        json_t *object, const struct field *field, size_t fields)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        bool known;
        if (read_word(r, s, section, key, value, &known) != 0) {
            return -1;
        }
        for (size_t i = 0; i < fields && !known; i++) {
            if (strcmp(field[i].section, section) == 0 && strcmp(field[i].key, key) == 0) {
                known = true;
                if (read_field(r, &field[i], value) != 0) {
                    return -1;
                }
            }
        }
        if (!known) {
            return traj_error_set(r->error, "%s: field \"%s.%s\" is not known", r->name, section,
                                  key);
        }
    }
    return 0;
}

static int read_change(const struct reading *r, struct traj_change *change, json_t *object)
{
    static const char *const kinds[] = {"silence", "gain", "drift"};
    const struct field field[] = {
        {"changes", "at_s", REAL, &change->at_s, 0.0, 1e6},
        {"changes", "share", REAL, &change->share, 0.0, 1.0},
        {"changes", "size", REAL, &change->size, 0.0, 100.0},
    };
    const char *kind = json_string_value(json_object_get(object, "kind"));
    bool known = false;
    *change = (struct traj_change){.share = 1.0, .size = 1.0};
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            change->kind = (enum traj_change_kind)i;
            known = true;
        }
    }
    if (!known) {
        return traj_error_set(r->error, "%s: field \"changes.kind\" is not silence, gain or drift",
                              r->name);
    }
    (void)json_object_del(object, "kind");
    return read_section(r, NULL, "changes", object, field, sizeof field / sizeof *field);
}

static int read_changes(const struct reading *r, struct traj_block_options *o, const json_t *array)
{
    if (!json_is_array(array) || json_array_size(array) > TRAJ_BLOCK_CHANGES) {
        return traj_error_set(r->error, "%s: field \"changes\" must be an array of at most %d",
                              r->name, TRAJ_BLOCK_CHANGES);
    }
    o->changes = json_array_size(array);
    for (size_t i = 0; i < o->changes; i++) {
        if (!json_is_object(json_array_get(array, i))) {
            return traj_error_set(r->error, "%s: field \"changes\" must hold objects", r->name);
        }
        if (read_change(r, &o->change[i], json_array_get(array, i)) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_sections(const struct reading *r, struct traj_scenario *s, json_t *root,
                         const struct field *field, size_t count)
{
    const char *section;
    json_t *value;
    json_object_foreach (root, section, value) {
        if (strcmp(section, "name") == 0 || strcmp(section, "about") == 0) {
            if (!json_is_string(value)) {
                return traj_error_set(r->error, "%s: field \"%s\" must be text", r->name, section);
            }
            continue;
        }
        int result = strcmp(section, "changes") == 0
                         ? read_changes(r, &s->block, value)
                         : read_section(r, s, section, value, field, count);
        if (result != 0) {
            return -1;
        }
        if (!json_is_object(value) && !json_is_array(value)) {
            return traj_error_set(r->error, "%s: field \"%s\" must be an object", r->name, section);
        }
    }
    return 0;
}

static int read_root(const struct reading *r, struct traj_scenario *s, json_t *root)
{
    struct traj_block_options *o = &s->block;
    struct traj_task_options *t = &o->task;
    struct traj_user_options *u = &o->user;
    struct traj_neurons_options *n = &o->neurons;
    const struct field field[] = {
        {"task", "dim", SIZE, &t->dim, 2, TRAJ_RIG_DIM},
        {"task", "targets", SIZE, &t->targets, 2, TRAJ_TASK_TARGETS},
        {"task", "bin_s", REAL, &t->bin_s, 0.005, 0.1},
        {"task", "reach_mm", REAL, &t->reach, 1, 1000},
        {"task", "radius_mm", REAL, &t->radius, 0.1, 1000},
        {"task", "hold_s", REAL, &t->hold_s, 0, 10},
        {"task", "timeout_s", REAL, &t->timeout_s, 0.1, 60},
        {"task", "return_s", REAL, &t->return_s, 0.1, 60},
        {"task", "rest_s", RANGE, t->rest_s, 0, 60},
        {"task", "delay_s", RANGE, t->delay_s, 0, 60},
        {"task", "jump_share", REAL, &t->jump_share, 0, 1},
        {"task", "jump_s", RANGE, t->jump_s, 0, 60},
        {"task", "via_mm", REAL, &t->via_mm, -1000, 1000},
        {"task", "draw_speed_mm_s", REAL, &t->draw_speed, 1, 1000},
        {"user", "duration_s", REAL, &u->duration_s, 0.1, 3},
        {"user", "reaction_s", RANGE, u->reaction_s, 0, 2},
        {"user", "jump_reaction_s", REAL, &u->jump_reaction_s, 0, 2},
        {"user", "correction_s", REAL, &u->correction_s, 0.1, 1},
        {"user", "speed_max_mm_s", REAL, &u->speed_max, 1, 1e5},
        {"user", "sensory_delay_s", REAL, &u->sensory_delay_s, 0, 0.3},
        {"user", "sight_noise_mm", REAL, &u->sight_noise, 0, 100},
        {"user", "sight_velocity_noise_mm_s", REAL, &u->sight_velocity_noise, 0, 1000},
        {"user", "motor_cv", REAL, &u->motor_cv, 0, 2},
        {"user", "motor_floor_mm_s", REAL, &u->motor_floor, 0, 1000},
        {"user", "motor_tau_s", REAL, &u->motor_tau_s, 0.001, 10},
        {"user", "belief_gain", REAL, &o->belief_gain, 0.1, 10},
        {"user", "belief_turn_deg", REAL, &o->belief_turn, -180, 180},
        {"population", "units", SIZE, &n->sim.units, 1, TRAJ_UNITS_MAX},
        {"population", "rate_hz", REAL, &n->sim.rate_hz, 0.01, 1000},
        {"population", "rate_spread", REAL, &n->sim.rate_spread, 0, 3},
        {"population", "silent_share", REAL, &n->sim.silent_share, 0, 1},
        {"population", "depth", REAL, &n->sim.depth, 0, 2},
        {"population", "depth_spread", REAL, &n->sim.depth_spread, 0, 3},
        {"population", "speed_depth", REAL, &n->sim.speed_depth, 0, 2},
        {"population", "position_depth", REAL, &n->sim.position_depth, 0, 2},
        {"population", "plan_depth", REAL, &n->sim.plan_depth, 0, 2},
        {"population", "lag_max_s", REAL, &n->sim.lag_max_s, 0, 0.3},
        {"population", "gain_sd", REAL, &n->sim.gain_sd, 0, 2},
        {"population", "gain_rank", SIZE, &n->sim.gain_rank, 0, TRAJ_SIM_GAINS_MAX},
        {"population", "gain_tau_s", REAL, &n->sim.gain_tau_s, 0.01, 1e6},
        {"population", "history_depth", REAL, &n->history_depth, -5, 0.2},
        {"population", "history_tau_s", REAL, &n->history_tau_s, 0.001, 1},
        {"population", "mixed_share", REAL, &n->mixed_share, 0, 1},
        {"population", "dispersion", REAL, &n->dispersion, 0, 10},
        {"population", "burst_hz", REAL, &n->burst_hz, 0, 10},
        {"population", "burst_s", REAL, &n->burst_s, 0.001, 10},
        {"population", "burst_factor", REAL, &n->burst_factor, 0, 100},
        {"calibration", "seconds", REAL, &s->calibration_s, 5, 36000},
        {"calibration", "second_s", REAL, &s->second_s, 5, 36000},
        {"calibration", "second_trajd", FLAG, &s->second_trajd, 0, 0},
        {"calibration", "hand_delay_s", REAL, &o->hand_delay_s, 0, 0.4},
        {"calibration", "hand_smoothing_s", REAL, &o->hand_smoothing_s, 0.001, 1},
        {"run", "seconds", REAL, &o->seconds, 1, 36000},
        {"run", "practice_s", REAL, &o->practice_s, 0, 36000},
        {"run", "watch_s", REAL, &o->watch_s, 0, 36000},
        {"run", "marks", FLAG, &o->marks, 0, 0},
        {"run", "prior", REAL, &o->prior, 0, 1},
        {"run", "prior_right", REAL, &o->prior_right, 0, 1},
        {"run", "tell_jumps", FLAG, &o->tell_jumps, 0, 0},
        {"run", "turn_deg", REAL, &t->turn, -180, 180},
        {"run", "scale", REAL, &t->scale, 0.1, 10},
        {"run", "effector", FLAG, &o->effector, 0, 0},
        {"plant", "blend_s", REAL, &s->plant.blend_s, 0.001, 100},
    };
    if (read_sections(r, s, root, field, sizeof field / sizeof *field) != 0) {
        return -1;
    }
    const char *name = json_string_value(json_object_get(root, "name"));
    (void)snprintf(s->name, sizeof s->name, "%s", name ? name : r->name);
    return 0;
}

/* What fields say together, and what one says for several. */
static int settle(const struct reading *r, struct traj_scenario *s)
{
    struct traj_block_options *o = &s->block;
    o->belief_turn *= DEGREE;
    o->task.turn *= DEGREE;
    o->user.bin_s = o->neurons.sim.bin_s = o->task.bin_s;
    o->user.reach = o->neurons.sim.reach_mm = o->task.reach;
    o->neurons.sim.duration_s = o->user.duration_s;
    o->neurons.sim.dim = o->task.dim;
    double late = fmax(o->user.sensory_delay_s + o->hand_delay_s, o->neurons.sim.lag_max_s);
    if (late > (TRAJ_USER_MEMORY - 3) * o->task.bin_s) {
        return traj_error_set(r->error, "%s: %g s of delays are more than %d bins", r->name, late,
                              TRAJ_USER_MEMORY - 3);
    }
    if (o->practice_s >= o->seconds) {
        return traj_error_set(r->error, "%s: nothing is left of run.seconds after run.practice_s",
                              r->name);
    }
    if (o->watch_s > o->practice_s) {
        return traj_error_set(r->error, "%s: run.watch_s is more than run.practice_s", r->name);
    }
    if (s->second_trajd && o->task.kind == TRAJ_TASK_DRAW) {
        return traj_error_set(r->error,
                              "%s: calibration.second_trajd: nothing is known of what is intended "
                              "where task.kind is draw",
                              r->name);
    }
    if (o->task.reach <= o->task.radius) {
        return traj_error_set(r->error, "%s: task.radius_mm is not below task.reach_mm", r->name);
    }
    return 0;
}

int traj_scenario_parse(struct traj_scenario *scenario, const char *text, size_t size,
                        const char *name, struct traj_error *error)
{
    const struct reading reading = {name, error};
    json_error_t where;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        return traj_error_set(error, "%s:%d: %s", name, where.line, where.text);
    }
    int result = json_is_object(root) ? read_root(&reading, scenario, root)
                                      : traj_error_set(error, "%s: is not an object", name);
    json_decref(root);
    return result == 0 ? settle(&reading, scenario) : -1;
}

int traj_scenario_read(struct traj_scenario *scenario, const char *path, struct traj_error *error)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return traj_error_set(error, "%s: %s", path, strerror(errno));
    }
    char *text = malloc(FILE_MAX);
    size_t size = text ? fread(text, 1, FILE_MAX, file) : 0;
    (void)fclose(file);
    int result = text ? traj_scenario_parse(scenario, text, size, path, error)
                      : traj_error_set(error, "memory is short");
    free(text);
    return result;
}
