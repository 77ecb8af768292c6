/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one line that chooses a source; see url.h. */
#include "daemon/io/source/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Ends the text at the first of a separator; what follows it, or NULL. */
static char *cut(char *text, const char *separator)
{
    char *at = strstr(text, separator);

    if (at == NULL) {
        return NULL;
    }
    *at = '\0';
    return at + strlen(separator);
}

static int parse_options(struct traj_url *url, char *text, struct traj_error *error)
{
    while (text != NULL && *text != '\0') {
        char *next = cut(text, "&");
        char *value = cut(text, "=");

        if (value == NULL || *text == '\0' || *value == '\0') {
            return traj_error_set(error, "source: \"%s\" is not an option of the form key=value",
                                  text);
        }
        if (url->options == TRAJ_URL_OPTIONS) {
            return traj_error_set(error, "source: more than %d options", TRAJ_URL_OPTIONS);
        }
        if (traj_url_text(url, text, NULL) != NULL) {
            return traj_error_set(error, "source: option \"%s\" stands twice", text);
        }
        url->option[url->options].key = text;
        url->option[url->options].value = value;
        url->options++;
        text = next;
    }
    return 0;
}

int traj_url_parse(const char *text, struct traj_url *url, struct traj_error *error)
{
    char *host;
    char *options;
    char *port;

    memset(url, 0, sizeof *url);
    if (strlen(text) >= sizeof url->text) {
        return traj_error_set(error, "source: longer than %d bytes", TRAJ_URL_SIZE - 1);
    }
    memcpy(url->text, text, strlen(text) + 1);
    memcpy(url->whole, text, strlen(text) + 1);
    host = cut(url->text, "://");
    if (host == NULL || url->text[0] == '\0') {
        return traj_error_set(error, "source: \"%s\" is not of the form system://host:port", text);
    }
    options = cut(host, "?");
    port = strrchr(host, ':');
    if (port != NULL) {
        *port++ = '\0';
    }
    url->scheme = url->text;
    url->host = host;
    url->port = port != NULL ? port : "";
    if (host[0] == '\0' || strchr(host, '/') != NULL ||
        strspn(url->port, "0123456789") != strlen(url->port) || strlen(url->port) > 5 ||
        strtol(url->port, NULL, 10) > 65535) {
        return traj_error_set(error, "source: \"%s\" names no host, or a port that is none", text);
    }
    return parse_options(url, options, error);
}

const char *traj_url_text(const struct traj_url *url, const char *key, const char *fallback)
{
    for (size_t i = 0; i < url->options; i++) {
        if (strcmp(url->option[i].key, key) == 0) {
            return url->option[i].value;
        }
    }
    return fallback;
}

int traj_url_real(const struct traj_url *url, const char *key, double low, double high, double *out,
                  struct traj_error *error)
{
    const char *text = traj_url_text(url, key, NULL);
    char *end;
    double value;

    if (text == NULL) {
        return 0;
    }
    value = strtod(text, &end);
    if (*end != '\0' || !(value >= low && value <= high)) {
        return traj_error_set(error,
                              "source: option \"%s\" must be a number between %g and %g, not %s",
                              key, low, high, text);
    }
    *out = value;
    return 0;
}

int traj_url_whole(const struct traj_url *url, const char *key, long low, long high, long *out,
                   struct traj_error *error)
{
    const char *text = traj_url_text(url, key, NULL);
    char *end;
    long value;

    if (text == NULL) {
        return 0;
    }
    errno = 0;
    value = strtol(text, &end, 10);
    if (*end != '\0' || errno != 0 || value < low || value > high) {
        return traj_error_set(
            error, "source: option \"%s\" must be a whole number between %ld and %ld, not %s", key,
            low, high, text);
    }
    *out = value;
    return 0;
}

static bool listed(const char *key, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++) {
        if (strcmp(key, *list) == 0) {
            return true;
        }
    }
    return false;
}

int traj_url_check(const struct traj_url *url, const char *const *common, const char *const *own,
                   struct traj_error *error)
{
    for (size_t i = 0; i < url->options; i++) {
        if (!listed(url->option[i].key, common) && !listed(url->option[i].key, own)) {
            return traj_error_set(error, "source: %s knows no option \"%s\"", url->scheme,
                                  url->option[i].key);
        }
    }
    return 0;
}
