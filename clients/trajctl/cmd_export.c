/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl export: a session and what was decoded from it, for other programs. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "clients/files/csv_write.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/intent_table.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/output.h"

#define UNKNOWN_START "1970-01-01T00:00:00+00:00"

static const struct command_help help = {
    .name = "export",
    .usage = "nwb | csv --out PATH [options]",
    .about =
        "Writes a session, decoded intents or both for other programs. nwb: one file of "
        "Neurodata Without Borders 2, from which convert nwb makes the same session; intents stand "
        "in a processing module of their own, or are added to a copy of the NWB file that the "
        "session came from (--source). csv: a folder of tables, those that convert csv reads, and "
        "intents.csv with the recorded movement beside the decoded. The page "
        "clients/man/export.md shows the layout.",
    .example = "trajctl export nwb --session b.h5 --intents i.jsonl --out b.nwb\n"
               "trajctl export nwb --source sub-M1.nwb --intents i.jsonl --out decoded.nwb\n"
               "trajctl export csv --session b.h5 --intents i.jsonl --out tables\n",
    .operands = 1,
};

struct order {
    const char *out, *session, *intents, *source, *module, *start, *length_unit;
};

/* What is to be exported; either may be absent. */
struct content {
    struct traj_session *session;
    struct intent_table intents;
    bool decoded;
};

static int read_content(const struct order *order, struct content *content,
                        struct traj_error *error)
{
    if (order->session) {
        content->session = traj_session_read(order->session, error);
        if (!content->session) {
            return -1;
        }
    }
    if (order->intents) {
        if (intent_table_read(order->intents, &content->intents, error) != 0) {
            return -1;
        }
        content->decoded = true;
        content->intents.decoded.length_unit =
            content->session ? content->session->length_unit : order->length_unit;
    }
    return 0;
}

/* --- NWB -------------------------------------------------------------------------------------- */

/* The time of day, or that of SOURCE_DATE_EPOCH, by which builds are made reproducible. */
static void now(char *text, size_t size)
{
    uint64_t epoch = 0;
    const char *given = getenv("SOURCE_DATE_EPOCH");
    time_t t = given && number_u64(given, &epoch) ? (time_t)epoch : time(NULL);
    struct tm utc;
    gmtime_r(&t, &utc);
    strftime(text, size, "%Y-%m-%dT%H:%M:%S+00:00", &utc);
}

static int export_nwb(const struct order *order, const struct content *content,
                      struct traj_error *error)
{
    char created[40];
    now(created, sizeof created);
    const struct traj_nwb_export export = {
        .session = content->session,
        .decoded = content->decoded ? &content->intents.decoded : NULL,
        .source = order->source,
        .module = order->module,
        .session_start = order->start ? order->start : UNKNOWN_START,
        .created = created,
    };
    if (!order->source && !order->start) {
        fputs("export: --start-time is not given: the file says " UNKNOWN_START "\n", stderr);
    }
    return traj_nwb_write(&export, order->out, error);
}

/* --- CSV -------------------------------------------------------------------------------------- */

static int close_table(struct output *output, const char *path, struct traj_error *error)
{
    if (ferror(output->file)) {
        output_abandon(output);
        return traj_error_set(error, "%s cannot be written", path);
    }
    return output_commit(output, error);
}

static int export_part(const struct order *order, const struct traj_session *session,
                       enum traj_csv_part part, struct traj_error *error)
{
    char path[4096];
    struct output output;
    snprintf(path, sizeof path, "%s/%s.csv", order->out, traj_csv_part_name[part]);
    if (output_open(&output, path, error) != 0) {
        return -1;
    }
    traj_csv_write(output.file, session, part);
    return close_table(&output, path, error);
}

/* Names of the columns of one array: x, y; sd_x, sd_y. */
static void name_axes(FILE *out, const char *prefix, bool velocity, size_t dim)
{
    for (size_t i = 0; i < dim; i++) {
        traj_csv_axis(out, prefix, velocity, i, dim);
    }
}

static void write_intent_header(FILE *out, const struct traj_nwb_decoded *d, bool recorded)
{
    fputs("t,valid", out);
    name_axes(out, ",", false, d->position ? d->dim : 0);
    name_axes(out, ",", true, d->velocity ? d->dim : 0);
    name_axes(out, ",sd_", false, d->position_cov ? d->dim : 0);
    name_axes(out, ",sd_", true, d->velocity_cov ? d->dim : 0);
    for (size_t m = 0; d->target_prob && m < d->targets; m++) {
        char name[80];
        snprintf(name, sizeof name, "target_%s", d->target_id[m]);
        putc(',', out);
        traj_csv_text(out, name);
    }
    fputs(d->free_prob ? ",free" : "", out);
    for (size_t k = 0; d->state_prob && k < d->states; k++) {
        fprintf(out, ",state_%s", d->state_name[k]);
    }
    name_axes(out, ",recorded_", false, recorded ? d->dim : 0);
    name_axes(out, ",recorded_", true, recorded ? d->dim : 0);
    putc('\n', out);
}

/* count numbers, stride apart, or nothing where there is no array. */
static void write_numbers(FILE *out, const double *value, size_t row, size_t count)
{
    for (size_t i = 0; value && i < count; i++) {
        putc(',', out);
        traj_csv_number(out, value[row * count + i]);
    }
}

static void write_deviations(FILE *out, const double *covariance, size_t row, size_t dim)
{
    for (size_t i = 0; covariance && i < dim; i++) {
        putc(',', out);
        traj_csv_number(out, sqrt(covariance[row * dim * dim + i * dim + i]));
    }
}

static void write_recorded(FILE *out, const struct traj_session *session, double t)
{
    double movement[2 * TRAJ_DIM_MAX];
    for (size_t i = 0; i < 2 * session->dim; i++) {
        movement[i] = (double)NAN;
    }
    traj_session_kinematics(session, t, 0.05, movement, movement + session->dim);
    write_numbers(out, movement, 0, 2 * session->dim);
}

static void write_intents(FILE *out, const struct traj_nwb_decoded *d,
                          const struct traj_session *session)
{
    bool recorded = session && session->samples > 0 && session->dim == d->dim;
    write_intent_header(out, d, recorded);
    for (size_t i = 0; i < d->rows; i++) {
        traj_csv_number(out, d->t[i]);
        fprintf(out, ",%d", d->valid[i]);
        write_numbers(out, d->position, i, d->dim);
        write_numbers(out, d->velocity, i, d->dim);
        write_deviations(out, d->position_cov, i, d->dim);
        write_deviations(out, d->velocity_cov, i, d->dim);
        write_numbers(out, d->target_prob, i, d->targets);
        write_numbers(out, d->free_prob, i, 1);
        write_numbers(out, d->state_prob, i, d->states);
        if (recorded) {
            write_recorded(out, session, d->t[i]);
        }
        putc('\n', out);
    }
}

static int export_intents(const struct order *order, const struct content *content,
                          struct traj_error *error)
{
    char path[4096];
    struct output output;
    snprintf(path, sizeof path, "%s/intents.csv", order->out);
    if (output_open(&output, path, error) != 0) {
        return -1;
    }
    write_intents(output.file, &content->intents.decoded, content->session);
    return close_table(&output, path, error);
}

static int export_csv(const struct order *order, const struct content *content,
                      struct traj_error *error)
{
    struct stat about;
    int reason = mkdir(order->out, 0777) == 0 ? 0 : errno;
    if (reason && !(stat(order->out, &about) == 0 && S_ISDIR(about.st_mode))) {
        return traj_error_set(error, "%s: is no folder, and cannot be made one: %s", order->out,
                              strerror(reason));
    }
    for (int part = 0; content->session && part < TRAJ_CSV_PARTS; part++) {
        if (traj_csv_has(content->session, (enum traj_csv_part)part) &&
            export_part(order, content->session, (enum traj_csv_part)part, error) != 0) {
            return -1;
        }
    }
    return content->decoded ? export_intents(order, content, error) : 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static bool is_format(const char *word)
{
    return strcmp(word, "nwb") == 0 || strcmp(word, "csv") == 0;
}

static int check(const char *format, const struct order *order)
{
    bool nwb = strcmp(format, "nwb") == 0;
    if (!is_format(format)) {
        return usage_error("export", "\"%s\" is not nwb or csv", format);
    }
    if (!order->session && !order->intents) {
        return usage_error("export", "name --session, --intents or both");
    }
    if (!nwb && (order->source || order->start)) {
        return usage_error("export", "--source and --start-time are for nwb");
    }
    if (order->source && (!order->intents || order->session || order->start)) {
        return usage_error("export", "--source takes --intents alone: it holds the session and its "
                                     "start time");
    }
    return OPTIONS_RUN;
}

/* What was written; of a file that was copied nobody has counted anything. */
static void tell(const struct order *order, const struct content *content)
{
    const struct traj_session *session = content->session;
    printf("%s: ", order->out);
    if (session) {
        printf("%zu bins, %zu kinematic samples, %zu trials, ", session->bins, session->samples,
               session->trials);
    } else if (order->source) {
        printf("all that %s holds, ", order->source);
    }
    printf("%zu intents\n", content->decoded ? content->intents.decoded.rows : 0);
}

static int run(const char *format, const struct order *order)
{
    struct traj_error error = {0};
    struct content content = {0};
    int result = read_content(order, &content, &error);
    if (result == 0) {
        result = strcmp(format, "nwb") == 0 ? export_nwb(order, &content, &error)
                                            : export_csv(order, &content, &error);
    }
    if (result == 0) {
        tell(order, &content);
    }
    traj_session_free(content.session);
    intent_table_free(&content.intents);
    return result ? failure("export", "%s", error.text) : 0;
}

int cmd_export(int argc, char **argv)
{
    struct order order = {.module = "trajd", .length_unit = ""};
    const struct command_option options[] = {
        {"out", "PATH", OPTION_TEXT, &order.out, "NWB file to write; csv: folder for the tables",
         .required = true, .file = FILE_WRITTEN},
        {"session", "S.h5", OPTION_TEXT, &order.session, "session file", .file = FILE_READ},
        {"intents", "I.jsonl", OPTION_TEXT, &order.intents, "decoded intents, one a line",
         .file = FILE_READ},
        {"source", "F.nwb", OPTION_TEXT, &order.source,
         "nwb: copy this file and add the intents to the copy", .file = FILE_READ},
        {"module", "NAME", OPTION_TEXT, &order.module,
         "nwb: processing module that takes the intents"},
        {"start-time", "TIME", OPTION_TEXT, &order.start,
         "nwb: when the session's clock was 0, as 2024-05-31T14:00:00+02:00"},
        {"length-unit", "UNIT", OPTION_TEXT, &order.length_unit,
         "unit of positions, where no session says it"},
    };
    if (argc > 1 && argv[1][0] != '-' && !is_format(argv[1])) {
        return usage_error("export", "no format is called \"%s\": nwb or csv", argv[1]);
    }
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    const char *format = optind < argc ? argv[optind] : "";
    status = check(format, &order);
    return status == OPTIONS_RUN ? run(format, &order) : status;
}
