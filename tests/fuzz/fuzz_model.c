/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a model file: refused with a sentence, or a model that passes its check and decodes.
 * The digest is put right first, else nothing would get past it.
 *
 * The first byte chooses: the rest is the file itself, or it bends one of the good files made here,
 * four bytes at a time: a place (two bytes), how (the third) and a value.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/learn/model_layout.h"
#include "tests/common/small_model.h"
#include "tests/fuzz/held_file.h"
#include "tests/oracle/chain_model.h"
#include "tests/oracle/random_model.h"

#define IMAGE_MAX ((size_t)1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum base { SMALL, WARPED, COURSE, COURSE_GAUSSIAN, COURSE_STEERED, BASES };

/* One way of reading for each good file; any other file counts as the last. */
FUZZ_READERS(BASES + 1);

struct image {
    unsigned char byte[IMAGE_MAX];
    size_t size;
};

/* --- good files ------------------------------------------------------------------------------- */

static void save(struct traj_model *model, struct image *image)
{
    static const char id[2][TRAJ_ID_SIZE] = {"left", "right"};
    struct traj_error error = {""};
    REQUIRE(model->dims.targets == 2);
    model->about.target_id = id;
    struct held_file held;
    held_file_make(&held, "", 0);
    if (traj_model_save(model, held.path, &error) != 0)
        fprintf(stderr, "%s\n", error.text);
    REQUIRE(error.text[0] == '\0');
    FILE *file = fopen(held.path, "rb");
    REQUIRE(file != NULL);
    image->size = fread(image->byte, 1, sizeof image->byte, file);
    REQUIRE(image->size > 0 && image->size < sizeof image->byte && fclose(file) == 0);
    held_file_drop(&held);
}

static void make_small(struct image *image)
{
    struct traj_model *model = small_model();
    REQUIRE(model != NULL);
    save(model, image);
    traj_model_free(model); /* one allocation: the names are not freed with it */
}

static void make_warped(struct image *image)
{
    const struct traj_dims dims = {.position = 2,
                                   .state = 4,
                                   .units = 3,
                                   .features = 2,
                                   .targets = 2,
                                   .components = 3,
                                   .lag = 2,
                                   .tunings = 1,
                                   .delay = 2,
                                   .warps = 2};
    struct random random = {1};
    struct random_model made;
    random_model_make(&made, &random, &dims, 1);
    save(&made.model, image);
    random_model_free(&made);
}

static void make_course(enum base base, struct image *image)
{
    static struct chain_model m;
    static struct chain_steering s;
    struct random random = {2};
    chain_draw(&m, &random, base != COURSE, base == COURSE ? GAINS : 0);
    if (base != COURSE)
        chain_remember(&m, &random);
    if (base == COURSE_STEERED)
        chain_add_steering(&m, &s, &random);
    save(&m.model, image);
}

static const struct image *good_file(enum base base)
{
    static struct image image[BASES];
    if (image[base].size == 0) {
        if (base == SMALL)
            make_small(&image[base]);
        else if (base == WARPED)
            make_warped(&image[base]);
        else
            make_course(base, &image[base]);
    }
    return &image[base];
}

/* --- bad ones --------------------------------------------------------------------------------- */

/* Bends four bytes of input's worth: a byte, a double or an integer somewhere in the file. */
static void bend(struct image *image, const uint8_t *how)
{
    static const double wild[] = {NAN, INFINITY, -INFINITY, 0.0,   -0.0,   -1.0,   1.0,
                                  2.0, 1e300,    -1e300,    1e150, 1e-300, 5e-324, 0.5};
    const size_t at = (how[0] | (size_t)how[1] << 8) % image->size;
    const double value = wild[how[3] % (sizeof wild / sizeof wild[0])];
    const int32_t whole = how[3] - 128;
    if (how[2] % 3 == 0) {
        image->byte[at] = how[3];
    } else if (how[2] % 3 == 1 && at / 8 * 8 + sizeof value <= image->size) {
        memcpy(image->byte + at / 8 * 8, &value, sizeof value);
    } else if (how[2] % 3 == 2 && at / 4 * 4 + sizeof whole <= image->size) {
        memcpy(image->byte + at / 4 * 4, &whole, sizeof whole);
    }
}

/* Decodes some frames: nothing seen, every count and feature there, a gap.  False if the numbers,
 * each good by itself, are too wild for a decoder to be made. */
static bool use(const struct traj_model *model)
{
    enum { FRAMES_TRIED = 6 };
    REQUIRE(traj_model_check(model, NULL, NULL) == TRAJ_OK);
    REQUIRE(strlen(model->about.digest) == 64);
    const size_t bytes = traj_decoder_size(&model->dims);
    REQUIRE(bytes > 0);
    void *memory = malloc(bytes);
    uint16_t *counts = calloc(model->dims.units + 1, sizeof *counts);
    float *features = calloc(model->dims.features + 1, sizeof *features);
    struct traj_decoder *decoder;
    REQUIRE(memory && counts && features);
    const enum traj_status made = traj_decoder_init(memory, bytes, model, NULL, &decoder);
    REQUIRE(made == TRAJ_OK || made == TRAJ_E_NOT_PD || made == TRAJ_E_NONFINITE);
    if (made == TRAJ_OK)
        traj_decoder_trial_start(decoder);
    for (size_t i = 0; made == TRAJ_OK && i < FRAMES_TRIED; i++) {
        struct traj_observation seen = {.counts = i > 0 ? counts : NULL,
                                        .features = i > 0 ? features : NULL,
                                        .dt = model->bin_width,
                                        .steps = i == 3 ? 5 : 1};
        struct traj_estimate estimate;
        for (size_t n = 0; n < model->dims.units; n++)
            counts[n] = (uint16_t)((i + n) % 3);
        REQUIRE(traj_decoder_step(decoder, &seen, &estimate) == TRAJ_OK);
    }
    free(features);
    free(counts);
    free(memory);
    return made == TRAJ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image image;
    struct traj_error error = {""};
    const size_t choice = size > 0 ? data[0] % (BASES + 1u) : BASES;
    if (choice < BASES) {
        const struct image *good = good_file((enum base)choice);
        memcpy(image.byte, good->byte, good->size);
        image.size = good->size;
        for (size_t at = 1; at + 4 <= size; at += 4)
            bend(&image, data + at);
    } else {
        image.size = size < 1 ? 0 : size - 1 < IMAGE_MAX ? size - 1 : IMAGE_MAX;
        memcpy(image.byte, data + (size > 0), image.size);
    }
    /* A copy of exactly its size, so that a sanitizer sees the first byte read beyond the end. */
    uint8_t *exact = malloc(image.size > 0 ? image.size : 1);
    REQUIRE(exact);
    memcpy(exact, image.byte, image.size);
    (void)traj_model_seal(exact, image.size);
    struct traj_model *model = traj_model_parse(exact, image.size, "bytes", &error);
    REQUIRE((model == NULL) == (error.text[0] != '\0'));
    REQUIRE(model != NULL || choice == BASES || size > 1);
    if (model && use(model))
        ACCEPTED(choice);
    traj_model_free(model);
    free(exact);
    return 0;
}
