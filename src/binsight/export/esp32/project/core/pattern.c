/* Pictures that need no room: made by a linear congruential generator, the same on every machine. */
#include "binsight_core.h"

#define CELLS 8 /* patches of one colour along each side */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

void binsight_pattern(uint32_t which, int width, int height, uint8_t *rgb)
{
    uint32_t state = which;
    uint8_t colours[CELLS][CELLS][3];
    for (int i = 0; i < CELLS * CELLS * 3; i++) {
        colours[i / (CELLS * 3)][i / 3 % CELLS][i % 3] = (uint8_t)(next(&state) >> 8);
    }
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < 3; c++) {
                int noise = (int)(next(&state) & 63) - 32;
                int value = colours[y * CELLS / height][x * CELLS / width][c] + noise;
                *rgb++ = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
        }
    }
}

void binsight_golden_input(uint32_t which, int8_t input[BINSIGHT_INPUT_BYTES])
{
    binsight_pattern(which, BINSIGHT_INPUT_WIDTH, BINSIGHT_INPUT_HEIGHT, (uint8_t *)input);
    for (int i = 0; i < BINSIGHT_INPUT_BYTES; i++) {
        input[i] = (int8_t)(((uint8_t *)input)[i] - 128);
    }
}
