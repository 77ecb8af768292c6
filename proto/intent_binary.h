/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intents without text: the same struct as bytes of a fixed layout, for controllers that do not
 * want to read JSON.  intent.md has the table.  Nothing here allocates.
 *
 * Little-endian; a header of TRAJ_INTENT_HEADER bytes, then doubles: position[D], velocity[D],
 * position_cov[D*D], velocity_cov[D*D], target_prob[M]; then the letters of target and target_set.
 * What is null in JSON is NaN here, all numbers of a vector at once.
 */
#ifndef TRAJ_PROTO_INTENT_BINARY_H
#define TRAJ_PROTO_INTENT_BINARY_H

#include <stddef.h>

#include "proto/intent.h"
#include "proto/refusal.h"

/* On the intents socket; no topic of JSON begins with it, and it begins none. */
#define TRAJ_TOPIC_BINARY "binary"

#define TRAJ_INTENT_HEADER 184

/* Bytes that are enough for any intent of these sizes. */
size_t traj_intent_binary_size(size_t dim, size_t targets);

/*
 * Writes an intent; returns its length, or 0 if cap is too small, t not finite, or a vector longer
 * than 16 dimensions or 256 targets.
 */
size_t traj_intent_write_binary(const struct traj_intent *intent, void *out, size_t cap);

/* What topic "stale" says (traj_stale_write), in the same layout: kind 2. */
size_t traj_stale_write_binary(double last_t, double silent, size_t dim, const char *model,
                               void *out, size_t cap);

/*
 * Parses either (strict: no length is believed).  *silent is NaN for an intent; for a stale
 * message it is for how long no frame has come, s, and the intent is not valid, its velocity 0, its
 * t that of the last frame (NaN = none yet).
 */
enum traj_refusal traj_intent_parse_binary(const void *body, size_t size,
                                           struct traj_intent_buffer *buffer, double *silent,
                                           struct traj_refusal_detail *detail);

#endif
