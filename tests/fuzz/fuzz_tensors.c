/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a file in the safetensors layout: refused with a reason, or parsed; what is parsed
 * lies inside the bytes, and writes and parses equal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/safetensors.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

static void require_inside(const struct traj_tensors *tensors, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < tensors->tensors; i++) {
        const uint8_t *at = tensors->tensor[i].data;
        REQUIRE(at >= data && tensors->tensor[i].bytes <= (size_t)(data + size - at));
        REQUIRE(traj_tensors_find(tensors, tensors->tensor[i].name) == &tensors->tensor[i]);
    }
    for (size_t i = 0; i < tensors->entries; i++) {
        const uint8_t *at = (const uint8_t *)tensors->entry[i].text;
        REQUIRE(at >= data && tensors->entry[i].length <= (size_t)(data + size - at));
    }
}

static void require_same(const struct traj_tensors *a, const struct traj_tensors *b)
{
    REQUIRE(a->tensors == b->tensors && a->entries == b->entries);
    for (size_t i = 0; i < a->tensors; i++) {
        const struct traj_tensor *x = &a->tensor[i];
        const struct traj_tensor *y = &b->tensor[i];
        REQUIRE(strcmp(x->name, y->name) == 0 && x->dtype == y->dtype && x->rank == y->rank);
        REQUIRE(memcmp(x->shape, y->shape, x->rank * sizeof x->shape[0]) == 0);
        REQUIRE(x->bytes == y->bytes && memcmp(x->data, y->data, x->bytes) == 0);
    }
}

/* Puts plain text in place of the raw; false if a text holds U+0000, which no C string can. */
static int unescape(struct traj_tensors *tensors, char *place, size_t cap)
{
    for (size_t i = 0; i < tensors->entries; i++) {
        size_t length = traj_metadata_text(tensors, tensors->entry[i].key, place, cap);
        if (length == (size_t)-1) {
            return 0;
        }
        tensors->entry[i].text = place;
        tensors->entry[i].length = length;
        place += length + 1;
        cap -= length + 1;
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_tensors first;
    static struct traj_tensors second;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = traj_tensors_parse(data, size, &first, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return 0;
    }
    ACCEPTED(0);
    require_inside(&first, data, size);
    char *texts = malloc(size + TRAJ_METADATA_MAX);
    REQUIRE(texts != NULL);
    if (unescape(&first, texts, size + TRAJ_METADATA_MAX)) {
        size_t bytes = traj_tensors_size(&first);
        char *out = malloc(bytes);
        REQUIRE(bytes > 0 && out != NULL);
        REQUIRE(traj_tensors_write(&first, out, bytes - 1) == 0);
        REQUIRE(traj_tensors_write(&first, out, bytes) == bytes);
        REQUIRE(traj_tensors_parse(out, bytes, &second, NULL) == TRAJ_ACCEPTED);
        require_same(&first, &second);
        free(out);
    }
    free(texts);
    return 0;
}
