/* Damaged input must be refused, or give some answer; the sanitizers watch that nothing else happens. Every buffer has
 * exactly the bytes that the core is told of. */
#include "checks.h"

#include "binsight_core.h"

#include <string.h>

static uint32_t seed = 1;

static uint32_t below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % limit;
}

static uint8_t *noise(size_t length)
{
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)below(256);
    }
    return bytes;
}

static void fuzz_frame(void)
{
    static binsight_workspace work;
    static int8_t input[BINSIGHT_INPUT_BYTES];
    static const uint32_t sides[] = {0, 1, 2, 3, 95, 96, 97, 240, BINSIGHT_MAX_SIDE, BINSIGHT_MAX_SIDE + 1, UINT32_MAX};
    uint32_t width = below(4) ? 1 + below(150) : sides[below(11)], height = below(4) ? 1 + below(150) : sides[below(11)];
    if ((uint64_t)width * height > 400000 && width <= BINSIGHT_MAX_SIDE && height <= BINSIGHT_MAX_SIDE) {
        height = 3; /* a large frame takes long */
    }
    binsight_format format = (binsight_format)below(5);
    bool is_known = format <= BINSIGHT_RGB565_LE;
    size_t row = (size_t)width * (format < BINSIGHT_RGB565_BE ? 3 : 2);
    size_t stride = below(3) ? 0 : row + below(9) - 2;
    bool is_small = width <= BINSIGHT_MAX_SIDE && height <= BINSIGHT_MAX_SIDE;
    size_t needed = height == 0 || !is_small ? 0 : (stride == 0 ? row : stride) * (height - 1) + row;
    size_t length = below(3) ? needed : below(1000);
    uint8_t *pixels = noise(length);
    binsight_frame frame = {pixels, length, width, height, stride, format}, part = frame;
    binsight_status status = binsight_prepare(&frame, &work, input);
    if (is_small && is_known && width > 0 && height > 0 && (stride == 0 || stride >= row)) {
        CHECK((status == BINSIGHT_OK) == (length >= needed));
    } else {
        CHECK(status != BINSIGHT_OK);
    }
    int left = (int)below(1100) - 50, top = (int)below(1100) - 50;
    if (binsight_region(&frame, left, top, (int)below(1100), (int)below(1100), &part) == BINSIGHT_OK) {
        CHECK(binsight_prepare(&part, &work, input) == BINSIGHT_OK);
    }
    free(pixels);
}

/* A sound text with some bytes changed, and cut off somewhere. */
static char *damaged(const char *text, size_t *length)
{
    char *copy = malloc(strlen(text) + 1);
    CHECK(copy != NULL);
    *length = below((uint32_t)strlen(text) + 1);
    memcpy(copy, text, *length);
    for (uint32_t i = below(4); i > 0 && *length > 0; i--) {
        copy[below((uint32_t)*length)] = (char)below(256);
    }
    char *exact = realloc(copy, *length > 0 ? *length : 1);
    CHECK(exact != NULL);
    return exact;
}

static void fuzz_texts(void)
{
    size_t length;
    binsight_answer answer;
    char out[16];
    char *text = damaged("HTTP/1.1 200 OK\r\nContent-Length: 120\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}", &length);
    if (binsight_read_answer(text, length, &answer) == 1) {
        CHECK(answer.head_length <= length && answer.body_length >= -1);
    }
    free(text);
    text = damaged("{\"model\": {\"name\": \"x\\\\\"}, \"decision\": \"review\", \"predicted_category\":\"metal_cans\"}", &length);
    size_t found = binsight_json_string(text, length, below(2) ? "decision" : "predicted_category", out, sizeof out);
    CHECK(found < sizeof out && (found == 0 || out[found] == '\0'));
    free(text);
}

static void fuzz_decisions(void)
{
    binsight_vote vote;
    binsight_decision decision;
    binsight_vote_start(&vote);
    for (uint32_t i = below(4); i > 0; i--) {
        int8_t *logits = (int8_t *)noise(BINSIGHT_CLASSES);
        binsight_decide(logits, &decision);
        CHECK(decision.confidence > 0.0 && decision.confidence <= 1.0);
        binsight_vote_add(&vote, &decision);
        free(logits);
    }
    binsight_vote_end(&vote, &decision);
    CHECK((decision.category == -1) == (vote.frames == 0));
}

void fuzz(void)
{
    for (int i = 0; i < 1000; i++) {
        fuzz_frame();
    }
    for (int i = 0; i < 100000; i++) {
        fuzz_texts();
        fuzz_decisions();
    }
}
