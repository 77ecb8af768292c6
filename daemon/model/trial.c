/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trials: which components take part when.  Time within a trial is counted in training bins, the
 * first frame after the start being bin 1 however long the pause before it was.
 */
#include "daemon/model/internal.h"

/* Whole bins in a time, forgiving rounding: 0.06 s are three bins of 0.02 s. */
static size_t whole_bins(double seconds, double bin_width)
{
    return (size_t)(seconds / bin_width + 1e-6);
}

void traj_decoder_trial_stop(struct traj_decoder *decoder)
{
    struct traj_trial *trial = &decoder->trial;
    const bool outlived = trial->marks && !decoder->mixture.all_restart;
    traj_target_belief_clear(&decoder->belief);
    decoder->opinion.told = false;
    if (decoder->filter.states > 0)
        traj_course_filter_trial_stop(&decoder->filter);
    else if (trial->phase != TRAJ_PHASE_NONE && outlived)
        traj_mixture_end(&decoder->mixture, trial->phase == TRAJ_PHASE_MOVE);
    else if (trial->phase == TRAJ_PHASE_PLAN)
        traj_mixture_move(&decoder->mixture);
    trial->phase = TRAJ_PHASE_NONE;
}

void traj_decoder_trial_start(struct traj_decoder *decoder)
{
    struct traj_trial *trial = &decoder->trial;
    if (trial->phase != TRAJ_PHASE_NONE)
        traj_decoder_trial_stop(decoder);
    trial->elapsed = 0;
    if (decoder->filter.states > 0) {
        trial->phase = TRAJ_PHASE_MOVE;
        traj_course_filter_trial_start(&decoder->filter, decoder->belief.total);
    } else if (decoder->model->plan.end > 0.0) {
        trial->phase = TRAJ_PHASE_PLAN;
        traj_mixture_plan(&decoder->mixture);
    } else {
        trial->phase = TRAJ_PHASE_MOVE;
        traj_mixture_move(&decoder->mixture);
    }
}

static void begin_movement(struct traj_decoder *decoder)
{
    decoder->trial.phase = TRAJ_PHASE_MOVE;
    traj_mixture_move(&decoder->mixture);
}

void traj_decoder_go(struct traj_decoder *decoder)
{
    if (decoder->trial.phase == TRAJ_PHASE_PLAN)
        begin_movement(decoder);
}

struct traj_trial_frame traj_trial_advance(struct traj_decoder *decoder, size_t steps)
{
    struct traj_trial *trial = &decoder->trial;
    const struct traj_model *model = decoder->model;
    struct traj_trial_frame frame = {false, 1};
    if (trial->phase != TRAJ_PHASE_PLAN)
        return frame;
    const size_t end = whole_bins(model->plan.end, model->bin_width);
    const size_t more = trial->elapsed == 0 ? 1 : steps;
    trial->elapsed = more > SIZE_MAX - trial->elapsed ? SIZE_MAX : trial->elapsed + more;
    if (trial->elapsed > end) {
        frame.fresh_steps = trial->elapsed - end;
        begin_movement(decoder);
    } else {
        frame.plan = trial->elapsed > whole_bins(model->plan.begin, model->bin_width);
    }
    return frame;
}
