/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a model file: refused with a sentence, or a model that passes its check and that a
 * decoder can be made from.  The digest is put right first, else nothing would get past it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/learn/model_layout.h"
#include "tests/fuzz/require.h"
#include "traj/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct traj_model *model)
{
    REQUIRE(traj_model_check(model, NULL, NULL) == TRAJ_OK);
    REQUIRE(strlen(model->about.digest) == 64);
    size_t bytes = traj_decoder_size(&model->dims);
    REQUIRE(bytes > 0);
    void *memory = malloc(bytes);
    struct traj_decoder *decoder;
    REQUIRE(memory && traj_decoder_init(memory, bytes, model, NULL, &decoder) == TRAJ_OK);
    struct traj_observation nothing = {.dt = model->bin_width, .steps = 1};
    struct traj_estimate estimate;
    traj_decoder_trial_start(decoder);
    REQUIRE(traj_decoder_step(decoder, &nothing, &estimate) == TRAJ_OK);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *image = malloc(size > 0 ? size : 1);
    REQUIRE(image);
    memcpy(image, data, size);
    (void)traj_model_seal(image, size);
    struct traj_error error = {""};
    struct traj_model *model = traj_model_parse(image, size, "bytes", &error);
    REQUIRE((model == NULL) == (error.text[0] != '\0'));
    if (model)
        use(model);
    traj_model_free(model);
    free(image);
    return 0;
}
