/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon inside this process: its two threads under load, while requests, a reload and models
 * change come in.  Worth most under ThreadSanitizer; elsewhere it shows that nothing is lost or
 * torn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/io/decode_loop.h"
#include "daemon/io/housekeeping.h"
#include "daemon/io/link.h"
#include "daemon/io/recorder.h"
#include "daemon/io/service.h"
#include "daemon/io/signals.h"
#include "daemon/learn/model_file.h"
#include "proto/frame.h"
#include "tests/system/tiny_model.h"
#include "traj/client.h"

#define UNITS 12
#define TARGETS 4
#define FRAMES 3000
#define PATIENCE_MS 60000

struct fixture {
    char folder[64];
    char model[128], other[128], config[128], recordings[128];
    char frames[128], intents[128], control[128];
    struct traj_options options;
    struct traj_service *service;
    int signal_fd;
    void *context;
    struct traj_link link;
    struct traj_decode_loop *loop;
    struct traj_housekeeping *housekeeping;
    struct traj_error error; /* of the decode thread */
    int rc;                  /* likewise */
};

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void write_model(const char *path, uint64_t seed)
{
    struct traj_error error = {{0}};
    struct traj_model *model = tiny_model(UNITS, TARGETS, 2, seed, &error);

    assert_non_null(model);
    assert_int_equal(traj_model_save(model, path, &error), 0);
    traj_model_free(model);
}

static void name_files(struct fixture *f)
{
    char text[512];

    (void)strcpy(f->folder, "/tmp/trajd-threads-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->model, sizeof f->model, "%s/model.tjm", f->folder);
    (void)snprintf(f->other, sizeof f->other, "%s/other.tjm", f->folder);
    (void)snprintf(f->config, sizeof f->config, "%s/config.json", f->folder);
    (void)snprintf(f->frames, sizeof f->frames, "ipc://%s/frames", f->folder);
    (void)snprintf(f->intents, sizeof f->intents, "ipc://%s/intents", f->folder);
    (void)snprintf(f->control, sizeof f->control, "ipc://%s/control", f->folder);
    write_model(f->model, 1);
    write_model(f->other, 2);
    (void)snprintf(f->recordings, sizeof f->recordings, "%s/recordings", f->folder);
    (void)snprintf(text, sizeof text,
                   "{\"status_ms\": 5, \"stale_ms\": 20, \"log_level\": \"error\", \"record\": "
                   "{\"directory\": \"%s\", \"buffer_mb\": 1, \"sync_s\": 0.01}}",
                   f->recordings);
    write_text(f->config, text);
    f->options = (struct traj_options){.config = f->config,
                                       .model = f->model,
                                       .frames = f->frames,
                                       .intents = f->intents,
                                       .control = f->control};
}

static void *decode_thread(void *argument)
{
    struct fixture *f = argument;

    f->rc = traj_decode_loop_run(f->loop, &f->error);
    return NULL;
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct traj_error error = {{0}};
    struct traj_service *service = calloc(1, sizeof *service);

    assert_non_null(f);
    assert_non_null(service);
    name_files(f);
    f->service = service;
    service->options = &f->options;
    assert_int_equal(traj_options_config(&f->options, &service->config, &error), 0);
    traj_log_init(&service->log, STDERR_FILENO, TRAJ_LOG_ERROR);
    service->models.current = traj_loaded_open(f->model, &error);
    assert_non_null(service->models.current);
    f->signal_fd = traj_signals_open(&error);
    assert_true(f->signal_fd >= 0);
    f->context = traj_link_context(&error);
    assert_int_equal(
        traj_link_open(&f->link, f->context, &service->config, &service->guard, &error), 0);
    service->exchange = traj_exchange_open(&error);
    assert_non_null(service->exchange);
    f->loop = traj_decode_loop_open(&f->link, service->exchange, service->models.current->decoder,
                                    &service->config, &service->realtime, f->signal_fd, &error);
    assert_non_null(f->loop);
    service->recorder = traj_recorder_open(&service->config.record, &service->log, &error);
    assert_non_null(service->recorder);
    assert_int_equal(traj_recorder_begin(service->recorder,
                                         service->models.current->model->about.digest, &error),
                     0);
    traj_decode_loop_record(f->loop, traj_recorder_tape(service->recorder), f->model, true);
    f->housekeeping = traj_housekeeping_open(f->context, service, &error);
    assert_non_null(f->housekeeping);
    assert_int_equal(pthread_create(&service->decode_thread, NULL, decode_thread, f), 0);
    assert_int_equal(traj_housekeeping_start(f->housekeeping, NULL, &error), 0);
    *state = f;
    return 0;
}

/* One recording or several, none of them empty. */
static void remove_recordings(const struct fixture *f)
{
    struct dirent *entry;
    DIR *folder = opendir(f->recordings);
    size_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[512];
        struct stat status;

        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", f->recordings, entry->d_name);
        assert_int_equal(stat(path, &status), 0);
        assert_true(status.st_size > 400);
        assert_int_equal(unlink(path), 0);
        count++;
    }
    (void)closedir(folder);
    printf("%zu recordings\n", count);
    assert_true(count > 0);
    assert_int_equal(rmdir(f->recordings), 0);
}

/* The daemon is ended by the tests themselves; here it is waited for and taken down. */
static int stop(void **state)
{
    struct fixture *f = *state;
    const char *const files[] = {"model.tjm", "other.tjm", "config.json",
                                 "frames",    "intents",   "control"};

    assert_int_equal(pthread_join(f->service->decode_thread, NULL), 0);
    assert_int_equal(f->rc, 0);
    traj_housekeeping_close(&f->housekeeping);
    traj_recorder_close(&f->service->recorder);
    remove_recordings(f);
    traj_decode_loop_close(&f->loop);
    traj_exchange_close(&f->service->exchange);
    traj_link_close(&f->link);
    traj_link_context_end(f->context);
    traj_signals_close(f->signal_fd);
    traj_models_close(&f->service->models);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
    free(f->service);
    free(f);
    return 0;
}

/* Asks and wants {"ok":true. */
static void ask(struct traj_control *control, const char *request)
{
    const char *reply = NULL;

    assert_int_equal(traj_control_request(control, request, PATIENCE_MS, &reply), 0);
    if (strstr(reply, "\"ok\":true") == NULL && strstr(reply, "\"ok\": true") == NULL) {
        fail_msg("%s: %s", request, reply);
    }
}

static void send_frame(struct traj_source *source, uint64_t seq)
{
    uint16_t counts[UNITS];
    char body[512];
    struct traj_frame frame = {
        .seq = seq, .t = 0.02 * (double)(seq + 1), .dt = 0.02, .units = UNITS, .counts = counts};
    size_t size;

    for (size_t n = 0; n < UNITS; n++) {
        counts[n] = (uint16_t)((seq * 7 + n * n) % 3);
    }
    size = seq % 2 == 0 ? traj_frame_write_binary(&frame, body, sizeof body)
                        : traj_frame_write_json(&frame, body, sizeof body);
    assert_true(size > 0);
    assert_int_equal(traj_source_frame(source, body, size), 0);
}

/* Whatever a person may do, done while frames stream. */
static void disturb(struct fixture *f, struct traj_control *control, uint64_t seq)
{
    char request[256];

    switch (seq % 100) {
    case 5:
        ask(control, "{\"cmd\":\"status\"}");
        break;
    case 15:
        ask(control, "{\"cmd\":\"trial\",\"action\":\"start\"}");
        break;
    case 25:
        ask(control, "{\"cmd\":\"prior\",\"prob\":[0.1,0.2,0.3,0.4]}");
        break;
    case 35:
        (void)snprintf(request, sizeof request,
                       "{\"cmd\":\"model\",\"action\":\"load\",\"path\":\"%s\"}",
                       seq % 200 < 100 ? f->other : f->model);
        ask(control, request);
        break;
    case 45:
        ask(control, "{\"cmd\":\"trial\",\"action\":\"go\"}");
        break;
    case 55:
        ask(control, "{\"cmd\":\"model\",\"action\":\"rollback\"}");
        break;
    case 65:
        ask(control, "{\"cmd\":\"trial\",\"action\":\"stop\"}");
        break;
    case 75:
        assert_int_equal(kill(getpid(), SIGHUP), 0);
        break;
    case 85:
        ask(control, "{\"cmd\":\"pause\",\"on\":true}");
        ask(control, "{\"cmd\":\"pause\",\"on\":false}");
        break;
    case 50:
        ask(control, "{\"cmd\":\"record\",\"action\":\"stop\"}");
        break;
    case 60:
        ask(control, "{\"cmd\":\"record\",\"action\":\"start\"}");
        break;
    case 95:
        ask(control, "{\"cmd\":\"reset\"}");
        break;
    default:
        break;
    }
}

static void requests_while_frames_stream(void **state)
{
    struct fixture *f = *state;
    struct traj_source *source = NULL;
    struct traj_sink *sink = NULL;
    struct traj_control *control = NULL;
    const char *topic, *body;
    size_t size, stale = 0, status = 0;
    uint64_t intents = 0;

    assert_int_equal(traj_source_open(f->frames, &source), 0);
    assert_int_equal(traj_sink_open(f->intents, "intent,stale,status", &sink), 0);
    assert_int_equal(traj_control_open(f->control, &control), 0);
    assert_int_equal(traj_source_wait(source, PATIENCE_MS), 0);
    /* The subscription has arrived once something comes. */
    assert_int_equal(traj_sink_receive(sink, PATIENCE_MS, &topic, &body, &size), 0);
    assert_string_equal(topic, "status");
    for (uint64_t seq = 0; seq < FRAMES; seq++) {
        send_frame(source, seq);
        if (seq % 50 == 0) {
            assert_int_equal(traj_source_frame(source, "{nonsense", 9), 0);
            assert_int_equal(traj_source_event(source, "nonsense", 8), 0);
        }
        disturb(f, control, seq);
    }
    while (intents < FRAMES) {
        char expected[64];

        assert_int_equal(traj_sink_receive(sink, PATIENCE_MS, &topic, &body, &size), 0);
        assert_int_equal(strlen(body), size);
        (void)snprintf(expected, sizeof expected, "\"frame\":%lu,", (unsigned long)intents);
        if (strcmp(topic, "intent") == 0) {
            assert_non_null(strstr(body, expected));
            intents++;
        }
        stale += strcmp(topic, "stale") == 0;
        status += strcmp(topic, "status") == 0;
    }
    printf("%lu intents, %zu status and %zu stale messages\n", (unsigned long)intents, status,
           stale);
    assert_true(status > 0);
    ask(control, "{\"cmd\":\"shutdown\"}");
    traj_control_close(&control);
    traj_sink_close(&sink);
    assert_int_equal(traj_source_close(&source, 0), 0);
}

static void a_signal_ends_both_threads(void **state)
{
    struct fixture *f = *state;
    struct traj_control *control = NULL;

    assert_int_equal(traj_control_open(f->control, &control), 0);
    ask(control, "{\"cmd\":\"ping\"}");
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    traj_control_close(&control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_while_frames_stream, start, stop),
        cmocka_unit_test_setup_teardown(a_signal_ends_both_threads, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
