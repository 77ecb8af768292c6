/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as the daemon's configuration, and its line that names a source: refused by a sentence,
 * or read, and then what is written of it reads to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/config.h"
#include "daemon/io/source/url.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

static void try_source(const char *text)
{
    static struct traj_url url;
    struct traj_error error = {{0}};
    double number = 1.0;
    if (traj_url_parse(text, &url, &error) != 0) {
        REQUIRE(error.text[0] != '\0');
        return;
    }
    ACCEPTED(1);
    REQUIRE(url.options <= TRAJ_URL_OPTIONS && strlen(url.host) < TRAJ_URL_SIZE);
    for (size_t i = 0; i < url.options; i++) {
        (void)traj_url_real(&url, url.option[i].key, 0.0, 1e6, &number, &error);
        REQUIRE(number >= 0.0 && number <= 1e6);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_config config, again;
    struct traj_error error = {{0}};
    traj_config_default(&config);
    if (traj_config_parse(&config, (const char *)data, size, "fuzz", &error) != 0) {
        REQUIRE(error.text[0] != '\0');
        return 0;
    }
    ACCEPTED(0);
    try_source(config.source);
    char *text = traj_config_text(&config);
    REQUIRE(text != NULL);
    traj_config_default(&again);
    REQUIRE(traj_config_parse(&again, text, strlen(text), "again", &error) == 0);
    char *second = traj_config_text(&again);
    REQUIRE(second != NULL && strcmp(text, second) == 0);
    free(text);
    free(second);
    return 0;
}
