/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl decode: the daemon without sockets. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/omissions.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/rerun.h"

static const struct command_help help = {
    .name = "decode",
    .usage = "--model M.tjm --session S.h5 --out I.jsonl [options]",
    .about =
        "Decodes a session's frames as fast as it goes and writes one intent a line, byte for "
        "byte what trajd publishes for the same session, but with null stamps. Kinematics are "
        "never read, and no intent depends on anything later than its frame. A recording gives "
        "the intents that were recorded: it knows which models ran and where they lay. With "
        "--model no others are read, and the first given runs where one that ran is not among "
        "them, which is told: what that would have decoded.",
    .example = "trajctl decode --model m.tjm --session b.h5 --out i.jsonl\n"
               "trajctl decode --recording r.0001.rec --out -\n",
};

/* Where the intents go. */
struct writing {
    struct output output;
    struct progress progress;
    char *line;
    size_t cap;
    size_t written, bins;
    int reason; /* errno where nothing more can be written */
};

static int write_intent(void *context, const struct traj_intent *intent)
{
    struct writing *w = context;
    struct traj_intent plain = *intent;
    plain.stamps = (struct traj_stamps){0, NAN, NAN, 0};
    size_t length = traj_intent_write(&plain, w->line, w->cap);
    if (length == 0 || fwrite(w->line, 1, length, w->output.file) != length ||
        putc('\n', w->output.file) == EOF) {
        w->reason = errno;
        return 1;
    }
    w->written++;
    if (w->written % 256 == 0) {
        progress_update(&w->progress, "frames", (double)w->written / (double)w->bins);
    }
    return 0;
}

static int fail_to_write(const struct writing *w, const char *out, struct traj_error *error)
{
    return traj_error_set(error, "%s cannot be written: %s", out, strerror(w->reason));
}

static int decode(const char *model_path, const char *session_path, const char *out,
                  const struct traj_decode_options *options, struct writing *w,
                  struct traj_error *error)
{
    int result = -1;
    struct traj_session *session = NULL;
    struct traj_model *model = traj_model_load(model_path, error);
    if (model) {
        session = traj_session_read(session_path, error);
    }
    if (session) {
        tell_units("decode", model, session);
        w->bins = session->bins;
        w->cap = traj_intent_size(model->dims.position, traj_target_slots(&model->dims));
        w->line = malloc(w->cap);
        if (!w->line) {
            traj_error_set(error, "memory is short");
        } else if (output_open(&w->output, out, error) == 0) {
            result = traj_decode(model, session, options, write_intent, w, NULL, error);
            if (result > 0) {
                result = fail_to_write(w, out, error);
            }
            if (result == 0) {
                result = output_commit(&w->output, error);
            } else {
                output_abandon(&w->output);
            }
        }
    }
    free(w->line);
    traj_session_free(session);
    traj_model_free(model);
    return result;
}

/* --- recordings ------------------------------------------------------------------------------- */

struct recorded {
    const char *path;
    const struct option_list *models;
    uint64_t from; /* frames before it are decoded and not written */
    size_t unknown, losses;
    uint64_t missing_part; /* though later ones are there; 0 = none */
};

/* Writes what one decoded frame gave; 0, or -1 with a sentence. */
static int write_recorded(struct writing *w, const struct traj_intent *intent, const char *out,
                          struct traj_error *error)
{
    size_t cap = traj_intent_size(intent->dim, intent->targets);
    if (cap > w->cap) {
        char *larger = realloc(w->line, cap);
        if (!larger) {
            return traj_error_set(error, "memory is short");
        }
        w->line = larger;
        w->cap = cap;
    }
    return write_intent(w, intent) == 0 ? 0 : fail_to_write(w, out, error);
}

/*
 * The position of the last item, at or before frame `from`, at which the decoder's state is known;
 * 0 if there is none.
 */
static int find_anchor(const struct recorded *recorded, uint64_t *anchor, struct traj_error *error)
{
    struct traj_recording_item item;
    uint64_t position = 0;
    int more = 0;
    struct traj_recording *recording = traj_recording_open(recorded->path, error);
    *anchor = 0;
    while (recording && (more = traj_recording_next(recording, &item, error)) > 0) {
        if (item.found == TRAJ_FOUND_RECORD && item.record.frame > recorded->from) {
            more = 0;
            break;
        }
        if (item.found == TRAJ_FOUND_RECORD && traj_rerun_anchor(&item.record)) {
            *anchor = position;
        }
        position++;
    }
    traj_recording_close(recording);
    return recording ? more : -1;
}

/*
 * Whether a record from before the place to begin at still says something there.  A frame says no
 * more than that its intent told of the models and tables that were new by then.
 */
static bool stays_in_force(const struct traj_recording_item *item)
{
    return item->found == TRAJ_FOUND_RECORD &&
           (item->record.kind == TRAJ_RECORD_MODEL || item->record.kind == TRAJ_RECORD_RETUNE ||
            item->record.kind == TRAJ_RECORD_SETTINGS || item->record.kind == TRAJ_RECORD_PAUSE ||
            item->record.kind == TRAJ_RECORD_FRAME);
}

static int decode_items(struct recorded *recorded, struct traj_recording *recording,
                        struct traj_rerun *rerun, const char *out, struct writing *w,
                        struct traj_error *error)
{
    struct traj_recording_item item;
    struct traj_rerun_result result;
    uint64_t position = 0, anchor = 0;
    int more;
    if (recorded->from > 0 && find_anchor(recorded, &anchor, error) != 0) {
        return -1;
    }
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        bool before = position++ < anchor;
        if (before && !stays_in_force(&item)) {
            continue;
        }
        if (traj_rerun_take(rerun, &item, &result, error) != 0) {
            return -1;
        }
        if (item.found == TRAJ_FOUND_NO_PART) {
            recorded->missing_part = item.count;
        }
        recorded->losses += item.found == TRAJ_FOUND_BROKEN || item.found == TRAJ_FOUND_GAP;
        bool wanted =
            !before && item.found == TRAJ_FOUND_RECORD && item.record.frame >= recorded->from;
        if (result.decoded && wanted && write_recorded(w, &result.intent, out, error) != 0) {
            return -1;
        }
        recorded->unknown +=
            wanted && !result.known && !result.decoded && item.record.kind == TRAJ_RECORD_FRAME;
        if (position % 1024 == 0) {
            uint64_t done, all;
            traj_recording_progress(recording, &done, &all);
            progress_update(&w->progress, "recording", (double)done / (double)all);
        }
    }
    return more;
}

/* Says what a reader of the intents must know; the rest is record verify's business. */
static void tell_doubts(const struct recorded *recorded, const struct traj_rerun_missing *missing)
{
    if (missing->digest[0] != '\0') {
        fprintf(stderr,
                "decode: the recording was made with model %.12s (%s), which is not the one given: "
                "the intents differ from the recorded\n",
                missing->digest, missing->path);
    }
    if (recorded->unknown > 0) {
        fprintf(stderr,
                "decode: %zu frames are left out, because what the decoder knew by then is not in "
                "the recording\n",
                recorded->unknown);
    }
    if (recorded->losses > 0) {
        fprintf(stderr, "decode: the recording is damaged at %zu places\n", recorded->losses);
    }
    tell_missing_part("decode", recorded->path, recorded->missing_part);
}

/* Nothing at all, or without a model that ran, is not what was asked for. */
static int check_decoded(const struct recorded *recorded, const struct traj_rerun *rerun,
                         const struct writing *w, struct traj_error *error)
{
    const struct traj_rerun_missing *missing = traj_rerun_missing(rerun);
    if (missing->digest[0] != '\0' && !missing->replaced) {
        return traj_error_set(error,
                              "model %.12s, with which %s was made, is not at hand: give it with "
                              "--model (it lay at %s)",
                              missing->digest, recorded->path, missing->path);
    }
    if (recorded->from > 0 && w->written == 0 && recorded->unknown == 0) {
        return traj_error_set(error, "%s: no frame was decoded from frame %llu on", recorded->path,
                              (unsigned long long)recorded->from);
    }
    return 0;
}

static int decode_recording(struct recorded *recorded, const char *out, struct writing *w,
                            struct traj_error *error)
{
    /* A model that is asked for runs, even where those that ran still lie in their places. */
    struct traj_rerun_options options = {.models = recorded->models->item,
                                         .count = recorded->models->count,
                                         .follow = recorded->models->count == 0,
                                         .any = true};
    int result = -1;
    struct traj_recording *recording = traj_recording_open(recorded->path, error);
    struct traj_rerun *rerun = recording ? traj_rerun_open(&options, error) : NULL;
    if (rerun && output_open(&w->output, out, error) == 0) {
        result = decode_items(recorded, recording, rerun, out, w, error);
        result = result == 0 ? check_decoded(recorded, rerun, w, error) : result;
        if (result == 0) {
            result = output_commit(&w->output, error);
        } else {
            output_abandon(&w->output);
        }
    }
    if (rerun && result == 0) {
        progress_end(&w->progress);
        tell_doubts(recorded, traj_rerun_missing(rerun));
    }
    free(w->line);
    traj_rerun_close(rerun);
    traj_recording_close(recording);
    return result;
}

/* --- the command ------------------------------------------------------------------------------ */

static int check_source(const char *session, const struct recorded *recorded,
                        const struct traj_decode_options *decoding)
{
    if ((session == NULL) == (recorded->path == NULL)) {
        return usage_error("decode", "name either --session S.h5 or --recording R.rec");
    }
    if (session != NULL && recorded->models->count != 1) {
        return usage_error("decode", "a session is decoded with one --model");
    }
    if (session != NULL && recorded->from > 0) {
        return usage_error("decode", "--from-frame is for recordings");
    }
    if (recorded->path != NULL && decoding->smooth) {
        return usage_error("decode", "--smooth is for sessions");
    }
    if (recorded->path != NULL && !decoding->trials) {
        return usage_error("decode", "a recording is decoded as it was: --no-trials is for "
                                     "sessions");
    }
    return OPTIONS_RUN;
}

static int run(const char *session, struct recorded *recorded, const char *out,
               const struct traj_decode_options *decoding, bool quiet)
{
    struct traj_error error = {0};
    struct writing w = {0};
    progress_init(&w.progress, "decode", quiet);
    int result = session ? decode(recorded->models->item[0], session, out, decoding, &w, &error)
                         : decode_recording(recorded, out, &w, &error);
    progress_end(&w.progress);
    if (result) {
        return failure("decode", "%s", error.text);
    }
    if (!quiet) {
        fprintf(stderr, "decode: %zu intents in %.2f s\n", w.written,
                progress_seconds(&w.progress));
    }
    return 0;
}

int cmd_decode(int argc, char **argv)
{
    struct option_list models = {0};
    struct recorded recorded = {.models = &models};
    const char *session = NULL, *out = NULL;
    struct traj_decode_options decoding = {.trials = true, .targets = true};
    bool quiet = false;
    const struct command_option options[] = {
        {"model", "M.tjm", OPTION_REPEATED, &models,
         "model file; several for a recording of several; without any, a recording's own are read "
         "from where they lay",
         .file = FILE_READ},
        {"session", "S.h5", OPTION_TEXT, &session, "session file with frames", .file = FILE_READ},
        {"recording", "R.rec", OPTION_TEXT, &recorded.path,
         "a recording's first part, instead of a session", .file = FILE_READ},
        {"out", "I.jsonl", OPTION_TEXT, &out,
         "file to write, one intent a line; - = standard output", .required = true,
         .file = FILE_WRITTEN},
        {"no-trials", NULL, OPTION_NO, &decoding.trials,
         "do not tell the decoder when trials start and stop"},
        {"from-frame", "N", OPTION_U64, &recorded.from,
         "write the intents of a recording from its N-th decoded frame on; it is decoded from the "
         "last session event before it",
         .plain = true},
        {"smooth", NULL, OPTION_FLAG, &decoding.smooth,
         "give every intent the whole session, later frames too, for analysis: flag \"smoothed\""},
        {"quiet", NULL, OPTION_FLAG, &quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    status = status == OPTIONS_RUN ? check_source(session, &recorded, &decoding) : status;
    if (status == OPTIONS_RUN) {
        status = run(session, &recorded, out, &decoding, quiet);
    }
    option_list_free(&models);
    return status;
}
