/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The web server: three files out of the program itself, and one websocket.
 *
 * A page of any site can let a browser send requests to this machine's own addresses.  It cannot
 * choose the Host header of them, unless its name leads here (DNS rebinding), and never the Origin
 * header of a websocket; so both must name the address at which the dashboard listens.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "clients/dashboard/assets.h"
#include "clients/dashboard/dashboard.h"
#include "clients/dashboard/orders.h"
#include "clients/dashboard/relay.h"

#define PICTURE_US (1000000 / 30 + 1) /* between two pictures: at most 30 a second */
#define ORDER_MAX 16384               /* bytes of a browser's message: a prior of 256 targets */
#define BROWSERS_MAX 32               /* connections */
#define HEADERS 2048
#define NAME_MAX_BYTES 256 /* of a Host or Origin header that is looked at */

struct server {
    const struct dashboard_options *options;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct relay *relay;
    struct orders *orders; /* NULL = the page only shows */
    lws_sorted_usec_list_t timer;
    int port;
    unsigned char *room; /* LWS_PRE bytes, and the text that is sent */
    size_t room_size;
    int failed;
    struct traj_error *error;
};

/* One browser's websocket. */
struct browser {
    uint64_t sent[RELAY_KINDS];
    char order[ORDER_MAX];
    size_t order_size;
    char refusal[256]; /* a reply that this browser alone gets; "" = none */
};

bool dashboard_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

bool dashboard_can_listen(const char *address)
{
    unsigned char number[sizeof(struct in6_addr)];
    static const unsigned char any[sizeof number] = {0};
    size_t size = strchr(address, ':') ? sizeof number : sizeof(struct in_addr);
    if (inet_pton(size == sizeof number ? AF_INET6 : AF_INET, address, number) != 1) {
        return false;
    }
    /* ::ffff:0.0.0.0 is every interface too. */
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (size == sizeof number && memcmp(number, mapped, sizeof mapped) == 0) {
        return memcmp(number + sizeof mapped, any, sizeof(struct in_addr)) != 0;
    }
    return memcmp(number, any, size) != 0;
}

/* --- who may ask ------------------------------------------------------------------------------ */

/* Whether a Host header is name:port, or name alone where the port is that of http. */
static bool names_server(const struct server *server, const char *host, const char *name)
{
    char wanted[NAME_MAX_BYTES];
    bool six = strchr(name, ':') != NULL;
    int length = snprintf(wanted, sizeof wanted, "%s%s%s", six ? "[" : "", name, six ? "]" : "");
    if (length < 0 || (size_t)length >= sizeof wanted) {
        return false;
    }
    if (server->port == 80 && strcasecmp(host, wanted) == 0) {
        return true;
    }
    snprintf(wanted + length, sizeof wanted - (size_t)length, ":%d", server->port);
    return strcasecmp(host, wanted) == 0;
}

/* By its address, or by localhost where it is loopback. */
static bool host_is_ours(const struct server *server, const char *host)
{
    const char *address = server->options->address;
    return names_server(server, host, address) ||
           (dashboard_is_loopback(address) && names_server(server, host, "localhost"));
}

static bool may_ask(const struct server *server, struct lws *wsi)
{
    char host[NAME_MAX_BYTES] = "", origin[NAME_MAX_BYTES] = "", ours[NAME_MAX_BYTES + 8];
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0 || !host_is_ours(server, host)) {
        return false;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) <= 0) {
        return true; /* not from a page: a program on this machine, which needs no page */
    }
    snprintf(ours, sizeof ours, "http://%s", host);
    return lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) > 0 &&
           strcasecmp(origin, ours) == 0;
}

/* --- files ------------------------------------------------------------------------------------ */

static const struct asset *find_asset(const char *path)
{
    for (size_t i = 0; i < dashboard_assets; i++) {
        if (strcmp(dashboard_asset[i].path, path) == 0) {
            return &dashboard_asset[i];
        }
    }
    return NULL;
}

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **at,
                      unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at, end);
}

/* Nothing may be loaded from anywhere else, and no other site may show this page within its own. */
static int add_policy(struct lws *wsi, unsigned char **at, unsigned char *end)
{
    return add_header(wsi, "content-security-policy:",
                      "default-src 'none'; script-src 'self'; style-src 'self'; "
                      "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                      "frame-ancestors 'none'",
                      at, end) ||
           add_header(wsi, "x-content-type-options:", "nosniff", at, end) ||
           add_header(wsi, "referrer-policy:", "no-referrer", at, end) ||
           add_header(wsi, "cache-control:", "no-store", at, end);
}

static int send_asset(struct lws *wsi, unsigned status, const char *type, const void *body,
                      size_t size)
{
    unsigned char head[LWS_PRE + HEADERS], *start = head + LWS_PRE, *at = start,
                                           *end = head + sizeof head - 1;
    if (lws_add_http_common_headers(wsi, status, type, size, &at, end) ||
        add_policy(wsi, &at, end) || lws_finalize_write_http_header(wsi, start, &at, end)) {
        return 1;
    }
    unsigned char *copy = malloc(LWS_PRE + size + 1);
    if (!copy) {
        return 1;
    }
    memcpy(copy + LWS_PRE, body, size);
    /* What the connection does not take at once, the library keeps and sends later. */
    int written = lws_write(wsi, copy + LWS_PRE, size, LWS_WRITE_HTTP_FINAL);
    free(copy);
    return written < 0 || lws_http_transaction_completed(wsi);
}

static int serve(const struct server *server, struct lws *wsi, const char *path)
{
    static const char foreign[] = "This dashboard answers to its own address alone.\n";
    static const char missing[] = "There is no such page.\n";
    if (!may_ask(server, wsi)) {
        return send_asset(wsi, HTTP_STATUS_FORBIDDEN, "text/plain", foreign, sizeof foreign - 1);
    }
    const struct asset *asset = find_asset(path);
    if (!asset || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0) {
        return send_asset(wsi, HTTP_STATUS_NOT_FOUND, "text/plain", missing, sizeof missing - 1);
    }
    return send_asset(wsi, HTTP_STATUS_OK, asset->type, asset->bytes, asset->size);
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t size)
{
    const struct server *server = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return serve(server, wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return 1; /* a websocket that does not say it is the page's */
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
}

/* --- the websocket ---------------------------------------------------------------------------- */

static int send_text(struct server *server, struct lws *wsi, const char *text, size_t size)
{
    if (server->room_size < LWS_PRE + size) {
        unsigned char *larger = realloc(server->room, LWS_PRE + size + size / 2);
        if (!larger) {
            return 1;
        }
        server->room = larger;
        server->room_size = LWS_PRE + size + size / 2;
    }
    memcpy(server->room + LWS_PRE, text, size);
    return lws_write(wsi, server->room + LWS_PRE, size, LWS_WRITE_TEXT) < (int)size;
}

/* Sends the first text that this browser has not had yet, and asks to be called again. */
static int send_next(struct server *server, struct lws *wsi, struct browser *browser)
{
    if (browser->refusal[0]) {
        int rc = send_text(server, wsi, browser->refusal, strlen(browser->refusal));
        browser->refusal[0] = '\0';
        lws_callback_on_writable(wsi);
        return rc;
    }
    for (size_t kind = 0; kind < RELAY_KINDS; kind++) {
        const char *text;
        size_t size;
        uint64_t version = relay_text(server->relay, (enum relay_kind)kind, &text, &size);
        if (version > browser->sent[kind]) {
            browser->sent[kind] = version;
            lws_callback_on_writable(wsi);
            return send_text(server, wsi, text, size);
        }
    }
    return 0;
}

static int take_order(struct server *server, struct lws *wsi, struct browser *browser,
                      const char *in, size_t size)
{
    if (size > sizeof browser->order - browser->order_size) {
        return 1;
    }
    memcpy(browser->order + browser->order_size, in, size);
    browser->order_size += size;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0) {
        return 0;
    }
    const char *why = server->orders
                          ? orders_put(server->orders, browser->order, browser->order_size)
                          : "the dashboard was started without --control";
    browser->order_size = 0;
    if (why) {
        /* The sentences are constants of orders_put and need no escapes. */
        snprintf(browser->refusal, sizeof browser->refusal,
                 "{\"kind\":\"reply\",\"id\":null,\"reply\":{\"ok\":false,\"error\":\"%s\"}}", why);
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int on_socket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t size)
{
    struct server *server = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return !may_ask(server, wsi);
    case LWS_CALLBACK_ESTABLISHED: {
        const char *text;
        memset(user, 0, sizeof(struct browser));
        /* A reply to an order that was given before is nobody's business any more. */
        ((struct browser *)user)->sent[RELAY_REPLY] =
            relay_text(server->relay, RELAY_REPLY, &text, &size);
        lws_callback_on_writable(wsi);
        return 0;
    }
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return send_next(server, wsi, user);
    case LWS_CALLBACK_RECEIVE:
        return take_order(server, wsi, user, in, size);
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http},
    {.name = "trajd-dashboard",
     .callback = on_socket,
     .per_session_data_size = sizeof(struct browser),
     .rx_buffer_size = 4096},
    {.name = NULL},
};

/* --- the loop --------------------------------------------------------------------------------- */

static double steady_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Every picture: takes what came, makes the texts, and lets every browser have them. */
static void on_timer(lws_sorted_usec_list_t *timer)
{
    struct server *server = lws_container_of(timer, struct server, timer);
    if (relay_take(server->relay, steady_seconds(), server->error) != 0) {
        server->failed = 1;
        return;
    }
    relay_compose(server->relay);
    char *reply = server->orders ? orders_take(server->orders) : NULL;
    relay_put(server->relay, RELAY_REPLY, reply, reply ? strlen(reply) : 0);
    lws_callback_on_writable_all_protocol(server->context, &protocols[1]);
    lws_sul_schedule(server->context, 0, timer, on_timer, PICTURE_US);
}

static int listen_at(struct server *server)
{
    const struct dashboard_options *options = server->options;
    struct lws_context_creation_info info = {
        .iface = options->address,
        .port = (int)options->port,
        .protocols = protocols,
        .user = server,
        .fd_limit_per_thread = BROWSERS_MAX + 8,
        .options = LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   (strchr(options->address, ':') ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6),
    };
    /* What fails here is told in a sentence; what fails later is a browser's doing. */
    lws_set_log_level(0, NULL);
    server->context = lws_create_context(&info);
    server->vhost = server->context ? lws_create_vhost(server->context, &info) : NULL;
    if (!server->vhost) {
        return traj_error_set(server->error, "%s port %zu: taken, or no address of this machine",
                              options->address, options->port);
    }
    server->port = lws_get_vhost_listen_port(server->vhost);
    return 0;
}

static int serve_until_stopped(struct server *server)
{
    char url[NAME_MAX_BYTES];
    bool six = strchr(server->options->address, ':') != NULL;
    snprintf(url, sizeof url, "http://%s%s%s:%d/", six ? "[" : "", server->options->address,
             six ? "]" : "", server->port);
    server->options->ready(url, server->options->arg);
    lws_sul_schedule(server->context, 0, &server->timer, on_timer, 1);
    while (!server->failed && !server->options->stop()) {
        /* A signal that interrupts the wait is no failure: stop() tells. */
        if (lws_service(server->context, 0) < 0 && errno != EINTR) {
            return traj_error_set(server->error, "the web server: %s", strerror(errno));
        }
    }
    return server->failed ? -1 : 0;
}

int dashboard_run(const struct dashboard_options *options, struct traj_error *error)
{
    struct server server = {.options = options, .error = error};
    const struct relay_options relay = {.intents = options->intents,
                                        .frames = options->frames,
                                        .model = options->model,
                                        .keys = options->keys,
                                        .may_order = options->control != NULL};
    int status = relay_open(&relay, &server.relay, error);
    int rc = status == 0 && options->control
                 ? orders_open(options->control, options->keys, &server.orders)
                 : 0;
    if (rc != 0) {
        status = traj_error_set(error, "%s: %s", options->control, strerror(-rc));
    }
    if (status == 0) {
        status = listen_at(&server);
    }
    if (status == 0) {
        status = serve_until_stopped(&server);
    }
    if (server.context) {
        lws_context_destroy(server.context);
    }
    orders_close(&server.orders);
    relay_close(&server.relay);
    free(server.room);
    return status;
}
