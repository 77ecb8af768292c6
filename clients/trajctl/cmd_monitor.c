/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl monitor: the decoding, live, on a terminal. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/screen.h"
#include "proto/intent.h"
#include "traj/client.h"

#define POLL_MS 30
#define REDRAW_S (1.0 / 15.0)
#define PLAIN_S 1.0   /* between lines where there is no terminal */
#define RATE_S 1.0    /* over which the rate is counted */
#define LATENCIES 512 /* of the last intents */
#define TARGETS_MAX 256

static const struct command_help help = {
    .name = "monitor",
    .usage = "[options]",
    .about =
        "Shows what trajd decodes, live: the probability of each target as a bar, position, "
        "velocity, state, rate, losses (gaps in seq) and latency (from the receipt of a frame to "
        "its intent; median and worst of the last 512). q ends it. Where there is no terminal it "
        "writes a line a second.",
    .example = "trajctl monitor\n"
               "ssh rig trajctl monitor --plain\n",
};

struct monitor {
    const char *endpoint;
    struct traj_sink *sink;
    struct screen *screen; /* NULL = plain lines */
    struct traj_intent_buffer intent;
    bool any;
    uint64_t intents, lost, next;
    uint64_t bad;              /* messages that could not be read */
    bool stale;                /* the last message said that frames have stopped */
    double latency[LATENCIES]; /* s, ring */
    size_t latencies;
    double rate, rate_since; /* intents/s; when counting began */
    uint64_t rate_from;
};

static void take(struct monitor *m, const char *topic, const char *body, size_t size)
{
    struct traj_refusal_detail detail;
    m->stale = strcmp(topic, "stale") == 0;
    if (strcmp(topic, "intent") != 0) {
        return;
    }
    if (traj_intent_parse(body, size, &m->intent, &detail) != TRAJ_ACCEPTED) {
        m->bad++;
        return;
    }
    const struct traj_intent *intent = &m->intent.intent;
    if (m->any && intent->seq > m->next) {
        m->lost += intent->seq - m->next;
    }
    m->any = true;
    m->next = intent->seq + 1;
    m->intents++;
    if (isfinite(intent->stamps.recv) && isfinite(intent->stamps.done)) {
        m->latency[m->latencies++ % LATENCIES] = intent->stamps.done - intent->stamps.recv;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and worst of the last latencies, ms; NaN before the first. */
static void latency(const struct monitor *m, double *median, double *worst)
{
    double sorted[LATENCIES];
    size_t count = m->latencies < LATENCIES ? m->latencies : LATENCIES;
    *median = *worst = NAN;
    if (count > 0) {
        memcpy(sorted, m->latency, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, ascending);
        *median = 1e3 * sorted[count / 2];
        *worst = 1e3 * sorted[count - 1];
    }
}

static void count_rate(struct monitor *m, double now)
{
    if (now - m->rate_since >= RATE_S) {
        m->rate = (double)(m->intents - m->rate_from) / (now - m->rate_since);
        m->rate_from = m->intents;
        m->rate_since = now;
    }
}

/* "12.3 -4.0", or "-" where there is nothing. */
static const char *numbers(const double *x, size_t count, char *out, size_t cap)
{
    size_t used = 0;
    snprintf(out, cap, "-");
    for (size_t i = 0; x && i < count && used < cap; i++) {
        int length = snprintf(out + used, cap - used, "%s%.2f", i ? " " : "", x[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    return out;
}

#define REAL 32 /* bytes that real() needs */

/* "0.42", or "-" where the model defines none. */
static const char *real(double x, char out[REAL])
{
    snprintf(out, REAL, isfinite(x) ? "%.2f" : "-", x);
    return out;
}

static double speed_of(const struct traj_intent *intent)
{
    double sum = 0.0;
    for (size_t d = 0; intent->velocity && d < intent->dim; d++) {
        sum += intent->velocity[d] * intent->velocity[d];
    }
    return intent->velocity ? sqrt(sum) : NAN;
}

static void flag_words(unsigned flags, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < TRAJ_INTENT_FLAGS && used < cap; i++) {
        if (flags & (1u << i)) {
            int length = snprintf(out + used, cap - used, " %s", traj_intent_flag_name[i]);
            used += length > 0 ? (size_t)length : 0;
        }
    }
}

/* --- pictures --------------------------------------------------------------------------------- */

static void draw_bar(struct screen *screen, const char *name, double p, size_t width)
{
    char bar[256];
    width = width < sizeof bar ? width : sizeof bar - 1;
    size_t full = p > 0.0 ? (size_t)lround(p * (double)width) : 0;
    full = full < width ? full : width;
    memset(bar, '#', full);
    memset(bar + full, '.', width - full);
    bar[width] = '\0';
    screen_line(screen, "%10.10s %5.3f %s", name, p, bar);
}

/* How many of p are greater; of equal ones the first is the greatest. */
static size_t rank(const double *p, size_t count, size_t i)
{
    size_t above = 0;
    for (size_t k = 0; k < count; k++) {
        above += p[k] > p[i] || (p[k] == p[i] && k < i);
    }
    return above;
}

/* Where there are more targets than lines, the most probable ones are shown, in their order. */
static void draw_targets(const struct monitor *m, size_t width)
{
    const struct traj_intent *intent = &m->intent.intent;
    size_t room = screen_lines_left(m->screen);
    room = room > 2 ? room - 2 : 0; /* for the free component and the line of keys */
    for (size_t i = 0; intent->target_prob && i < intent->targets; i++) {
        size_t above = rank(intent->target_prob, intent->targets, i);
        char name[24];
        if (above < room) {
            snprintf(name, sizeof name, "%s%zu", above == 0 ? "> " : "", i);
            screen_look(m->screen, above == 0 ? SCREEN_BOLD : SCREEN_PLAIN);
            draw_bar(m->screen, name, intent->target_prob[i], width);
        }
    }
    screen_look(m->screen, SCREEN_PLAIN);
    if (isfinite(intent->free_prob)) {
        draw_bar(m->screen, "free", intent->free_prob, width);
    }
}

/* Whether what is shown may be acted on; what is old may not. */
static void draw_state(const struct monitor *m)
{
    const struct traj_intent *intent = &m->intent.intent;
    char flags[128];
    bool good = intent->valid && !m->stale;
    flag_words(intent->flags, flags, sizeof flags);
    screen_look(m->screen, good ? SCREEN_GOOD : SCREEN_BAD);
    screen_line(m->screen, "t %.3f s   frame %" PRIu64 "   %s%s%s", intent->t, intent->frame,
                good ? "valid" : "NOT VALID", flags, m->stale ? "   FRAMES HAVE STOPPED" : "");
    screen_look(m->screen, SCREEN_PLAIN);
}

static void draw(const struct monitor *m)
{
    const struct traj_intent *intent = &m->intent.intent;
    char position[128], velocity[128], progress[REAL], eta[REAL];
    double median, worst;
    size_t columns, rows;
    screen_size(&columns, &rows);
    screen_begin(m->screen);
    screen_line(m->screen, "trajd at %s   model %.12s", m->endpoint, m->any ? intent->model : "-");
    if (!m->any) {
        screen_line(m->screen, "no intent has come yet");
    } else {
        latency(m, &median, &worst);
        draw_state(m);
        screen_look(m->screen, m->lost > 0 ? SCREEN_WARNING : SCREEN_PLAIN);
        screen_line(m->screen,
                    "rate %.1f /s   lost %" PRIu64
                    "   latency %.2f ms, worst %.2f ms   waiting %zu",
                    m->rate, m->lost, median, worst, intent->stamps.behind);
        screen_look(m->screen, SCREEN_PLAIN);
        screen_line(m->screen, "position  %s",
                    numbers(intent->position, intent->dim, position, sizeof position));
        screen_line(m->screen, "velocity  %s   speed %.1f",
                    numbers(intent->velocity, intent->dim, velocity, sizeof velocity),
                    speed_of(intent));
        screen_line(m->screen, "state     %s   progress %s   eta, s %s",
                    intent->state ? intent->state : "-", real(intent->progress, progress),
                    real(intent->eta, eta));
        screen_line(m->screen, "target    %s", intent->target ? intent->target : "-");
        screen_line(m->screen, "%s", "");
        draw_targets(m, columns > 24 ? columns - 20 : 4);
    }
    screen_line(m->screen, "q quits");
    screen_show(m->screen);
}

static void print_line(const struct monitor *m)
{
    const struct traj_intent *intent = &m->intent.intent;
    char position[128], velocity[128], flags[128];
    double median, worst, p = NAN;
    if (!m->any) {
        printf("no intent has come yet\n");
    } else {
        latency(m, &median, &worst);
        flag_words(intent->flags, flags, sizeof flags);
        for (size_t i = 0; intent->target_prob && i < intent->targets; i++) {
            p = i == 0 || intent->target_prob[i] > p ? intent->target_prob[i] : p;
        }
        printf("t=%.3f frame=%" PRIu64 " state=%s target=%s p=%.3f position=[%s] velocity=[%s] "
               "rate=%.1f/s lost=%" PRIu64 " latency=%.2fms%s%s%s\n",
               intent->t, intent->frame, intent->state ? intent->state : "-",
               intent->target ? intent->target : "-", p,
               numbers(intent->position, intent->dim, position, sizeof position),
               numbers(intent->velocity, intent->dim, velocity, sizeof velocity), m->rate, m->lost,
               median, intent->valid ? "" : " not-valid", flags, m->stale ? " stopped" : "");
    }
    fflush(stdout);
}

/* Until q, a signal or the end of the time; 0 or a negative errno value. */
static int watch(struct monitor *m, double seconds)
{
    double began = monotonic_seconds(), shown = began, period = m->screen ? REDRAW_S : PLAIN_S;
    m->rate_since = began;
    while (!interrupted() && (isnan(seconds) || monotonic_seconds() - began < seconds)) {
        const char *topic, *body;
        size_t size;
        int rc = traj_sink_receive(m->sink, POLL_MS, &topic, &body, &size);
        if (rc == 0) {
            take(m, topic, body, size);
        } else if (rc != -ETIMEDOUT && rc != -EINTR) {
            return rc;
        }
        double now = monotonic_seconds();
        if (now - shown < period) {
            continue;
        }
        shown = now;
        count_rate(m, now);
        if (!m->screen) {
            print_line(m);
            continue;
        }
        draw(m);
        char key = screen_key(m->screen);
        if (key == 'q' || key == 'Q') {
            return 0;
        }
    }
    return 0;
}

int cmd_monitor(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_INTENTS;
    double seconds = NAN;
    bool plain = false;
    const struct command_option options[] = {
        {"intents", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd publishes intents"},
        {"plain", NULL, OPTION_FLAG, &plain, "write a line a second even on a terminal"},
        {"seconds", "S", OPTION_REAL, &seconds, "end after so long", 0.1, 1e9},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct monitor *m = calloc(1, sizeof *m);
    int rc = m ? traj_sink_open_with(endpoint, options_keys(), "intent,stale", &m->sink) : -ENOMEM;
    if (rc == 0) {
        m->endpoint = endpoint;
        interrupt_catch();
        m->screen = plain ? NULL : screen_open();
        rc = watch(m, seconds);
        screen_close(&m->screen);
        traj_sink_close(&m->sink);
    }
    free(m);
    return rc ? failure("monitor", "%s: %s", endpoint, strerror(-rc)) : 0;
}
