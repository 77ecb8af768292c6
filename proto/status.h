/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The body of topic "status", and of the reply to a status request: an object of named fields.
 * Which fields there are is the sender's business (status.md); how they are spelled is this file's.
 */
#ifndef TRAJ_PROTO_STATUS_H
#define TRAJ_PROTO_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum traj_status_kind {
    TRAJ_STATUS_COUNT,  /* value.count */
    TRAJ_STATUS_NUMBER, /* value.number; not finite = null */
    TRAJ_STATUS_TEXT,   /* value.text; NULL = null */
    TRAJ_STATUS_TRUTH,  /* value.truth */
    TRAJ_STATUS_OPEN,   /* the fields up to the matching close are an object of this name */
    TRAJ_STATUS_CLOSE   /* name is not read */
};

struct traj_status_field {
    const char *name;
    enum traj_status_kind kind;
    union {
        uint64_t count;
        double number;
        const char *text;
        bool truth;
    } value;
};

/* One field, for tables of them. */
struct traj_status_field traj_status_count(const char *name, uint64_t count);
struct traj_status_field traj_status_number(const char *name, double number);
struct traj_status_field traj_status_string(const char *name, const char *text);
struct traj_status_field traj_status_truth(const char *name, bool truth);
struct traj_status_field traj_status_open(const char *name);
struct traj_status_field traj_status_close(void);

/*
 * Writes {"v":1,"type":"status", fields in order}; returns its length without NUL, or 0 if cap is
 * too small or an object is closed that was not opened, or the other way round.
 */
size_t traj_status_write(const struct traj_status_field *field, size_t fields, char *out,
                         size_t cap);

#endif
