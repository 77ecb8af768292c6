/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every number of a model that can be wrong is refused, by name. */
#include "tests/oracle/chain_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct traj_dims dims = {.position = 2,
                                      .state = 4,
                                      .units = 5,
                                      .features = 3,
                                      .targets = 3,
                                      .components = 4,
                                      .lag = 2,
                                      .tunings = 2,
                                      .warps = 2,
                                      .factors = 2};

static void usual_model(struct random_model *made)
{
    struct random random = {12};
    random_model_make(made, &random, &dims, 1);
    made->model.plan = (struct traj_plan){0.02, 0.2, made->rate, 0.5};
}

static size_t complaints;

static void expect(const struct random_model *made, enum traj_status status, const char *field,
                   size_t place)
{
    const char *what = NULL;
    size_t index = 999;
    const enum traj_status got = traj_model_check(&made->model, &what, &index);
    if (got != status || !what || strcmp(what, field) != 0 || index != place)
        fail_msg("%s %zu: got status %d, %s %zu", field, place, (int)got, what ? what : "nothing",
                 index);
    complaints++;
}

/* Puts a wrong number in, expects the complaint, and takes it out again. */
static void spoil(struct random_model *made, double *number, double wrong, enum traj_status status,
                  const char *field, size_t place)
{
    const double right = *number;
    *number = wrong;
    expect(made, status, field, place);
    *number = right;
    assert_int_equal(traj_model_check(&made->model, NULL, NULL), TRAJ_OK);
}

static void a_good_model_passes(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    const char *what = "something";
    size_t index;
    assert_int_equal(traj_model_check(&made.model, &what, &index), TRAJ_OK);
    assert_null(what);
    random_model_free(&made);
}

static void arrays(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    spoil(&made, &made.weight[4 * 3], NAN, TRAJ_E_NONFINITE, "tuning.weight", 3);
    spoil(&made, &made.offset[2], INFINITY, TRAJ_E_NONFINITE, "tuning.offset", 2);
    spoil(&made, &made.own_weight[20], NAN, TRAJ_E_NONFINITE, "tuning.own_weight", 1);
    spoil(&made, &made.own_offset[4], INFINITY, TRAJ_E_NONFINITE, "tuning.own_offset", 0);
    spoil(&made, &made.feature_weight[4], NAN, TRAJ_E_NONFINITE, "feature.weight", 1);
    spoil(&made, &made.feature_offset[2], NAN, TRAJ_E_NONFINITE, "feature.offset", 2);
    spoil(&made, &made.feature_noise[3], NAN, TRAJ_E_NONFINITE, "feature.noise", 1);
    spoil(&made, &made.feature_noise[4], -1.0, TRAJ_E_NOT_PD, "feature.noise", 0);
    spoil(&made, &made.feature_noise[1], 0.9, TRAJ_E_NOT_PD, "feature.noise", 0);
    spoil(&made, &made.transition[16 * 3 + 2], NAN, TRAJ_E_NONFINITE, "dynamics.transition", 3);
    spoil(&made, &made.drift[4], INFINITY, TRAJ_E_NONFINITE, "dynamics.drift", 1);
    spoil(&made, &made.start[8], NAN, TRAJ_E_NONFINITE, "dynamics.start", 2);
    spoil(&made, &made.noise[16], NAN, TRAJ_E_NONFINITE, "dynamics.noise", 1);
    spoil(&made, &made.noise[16 * 2 + 5], 0.0, TRAJ_E_NOT_PD, "dynamics.noise", 2);
    spoil(&made, &made.start_cov[1], 7.0, TRAJ_E_NOT_PD, "dynamics.start_cov", 0);
    spoil(&made, &made.root_noise[3], NAN, TRAJ_E_NONFINITE, "tuning.noise", 3);
    spoil(&made, &made.root_noise[4], 0.0, TRAJ_E_RANGE, "tuning.noise", 4);
    spoil(&made, &made.root_factor[3], INFINITY, TRAJ_E_NONFINITE, "tuning.factor", 1);
    spoil(&made, &made.speed[1], NAN, TRAJ_E_NONFINITE, "warp.mean", 1);
    spoil(&made, &made.speed[1], -1.3, TRAJ_E_RANGE, "warp.mean", 1);
    spoil(&made, &made.speed_variance[0], -0.1, TRAJ_E_RANGE, "warp.variance", 0);
    spoil(&made, &made.speed_walk[1], -0.1, TRAJ_E_RANGE, "warp.walk", 1);
    spoil(&made, &made.speed_limit[1], 3.5, TRAJ_E_RANGE, "warp.limit", 1);
    spoil(&made, &made.prior[3], 0.0, TRAJ_E_RANGE, "component_prior", 3);
    spoil(&made, &made.prior[3], 0.9, TRAJ_E_RANGE, "component_prior", 0);
    spoil(&made, &made.prior[3], NAN, TRAJ_E_NONFINITE, "component_prior", 3);
    spoil(&made, &made.position[2], NAN, TRAJ_E_NONFINITE, "target_position", 1);
    spoil(&made, &made.rate[5], 0.0, TRAJ_E_RANGE, "plan.rate", 1);
    spoil(&made, &made.rate[11], NAN, TRAJ_E_NONFINITE, "plan.rate", 2);
    random_model_free(&made);
}

/* Numbers that are finite, and of which the filter over courses would make others that are not. */
static void what_channels_are_scaled_to(void **state)
{
    (void)state;
    struct random random = {13};
    static struct random_model made;
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        static struct chain_model m;
        chain_draw(&m, &random, gaussian != 0, 0);
        made.model = m.model;
        if (gaussian) {
            spoil(&made, &made.model.chain.gaussian, 0.0, TRAJ_E_RANGE, "chain.gaussian", 0);
            spoil(&made, &m.noise[1], 0.0, TRAJ_E_RANGE, "chain.emission_noise", 1);
            spoil(&made, &m.noise[1], 1e-310, TRAJ_E_RANGE, "chain.emission_noise", 1);
            spoil(&made, &m.mean[2 * UNITS], 1e160, TRAJ_E_RANGE, "chain.emission_mean", 2);
        } else {
            spoil(&made, &m.mean[2 * UNITS + 1], 800, TRAJ_E_RANGE, "chain.emission_mean", 2);
            spoil(&made, &m.mean[0], -800, TRAJ_E_RANGE, "chain.emission_mean", 0);
        }
    }
}

/* Symmetric and within every pair's bound, and yet not positive definite. */
static void three_that_cannot_all_disagree(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    for (size_t i = 0; i < 9; i++)
        made.feature_noise[i] = i % 4 == 0 ? 1.0 : -0.6;
    expect(&made, TRAJ_E_NOT_PD, "feature.noise", 0);
    random_model_free(&made);
}

static void numbers(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    struct traj_model *model = &made.model;
    spoil(&made, &model->bin_width, 0.0, TRAJ_E_RANGE, "bin_width", 0);
    spoil(&made, &model->bin_width, NAN, TRAJ_E_NONFINITE, "bin_width", 0);
    spoil(&made, &model->switch_rate, -1.0, TRAJ_E_RANGE, "switch_rate", 0);
    spoil(&made, &model->evidence_temper, 0.0, TRAJ_E_RANGE, "evidence_temper", 0);
    spoil(&made, &model->evidence_temper, 1.5, TRAJ_E_RANGE, "evidence_temper", 0);
    spoil(&made, &model->calibration.position_scale, 0.0, TRAJ_E_RANGE,
          "calibration.position_scale", 0);
    spoil(&made, &model->calibration.velocity_scale, NAN, TRAJ_E_NONFINITE,
          "calibration.velocity_scale", 0);
    spoil(&made, &model->calibration.position_round, 1.5, TRAJ_E_RANGE,
          "calibration.position_round", 0);
    spoil(&made, &model->calibration.position_unmarked, -60.0, TRAJ_E_RANGE,
          "calibration.position_unmarked", 0);
    for (size_t i = 3; i < TRAJ_CURVE_KNOTS; i++)
        model->calibration.position_by_spread.at[i] = 1.0;
    spoil(&made, &model->calibration.position_by_spread.at[4], 0.5, TRAJ_E_RANGE,
          "calibration.position_by_spread", 4);
    spoil(&made, &model->calibration.velocity_by_spread.value[2], NAN, TRAJ_E_NONFINITE,
          "calibration.velocity_by_spread", 2);
    spoil(&made, &model->calibration.velocity_by_speed.value[5], -60.0, TRAJ_E_RANGE,
          "calibration.velocity_by_speed", 5);
    spoil(&made, &model->calibration.target_power, -2.0, TRAJ_E_RANGE, "calibration.target_power",
          0);
    spoil(&made, &model->calibration.target_rise, -0.1, TRAJ_E_RANGE, "calibration.target_rise", 0);
    spoil(&made, &model->calibration.free_bias, 0.1, TRAJ_E_RANGE, "calibration.free_bias", 0);
    spoil(&made, &model->plan.begin, -0.1, TRAJ_E_RANGE, "plan.begin", 0);
    spoil(&made, &model->plan.begin, 0.3, TRAJ_E_RANGE, "plan.begin", 0);
    spoil(&made, &model->plan.end, -0.1, TRAJ_E_RANGE, "plan.end", 0);
    spoil(&made, &model->plan.end, NAN, TRAJ_E_RANGE, "plan.end", 0);
    spoil(&made, &model->plan.temper, 0.0, TRAJ_E_RANGE, "plan.temper", 0);
    spoil(&made, &model->plan.temper, NAN, TRAJ_E_RANGE, "plan.temper", 0);
    random_model_free(&made);
}

static void sizes_and_indices(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    made.lag[4] = 3;
    expect(&made, TRAJ_E_RANGE, "tuning.lag", 4);
    made.lag[4] = -1;
    expect(&made, TRAJ_E_RANGE, "tuning.lag", 4);
    made.lag[4] = 0;
    made.own[2] = 2;
    expect(&made, TRAJ_E_RANGE, "tuning.own", 2);
    made.own[2] = -2;
    expect(&made, TRAJ_E_RANGE, "tuning.own", 2);
    made.own[2] = 1;
    made.model.tuning.own = NULL;
    expect(&made, TRAJ_E_DIMS, "tuning.own", 0);
    made.model.tuning.own = made.own;
    made.warped[3] = 2;
    expect(&made, TRAJ_E_RANGE, "warp.own", 3);
    made.warped[3] = -1;
    made.model.warp.own = NULL;
    expect(&made, TRAJ_E_DIMS, "warp.own", 0);
    made.model.warp.own = made.warped;
    made.target[1] = 3;
    expect(&made, TRAJ_E_RANGE, "component_target", 1);
    made.target[1] = -2;
    expect(&made, TRAJ_E_RANGE, "component_target", 1);
    made.target[1] = 1;
    made.restarts[2] = 2;
    expect(&made, TRAJ_E_RANGE, "trial_reset", 2);
    made.restarts[2] = 1;
    struct traj_dims *const d = &made.model.dims;
    size_t *const size[] = {&d->position, &d->state,      &d->units,   &d->features, &d->targets,
                            &d->lag,      &d->components, &d->tunings, &d->warps};
    const char *const name[] = {"dims.position",   "dims.state",   "dims.units",
                                "dims.features",   "dims.targets", "dims.lag",
                                "dims.components", "dims.tunings", "dims.warps"};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        const size_t right = *size[i];
        *size[i] = SIZE_MAX;
        expect(&made, TRAJ_E_DIMS, name[i], 0);
        *size[i] = right;
    }
    made.model.trial_reset = NULL;
    expect(&made, TRAJ_E_DIMS, "trial_reset", 0);
    made.model.trial_reset = made.restarts;
    made.model.dynamics.noise = NULL;
    expect(&made, TRAJ_E_DIMS, "dynamics.noise", 0);
    made.model.dynamics.noise = made.noise;
    made.model.target_position = NULL;
    expect(&made, TRAJ_E_DIMS, "target_position", 0);
    printf("%zu complaints, each by status, name and place\n", complaints);
    random_model_free(&made);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    static unsigned char block[1 << 17];
    struct traj_decoder *decoder = NULL;
    struct traj_settings settings;
    traj_settings_default(&settings);
    assert_true(traj_decoder_size(&dims) <= sizeof block);
    const double wrong[] = {-1.0, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        settings.newton_tolerance = wrong[i];
        assert_int_equal(traj_decoder_init(block, sizeof block, &made.model, &settings, &decoder),
                         TRAJ_E_RANGE);
    }
    traj_settings_default(&settings);
    settings.newton_steps = SIZE_MAX;
    assert_int_equal(traj_decoder_init(block, sizeof block, &made.model, &settings, &decoder),
                     TRAJ_E_RANGE);
    traj_settings_default(&settings);
    settings.halvings = SIZE_MAX;
    assert_int_equal(traj_decoder_init(block, sizeof block, &made.model, &settings, &decoder),
                     TRAJ_E_RANGE);
    made.noise[0] = -1.0;
    assert_int_equal(traj_decoder_init(block, sizeof block, &made.model, NULL, &decoder),
                     TRAJ_E_NOT_PD);
    assert_null(decoder);
    random_model_free(&made);
}

static void every_status_has_words(void **state)
{
    (void)state;
    for (int i = TRAJ_OK; i <= TRAJ_E_RANGE; i++)
        for (int j = TRAJ_OK; j < i; j++)
            assert_string_not_equal(traj_status_text((enum traj_status)i),
                                    traj_status_text((enum traj_status)j));
    assert_true(strlen(traj_status_text((enum traj_status)99)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_model_passes),
        cmocka_unit_test(arrays),
        cmocka_unit_test(what_channels_are_scaled_to),
        cmocka_unit_test(three_that_cannot_all_disagree),
        cmocka_unit_test(numbers),
        cmocka_unit_test(sizes_and_indices),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(every_status_has_words),
    };
    return cmocka_run_group_tests_name("model check", tests, NULL, NULL);
}
