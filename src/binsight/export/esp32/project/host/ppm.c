#include "ppm.h"

#include <ctype.h>
#include <stdlib.h>

/* A number of the head, after blanks and comments; -1 if there is none. */
static long read_number(FILE *file)
{
    int c = getc(file);
    while (c == '#' || isspace(c)) {
        while (c == '#' || (c != '\n' && c != EOF && !isspace(c))) {
            do {
                c = getc(file);
            } while (c != '\n' && c != EOF);
        }
        c = getc(file);
    }
    long value = -1;
    for (; isdigit(c) && value < 1000000; c = getc(file)) {
        value = 10 * (value < 0 ? 0 : value) + (c - '0');
    }
    return isspace(c) ? value : -1; /* one blank ends the head */
}

const char *read_ppm(FILE *file, binsight_frame *frame)
{
    int first = getc(file);
    if (first == EOF) {
        return ferror(file) ? "it cannot be read" : "";
    }
    if (first != 'P' || getc(file) != '6') {
        return "expected a PPM picture (P6); convert it with: convert photo.jpg photo.ppm";
    }
    long width = read_number(file), height = read_number(file), most = read_number(file);
    if (width < 1 || height < 1 || width > BINSIGHT_MAX_SIDE || height > BINSIGHT_MAX_SIDE) {
        return "expected a width and height that are not too large";
    }
    if (most != 255) {
        return "expected 8 bits for each colour (255)";
    }
    size_t length = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = malloc(length);
    if (pixels == NULL) {
        return "not enough memory";
    }
    if (fread(pixels, 1, length, file) != length) {
        free(pixels);
        return "it ends too early";
    }
    binsight_frame found = {pixels, length, (uint32_t)width, (uint32_t)height, 0, BINSIGHT_RGB888};
    *frame = found;
    return NULL;
}

void reduce_to_rgb565(binsight_frame *frame)
{
    size_t count = (size_t)frame->width * frame->height;
    uint8_t *pixels = (uint8_t *)frame->pixels;
    for (size_t i = 0; i < count; i++) {
        unsigned red = pixels[3 * i] >> 3, green = pixels[3 * i + 1] >> 2, blue = pixels[3 * i + 2] >> 3;
        unsigned value = red << 11 | green << 5 | blue;
        pixels[2 * i] = (uint8_t)(value >> 8);
        pixels[2 * i + 1] = (uint8_t)value;
    }
    frame->length = 2 * count;
    frame->format = BINSIGHT_RGB565_BE;
}
