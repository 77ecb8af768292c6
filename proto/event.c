/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events: JSON <-> struct; see event.h and event.md. */
#include "proto/event.h"

#include <math.h>
#include <string.h>

#include "proto/json.h"

enum key {
    KEY_TYPE,
    KEY_T,
    KEY_RUN,
    KEY_MARKS,
    KEY_PROB,
    KEY_POSITION,
    KEY_VELOCITY,
    KEY_COV,
    KEY_LOGLIK,
    KEY_SET,
    KEY_ID,
    KEY_TARGET,
    KEY_GO,
    KEY_REWARDED,
    KEY_SUBJECT,
    KEY_LENGTH_UNIT,
    KEY_DESCRIPTION,
    KEY_START,
    KEY_STOP,
    KEY_MOVE,
    KEY_FIRST,
    KEYS
};

static const char *const key_names[KEYS] = {
    "type",    "t",           "run",         "marks", "prob",   "position", "velocity",
    "cov",     "loglik",      "set",         "id",    "target", "go",       "rewarded",
    "subject", "length_unit", "description", "start", "stop",   "move",     "first"};

#define BIT(key) (1u << (key))

/* What each kind is called and which keys it has, besides "type". */
static const struct kind {
    const char *name;
    unsigned required, optional;
} kinds[TRAJ_EVENT_KINDS] = {
    [TRAJ_EVENT_SESSION] = {"session", BIT(KEY_RUN) | BIT(KEY_MARKS),
                            BIT(KEY_SUBJECT) | BIT(KEY_LENGTH_UNIT) | BIT(KEY_DESCRIPTION)},
    [TRAJ_EVENT_TRIAL_START] = {"trial_start", BIT(KEY_T), 0},
    [TRAJ_EVENT_GO] = {"go", BIT(KEY_T), 0},
    [TRAJ_EVENT_TRIAL_STOP] = {"trial_stop", BIT(KEY_T), 0},
    [TRAJ_EVENT_TARGET_PRIOR] = {"target_prior", BIT(KEY_T) | BIT(KEY_PROB), 0},
    [TRAJ_EVENT_GAZE] = {"gaze", BIT(KEY_T) | BIT(KEY_POSITION) | BIT(KEY_COV), 0},
    [TRAJ_EVENT_TARGETS] = {"targets", BIT(KEY_T) | BIT(KEY_SET) | BIT(KEY_ID) | BIT(KEY_POSITION),
                            0},
    [TRAJ_EVENT_EFFECTOR] = {"effector", BIT(KEY_T) | BIT(KEY_POSITION), 0},
    [TRAJ_EVENT_ESTIMATE] = {"estimate", BIT(KEY_T),
                             BIT(KEY_POSITION) | BIT(KEY_VELOCITY) | BIT(KEY_COV) |
                                 BIT(KEY_LOGLIK)},
    [TRAJ_EVENT_KINEMATICS] = {"kinematics", BIT(KEY_T) | BIT(KEY_POSITION), BIT(KEY_VELOCITY)},
    [TRAJ_EVENT_TRIAL_LABEL] = {"trial_label", BIT(KEY_T) | BIT(KEY_TARGET),
                                BIT(KEY_GO) | BIT(KEY_REWARDED) | BIT(KEY_START) | BIT(KEY_STOP) |
                                    BIT(KEY_MOVE)},
    [TRAJ_EVENT_UNITS] = {"units", BIT(KEY_T) | BIT(KEY_FIRST) | BIT(KEY_ID), 0},
};

const char *traj_event_name(enum traj_event_kind kind)
{
    return (unsigned)kind < TRAJ_EVENT_KINDS ? kinds[kind].name : "unknown";
}

/* ---- what holds for an event whether it is read or written ----------------------------------- */

/* A broken rule: which key and why; reason NULL = none. */
struct fault {
    enum key key;
    const char *reason;
};
static const struct fault sound = {KEYS, NULL};

static bool all_finite(const double *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(value[i])) {
            return false;
        }
    }
    return true;
}

/* A covariance has positive variances and is symmetric, to the precision of 32-bit senders. */
static struct fault check_cov(const double *cov, size_t dim)
{
    for (size_t i = 0; i < dim; i++) {
        if (!(cov[i * dim + i] > 0.0)) {
            return (struct fault){KEY_COV, "a variance that is not positive"};
        }
        for (size_t j = 0; j < i; j++) {
            double difference = cov[i * dim + j] - cov[j * dim + i];
            double scale = 1e-6 * (cov[i * dim + i] + cov[j * dim + j]);
            if (!(difference <= scale && -difference <= scale)) {
                return (struct fault){KEY_COV, "not symmetric"};
            }
        }
    }
    return sound;
}

/* Positions or velocities of D numbers, `total` numbers in all. */
static struct fault check_vector(const struct traj_event *event, enum key key, size_t total)
{
    if (event->dim == 0 || event->dim > TRAJ_EVENT_DIM_MAX) {
        return (struct fault){key, "not 1 to 16 numbers"};
    }
    if (event->count != total) {
        return (struct fault){key, "a wrong number of numbers"};
    }
    return sound;
}

/* A vector and its covariance. */
static struct fault check_estimate_like(const struct traj_event *event, enum key key)
{
    size_t dim = event->dim;
    struct fault fault = check_vector(event, key, event->count);
    if (fault.reason != NULL) {
        return fault;
    }
    if (event->count != dim + dim * dim) {
        return (struct fault){KEY_COV, "not D times D numbers"};
    }
    return check_cov(event->value + dim, dim);
}

static struct fault check_prob(const struct traj_event *event)
{
    double sum = 0.0;
    if (event->count == 0 || event->count > TRAJ_EVENT_IDS_MAX) {
        return (struct fault){KEY_PROB, "not 1 to 256 numbers"};
    }
    for (size_t i = 0; i < event->count; i++) {
        if (!(event->value[i] >= 0.0 && event->value[i] <= 1.0)) {
            return (struct fault){KEY_PROB, "a probability outside [0, 1]"};
        }
        sum += event->value[i];
    }
    if (!(sum > 0.0)) {
        return (struct fault){KEY_PROB, "all probabilities are 0"};
    }
    return sound;
}

static struct fault check_names(const struct traj_event *event)
{
    if (event->ids == 0 || event->ids > TRAJ_EVENT_IDS_MAX) {
        return (struct fault){KEY_ID, "not 1 to 256 names"};
    }
    for (size_t i = 0; i < event->ids; i++) {
        if (event->id[i][0] == '\0') {
            return (struct fault){KEY_ID, "an empty name"};
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(event->id[i], event->id[j]) == 0) {
                return (struct fault){KEY_ID, "the same name twice"};
            }
        }
    }
    return sound;
}

static struct fault check_targets(const struct traj_event *event)
{
    if (event->text[0] == '\0') {
        return (struct fault){KEY_SET, "empty"};
    }
    struct fault fault = check_names(event);
    if (fault.reason == NULL) {
        fault = check_vector(event, KEY_POSITION, event->ids * event->dim);
    }
    /* Courses are carried there: squares of such distances must leave what is known of them. */
    for (size_t i = 0; fault.reason == NULL && i < event->count; i++) {
        if (!(fabs(event->value[i]) <= TRAJ_EVENT_FAR)) {
            fault = (struct fault){KEY_POSITION, "a target farther than 1e6 from the origin"};
        }
    }
    return fault;
}

static struct fault check_units(const struct traj_event *event)
{
    if (event->first > UINT32_MAX) {
        return (struct fault){KEY_FIRST, "more than 2^32 - 1"};
    }
    return check_names(event);
}

static struct fault check_label(const struct traj_event *event)
{
    if (event->target < -1) {
        return (struct fault){KEY_TARGET, "negative"};
    }
    if (isinf(event->go)) {
        return (struct fault){KEY_GO, "infinite"};
    }
    if (isinf(event->rewarded)) {
        return (struct fault){KEY_REWARDED, "infinite"};
    }
    if (isinf(event->start) || isinf(event->stop) || isinf(event->move)) {
        return (struct fault){KEY_START, "infinite"};
    }
    if (event->stop <= event->start) {
        return (struct fault){KEY_STOP, "not later than start"};
    }
    return sound;
}

static struct fault check_estimate(const struct traj_event *event)
{
    switch (event->of) {
    case TRAJ_ESTIMATE_POSITION:
        return check_estimate_like(event, KEY_POSITION);
    case TRAJ_ESTIMATE_VELOCITY:
        return check_estimate_like(event, KEY_VELOCITY);
    case TRAJ_ESTIMATE_TARGETS:
        if (event->count == 0 || event->count > TRAJ_EVENT_IDS_MAX) {
            return (struct fault){KEY_LOGLIK, "not 1 to 256 numbers"};
        }
        return sound;
    }
    return (struct fault){KEY_TYPE, "unknown"};
}

static struct fault check(const struct traj_event *event)
{
    if (event->count > TRAJ_EVENT_VALUES_MAX || !all_finite(event->value, event->count)) {
        return (struct fault){KEY_POSITION, "too many numbers, or one that is not finite"};
    }
    if (event->kind != TRAJ_EVENT_SESSION && !isfinite(event->t)) {
        return (struct fault){KEY_T, "not finite"};
    }
    switch (event->kind) {
    case TRAJ_EVENT_TARGET_PRIOR:
        return check_prob(event);
    case TRAJ_EVENT_GAZE:
        return check_estimate_like(event, KEY_POSITION);
    case TRAJ_EVENT_TARGETS:
        return check_targets(event);
    case TRAJ_EVENT_EFFECTOR:
        return check_vector(event, KEY_POSITION, event->dim);
    case TRAJ_EVENT_KINEMATICS:
        return check_vector(event, KEY_POSITION,
                            event->count > event->dim ? 2 * event->dim : event->dim);
    case TRAJ_EVENT_ESTIMATE:
        return check_estimate(event);
    case TRAJ_EVENT_TRIAL_LABEL:
        return check_label(event);
    case TRAJ_EVENT_UNITS:
        return check_units(event);
    case TRAJ_EVENT_SESSION:
    case TRAJ_EVENT_TRIAL_START:
    case TRAJ_EVENT_GO:
    case TRAJ_EVENT_TRIAL_STOP:
        return sound;
    case TRAJ_EVENT_KINDS:
        break;
    }
    return (struct fault){KEY_TYPE, "unknown"};
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A body whose members have been found; key is the one being read. */
struct reading {
    struct traj_json json;
    struct traj_json_members members;
    enum key key;
};

static bool present(const struct reading *reading, enum key key)
{
    return reading->members.at[key] != NULL;
}

static struct traj_json *go_to(struct reading *reading, enum key key)
{
    reading->key = key;
    reading->json.at = reading->members.at[key];
    return &reading->json;
}

static bool refuse(struct reading *reading, enum key key, const char *reason)
{
    reading->key = key;
    return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD, reason);
}

/* Numbers to the end of value; at most `max` of them. */
static bool append_values(struct reading *reading, enum key key, struct traj_event *event,
                          size_t max)
{
    size_t room = TRAJ_EVENT_VALUES_MAX - event->count;
    size_t count;
    if (!traj_json_doubles(go_to(reading, key), event->value + event->count,
                           max < room ? max : room, &count)) {
        return false;
    }
    event->count += count;
    return true;
}

static bool read_vector(struct reading *reading, enum key key, struct traj_event *event)
{
    if (!append_values(reading, key, event, TRAJ_EVENT_DIM_MAX)) {
        return false;
    }
    event->dim = event->count;
    return true;
}

static bool read_vector_and(struct reading *reading, enum key key, enum key other, size_t max,
                            struct traj_event *event)
{
    return read_vector(reading, key, event) && append_values(reading, other, event, max);
}

static bool read_ids(struct reading *reading, struct traj_event *event)
{
    struct traj_json *json = go_to(reading, KEY_ID);
    if (!traj_json_array(json)) {
        return false;
    }
    while (traj_json_element(json)) {
        if (event->ids == TRAJ_EVENT_IDS_MAX) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more names than there is room for");
        }
        if (!traj_json_text(json, event->id[event->ids], TRAJ_EVENT_ID_SIZE)) {
            return false;
        }
        event->ids++;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

static bool read_rows(struct reading *reading, struct traj_event *event)
{
    struct traj_json *json = go_to(reading, KEY_POSITION);
    size_t rows = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    for (; traj_json_element(json); rows++) {
        size_t count;
        if (!traj_json_doubles(json, event->value + event->count,
                               TRAJ_EVENT_VALUES_MAX - event->count, &count)) {
            return false;
        }
        if (rows > 0 && count != event->dim) {
            return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "rows of different lengths");
        }
        event->dim = count;
        event->count += count;
    }
    if (json->refusal == TRAJ_ACCEPTED && rows != event->ids) {
        return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "not one row for each id");
    }
    return json->refusal == TRAJ_ACCEPTED;
}

static bool read_targets(struct reading *reading, struct traj_event *event)
{
    return traj_json_text(go_to(reading, KEY_SET), event->text, sizeof event->text) &&
           read_ids(reading, event) && read_rows(reading, event);
}

static bool read_estimate(struct reading *reading, struct traj_event *event)
{
    bool position = present(reading, KEY_POSITION);
    bool velocity = present(reading, KEY_VELOCITY);
    bool loglik = present(reading, KEY_LOGLIK);
    if (position + velocity + loglik != 1) {
        return refuse(reading, KEY_TYPE, "not exactly one of position, velocity and loglik");
    }
    if (present(reading, KEY_COV) == loglik) {
        return refuse(reading, KEY_COV, loglik ? "unknown key" : "missing");
    }
    if (loglik) {
        event->of = TRAJ_ESTIMATE_TARGETS;
        return append_values(reading, KEY_LOGLIK, event, TRAJ_EVENT_IDS_MAX);
    }
    event->of = position ? TRAJ_ESTIMATE_POSITION : TRAJ_ESTIMATE_VELOCITY;
    return read_vector_and(reading, position ? KEY_POSITION : KEY_VELOCITY, KEY_COV,
                           TRAJ_EVENT_VALUES_MAX, event);
}

/* A number, true, false or null (NaN). */
static bool read_maybe(struct reading *reading, enum key key, bool truth, double *value)
{
    if (!present(reading, key)) {
        return true;
    }
    struct traj_json *json = go_to(reading, key);
    char c = traj_json_peek(json);
    if (c == 'n') {
        return traj_json_null(json);
    }
    if (truth && (c == 't' || c == 'f')) {
        bool yes = false;
        bool read = traj_json_bool(json, &yes);
        *value = yes ? 1.0 : 0.0;
        return read;
    }
    return traj_json_double(json, value);
}

static bool read_label(struct reading *reading, struct traj_event *event)
{
    struct traj_json *json = go_to(reading, KEY_TARGET);
    if (traj_json_peek(json) == 'n') {
        if (!traj_json_null(json)) {
            return false;
        }
    } else {
        uint64_t row;
        if (!traj_json_u64(json, &row)) {
            return false;
        }
        if (row > INT32_MAX) {
            return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "above 2^31 - 1");
        }
        event->target = (int32_t)row;
    }
    return read_maybe(reading, KEY_GO, false, &event->go) &&
           read_maybe(reading, KEY_REWARDED, true, &event->rewarded) &&
           read_maybe(reading, KEY_START, false, &event->start) &&
           read_maybe(reading, KEY_STOP, false, &event->stop) &&
           read_maybe(reading, KEY_MOVE, false, &event->move);
}

/* Text that may be absent. */
static bool read_text(struct reading *reading, enum key key, char *out, size_t cap)
{
    return !present(reading, key) || traj_json_text(go_to(reading, key), out, cap);
}

static bool read_session(struct reading *reading, struct traj_event *event)
{
    return traj_json_text(go_to(reading, KEY_RUN), event->text, sizeof event->text) &&
           traj_json_bool(go_to(reading, KEY_MARKS), &event->marks) &&
           read_text(reading, KEY_SUBJECT, event->subject, sizeof event->subject) &&
           read_text(reading, KEY_LENGTH_UNIT, event->length_unit, sizeof event->length_unit) &&
           read_text(reading, KEY_DESCRIPTION, event->description, sizeof event->description);
}

static bool read_kind(struct reading *reading, struct traj_event *event)
{
    switch (event->kind) {
    case TRAJ_EVENT_SESSION:
        return read_session(reading, event);
    case TRAJ_EVENT_TARGET_PRIOR:
        return append_values(reading, KEY_PROB, event, TRAJ_EVENT_IDS_MAX);
    case TRAJ_EVENT_GAZE:
        return read_vector_and(reading, KEY_POSITION, KEY_COV, TRAJ_EVENT_VALUES_MAX, event);
    case TRAJ_EVENT_TARGETS:
        return read_targets(reading, event);
    case TRAJ_EVENT_EFFECTOR:
        return read_vector(reading, KEY_POSITION, event);
    case TRAJ_EVENT_KINEMATICS:
        if (!present(reading, KEY_VELOCITY)) {
            return read_vector(reading, KEY_POSITION, event);
        }
        return read_vector_and(reading, KEY_POSITION, KEY_VELOCITY, TRAJ_EVENT_DIM_MAX, event) &&
               (event->count == 2 * event->dim ||
                refuse(reading, KEY_VELOCITY, "not as long as position"));
    case TRAJ_EVENT_ESTIMATE:
        return read_estimate(reading, event);
    case TRAJ_EVENT_TRIAL_LABEL:
        return read_label(reading, event);
    case TRAJ_EVENT_UNITS:
        return traj_json_u64(go_to(reading, KEY_FIRST), &event->first) && read_ids(reading, event);
    case TRAJ_EVENT_TRIAL_START:
    case TRAJ_EVENT_GO:
    case TRAJ_EVENT_TRIAL_STOP:
    case TRAJ_EVENT_KINDS:
        break;
    }
    return true;
}

static bool read_type(struct reading *reading, struct traj_event *event)
{
    const char *text;
    size_t length;
    char name[16];
    if (!present(reading, KEY_TYPE)) {
        return refuse(reading, KEY_TYPE, "missing");
    }
    if (!traj_json_raw_text(go_to(reading, KEY_TYPE), &text, &length)) {
        return false;
    }
    if (traj_json_unescape(text, length, name, sizeof name) != (size_t)-1) {
        for (size_t kind = 0; kind < TRAJ_EVENT_KINDS; kind++) {
            if (strcmp(name, kinds[kind].name) == 0) {
                event->kind = (enum traj_event_kind)kind;
                return true;
            }
        }
    }
    return traj_json_refuse(&reading->json, TRAJ_REFUSED_TYPE, "unknown kind of event");
}

/* Whether the keys are those of the kind. */
static bool check_keys(struct reading *reading, enum traj_event_kind kind)
{
    if (reading->members.odd != NULL) {
        reading->json.at = reading->members.odd;
        return refuse(reading, KEYS, reading->members.odd_reason);
    }
    for (size_t i = KEY_TYPE + 1; i < KEYS; i++) {
        enum key key = (enum key)i;
        if (!present(reading, key) && (kinds[kind].required & BIT(key)) != 0) {
            return refuse(reading, key, "missing");
        }
        if (present(reading, key) &&
            ((kinds[kind].required | kinds[kind].optional) & BIT(key)) == 0) {
            (void)go_to(reading, key);
            return refuse(reading, key, "this kind of event has no such key");
        }
    }
    return true;
}

static bool read_event(struct reading *reading, struct traj_event *event)
{
    reading->key = KEYS;
    if (!traj_json_members(&reading->json, key_names, KEYS, &reading->members) ||
        !traj_json_finish(&reading->json) || !read_type(reading, event) ||
        !check_keys(reading, event->kind)) {
        return false;
    }
    if (present(reading, KEY_T) && !traj_json_double(go_to(reading, KEY_T), &event->t)) {
        return false;
    }
    if (!read_kind(reading, event)) {
        return false;
    }
    struct fault fault = check(event);
    return fault.reason == NULL || refuse(reading, fault.key, fault.reason);
}

enum traj_refusal traj_event_parse(const void *body, size_t size, struct traj_event *event,
                                   struct traj_refusal_detail *detail)
{
    struct reading reading;
    event->kind = TRAJ_EVENT_KINDS;
    event->t = NAN;
    event->marks = false;
    event->target = -1;
    event->go = NAN;
    event->rewarded = NAN;
    event->start = NAN;
    event->stop = NAN;
    event->move = NAN;
    event->first = 0;
    event->of = TRAJ_ESTIMATE_POSITION;
    event->dim = 0;
    event->count = 0;
    event->ids = 0;
    event->text[0] = '\0';
    event->subject[0] = '\0';
    event->length_unit[0] = '\0';
    event->description[0] = '\0';
    traj_json_start(&reading.json, body, size);
    if (!read_event(&reading, event)) {
        return traj_refuse(detail, reading.json.refusal,
                           reading.key < KEYS ? key_names[reading.key] : NULL, reading.json.reason,
                           (size_t)(reading.json.at - reading.json.begin));
    }
    return TRAJ_ACCEPTED;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_numbers(struct traj_json_writer *writer, enum key key, const double *value,
                        size_t count)
{
    traj_json_put_key(writer, key_names[key]);
    traj_json_put_doubles(writer, value, count);
}

static void put_names(struct traj_json_writer *writer, const struct traj_event *event)
{
    traj_json_put_key(writer, "id");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < event->ids; i++) {
        traj_json_put_text(writer, event->id[i]);
    }
    traj_json_put_bracket(writer, ']');
}

static void put_targets(struct traj_json_writer *writer, const struct traj_event *event)
{
    traj_json_put_key(writer, "set");
    traj_json_put_text(writer, event->text);
    put_names(writer, event);
    traj_json_put_key(writer, "position");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < event->ids; i++) {
        traj_json_put_doubles(writer, event->value + i * event->dim, event->dim);
    }
    traj_json_put_bracket(writer, ']');
}

static void put_estimate(struct traj_json_writer *writer, const struct traj_event *event)
{
    if (event->of == TRAJ_ESTIMATE_TARGETS) {
        put_numbers(writer, KEY_LOGLIK, event->value, event->count);
        return;
    }
    put_numbers(writer, event->of == TRAJ_ESTIMATE_POSITION ? KEY_POSITION : KEY_VELOCITY,
                event->value, event->dim);
    put_numbers(writer, KEY_COV, event->value + event->dim, event->count - event->dim);
}

static void put_known(struct traj_json_writer *writer, enum key key, double value)
{
    if (!isnan(value)) {
        traj_json_put_key(writer, key_names[key]);
        traj_json_put_double(writer, value);
    }
}

static void put_label(struct traj_json_writer *writer, const struct traj_event *event)
{
    traj_json_put_key(writer, "target");
    if (event->target < 0) {
        traj_json_put_null(writer);
    } else {
        traj_json_put_i64(writer, event->target);
    }
    traj_json_put_key(writer, "go");
    traj_json_put_double(writer, event->go);
    traj_json_put_key(writer, "rewarded");
    traj_json_put_double(writer, event->rewarded);
    put_known(writer, KEY_START, event->start);
    put_known(writer, KEY_STOP, event->stop);
    put_known(writer, KEY_MOVE, event->move);
}

/* What is not told is left out: the session event of a plain source stays short. */
static void put_told(struct traj_json_writer *writer, enum key key, const char *text)
{
    if (text[0] != '\0') {
        traj_json_put_key(writer, key_names[key]);
        traj_json_put_text(writer, text);
    }
}

static void put_session(struct traj_json_writer *writer, const struct traj_event *event)
{
    traj_json_put_key(writer, "run");
    traj_json_put_text(writer, event->text);
    traj_json_put_key(writer, "marks");
    traj_json_put_bool(writer, event->marks);
    put_told(writer, KEY_SUBJECT, event->subject);
    put_told(writer, KEY_LENGTH_UNIT, event->length_unit);
    put_told(writer, KEY_DESCRIPTION, event->description);
}

static void put_kind(struct traj_json_writer *writer, const struct traj_event *event)
{
    switch (event->kind) {
    case TRAJ_EVENT_SESSION:
        put_session(writer, event);
        break;
    case TRAJ_EVENT_TARGET_PRIOR:
        put_numbers(writer, KEY_PROB, event->value, event->count);
        break;
    case TRAJ_EVENT_TARGETS:
        put_targets(writer, event);
        break;
    case TRAJ_EVENT_EFFECTOR:
        put_numbers(writer, KEY_POSITION, event->value, event->dim);
        break;
    case TRAJ_EVENT_GAZE:
        put_numbers(writer, KEY_POSITION, event->value, event->dim);
        put_numbers(writer, KEY_COV, event->value + event->dim, event->count - event->dim);
        break;
    case TRAJ_EVENT_KINEMATICS:
        put_numbers(writer, KEY_POSITION, event->value, event->dim);
        if (event->count > event->dim) {
            put_numbers(writer, KEY_VELOCITY, event->value + event->dim, event->dim);
        }
        break;
    case TRAJ_EVENT_ESTIMATE:
        put_estimate(writer, event);
        break;
    case TRAJ_EVENT_TRIAL_LABEL:
        put_label(writer, event);
        break;
    case TRAJ_EVENT_UNITS:
        traj_json_put_key(writer, "first");
        traj_json_put_u64(writer, event->first);
        put_names(writer, event);
        break;
    case TRAJ_EVENT_TRIAL_START:
    case TRAJ_EVENT_GO:
    case TRAJ_EVENT_TRIAL_STOP:
    case TRAJ_EVENT_KINDS:
        break;
    }
}

size_t traj_event_write(const struct traj_event *event, char *out, size_t cap)
{
    struct traj_json_writer writer;
    if (check(event).reason != NULL) {
        return 0;
    }
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "type");
    traj_json_put_text(&writer, kinds[event->kind].name);
    if (event->kind != TRAJ_EVENT_SESSION) {
        traj_json_put_key(&writer, "t");
        traj_json_put_double(&writer, event->t);
    }
    put_kind(&writer, event);
    traj_json_put_bracket(&writer, '}');
    return traj_json_written(&writer);
}
