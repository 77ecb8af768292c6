/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tells a person what is in a model. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/learn/model_file.h"

static void show_head(const struct traj_model *model, FILE *out)
{
    const struct traj_description *about = &model->about;
    const struct traj_dims *dims = &model->dims;
    fprintf(out, "family       %s\n", about->family);
    fprintf(out, "digest       %s\n", about->digest[0] ? about->digest : "(never saved)");
    fprintf(out, "subject      %s\n", about->subject[0] ? about->subject : "(not named)");
    fprintf(out, "length unit  %s\n", about->length_unit);
    fprintf(out, "position     %zu dimension%s, state of order %zu (%s)\n", dims->position,
            dims->position == 1 ? "" : "s", dims->state / dims->position,
            dims->state == 3 * dims->position ? "position, velocity, acceleration"
                                              : "position, velocity");
    fprintf(out, "training bin %g s\n", model->bin_width);
    fprintf(out, "units        %zu%s\n", dims->units, about->unit_name ? ", named" : "");
    fprintf(out, "features     %zu\n", dims->features);
}

static void show_lags(const struct traj_model *model, FILE *out)
{
    size_t histogram[TRAJ_LAG_MAX + 1] = {0};
    size_t most = 1;
    for (size_t n = 0; n < model->dims.units; n++)
        if (model->tuning.lag[n] >= 0 && model->tuning.lag[n] <= TRAJ_LAG_MAX)
            histogram[model->tuning.lag[n]]++;
    for (size_t l = 0; l <= TRAJ_LAG_MAX; l++)
        most = histogram[l] > most ? histogram[l] : most;
    fprintf(out, "\nlag of activity before movement\n");
    for (size_t l = 0; l <= model->dims.lag; l++) {
        size_t bar = (histogram[l] * 40 + most - 1) / most;
        fprintf(out, "  %6.3f s %5zu ", (double)l * model->bin_width, histogram[l]);
        for (size_t i = 0; i < bar; i++)
            fputc('#', out);
        fputc('\n', out);
    }
}

static void show_units(const struct traj_model *model, FILE *out)
{
    const double *offset = model->tuning.offset;
    if (model->dims.factors > 0) {
        fprintf(out,
                "counts       their roots are Gaussian, with noise of rank %zu and a diagonal\n",
                model->dims.factors);
        show_lags(model, out);
        return;
    }
    double sum = 0, low = offset[0], high = offset[0];
    for (size_t n = 0; n < model->dims.units; n++) {
        sum += offset[n];
        low = offset[n] < low ? offset[n] : low;
        high = offset[n] > high ? offset[n] : high;
    }
    fprintf(out, "rate at rest %.3g spikes/s (geometric mean; units from %.3g to %.3g)\n",
            exp(sum / (double)model->dims.units), exp(low), exp(high));
    show_lags(model, out);
}

static void show_vector(const double *value, size_t count, FILE *out)
{
    fputc('(', out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%.4g", i > 0 ? ", " : "", value[i]);
    fputc(')', out);
}

static void show_targets(const struct traj_model *model, FILE *out)
{
    size_t dim = model->dims.position;
    fprintf(out, "\ntargets      %zu%s%s\n", model->dims.targets,
            model->about.target_set[0] ? " of set " : "", model->about.target_set);
    for (size_t m = 0; m < model->dims.targets; m++) {
        fprintf(out, "  %-12s ", model->about.target_id[m]);
        show_vector(model->target_position + m * dim, dim, out);
        fputc('\n', out);
    }
}

static void show_components(const struct traj_model *model, FILE *out)
{
    size_t state = model->dims.state, dim = model->dims.position;
    fprintf(out, "\ncomponents   %zu\n", model->dims.components);
    fprintf(out, "  %-12s %-9s %-10s %-8s %-7s start\n", "target", "prior", "runs", "waits",
            "tuning");
    for (size_t k = 0; k < model->dims.components; k++) {
        int32_t target = model->component_target[k];
        fprintf(out, "  %-12s %-9.4g %-10s ",
                target >= 0 ? model->about.target_id[target] : "(free)", model->component_prior[k],
                model->trial_reset[k] ? "in trials" : "always");
        fprintf(out, "%-8g ",
                model->component_delay ? (double)model->component_delay[k] * model->bin_width
                                       : 0.0);
        if (model->dims.tunings > 0 && model->tuning.own[k] >= 0)
            fprintf(out, "own %-3d ", (int)model->tuning.own[k]);
        else
            fprintf(out, "%-7s ", "shared");
        show_vector(model->dynamics.start + k * state, dim, out);
        fputc('\n', out);
    }
}

static void show_policy(const struct traj_model *model, FILE *out)
{
    const struct traj_plan *plan = &model->plan;
    if (plan->end > 0)
        fprintf(out, "\nplan window  %g to %g s after trial start, or to the go cue\n", plan->begin,
                plan->end);
    else
        fprintf(out, "\nplan window  none: movement begins at trial start\n");
    if (plan->rate)
        fprintf(out, "plan rates   of %zu targets, temper %g\n", model->dims.targets, plan->temper);
    else
        fprintf(out, "plan rates   none: delay activity says nothing about the target\n");
    for (size_t w = 0; w < model->dims.warps; w++)
        fprintf(out, "speeds       within %.3g to %.3g times the usual in 95 %% of movements\n",
                exp(model->warp.mean[w] - 2 * sqrt(model->warp.variance[w])),
                exp(model->warp.mean[w] + 2 * sqrt(model->warp.variance[w])));
    fprintf(out, "switch rate  %g /s where no trial marks come\n", model->switch_rate);
    fprintf(out, "temper       %g of each bin's evidence\n", model->evidence_temper);
}

static void show_calibration(const struct traj_model *model, FILE *out)
{
    fprintf(out, "calibration  covariance of position x %g, ", model->calibration.position_scale);
    if (model->calibration.position_round > 0)
        fprintf(out, "%g of it round, ", model->calibration.position_round);
    fprintf(out, "of velocity x %g; target power %g", model->calibration.velocity_scale,
            model->calibration.target_power);
    if (model->calibration.target_rise > 0 || model->calibration.free_bias < 0)
        fprintf(out, " to %g, free x %.3g",
                model->calibration.target_power + model->calibration.target_rise,
                exp(model->calibration.free_bias));
    fputc('\n', out);
}

/* The filter over courses: how many states of each kind, and the numbers that steer it. */
static void show_chain(const struct traj_model *model, FILE *out)
{
    static const char *const place[TRAJ_PLACES] = {"rest", "plan",   "move",
                                                   "hold", "return", "free"};
    size_t count[TRAJ_PLACES] = {0};
    for (size_t j = 0; j < model->dims.states; j++)
        count[model->chain.place[j]]++;
    fprintf(out, "\nstates       %zu on %zu emission nodes, %zu transitions\n", model->dims.states,
            model->dims.nodes, model->dims.links);
    for (size_t p = 0; p < TRAJ_PLACES; p++)
        if (count[p] > 0)
            fprintf(out, "  %-10s %6zu\n", place[p], count[p]);
    if (model->chain.gaussian != 0)
        fprintf(
            out,
            "emission     Gaussian on square roots of counts, noise of rank %zu and a diagonal\n",
            model->dims.factors);
    else
        fprintf(out, "emission     Poisson with %zu slow gain%s\n", model->dims.gains,
                model->dims.gains == 1 ? "" : "s");
    fprintf(out, "temper       %g of the log likelihood\n", model->chain.temper);
    if (model->dims.stages > 0)
        fprintf(out, "recent past  a regression on %zu stages of memory, tempered by %g\n",
                model->dims.stages, model->recent.temper);
    if (model->dims.paces > 0)
        fprintf(out, "steering     believed %g s after a course's end, to %zu targets and home\n",
                model->steer.patience, model->dims.targets);
    fprintf(out, "switching    %g a bin between targets\n", model->chain.switch_prob);
}

static void indent(size_t depth, FILE *out)
{
    fputc('\n', out);
    for (size_t i = 0; i < depth + 1; i++)
        fputs("  ", out);
}

/* Breaks the JSON text into lines at its first two levels; what lies deeper stays on one line. */
static void show_training(const char *text, FILE *out)
{
    size_t depth = 0;
    int quoted = 0;
    fputs("\ntraining", out);
    for (const char *c = text; *c; c++) {
        if (quoted) {
            fputc(*c, out);
            if (*c == '\\' && c[1])
                fputc(*++c, out);
            else if (*c == '"')
                quoted = 0;
            continue;
        }
        if ((*c == '}' || *c == ']') && depth > 0 && depth-- <= 2)
            indent(depth, out);
        fputc(*c, out);
        quoted = *c == '"';
        if (*c == '{' || *c == '[')
            depth++;
        if ((*c == '{' || *c == '[' || *c == ',') && depth <= 2)
            indent(depth, out);
    }
    fputc('\n', out);
}

void traj_model_show(const struct traj_model *model, FILE *out)
{
    show_head(model, out);
    bool chain = model->dims.states > 0;
    if (model->dims.units > 0 && !chain)
        show_units(model, out);
    if (model->dims.targets > 0)
        show_targets(model, out);
    if (chain) {
        show_chain(model, out);
    } else {
        show_components(model, out);
        show_policy(model, out);
    }
    show_calibration(model, out);
    if (model->about.training)
        show_training(model->about.training, out);
}
