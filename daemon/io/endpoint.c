/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Endpoints as the configuration spells them; see endpoint.h. */
#include "daemon/io/endpoint.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

/* What follows prefix in text, or NULL if text does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Reads decimal digits worth at most max; returns where they end, or NULL. */
static const char *read_number(const char *text, unsigned max)
{
    unsigned value = 0;
    size_t digits = 0;

    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        value = 10 * value + (unsigned)(text[digits] - '0');
        if (value > max) {
            return NULL;
        }
    }
    return digits > 0 ? text + digits : NULL;
}

/*
 * Passes over "127.a.b.c"; returns what follows, or NULL.  Spelled out: 127.evil.example is a host.
 */
static const char *after_ipv4_loopback(const char *text)
{
    const char *at = after(text, "127");

    for (int part = 0; part < 3 && at != NULL; part++) {
        at = *at == '.' ? read_number(at + 1, 255) : NULL;
    }
    return at;
}

/* True if text is ":port" with a number or, to let the system choose, "*". */
static bool is_port(const char *text)
{
    const char *end;

    if (*text != ':') {
        return false;
    }
    if (strcmp(text, ":*") == 0) {
        return true;
    }
    end = read_number(text + 1, 65535);
    return end != NULL && *end == '\0';
}

/* Passes over the loopback's name or address; returns what follows, or NULL. */
static const char *after_loopback(const char *host)
{
    const char *port = after(host, "localhost");

    if (port == NULL) {
        port = after(host, "[::1]");
    }
    if (port == NULL) {
        port = after_ipv4_loopback(host);
    }
    return port != NULL && (*port == ':' || *port == '\0') ? port : NULL;
}

/* Passes over "*", a name, an IPv4 address or one of IPv6 in brackets; NULL if it is none. */
static const char *after_host(const char *host)
{
    static const char in_names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789.-_";
    size_t length;

    if (*host == '*') {
        return host + 1;
    }
    if (*host == '[') {
        length = strspn(host + 1, "0123456789abcdefABCDEF:.");
        return length > 0 && host[length + 1] == ']' ? host + length + 2 : NULL;
    }
    length = strspn(host, in_names);
    return length > 0 ? host + length : NULL;
}

static int parse_tcp(const char *field, const char *text, const char *address,
                     struct traj_endpoint *endpoint, struct traj_error *error)
{
    const char *host = after(address, "tcp://");
    const char *port = host != NULL ? after_loopback(host) : NULL;

    endpoint->tcp = true;
    endpoint->beyond = port == NULL;
    if (port == NULL && host != NULL) {
        port = after_host(host);
    }
    if (port == NULL || (*port != ':' && *port != '\0')) {
        return traj_error_set(
            error,
            "%s: \"%s\" is not an endpoint; write tcp://127.0.0.1:PORT, ipc://PATH "
            "or inproc://NAME, with @ before it to bind or > to connect",
            field, text);
    }
    if (!is_port(port)) {
        return traj_error_set(error, "%s: \"%s\" does not end in a port from 0 to 65535", field,
                              text);
    }
    if (after(host, "localhost") != NULL && !endpoint->beyond) {
        /*
         * libzmq binds to addresses alone, not to names; and a name could be given another meaning.
         */
        (void)snprintf(endpoint->address, sizeof endpoint->address, "tcp://127.0.0.1%s", port);
    }
    return 0;
}

int traj_endpoint_parse(const char *field, const char *text, struct traj_endpoint *endpoint,
                        struct traj_error *error)
{
    const char *address = text;
    const char *host;

    endpoint->connect = text[0] == '>';
    endpoint->tcp = false;
    endpoint->beyond = false;
    if (text[0] == '>' || text[0] == '@') {
        address++;
    }
    if (strlen(address) + 1 >= sizeof endpoint->address) {
        return traj_error_set(error, "%s: an endpoint is shorter than %d bytes", field,
                              TRAJ_ENDPOINT_SIZE);
    }
    memcpy(endpoint->address, address, strlen(address) + 1);

    host = after(address, "ipc://");
    if (host == NULL) {
        host = after(address, "inproc://");
    }
    if (host != NULL) {
        if (*host == '\0') {
            return traj_error_set(error, "%s: \"%s\" names nothing after \"//\"", field, text);
        }
        return 0;
    }
    return parse_tcp(field, text, address, endpoint, error);
}

/*
 * True if somebody listens on the path of an ipc:// endpoint.  libzmq would not refuse it: it
 * removes the path and binds anew, and the other program would go on without hearing anything more.
 */
static bool is_taken(const char *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = after(address, "ipc://");
    bool taken;
    int fd;

    if (path == NULL || path[0] == '@' || strlen(path) >= sizeof name.sun_path) {
        return false;
    }
    memcpy(name.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    taken = connect(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    (void)close(fd);
    return taken;
}

int traj_endpoint_attach(const char *field, const struct traj_endpoint *endpoint, void *handle,
                         struct traj_error *error)
{
    int ipv6 = strstr(endpoint->address, "://[") != NULL;
    int rc;

    if (zmq_setsockopt(handle, ZMQ_IPV6, &ipv6, sizeof ipv6) != 0) {
        return traj_error_set(error, "%s: IPv6 is not available: %s", field,
                              zmq_strerror(zmq_errno()));
    }
    if (endpoint->connect) {
        rc = zmq_connect(handle, endpoint->address);
    } else if (is_taken(endpoint->address)) {
        rc = -1;
        errno = EADDRINUSE;
    } else {
        rc = zmq_bind(handle, endpoint->address);
    }
    if (rc == 0) {
        return 0;
    }
    if (zmq_errno() == EADDRINUSE) {
        return traj_error_set(
            error,
            "%s: %s is in use by another program (perhaps another trajd); name a free "
            "endpoint with --%s",
            field, endpoint->address, field);
    }
    return traj_error_set(error, "%s: cannot %s %s: %s", field,
                          endpoint->connect ? "connect to" : "bind", endpoint->address,
                          zmq_strerror(zmq_errno()));
}
