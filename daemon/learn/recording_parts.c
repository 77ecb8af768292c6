/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of parts; see recording_parts.h. */
#include "daemon/learn/recording_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDING ".rec"
#define DIGITS 4       /* at least; small numbers are filled up with zeros */
#define DIGITS_MAX 15u /* no recording has so many parts, and the number fits */

void traj_recording_part_suffix(char out[TRAJ_RECORDING_PART_SUFFIX], uint64_t part)
{
    (void)snprintf(out, TRAJ_RECORDING_PART_SUFFIX, ".%0*" PRIu64 ENDING, DIGITS, part);
}

bool traj_recording_part(const char *path, size_t *stem, uint64_t *part)
{
    size_t length = strlen(path);
    char suffix[TRAJ_RECORDING_PART_SUFFIX];
    if (length <= sizeof ENDING || strcmp(path + length - (sizeof ENDING - 1), ENDING) != 0)
        return false;
    size_t end = length - (sizeof ENDING - 1), at = end;
    while (at > 0 && end - at < DIGITS_MAX && isdigit((unsigned char)path[at - 1]))
        at--;
    if (at < 2 || path[at - 1] != '.' || at == end)
        return false;
    *stem = at - 1;
    *part = strtoull(path + at, NULL, 10);
    /* Each part has one name: no digit too few, no zero too many. */
    traj_recording_part_suffix(suffix, *part);
    return *part > 0 && strcmp(path + *stem, suffix) == 0;
}

uint64_t traj_recording_last_part(const char *path, size_t stem)
{
    uint64_t last = 0;
    char *name = strndup(path, stem);
    if (name == NULL)
        return 0;
    char *slash = strrchr(name, '/');
    const char *own = slash != NULL ? slash + 1 : name;
    const size_t length = strlen(own);
    const char *folder = slash == NULL ? "." : slash == name ? "/" : name;
    /* The folder's name ends here. */
    if (slash != NULL)
        *slash = '\0';
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        size_t before;
        uint64_t part;
        if (traj_recording_part(entry->d_name, &before, &part) && before == length &&
            strncmp(entry->d_name, own, length) == 0 && part > last)
            last = part;
    }
    if (directory != NULL)
        (void)closedir(directory);
    free(name);
    return last;
}
