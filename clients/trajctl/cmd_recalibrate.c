/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl recalibrate: the daemon's recalibration, on or off, and what it has done. */
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "recalibrate",
    .usage = "on | off | freeze | rollback | status | save M.tjm",
    .about =
        "Has the daemon bring the running model up to date while it decodes: units that fall "
        "silent, fire more or drift. on: begins, or goes on after freeze. freeze: what is in force "
        "stays. rollback: back to the tables before the last change, and freezes. off: back to the "
        "model as it was loaded. save: writes the model as it runs now to a file.",
    .example = "trajctl recalibrate on --interval 10\n"
               "trajctl recalibrate save today.tjm\n",
    .operands = 2,
};

/* Options that were given, NaN or NULL = not. */
struct wanted {
    const char *method;
    double interval, half_life;
    bool labels;
};

static bool any(const struct wanted *wanted)
{
    return wanted->method || !isnan(wanted->interval) || !isnan(wanted->half_life) ||
           !wanted->labels;
}

static json_t *options_of(const struct wanted *wanted)
{
    json_t *options = json_object();
    if (wanted->method) {
        json_object_set_new(options, "method", json_string(wanted->method));
    }
    if (!isnan(wanted->interval)) {
        json_object_set_new(options, "interval_s", json_real(wanted->interval));
    }
    if (!isnan(wanted->half_life)) {
        json_object_set_new(options, "half_life_s", json_real(wanted->half_life));
    }
    if (!wanted->labels) {
        json_object_set_new(options, "labels", json_false());
    }
    return options;
}

/* A file's path from the root, though it need not be there: the daemon has another working
 * directory. */
static char *full_path(const char *path)
{
    char here[PATH_MAX];
    size_t size = strlen(path) + sizeof here + 2;
    char *full = malloc(size);
    if (full && path[0] == '/') {
        (void)snprintf(full, size, "%s", path);
    } else if (full && getcwd(here, sizeof here)) {
        (void)snprintf(full, size, "%s/%s", here, path);
    } else {
        free(full);
        full = NULL;
    }
    return full;
}

static const char *told(const json_t *r, const char *key)
{
    const char *text = json_string_value(json_object_get(r, key));
    return text ? text : "?";
}

static long long whole(const json_t *r, const char *key)
{
    return (long long)json_integer_value(json_object_get(r, key));
}

static void print_lead(const char *what, const json_t *lead)
{
    if (json_is_number(lead)) {
        printf("%s %+.1f standard errors\n", what, json_number_value(lead));
    }
}

static void print(const json_t *r)
{
    if (!json_is_object(r)) {
        printf("off\n");
        return;
    }
    printf("%s, %s: every %g s, half-life %g s%s\n",
           !json_is_true(json_object_get(r, "on"))      ? "off"
           : json_is_true(json_object_get(r, "frozen")) ? "FROZEN"
                                                        : "on",
           told(r, "method"), json_number_value(json_object_get(r, "interval_s")),
           json_number_value(json_object_get(r, "half_life_s")),
           json_is_true(json_object_get(r, "labels")) ? "" : ", labels are not believed");
    printf("runs        %.12s: tables of %lld channels moved%s\n", told(r, "digest"),
           whole(r, "channels"),
           json_is_true(json_object_get(r, "doubted")) ? "; DOUBTED: another model explains more"
                                                       : "");
    printf("intervals   %lld; %lld trials by their labels; %lld candidates: %lld put in force, "
           "%lld refused, %lld undone\n",
           whole(r, "intervals"), whole(r, "labelled"), whole(r, "candidates"), whole(r, "updates"),
           whole(r, "refused"), whole(r, "undone"));
    print_lead("candidate   explained more by", json_object_get(r, "candidate"));
    print_lead("as loaded   explains more by", json_object_get(r, "loaded"));
}

static int check(const char *word, const char *path, const struct wanted *wanted)
{
    static const char *const words[] = {"on", "off", "freeze", "rollback", "status", "save"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        known = known || strcmp(word, words[i]) == 0;
    }
    if (!known) {
        return usage_error("recalibrate", "\"%s\" is not on, off, freeze, rollback, status or save",
                           word);
    }
    if ((strcmp(word, "save") == 0) != (path != NULL)) {
        return usage_error("recalibrate", path ? "%s takes no file" : "%s needs a file", word);
    }
    if (any(wanted) && strcmp(word, "on") != 0) {
        return usage_error("recalibrate", "options of recalibration go with on, not with %s", word);
    }
    return OPTIONS_RUN;
}

int cmd_recalibrate(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    struct wanted wanted = {NULL, NAN, NAN, true};
    bool json = false;
    const struct command_option options[] = {
        {"method", "NAME", OPTION_TEXT, &wanted.method,
         "rml (recursive maximum likelihood of level and depth, and with labels of direction), "
         "smoothbatch (each interval's own, blended with what is in force) or baseline (levels "
         "alone)"},
        {"interval", "SECONDS", OPTION_REAL, &wanted.interval,
         "tables change at most once in so long", 1, 3600},
        {"half-life", "SECONDS", OPTION_REAL, &wanted.half_life,
         "after which what was seen counts for half", 1, 86400},
        {"no-labels", NULL, OPTION_NO, &wanted.labels, "do not believe trial_label events"},
        {"json", NULL, OPTION_FLAG, &json, "print the daemon's answer as JSON"},
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *word = optind < argc ? argv[optind] : "";
    const char *path = optind + 1 < argc ? argv[optind + 1] : NULL;
    status = check(word, path, &wanted);
    if (status != OPTIONS_RUN) {
        return status;
    }
    json_t *request = json_pack("{s:s,s:s}", "cmd", "recalibrate", "action", word), *reply = NULL;
    if (any(&wanted)) {
        json_object_set_new(request, "options", options_of(&wanted));
    }
    if (path) {
        char *full = full_path(path);
        json_object_set_new(request, "path", json_string(full ? full : path));
        free(full);
    }
    status = request_send("recalibrate", endpoint, request, REQUEST_LOAD_MS, &reply);
    if (status == 0 && json) {
        json_dumpf(json_object_get(reply, "recalibration"), stdout,
                   JSON_INDENT(1) | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY);
        putchar('\n');
    } else if (status == 0) {
        print(json_object_get(reply, "recalibration"));
    }
    json_decref(reply);
    return status;
}
