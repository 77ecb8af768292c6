/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl decode: the daemon without sockets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"

static const struct command_help help = {
    .name = "decode",
    .usage = "--model M.tjm --session S.h5 --out I.jsonl [options]",
    .about = "Decodes a session's frames as fast as it goes and writes one intent a line, byte for "
             "byte what trajd publishes for the same session, but with null stamps. Kinematics are "
             "never read, and no intent depends on anything later than its frame.",
    .example = "trajctl decode --model m.tjm --session b.h5 --out i.jsonl\n",
};

/* Where the intents go. */
struct writing {
    struct output output;
    struct progress progress;
    char *line;
    size_t cap;
    size_t written, bins;
};

static int write_intent(void *context, const struct traj_intent *intent)
{
    struct writing *w = context;
    struct traj_intent plain = *intent;
    plain.stamps = (struct traj_stamps){0, NAN, NAN, 0};
    size_t length = traj_intent_write(&plain, w->line, w->cap);
    if (length == 0 || fwrite(w->line, 1, length, w->output.file) != length ||
        putc('\n', w->output.file) == EOF) {
        return 1;
    }
    w->written++;
    if (w->written % 256 == 0) {
        progress_update(&w->progress, "frames", (double)w->written / (double)w->bins);
    }
    return 0;
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
        w->bins = session->bins;
        w->cap = traj_intent_size(model->dims.position, model->dims.targets);
        w->line = malloc(w->cap);
        if (!w->line) {
            traj_error_set(error, "memory is short");
        } else if (output_open(&w->output, out, error) == 0) {
            result = traj_decode(model, session, options, write_intent, w, NULL, error);
            if (result > 0) {
                result = traj_error_set(error, "%s cannot be written", out);
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

int cmd_decode(int argc, char **argv)
{
    const char *model = NULL, *session = NULL, *out = NULL;
    struct traj_decode_options decoding = {.trials = true};
    bool quiet = false;
    const struct command_option options[] = {
        {"model", "M.tjm", OPTION_TEXT, &model, "model file", .required = true},
        {"session", "S.h5", OPTION_TEXT, &session, "session file with frames", .required = true},
        {"out", "I.jsonl", OPTION_TEXT, &out,
         "file to write, one intent a line; - = standard output", .required = true},
        {"no-trials", NULL, OPTION_NO, &decoding.trials,
         "do not tell the decoder when trials start and stop"},
        {"quiet", NULL, OPTION_FLAG, &quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct traj_error error = {0};
    struct writing w = {0};
    progress_init(&w.progress, "decode", quiet);
    int result = decode(model, session, out, &decoding, &w, &error);
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
