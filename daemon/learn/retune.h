/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A filter over courses whose tables differ a little from those of its file: what recalibration
 * changes, as few numbers a channel.  With base_en the table of channel n at node e (log rate, or
 * mean of the transformed channel), mean_n its mean over nodes, sd_n the channel's noise (1 where
 * counts are Poisson) and b_e the direction of a node,
 *     table_en = base_en + sd_n (a_n0 + sum_k a_n,k+2 b_ek) + a_n1 (base_en - mean_n).
 * a_n0 moves the level (a log gain of the rate where counts are Poisson), a_n1 deepens the tuning
 * or flattens it, and the rest turn it: b_e holds the mean velocity and position of the states at
 * the node and their speed, each with mean 0 and variance 1 over nodes.  All zero is the model
 * itself, to the bit; sums run in a fixed order and nothing but + - * / and sqrt is used, so that
 * the same numbers give the same tables on any machine.
 */
#ifndef TRAJ_LEARN_RETUNE_H
#define TRAJ_LEARN_RETUNE_H

#include <stddef.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

enum { TRAJ_RETUNE_LEVEL, TRAJ_RETUNE_DEPTH, TRAJ_RETUNE_FIXED }; /* columns; directions follow */
#define TRAJ_RETUNE_COLUMNS_MAX (TRAJ_RETUNE_FIXED + 2 * TRAJ_DIM_MAX + 1)

/* K, the numbers of a channel: 2 D + 3.  0 where the family has no tables over nodes. */
size_t traj_retune_columns(const struct traj_model *base);

/* What the tables are moved by. */
struct traj_retune_basis {
    size_t nodes, channels, columns;
    double *direction; /* [E][K - 2] b */
    double *centre; /* [K - 2] what b was less of, and divided by: 0 where it is the same at all */
    double *scale;  /* [K - 2] */
    double *mean;   /* [C] */
    double *sd;     /* [C] */
};
int traj_retune_basis_init(struct traj_retune_basis *basis, const struct traj_model *base,
                           struct traj_error *error);
void traj_retune_basis_free(struct traj_retune_basis *basis);

/* The rows by which channel n's numbers move its table: row[E][K]. */
void traj_retune_rows(const struct traj_retune_basis *basis, const struct traj_model *base,
                      size_t n, double *row);

/*
 * Moves a channel's tuning to what is steered (tuning[2 dim + 2] in the order of
 * daemon/model/steer.h) as its table moves by level + sum_k coefficient[k] b_ek.
 */
void traj_retune_steer(const struct traj_retune_basis *basis, size_t dim, double level,
                       const double *coefficient, double *tuning);

/*
 * The model that coefficient[C][columns] makes of base, new and checked (traj_model_free), with the
 * digest that it would have in a file.  What is regressed on the recent past reads each channel as
 * it would have been before, and the tuning to what is steered moves as the tables do.  NULL with a
 * sentence.
 */
struct traj_model *traj_retune(const struct traj_model *base, const double *coefficient,
                               size_t columns, struct traj_error *error);

#endif
