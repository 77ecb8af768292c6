/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stand-in for liblsl where that is not installed: the calls that proto/lsl.h lists, with the
 * prototypes of liblsl's lsl_c.h, between processes of one machine.
 *
 * An outlet is a socket in the file system and a file that describes it, both in the folder that
 * LSL_STUB names; an inlet connects there.  A sample is its stamp and its values.  LSL_STUB_CLOCK
 * sets a process's clock ahead by so many seconds, so that a correction between clocks has
 * something to correct.  A file NAME.unsure in the folder keeps that correction for the stream NAME
 * from being had, and a file `no-outlets` keeps outlets from being made; it grows by a byte each
 * time.  What liblsl does besides (discovery by network, recovery, buffers that overflow, several
 * formats) is not imitated.
 */
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/lsl.h"

#define CLIENTS 8
#define CHANNELS 4096
#define TEXT 64
#define TIMED_OUT (-1) /* liblsl's lsl_timeout_error */

/* A node of the description: a name, perhaps a value, children and a next sibling. */
struct traj_lsl_xml_struct {
    char name[TEXT], value[TEXT];
    struct traj_lsl_xml_struct *first, *next;
};

struct traj_lsl_info_struct {
    char name[TEXT], type[TEXT], source_id[TEXT], path[108];
    int32_t channels;
    int format;
    double rate, clock;
    struct traj_lsl_xml_struct desc;
};

struct traj_lsl_outlet_struct {
    struct traj_lsl_info_struct *info;
    char description[128];
    int listener, client[CLIENTS];
};

struct traj_lsl_inlet_struct {
    struct traj_lsl_info_struct *info;
    int fd;
};

#define DECLARE(result, name, arguments) result lsl_##name arguments;
TRAJ_LSL_CALLS(DECLARE)
#undef DECLARE

/* --- clock, folder, errors -------------------------------------------------------------------- */

static const char *folder(void)
{
    const char *name = getenv("LSL_STUB");
    return name != NULL ? name : "/tmp";
}

/* Whether there is a file of that name and suffix in the folder. */
static bool marked(const char *name, const char *suffix)
{
    char path[400];
    snprintf(path, sizeof path, "%.120s/%s%s", folder(), name, suffix);
    return access(path, F_OK) == 0;
}

static void wait_a_moment(void)
{
    const struct timespec moment = {0, 10000000};
    nanosleep(&moment, NULL);
}

static double ahead(void)
{
    const char *seconds = getenv("LSL_STUB_CLOCK");
    return seconds != NULL ? strtod(seconds, NULL) : 0.0;
}

int32_t lsl_library_version(void)
{
    return 116;
}

double lsl_local_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec + ahead();
}

void lsl_destroy_string(char *text)
{
    free(text);
}

/* --- descriptions ----------------------------------------------------------------------------- */

static struct traj_lsl_xml_struct nothing;

int32_t lsl_empty(traj_lsl_xml node)
{
    return node == NULL || node == &nothing;
}

traj_lsl_xml lsl_child(traj_lsl_xml node, const char *name)
{
    for (traj_lsl_xml at = node->first; at != NULL; at = at->next) {
        if (strcmp(at->name, name) == 0) {
            return at;
        }
    }
    return &nothing;
}

traj_lsl_xml lsl_next_sibling_n(traj_lsl_xml node, const char *name)
{
    for (traj_lsl_xml at = node->next; at != NULL; at = at->next) {
        if (strcmp(at->name, name) == 0) {
            return at;
        }
    }
    return &nothing;
}

const char *lsl_child_value_n(traj_lsl_xml node, const char *name)
{
    return lsl_child(node, name)->value;
}

traj_lsl_xml lsl_append_child(traj_lsl_xml node, const char *name)
{
    traj_lsl_xml made = calloc(1, sizeof *made);
    traj_lsl_xml *end = &node->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = made;
    snprintf(made->name, sizeof made->name, "%s", name);
    return made;
}

traj_lsl_xml lsl_append_child_value(traj_lsl_xml node, const char *name, const char *value)
{
    traj_lsl_xml made = lsl_append_child(node, name);
    snprintf(made->value, sizeof made->value, "%s", value);
    return node;
}

static void free_nodes(traj_lsl_xml node)
{
    while (node != NULL) {
        traj_lsl_xml next = node->next;
        free_nodes(node->first);
        free(node);
        node = next;
    }
}

traj_lsl_info lsl_create_streaminfo(const char *name, const char *type, int32_t channels,
                                    double rate, int format, const char *source_id)
{
    traj_lsl_info info = calloc(1, sizeof *info);
    snprintf(info->name, sizeof info->name, "%s", name);
    snprintf(info->type, sizeof info->type, "%s", type);
    snprintf(info->source_id, sizeof info->source_id, "%s", source_id);
    info->channels = channels;
    info->rate = rate;
    info->format = format;
    info->clock = ahead();
    return info;
}

void lsl_destroy_streaminfo(traj_lsl_info info)
{
    free_nodes(info->desc.first);
    free(info);
}

const char *lsl_get_name(traj_lsl_info info)
{
    return info->name;
}

int32_t lsl_get_channel_count(traj_lsl_info info)
{
    return info->channels;
}

double lsl_get_nominal_srate(traj_lsl_info info)
{
    return info->rate;
}

int lsl_get_channel_format(traj_lsl_info info)
{
    return info->format;
}

traj_lsl_xml lsl_get_desc(traj_lsl_info info)
{
    return &info->desc;
}

static void write_description(const struct traj_lsl_outlet_struct *outlet)
{
    const struct traj_lsl_info_struct *info = outlet->info;
    char draft[160];
    snprintf(draft, sizeof draft, "%s.draft", outlet->description);
    FILE *file = fopen(draft, "w");
    fprintf(file, "%s\n%s\n%s\n%s\n%d %d %.17g %.17g\n", info->name, info->type, info->source_id,
            info->path, info->channels, info->format, info->rate, info->clock);
    traj_lsl_xml channel = lsl_child(lsl_child(&outlet->info->desc, "channels"), "channel");
    for (; !lsl_empty(channel); channel = lsl_next_sibling_n(channel, "channel")) {
        fprintf(file, "%s\n", lsl_child_value_n(channel, "label"));
    }
    fclose(file);
    rename(draft, outlet->description);
}

static void read_line(FILE *file, char *out, size_t cap)
{
    char line[256] = "";
    if (fgets(line, sizeof line, file) == NULL) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(out, cap, "%.*s", (int)cap - 1, line);
}

static traj_lsl_info read_description(const char *path)
{
    FILE *file = fopen(path, "r");
    traj_lsl_info info = calloc(1, sizeof *info);
    char numbers[128], label[TEXT];
    if (file == NULL) {
        free(info);
        return NULL;
    }
    read_line(file, info->name, sizeof info->name);
    read_line(file, info->type, sizeof info->type);
    read_line(file, info->source_id, sizeof info->source_id);
    read_line(file, info->path, sizeof info->path);
    read_line(file, numbers, sizeof numbers);
    char *end = numbers;
    info->channels = (int)strtol(end, &end, 10);
    info->format = (int)strtol(end, &end, 10);
    info->rate = strtod(end, &end);
    /* A number that is missing leaves nothing for the last one either. */
    char *last = end;
    info->clock = strtod(last, &end);
    if (end == last) {
        fclose(file);
        free(info);
        return NULL;
    }
    traj_lsl_xml channels = lsl_append_child(&info->desc, "channels");
    for (read_line(file, label, sizeof label); label[0] != '\0';
         read_line(file, label, sizeof label)) {
        lsl_append_child_value(lsl_append_child(channels, "channel"), "label", label);
    }
    fclose(file);
    return info;
}

/* --- outlets ---------------------------------------------------------------------------------- */

static bool refused(void)
{
    char path[400];
    snprintf(path, sizeof path, "%.120s/no-outlets", folder());
    FILE *file = marked("no-outlets", "") ? fopen(path, "a") : NULL;
    if (file == NULL) {
        return false;
    }
    fputc('x', file);
    fclose(file);
    return true;
}

traj_lsl_outlet lsl_create_outlet(traj_lsl_info info, int32_t chunk, int32_t buffered)
{
    static int made;
    traj_lsl_outlet outlet = calloc(1, sizeof *outlet);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)chunk;
    (void)buffered;
    if (refused()) {
        free(outlet);
        return NULL;
    }
    outlet->info = calloc(1, sizeof *outlet->info);
    *outlet->info = *info;
    outlet->info->desc.first = NULL;
    traj_lsl_xml kept = lsl_append_child(&outlet->info->desc, "channels");
    traj_lsl_xml channel = lsl_child(lsl_child(&info->desc, "channels"), "channel");
    for (; !lsl_empty(channel); channel = lsl_next_sibling_n(channel, "channel")) {
        lsl_append_child_value(lsl_append_child(kept, "channel"), "label",
                               lsl_child_value_n(channel, "label"));
    }
    snprintf(outlet->info->path, sizeof outlet->info->path, "%.80s/%d-%d", folder(), (int)getpid(),
             made++);
    snprintf(outlet->description, sizeof outlet->description, "%s.info", outlet->info->path);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", outlet->info->path);
    outlet->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    for (int i = 0; i < CLIENTS; i++) {
        outlet->client[i] = -1;
    }
    if (bind(outlet->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(outlet->listener, CLIENTS) != 0) {
        perror(address.sun_path);
        abort();
    }
    write_description(outlet);
    return outlet;
}

static void accept_clients(traj_lsl_outlet outlet)
{
    int fd;
    while ((fd = accept(outlet->listener, NULL, NULL)) >= 0) {
        int i = 0;
        while (i < CLIENTS && outlet->client[i] >= 0) {
            i++;
        }
        if (i < CLIENTS) {
            outlet->client[i] = fd;
        } else {
            close(fd);
        }
    }
}

void lsl_destroy_outlet(traj_lsl_outlet outlet)
{
    unlink(outlet->description);
    unlink(outlet->info->path);
    for (int i = 0; i < CLIENTS; i++) {
        if (outlet->client[i] >= 0) {
            close(outlet->client[i]);
        }
    }
    close(outlet->listener);
    lsl_destroy_streaminfo(outlet->info);
    free(outlet);
}

int32_t lsl_have_consumers(traj_lsl_outlet outlet)
{
    int32_t count = 0;
    accept_clients(outlet);
    for (int i = 0; i < CLIENTS; i++) {
        count += outlet->client[i] >= 0;
    }
    return count;
}

static bool send_whole(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

static int32_t push(traj_lsl_outlet outlet, double stamp, const void *bytes, size_t size)
{
    accept_clients(outlet);
    stamp = stamp != 0.0 ? stamp : lsl_local_clock();
    for (int i = 0; i < CLIENTS; i++) {
        int fd = outlet->client[i];
        if (fd >= 0 &&
            (!send_whole(fd, (const char *)&stamp, sizeof stamp) || !send_whole(fd, bytes, size))) {
            close(fd);
            outlet->client[i] = -1;
        }
    }
    return 0;
}

int32_t lsl_push_sample_dt(traj_lsl_outlet outlet, const double *data, double timestamp)
{
    return push(outlet, timestamp, data, (size_t)outlet->info->channels * sizeof *data);
}

int32_t lsl_push_sample_strt(traj_lsl_outlet outlet, const char **data, double timestamp)
{
    char text[TEXT] = "";
    snprintf(text, sizeof text, "%s", data[0]);
    return push(outlet, timestamp, text, sizeof text);
}

/* --- inlets ----------------------------------------------------------------------------------- */

/* Whether every condition key='value' of a predicate holds. */
static bool matches(const struct traj_lsl_info_struct *info, const char *predicate)
{
    char key[32], value[TEXT];
    const char *at = predicate;
    while (sscanf(at, " %31[a-z_]='%63[^']'", key, value) == 2) {
        const char *has = strcmp(key, "name") == 0   ? info->name
                          : strcmp(key, "type") == 0 ? info->type
                                                     : info->source_id;
        if (strcmp(has, value) != 0) {
            return false;
        }
        at = strstr(at, "' and ");
        if (at == NULL) {
            return true;
        }
        at += strlen("' and ");
    }
    return false;
}

static int32_t look(traj_lsl_info *buffer, uint32_t elements, const char *predicate)
{
    DIR *all = opendir(folder());
    struct dirent *entry;
    int32_t found = 0;
    while (all != NULL && (entry = readdir(all)) != NULL && (uint32_t)found < elements) {
        char path[400];
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".info") != 0) {
            continue;
        }
        snprintf(path, sizeof path, "%.120s/%s", folder(), entry->d_name);
        traj_lsl_info info = read_description(path);
        if (info != NULL && matches(info, predicate)) {
            buffer[found++] = info;
        } else if (info != NULL) {
            lsl_destroy_streaminfo(info);
        }
    }
    if (all != NULL) {
        closedir(all);
    }
    return found;
}

int32_t lsl_resolve_bypred(traj_lsl_info *buffer, uint32_t elements, const char *predicate,
                           int32_t minimum, double timeout)
{
    double until = lsl_local_clock() + timeout;
    int32_t found = look(buffer, elements, predicate);
    while (found < minimum && lsl_local_clock() < until) {
        wait_a_moment();
        found = look(buffer, elements, predicate);
    }
    return found;
}

static traj_lsl_info copy_info(const struct traj_lsl_info_struct *info)
{
    char path[128];
    snprintf(path, sizeof path, "%s.info", info->path);
    return read_description(path);
}

traj_lsl_inlet lsl_create_inlet(traj_lsl_info info, int32_t max_buflen, int32_t max_chunklen,
                                int32_t recover)
{
    traj_lsl_inlet inlet = calloc(1, sizeof *inlet);
    (void)max_buflen;
    (void)max_chunklen;
    (void)recover;
    inlet->fd = -1;
    inlet->info = copy_info(info);
    if (inlet->info == NULL) {
        free(inlet);
        return NULL;
    }
    return inlet;
}

void lsl_destroy_inlet(traj_lsl_inlet inlet)
{
    if (inlet->fd >= 0) {
        close(inlet->fd);
    }
    lsl_destroy_streaminfo(inlet->info);
    free(inlet);
}

traj_lsl_info lsl_get_fullinfo(traj_lsl_inlet inlet, double timeout, int32_t *error)
{
    traj_lsl_info info = copy_info(inlet->info);
    (void)timeout;
    *error = info != NULL ? 0 : TRAJ_LSL_LOST;
    return info;
}

void lsl_open_stream(traj_lsl_inlet inlet, double timeout, int32_t *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)timeout;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", inlet->info->path);
    inlet->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *error =
        connect(inlet->fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : TRAJ_LSL_LOST;
}

double lsl_time_correction(traj_lsl_inlet inlet, double timeout, int32_t *error)
{
    double until = lsl_local_clock() + timeout;
    while (marked(inlet->info->name, ".unsure")) {
        if (lsl_local_clock() >= until) {
            *error = TIMED_OUT;
            return 0.0;
        }
        wait_a_moment();
    }
    *error = 0;
    return ahead() - inlet->info->clock;
}

static bool receive_whole(int fd, void *out, size_t size)
{
    return recv(fd, out, size, MSG_WAITALL) == (ssize_t)size;
}

/* The stamp of the next sample and its bytes, or 0.0 where none comes in time. */
static double pull(traj_lsl_inlet inlet, void *out, size_t size, double timeout, int32_t *error)
{
    struct pollfd item = {.fd = inlet->fd, .events = POLLIN};
    double stamp = 0.0;
    *error = 0;
    if (poll(&item, 1, (int)(1e3 * timeout)) <= 0) {
        return 0.0;
    }
    if (!receive_whole(inlet->fd, &stamp, sizeof stamp) || !receive_whole(inlet->fd, out, size)) {
        *error = TRAJ_LSL_LOST;
        return 0.0;
    }
    return stamp;
}

double lsl_pull_sample_d(traj_lsl_inlet inlet, double *buffer, int32_t elements, double timeout,
                         int32_t *error)
{
    return pull(inlet, buffer, (size_t)elements * sizeof *buffer, timeout, error);
}

double lsl_pull_sample_str(traj_lsl_inlet inlet, char **buffer, int32_t elements, double timeout,
                           int32_t *error)
{
    char *text = calloc(1, TEXT);
    double stamp = pull(inlet, text, TEXT, timeout, error);
    (void)elements;
    if (stamp == 0.0) {
        free(text);
        text = NULL;
    }
    buffer[0] = text;
    return stamp;
}
