/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recordings: bytes <-> structs; the page is recording.md.  A file is one header of
 * TRAJ_RECORDING_HEADER bytes and then records, each with its length, kind, number, stamp and
 * CRC-32C.  Whatever the bytes are, the reader finds the next record that is whole.  Everything is
 * little-endian; nothing here allocates.
 */
#ifndef TRAJ_PROTO_RECORDING_H
#define TRAJ_PROTO_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_RECORDING_HEADER 256
#define TRAJ_RECORD_HEADER 40
#define TRAJ_RECORD_PAYLOAD_MAX ((size_t)1 << 26) /* bytes; a longer record is no record */
#define TRAJ_RECORDING_NAME 64
#define TRAJ_RECORDING_DIM_MAX 16    /* dimensions of a workspace */
#define TRAJ_RECORDING_EFFECTS 512   /* events that may take effect before one frame */
#define TRAJ_RECORDING_PATH_MAX 4096 /* bytes of a model's path, NUL included */

/* What a file says of itself. */
struct traj_recording_header {
    uint64_t part;  /* from 1: parts of one recording follow one another */
    uint64_t first; /* number that the file's first own record has */
    double stamp;   /* s, the daemon's clock when the file was made */
    double time;    /* s since 1970-01-01 00:00 UTC, at the same instant */
    char model[65]; /* digest of the model that ran then: 64 lower-case hexadecimal digits */
    char name[TRAJ_RECORDING_NAME]; /* of the recording: the same in all its parts */
    char version[32];               /* of the daemon */
};

/* Writes TRAJ_RECORDING_HEADER bytes. */
void traj_recording_write_header(const struct traj_recording_header *header,
                                 unsigned char out[TRAJ_RECORDING_HEADER]);

/* Reads a header; texts come back NUL-terminated. */
enum traj_refusal traj_recording_parse_header(const void *bytes, size_t size,
                                              struct traj_recording_header *header,
                                              struct traj_refusal_detail *detail);

enum traj_record_kind {
    /* what came in */
    TRAJ_RECORD_FRAME = 1, /* body as received; code = disposition, cause = refusal */
    TRAJ_RECORD_EVENT,     /* event's number, then the body as received; code = effect, cause */
    TRAJ_RECORD_BAD,       /* not two parts, or an unknown topic; code = what it was */
    TRAJ_RECORD_CONTROL,   /* as EVENT: an event that came by the control socket */
    TRAJ_RECORD_RESET,
    TRAJ_RECORD_PAUSE,    /* code = 1 paused, 0 no more */
    TRAJ_RECORD_SETTINGS, /* struct traj_recorded_settings */
    TRAJ_RECORD_MODEL,    /* digest, then the path; code = how it came to run */
    /* what went out */
    TRAJ_RECORD_INTENT, /* numbers of the events that took effect before it, then the body */
    TRAJ_RECORD_STALE,  /* body */
    /* the recording itself */
    TRAJ_RECORD_START, /* struct traj_recorded_start; code = why */
    TRAJ_RECORD_LOST,  /* struct traj_recorded_loss; code = why */
    TRAJ_RECORD_END,   /* recording was stopped; nothing follows */
    /* what came in, again: kinds keep their numbers */
    TRAJ_RECORD_RETUNE, /* struct traj_recorded_retune; code = how it came about */
    TRAJ_RECORD_KINDS
};

/* "frame", "event", ...; "unknown" for what is none. */
const char *traj_record_name(enum traj_record_kind kind);

/* Whether a replay needs it. */
bool traj_record_is_input(enum traj_record_kind kind);

/* code of TRAJ_RECORD_FRAME; the pipeline's dispositions. */
enum traj_record_disposition {
    TRAJ_RECORD_DECODED,
    TRAJ_RECORD_LATE,
    TRAJ_RECORD_DUPLICATE,
    TRAJ_RECORD_INVALID
};
/* code of TRAJ_RECORD_EVENT and CONTROL. */
enum traj_record_effect {
    TRAJ_RECORD_WAITS,   /* for a later frame, or it never has any effect */
    TRAJ_RECORD_AT_ONCE, /* before the next frame, whenever that comes */
    TRAJ_RECORD_REFUSED  /* cause says why */
};
/* code of TRAJ_RECORD_BAD. */
enum traj_record_bad {
    TRAJ_RECORD_BAD_FRAME,
    TRAJ_RECORD_BAD_EVENT,
    TRAJ_RECORD_BAD_TOPIC,
};
/* code of TRAJ_RECORD_START. */
enum traj_record_start {
    TRAJ_RECORD_FRESH, /* nothing had come before: whoever replays begins with a fresh daemon */
    TRAJ_RECORD_MIDST  /* what the decoder knew by then is not in the recording */
};
/* code of TRAJ_RECORD_LOST. */
enum traj_record_loss {
    TRAJ_RECORD_LOST_BUFFER, /* the disk was slower than the messages */
    TRAJ_RECORD_LOST_DISK,   /* the disk refused */
    TRAJ_RECORD_LOST_CUT     /* left out by whoever cut the recording */
};
/* code of TRAJ_RECORD_MODEL. */
enum traj_record_model {
    TRAJ_RECORD_MODEL_RUNS, /* it ran already */
    TRAJ_RECORD_MODEL_LOADED,
    TRAJ_RECORD_MODEL_ROLLBACK,
    TRAJ_RECORD_MODEL_RELOAD /* by a new configuration */
};

/* code of TRAJ_RECORD_RETUNE. */
enum traj_record_retune {
    TRAJ_RECORD_RETUNE_RUNS,    /* in force already */
    TRAJ_RECORD_RETUNE_UPDATED, /* by recalibration */
    TRAJ_RECORD_RETUNE_GIVEN,   /* by a request that brought the numbers */
    TRAJ_RECORD_RETUNE_BACK,    /* by a request, to what was in force before */
    TRAJ_RECORD_RETUNE_UNDONE,  /* by recalibration, for it explained less */
    TRAJ_RECORD_RETUNE_DOUBT    /* the numbers are as before; what is thought of them is not */
};

struct traj_record {
    enum traj_record_kind kind;
    unsigned code;   /* below 256 */
    unsigned cause;  /* enum traj_refusal */
    bool carried;    /* a copy, for a reader that begins here, of what stood earlier */
    uint64_t number; /* counts records of a recording; a gap is told by TRAJ_RECORD_LOST */
    uint64_t frame;  /* frames that had been decoded before it */
    double stamp;    /* s, the daemon's clock: when it came in, or was done */
    size_t size;     /* of payload */
    const void *payload;
};

/*
 * Lays a record's header down, without checksum: TRAJ_RECORD_HEADER bytes; the payload belongs
 * right behind it.  traj_record_seal then puts in the checksum of all of it.
 */
void traj_record_put_header(const struct traj_record *record,
                            unsigned char out[TRAJ_RECORD_HEADER]);
void traj_record_seal(unsigned char *record, size_t size);

/* A whole record, sealed; returns its length, or 0 if cap is too small. */
size_t traj_record_write(const struct traj_record *record, void *out, size_t cap);

/*
 * Reads the header that traj_record_put_header laid down, checksum or not; the payload follows it
 * in bytes[size].  False if it is none, or the payload is not all there.
 */
bool traj_record_view(const void *bytes, size_t size, struct traj_record *record);

enum traj_record_outcome {
    TRAJ_RECORD_GOOD,  /* *record holds it; payload leads into bytes */
    TRAJ_RECORD_MORE,  /* what follows may be a record, but is not all there */
    TRAJ_RECORD_BROKEN /* *used bytes are no record and are to be passed over */
};

/*
 * Looks at bytes[0..size), where a record ought to begin.  *used receives how many bytes are done
 * with: the record, or those that are none; 0 with TRAJ_RECORD_MORE, which asks for more bytes, up
 * to *wanted in all, or means a torn tail where the file ends.
 */
enum traj_record_outcome traj_record_next(const void *bytes, size_t size,
                                          struct traj_record *record, size_t *used, size_t *wanted);

/*
 * Where bytes[0..size), up to the end of the file, begin with a record that is not all there: how
 * many to pass over until one that is whole, because the length was itself damaged; 0 if none
 * follows, and then they are a torn tail.
 */
size_t traj_record_pass_over(const void *bytes, size_t size);

/* ---- payloads -------------------------------------------------------------------------------- */

struct traj_recorded_settings {
    double gap_reset_s;
    double speed_limit;
    uint16_t count_max;
    uint16_t dims; /* of the workspace; 0 = none */
    double low[TRAJ_RECORDING_DIM_MAX];
    double high[TRAJ_RECORDING_DIM_MAX];
};
#define TRAJ_RECORDED_SETTINGS_MAX (20 + 16 * TRAJ_RECORDING_DIM_MAX)

struct traj_recorded_start {
    uint64_t frames; /* received before */
    uint64_t events;
};
#define TRAJ_RECORDED_START 16

struct traj_recorded_loss {
    uint64_t records; /* lost, from the number of this record on */
    uint64_t inputs;  /* of these, such as a replay would need */
};
#define TRAJ_RECORDED_LOSS 16

struct traj_recorded_model {
    char digest[65];
    char path[TRAJ_RECORDING_PATH_MAX];
};
#define TRAJ_RECORDED_MODEL_MAX (64 + TRAJ_RECORDING_PATH_MAX)

/*
 * How the running model's tables differ from those of its file (daemon/learn/retune.h).
 * coefficient[channels][columns] are little-endian doubles in the payload; channels 0 = not at all.
 */
struct traj_recorded_retune {
    char base[65];     /* digest of the model that was loaded */
    char digest[65];   /* of the one that is made of it */
    uint64_t until;    /* frames that had been decoded of all that it rests on; 0 = none */
    bool doubted;      /* intents say so */
    uint32_t channels; /* of the model */
    uint32_t columns;
    const unsigned char *coefficient;
};
#define TRAJ_RECORDED_RETUNE(numbers) (160 + 8 * (size_t)(numbers))

/* Bytes before the body of an event's record. */
#define TRAJ_RECORDED_EVENT 8
/* Bytes before the body of an intent's record, for so many events. */
#define TRAJ_RECORDED_INTENT(events) (8 + 8 * (events))

/* Writers return the length written; out is long enough by the constants above. */
size_t traj_recorded_put_settings(const struct traj_recorded_settings *settings, void *out);
size_t traj_recorded_put_start(const struct traj_recorded_start *start, void *out);
size_t traj_recorded_put_loss(const struct traj_recorded_loss *loss, void *out);
size_t traj_recorded_put_model(const struct traj_recorded_model *model, void *out);
/* The whole payload, with the numbers of coefficient[channels * columns]. */
size_t traj_recorded_put_retune(const struct traj_recorded_retune *retune,
                                const double *coefficient, void *out);
size_t traj_recorded_put_event(uint64_t number, void *out);
size_t traj_recorded_put_intent(const uint64_t *events, size_t count, void *out);

/* Readers return false where the payload is not what its kind asks for. */
bool traj_recorded_settings(const struct traj_record *record,
                            struct traj_recorded_settings *settings);
bool traj_recorded_start(const struct traj_record *record, struct traj_recorded_start *start);
bool traj_recorded_loss(const struct traj_record *record, struct traj_recorded_loss *loss);
bool traj_recorded_model(const struct traj_record *record, struct traj_recorded_model *model);
bool traj_recorded_retune(const struct traj_record *record, struct traj_recorded_retune *retune);
/* The i-th number of its coefficients. */
double traj_recorded_coefficient(const struct traj_recorded_retune *retune, size_t i);
/* *body, *size: the event as it was received. */
bool traj_recorded_event(const struct traj_record *record, uint64_t *number, const void **body,
                         size_t *size);
/* At most TRAJ_RECORDING_EFFECTS numbers. */
bool traj_recorded_intent(const struct traj_record *record, uint64_t *events, size_t *count,
                          const void **body, size_t *size);

#endif
