/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl record: recordings of the daemon, begun, ended and looked into. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/record_cut.h"
#include "clients/trajctl/record_show.h"
#include "clients/trajctl/record_verify.h"
#include "clients/trajctl/request.h"
#include "daemon/learn/recording_file.h"
#include "daemon/learn/recording_mend.h"
#include "daemon/learn/recording_parts.h"
#include "traj/client.h"

/* For the disk to take the rest. */
#define STOP_MS 20000

static const struct command_help help = {
    .name = "record",
    .usage = "start | stop | verify|show|cut|recover R.rec [options]",
    .about =
        "start, stop: the daemon begins or ends a recording in its configured directory. A "
        "recording is one file or several parts, NAME.0001.rec and so on; name the first, and the "
        "others follow. verify: counts what is there, what is missing and what is damaged, decodes "
        "what came in once more and compares each intent to the byte; it ends with 1 if something "
        "is damaged or differs, or is missing without being told of, a part among them. One that "
        "was not ended, because it is still being written or its daemon was killed, may be whole "
        "for all that; with --ended it is not. show: the records as lines of JSON. cut: a new "
        "recording of a range of frames or of time, with what leads up to it, so that it can be "
        "replayed. recover: adds what a daemon that was killed had not written yet; the daemon "
        "itself does so when it starts again with the same directory.",
    .example = "trajctl record start\n"
               "trajctl record verify r.0001.rec\n"
               "trajctl record show r.0001.rec --kind control\n"
               "trajctl record cut r.0001.rec --out x.rec --from 60 --to 90\n",
    .operands = 2,
    .inputs = 1,
};

static int ask(const char *endpoint, const char *action)
{
    json_t *request = json_pack("{s:s,s:s}", "cmd", "record", "action", action), *reply = NULL;
    int status = request_send("record", endpoint, request, STOP_MS, &reply);
    if (status == 0) {
        const json_t *recording = json_object_get(reply, "recording");
        const json_t *lost = json_object_get(recording, "lost");
        const char *file = json_string_value(json_object_get(recording, "file"));
        printf("%s", file ? file : "-");
        if (strcmp(action, "stop") == 0) {
            printf(": %" JSON_INTEGER_FORMAT " records, %" JSON_INTEGER_FORMAT " lost",
                   json_integer_value(json_object_get(recording, "records")),
                   json_integer_value(json_object_get(lost, "buffer")) +
                       json_integer_value(json_object_get(lost, "disk")));
        }
        putchar('\n');
    }
    json_decref(reply);
    return status;
}

/* --- recover ---------------------------------------------------------------------------------- */

struct recovering {
    size_t tapes, failed;
};

static void tell_mended(void *context, const struct traj_mended *mended, const char *reason)
{
    struct recovering *recovering = context;
    recovering->tapes++;
    if (reason) {
        recovering->failed++;
        (void)failure("record", "%s", reason);
    } else {
        printf("%s: %zu records added, %zu bytes of half a record cut off\n", mended->file,
               mended->records, mended->cut);
    }
}

/* 0 if the file is a recording, or 1 after a sentence. */
static int check_recording(const char *path)
{
    struct traj_error error = {0};
    struct traj_recording *recording = traj_recording_open(path, &error);
    traj_recording_close(recording);
    return recording ? 0 : failure("record", "%s", error.text);
}

static int recover(const char *path)
{
    struct recovering recovering = {0, 0};
    /* A tape knows its recording by the folder's true name and the name up to the part. */
    char *base = realpath(path, NULL);
    size_t stem;
    uint64_t part;
    if (!base) {
        return failure("record", "%s cannot be read", path);
    }
    if (traj_recording_part(base, &stem, &part)) {
        base[stem] = '\0';
        traj_recording_mend_all(base, tell_mended, &recovering);
    }
    free(base);
    /* Asked for afterwards: the only part of a daemon that was killed early has no header yet. */
    if (recovering.tapes == 0 && check_recording(path) != 0) {
        return 1;
    }
    if (recovering.tapes == 0) {
        printf("%s: nothing was left behind\n", path);
    }
    return recovering.failed > 0 ? 1 : 0;
}

/* --- the command ------------------------------------------------------------------------------ */

struct request {
    const char *control;
    struct record_verify verify;
    struct record_show show;
    struct record_cut cut;
    uint64_t from_frame, to_frame;
    double from, to;
};

static int with_file(const char *word, const char *path, struct request *request)
{
    struct traj_error error = {0};
    int result;
    if (strcmp(word, "recover") == 0) {
        return recover(path);
    }
    if (strcmp(word, "verify") == 0) {
        request->verify.path = path;
        result = record_verify(&request->verify, &error);
    } else if (strcmp(word, "show") == 0) {
        request->show.path = path;
        request->show.from = request->from_frame;
        request->show.to = request->to_frame;
        result = record_show(&request->show, &error);
    } else {
        request->cut.path = path;
        request->cut.from_frame = request->from_frame;
        request->cut.to_frame = request->to_frame;
        request->cut.from = request->from;
        request->cut.to = request->to;
        result = record_cut(&request->cut, &error);
    }
    return result < 0 ? failure("record", "%s", error.text) : result;
}

/* Ranges that hold nothing whatever the recording is. */
static int check_range(const struct request *request)
{
    if (request->from_frame > request->to_frame) {
        return usage_error("record",
                           "--from-frame %" PRIu64 " is after --to-frame %" PRIu64
                           ": no frame is between",
                           request->from_frame, request->to_frame);
    }
    if (request->from > request->to) {
        return usage_error("record", "--from %g is after --to %g: nothing is between",
                           request->from, request->to);
    }
    return OPTIONS_RUN;
}

static int run(const char *word, const char *path, struct request *request)
{
    static const char *const with[] = {"verify", "show", "cut", "recover"};
    bool known = false;
    if (strcmp(word, "start") == 0 || strcmp(word, "stop") == 0) {
        return path ? usage_error("record", "%s takes no file", word) : ask(request->control, word);
    }
    for (size_t i = 0; i < COUNT_OF(with); i++) {
        known = known || strcmp(word, with[i]) == 0;
    }
    if (!known) {
        return usage_error("record", "\"%s\" is not start, stop, verify, show, cut or recover",
                           word);
    }
    if (!path) {
        return usage_error("record", "%s needs a recording", word);
    }
    if (strcmp(word, "cut") == 0 && !request->cut.out) {
        return usage_error("record", "cut needs --out, a file to write");
    }
    int status = check_range(request);
    return status == OPTIONS_RUN ? with_file(word, path, request) : status;
}

int cmd_record(int argc, char **argv)
{
    struct request request = {.control = TRAJ_DEFAULT_CONTROL,
                              .to_frame = UINT64_MAX,
                              .from = (double)NAN,
                              .to = (double)NAN};
    struct option_list models = {0};
    const struct command_option options[] = {
        {"control", "ENDPOINT", OPTION_TEXT, &request.control, "where trajd answers requests"},
        {"model", "M.tjm", OPTION_REPEATED, &models,
         "verify: a model of the recording; without it, those where the recording says they were",
         .file = FILE_READ},
        {"json", NULL, OPTION_FLAG, &request.verify.json, "verify: print the findings as JSON"},
        {"ended", NULL, OPTION_FLAG, &request.verify.ended,
         "verify: end with 1 too if the recording does not end in good order"},
        {"kind", "NAME", OPTION_TEXT, &request.show.kind,
         "show: only frame, event, control, intent, stale, reset, pause, model, retune, settings, "
         "bad, start, lost or end"},
        {"bodies", NULL, OPTION_FLAG, &request.show.bodies,
         "show: the messages alone, as they stood, one a line"},
        {"from-frame", "N", OPTION_U64, &request.from_frame,
         "show, cut: from the N-th decoded frame on, counted from 0"},
        {"to-frame", "N", OPTION_U64, &request.to_frame, "show, cut: up to this one, included",
         .plain = true},
        {"from", "S", OPTION_REAL, &request.from,
         "cut: from this instant on, s since the recording began", 0.0, 1e12, .plain = true},
        {"to", "S", OPTION_REAL, &request.to, "cut: up to this instant", 0.0, 1e12, .plain = true},
        {"out", "X.rec", OPTION_TEXT, &request.cut.out,
         "cut: file to write; it must not be there yet", .file = FILE_WRITTEN},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status == OPTIONS_RUN) {
        request.verify.models = models.item;
        request.verify.count = models.count;
        status = run(optind < argc ? argv[optind] : "", optind + 1 < argc ? argv[optind + 1] : NULL,
                     &request);
    }
    option_list_free(&models);
    return status;
}
