/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a model file come back exactly, and is every damaged one refused with its sentence? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/learn/model_layout.h"
#include "tests/common/small_model.h"

static char folder[] = "/tmp/test_model_file.XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/a.tjm", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* fails where a temporary file was left behind */
}

static unsigned char *read_all(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    unsigned char *image = malloc(1u << 20);
    assert_non_null(image);
    *size = fread(image, 1, 1u << 20, file);
    assert_int_equal(fclose(file), 0);
    return image;
}

/* The small model's image. */
static unsigned char *make_file(size_t *size)
{
    struct traj_error error = {""};
    struct traj_model *model = small_model();
    assert_non_null(model);
    int status = traj_model_save(model, path, &error);
    if (status)
        fail_msg("%s", error.text);
    traj_model_free(model);
    return read_all(path, size);
}

static void comes_back_exactly(void **state)
{
    (void)state;
    struct traj_error error = {""};
    struct traj_model *model = small_model();
    assert_string_equal(model->about.digest, "");
    assert_int_equal(traj_model_save(model, path, &error), 0);
    assert_int_equal(strlen(model->about.digest), 64);
    struct traj_model *again = traj_model_load(path, &error);
    if (!again)
        fail_msg("%s", error.text);
    struct traj_model_field field[TRAJ_MODEL_FIELDS];
    size_t count = traj_model_fields(&model->dims, true, field);
    assert_int_equal(count, 32);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(traj_model_field_data(&field[i], model),
                            traj_model_field_data(&field[i], again),
                            traj_model_field_count(&field[i]) * traj_dtype_bytes(field[i].dtype));
    assert_memory_equal(&model->dims, &again->dims, sizeof model->dims);
    assert_string_equal(model->about.family, again->about.family);
    assert_string_equal(model->about.length_unit, again->about.length_unit);
    assert_string_equal(model->about.subject, again->about.subject);
    assert_string_equal(model->about.target_set, again->about.target_set);
    assert_string_equal(model->about.digest, again->about.digest);
    assert_string_equal(model->about.training, again->about.training);
    assert_memory_equal(model->about.target_id, again->about.target_id, 2 * TRAJ_ID_SIZE);
    assert_memory_equal(model->about.unit_name, again->about.unit_name, 3 * TRAJ_ID_SIZE);

    size_t first_size, second_size;
    unsigned char *first = read_all(path, &first_size);
    assert_int_equal(traj_model_save(again, path, &error), 0);
    unsigned char *second = read_all(path, &second_size);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    print_message("%zu bytes, %zu arrays, the same twice\n", first_size, count);
    free(first);
    free(second);
    traj_model_free(model);
    traj_model_free(again);
}

static void lacks_what_it_may_lack(void **state)
{
    (void)state;
    struct traj_error error = {""};
    struct traj_model *full = small_model();
    struct traj_dims dims = {.position = 2, .state = 4, .features = 2, .components = 1};
    struct traj_model *model = traj_model_new(&dims, 0, 0, &error);
    assert_non_null(model);
    memcpy((void *)(uintptr_t)model->dynamics.transition, full->dynamics.transition, 16 * 8);
    memcpy((void *)(uintptr_t)model->dynamics.noise, full->dynamics.noise, 16 * 8);
    memcpy((void *)(uintptr_t)model->dynamics.start_cov, full->dynamics.start_cov, 16 * 8);
    memcpy((void *)(uintptr_t)model->feature.noise, full->feature.noise, 4 * 8);
    *(int32_t *)(uintptr_t)model->component_target = -1;
    *(double *)(uintptr_t)model->component_prior = 1;
    model->bin_width = 0.05;
    model->plan.temper = model->evidence_temper = 1;
    model->calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    if (traj_model_save(model, path, &error))
        fail_msg("%s", error.text);
    struct traj_model *again = traj_model_load(path, &error);
    if (!again)
        fail_msg("%s", error.text);
    assert_null(again->tuning.weight);
    assert_null(again->plan.rate);
    assert_null(again->target_position);
    assert_null(again->about.target_id);
    assert_null(again->about.unit_name);
    assert_null(again->about.training);
    traj_model_free(full);
    traj_model_free(model);
    traj_model_free(again);
}

static void every_flipped_byte_is_refused(void **state)
{
    (void)state;
    size_t size;
    unsigned char *image = make_file(&size);
    unsigned char *exact = malloc(size);
    assert_non_null(exact);
    for (size_t i = 0; i < size; i++)
        for (unsigned flip = 0; flip < 3; flip++) {
            static const unsigned char mask[3] = {0x01, 0x20, 0xff};
            struct traj_error error = {""};
            memcpy(exact, image, size);
            exact[i] ^= mask[flip];
            struct traj_model *model = traj_model_parse(exact, size, "flipped", &error);
            if (model)
                fail_msg("byte %zu with mask %02x was accepted", i, mask[flip]);
            assert_memory_equal(error.text, "flipped: ", 9);
        }
    for (size_t length = 0; length < size; length++) {
        struct traj_error error = {""};
        unsigned char *shorter = malloc(length > 0 ? length : 1);
        assert_non_null(shorter);
        memcpy(shorter, image, length);
        assert_null(traj_model_parse(shorter, length, "shortened", &error));
        assert_memory_equal(error.text, "shortened: ", 11);
        free(shorter);
    }
    print_message("%zu bytes flipped thrice, %zu lengths\n", size, size);
    free(image);
    free(exact);
}

/* ---- damaged, but sealed with the right digest ----------------------------------------------- */

/* Replaces text in the header by other text of the same length. */
struct replacement {
    const char *from, *to, *sentence;
};

static void headers_that_disagree_are_refused(void **state)
{
    (void)state;
    static const struct replacement table[] = {
        {"trajd-model", "trajd-madel",
         "bad: metadata format: \"trajd-madel\" is not \"trajd-model\""},
        {"\"format\":", "\"farmat\":", "bad: metadata format: missing or longer than 64 bytes"},
        {"\"version\":\"1\"", "\"version\":\"2\"", "bad: metadata version: \"2\" is not \"1\""},
        {"\"version\":", "\"virsion\":", "bad: metadata version: missing or longer than 64 bytes"},
        {"\"family\":", "\"famely\":", "bad: metadata family: missing or longer than 31 bytes"},
        {"\"length_unit\":", "\"langth_unit\":",
         "bad: metadata length_unit: missing or longer than 31 bytes"},
        {"\"target_id\":", "\"target_ad\":", "bad: metadata target_id: missing"},
        {"[\\\"unit 0\\\",", "[\\\"unit 0\\\"-",
         "bad: metadata unit_name: not a JSON array of 3 names of at most 31 bytes"},
        {"\"dims\":", "\"dams\":", "bad: array dims: missing"},
        {"\"tuning.lag\":", "\"tuning.log\":", "bad: array tuning.lag: missing"},
        {"\"plan.rate\":", "\"plan.rite\":", "bad: array plan.rite: not known here"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t size;
        unsigned char *image = make_file(&size);
        size_t length = strlen(table[i].from), at = 8;
        assert_int_equal(length, strlen(table[i].to));
        while (at + length <= size && memcmp(image + at, table[i].from, length) != 0)
            at++;
        if (at + length > size)
            fail_msg("%s does not stand in the header", table[i].from);
        memcpy(image + at, table[i].to, length);
        assert_int_equal(traj_model_seal(image, size), 0);
        struct traj_error error = {""};
        assert_null(traj_model_parse(image, size, "bad", &error));
        assert_string_equal(error.text, table[i].sentence);
        print_message("%s\n", error.text);
        free(image);
    }
}

/* Finds an array in the image and overwrites its bytes from `index` on. */
static void damage_array(unsigned char *image, size_t size, const char *name, size_t offset,
                         const void *bytes, size_t count)
{
    struct traj_tensors tensors;
    struct traj_refusal_detail detail;
    assert_int_equal(traj_tensors_parse(image, size, &tensors, &detail), TRAJ_ACCEPTED);
    const struct traj_tensor *tensor = traj_tensors_find(&tensors, name);
    assert_non_null(tensor);
    assert_true(offset + count <= tensor->bytes);
    size_t at = (size_t)((const unsigned char *)tensor->data - image) + offset;
    memcpy(image + at, bytes, count);
    assert_int_equal(traj_model_seal(image, size), 0);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    const double not_a_number = (double)NAN, minus = -1, zero = 0, big = 1e9;
    const int32_t lag = 3, target = 2, negative = -1, many = 1000, four = 4;
    const struct {
        const char *array;
        size_t offset;
        const void *value;
        size_t bytes;
        const char *begins; /* of the sentence */
    } table[] = {
        {"tuning.weight", 8, &not_a_number, 8, "bad: tuning.weight["},
        {"tuning.offset", 16, &not_a_number, 8, "bad: tuning.offset["},
        {"tuning.lag", 4, &lag, 4, "bad: tuning.lag["},
        {"tuning.lag", 4, &negative, 4, "bad: tuning.lag["},
        {"feature.noise", 0, &minus, 8, "bad: feature.noise["},
        {"dynamics.transition", 0, &not_a_number, 8, "bad: dynamics.transition["},
        {"dynamics.noise", 2 * 16 * 8, &minus, 8, "bad: dynamics.noise[2]"},
        {"dynamics.start_cov", 16 * 8, &zero, 8, "bad: dynamics.start_cov[1]"},
        {"component_target", 0, &target, 4, "bad: component_target[0]"},
        {"component_prior", 0, &minus, 8, "bad: component_prior["},
        {"component_prior", 8, &big, 8, "bad: component_prior["},
        {"target_position", 0, &not_a_number, 8, "bad: target_position["},
        {"plan.rate", 0, &minus, 8, "bad: plan.rate["},
        {"plan.temper", 0, &minus, 8, "bad: plan.temper["},
        {"bin_width", 0, &zero, 8, "bad: bin_width["},
        {"switch_rate", 0, &minus, 8, "bad: switch_rate["},
        {"evidence_temper", 0, &big, 8, "bad: evidence_temper["},
        {"calibration.position_scale", 0, &minus, 8, "bad: calibration.position_scale["},
        {"dims", 0, &negative, 4, "bad: array dims: a negative size"},
        {"dims", 0, &many, 4, "bad: array dims: dims.position is out of range"},
        {"dims", 8, &four, 4, "bad: array tuning.weight: its shape disagrees with dims"},
        {"dims", 24, &many, 4, "bad: array dims: dims.lag is out of range"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t size;
        unsigned char *image = make_file(&size);
        damage_array(image, size, table[i].array, table[i].offset, table[i].value, table[i].bytes);
        struct traj_error error = {""};
        struct traj_model *model = traj_model_parse(image, size, "bad", &error);
        if (model)
            fail_msg("%s at %zu was accepted", table[i].array, table[i].offset);
        if (strncmp(error.text, table[i].begins, strlen(table[i].begins)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", error.text, table[i].begins);
        print_message("%s\n", error.text);
        free(image);
    }
}

static void files_that_are_no_models_are_refused(void **state)
{
    (void)state;
    struct traj_error error = {""};
    assert_null(traj_model_load("/nowhere/a.tjm", &error));
    assert_string_equal(error.text, "/nowhere/a.tjm: cannot be opened: No such file or directory");
    error.text[0] = '\0';
    assert_null(traj_model_load(folder, &error));
    assert_non_null(strstr(error.text, "not a regular file"));
    /* A pipe that nobody writes to does not hold it up. */
    error.text[0] = '\0';
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)alarm(60);
    assert_null(traj_model_load(path, &error));
    (void)alarm(0);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(unlink(path), 0);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    error.text[0] = '\0';
    assert_null(traj_model_load(path, &error));
    assert_non_null(strstr(error.text, "not a model file: 0 bytes long"));
    struct traj_model *model = small_model();
    error.text[0] = '\0';
    assert_int_equal(traj_model_save(model, "/nowhere/a.tjm", &error), -1);
    assert_string_equal(error.text, "/nowhere/a.tjm: cannot be written: No such file or directory");
    model->evidence_temper = 2;
    error.text[0] = '\0';
    assert_int_equal(traj_model_save(model, path, &error), -1);
    assert_non_null(strstr(error.text, "evidence_temper"));
    traj_model_free(model);
    struct traj_dims dims = {.position = 2, .state = 5, .units = 3, .components = 1};
    error.text[0] = '\0';
    assert_null(traj_model_new(&dims, 0, 0, &error));
    assert_string_equal(error.text, "model: dims.state is out of range");
}

static void what_is_no_file_is_not_written_over(void **state)
{
    (void)state;
    struct traj_error error = {""};
    struct stat about;
    struct traj_model *model = small_model();
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(traj_model_save(model, path, &error), -1);
    assert_non_null(strstr(error.text, "cannot be written: not a regular file"));
    assert_true(stat(path, &about) == 0 && S_ISFIFO(about.st_mode));
    assert_int_equal(unlink(path), 0);
    traj_model_free(model);
}

static void a_failed_save_leaves_the_old_file(void **state)
{
    (void)state;
    size_t size, after;
    unsigned char *before = make_file(&size);
    struct traj_model *model = small_model();
    struct traj_error error = {""};
    model->bin_width = 0;
    assert_int_equal(traj_model_save(model, path, &error), -1);
    unsigned char *now = read_all(path, &after);
    assert_int_equal(size, after);
    assert_memory_equal(before, now, size);
    traj_model_free(model);
    free(before);
    free(now);
}

static void a_person_is_told_what_is_in_it(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    struct traj_model *model = small_model();
    traj_model_show(model, out);
    traj_model_free(model);
    assert_int_equal(fclose(out), 0);
    print_message("%s", text);
    const char *told[] = {"mixture",        "nobody",        "mm",           "0.02 s",
                          "targets      2", "0.05 to 0.3 s", "(free)",       "temper",
                          "x 1.25",         "training",      "\"trials\":2", "lag of activity"};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (!strstr(text, told[i]))
            fail_msg("%s is not told", told[i]);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_exactly),
        cmocka_unit_test(lacks_what_it_may_lack),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(headers_that_disagree_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(files_that_are_no_models_are_refused),
        cmocka_unit_test(what_is_no_file_is_not_written_over),
        cmocka_unit_test(a_failed_save_leaves_the_old_file),
        cmocka_unit_test(a_person_is_told_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
