/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of a model's arrays, and a model's memory: one block that holds the struct and all. */
#include "daemon/learn/model_layout.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"

/* Start of every array, so that wide loads stay inside one cache line. */
#define ALIGNMENT 64u

const char *traj_dims_check(const struct traj_dims *dims)
{
    if (dims->position < 1 || dims->position > TRAJ_DIM_MAX)
        return "dims.position";
    if (dims->state > TRAJ_STATE_MAX ||
        (dims->state != 2 * dims->position && dims->state != 3 * dims->position))
        return "dims.state";
    if (dims->units > TRAJ_UNITS_MAX)
        return "dims.units";
    if (dims->features > TRAJ_UNITS_MAX)
        return "dims.features";
    if (dims->targets > TRAJ_TARGETS_MAX)
        return "dims.targets";
    if ((dims->components < 1) != (dims->states > 0) || dims->components > TRAJ_COMPONENTS_MAX)
        return "dims.components";
    if (dims->lag > TRAJ_LAG_MAX)
        return "dims.lag";
    if (dims->tunings > dims->components)
        return "dims.tunings";
    if (dims->warps > dims->components)
        return "dims.warps";
    if (dims->delay > TRAJ_DELAY_MAX)
        return "dims.delay";
    if (dims->states > TRAJ_STATES_MAX)
        return "dims.states";
    if (dims->nodes > TRAJ_STATES_MAX)
        return "dims.nodes";
    if (dims->gains > TRAJ_GAINS_MAX)
        return "dims.gains";
    if (dims->factors > dims->units + dims->features)
        return "dims.factors";
    if (dims->links > TRAJ_LINKS_MAX)
        return "dims.links";
    if (dims->stages > TRAJ_STAGES_MAX || (dims->stages > 0 && dims->states == 0))
        return "dims.stages";
    if (dims->paces > TRAJ_PACES_MAX || (dims->paces > 0 && dims->states == 0))
        return "dims.paces";
    return NULL;
}

size_t traj_dtype_bytes(enum traj_dtype dtype)
{
    switch (dtype) {
    case TRAJ_F64:
        return 8;
    case TRAJ_F32:
    case TRAJ_I32:
        return 4;
    case TRAJ_U16:
        return 2;
    case TRAJ_U8:
        return 1;
    }
    return 0;
}

size_t traj_model_field_count(const struct traj_model_field *field)
{
    size_t count = 1;
    for (size_t i = 0; i < field->rank; i++)
        count *= field->shape[i];
    return count;
}

void *traj_model_field_data(const struct traj_model_field *field, const struct traj_model *model)
{
    char *place = (char *)(uintptr_t)model + field->offset;
    if (field->place == TRAJ_FIELD_EMBEDDED)
        return place;
    void *data;
    memcpy(&data, place, sizeof data);
    return data;
}

/* clang-format off */
#define ARRAY(type, member, rank, a, b, c)                                                         \
    {#member, type, rank, {a, b, c, 1}, TRAJ_FIELD_ARRAY, offsetof(struct traj_model, member)}
#define SCALAR(member) SCALAR_IF(1, member)
#define SCALAR_IF(there, member)                                                                   \
    {#member, TRAJ_F64, 1, {(there) ? 1 : 0, 1, 1, 1}, TRAJ_FIELD_EMBEDDED,                        \
     offsetof(struct traj_model, member)}
#define CURVE(member)                                                                              \
    {#member, TRAJ_F64, 2, {2, TRAJ_CURVE_KNOTS, 1, 1}, TRAJ_FIELD_EMBEDDED,                       \
     offsetof(struct traj_model, member)}
/* clang-format on */

#define RECENT_FIELDS 8
#define STEER_FIELDS 12
#define CALIBRATION_FIELDS 10

_Static_assert(sizeof(struct traj_curve) == 2 * TRAJ_CURVE_KNOTS * sizeof(double),
               "a curve is one array in a model file");

/* What a model with a memory of the recent past has beside; returns how many fields. */
static size_t recent_fields(const struct traj_dims *dims, struct traj_model_field *field)
{
    size_t b = dims->stages, c = dims->units + dims->features, out = 2 * dims->position;
    const struct traj_model_field all[] = {
        ARRAY(TRAJ_F64, recent.center, 1, c, 1, 1),
        ARRAY(TRAJ_F64, recent.weight, 3, b, c, out),
        ARRAY(TRAJ_F64, recent.offset, 1, out, 1, 1),
        ARRAY(TRAJ_F64, recent.mean, 2, dims->states, out, 1),
        ARRAY(TRAJ_F64, recent.noise, 2, out, out, 1),
        ARRAY(TRAJ_F64, recent.gain, 2, out, out, 1),
        SCALAR(recent.follow),
        SCALAR(recent.temper),
    };
    _Static_assert(sizeof all / sizeof all[0] == RECENT_FIELDS, "as many as were counted");
    memcpy(field, all, b > 0 ? sizeof all : 0);
    return b > 0 ? RECENT_FIELDS : 0;
}

/* The same of a model that knows what steering is. */
static size_t steer_fields(const struct traj_dims *dims, struct traj_model_field *field)
{
    size_t k = dims->paces, c = dims->units + dims->features, x = 2 * dims->position + 2;
    const struct traj_model_field all[] = {
        ARRAY(TRAJ_F64, steer.tuning, 2, c, x, 1),
        ARRAY(TRAJ_F64, steer.pace, 1, k, 1, 1),
        ARRAY(TRAJ_F64, steer.pace_prob, 2, k, k, 1),
        ARRAY(TRAJ_F64, steer.home, 1, dims->position, 1, 1),
        SCALAR(steer.speed_most),
        SCALAR(steer.velocity_spread),
        SCALAR(steer.place_spread),
        SCALAR(steer.close),
        SCALAR(steer.mark),
        SCALAR(steer.change),
        SCALAR(steer.change_unmarked),
        SCALAR(steer.patience),
    };
    _Static_assert(sizeof all / sizeof all[0] == STEER_FIELDS, "as many as were counted");
    memcpy(field, all, k > 0 ? sizeof all : 0);
    return k > 0 ? STEER_FIELDS : 0;
}

static size_t calibration_fields(struct traj_model_field *field)
{
    const struct traj_model_field all[] = {
        SCALAR(calibration.position_scale),    SCALAR(calibration.velocity_scale),
        SCALAR(calibration.position_round),    SCALAR(calibration.position_unmarked),
        SCALAR(calibration.target_power),      SCALAR(calibration.target_rise),
        SCALAR(calibration.free_bias),         CURVE(calibration.position_by_spread),
        CURVE(calibration.velocity_by_spread), CURVE(calibration.velocity_by_speed),
    };
    _Static_assert(sizeof all / sizeof all[0] == CALIBRATION_FIELDS, "as many as were counted");
    memcpy(field, all, sizeof all);
    return CALIBRATION_FIELDS;
}

size_t traj_model_fields(const struct traj_dims *dims, bool with_plan,
                         struct traj_model_field *field)
{
    size_t d = dims->position, s = dims->state, n = dims->units, f = dims->features;
    size_t m = dims->targets, k = dims->components, w = dims->tunings, speeds = dims->warps;
    /* The two kinds of family have nothing but the targets in common. */
    size_t nt = k > 0 ? n : 0, ft = k > 0 ? f : 0;
    size_t j = dims->states, e = dims->nodes, c = j > 0 ? n + f : 0, l = dims->links;
    const struct traj_model_field all[] = {
        SCALAR(bin_width),
        ARRAY(TRAJ_F64, tuning.weight, 2, nt, s, 1),
        ARRAY(TRAJ_F64, tuning.offset, 1, nt, 1, 1),
        ARRAY(TRAJ_I32, tuning.lag, 1, nt, 1, 1),
        ARRAY(TRAJ_F64, tuning.own_weight, 3, w, n, s),
        ARRAY(TRAJ_F64, tuning.own_offset, 2, w, n, 1),
        ARRAY(TRAJ_I32, tuning.own, 1, w > 0 ? k : 0, 1, 1),
        ARRAY(TRAJ_F64, tuning.noise, 1, dims->factors > 0 ? nt : 0, 1, 1),
        ARRAY(TRAJ_F64, tuning.factor, 2, nt, dims->factors, 1),
        ARRAY(TRAJ_F64, feature.weight, 2, ft, s, 1),
        ARRAY(TRAJ_F64, feature.offset, 1, ft, 1, 1),
        ARRAY(TRAJ_F64, feature.noise, 2, ft, ft, 1),
        ARRAY(TRAJ_F64, dynamics.transition, 3, k, s, s),
        ARRAY(TRAJ_F64, dynamics.drift, 2, k, s, 1),
        ARRAY(TRAJ_F64, dynamics.noise, 3, k, s, s),
        ARRAY(TRAJ_F64, dynamics.start, 2, k, s, 1),
        ARRAY(TRAJ_F64, dynamics.start_cov, 3, k, s, s),
        ARRAY(TRAJ_F64, warp.mean, 1, speeds, 1, 1),
        ARRAY(TRAJ_F64, warp.variance, 1, speeds, 1, 1),
        ARRAY(TRAJ_F64, warp.walk, 1, speeds, 1, 1),
        ARRAY(TRAJ_F64, warp.limit, 1, speeds, 1, 1),
        ARRAY(TRAJ_I32, warp.own, 1, speeds > 0 ? k : 0, 1, 1),
        ARRAY(TRAJ_I32, component_target, 1, k, 1, 1),
        ARRAY(TRAJ_F64, component_prior, 1, k, 1, 1),
        ARRAY(TRAJ_I32, component_delay, 1, dims->delay > 0 ? k : 0, 1, 1),
        ARRAY(TRAJ_U8, trial_reset, 1, k, 1, 1),
        ARRAY(TRAJ_F64, target_position, 2, m, d, 1),
        ARRAY(TRAJ_F64, chain.position, 2, j, d, 1),
        ARRAY(TRAJ_F64, chain.velocity, 2, j, d, 1),
        ARRAY(TRAJ_F64, chain.position_spread, 3, j, d, d),
        ARRAY(TRAJ_F64, chain.velocity_spread, 3, j, d, d),
        ARRAY(TRAJ_I32, chain.target, 1, j, 1, 1),
        ARRAY(TRAJ_U8, chain.place, 1, j, 1, 1),
        ARRAY(TRAJ_F64, chain.progress, 1, j, 1, 1),
        ARRAY(TRAJ_F64, chain.eta, 1, j, 1, 1),
        ARRAY(TRAJ_I32, chain.node, 1, j, 1, 1),
        ARRAY(TRAJ_F64, chain.share, 1, j, 1, 1),
        ARRAY(TRAJ_I32, chain.group, 1, j, 1, 1),
        ARRAY(TRAJ_F64, chain.emission_mean, 2, e, c, 1),
        ARRAY(TRAJ_F64, chain.emission_doubt, 1, e, 1, 1),
        ARRAY(TRAJ_F64, chain.emission_noise, 1, c, 1, 1),
        ARRAY(TRAJ_F64, chain.emission_factor, 2, c, dims->factors, 1),
        ARRAY(TRAJ_F64, chain.gain, 2, j > 0 ? n : 0, dims->gains, 1),
        ARRAY(TRAJ_I32, chain.link_first, 1, j > 0 ? j + 1 : 0, 1, 1),
        ARRAY(TRAJ_I32, chain.link_to, 1, l, 1, 1),
        ARRAY(TRAJ_F64, chain.link_prob, 2, j > 0 ? TRAJ_CONTEXTS : 0, l, 1),
        ARRAY(TRAJ_F64, chain.initial, 1, j, 1, 1),
        ARRAY(TRAJ_F64, chain.start, 1, j, 1, 1),
        SCALAR_IF(j > 0, chain.start_share),
        SCALAR_IF(j > 0, chain.switch_prob),
        SCALAR_IF(j > 0, chain.temper),
        SCALAR_IF(j > 0, chain.gaussian),
        SCALAR_IF(j > 0, chain.drift),
        SCALAR(plan.begin),
        SCALAR(plan.end),
        ARRAY(TRAJ_F64, plan.rate, 2, with_plan ? m : 0, n, 1),
        SCALAR(plan.temper),
        SCALAR(switch_rate),
        SCALAR(evidence_temper),
    };
    _Static_assert(sizeof all / sizeof all[0] + RECENT_FIELDS + STEER_FIELDS + CALIBRATION_FIELDS <=
                       TRAJ_MODEL_FIELDS,
                   "the table has outgrown its caller");
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (traj_model_field_count(&all[i]) > 0)
            field[count++] = all[i];
    count += calibration_fields(field + count);
    count += recent_fields(dims, field + count);
    return count + steer_fields(dims, field + count);
}

/* A block is measured first (base NULL) and then carved by the same calls. */
struct carver {
    char *base;
    size_t used;
};

static void *carve(struct carver *carver, size_t bytes)
{
    carver->used = (carver->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *place = carver->base ? carver->base + carver->used : NULL;
    carver->used += bytes;
    return place;
}

static void lay_out(struct carver *carver, const struct traj_dims *dims, bool with_plan,
                    bool with_names, size_t training_size)
{
    struct traj_model *model = carve(carver, sizeof *model);
    struct traj_model_field field[TRAJ_MODEL_FIELDS];
    size_t count = traj_model_fields(dims, with_plan, field);
    for (size_t i = 0; i < count; i++) {
        if (field[i].place == TRAJ_FIELD_EMBEDDED)
            continue;
        size_t values = traj_model_field_count(&field[i]);
        void *data = carve(carver, values * traj_dtype_bytes(field[i].dtype));
        if (model)
            memcpy((char *)model + field[i].offset, &data, sizeof data);
    }
    void *target_id = carve(carver, dims->targets * TRAJ_ID_SIZE);
    void *unit_name = carve(carver, with_names ? dims->units * TRAJ_ID_SIZE : 0);
    void *training = carve(carver, training_size);
    if (model) {
        model->dims = *dims;
        model->about.target_id = dims->targets > 0 ? target_id : NULL;
        model->about.unit_name = with_names && dims->units > 0 ? unit_name : NULL;
        model->about.training = training_size > 0 ? training : NULL;
    }
}

struct traj_model *traj_model_make(const struct traj_dims *dims, bool with_plan, bool with_names,
                                   size_t training_size, struct traj_error *error)
{
    const char *wrong = traj_dims_check(dims);
    if (wrong) {
        traj_error_set(error, "model: %s is out of range", wrong);
        return NULL;
    }
    struct carver carver = {NULL, 0};
    lay_out(&carver, dims, with_plan, with_names, training_size);
    size_t bytes = (carver.used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    carver.base = aligned_alloc(ALIGNMENT, bytes);
    if (!carver.base) {
        traj_error_set(error, "model: no memory for %zu bytes", bytes);
        return NULL;
    }
    memset(carver.base, 0, bytes);
    carver.used = 0;
    lay_out(&carver, dims, with_plan, with_names, training_size);
    return (struct traj_model *)(void *)carver.base;
}

struct traj_model *traj_model_new(const struct traj_dims *dims, int with_plan, int with_names,
                                  struct traj_error *error)
{
    return traj_model_make(dims, with_plan != 0, with_names != 0, 0, error);
}

void traj_model_free(struct traj_model *model)
{
    free(model);
}
