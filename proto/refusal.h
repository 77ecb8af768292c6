/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a message was refused: a cause that is counted, and a detail that is logged. */
#ifndef TRAJ_PROTO_REFUSAL_H
#define TRAJ_PROTO_REFUSAL_H

#include <stddef.h>

enum traj_refusal {
    TRAJ_ACCEPTED = 0,
    TRAJ_REFUSED_SYNTAX,  /* not the layout that it claims to be; truncated; trailing bytes */
    TRAJ_REFUSED_VERSION, /* a version that is not spoken here */
    TRAJ_REFUSED_CHECKSUM,
    TRAJ_REFUSED_TYPE,   /* unknown "type" or topic */
    TRAJ_REFUSED_FIELD,  /* a field missing, unknown, doubled, of the wrong type or out of range */
    TRAJ_REFUSED_SIZE,   /* more numbers than there is room for, or a body that is too long */
    TRAJ_REFUSED_UNITS,  /* the number of units or features is not the model's */
    TRAJ_REFUSED_COUNTS, /* a count beyond what is believable */
    TRAJ_REFUSALS        /* how many there are */
};

/* field and reason point to static text; offset is the byte at which reading stopped. */
struct traj_refusal_detail {
    const char *field;
    const char *reason;
    size_t offset;
};

/* "syntax", "version", ...: the word under which a cause is counted. */
const char *traj_refusal_name(enum traj_refusal refusal);

/* Fills in *detail unless it is NULL, and returns refusal: the last line of a parser that
 * refuses. */
enum traj_refusal traj_refuse(struct traj_refusal_detail *detail, enum traj_refusal refusal,
                              const char *field, const char *reason, size_t offset);

#endif
