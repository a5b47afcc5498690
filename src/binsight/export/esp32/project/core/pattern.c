/* Pictures that need no room: made by a linear congruential generator, the same on every machine. */
#include "binsight_core.h"

#define CELLS 8 /* patches of one colour along each side */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

typedef struct {
    uint32_t state;
    uint8_t colours[CELLS][CELLS][3];
} pattern;

static void start(pattern *made, uint32_t which)
{
    made->state = which;
    for (int i = 0; i < CELLS * CELLS * 3; i++) {
        made->colours[i / (CELLS * 3)][i / 3 % CELLS][i % 3] = (uint8_t)(next(&made->state) >> 8);
    }
}

/* The next pixel, of the patch at `row` and `column`. */
static void draw(pattern *made, int row, int column, uint8_t rgb[3])
{
    for (int c = 0; c < 3; c++) {
        int noise = (int)(next(&made->state) & 63) - 32;
        int value = made->colours[row][column][c] + noise;
        rgb[c] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

void binsight_pattern(uint32_t which, int width, int height, uint8_t *rgb)
{
    pattern made;
    start(&made, which);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, rgb += 3) {
            draw(&made, y * CELLS / height, x * CELLS / width, rgb);
        }
    }
}

void binsight_golden_input(uint32_t which, int8_t input[BINSIGHT_INPUT_BYTES])
{
    pattern made;
    start(&made, which);
    for (int y = 0; y < BINSIGHT_INPUT_HEIGHT; y++) {
        for (int x = 0; x < BINSIGHT_INPUT_WIDTH; x++, input += BINSIGHT_INPUT_CHANNELS) {
            uint8_t rgb[3];
            draw(&made, y * CELLS / BINSIGHT_INPUT_HEIGHT, x * CELLS / BINSIGHT_INPUT_WIDTH, rgb);
            binsight_input_pixel(rgb, input);
        }
    }
}
