/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajd: builds everything in the order of dependence, runs it, takes it down in reverse. */
#include <errno.h>
#include <gsl/gsl_errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/io/decode_loop.h"
#include "daemon/io/housekeeping.h"
#include "daemon/io/link.h"
#include "daemon/io/models.h"
#include "daemon/io/notify.h"
#include "daemon/io/options.h"
#include "daemon/io/recorder.h"
#include "daemon/io/recorder_file.h"
#include "daemon/io/service.h"
#include "daemon/io/signals.h"
#include "daemon/io/source/tap.h"
#include "daemon/io/usage.h"
#include "traj/version.h"

/* Everything that runs; zero until it is made. */
struct parts {
    struct traj_service service;
    int signal_fd;
    struct traj_notifier notifier;
    void *context;
    struct traj_link link;
    struct traj_decode_loop *loop;
    struct traj_housekeeping *housekeeping;
};

static int load_model(struct parts *parts, struct traj_error *error)
{
    struct traj_config *config = &parts->service.config;

    if (config->model[0] == '\0') {
        return traj_error_set(error, "no model is named; use --model or \"model\" in --config");
    }
    parts->service.models.current = traj_loaded_open(config->model, error);
    if (parts->service.models.current == NULL) {
        return -1;
    }
    memcpy(parts->service.configured, parts->service.models.current->model->about.digest,
           sizeof parts->service.configured);
    return traj_config_fits(config, config->model,
                            parts->service.models.current->model->dims.position, error);
}

/* Where a directory is configured: the recorder, and a recording that begins with the daemon. */
static int open_recorder(struct parts *parts, struct traj_error *error)
{
    struct traj_service *service = &parts->service;
    const struct traj_record_config *config = &service->config.record;

    if (config->directory[0] == '\0') {
        return 0;
    }
    service->recorder = traj_recorder_open(config, &service->log, error);
    if (service->recorder == NULL ||
        (config->start &&
         traj_recorder_begin(service->recorder, service->models.current->model->about.digest,
                             error) != 0)) {
        return -1;
    }
    traj_decode_loop_record(parts->loop, traj_recorder_tape(service->recorder),
                            service->models.current->full, config->start);
    return 0;
}

/* A second model and recalibration, where they are configured; neither sees anything yet. */
static int make_observers(struct traj_service *service, struct traj_error *error)
{
    struct traj_observers *observers = &service->observers;

    if (service->config.shadow[0] != '\0') {
        observers->shadow = traj_shadow_open(service->config.shadow, error);
        if (observers->shadow == NULL) {
            return -1;
        }
    }
    if (service->config.recalibrate) {
        observers->base = service->models.current->model;
        observers->recalibrator =
            traj_recalibrator_new(observers->base, &service->config.recalibration, error);
        if (observers->recalibrator == NULL) {
            return -1;
        }
    }
    return 0;
}

/* They see the first frame already. */
static int open_observers(struct parts *parts, struct traj_error *error)
{
    struct traj_observers *observers = &parts->service.observers;

    if (make_observers(&parts->service, error) != 0) {
        return -1;
    }
    if (observers->shadow == NULL && observers->recalibrator == NULL) {
        return 0;
    }
    if (traj_observers_prepare(observers, error) != 0) {
        return -1;
    }
    observers->on = true;
    traj_decode_loop_observe(parts->loop, observers->tape);
    return 0;
}

/* LSL knows no keys, so what `curve` guards elsewhere it hands to the whole network. */
static void warn_of_outlet(struct traj_service *service)
{
    if (service->config.lsl_outlet[0] != '\0') {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "lsl_outlet: liblsl offers the intents to every machine that it reaches, "
                       "without a key");
    }
}

/* Intents as an LSL stream, regular where each is published. */
static int open_outlet(struct parts *parts, struct traj_error *error)
{
    struct traj_service *service = &parts->service;
    const struct traj_model *model = service->models.current->model;
    double rate = service->config.newest ? 0.0 : 1.0 / model->bin_width;

    if (service->config.lsl_outlet[0] == '\0') {
        return 0;
    }
    warn_of_outlet(service);
    service->outlet =
        traj_outlet_open(service->config.lsl_outlet, model, rate, parts->context, error);
    return service->outlet != NULL ? 0 : -1;
}

/* Makes all parts; -1 with a sentence, and what was made is left for take_down. */
static int build(struct parts *parts, struct traj_error *error)
{
    struct traj_service *service = &parts->service;

    traj_log_init(&service->log, STDERR_FILENO, service->config.log_level);
    if (load_model(parts, error) != 0) {
        return -1;
    }
    parts->signal_fd = traj_signals_open(error);
    if (parts->signal_fd < 0) {
        return -1;
    }
    parts->context = traj_link_context(error);
    if (parts->context == NULL) {
        return -1;
    }
    traj_realtime_context(&service->realtime, parts->context, &service->config, &service->log);
    if (traj_guard_open(&service->guard, parts->context, &service->config, error) != 0 ||
        traj_link_open(&parts->link, parts->context, &service->config, &service->guard, error) !=
            0) {
        return -1;
    }
    traj_link_address(parts->link.frames, service->frames, sizeof service->frames);
    traj_link_address(parts->link.intents, service->intents, sizeof service->intents);
    service->exchange = traj_exchange_open(error);
    if (service->exchange == NULL) {
        return -1;
    }
    parts->loop =
        traj_decode_loop_open(&parts->link, service->exchange, service->models.current->decoder,
                              &service->config, &service->realtime, parts->signal_fd, error);
    if (parts->loop == NULL) {
        return -1;
    }
    traj_notifier_open(&parts->notifier);
    traj_decode_loop_watched(parts->loop, &parts->notifier);
    if (open_recorder(parts, error) != 0 || open_observers(parts, error) != 0) {
        return -1;
    }
    if (service->config.source[0] != '\0') {
        service->tap = traj_tap_open(service->config.source, service->models.current->model,
                                     parts->context, error);
        if (service->tap == NULL) {
            return -1;
        }
    }
    if (open_outlet(parts, error) != 0) {
        return -1;
    }
    parts->housekeeping = traj_housekeeping_open(parts->context, service, error);
    return parts->housekeeping != NULL ? 0 : -1;
}

/*
 * libzmq, and what it stands on, ends the process where it finds no memory, at best with a line
 * number.  During the start, where that is to be expected, it is said what happened; then the
 * signal does what it always does.
 */
static void say_what_happened(int number)
{
    static const char text[] = "trajd: error: a library gave up during the start, most likely for "
                               "want of memory\n";

    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)raise(number);
}

static void watch_libraries(bool on)
{
    struct sigaction action = {.sa_flags = (int)SA_RESETHAND};

    action.sa_handler = on ? say_what_happened : SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
}

/* The main thread is the decode thread. */
static int run(struct parts *parts, struct traj_error *error)
{
    struct traj_service *service = &parts->service;
    pthread_attr_t attributes;
    int rc;

    service->decode_thread = pthread_self();
    service->decode_tid = traj_usage_thread();
    rc = traj_realtime_ordinary(&attributes);
    if (rc != 0) {
        return traj_error_set(error, "cannot prepare a thread: %s", strerror(rc));
    }
    traj_realtime_thread(&service->realtime, &service->config, &service->log);
    traj_log_write(&service->log, TRAJ_LOG_INFO,
                   "ready: model %s (%.12s), frames %s, intents %s, control %s",
                   service->models.current->path, service->models.current->model->about.digest,
                   service->frames, service->intents, service->control);
    if (service->tap != NULL) {
        traj_log_write(&service->log, TRAJ_LOG_INFO, "source: %s", service->config.source);
    }
    rc = traj_housekeeping_start(parts->housekeeping, &attributes, error);
    if (rc == 0 && service->tap != NULL) {
        rc = traj_tap_start(service->tap, &attributes, error);
        if (rc != 0) {
            traj_exchange_end(service->exchange);
        }
    }
    if (rc == 0 && service->outlet != NULL) {
        rc = traj_outlet_start(service->outlet, &attributes, error);
        if (rc != 0) {
            traj_exchange_end(service->exchange);
        }
    }
    (void)pthread_attr_destroy(&attributes);
    if (rc != 0) {
        return -1;
    }
    watch_libraries(false);
    traj_notifier_say(&parts->notifier, "READY=1");
    rc = traj_decode_loop_run(parts->loop, error);
    traj_notifier_say(&parts->notifier, "STOPPING=1");
    return rc;
}

static void take_down(struct parts *parts)
{
    traj_housekeeping_close(&parts->housekeeping);
    traj_outlet_close(&parts->service.outlet);
    traj_tap_close(&parts->service.tap);
    traj_recorder_close(&parts->service.recorder);
    traj_decode_loop_close(&parts->loop);
    traj_exchange_close(&parts->service.exchange);
    traj_link_close(&parts->link);
    traj_guard_close(&parts->service.guard);
    traj_link_context_end(parts->context);
    traj_realtime_end(&parts->service.realtime);
    traj_signals_close(parts->signal_fd);
    traj_observers_close(&parts->service.observers);
    traj_models_close(&parts->service.models);
    traj_notifier_close(&parts->notifier);
}

/* The directory as a recorder would have it; one that was made for that is taken away again. */
static int check_record(const struct traj_record_config *config, struct traj_error *error)
{
    struct traj_recorder_file *file;
    bool absent;

    if (config->directory[0] == '\0') {
        return 0;
    }
    absent = access(config->directory, F_OK) != 0 && errno == ENOENT;
    file = traj_recorder_file_open(config, error);
    if (absent) {
        (void)rmdir(config->directory);
    }
    if (file == NULL) {
        return -1;
    }
    traj_recorder_file_free(&file);
    return 0;
}

/*
 * --check-config: prints what would be in force, reads the keys if any are configured, looks at the
 * directory for recordings, and loads the models that are named.
 */
static int check_config(struct parts *parts, struct traj_error *error)
{
    struct traj_service *service = &parts->service;
    char *text = traj_config_text(&service->config);

    if (text == NULL) {
        return traj_error_set(error, "the configuration cannot be printed");
    }
    (void)puts(text);
    free(text);
    traj_log_init(&service->log, STDERR_FILENO, service->config.log_level);
    warn_of_outlet(service);
    if (traj_guard_read(&service->guard, &service->config, error) != 0 ||
        check_record(&service->config.record, error) != 0) {
        return -1;
    }
    if (service->config.model[0] == '\0') {
        return 0;
    }
    if (load_model(parts, error) != 0 || make_observers(service, error) != 0) {
        return -1;
    }
    return service->config.source[0] == '\0'
               ? 0
               : traj_rig_check(service->config.source, service->models.current->model, error);
}

int main(int argc, char **argv)
{
    struct parts *parts = calloc(1, sizeof *parts);
    struct traj_options options;
    struct traj_error error = {{0}};
    int rc;

    if (parts == NULL) {
        (void)fputs("trajd: error: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    parts->signal_fd = -1;
    parts->notifier.fd = -1;
    traj_log_init(&parts->service.log, STDERR_FILENO, TRAJ_LOG_ERROR);
    (void)gsl_set_error_handler_off();
    rc = traj_options_parse(&options, argc, argv, &error);
    if (rc == 0 && options.help) {
        (void)fputs(traj_options_help, stdout);
    } else if (rc == 0 && options.version) {
        (void)puts("trajd " TRAJ_VERSION);
    } else if (rc == 0) {
        parts->service.options = &options;
        rc = traj_options_config(&options, &parts->service.config, &error);
        if (rc == 0 && options.check_config) {
            rc = check_config(parts, &error);
        } else if (rc == 0) {
            watch_libraries(true);
            rc = build(parts, &error);
            if (rc == 0) {
                rc = run(parts, &error);
            }
        }
    }
    take_down(parts);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && rc == 0) {
        rc = traj_error_set(&error, "standard output cannot be written");
    }
    if (rc != 0) {
        traj_log_write(&parts->service.log, TRAJ_LOG_ERROR, "%s", error.text);
    }
    free(parts);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
