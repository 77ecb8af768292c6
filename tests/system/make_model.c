/* SPDX-License-Identifier: GPL-3.0-or-later */
/* make_model OUT UNITS TARGETS SEED [DIM]: writes the tests' small model to a file. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/learn/model_file.h"
#include "tests/system/tiny_model.h"

int main(int argc, char **argv)
{
    struct traj_error error = {{0}};
    struct traj_model *model;
    int rc = -1;

    if (argc != 5 && argc != 6) {
        (void)fprintf(stderr, "usage: make_model OUT UNITS TARGETS SEED [DIM]\n");
        return 2;
    }
    model =
        tiny_model(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
                   argc == 6 ? strtoul(argv[5], NULL, 10) : 2, strtoul(argv[4], NULL, 10), &error);
    if (model != NULL) {
        rc = traj_model_save(model, argv[1], &error);
    }
    traj_model_free(model);
    if (rc != 0) {
        (void)fprintf(stderr, "make_model: %s\n", error.text);
    }
    return rc == 0 ? 0 : 1;
}
