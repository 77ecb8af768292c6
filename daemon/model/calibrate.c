/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calibration of what is published; see struct traj_calibration. */
#include "daemon/model/curve.h"
#include "daemon/model/elementary.h"
#include "daemon/model/internal.h"

double traj_curve_value(const struct traj_curve *curve, double x)
{
    size_t k = 0;
    if (!(x > curve->at[0]))
        return curve->value[0];
    while (k + 1 < TRAJ_CURVE_KNOTS && x >= curve->at[k + 1])
        k++;
    if (k + 1 == TRAJ_CURVE_KNOTS)
        return curve->value[k];
    const double share = (x - curve->at[k]) / (curve->at[k + 1] - curve->at[k]);
    return curve->value[k] + share * (curve->value[k + 1] - curve->value[k]);
}

/* Mean variance of a coordinate. */
static double mean_variance(const double *cov, size_t dim)
{
    double trace = 0.0;
    for (size_t d = 0; d < dim; d++)
        trace += cov[d * dim + d];
    return trace / (double)dim;
}

static double log_spread(const double *cov, size_t dim)
{
    return traj_log(mean_variance(cov, dim));
}

static void make_round(double *cov, size_t dim, double share)
{
    const double round = share * mean_variance(cov, dim);
    for (size_t i = 0; i < dim * dim; i++)
        cov[i] *= 1.0 - share;
    for (size_t d = 0; d < dim; d++)
        cov[d * dim + d] += round;
}

static double log_square(const double *vector, size_t dim)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++)
        sum += vector[d] * vector[d];
    return traj_log(sum);
}

/* The greatest probability of a target, of all that there is. */
static double greatest(size_t targets, const double *prob, double free_prob)
{
    double most = 0.0, sum = free_prob;
    for (size_t m = 0; m < targets; m++) {
        most = prob[m] > most ? prob[m] : most;
        sum += prob[m];
    }
    return most / sum;
}

static void calibrate_targets(const struct traj_calibration *calibration, size_t targets,
                              double *prob, double *free_prob)
{
    double power = calibration->target_power;
    if (calibration->free_bias < 0.0)
        *free_prob *= traj_exp(calibration->free_bias);
    if (calibration->target_rise > 0.0)
        power += calibration->target_rise * greatest(targets, prob, *free_prob);
    double most = *free_prob, sum = 0.0;
    for (size_t m = 0; m < targets; m++)
        most = prob[m] > most ? prob[m] : most;
    for (size_t m = 0; m < targets; m++) {
        prob[m] = traj_exp(power * traj_log(prob[m] / most));
        sum += prob[m];
    }
    *free_prob = traj_exp(power * traj_log(*free_prob / most));
    sum += *free_prob;
    for (size_t m = 0; m < targets; m++)
        prob[m] /= sum;
    *free_prob /= sum;
}

void traj_decoder_calibrate(struct traj_decoder *decoder, struct traj_estimate *estimate)
{
    const struct traj_calibration *calibration = &decoder->model->calibration;
    const size_t dim = decoder->model->dims.position;
    if (calibration->position_round > 0.0)
        make_round(decoder->position_cov, dim, calibration->position_round);
    const double of_position =
        traj_curve_value(&calibration->position_by_spread, log_spread(decoder->position_cov, dim)) +
        (decoder->trial.marks ? 0.0 : calibration->position_unmarked);
    const double of_velocity =
        traj_curve_value(&calibration->velocity_by_spread, log_spread(decoder->velocity_cov, dim)) +
        traj_curve_value(&calibration->velocity_by_speed, log_square(decoder->velocity, dim));
    const double position = calibration->position_scale * traj_exp(of_position);
    const double velocity = calibration->velocity_scale * traj_exp(of_velocity);
    for (size_t i = 0; i < dim * dim; i++) {
        decoder->position_cov[i] *= position;
        decoder->velocity_cov[i] *= velocity;
    }
    calibrate_targets(calibration, decoder->model->dims.targets, decoder->target_prob,
                      &estimate->free_prob);
}
