/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page's files, put into the program by the build (embed.cmake). */
#ifndef DASHBOARD_ASSETS_H
#define DASHBOARD_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as the browser asks for it */
    const char *type; /* its media type */
    const unsigned char *bytes;
    size_t size;
};

extern const struct asset dashboard_asset[];
extern const size_t dashboard_assets;

#endif
