/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/compare.h"

#include <math.h>

static int score_model(const struct traj_model *model, const struct traj_session *session,
                       const struct traj_bins *bins, const struct traj_decode_options *options,
                       struct traj_score *score, struct traj_group_sums *sums,
                       struct traj_error *error)
{
    if (model->dims.position != session->dim) {
        return traj_error_set(error,
                              "%s: /kinematics/position has %zu columns, a model decodes %zu",
                              session->path, session->dim, model->dims.position);
    }
    struct traj_decoded *decoded = traj_model_decode(model, session, options, error);
    int result =
        decoded ? traj_score_bins(session, bins->truth, decoded, bins->keep, score, error) : -1;
    if (result == 0 && traj_group_sums_init(sums, session, bins->truth, decoded, bins->keep,
                                            bins->group, bins->groups)) {
        result = traj_error_set(error, "%s: not enough memory to compare", session->path);
    }
    traj_decoded_free(decoded);
    return result;
}

int traj_compare_models(const struct traj_model *const model[2], const struct traj_session *session,
                        const struct traj_window *window, const struct traj_decode_options *options,
                        size_t resamples, struct traj_comparison *out, struct traj_error *error)
{
    struct traj_bins bins;
    struct traj_group_sums sums[2] = {{0}};
    int result = traj_bins_init(&bins, session, session, window, error);
    for (size_t i = 0; result == 0 && i < 2; i++) {
        const struct traj_group_sums *one = &sums[i];
        result = score_model(model[i], session, &bins, options, &out->score[i], &sums[i], error);
        if (result == 0 && traj_bootstrap(&one, 1, resamples, out->stat[i])) {
            result = traj_error_set(error, "%s: not enough memory to compare", session->path);
        }
    }
    const struct traj_group_sums *first = &sums[0], *second = &sums[1];
    if (result == 0 && traj_compare(&first, &second, 1, resamples, out->of)) {
        result = traj_error_set(error, "%s: not enough memory to compare", session->path);
    }
    out->by_trial = bins.by_trial;
    traj_group_sums_free(&sums[0]);
    traj_group_sums_free(&sums[1]);
    traj_bins_free(&bins);
    return result;
}

size_t traj_better(const struct traj_paired *x, enum traj_paired_of of)
{
    if (!(x->p < 0.05) || x->difference.value == 0.0) {
        return 2;
    }
    bool less = x->difference.value < 0.0;
    return less == (of != TRAJ_PAIRED_LOG) ? 0 : 1;
}
