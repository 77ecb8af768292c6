/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intents: struct -> JSON, and JSON -> struct for clients.  Keys stand in a fixed order, numbers
 * read back exactly, NULL or NaN is written as null, and a non-finite number never reaches the
 * wire.
 */
#ifndef TRAJ_PROTO_INTENT_H
#define TRAJ_PROTO_INTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

/* "flags" on the wire, one bit each, written in this order. */
enum traj_intent_flag {
    TRAJ_INTENT_GAP = 1u << 0,   /* "gap": frames or time are missing before this frame */
    TRAJ_INTENT_RESET = 1u << 1, /* "reset": the posterior started anew before this frame */
    TRAJ_INTENT_LATE_EVENT =
        1u << 2, /* "late_event": an event came after a later frame was decoded */
    TRAJ_INTENT_RECOVERED = 1u << 3,  /* "recovered": a component was rebuilt from its prior */
    TRAJ_INTENT_LIMITED = 1u << 4,    /* "limited": position or velocity is held at its limit */
    TRAJ_INTENT_PAUSED = 1u << 5,     /* "paused" */
    TRAJ_INTENT_MODEL = 1u << 6,      /* "model": first frame under a newly loaded model */
    TRAJ_INTENT_SMOOTHED = 1u << 7,   /* "smoothed": given the whole recording, later frames too */
    TRAJ_INTENT_UNOBSERVED = 1u << 8, /* "unobserved": too long without any number of any unit */
    TRAJ_INTENT_RETUNED = 1u << 9,    /* "retuned": first frame under tables that were moved */
    TRAJ_INTENT_DOUBTFUL = 1u << 10,  /* "doubtful": another model at hand explains frames better */
    TRAJ_INTENT_STEERED = 1u << 11    /* "steered": from where the effector is, not on a course */
};

/* Their words, by bit. */
#define TRAJ_INTENT_FLAGS 12
_Static_assert(TRAJ_INTENT_STEERED == 1u << (TRAJ_INTENT_FLAGS - 1), "a word for each flag");
extern const char *const traj_intent_flag_name[TRAJ_INTENT_FLAGS];

/* What may be going on, "state" on the wire and the keys of "state_prob", in this order. */
#define TRAJ_INTENT_STATES 6
extern const char *const traj_intent_state_name[TRAJ_INTENT_STATES];

struct traj_stamps {
    uint64_t device; /* as the frame said, 0 = null */
    double recv;     /* s, monotonic clock of the daemon when the frame was received; NaN = null */
    double done;     /* s, when it was decoded */
    size_t behind;   /* frames that waited when this one was done */
};

struct traj_intent {
    uint64_t seq;   /* counts decoded frames */
    uint64_t frame; /* the source's seq */
    double t;
    bool valid;
    size_t dim;                 /* D */
    const double *position;     /* [D] or NULL */
    const double *position_cov; /* [D*D] or NULL */
    const double *velocity;
    const double *velocity_cov;
    const char *target;                    /* id of the most probable target, or NULL */
    size_t targets;                        /* M */
    const double *target_prob;             /* [M] or NULL */
    const char *target_set;                /* or NULL */
    double free_prob;                      /* or NaN */
    const char *state;                     /* one of traj_intent_state_name, or NULL */
    double state_prob[TRAJ_INTENT_STATES]; /* of each; NaN in [0] = null object */
    double progress, eta, log_evidence;    /* or NaN */
    unsigned flags;
    const char
        *model; /* first 12 hex digits of the model's SHA-256 (need not be terminated there) */
    struct traj_stamps stamps;
};

/* Bytes that are enough for any intent of these sizes. */
size_t traj_intent_size(size_t dim, size_t targets);

/* Writes the JSON object without newline; returns its length, or 0 if cap is too small. */
size_t traj_intent_write(const struct traj_intent *intent, char *out, size_t cap);

/*
 * The message of topic "stale": {"v":1,"type":"stale","t":last t,"silent":seconds,"valid":false,
 * "velocity":[0,..],"model":..}.
 */
size_t traj_stale_write(double last_t, double silent, size_t dim, const char *model, char *out,
                        size_t cap);

/* Room for the numbers and words of one parsed intent; pointers in .intent lead into it. */
struct traj_intent_buffer {
    struct traj_intent intent;
    double number[2 * 16 + 2 * 16 * 16 + 256];
    char text[3][64]; /* target, target_set, state */
    char model[16];
};

/* Parses an intent's JSON (strict); used by clients and tests. */
enum traj_refusal traj_intent_parse(const void *body, size_t size,
                                    struct traj_intent_buffer *buffer,
                                    struct traj_refusal_detail *detail);

#endif
