/* Everything that can be checked without a board. */
#include "checks.h"

#include "expected.h"
#include "network.h"

#include <math.h>
#include <string.h>

static binsight_workspace work;

/* The network of this file answers to the golden pictures what it answered when it was exported. */
static void check_golden(void)
{
    static int8_t input[BINSIGHT_INPUT_BYTES], logits[BINSIGHT_CLASSES];
    for (uint32_t i = 0; i < BINSIGHT_GOLDEN_COUNT; i++) {
        binsight_golden_input(i, input);
        run_network(input, logits);
        CHECK(memcmp(logits, binsight_golden_output[i], sizeof logits) == 0);
    }
}

static uint32_t digest(const int8_t *bytes, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)bytes[i]) * 16777619u;
    }
    return hash;
}

/* Frames of several sizes become, bit for bit, the input that they became in binsight. */
static void check_prepare(void)
{
    static int8_t input[BINSIGHT_INPUT_BYTES];
    for (size_t i = 0; i < sizeof expected_inputs / sizeof *expected_inputs; i++) {
        const expected_input *expected = &expected_inputs[i];
        size_t length = (size_t)expected->width * expected->height * 3;
        uint8_t *pixels = malloc(length);
        CHECK(pixels != NULL);
        binsight_pattern((uint32_t)i, expected->width, expected->height, pixels);
        binsight_frame frame = {pixels, length, (uint32_t)expected->width, (uint32_t)expected->height, 0, BINSIGHT_RGB888};
        CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_OK);
        CHECK(digest(input, sizeof input) == expected->digest);
        free(pixels);
    }
}

static void check_formats(void)
{
    static const struct {
        binsight_format format;
        uint8_t pixel[3];
        int8_t input[3], grey;
    } cases[] = {
        {BINSIGHT_RGB888, {255, 0, 16}, {127, -128, -112}, 78 - 128},
        {BINSIGHT_BGR888, {16, 0, 255}, {127, -128, -112}, 78 - 128},
        {BINSIGHT_RGB565_BE, {0xf8, 0x1f, 0}, {124, -126, 124}, 105 - 128},
        {BINSIGHT_RGB565_LE, {0xe0, 0x07, 0}, {-124, 126, -124}, 151 - 128},
    };
    static int8_t input[BINSIGHT_INPUT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t pixels[4 * 2 * 3];
        size_t size = cases[i].format < BINSIGHT_RGB565_BE ? 3 : 2;
        for (size_t k = 0; k < 8; k++) {
            memcpy(pixels + size * k, cases[i].pixel, size);
        }
        binsight_frame frame = {pixels, 8 * size, 4, 2, 0, cases[i].format};
        CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_OK);
        for (int k = 0; k < BINSIGHT_INPUT_BYTES; k++) {
            CHECK(input[k] == (BINSIGHT_INPUT_CHANNELS == 1 ? cases[i].grey : cases[i].input[k % 3]));
        }
    }
}

static void check_refused_frames(void)
{
    static int8_t input[BINSIGHT_INPUT_BYTES];
    uint8_t pixels[12] = {0};
    binsight_frame good = {pixels, 12, 2, 2, 0, BINSIGHT_RGB888}, frame = good, part;
    frame.pixels = NULL;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_NO_FRAME);
    frame = good, frame.height = 0;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_NO_FRAME);
    frame = good, frame.width = BINSIGHT_MAX_SIDE + 1;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_TOO_LARGE);
    frame = good, frame.length = 11;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_TRUNCATED);
    frame = good, frame.stride = SIZE_MAX;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_TRUNCATED);
    frame = good, frame.stride = 5;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_BAD_FORMAT);
    frame = good, frame.format = (binsight_format)7;
    CHECK(binsight_prepare(&frame, &work, input) == BINSIGHT_BAD_FORMAT);
    CHECK(binsight_region(&good, 500, 0, 500, 1000, &part) == BINSIGHT_BAD_REGION);
    CHECK(binsight_region(&good, 0, -1, 1000, 1000, &part) == BINSIGHT_BAD_REGION);
    CHECK(binsight_region(&good, 500, 500, 1000, 1000, &part) == BINSIGHT_OK);
    CHECK(part.pixels == pixels + 9 && part.width == 1 && part.height == 1 && part.length == 3);
    CHECK(binsight_prepare(&part, &work, input) == BINSIGHT_OK);
}

/* Logits that make `category` as sure as they can. */
static void decide_for(int category, binsight_decision *decision)
{
    int8_t logits[BINSIGHT_CLASSES];
    memset(logits, -128, sizeof logits);
    logits[category] = 127;
    binsight_decide(logits, decision);
}

static void check_decision(void)
{
    int8_t logits[BINSIGHT_CLASSES] = {0};
    binsight_decision decision;
    binsight_decide(logits, &decision);
    CHECK(decision.category == 0 && fabs(decision.confidence - 1.0 / BINSIGHT_CLASSES) < 1e-12);
    logits[BINSIGHT_CLASSES - 1] = 10;
    binsight_decide(logits, &decision);
    CHECK(decision.category == BINSIGHT_CLASSES - 1);
    double ratio = decision.confidence / decision.scores[0];
    CHECK(fabs(log(ratio) - 10 * BINSIGHT_LOGIT_SCALE / BINSIGHT_TEMPERATURE) < 1e-9);
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        decide_for(c, &decision);
        CHECK(decision.category == c);
        bool is_sure = decision.confidence >= binsight_classes[c].threshold;
        CHECK(decision.reason == (is_sure ? BINSIGHT_ACCEPTED : BINSIGHT_LOW_CONFIDENCE));
        CHECK(!binsight_classes[c].biodegradable == (decision.biodegradable < 0.5) || decision.confidence < 0.5);
    }
}

static void check_vote(void)
{
    binsight_decision first, second, result;
    binsight_vote vote;
    binsight_vote_start(&vote);
    binsight_vote_end(&vote, &result);
    CHECK(result.category == -1 && result.reason == BINSIGHT_NO_VIEW);
    decide_for(0, &first);
    decide_for(1, &second);
    first.reason = second.reason = BINSIGHT_ACCEPTED; /* whatever the thresholds */
    binsight_vote_add(&vote, &first);
    binsight_vote_add(&vote, &first);
    binsight_vote_end(&vote, &result);
    CHECK(result.category == 0 && result.frames == 2 && fabs(result.confidence - first.confidence) < 1e-12);
    binsight_vote_add(&vote, &second);
    binsight_vote_end(&vote, &result);
    CHECK(result.reason == BINSIGHT_VIEWS_DISAGREE || result.reason == BINSIGHT_TWO_CATEGORIES);
    binsight_vote_start(&vote);
    first.scores[1] = 0.3;
    binsight_vote_add(&vote, &first);
    binsight_vote_end(&vote, &result);
    CHECK(result.reason == BINSIGHT_TWO_CATEGORIES);
}

static void check_result(void)
{
    binsight_decision decision;
    decide_for(0, &decision);
    decision.reason = BINSIGHT_TWO_CATEGORIES;
    binsight_result result = {"cam1", NULL, 4711, 38, 400};
    char whole[2048], id[64];
    size_t length = binsight_result_json(whole, sizeof whole, &result, &decision);
    CHECK(length > 0 && whole[length] == '\0' && whole[0] == '{' && whole[length - 1] == '}');
    CHECK(strstr(whole, "\"seq\":4711,\"age_ms\":38,\"took_ms\":400,\"frames\":1,\"decided\":\"device\",\"decision\":\"review\","
                        "\"reason\":\"two_categories\"") != NULL);
    CHECK(binsight_json_string(whole, length, "category", id, sizeof id) > 0 && strcmp(id, binsight_classes[0].id) == 0);
    for (size_t size = 0; size <= length; size++) {
        char *small = malloc(size + 1);
        CHECK(small != NULL && binsight_result_json(small, size, &result, &decision) == 0);
        free(small);
    }
    result.category = binsight_classes[BINSIGHT_CLASSES - 1].id;
    decision.reason = BINSIGHT_ACCEPTED;
    CHECK((length = binsight_result_json(whole, sizeof whole, &result, &decision)) > 0);
    CHECK(strstr(whole, "\"decided\":\"server\",\"decision\":\"accept\"") != NULL && strstr(whole, "scores") == NULL);
    CHECK(binsight_json_string(whole, length, "category", id, sizeof id) > 0 && strcmp(id, result.category) == 0);
    result.device = "a\"b";
    CHECK(binsight_result_json(whole, sizeof whole, &result, &decision) == 0);
}

static void check_request(void)
{
    binsight_request request = {"bin.example", "/lines/line1/frames", "key", "cam1", 7, 35, 1234};
    char head[512];
    CHECK(binsight_request_head(head, sizeof head, &request) == strlen(head));
    CHECK(strcmp(head, "POST /lines/line1/frames HTTP/1.1\r\nHost: bin.example\r\nContent-Type: image/jpeg\r\n"
                       "Content-Length: 1234\r\nAuthorization: Bearer key\r\nX-Binsight-Device: cam1\r\n"
                       "X-Binsight-Sequence: 7\r\nX-Binsight-Age-Ms: 35\r\n\r\n") == 0);
    CHECK(binsight_request_head(head, 100, &request) == 0);
    request.key = "";
    CHECK(binsight_request_head(head, sizeof head, &request) > 0 && strstr(head, "Authorization") == NULL);
    request.device = "cam1\r\nX-Evil: 1";
    CHECK(binsight_request_head(head, sizeof head, &request) == 0);
    request.device = "cam1", request.path = "/a b";
    CHECK(binsight_request_head(head, sizeof head, &request) == 0);
}

static void check_answer(void)
{
    const char *text = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nConnection: keep-alive\r\n\r\n";
    binsight_answer answer;
    for (size_t length = 0; length < strlen(text); length++) {
        CHECK(binsight_read_answer(text, length, &answer) == 0);
    }
    CHECK(binsight_read_answer(text, strlen(text), &answer) == 1);
    CHECK(answer.status == 200 && answer.body_length == 15 && answer.keeps_alive && answer.head_length == strlen(text));
    text = "HTTP/1.0 503 Busy\nTransfer-Encoding: Chunked\n\nx";
    CHECK(binsight_read_answer(text, strlen(text), &answer) == 1);
    CHECK(answer.status == 503 && answer.body_length == -1 && answer.chunked && !answer.keeps_alive);
    CHECK(answer.head_length == strlen(text) - 1);
    static const char *const bad[] = {"SSH-2.0\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", "\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(binsight_read_answer(bad[i], strlen(bad[i]), &answer) == -1);
    }
}

static void check_json(void)
{
    const char *json = "{\"a\": {\"decision\": \"no\"}, \"x\": \"decision\", \"decision\" : \"accept\", \"e\": \"q\\\"q\"}";
    char out[8];
    CHECK(binsight_json_string(json, strlen(json), "decision", out, sizeof out) == 6 && strcmp(out, "accept") == 0);
    CHECK(binsight_json_string(json, strlen(json), "decision", out, 6) == 0);
    CHECK(binsight_json_string(json, strlen(json), "e", out, sizeof out) == 0);
    CHECK(binsight_json_string(json, strlen(json), "none", out, sizeof out) == 0);
    CHECK(binsight_json_string(json, 60, "decision", out, sizeof out) == 0);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } checks[] = {
        {"golden pictures", check_golden},
        {"preprocessing", check_prepare},
        {"pixel formats", check_formats},
        {"refused frames", check_refused_frames},
        {"decision", check_decision},
        {"vote", check_vote},
        {"result", check_result},
        {"request", check_request},
        {"answer", check_answer},
        {"JSON", check_json},
        {"damaged input", fuzz},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        checks[i].run();
        printf("ok: %s\n", checks[i].name);
    }
    printf("%s passed all checks on this computer\n", BINSIGHT_MODEL);
    return 0;
}
