/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The map file of a source; see units_map.h. */
#include "proto/units_map.h"

#include <string.h>

#include "proto/json.h"

static bool same(const struct traj_map_unit *unit, const char *channel, int32_t number)
{
    return unit->unit == number && strcmp(unit->channel, channel) == 0;
}

size_t traj_units_map_find(const struct traj_units_map *map, const char *channel, int32_t unit)
{
    size_t any = (size_t)-1;

    for (size_t n = 0; n < map->units; n++) {
        if (same(&map->unit[n], channel, unit)) {
            return n;
        }
        if (any == (size_t)-1 && same(&map->unit[n], channel, TRAJ_MAP_ANY)) {
            any = n;
        }
    }
    return any;
}

static bool read_unit_number(struct traj_json *json, int32_t *unit)
{
    uint64_t number = 0;

    if (traj_json_peek(json) == 'n') {
        *unit = TRAJ_MAP_ANY;
        return traj_json_null(json);
    }
    if (!traj_json_u64(json, &number)) {
        return false;
    }
    if (number > UINT16_MAX) {
        return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "above 65535");
    }
    *unit = (int32_t)number;
    return true;
}

/* One line; every key exactly once. */
static bool read_unit(struct traj_json *json, struct traj_map_unit *unit)
{
    enum { NAME = 1, CHANNEL = 2, UNIT = 4 };
    unsigned seen = 0;
    char key[16];

    if (!traj_json_object(json)) {
        return false;
    }
    while (traj_json_member(json, key, sizeof key)) {
        unsigned which = strcmp(key, "name") == 0      ? NAME
                         : strcmp(key, "channel") == 0 ? CHANNEL
                         : strcmp(key, "unit") == 0    ? UNIT
                                                       : 0;

        if (which == 0 || (seen & which) != 0) {
            return traj_json_refuse(json, TRAJ_REFUSED_FIELD,
                                    "a unit has name, channel and unit, each once");
        }
        seen |= which;
        if (which == NAME      ? !traj_json_text(json, unit->name, sizeof unit->name)
            : which == CHANNEL ? !traj_json_text(json, unit->channel, sizeof unit->channel)
                               : !read_unit_number(json, &unit->unit)) {
            return false;
        }
    }
    if (json->refusal == TRAJ_ACCEPTED &&
        (seen != (NAME | CHANNEL | UNIT) || unit->name[0] == '\0' || unit->channel[0] == '\0')) {
        return traj_json_refuse(json, TRAJ_REFUSED_FIELD,
                                "a unit has name, channel and unit, none of them empty");
    }
    return json->refusal == TRAJ_ACCEPTED;
}

static bool read_units(struct traj_json *json, struct traj_units_map *map)
{
    map->units = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (traj_json_element(json)) {
        if (map->units >= map->units_max) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more units than there is room for");
        }
        if (!read_unit(json, &map->unit[map->units])) {
            return false;
        }
        map->units++;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

/* What no line may say that another has said. */
static const char *doubled(const struct traj_units_map *map)
{
    for (size_t n = 1; n < map->units; n++) {
        for (size_t m = 0; m < n; m++) {
            if (strcmp(map->unit[n].name, map->unit[m].name) == 0) {
                return "two units of one name";
            }
            if (same(&map->unit[m], map->unit[n].channel, map->unit[n].unit)) {
                return "two lines for one unit of a channel";
            }
        }
    }
    return NULL;
}

static bool read_rate(struct traj_json *json, double *rate)
{
    if (!traj_json_double(json, rate)) {
        return false;
    }
    if (!(*rate >= 1.0 && *rate <= 1e10)) {
        return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "not between 1 and 1e10");
    }
    return true;
}

enum { TYPE, VERSION, SOURCE, STREAM, RATE, UNITS, KEYS };
static const char *const keys[KEYS] = {"type", "v", "source", "stream", "rate", "units"};

static bool read_value(struct traj_json *json, int key, struct traj_units_map *map)
{
    char type[8];
    uint64_t version = 0;

    switch (key) {
    case TYPE:
        return traj_json_text(json, type, sizeof type) &&
               (strcmp(type, "units") == 0 ||
                traj_json_refuse(json, TRAJ_REFUSED_TYPE, "not \"units\""));
    case VERSION:
        return traj_json_u64(json, &version) &&
               (version == 1 || traj_json_refuse(json, TRAJ_REFUSED_VERSION, "not 1"));
    case SOURCE:
        return traj_json_text(json, map->source, sizeof map->source);
    case STREAM:
        return traj_json_text(json, map->stream, sizeof map->stream);
    case RATE:
        return read_rate(json, &map->rate);
    default:
        return read_units(json, map);
    }
}

static enum traj_refusal refuse_at(const struct traj_json *json, const char *field,
                                   struct traj_refusal_detail *detail)
{
    return traj_refuse(detail, json->refusal, field, json->reason,
                       (size_t)(json->at - json->begin));
}

enum traj_refusal traj_units_map_parse(const void *body, size_t size, struct traj_units_map *map,
                                       struct traj_refusal_detail *detail)
{
    struct traj_json json;
    bool seen[KEYS] = {false};
    char name[16];
    const char *twice;

    map->source[0] = '\0';
    map->stream[0] = '\0';
    map->rate = 0.0;
    map->units = 0;
    traj_json_start(&json, body, size);
    if (!traj_json_object(&json)) {
        return refuse_at(&json, "map", detail);
    }
    while (traj_json_member(&json, name, sizeof name)) {
        int key = 0;

        while (key < KEYS && strcmp(name, keys[key]) != 0) {
            key++;
        }
        if (key == KEYS || seen[key]) {
            return traj_refuse(detail, TRAJ_REFUSED_FIELD, "map",
                               key == KEYS ? "a key that is unknown" : "a key that stands twice",
                               (size_t)(json.at - json.begin));
        }
        seen[key] = true;
        if (!read_value(&json, key, map)) {
            return refuse_at(&json, keys[key], detail);
        }
    }
    if (!traj_json_finish(&json)) {
        return refuse_at(&json, "map", detail);
    }
    if (!seen[TYPE] || !seen[VERSION] || !seen[SOURCE] || !seen[UNITS]) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "map",
                           "type, v, source and units must all be there", size);
    }
    twice = doubled(map);
    return twice == NULL ? TRAJ_ACCEPTED
                         : traj_refuse(detail, TRAJ_REFUSED_FIELD, "units", twice, size);
}

/* Characters that are no JSON value: the writer itself knows no line breaks. */
static void put_raw(struct traj_json_writer *writer, char character)
{
    if (writer->full || writer->length >= writer->cap) {
        writer->full = true;
        return;
    }
    if (writer->out != NULL) {
        writer->out[writer->length] = character;
    }
    writer->length++;
}

static void put_unit(struct traj_json_writer *writer, const struct traj_map_unit *unit)
{
    traj_json_put_bracket(writer, '{');
    traj_json_put_key(writer, "name");
    traj_json_put_text(writer, unit->name);
    traj_json_put_key(writer, "channel");
    traj_json_put_text(writer, unit->channel);
    traj_json_put_key(writer, "unit");
    if (unit->unit == TRAJ_MAP_ANY) {
        traj_json_put_null(writer);
    } else {
        traj_json_put_u64(writer, (uint64_t)unit->unit);
    }
    traj_json_put_bracket(writer, '}');
}

size_t traj_units_map_write(const struct traj_units_map *map, char *out, size_t cap)
{
    struct traj_json_writer writer;

    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "type");
    traj_json_put_text(&writer, "units");
    traj_json_put_key(&writer, "v");
    traj_json_put_u64(&writer, 1);
    traj_json_put_key(&writer, "source");
    traj_json_put_text(&writer, map->source);
    if (map->stream[0] != '\0') {
        traj_json_put_key(&writer, "stream");
        traj_json_put_text(&writer, map->stream);
    }
    if (map->rate > 0.0) {
        traj_json_put_key(&writer, "rate");
        traj_json_put_double(&writer, map->rate);
    }
    traj_json_put_key(&writer, "units");
    traj_json_put_bracket(&writer, '[');
    for (size_t n = 0; n < map->units; n++) {
        if (n > 0) {
            put_raw(&writer, ',');
            writer.comma = false;
        }
        put_raw(&writer, '\n');
        put_unit(&writer, &map->unit[n]);
    }
    traj_json_put_bracket(&writer, ']');
    traj_json_put_bracket(&writer, '}');
    put_raw(&writer, '\n');
    return traj_json_written(&writer);
}
