/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libtrajclient for MATLAB and Octave: one MEX function, trajd_mex(WORD, ...), on which the classes
 * of +trajd stand.
 *
 *     h = trajd_mex('source', endpoint)            trajd_mex('wait', h, seconds)
 *     trajd_mex('frame', h, seq, t, dt, counts)    counts: real, NaN = not observed
 *     trajd_mex('event', h, json)
 *     h = trajd_mex('intents', endpoint)           s = trajd_mex('receive', h, seconds); [] = none
 *     h = trajd_mex('control', endpoint)           json = trajd_mex('request', h, json, seconds)
 *     trajd_mex('close', h)
 *
 * A handle is a number; what is open is closed when the function is cleared.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mex.h"

#include "proto/intent.h"
#include "traj/client.h"

#define OPEN_MOST 64
#define TEXT_MOST 1024
#define UNITS_MOST 65536
#define MISSING 65535

static struct {
    struct traj_source *source;
    struct traj_sink *sink;
    struct traj_control *control;
} all[OPEN_MOST];
static bool watched;

/* --- handles ---------------------------------------------------------------------------------- */

static void close_one(size_t at)
{
    if (all[at].source != NULL) {
        (void)traj_source_close(&all[at].source, 1000);
    }
    traj_sink_close(&all[at].sink);
    traj_control_close(&all[at].control);
}

static void close_all(void)
{
    for (size_t i = 0; i < OPEN_MOST; i++) {
        close_one(i);
    }
}

static void fail(const char *what, int rc)
{
    const char *why = rc == -ETIMEDOUT ? "nobody answered in time" : strerror(-rc);

    mexErrMsgIdAndTxt("trajd:failed", "trajd: %s: %s", what, why);
}

static size_t free_place(void)
{
    if (!watched) {
        (void)mexAtExit(close_all);
        watched = true;
    }
    for (size_t i = 0; i < OPEN_MOST; i++) {
        if (all[i].source == NULL && all[i].sink == NULL && all[i].control == NULL) {
            return i;
        }
    }
    mexErrMsgIdAndTxt("trajd:failed", "trajd: %d connections are open; close some", OPEN_MOST);
    return 0;
}

/* --- arguments -------------------------------------------------------------------------------- */

static double number(int count, const mxArray *const *argument, int at)
{
    if (at >= count || !mxIsNumeric(argument[at]) || mxGetNumberOfElements(argument[at]) != 1) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: argument %d is not a number", at + 1);
    }
    return mxGetScalar(argument[at]);
}

/* To be freed by mxFree. */
static char *text(int count, const mxArray *const *argument, int at)
{
    char *copy = at < count && mxIsChar(argument[at]) ? mxArrayToString(argument[at]) : NULL;

    if (copy == NULL) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: argument %d is not text", at + 1);
    }
    return copy;
}

static size_t place(int count, const mxArray *const *argument)
{
    double handle = number(count, argument, 1);

    if (!(handle >= 1.0 && handle <= OPEN_MOST)) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: that is no open connection");
    }
    return (size_t)handle - 1;
}

static void need(const void *connection, const char *what)
{
    if (connection == NULL) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: that is no open %s", what);
    }
}

/* Milliseconds; infinity and what is negative wait for ever. */
static int milliseconds(double seconds)
{
    return isfinite(seconds) && seconds >= 0.0 && seconds < 1e6 ? (int)(1e3 * seconds) : -1;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* A row of so many numbers, or a square matrix; [] where there are none. */
static mxArray *numbers(const double *value, size_t rows, size_t columns)
{
    mxArray *made =
        mxCreateDoubleMatrix(value != NULL ? rows : 0, value != NULL ? columns : 0, mxREAL);

    if (value != NULL) {
        /* Row by row as it comes, column by column as it is kept. */
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < columns; j++) {
                mxGetPr(made)[i + rows * j] = value[columns * i + j];
            }
        }
    }
    return made;
}

static mxArray *word(const char *value)
{
    return mxCreateString(value != NULL ? value : "");
}

static mxArray *flags(unsigned set)
{
    mxArray *made;
    size_t count = 0;

    for (size_t i = 0; i < TRAJ_INTENT_FLAGS; i++) {
        count += set >> i & 1u;
    }
    made = mxCreateCellMatrix(1, count);
    count = 0;
    for (size_t i = 0; i < TRAJ_INTENT_FLAGS; i++) {
        if ((set >> i & 1u) != 0) {
            mxSetCell(made, count++, mxCreateString(traj_intent_flag_name[i]));
        }
    }
    return made;
}

static mxArray *intent_struct(const struct traj_intent *intent, double silent)
{
    const size_t d = intent->dim;
    static const char *names[] = {
        "seq",      "frame",        "t",      "valid",       "position",   "position_cov",
        "velocity", "velocity_cov", "target", "target_prob", "target_set", "free_prob",
        "state",    "progress",     "eta",    "logev",       "flags",      "model",
        "recv",     "done",         "silent"};
    mxArray *const value[] = {mxCreateDoubleScalar((double)intent->seq),
                              mxCreateDoubleScalar((double)intent->frame),
                              mxCreateDoubleScalar(intent->t),
                              mxCreateLogicalScalar(intent->valid),
                              numbers(intent->position, 1, d),
                              numbers(intent->position_cov, d, d),
                              numbers(intent->velocity, 1, d),
                              numbers(intent->velocity_cov, d, d),
                              word(intent->target),
                              numbers(intent->target_prob, 1, intent->targets),
                              word(intent->target_set),
                              mxCreateDoubleScalar(intent->free_prob),
                              word(intent->state),
                              mxCreateDoubleScalar(intent->progress),
                              mxCreateDoubleScalar(intent->eta),
                              mxCreateDoubleScalar(intent->log_evidence),
                              flags(intent->flags),
                              word(intent->model),
                              mxCreateDoubleScalar(intent->stamps.recv),
                              mxCreateDoubleScalar(intent->stamps.done),
                              mxCreateDoubleScalar(silent)};
    const int fields = (int)(sizeof value / sizeof value[0]);
    mxArray *made = mxCreateStructMatrix(1, 1, fields, names);

    for (int i = 0; i < fields; i++) {
        mxSetFieldByNumber(made, 0, i, value[i]);
    }
    return made;
}

/* --- the words -------------------------------------------------------------------------------- */

static mxArray *do_open(const char *kind, int count, const mxArray *const *argument)
{
    char *endpoint = text(count, argument, 1);
    size_t at = free_place();
    int rc = strcmp(kind, "source") == 0    ? traj_source_open(endpoint, &all[at].source)
             : strcmp(kind, "intents") == 0 ? traj_sink_open(endpoint, "binary", &all[at].sink)
                                            : traj_control_open(endpoint, &all[at].control);

    if (rc != 0) {
        fail(endpoint, rc);
    }
    mxFree(endpoint);
    return mxCreateDoubleScalar((double)at + 1.0);
}

static mxArray *do_frame(int count, const mxArray *const *argument)
{
    static uint16_t counts[UNITS_MOST];
    size_t at = place(count, argument);
    size_t units = count > 5 ? mxGetNumberOfElements(argument[5]) : 0;
    const double *value = units > 0 && mxIsDouble(argument[5]) ? mxGetPr(argument[5]) : NULL;
    double seq = number(count, argument, 2);
    int rc;

    need(all[at].source, "source");
    if (value == NULL || units > UNITS_MOST) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: counts are one double a unit");
        return NULL;
    }
    for (size_t n = 0; n < units; n++) {
        if (!isnan(value[n]) &&
            !(value[n] >= 0.0 && value[n] < MISSING && value[n] == floor(value[n]))) {
            mexErrMsgIdAndTxt("trajd:argument",
                              "trajd: count %d is no whole number from 0 to 65534, nor NaN",
                              (int)n + 1);
        }
        counts[n] = isnan(value[n]) ? MISSING : (uint16_t)value[n];
    }
    rc = traj_source_counts(all[at].source, (uint64_t)seq, number(count, argument, 3),
                            number(count, argument, 4), counts, units);
    if (rc != 0) {
        fail("frame", rc);
    }
    return NULL;
}

static mxArray *do_event(int count, const mxArray *const *argument)
{
    size_t at = place(count, argument);
    char *body = text(count, argument, 2);
    int rc;

    need(all[at].source, "source");
    rc = traj_source_event(all[at].source, body, strlen(body));
    mxFree(body);
    if (rc != 0) {
        fail("event", rc);
    }
    return NULL;
}

static mxArray *do_wait(int count, const mxArray *const *argument)
{
    size_t at = place(count, argument);
    int rc;

    need(all[at].source, "source");
    rc = traj_source_wait(all[at].source, milliseconds(number(count, argument, 2)));
    if (rc != 0) {
        fail("no trajd has subscribed to frames and events", rc);
    }
    return NULL;
}

static mxArray *do_receive(int count, const mxArray *const *argument)
{
    const struct traj_intent *intent = NULL;
    size_t at = place(count, argument);
    double silent = NAN;
    int rc;

    need(all[at].sink, "connection to intents");
    rc = traj_sink_intent(all[at].sink, milliseconds(number(count, argument, 2)), &intent, &silent);
    if (rc == -ETIMEDOUT) {
        return mxCreateDoubleMatrix(0, 0, mxREAL);
    }
    if (rc != 0) {
        fail("receive", rc);
    }
    return intent_struct(intent, silent);
}

static mxArray *do_request(int count, const mxArray *const *argument)
{
    size_t at = place(count, argument);
    char *body = text(count, argument, 2);
    const char *reply = NULL;
    int rc;

    need(all[at].control, "control connection");
    rc = traj_control_request(all[at].control, body, milliseconds(number(count, argument, 3)),
                              &reply);
    mxFree(body);
    if (rc != 0) {
        fail("request", rc);
    }
    return mxCreateString(reply);
}

static mxArray *do_close(int count, const mxArray *const *argument)
{
    close_one(place(count, argument));
    return NULL;
}

static const struct {
    const char *word;
    mxArray *(*run)(int count, const mxArray *const *argument);
} words[] = {
    {"frame", do_frame},     {"event", do_event},     {"wait", do_wait},
    {"receive", do_receive}, {"request", do_request}, {"close", do_close},
};

void mexFunction(int results, mxArray *result[], int count, const mxArray *argument[])
{
    char *name = text(count, argument, 0);
    mxArray *made = NULL;
    bool known = false;

    if (strcmp(name, "source") == 0 || strcmp(name, "intents") == 0 ||
        strcmp(name, "control") == 0) {
        known = true;
        made = do_open(name, count, argument);
    }
    for (size_t i = 0; !known && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, name) == 0) {
            known = true;
            made = words[i].run(count, argument);
        }
    }
    mxFree(name);
    if (!known) {
        mexErrMsgIdAndTxt("trajd:argument", "trajd: an unknown word");
    }
    if (made != NULL) {
        result[0] = made;
    } else if (results > 0) {
        result[0] = mxCreateDoubleMatrix(0, 0, mxREAL);
    }
}
