/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An evaluation for people, for programs, and as a page. */
#ifndef TRAJ_EVALUATE_REPORT_H
#define TRAJ_EVALUATE_REPORT_H

#include <stdio.h>

#include "clients/evaluate/evaluate.h"

/* Tables. */
void traj_evaluation_print(const struct traj_evaluation *evaluation, FILE *out);

/* One JSON object. */
void traj_evaluation_json(const struct traj_evaluation *evaluation, FILE *out);

/* How a report came about, so that it can be made again. */
struct traj_origin {
    const char *command; /* as it was typed */
    const char *digest;  /* SHA-256 of the session file, hex */
};

/*
 * A page that stands alone: charts as inline SVG, tables, a paragraph for a methods section, and
 * where it came from.  Of the units it tells what traj_tuning_of finds.
 */
void traj_evaluation_html(const struct traj_evaluation *evaluation,
                          const struct traj_origin *origin, FILE *out);

/*
 * The same for a model: the session that taught it, tuning of its units, and what was chosen by
 * cross-validation, as traj_model_show tells it.
 */
void traj_training_html(const struct traj_model *model, const struct traj_session *session,
                        const struct traj_origin *origin, FILE *out);

/* What was trained and tested on, and what was scored, in a sentence or two; returns out. */
const char *traj_evaluation_sentence(const struct traj_evaluation *evaluation, char *out,
                                     size_t cap);

/* "5" or "all"; returns out. */
const char *traj_amount_name(size_t per_target, char *out, size_t cap);

/* "course", "course silent"; returns out. */
const char *traj_row_name(const struct traj_row *row, char *out, size_t cap);

#endif
