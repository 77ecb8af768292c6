/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's configuration; see config.h. */
#include "daemon/io/config.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/source/rig.h"

/* Where sentences come from: the file's name, and where the first goes. */
struct reading {
    struct traj_config *config;
    const char *name;
    struct traj_error *error;
};

static int refuse(const struct reading *reading, const char *field, const char *reason)
{
    return traj_error_set(reading->error, "%s: field \"%s\" %s", reading->name, field, reason);
}

void traj_config_default(struct traj_config *config)
{
    memset(config, 0, sizeof *config);
    (void)strcpy(config->frames, "@tcp://127.0.0.1:5601");
    (void)strcpy(config->intents, "@tcp://127.0.0.1:5602");
    (void)strcpy(config->control, "@tcp://127.0.0.1:5603");
    config->stale_ms = 500;
    config->status_ms = 1000;
    traj_pipeline_settings_default(&config->pipeline);
    traj_recalibrate_options_default(&config->recalibration);
    config->receive_hwm = 1000000;
    config->send_hwm = 20000;
    config->message_max = 1 << 20;
    config->request_rate = 1000;
    config->record.start = true;
    config->record.rotate_mb = 256;
    config->record.buffer_mb = 16;
    config->record.sync_s = 1.0;
    config->log_level = TRAJ_LOG_INFO;
    config->cpu = -1;
    config->io_cpu = -1;
    config->wake_us = -1;
}

/* --- one kind of value each ------------------------------------------------------------------ */

static int read_integer(const struct reading *reading, const char *field, const json_t *value,
                        json_int_t low, json_int_t high, int *out)
{
    json_int_t number;

    if (!json_is_integer(value)) {
        return refuse(reading, field, "must be a whole number");
    }
    number = json_integer_value(value);
    if (number < low || number > high) {
        return traj_error_set(reading->error,
                              "%s: field \"%s\" must lie between %" JSON_INTEGER_FORMAT
                              " and %" JSON_INTEGER_FORMAT,
                              reading->name, field, low, high);
    }
    *out = (int)number;
    return 0;
}

static int read_real(const struct reading *reading, const char *field, const json_t *value,
                     double low, double high, double *out)
{
    if (!json_is_number(value)) {
        return refuse(reading, field, "must be a number");
    }
    if (!(json_number_value(value) >= low && json_number_value(value) <= high)) {
        return traj_error_set(reading->error, "%s: field \"%s\" must lie between %g and %g",
                              reading->name, field, low, high);
    }
    *out = json_number_value(value);
    return 0;
}

static int read_text(const struct reading *reading, const char *field, const json_t *value,
                     char *out, size_t cap)
{
    if (!json_is_string(value)) {
        return refuse(reading, field, "must be a string");
    }
    if (json_string_length(value) >= cap) {
        return refuse(reading, field, "is too long");
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return 0;
}

static int read_endpoint(const struct reading *reading, const char *field, const json_t *value,
                         char *out)
{
    struct traj_endpoint endpoint;
    struct traj_error reason = {{0}};

    if (read_text(reading, field, value, out, TRAJ_ENDPOINT_SIZE) != 0) {
        return -1;
    }
    if (traj_endpoint_parse(field, out, &endpoint, &reason) != 0) {
        return traj_error_set(reading->error, "%s: %s", reading->name, reason.text);
    }
    return 0;
}

/* --- one function a key ---------------------------------------------------------------------- */

static int read_model(const struct reading *reading, const json_t *value)
{
    struct traj_config *config = reading->config;

    if (json_is_null(value)) {
        config->model[0] = '\0';
        return 0;
    }
    return read_text(reading, "model", value, config->model, sizeof config->model);
}

static int read_shadow(const struct reading *reading, const json_t *value)
{
    char *shadow = reading->config->shadow;

    shadow[0] = '\0';
    return json_is_null(value) ? 0 : read_text(reading, "shadow", value, shadow, TRAJ_PATH_SIZE);
}

static int read_method(const struct reading *reading, const json_t *value,
                       struct traj_recalibrate_options *options)
{
    const char *text = json_string_value(value);
    enum traj_recalibrate_method method =
        text != NULL ? traj_recalibrate_named(text) : TRAJ_RECALIBRATE_METHODS;

    if (method == TRAJ_RECALIBRATE_METHODS) {
        return refuse(reading, "recalibrate.method",
                      "must be \"rml\", \"smoothbatch\" or \"baseline\"");
    }
    options->method = method;
    return 0;
}

/* The members of "recalibrate", laid over *options. */
static int read_recalibration(const struct reading *reading, json_t *value,
                              struct traj_recalibrate_options *options)
{
    const char *key;
    json_t *member;
    int rc = 0;

    json_object_foreach (value, key, member) {
        if (strcmp(key, "method") == 0) {
            rc = read_method(reading, member, options);
        } else if (strcmp(key, "interval_s") == 0) {
            rc = read_real(reading, "recalibrate.interval_s", member, 1.0, 3600.0,
                           &options->interval_s);
        } else if (strcmp(key, "half_life_s") == 0) {
            rc = read_real(reading, "recalibrate.half_life_s", member, 1.0, 86400.0,
                           &options->half_life_s);
        } else if (strcmp(key, "labels") == 0 && json_is_boolean(member)) {
            options->labels = json_is_true(member);
        } else if (strcmp(key, "labels") == 0) {
            rc = refuse(reading, "recalibrate.labels", "must be true or false");
        } else {
            rc = traj_error_set(reading->error, "%s: field \"recalibrate.%s\" is not a setting",
                                reading->name, key);
        }
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_recalibrate(const struct reading *reading, const json_t *value)
{
    struct traj_config *config = reading->config;

    config->recalibrate = false;
    traj_recalibrate_options_default(&config->recalibration);
    if (json_is_null(value)) {
        return 0;
    }
    if (!json_is_object(value)) {
        return refuse(reading, "recalibrate", "must be null or an object");
    }
    config->recalibrate = true;
    /* json_object_foreach is not const-correct. */
    return read_recalibration(reading, (json_t *)value, &config->recalibration);
}

int traj_config_recalibration(struct traj_recalibrate_options *options, const char *text,
                              const char *name, struct traj_error *error)
{
    struct reading reading = {NULL, name, error};
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(value)
                 ? read_recalibration(&reading, value, options)
                 : traj_error_set(error, "%s: the options must be an object", name);

    json_decref(value);
    return rc;
}

static int read_source(const struct reading *reading, const json_t *value)
{
    struct traj_error reason = {{0}};
    char *source = reading->config->source;

    source[0] = '\0';
    if (json_is_null(value)) {
        return 0;
    }
    if (read_text(reading, "source", value, source, TRAJ_URL_SIZE) != 0) {
        return -1;
    }
    return traj_rig_check(source, NULL, &reason) == 0
               ? 0
               : traj_error_set(reading->error, "%s: %s", reading->name, reason.text);
}

static int read_lsl_outlet(const struct reading *reading, const json_t *value)
{
    char *name = reading->config->lsl_outlet;

    name[0] = '\0';
    return json_is_null(value) ? 0
                               : read_text(reading, "lsl_outlet", value, name, TRAJ_OUTLET_NAME);
}

static int read_frames(const struct reading *reading, const json_t *value)
{
    return read_endpoint(reading, "frames", value, reading->config->frames);
}

static int read_intents(const struct reading *reading, const json_t *value)
{
    return read_endpoint(reading, "intents", value, reading->config->intents);
}

static int read_control(const struct reading *reading, const json_t *value)
{
    return read_endpoint(reading, "control", value, reading->config->control);
}

static int read_publish(const struct reading *reading, const json_t *value)
{
    const char *text = json_string_value(value);

    if (text != NULL && strcmp(text, "all") == 0) {
        reading->config->newest = false;
    } else if (text != NULL && strcmp(text, "newest") == 0) {
        reading->config->newest = true;
    } else {
        return refuse(reading, "publish", "must be \"all\" or \"newest\"");
    }
    return 0;
}

static int read_stale(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "stale_ms", value, 0, 3600000, &reading->config->stale_ms);
}

static int read_status(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "status_ms", value, 0, 3600000, &reading->config->status_ms);
}

static int read_gap(const struct reading *reading, const json_t *value)
{
    return read_real(reading, "gap_reset_s", value, 0.0, 60.0,
                     &reading->config->pipeline.gap_reset_s);
}

static int read_count_max(const struct reading *reading, const json_t *value)
{
    int number = 0;

    if (read_integer(reading, "count_max", value, 1, TRAJ_COUNT_MISSING - 1, &number) != 0) {
        return -1;
    }
    reading->config->pipeline.count_max = (uint16_t)number;
    return 0;
}

static int read_speed_limit(const struct reading *reading, const json_t *value)
{
    return read_real(reading, "speed_limit", value, 0.0, 1e12,
                     &reading->config->pipeline.speed_limit);
}

/* Reads one corner of the workspace into out; its length must be that of the other corner. */
static int read_corner(const struct reading *reading, const char *field, const json_t *value,
                       double *out, size_t *count)
{
    if (!json_is_array(value) || json_array_size(value) == 0 ||
        json_array_size(value) > TRAJ_DIM_MAX) {
        return refuse(reading, field, "must be an array of 1 to 16 numbers");
    }
    for (size_t d = 0; d < json_array_size(value); d++) {
        if (read_real(reading, field, json_array_get(value, d), -1e12, 1e12, &out[d]) != 0) {
            return -1;
        }
    }
    *count = json_array_size(value);
    return 0;
}

static int read_workspace(const struct reading *reading, const json_t *value)
{
    struct traj_pipeline_settings *settings = &reading->config->pipeline;
    size_t low = 0;
    size_t high = 0;

    settings->workspace = false;
    reading->config->workspace_dims = 0;
    if (json_is_null(value)) {
        return 0;
    }
    if (!json_is_object(value) || json_object_size(value) != 2 ||
        json_object_get(value, "low") == NULL || json_object_get(value, "high") == NULL) {
        return refuse(reading, "workspace", "must be null or an object of \"low\" and \"high\"");
    }
    if (read_corner(reading, "workspace.low", json_object_get(value, "low"), settings->low, &low) ||
        read_corner(reading, "workspace.high", json_object_get(value, "high"), settings->high,
                    &high)) {
        return -1;
    }
    if (low != high) {
        return refuse(reading, "workspace.high", "must have as many numbers as workspace.low");
    }
    for (size_t d = 0; d < low; d++) {
        if (!(settings->low[d] < settings->high[d])) {
            return refuse(reading, "workspace.high", "must lie above workspace.low");
        }
    }
    settings->workspace = true;
    reading->config->workspace_dims = low;
    return 0;
}

static int read_paused(const struct reading *reading, const json_t *value)
{
    if (!json_is_boolean(value)) {
        return refuse(reading, "paused", "must be true or false");
    }
    reading->config->paused = json_is_true(value);
    return 0;
}

static int read_receive_hwm(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "receive_hwm", value, 0, 100000000, &reading->config->receive_hwm);
}

static int read_send_hwm(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "send_hwm", value, 1, 100000000, &reading->config->send_hwm);
}

static int read_message_max(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "message_max", value, 1024, 1 << 30,
                        &reading->config->message_max);
}

static int read_request_rate(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "request_rate", value, 0, 1000000, &reading->config->request_rate);
}

/* A path that names something. */
static int read_path(const struct reading *reading, const char *field, const json_t *value,
                     char *out)
{
    if (json_is_string(value) && json_string_length(value) == 0) {
        return refuse(reading, field, "must not be empty");
    }
    return read_text(reading, field, value, out, TRAJ_PATH_SIZE);
}

static int read_servers(const struct reading *reading, json_t *value)
{
    const char *key;
    json_t *member;

    if (!json_is_object(value)) {
        return refuse(reading, "curve.servers", "must be an object");
    }
    json_object_foreach (value, key, member) {
        enum traj_socket socket = traj_socket_named(key, strlen(key));

        if (socket == TRAJ_SOCKETS) {
            return refuse(reading, "curve.servers", "has keys frames, intents and control alone");
        }
        if (read_path(reading, "curve.servers", member, reading->config->curve.server[socket])) {
            return -1;
        }
    }
    return 0;
}

static int read_curve(const struct reading *reading, const json_t *value)
{
    struct traj_curve_config *curve = &reading->config->curve;
    json_t *whole = (json_t *)value; /* json_object_foreach is not const-correct */
    const char *key;
    json_t *member;
    int rc = 0;

    memset(curve, 0, sizeof *curve);
    if (json_is_null(value)) {
        return 0;
    }
    if (!json_is_object(value) || json_object_get(value, "secret_key") == NULL ||
        json_object_get(value, "clients") == NULL) {
        return refuse(reading, "curve",
                      "must be null or an object with \"secret_key\" and \"clients\"");
    }
    json_object_foreach (whole, key, member) {
        if (strcmp(key, "secret_key") == 0) {
            rc = read_path(reading, "curve.secret_key", member, curve->secret_key);
        } else if (strcmp(key, "clients") == 0) {
            rc = read_path(reading, "curve.clients", member, curve->clients);
        } else if (strcmp(key, "servers") == 0) {
            rc = read_servers(reading, member);
        } else {
            rc = traj_error_set(reading->error, "%s: field \"curve.%s\" is not a setting",
                                reading->name, key);
        }
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

/* The directory is kept apart from traj_config_read's paths: it is a folder, and must be named. */
static int read_record_field(const struct reading *reading, const char *key, const json_t *value)
{
    struct traj_record_config *record = &reading->config->record;

    if (strcmp(key, "directory") == 0) {
        if (json_string_length(value) == 0 && json_is_string(value)) {
            return refuse(reading, "record.directory", "must not be empty");
        }
        return read_text(reading, "record.directory", value, record->directory,
                         sizeof record->directory);
    }
    if (strcmp(key, "start") == 0) {
        if (!json_is_boolean(value)) {
            return refuse(reading, "record.start", "must be true or false");
        }
        record->start = json_is_true(value);
        return 0;
    }
    if (strcmp(key, "rotate_mb") == 0) {
        return read_integer(reading, "record.rotate_mb", value, 0, 1 << 20, &record->rotate_mb);
    }
    if (strcmp(key, "buffer_mb") == 0) {
        return read_integer(reading, "record.buffer_mb", value, 1, 4096, &record->buffer_mb);
    }
    if (strcmp(key, "sync_s") == 0) {
        return read_real(reading, "record.sync_s", value, 0.0, 3600.0, &record->sync_s);
    }
    return traj_error_set(reading->error, "%s: field \"record.%s\" is not a setting", reading->name,
                          key);
}

static int read_record(const struct reading *reading, const json_t *value)
{
    json_t *whole = (json_t *)value; /* json_object_foreach is not const-correct */
    const char *key;
    json_t *member;

    reading->config->record.directory[0] = '\0';
    if (json_is_null(value)) {
        return 0;
    }
    if (!json_is_object(value) || json_object_get(value, "directory") == NULL) {
        return refuse(reading, "record", "must be null or an object with \"directory\"");
    }
    json_object_foreach (whole, key, member) {
        if (read_record_field(reading, key, member) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_log_level(const struct reading *reading, const json_t *value)
{
    const char *text = json_string_value(value);

    for (int level = 0; text != NULL && level < TRAJ_LOG_LEVELS; level++) {
        if (strcmp(text, traj_log_level_name((enum traj_log_level)level)) == 0) {
            reading->config->log_level = (enum traj_log_level)level;
            return 0;
        }
    }
    return refuse(reading, "log_level", "must be \"error\", \"warning\", \"info\" or \"debug\"");
}

const char *traj_receive_name(enum traj_receive receive)
{
    static const char *const name[TRAJ_RECEIVES] = {"auto", "block", "expect", "spin"};

    return name[receive];
}

static int read_receive(const struct reading *reading, const json_t *value)
{
    const char *text = json_string_value(value);

    for (int receive = 0; text != NULL && receive < TRAJ_RECEIVES; receive++) {
        if (strcmp(text, traj_receive_name((enum traj_receive)receive)) == 0) {
            reading->config->receive = (enum traj_receive)receive;
            return 0;
        }
    }
    return refuse(reading, "receive", "must be \"auto\", \"block\", \"expect\" or \"spin\"");
}

static int read_priority(const struct reading *reading, const json_t *value)
{
    return read_integer(reading, "priority", value, 0, 99, &reading->config->priority);
}

/* The number of a processor, or null for any. */
static int read_processor(const struct reading *reading, const char *field, const json_t *value,
                          int *out)
{
    if (json_is_null(value)) {
        *out = -1;
        return 0;
    }
    return read_integer(reading, field, value, 0, 1023, out);
}

static int read_cpu(const struct reading *reading, const json_t *value)
{
    return read_processor(reading, "cpu", value, &reading->config->cpu);
}

static int read_io_cpu(const struct reading *reading, const json_t *value)
{
    return read_processor(reading, "io_cpu", value, &reading->config->io_cpu);
}

static int read_lock_memory(const struct reading *reading, const json_t *value)
{
    if (!json_is_boolean(value)) {
        return refuse(reading, "lock_memory", "must be true or false");
    }
    reading->config->lock_memory = json_is_true(value);
    return 0;
}

static int read_wake(const struct reading *reading, const json_t *value)
{
    if (json_is_null(value)) {
        reading->config->wake_us = -1;
        return 0;
    }
    return read_integer(reading, "wake_us", value, 0, 10000, &reading->config->wake_us);
}

static const struct {
    const char *key;
    int (*read)(const struct reading *reading, const json_t *value);
} fields[] = {
    {"model", read_model},
    {"frames", read_frames},
    {"intents", read_intents},
    {"control", read_control},
    {"publish", read_publish},
    {"stale_ms", read_stale},
    {"status_ms", read_status},
    {"gap_reset_s", read_gap},
    {"count_max", read_count_max},
    {"speed_limit", read_speed_limit},
    {"workspace", read_workspace},
    {"paused", read_paused},
    {"receive_hwm", read_receive_hwm},
    {"send_hwm", read_send_hwm},
    {"message_max", read_message_max},
    {"log_level", read_log_level},
    {"receive", read_receive},
    {"priority", read_priority},
    {"cpu", read_cpu},
    {"io_cpu", read_io_cpu},
    {"lock_memory", read_lock_memory},
    {"wake_us", read_wake},
    {"record", read_record},
    {"curve", read_curve},
    {"request_rate", read_request_rate},
    {"source", read_source},
    {"lsl_outlet", read_lsl_outlet},
    {"shadow", read_shadow},
    {"recalibrate", read_recalibrate},
};

static int read_field(const struct reading *reading, const char *key, const json_t *value)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(key, fields[i].key) == 0) {
            return fields[i].read(reading, value);
        }
    }
    return refuse(reading, key, "is not a setting");
}

/* --- whole configurations -------------------------------------------------------------------- */

/* Lays a parsed document over the configuration and gives it back to jansson. */
static int read_document(const struct reading *reading, json_t *document,
                         const json_error_t *reason)
{
    const char *key;
    json_t *value;

    if (document == NULL) {
        if (reason->line < 1) {
            return traj_error_set(reading->error, "%s: %s", reading->name, reason->text);
        }
        return traj_error_set(reading->error, "%s:%d: %s", reading->name, reason->line,
                              reason->text);
    }
    if (!json_is_object(document)) {
        json_decref(document);
        return traj_error_set(reading->error, "%s: the configuration must be a JSON object",
                              reading->name);
    }
    json_object_foreach (document, key, value) {
        if (read_field(reading, key, value) != 0) {
            json_decref(document);
            return -1;
        }
    }
    json_decref(document);
    return 0;
}

int traj_config_read(struct traj_config *config, const char *path, struct traj_error *error)
{
    struct reading reading = {config, path, error};
    json_error_t reason;

    return read_document(&reading, json_load_file(path, JSON_REJECT_DUPLICATES, &reason), &reason);
}

int traj_config_parse(struct traj_config *config, const char *text, size_t size, const char *name,
                      struct traj_error *error)
{
    struct reading reading = {config, name, error};
    json_error_t reason;

    return read_document(&reading, json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason),
                         &reason);
}

int traj_config_override(struct traj_config *config, const char *key, const char *value,
                         struct traj_error *error)
{
    struct reading reading = {config, "command line", error};
    json_t *text = json_string(value);
    int rc;

    if (text == NULL) {
        return refuse(&reading, key, "is not valid UTF-8");
    }
    rc = read_field(&reading, key, text);
    json_decref(text);
    return rc;
}

int traj_config_fits(const struct traj_config *config, const char *model, size_t dim,
                     struct traj_error *error)
{
    const char *field;

    if (config->pipeline.workspace && config->workspace_dims != dim) {
        return traj_error_set(error,
                              "configuration: field \"workspace\" has %zu dimensions, and the "
                              "model %s has %zu",
                              config->workspace_dims, model, dim);
    }
    field = traj_pipeline_settings_check(&config->pipeline, dim);
    if (field != NULL) {
        return traj_error_set(error, "configuration: field \"%s\" is out of range", field);
    }
    return 0;
}

/* Whoever reaches a socket can steer the daemon: other machines only with keys. */
static int check_reach(const struct traj_config *config, struct traj_error *error)
{
    const char *const text[TRAJ_SOCKETS] = {config->frames, config->intents, config->control};

    for (int i = 0; i < TRAJ_SOCKETS; i++) {
        const char *field = traj_socket_name((enum traj_socket)i);
        struct traj_endpoint endpoint;

        if (traj_endpoint_parse(field, text[i], &endpoint, error) != 0) {
            return -1;
        }
        if (!endpoint.beyond) {
            continue;
        }
        if (config->curve.secret_key[0] == '\0') {
            return traj_error_set(
                error,
                "%s: \"%s\" reaches beyond this machine, which is refused without keys; use "
                "127.0.0.1, [::1], localhost or ipc://, or configure \"curve\"",
                field, text[i]);
        }
        if (endpoint.connect && config->curve.server[i][0] == '\0') {
            return traj_error_set(
                error, "%s: to connect to \"%s\" the daemon needs its key in \"curve.servers\"",
                field, text[i]);
        }
    }
    return 0;
}

/* Whether an address is another one for everyone who binds it: the system chooses. */
static bool is_any(const struct traj_endpoint *endpoint)
{
    const char *end = strrchr(endpoint->address, ':');

    return endpoint->tcp ? strcmp(end, ":0") == 0 || strcmp(end, ":*") == 0
                         : strcmp(endpoint->address, "ipc://*") == 0;
}

/* The second bind to an address would fail, and take the first for another program. */
static int check_apart(const struct traj_config *config, struct traj_error *error)
{
    const char *const text[TRAJ_SOCKETS] = {config->frames, config->intents, config->control};
    struct traj_endpoint endpoint[TRAJ_SOCKETS];

    for (int i = 0; i < TRAJ_SOCKETS; i++) {
        const char *field = traj_socket_name((enum traj_socket)i);

        if (traj_endpoint_parse(field, text[i], &endpoint[i], error) != 0) {
            return -1;
        }
        for (int k = 0; k < i && !endpoint[i].connect && !is_any(&endpoint[i]); k++) {
            if (!endpoint[k].connect && strcmp(endpoint[k].address, endpoint[i].address) == 0) {
                return traj_error_set(error, "%s: \"%s\" is the endpoint of \"%s\" already", field,
                                      text[i], traj_socket_name((enum traj_socket)k));
            }
        }
    }
    return 0;
}

int traj_config_agrees(const struct traj_config *config, struct traj_error *error)
{
    if (config->receive == TRAJ_RECEIVE_SPIN && config->priority > 0 &&
        (config->cpu < 0 || config->io_cpu < 0 || config->cpu == config->io_cpu)) {
        return traj_error_set(error,
                              "configuration: \"receive\" \"spin\" with a \"priority\" needs "
                              "\"cpu\" and \"io_cpu\", two different processors");
    }
    return check_reach(config, error) != 0 || check_apart(config, error) != 0 ? -1 : 0;
}

/* Where -1 stands for null. */
static json_t *number_or_null(int number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static json_t *corner_json(const double *corner, size_t count)
{
    json_t *array = json_array();

    for (size_t d = 0; d < count; d++) {
        (void)json_array_append_new(array, json_real(corner[d]));
    }
    return array;
}

/* What config.h shows under "record". */
static json_t *record_json(const struct traj_record_config *record)
{
    if (record->directory[0] == '\0') {
        return json_null();
    }
    return json_pack("{s:s, s:b, s:i, s:i, s:f}", "directory", record->directory, "start",
                     (int)record->start, "rotate_mb", record->rotate_mb, "buffer_mb",
                     record->buffer_mb, "sync_s", record->sync_s);
}

static json_t *curve_json(const struct traj_curve_config *curve)
{
    json_t *servers = json_object();

    if (curve->secret_key[0] == '\0') {
        json_decref(servers);
        return json_null();
    }
    for (int i = 0; i < TRAJ_SOCKETS; i++) {
        if (curve->server[i][0] != '\0') {
            (void)json_object_set_new(servers, traj_socket_name((enum traj_socket)i),
                                      json_string(curve->server[i]));
        }
    }
    return json_pack("{s:s, s:s, s:o}", "secret_key", curve->secret_key, "clients", curve->clients,
                     "servers", servers);
}

static json_t *recalibrate_json(const struct traj_config *config)
{
    const struct traj_recalibrate_options *options = &config->recalibration;

    return config->recalibrate
               ? json_pack("{s:s, s:f, s:f, s:b}", "method", traj_recalibrate_name(options->method),
                           "interval_s", options->interval_s, "half_life_s", options->half_life_s,
                           "labels", (int)options->labels)
               : json_null();
}

char *traj_config_text(const struct traj_config *config)
{
    const struct traj_pipeline_settings *settings = &config->pipeline;
    json_t *workspace = json_null();
    json_t *document;
    char *text;

    if (settings->workspace) {
        workspace =
            json_pack("{s:o, s:o}", "low", corner_json(settings->low, config->workspace_dims),
                      "high", corner_json(settings->high, config->workspace_dims));
    }
    document = json_pack(
        "{s:s?, s:s?, s:o, s:s?, s:s?, s:s, s:s, s:s, s:s, s:i, s:i, s:f, s:i, s:f, s:o, s:b, s:i, "
        "s:i, s:i, s:i, s:o, s:o, s:s, s:s, s:i, s:o, s:o, s:b, s:o}",
        "model", config->model[0] != '\0' ? config->model : NULL, "shadow",
        config->shadow[0] != '\0' ? config->shadow : NULL, "recalibrate", recalibrate_json(config),
        "source", config->source[0] != '\0' ? config->source : NULL, "lsl_outlet",
        config->lsl_outlet[0] != '\0' ? config->lsl_outlet : NULL, "frames", config->frames,
        "intents", config->intents, "control", config->control, "publish",
        config->newest ? "newest" : "all", "stale_ms", config->stale_ms, "status_ms",
        config->status_ms, "gap_reset_s", settings->gap_reset_s, "count_max",
        (int)settings->count_max, "speed_limit", settings->speed_limit, "workspace", workspace,
        "paused", (int)config->paused, "receive_hwm", config->receive_hwm, "send_hwm",
        config->send_hwm, "message_max", config->message_max, "request_rate", config->request_rate,
        "curve", curve_json(&config->curve), "record", record_json(&config->record), "log_level",
        traj_log_level_name(config->log_level), "receive", traj_receive_name(config->receive),
        "priority", config->priority, "cpu", number_or_null(config->cpu), "io_cpu",
        number_or_null(config->io_cpu), "lock_memory", (int)config->lock_memory, "wake_us",
        number_or_null(config->wake_us));
    if (document == NULL) {
        return NULL;
    }
    text = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    return text;
}
