/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as the file of a recording, read to its end and put through the pipeline once more:
 * refused by a sentence, or every item is one of those that there are, and every intent that comes
 * of it can be written.
 *
 * The first byte chooses: 1 = whatever has a record's outline gets its checksum, which no mutation
 * would find; 2 = a good header is put before the rest; 4 = the model that stands for those of the
 * recording is a filter over courses, else a linear mixture.
 */
#include <stdint.h>
#include <string.h>

#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/recording_file.h"
#include "daemon/learn/rerun.h"
#include "tests/fuzz/held_file.h"
#include "tests/system/tiny_model.h"

enum { SEALED = 1, HEADED = 2, COURSE = 4 };
enum { UNITS = 5, TARGETS = 3 };

/* Ways of reading: intents of each of the two models, and a sentence. */
enum { READ_MIXTURE, READ_COURSE, READ_REFUSED, READ_WAYS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(READ_WAYS);

/* ---- models, as files that go with the process ----------------------------------------------- */

static struct held_file model[2];

static void drop_models(void)
{
    held_file_drop(&model[0]);
    held_file_drop(&model[1]);
}

static void save(struct traj_model *made, struct held_file *held)
{
    struct traj_error error = {""};
    held_file_make(held, "", 0);
    REQUIRE(made != NULL && traj_model_save(made, held->path, &error) == 0);
    traj_model_free(made);
}

static void make_models(void)
{
    struct traj_error error = {""};
    /* Wide bins, so that there are few states. */
    const struct bench_size size = {.units = UNITS, .targets = TARGETS, .bin = 0.1};
    if (model[0].path[0] != '\0')
        return;
    save(tiny_model(UNITS, TARGETS, 2, 1, &error), &model[0]);
    save(bench_model_make(&size, &error), &model[1]);
    REQUIRE(atexit(drop_models) == 0);
}

/* ---- the recording --------------------------------------------------------------------------- */

static void add(const struct held_file *held, const void *bytes, size_t size)
{
    REQUIRE(write(held->fd, bytes, size) == (ssize_t)size);
}

static void seal(uint8_t *bytes, size_t size)
{
    struct traj_record record;
    for (size_t at = 0; at < size;) {
        if (traj_record_view(bytes + at, size - at, &record)) {
            traj_record_seal(bytes + at, TRAJ_RECORD_HEADER + record.size);
            at += TRAJ_RECORD_HEADER + record.size;
        } else {
            at++;
        }
    }
}

static void make_recording(struct held_file *held, unsigned how, const uint8_t *data, size_t size)
{
    struct traj_recording_header header = {.part = 1, .first = 1, .name = "fuzz"};
    unsigned char head[TRAJ_RECORDING_HEADER];
    uint8_t *copy = malloc(size + 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    held_file_make(held, "", 0);
    if ((how & HEADED) != 0) {
        memset(header.model, '0', sizeof header.model - 1);
        traj_recording_write_header(&header, head);
        add(held, head, sizeof head);
    }
    /* Without a header of ours the recording's own is the first of its bytes. */
    const size_t own = (how & HEADED) != 0            ? 0
                       : size < TRAJ_RECORDING_HEADER ? size
                                                      : TRAJ_RECORDING_HEADER;
    if ((how & SEALED) != 0)
        seal(copy + own, size - own);
    add(held, copy, size);
    free(copy);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void check_intent(const struct traj_intent *intent, unsigned how)
{
    static struct traj_intent_buffer parsed;
    static char out[65536];
    const size_t length = traj_intent_write(intent, out, sizeof out);
    REQUIRE(length > 0 && length < sizeof out);
    REQUIRE(traj_intent_parse(out, length, &parsed, NULL) == TRAJ_ACCEPTED);
    ACCEPTED((how & COURSE) != 0 ? READ_COURSE : READ_MIXTURE);
}

static void check_item(const struct traj_recording_item *item)
{
    REQUIRE(item->found <= TRAJ_FOUND_NO_PART);
    REQUIRE(item->found == TRAJ_FOUND_RECORD || item->count > 0);
    if (item->found == TRAJ_FOUND_RECORD) {
        REQUIRE(item->record.kind > 0 && item->record.kind < TRAJ_RECORD_KINDS);
        (void)traj_rerun_anchor(&item->record);
    }
}

/* To its end, or to the first sentence. */
static int read_all(struct traj_recording *recording, struct traj_rerun *rerun, unsigned how,
                    struct traj_error *error)
{
    struct traj_recording_item item;
    struct traj_rerun_result result;
    uint64_t done, all;
    int more;
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        check_item(&item);
        if (traj_rerun_take(rerun, &item, &result, error) != 0)
            return -1;
        if (result.decoded)
            check_intent(&result.intent, how);
    }
    traj_recording_progress(recording, &done, &all);
    REQUIRE(more < 0 || done == all);
    return more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct traj_error error = {""};
    struct held_file held;
    const unsigned how = size > 0 ? data[0] : 0;
    make_models();
    make_recording(&held, how, data + (size > 0), size - (size > 0));
    const char *const models[] = {model[(how & COURSE) != 0].path};
    const struct traj_rerun_options options = {.models = models, .count = 1, .any = true};
    struct traj_rerun *rerun = traj_rerun_open(&options, &error);
    REQUIRE(rerun != NULL);
    struct traj_recording *recording = traj_recording_open(held.path, &error);
    const int rc = recording != NULL ? read_all(recording, rerun, how, &error) : -1;
    REQUIRE((rc != 0) == (error.text[0] != '\0'));
    if (rc != 0)
        ACCEPTED(READ_REFUSED);
    traj_recording_close(recording);
    traj_rerun_close(rerun);
    held_file_drop(&held);
    return 0;
}
