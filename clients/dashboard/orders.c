/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A thread with a place for one order and one for its reply. */
#include "clients/dashboard/orders.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 3000 /* the daemon answers within this, or is not there */
#define LOAD_MS 60000  /* a model is read and checked before the answer */

struct orders {
    struct traj_control *control;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool end;
    bool busy;     /* an order waits or is being carried out */
    json_t *order; /* {"id":..., "request":...} that waits, or NULL */
    char *reply;   /* that nobody has taken yet, or NULL */
};

/* The daemon's answer, or one in its form that says why there is none; NULL = memory is short. */
static json_t *ask(struct orders *orders, const json_t *request)
{
    const char *answer = NULL;
    bool model = json_object_get(request, "path") != NULL;
    char *text = json_dumps(request, JSON_COMPACT);
    int rc = text
                 ? traj_control_request(orders->control, text, model ? LOAD_MS : ANSWER_MS, &answer)
                 : -ENOMEM;
    json_t *reply = rc == 0 ? json_loads(answer, 0, NULL) : NULL;
    if (!json_is_object(reply)) {
        json_decref(reply);
        reply = json_pack("{s:b,s:s}", "ok", 0, "error",
                          rc == -ETIMEDOUT ? "the daemon does not answer" : "no answer");
    }
    free(text);
    return reply;
}

static void carry_out(struct orders *orders, json_t *order)
{
    json_t *reply = ask(orders, json_object_get(order, "request"));
    json_t *message =
        json_pack("{s:s,s:O,s:O,s:o}", "kind", "reply", "id", json_object_get(order, "id"),
                  "request", json_object_get(order, "request"), "reply", reply);
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    pthread_mutex_lock(&orders->lock);
    free(orders->reply);
    orders->reply = text;
    orders->busy = false;
    pthread_mutex_unlock(&orders->lock);
}

static void *work(void *arg)
{
    struct orders *orders = arg;
    for (;;) {
        pthread_mutex_lock(&orders->lock);
        while (!orders->order && !orders->end) {
            pthread_cond_wait(&orders->changed, &orders->lock);
        }
        json_t *order = orders->order;
        orders->order = NULL;
        bool end = orders->end;
        pthread_mutex_unlock(&orders->lock);
        if (order && !end) {
            carry_out(orders, order);
        }
        json_decref(order);
        if (end) {
            return NULL;
        }
    }
}

int orders_open(const char *endpoint, const struct traj_keys *keys, struct orders **orders)
{
    struct orders *self = calloc(1, sizeof *self);
    *orders = NULL;
    if (!self) {
        return -ENOMEM;
    }
    int rc = traj_control_open_with(endpoint, keys, &self->control);
    if (rc != 0) {
        free(self);
        return rc;
    }
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    rc = pthread_create(&self->thread, NULL, work, self);
    if (rc != 0) {
        traj_control_close(&self->control);
        pthread_mutex_destroy(&self->lock);
        pthread_cond_destroy(&self->changed);
        free(self);
        return -rc;
    }
    *orders = self;
    return 0;
}

void orders_close(struct orders **orders)
{
    struct orders *self = *orders;
    if (!self) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    self->end = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    traj_control_close(&self->control);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    json_decref(self->order);
    free(self->reply);
    free(self);
    *orders = NULL;
}

/* What the page may ask for; everything else is for the command line. */
static bool allowed(const json_t *request)
{
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    const char *action = json_string_value(json_object_get(request, "action"));
    if (!cmd) {
        return false;
    }
    if (strcmp(cmd, "model") == 0) {
        return action && (strcmp(action, "load") == 0 || strcmp(action, "rollback") == 0);
    }
    return strcmp(cmd, "trial") == 0 || strcmp(cmd, "prior") == 0 || strcmp(cmd, "pause") == 0;
}

const char *orders_put(struct orders *orders, const char *text, size_t size)
{
    json_t *order = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *why = NULL;
    if (!json_is_object(order) || !json_is_integer(json_object_get(order, "id")) ||
        !json_is_object(json_object_get(order, "request"))) {
        why = "an order is an object of a whole number id and an object request";
    } else if (!allowed(json_object_get(order, "request"))) {
        why = "the page may order trial, prior, pause, model load and model rollback alone";
    }
    if (!why) {
        pthread_mutex_lock(&orders->lock);
        /* A reply that the pages have not been given yet must not be lost. */
        if (orders->busy || orders->reply) {
            why = "the order before this one is still under way";
        } else {
            orders->busy = true;
            orders->order = order;
            order = NULL;
            pthread_cond_signal(&orders->changed);
        }
        pthread_mutex_unlock(&orders->lock);
    }
    json_decref(order);
    return why;
}

char *orders_take(struct orders *orders)
{
    pthread_mutex_lock(&orders->lock);
    char *reply = orders->reply;
    orders->reply = NULL;
    pthread_mutex_unlock(&orders->lock);
    return reply;
}
