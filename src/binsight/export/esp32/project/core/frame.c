/* Crop, resize and quantise, in the arithmetic that binsight uses on computers (Pillow 13's): two passes, weights with
 * 22 bits after the point, rounded to 8 bits after each. The rows under the filter are resized anew for every row of
 * the result, which takes twice the time and saves the memory of a picture. */
#include "binsight_core.h"

#include <math.h>

#define FRACTION_BITS 22
#define HALF ((int32_t)1 << (FRACTION_BITS - 1))

typedef struct {
    float from, to; /* of the frame's side, in pixels */
} span;

static size_t bytes_per_pixel(binsight_format format)
{
    return format == BINSIGHT_RGB565_BE || format == BINSIGHT_RGB565_LE ? 2 : 3;
}

const char *binsight_status_text(binsight_status status)
{
    static const char *const texts[] = {"ok", "no frame", "too large", "truncated", "bad format", "bad region"};
    return (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown";
}

static binsight_status check(const binsight_frame *frame, size_t *stride)
{
    if (frame->pixels == NULL || frame->width == 0 || frame->height == 0) {
        return BINSIGHT_NO_FRAME;
    }
    if (frame->width > BINSIGHT_MAX_SIDE || frame->height > BINSIGHT_MAX_SIDE) {
        return BINSIGHT_TOO_LARGE;
    }
    if ((unsigned)frame->format > BINSIGHT_RGB565_LE) {
        return BINSIGHT_BAD_FORMAT;
    }
    size_t row = frame->width * bytes_per_pixel(frame->format);
    *stride = frame->stride == 0 ? row : frame->stride;
    if (*stride < row) {
        return BINSIGHT_BAD_FORMAT;
    }
    /* Divided, not multiplied: a stride may be any number. */
    if (frame->length < row || (frame->length - row) / *stride < frame->height - 1) {
        return BINSIGHT_TRUNCATED;
    }
    return BINSIGHT_OK;
}

binsight_status binsight_region(const binsight_frame *frame, int left, int top, int right, int bottom,
                                binsight_frame *part)
{
    size_t stride;
    binsight_status status = check(frame, &stride);
    if (status != BINSIGHT_OK) {
        return status;
    }
    if (left < 0 || top < 0 || right > 1000 || bottom > 1000 || left >= right || top >= bottom) {
        return BINSIGHT_BAD_REGION;
    }
    uint32_t x0 = frame->width * (uint32_t)left / 1000, x1 = (frame->width * (uint32_t)right + 999) / 1000;
    uint32_t y0 = frame->height * (uint32_t)top / 1000, y1 = (frame->height * (uint32_t)bottom + 999) / 1000;
    size_t skipped = y0 * stride + x0 * bytes_per_pixel(frame->format);
    binsight_frame found = *frame;
    found.pixels += skipped;
    found.length -= skipped;
    found.width = x1 - x0;
    found.height = y1 - y0;
    found.stride = stride;
    *part = found;
    return BINSIGHT_OK;
}

/* The part of the frame that fills the input. */
static void visible(uint32_t width, uint32_t height, span *across, span *down)
{
#if BINSIGHT_CROPS
    double tall = BINSIGHT_INPUT_HEIGHT / (double)height, wide = BINSIGHT_INPUT_WIDTH / (double)width;
    double scale = (tall > wide ? tall : wide) / BINSIGHT_CROP_FRACTION;
    double half_width = BINSIGHT_INPUT_WIDTH / scale / 2, half_height = BINSIGHT_INPUT_HEIGHT / scale / 2;
    across->from = (float)fmax(0.0, width / 2.0 - half_width);
    across->to = (float)fmin(width, width / 2.0 + half_width);
    down->from = (float)fmax(0.0, height / 2.0 - half_height);
    down->to = (float)fmin(height, height / 2.0 + half_height);
#else
    across->from = down->from = 0.0f;
    across->to = (float)width;
    down->to = (float)height;
#endif
}

static double filter(double x)
{
#if BINSIGHT_FILTER_BOX
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
#else
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
#endif
}

/* Weights of the pixels that make up place `at` of `places`: those from `*first` on; returns how many. */
static uint16_t weigh(span along, uint32_t side, int places, int at, int32_t weights[BINSIGHT_MAX_TAPS],
                      uint16_t *first)
{
    double step = (double)(along.to - along.from) / places;
    double widened = step < 1.0 ? 1.0 : step;
    double support = BINSIGHT_FILTER_SUPPORT * widened;
    double centre = along.from + (at + 0.5) * step, inverse = 1.0 / widened, sum = 0.0;
    double shares[BINSIGHT_MAX_TAPS];
    int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
    if (low < 0) {
        low = 0;
    }
    if (high > (int)side) {
        high = (int)side;
    }
    int count = high - low;
    if (count > BINSIGHT_MAX_TAPS) {
        count = BINSIGHT_MAX_TAPS; /* cannot be, by the largest side */
    }
    for (int i = 0; i < count; i++) {
        shares[i] = filter((i + low - centre + 0.5) * inverse);
        sum += shares[i];
    }
    for (int i = 0; i < count; i++) {
        double share = sum == 0.0 ? shares[i] : shares[i] / sum;
        weights[i] = (int32_t)(0.5 + share * (1 << FRACTION_BITS));
    }
    *first = (uint16_t)low;
    return (uint16_t)count;
}

static uint8_t rounded(int32_t sum)
{
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void read_pixel(const uint8_t *pixel, binsight_format format, uint8_t rgb[3])
{
    if (format == BINSIGHT_RGB888 || format == BINSIGHT_BGR888) {
        int red = format == BINSIGHT_RGB888 ? 0 : 2;
        rgb[0] = pixel[red];
        rgb[1] = pixel[1];
        rgb[2] = pixel[2 - red];
        return;
    }
    int high = format == BINSIGHT_RGB565_BE ? 0 : 1;
    unsigned value = (unsigned)pixel[high] << 8 | pixel[1 - high];
    unsigned red = value >> 11, green = value >> 5 & 63, blue = value & 31;
    /* The middle of what was cut off: spreading 31 to 255 would be further from what the camera saw. */
    rgb[0] = (uint8_t)(red << 3 | 4);
    rgb[1] = (uint8_t)(green << 2 | 2);
    rgb[2] = (uint8_t)(blue << 3 | 4);
}

void binsight_input_pixel(const uint8_t rgb[3], int8_t input[BINSIGHT_INPUT_CHANNELS])
{
#if BINSIGHT_INPUT_CHANNELS == 1
    /* Rec. ITU-R BT.601 in thousandths, to the nearest, halves to the even one. */
    unsigned sum = 299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2], grey = sum / 1000, rest = sum % 1000;
    input[0] = (int8_t)((int)(grey + (rest > 500 || (rest == 500 && grey % 2 == 1))) - 128);
#else
    for (int c = 0; c < 3; c++) {
        input[c] = (int8_t)(rgb[c] - 128);
    }
#endif
}

/* Pixel `x` of a row that is resized. */
static void resize_row(const uint8_t *row, binsight_format format, int x, const binsight_workspace *work,
                       uint8_t out[3])
{
    size_t size = bytes_per_pixel(format);
    const uint8_t *pixel = row + work->first[x] * size;
    int32_t sums[3] = {HALF, HALF, HALF};
    for (int i = 0; i < work->count[x]; i++, pixel += size) {
        uint8_t rgb[3];
        read_pixel(pixel, format, rgb);
        for (int c = 0; c < 3; c++) {
            sums[c] += rgb[c] * work->weights[x][i];
        }
    }
    for (int c = 0; c < 3; c++) {
        out[c] = rounded(sums[c]);
    }
}

/* One row of the input from `count` rows of the frame: each is resized, then they are added up. */
static void columns_first(const uint8_t *rows, size_t stride, int count, binsight_format format,
                          const binsight_workspace *work, int8_t *input)
{
    for (int x = 0; x < BINSIGHT_INPUT_WIDTH; x++) {
        int32_t sums[3] = {HALF, HALF, HALF};
        for (int i = 0; i < count; i++) {
            uint8_t rgb[3];
            resize_row(rows + i * stride, format, x, work, rgb);
            for (int c = 0; c < 3; c++) {
                sums[c] += rgb[c] * work->row_weights[i];
            }
        }
        uint8_t rgb[3] = {rounded(sums[0]), rounded(sums[1]), rounded(sums[2])};
        binsight_input_pixel(rgb, input);
        input += BINSIGHT_INPUT_CHANNELS;
    }
}

/* The same in the other order: `count` rows are added up, then the one is resized. */
static void rows_first(const uint8_t *rows, size_t stride, int count, const binsight_frame *frame,
                       binsight_workspace *work, int8_t *input)
{
    size_t size = bytes_per_pixel(frame->format);
    for (uint32_t x = 0; x < frame->width; x++) {
        int32_t sums[3] = {HALF, HALF, HALF};
        for (int i = 0; i < count; i++) {
            uint8_t rgb[3];
            read_pixel(rows + i * stride + x * size, frame->format, rgb);
            for (int c = 0; c < 3; c++) {
                sums[c] += rgb[c] * work->row_weights[i];
            }
        }
        for (int c = 0; c < 3; c++) {
            work->narrow[3 * x + c] = rounded(sums[c]);
        }
    }
    for (int x = 0; x < BINSIGHT_INPUT_WIDTH; x++) {
        uint8_t rgb[3];
        resize_row(work->narrow, BINSIGHT_RGB888, x, work, rgb);
        binsight_input_pixel(rgb, input);
        input += BINSIGHT_INPUT_CHANNELS;
    }
}

binsight_status binsight_prepare(const binsight_frame *frame, binsight_workspace *work,
                                 int8_t input[BINSIGHT_INPUT_BYTES])
{
    size_t stride;
    binsight_status status = check(frame, &stride);
    if (status != BINSIGHT_OK) {
        return status;
    }
    span across, down;
    visible(frame->width, frame->height, &across, &down);
    for (int x = 0; x < BINSIGHT_INPUT_WIDTH; x++) {
        work->count[x] = weigh(across, frame->width, BINSIGHT_INPUT_WIDTH, x, work->weights[x], &work->first[x]);
    }
    /* Rounding between the passes makes their order matter: tall, narrow frames shrink along their height first. */
    int excess = (int)frame->height - BINSIGHT_INPUT_HEIGHT;
    bool is_narrow = excess > 0 && excess > 2 * ((int)frame->width - BINSIGHT_INPUT_WIDTH);
    for (int y = 0; y < BINSIGHT_INPUT_HEIGHT; y++, input += BINSIGHT_INPUT_WIDTH * BINSIGHT_INPUT_CHANNELS) {
        uint16_t first, count = weigh(down, frame->height, BINSIGHT_INPUT_HEIGHT, y, work->row_weights, &first);
        const uint8_t *rows = frame->pixels + first * stride;
        if (is_narrow) {
            rows_first(rows, stride, count, frame, work, input);
        } else {
            columns_first(rows, stride, count, frame->format, work, input);
        }
    }
    return BINSIGHT_OK;
}
