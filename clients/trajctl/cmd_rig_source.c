/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl rig-source: a session as some rig would send it, in that rig's own wire format. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/rig.h"

/* Blocks after the last bin, so that its end is seen even with some lag. */
#define BLOCKS_AFTER_S 0.2

static const struct command_help help = {
    .name = "rig-source",
    .usage = "SYSTEM --session S.h5 [options]",
    .about =
        "Plays a session as a rig would send it: spikes at times inside their bins, trial marks as "
        "digital lines, in the system's own wire format, for trying out a source of trajd without "
        "the rig. Bins follow one another closely, from the rig's sample 0 on, all of one width. "
        "Prints where it "
        "listens, waits for a listener, sends, and prints what was sent and what was lost as "
        "JSON. --map writes the map of units for the daemon's \"source\"; --bins writes the "
        "session as it is sent, so that trajctl replay of it gives the same intents.",
    .example = "trajctl rig-source open-ephys --session b.h5 --map rig.json --bins sent.h5\n"
               "trajctl rig-source open-ephys --session b.h5 --loss 0.05 --asap\n",
    .operands = 1,
};

static const struct rig_system *const systems[] = {&rig_open_ephys, &rig_event_broadcaster,
                                                   &rig_blackrock, &rig_lsl,
#ifdef TRAJ_HAVE_HIREDIS
                                                   &rig_brand
#endif
};

static const struct rig_system *system_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(systems); i++) {
        if (strcmp(systems[i]->name, name) == 0) {
            return systems[i];
        }
    }
    return NULL;
}

/* Sleeps until a moment of the rig's clock; what is late goes at once. */
static void wait_until(struct rig *rig, double origin, double t)
{
    if (rig->speed == 0.0) {
        return;
    }
    double due = origin + t / rig->speed;
    struct timespec at = {.tv_sec = (time_t)due};
    at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
    while (!interrupted() && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
    double late = monotonic_seconds() - due;
    rig->late = late > rig->late ? late : rig->late;
}

/* Where the running acquisition stands: samples count from `base`, items from `next` on are due. */
struct course {
    int64_t base;
    size_t next;
};

/* Everything that is announced before `end`, on the rig's clock since it started anew. */
static int send_items(struct rig *rig, const struct rig_system *system, void *self,
                      struct course *course, int64_t end, struct traj_error *error)
{
    int result = 0;
    while (result == 0 && course->next < rig->items && rig->item[course->next].announce < end) {
        struct rig_item item = rig->item[course->next++];
        item.sample -= course->base;
        item.announce -= course->base;
        /* What happened before the new start but was to be told after it is never told. */
        result = item.sample >= 0 ? system->item(self, &item, error) : 0;
        result = result == 0 && interrupted() ? 1 : result;
    }
    return result;
}

static int send_all(struct rig *rig, const struct rig_system *system, void *self,
                    struct traj_error *error)
{
    struct course course = {0, 0};
    int64_t block = (int64_t)floor(1e-3 * rig->block_ms * rig->rate + 0.5);
    int64_t last = rig_edge(rig, rig->bins);
    int64_t end = last + (int64_t)((1e-3 * rig->jitter_ms + BLOCKS_AFTER_S) * rig->rate);
    int64_t anew = rig->restart_s > 0.0 ? (int64_t)(rig->restart_s * rig->rate) : INT64_MAX;
    double origin = monotonic_seconds();
    int result = 0;
    block = block > 0 ? block : 1;
    for (int64_t at = 0; at < end && result == 0; at += block) {
        if (at >= anew) {
            anew = INT64_MAX;
            course.base = at;
            result = system->restart(self, error);
        }
        rig->keep = at + block >= end || at == course.base;
        wait_until(rig, origin, (double)(at + block) / rig->rate);
        result = result ? result : send_items(rig, system, self, &course, at + block, error);
        result = result ? result : system->block(self, at - course.base, block, error);
        result = result == 0 && interrupted() ? 1 : result;
    }
    return result;
}

int rig_run(struct rig *rig, const struct rig_system *system, struct traj_error *error)
{
    void *self = NULL;
    int result = system->open(rig, &self, error);
    if (result == 0 && rig->hold) {
        char line[16];
        result = fgets(line, sizeof line, stdin) ? 0 : 1;
    }
    if (result == 0) {
        result = send_all(rig, system, self, error);
    }
    system->close(self);
    return result;
}

static void report(const struct rig *rig)
{
    printf("{\"messages\":%llu,\"dropped\":%llu,\"spikes\":%llu,\"spikes_dropped\":%llu,"
           "\"bins\":%zu,\"heartbeats\":%llu,\"late_ms\":%.1f}\n",
           (unsigned long long)rig->messages, (unsigned long long)rig->dropped,
           (unsigned long long)rig->spikes, (unsigned long long)rig->spikes_dropped, rig->bins,
           (unsigned long long)rig->heartbeats, 1e3 * rig->late);
}

static int play(struct rig *rig, const struct rig_system *system, const char *map, const char *bins,
                struct traj_error *error)
{
    int result = rig_plan(rig, error);
    if (result == 0 && system->units_max > 0 && rig->session->units > system->units_max) {
        result = traj_error_set(error, "%s: %zu units are more than %s has channels",
                                rig->session_path, rig->session->units, system->name);
    }
    if (result == 0 && map) {
        result = rig_write_map(rig, system, "", map, error);
    }
    if (result == 0 && bins) {
        result = rig_write_bins(rig, bins, error);
    }
    if (result == 0) {
        result = rig_run(rig, system, error);
    }
    return result;
}

int cmd_rig_source(int argc, char **argv)
{
    struct rig rig = {.block_ms = 10.0, .speed = 1.0, .wait_s = 10.0, .channels = 1, .seed = 1};
    const char *map = NULL, *bins = NULL;
    bool asap = false;
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &rig.session_path, "session file with counts",
         .required = true, .file = FILE_READ},
        {"endpoint", "ENDPOINT", OPTION_TEXT, &rig.endpoint,
         "where to listen; port 0 = any that is free (default: the system's own)", .plain = true},
        {"map", "MAP.json", OPTION_TEXT, &map, "write the map of units here", .file = FILE_WRITTEN},
        {"bins", "B.h5", OPTION_TEXT, &bins, "write the session as it is sent here",
         .file = FILE_WRITTEN},
        {"rate", "HZ", OPTION_REAL, &rig.rate, "samples/s of the rig's clock", 10.0, 1e9,
         .plain = true},
        {"bin", "SECONDS", OPTION_REAL, &rig.bin_s,
         "width of the bins on the rig's clock, s; without it, the median of the session's", 1e-4,
         10.0, .plain = true},
        {"block", "MS", OPTION_REAL, &rig.block_ms, "what the rig sends at once, ms", 0.1, 1000.0},
        {"channels", "N", OPTION_SIZE, &rig.channels, "channels of continuous samples", 0, 4096},
        {"speed", "X", OPTION_REAL, &rig.speed, "recorded seconds sent in one second", 1e-3, 1e6},
        {"asap", NULL, OPTION_FLAG, &asap, "as fast as the daemon takes it, instead of --speed"},
        {"loss", "P", OPTION_REAL, &rig.loss, "share of the messages that are lost", 0.0, 0.9},
        {"jitter", "MS", OPTION_REAL, &rig.jitter_ms,
         "spikes are told up to so much later than they happened, ms", 0.0, 10000.0},
        {"restart", "S", OPTION_REAL, &rig.restart_s,
         "start acquisition anew after so many recorded seconds", 0.0, 1e6, .plain = true},
        {"limit", "N", OPTION_SIZE, &rig.limit, "send the first N bins alone", 1, 1e15,
         .plain = true},
        {"wait", "S", OPTION_REAL, &rig.wait_s, "how long to wait for a listener, s", 0.0, 3600.0},
        {"hold", NULL, OPTION_FLAG, &rig.hold,
         "when somebody listens, wait for a line on standard input before sending"},
        {"seed", "N", OPTION_U64, &rig.seed, "seed of times inside bins, loss and jitter"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const struct rig_system *system = optind < argc ? system_named(argv[optind]) : NULL;
    if (!system) {
        return usage_error("rig-source",
                           "name the system: open-ephys, event-broadcaster, blackrock, "
                           "brand or lsl");
    }
    rig.speed = asap ? 0.0 : rig.speed;
    rig.rate = rig.rate > 0.0 ? rig.rate : system->rate;
    rig.endpoint = rig.endpoint ? rig.endpoint : system->endpoint;
    struct traj_error error = {0};
    interrupt_catch();
    int result = play(&rig, system, map, bins, &error);
    if (result == 0) {
        report(&rig);
    }
    rig_free(&rig);
    return result == 0  ? 0
           : result > 0 ? failure("rig-source", "interrupted")
                        : failure("rig-source", "%s", error.text);
}
