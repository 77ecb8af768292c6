/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The body of topic "status"; see status.h. */
#include "proto/status.h"

#include "proto/json.h"

struct traj_status_field traj_status_count(const char *name, uint64_t count)
{
    return (struct traj_status_field){name, TRAJ_STATUS_COUNT, {.count = count}};
}

struct traj_status_field traj_status_number(const char *name, double number)
{
    return (struct traj_status_field){name, TRAJ_STATUS_NUMBER, {.number = number}};
}

struct traj_status_field traj_status_string(const char *name, const char *text)
{
    return (struct traj_status_field){name, TRAJ_STATUS_TEXT, {.text = text}};
}

struct traj_status_field traj_status_truth(const char *name, bool truth)
{
    return (struct traj_status_field){name, TRAJ_STATUS_TRUTH, {.truth = truth}};
}

struct traj_status_field traj_status_open(const char *name)
{
    return (struct traj_status_field){name, TRAJ_STATUS_OPEN, {.count = 0}};
}

struct traj_status_field traj_status_close(void)
{
    return (struct traj_status_field){NULL, TRAJ_STATUS_CLOSE, {.count = 0}};
}

static void put_field(struct traj_json_writer *writer, const struct traj_status_field *field)
{
    if (field->kind == TRAJ_STATUS_CLOSE) {
        traj_json_put_bracket(writer, '}');
        return;
    }
    traj_json_put_key(writer, field->name);
    switch (field->kind) {
    case TRAJ_STATUS_COUNT:
        traj_json_put_u64(writer, field->value.count);
        break;
    case TRAJ_STATUS_NUMBER:
        traj_json_put_double(writer, field->value.number);
        break;
    case TRAJ_STATUS_TEXT:
        traj_json_put_text(writer, field->value.text);
        break;
    case TRAJ_STATUS_TRUTH:
        traj_json_put_bool(writer, field->value.truth);
        break;
    case TRAJ_STATUS_OPEN:
        traj_json_put_bracket(writer, '{');
        break;
    case TRAJ_STATUS_CLOSE:
        break;
    }
}

size_t traj_status_write(const struct traj_status_field *field, size_t fields, char *out,
                         size_t cap)
{
    struct traj_json_writer writer;
    size_t open = 0;
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "v");
    traj_json_put_u64(&writer, 1);
    traj_json_put_key(&writer, "type");
    traj_json_put_text(&writer, "status");
    for (size_t i = 0; i < fields; i++) {
        if (field[i].kind == TRAJ_STATUS_CLOSE && open == 0) {
            return 0;
        }
        open += field[i].kind == TRAJ_STATUS_OPEN;
        open -= field[i].kind == TRAJ_STATUS_CLOSE;
        put_field(&writer, &field[i]);
    }
    traj_json_put_bracket(&writer, '}');
    return open == 0 ? traj_json_written(&writer) : 0;
}
