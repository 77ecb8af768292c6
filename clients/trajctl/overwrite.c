/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See overwrite.h. */
#include "clients/trajctl/overwrite.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/learn/recording_parts.h"

#define PATH_SIZE 4096

static bool is_stdio(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* What the path's folder is, and what it is called there; false where the folder is not there. */
static bool find_folder(const char *path, struct stat *folder, const char **name)
{
    char text[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length + sizeof "." > sizeof text) {
        return false;
    }
    memcpy(text, path, length);
    memcpy(text + length, ".", sizeof ".");
    *name = path + length;
    return stat(text, folder) == 0;
}

/* Devices and pipes hold nothing that could be lost; two files to come are one by their place. */
static bool same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    const char *name_a, *name_b;
    bool there = stat(a, &of_a) == 0;
    if (there != (stat(b, &of_b) == 0)) {
        return false;
    }
    if (there) {
        return S_ISREG(of_a.st_mode) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
    }
    return find_folder(a, &of_a, &name_a) && find_folder(b, &of_b, &name_b) &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino && strcmp(name_a, name_b) == 0;
}

/* Whether reading `input` also reads `output`: it is the same file, or a later part. */
static bool is_read_as(const char *input, const char *output)
{
    char path[PATH_SIZE];
    size_t stem;
    uint64_t part;
    struct stat there;
    if (is_stdio(input) || stat(output, &there) != 0) {
        return false;
    }
    if (same_file(input, output)) {
        return true;
    }
    if (!traj_recording_part(input, &stem, &part) ||
        stem + TRAJ_RECORDING_PART_SUFFIX > sizeof path) {
        return false;
    }
    memcpy(path, input, stem);
    const uint64_t last = traj_recording_last_part(input, stem);
    while (part++ < last) {
        traj_recording_part_suffix(path + stem, part);
        if (same_file(path, output)) {
            return true;
        }
    }
    return false;
}

/* The value of an option, or one of its several; NULL beyond the last. */
static const char *value_at(const struct command_option *option, size_t i)
{
    if (option->kind == OPTION_REPEATED) {
        const struct option_list *list = option->into;
        return i < list->count ? list->item[i] : NULL;
    }
    return i == 0 ? *(const char *const *)option->into : NULL;
}

static int check_against(const char *command, const struct command_option *output,
                         const struct command_option *other)
{
    const char *path = value_at(output, 0), *value;
    for (size_t i = 0; (value = value_at(other, i)) != NULL; i++) {
        if (other->file == FILE_READ && is_read_as(value, path)) {
            return usage_error(command, "--%s %s would overwrite --%s %s, which is read",
                               output->name, path, other->name, value);
        }
        if (other->file == FILE_WRITTEN && !is_stdio(value) && same_file(value, path)) {
            return usage_error(command, "--%s %s and --%s %s are the same file", other->name, value,
                               output->name, path);
        }
    }
    return OPTIONS_RUN;
}

int check_overwriting(const struct command_help *help, const struct command_option *options,
                      size_t count, char *const *operand, size_t operands)
{
    for (size_t k = 0; k < count; k++) {
        const struct command_option *output = &options[k];
        const char *path = output->file == FILE_WRITTEN ? value_at(output, 0) : NULL;
        if (!path || is_stdio(path)) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            bool later = options[i].file == FILE_WRITTEN && i >= k;
            if (options[i].file != FILE_NONE && !later &&
                check_against(help->name, output, &options[i]) != OPTIONS_RUN) {
                return EXIT_USAGE;
            }
        }
        for (size_t i = help->operands - help->inputs; i < operands; i++) {
            if (is_read_as(operand[i], path)) {
                return usage_error(help->name, "--%s %s would overwrite %s, which is read",
                                   output->name, path, operand[i]);
            }
        }
    }
    return OPTIONS_RUN;
}
