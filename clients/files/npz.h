/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A npz that is open already.  Internal to clients/files and its tests. */
#ifndef TRAJ_FILES_NPZ_H
#define TRAJ_FILES_NPZ_H

#include <zip.h>

#include "clients/files/arrays.h"

/* As traj_npz_read; path is for sentences, the zip stays the caller's. */
struct traj_session *traj_npz_session(zip_t *zip, const char *path,
                                      const struct traj_arrays_options *options,
                                      struct traj_error *error);

#endif
