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

/* A page that stands alone: charts as inline SVG, and tables. */
void traj_evaluation_html(const struct traj_evaluation *evaluation, FILE *out);

/* What was trained and tested on, and what was scored, in a sentence or two; returns out. */
const char *traj_evaluation_sentence(const struct traj_evaluation *evaluation, char *out,
                                     size_t cap);

/* "5" or "all"; returns out. */
const char *traj_amount_name(size_t per_target, char *out, size_t cap);

/* "course", "course silent"; returns out. */
const char *traj_row_name(const struct traj_row *row, char *out, size_t cap);

#endif
