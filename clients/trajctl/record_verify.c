/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a recording whole, and does it replay?  See record_verify.h. */
#include "clients/trajctl/record_verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/rerun.h"

/* What is known of the intent that the last decoded frame gave when it was decoded once more. */
struct expected {
    bool waits;
    uint64_t frame;
    size_t length; /* of text, without the stamps */
    char *text;
    size_t cap;
    uint64_t effect[TRAJ_RECORDING_EFFECTS];
    size_t effects;
};

struct findings {
    struct traj_recording_header first; /* part's */
    uint64_t parts, bytes;
    uint64_t records[TRAJ_RECORD_KINDS];
    uint64_t lost[3], lost_inputs; /* by enum traj_record_loss */
    uint64_t broken_places, broken_bytes, gaps, missing, torn_bytes;
    bool ended, must_end;
    uint64_t last_part, later_part; /* read last; and one beyond a part that is missing, or 0 */
    uint64_t equal, unequal;        /* intents compared */
    uint64_t unknown;               /* intents that came while the decoder's state is not known */
    uint64_t absent;                /* frames that were decoded and have no intent */
    uint64_t undecoded;             /* frames of which replay makes something else */
    uint64_t first_unequal;         /* frame */
    struct expected expected;
    struct traj_rerun_missing no_model;
};

static uint64_t total(const struct findings *f)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TRAJ_RECORD_KINDS; i++) {
        sum += f->records[i];
    }
    return sum;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Bytes of an intent's JSON before its stamps, its last member. */
static size_t without_stamps(const char *text, size_t length)
{
    static const char mark[] = ",\"stamps\":";
    for (size_t i = length; i-- > 0;) {
        if (length - i >= sizeof mark - 1 && memcmp(text + i, mark, sizeof mark - 1) == 0) {
            return i;
        }
    }
    return length;
}

static int keep_expected(struct findings *f, const struct traj_record *record,
                         const struct traj_rerun_result *result, struct traj_error *error)
{
    struct expected *expected = &f->expected;
    size_t cap = traj_intent_size(result->intent.dim, result->intent.targets);
    f->absent += expected->waits;
    expected->waits = false;
    /* Of the first after a loss nobody knows whether it tells of another model. */
    if (!result->known) {
        return 0;
    }
    if (cap > expected->cap) {
        char *larger = realloc(expected->text, cap);
        if (!larger) {
            return traj_error_set(error, "memory is short");
        }
        expected->text = larger;
        expected->cap = cap;
    }
    expected->length = without_stamps(
        expected->text, traj_intent_write(&result->intent, expected->text, expected->cap));
    expected->frame = record->frame;
    expected->waits = true;
    expected->effects = result->effects;
    memcpy(expected->effect, result->effect, result->effects * sizeof result->effect[0]);
    return 0;
}

static void compare(struct findings *f, const struct traj_record *record, bool known)
{
    uint64_t effect[TRAJ_RECORDING_EFFECTS];
    struct expected *expected = &f->expected;
    const void *body = NULL;
    size_t effects = 0, size = 0;
    if (expected->waits && expected->frame != record->frame) {
        /* The one that was expected is not there; this is another frame's. */
        f->absent++;
        expected->waits = false;
    }
    if (!known && !expected->waits) {
        f->unknown++;
        return;
    }
    bool equal = traj_recorded_intent(record, effect, &effects, &body, &size) && expected->waits &&
                 effects == expected->effects &&
                 memcmp(effect, expected->effect, effects * sizeof effect[0]) == 0;
    if (equal) {
        size_t length = without_stamps(body, size);
        equal = length == expected->length && memcmp(body, expected->text, length) == 0;
    }
    if (!equal && f->unequal == 0) {
        f->first_unequal = record->frame;
    }
    *(equal ? &f->equal : &f->unequal) += 1;
    expected->waits = false;
}

static void count_record(struct findings *f, const struct traj_record *record)
{
    struct traj_recorded_loss loss;
    f->ended = record->kind == TRAJ_RECORD_END;
    if (!record->carried) {
        f->records[record->kind]++;
    }
    if (traj_recorded_loss(record, &loss)) {
        f->records[TRAJ_RECORD_LOST]++;
        f->lost[record->code < 3 ? record->code : TRAJ_RECORD_LOST_CUT] += loss.records;
        f->lost_inputs += loss.inputs;
    }
}

static int look(struct findings *f, struct traj_rerun *rerun,
                const struct traj_recording_item *item, struct traj_error *error)
{
    const struct traj_record *record = &item->record;
    struct traj_rerun_result result;
    if (traj_rerun_take(rerun, item, &result, error) != 0) {
        return -1;
    }
    switch (item->found) {
    case TRAJ_FOUND_PART:
        f->parts++;
        return 0;
    case TRAJ_FOUND_BROKEN:
        f->broken_places++;
        f->broken_bytes += item->count;
        return 0;
    case TRAJ_FOUND_GAP:
        f->gaps++;
        f->missing += item->count;
        return 0;
    case TRAJ_FOUND_TORN:
        f->torn_bytes += item->count;
        return 0;
    case TRAJ_FOUND_NO_PART: /* look_at_all asks for the later ones */
        return 0;
    case TRAJ_FOUND_RECORD:
        break;
    }
    count_record(f, record);
    if (record->kind == TRAJ_RECORD_FRAME && result.known) {
        f->undecoded += result.decoded != (record->code == TRAJ_RECORD_DECODED);
    }
    if (result.decoded) {
        return keep_expected(f, record, &result, error);
    }
    if (record->kind == TRAJ_RECORD_INTENT) {
        compare(f, record, result.known);
    }
    return 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* Intents may be absent as far as records that went out were lost, and one more at the torn end. */
static bool absent_is_told(const struct findings *f)
{
    uint64_t told = f->lost[0] + f->lost[1] + f->lost[2] - f->lost_inputs;
    return f->absent <= told || f->gaps > 0;
}

static bool is_well(const struct findings *f)
{
    return f->broken_places == 0 && f->gaps == 0 && f->later_part == 0 && f->unequal == 0 &&
           f->undecoded == 0 && absent_is_told(f) &&
           (!f->must_end || (f->ended && f->torn_bytes == 0));
}

static void print_end(const struct findings *f)
{
    if (f->later_part > 0) {
        printf("end         part %" PRIu64 " is missing, and there is a part %" PRIu64
               ": what comes after part %" PRIu64 " has not been read\n",
               f->last_part + 1, f->later_part, f->last_part);
        return;
    }
    printf("end         %s",
           f->ended ? "ended in good order\n"
                    : "not ended by the daemon: it still records, or was killed (record recover)");
    if (!f->ended) {
        printf(f->torn_bytes > 0 ? "; %" PRIu64 " bytes of a torn record\n" : "\n", f->torn_bytes);
    }
}

static void print_findings(const struct findings *f, const char *path)
{
    const char *between = "";
    printf("%s: recording %s by trajd %s, model %.12s, %" PRIu64 " %s, %" PRIu64 " bytes\n", path,
           f->first.name, f->first.version, f->first.model, f->parts,
           f->parts == 1 ? "part" : "parts", f->bytes);
    printf("records     %" PRIu64 " (", total(f));
    for (size_t i = TRAJ_RECORD_FRAME; i < TRAJ_RECORD_KINDS; i++) {
        if (f->records[i] > 0) {
            printf("%s%s %" PRIu64, between, traj_record_name((enum traj_record_kind)i),
                   f->records[i]);
            between = ", ";
        }
    }
    printf(")\nlost        %" PRIu64 ": buffer full %" PRIu64 ", disk %" PRIu64
           ", cut away %" PRIu64 "; of these %" PRIu64 " that came in\n",
           f->lost[0] + f->lost[1] + f->lost[2], f->lost[TRAJ_RECORD_LOST_BUFFER],
           f->lost[TRAJ_RECORD_LOST_DISK], f->lost[TRAJ_RECORD_LOST_CUT], f->lost_inputs);
    printf("damage      %" PRIu64 " bytes at %" PRIu64 " places are no record (CRC-32C); %" PRIu64
           " records are missing at %" PRIu64 " places\n",
           f->broken_bytes, f->broken_places, f->missing, f->gaps);
    print_end(f);
    printf("replay      %" PRIu64 " intents equal to the byte, %" PRIu64 " differ, %" PRIu64
           " could not be compared",
           f->equal, f->unequal, f->unknown);
    if (f->absent > 0) {
        printf(", %" PRIu64 " are not recorded", f->absent);
    }
    if (f->undecoded > 0) {
        printf(", %" PRIu64 " frames are dealt with otherwise", f->undecoded);
    }
    printf(f->unequal > 0 ? "; the first at frame %" PRIu64 "\n" : "\n", f->first_unequal);
    if (f->no_model.digest[0] != '\0') {
        printf("            model %.12s (%s) is not at hand: give it with --model\n",
               f->no_model.digest, f->no_model.path);
    }
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static int print_json(const struct findings *f)
{
    json_t *records = json_object();
    for (size_t i = TRAJ_RECORD_FRAME; i < TRAJ_RECORD_KINDS; i++) {
        (void)json_object_set_new(records, traj_record_name((enum traj_record_kind)i),
                                  number(f->records[i]));
    }
    json_t *all = json_pack(
        "{s:b,s:s,s:s,s:o,s:o,s:o,s:o,s:{s:o,s:o,s:o,s:o},s:{s:o,s:o,s:o,s:o},s:b,s:o,"
        "s:{s:o,s:o,s:o,s:o,s:o},s:s?}",
        "well", (int)is_well(f), "name", f->first.name, "model", f->first.model, "parts",
        number(f->parts), "later_part", number(f->later_part), "bytes", number(f->bytes), "records",
        records, "lost", "buffer", number(f->lost[TRAJ_RECORD_LOST_BUFFER]), "disk",
        number(f->lost[TRAJ_RECORD_LOST_DISK]), "cut", number(f->lost[TRAJ_RECORD_LOST_CUT]),
        "inputs", number(f->lost_inputs), "damage", "broken_bytes", number(f->broken_bytes),
        "broken_places", number(f->broken_places), "missing", number(f->missing), "gaps",
        number(f->gaps), "ended", (int)f->ended, "torn_bytes", number(f->torn_bytes), "replay",
        "equal", number(f->equal), "differ", number(f->unequal), "unknown", number(f->unknown),
        "absent", number(f->absent), "otherwise", number(f->undecoded), "model_missing",
        f->no_model.digest[0] != '\0' ? f->no_model.digest : NULL);
    int rc = all ? json_dumpf(all, stdout, JSON_INDENT(1)) : -1;
    putchar('\n');
    json_decref(all);
    return rc;
}

static int look_at_all(struct findings *f, struct traj_recording *recording,
                       struct traj_rerun *rerun, struct traj_error *error)
{
    struct traj_recording_item item;
    uint64_t all;
    int more;
    f->first = *traj_recording_header(recording);
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        if (look(f, rerun, &item, error) != 0) {
            return -1;
        }
    }
    f->last_part = traj_recording_header(recording)->part;
    f->later_part = more == 0 ? traj_recording_later_part(recording) : 0;
    /* The daemon was killed between a frame and its intent. */
    f->absent += f->expected.waits && f->ended;
    f->no_model = *traj_rerun_missing(rerun);
    traj_recording_progress(recording, &f->bytes, &all);
    return more;
}

int record_verify(const struct record_verify *verify, struct traj_error *error)
{
    struct traj_rerun_options options = {
        .models = verify->models, .count = verify->count, .follow = true};
    struct findings *f = calloc(1, sizeof *f);
    struct traj_recording *recording = f ? traj_recording_open(verify->path, error) : NULL;
    struct traj_rerun *rerun = recording ? traj_rerun_open(&options, error) : NULL;
    int result = -1;
    if (!f) {
        traj_error_set(error, "memory is short");
    }
    if (rerun && look_at_all(f, recording, rerun, error) == 0) {
        f->must_end = verify->ended;
        if (verify->json) {
            (void)print_json(f);
        } else {
            print_findings(f, verify->path);
        }
        result = is_well(f) ? 0 : 1;
    }
    traj_rerun_close(rerun);
    traj_recording_close(recording);
    if (f) {
        free(f->expected.text);
    }
    free(f);
    return result;
}
