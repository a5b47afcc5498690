/* What a small device needs besides the network: a camera's frame in, the network's input out; the network's output in,
 * a decision out; and the texts in which it tells others. C99, no allocation, no global state, no input or output. */
#ifndef BINSIGHT_CORE_H
#define BINSIGHT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The frame -> the network's input (frame.c) ---- */

#ifndef BINSIGHT_MAX_SIDE
#define BINSIGHT_MAX_SIDE 1600 /* of a frame, in pixels: UXGA; the workspace grows with it */
#endif

/* Pixels under the resampling filter, at most: both halves of its support, widened when shrinking, and the centre. */
#define BINSIGHT_MAX_TAPS (2 * (BINSIGHT_MAX_SIDE / BINSIGHT_SMALLER_SIDE + 1) + 1)

typedef enum {
    BINSIGHT_RGB888,
    BINSIGHT_BGR888,
    BINSIGHT_RGB565_BE, /* high byte first, as cameras give it */
    BINSIGHT_RGB565_LE
} binsight_format;

typedef enum {
    BINSIGHT_OK,
    BINSIGHT_NO_FRAME,   /* no pixels, or a side of 0 */
    BINSIGHT_TOO_LARGE,  /* a side above BINSIGHT_MAX_SIDE */
    BINSIGHT_TRUNCATED,  /* fewer bytes than the size needs */
    BINSIGHT_BAD_FORMAT, /* none of binsight_format, or a stride shorter than a row */
    BINSIGHT_BAD_REGION  /* empty, or beyond the frame */
} binsight_status;

typedef struct {
    const uint8_t *pixels; /* row after row */
    size_t length;         /* bytes that may be read from `pixels` */
    uint32_t width, height;
    size_t stride; /* bytes from one row to the next; 0: rows follow without a gap */
    binsight_format format;
} binsight_frame;

typedef struct {
    int32_t weights[BINSIGHT_INPUT_WIDTH][BINSIGHT_MAX_TAPS]; /* of each column; 22 bits after the point */
    uint16_t first[BINSIGHT_INPUT_WIDTH], count[BINSIGHT_INPUT_WIDTH];
    int32_t row_weights[BINSIGHT_MAX_TAPS];
    uint8_t narrow[(BINSIGHT_INPUT_WIDTH + BINSIGHT_MAX_SIDE / 2) * 3]; /* a row of a frame taller than wide */
} binsight_workspace;

/* In one or two words, for a log. */
const char *binsight_status_text(binsight_status status);

/* The part of a frame between `left`, `top`, `right` and `bottom`, in thousandths of its sides. */
binsight_status binsight_region(const binsight_frame *frame, int left, int top, int right, int bottom,
                                binsight_frame *part);

/* One pixel of the network's input: RGB, or where the model sees one channel grey; each value minus 128. */
void binsight_input_pixel(const uint8_t rgb[3], int8_t input[BINSIGHT_INPUT_CHANNELS]);

/* Crop and resize `frame` as the model's bundle says, to `input`. Bit for bit what
 * binsight does on a computer with the same pixels. `work` need not be initialised. */
binsight_status binsight_prepare(const binsight_frame *frame, binsight_workspace *work,
                                 int8_t input[BINSIGHT_INPUT_BYTES]);

/* ---- The network's output -> a decision (decision.c) ---- */

typedef enum {
    BINSIGHT_ACCEPTED,
    BINSIGHT_NO_VIEW,
    BINSIGHT_LOW_CONFIDENCE,
    BINSIGHT_TWO_CATEGORIES, /* one frame shows a second category */
    BINSIGHT_VIEWS_DISAGREE  /* two frames are sure of different ones */
} binsight_reason;

typedef struct {
    double scores[BINSIGHT_CLASSES]; /* probabilities */
    int category;                    /* the most probable; -1 without a view */
    double confidence;               /* its probability */
    double biodegradable;            /* probabilities of the biodegradable classes together */
    binsight_reason reason;          /* BINSIGHT_ACCEPTED, or why somebody else should look */
    uint32_t frames;
} binsight_decision;

typedef struct {
    double sums[BINSIGHT_CLASSES];
    uint32_t frames;
    int sure; /* the class a frame was sure of; -1 none yet, -2 several */
    bool two_categories;
} binsight_vote;

/* The word for it in results: NULL when accepted. */
const char *binsight_reason_text(binsight_reason reason);

/* Softmax with the model's temperature, and its thresholds. */
void binsight_decide(const int8_t logits[BINSIGHT_CLASSES], binsight_decision *decision);

/* Several frames of one piece: start, add each frame's decision, end. */
void binsight_vote_start(binsight_vote *vote);
void binsight_vote_add(binsight_vote *vote, const binsight_decision *frame);
void binsight_vote_end(const binsight_vote *vote, binsight_decision *decision);

/* ---- The self-test's pictures (pattern.c) ---- */

/* Picture number `which`, of patches of colour with noise on them: `width * height * 3` bytes of RGB. */
void binsight_pattern(uint32_t which, int width, int height, uint8_t *rgb);

/* The same as the network's input. What a network must answer to it is in `binsight_golden_output`. */
void binsight_golden_input(uint32_t which, int8_t input[BINSIGHT_INPUT_BYTES]);

/* ---- Texts (protocol.c). Each returns its length, or 0 if it does not fit or a value cannot be sent. ---- */

typedef struct {
    const char *device;   /* who sends it */
    const char *category; /* what the server says; NULL: the device's own decision */
    uint64_t sequence;
    uint32_t age_ms;  /* since exposure of the last frame */
    uint32_t took_ms; /* preparing and running the network, one frame */
} binsight_result;

typedef struct {
    const char *host, *path; /* path: from the first '/' */
    const char *key;         /* sent as a bearer token; NULL or "" sends none */
    const char *device;
    uint64_t sequence;
    uint32_t age_ms;
    size_t body_length;
} binsight_request;

typedef struct {
    int status;            /* 200 … */
    size_t head_length;    /* bytes up to the body */
    int64_t body_length;   /* -1: until the connection closes */
    bool chunked, keeps_alive;
} binsight_answer;

size_t binsight_result_json(char *out, size_t size, const binsight_result *result, const binsight_decision *decision);

/* The head of `POST path` with a JPEG of `body_length` bytes. */
size_t binsight_request_head(char *out, size_t size, const binsight_request *request);

/* Read the head of an answer from what has arrived: 1 complete, 0 more is needed, -1 no HTTP answer. */
int binsight_read_answer(const char *data, size_t length, binsight_answer *answer);

/* The value of the string `key` at the top of a JSON object, for the short answers of the server: its length, 0 if
 * there is none, or it is empty, escaped, or longer than `size` - 1. */
size_t binsight_json_string(const char *json, size_t length, const char *key, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
