/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of a stream in replies of Redis; see brand_reply.h. */
#include "daemon/io/source/brand_reply.h"

#include <string.h>

#define ELEMENTS_MAX                                                                               \
    65536 /* of one array: far beyond the entries of a read, or an entry's fields */
#define BYTES_MAX ((size_t)1 << 26) /* of a reply */

/* --- bounds --------------------------------------------------------------------------------- */

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* hiredis' own, but for arrays. */
static redisReplyObjectFunctions functions;
static void *(*make_array)(const redisReadTask *task, element_count elements);

static void *make_bounded_array(const redisReadTask *task, element_count elements)
{
    return elements <= ELEMENTS_MAX ? make_array(task, elements) : NULL;
}

void traj_brand_bound(redisReader *reader)
{
    /* The first call is over before there is a second thread; from then on nothing changes them. */
    if (functions.createArray == NULL) {
        functions = *reader->fn;
        make_array = functions.createArray;
        functions.createArray = make_bounded_array;
    }
    reader->fn = &functions;
}

bool traj_brand_too_long(const redisReader *reader)
{
    return reader->len - reader->pos > BYTES_MAX;
}

/* --- entries -------------------------------------------------------------------------------- */

static bool is_pair(const redisReply *reply, int first, int second)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == first && reply->element[1]->type == second;
}

const char *traj_brand_newest(const redisReply *reply)
{
    const char *id = "0-0";
    const redisReply *fields;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > 1 ||
        (reply->elements == 1 && !traj_brand_open(reply->element[0], &id, &fields))) {
        return NULL;
    }
    return id;
}

const redisReply *traj_brand_entries(const redisReply *reply)
{
    const redisReply *stream =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 ? reply->element[0] : NULL;

    return stream != NULL && is_pair(stream, REDIS_REPLY_STRING, REDIS_REPLY_ARRAY)
               ? stream->element[1]
               : NULL;
}

bool traj_brand_open(const redisReply *entry, const char **id, const redisReply **fields)
{
    if (!is_pair(entry, REDIS_REPLY_STRING, REDIS_REPLY_ARRAY)) {
        return false;
    }
    *id = entry->element[0]->str;
    *fields = entry->element[1];
    return true;
}

static const redisReply *field_of(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i];
        const redisReply *value = fields->element[i + 1];

        if (key->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
            strcmp(key->str, name) == 0) {
            return value;
        }
    }
    return NULL;
}

static bool read_step(const struct traj_brand_layout *layout, const redisReply *fields,
                      int64_t *step)
{
    const redisReply *value = field_of(fields, layout->step_field);
    enum traj_refusal refusal;

    if (value == NULL) {
        return false;
    }
    refusal = layout->step_label[0] != '\0'
                  ? traj_brand_label(value->str, value->len, layout->step_label, step, NULL)
                  : traj_brand_number(layout->step_type, value->str, value->len, step, NULL);
    return refusal == TRAJ_ACCEPTED;
}

bool traj_brand_read(const struct traj_brand_layout *layout, const redisReply *fields,
                     uint16_t *counts, size_t room, struct traj_brand_entry *entry)
{
    const redisReply *value = field_of(fields, layout->field);
    const redisReply *sync = field_of(fields, "sync");

    *entry = (struct traj_brand_entry){.sync = sync != NULL ? sync->str : NULL,
                                       .sync_size = sync != NULL ? sync->len : 0};
    return value != NULL && read_step(layout, fields, &entry->step) &&
           traj_brand_counts(layout->type, value->str, value->len, counts, room, &entry->count,
                             NULL) == TRAJ_ACCEPTED;
}
