/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Model files (.tjm): safetensors layout, checked on load. Page: proto/model.md. */
#ifndef TRAJ_LEARN_MODEL_FILE_H
#define TRAJ_LEARN_MODEL_FILE_H

#include <stdio.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

/*
 * Loads and checks a model: layout, format and version, dtypes and shapes against each other,
 * digest, then traj_model_check (finiteness, positive definiteness, ranges).  The model is one
 * allocation, freed by traj_model_free.  NULL with a sentence that names the file, the field and
 * the reason.
 */
struct traj_model *traj_model_load(const char *path, struct traj_error *error);

/* The same from bytes (borrowed); name stands for the path in sentences. */
struct traj_model *traj_model_parse(const void *image, size_t size, const char *name,
                                    struct traj_error *error);

/*
 * Writes a model to a temporary file beside path, syncs it and renames it, so that nobody ever
 * reads half of one.  Fills in model->about.digest.  The same model gives the same bytes.
 */
int traj_model_save(struct traj_model *model, const char *path, struct traj_error *error);

/*
 * Whether a model could be saved there, for who would rather know before it is trained: what is
 * there stays as it is, and nothing is left behind.  0, or -1 with traj_model_save's sentence.
 */
int traj_model_place(const char *path, struct traj_error *error);

/*
 * What saving a model and loading it again would give: a checked copy of it with its digest; name
 * stands for the path in sentences.  NULL with a sentence.
 */
struct traj_model *traj_model_copy(const struct traj_model *model, const char *name,
                                   struct traj_error *error);

/*
 * A model with zeroed arrays of these sizes, in one allocation; with_plan, with_names say whether
 * plan.rate and about.unit_name exist.  The arrays are reached through the struct's pointers (cast
 * away const to fill).
 */
struct traj_model *traj_model_new(const struct traj_dims *dims, int with_plan, int with_names,
                                  struct traj_error *error);
void traj_model_free(struct traj_model *model);

/* Tells a person what is in a model. */
void traj_model_show(const struct traj_model *model, FILE *out);

#endif
