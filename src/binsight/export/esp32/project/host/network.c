#include "network.h"

#include "plan.h"

#include <string.h>

/* `sum * multiplier * 2^(shift - 31)`, rounded twice as the kernels do. */
static int32_t rescale(int32_t sum, int32_t multiplier, int shift)
{
    int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    int64_t product = (int64_t)sum * ((int64_t)1 << left) * multiplier;
    int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    int32_t high = (int32_t)((product + nudge) / ((int64_t)1 << 31));
    int32_t mask = (int32_t)(((int64_t)1 << right) - 1);
    int32_t rest = high & mask, half = (mask >> 1) + (high < 0);
    return (high >> right) + (rest > half);
}

static int8_t bounded(int32_t value, const layer *of)
{
    return (int8_t)(value < of->least ? of->least : value > of->most ? of->most : value);
}

static int32_t bias_at(const layer *of, int channel)
{
    const unsigned char *b = binsight_model + of->bias + 4 * (size_t)channel;
    uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The pixel of the input under place (ky, kx) of the kernel; NULL in the padding. */
static const int8_t *under(const layer *of, const int8_t *in, int y, int x, int ky, int kx)
{
    int row = y * of->stride_y - of->pad_top + ky, column = x * of->stride_x - of->pad_left + kx;
    if (row < 0 || row >= of->in.height || column < 0 || column >= of->in.width) {
        return NULL;
    }
    return in + ((size_t)row * of->in.width + column) * of->in.channels;
}

static int32_t convolve(const layer *of, const int8_t *in, int y, int x, int channel)
{
    const int8_t *filter = (const int8_t *)binsight_model + of->filter;
    int32_t sum = bias_at(of, channel);
    for (int ky = 0; ky < of->kernel_height; ky++) {
        for (int kx = 0; kx < of->kernel_width; kx++) {
            const int8_t *pixel = under(of, in, y, x, ky, kx);
            int place = ky * of->kernel_width + kx;
            if (pixel == NULL) {
                continue;
            }
            if (of->kind == DEPTHWISE_CONVOLUTION) {
                sum += (pixel[channel] - of->in_zero) * filter[place * of->out.channels + channel];
                continue;
            }
            const int8_t *weights = filter + ((size_t)channel * of->kernel_height * of->kernel_width + place) * of->in.channels;
            for (int c = 0; c < of->in.channels; c++) {
                sum += (pixel[c] - of->in_zero) * weights[c];
            }
        }
    }
    return rescale(sum, of->multipliers[channel], of->shifts[channel]) + of->out_zero;
}

static int32_t average(const layer *of, const int8_t *in, int y, int x, int channel)
{
    int32_t sum = 0, count = 0;
    for (int ky = 0; ky < of->kernel_height; ky++) {
        for (int kx = 0; kx < of->kernel_width; kx++) {
            const int8_t *pixel = under(of, in, y, x, ky, kx);
            if (pixel != NULL) {
                sum += pixel[channel];
                count++;
            }
        }
    }
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static void run_layer(const layer *of, const int8_t *in, int8_t *out)
{
    for (int y = 0; y < of->out.height; y++) {
        for (int x = 0; x < of->out.width; x++) {
            for (int c = 0; c < of->out.channels; c++) {
                int32_t value =
                    of->kind == AVERAGE_POOLING ? average(of, in, y, x, c) : convolve(of, in, y, x, c);
                *out++ = bounded(value, of);
            }
        }
    }
}

void run_network(const int8_t input[BINSIGHT_INPUT_BYTES], int8_t logits[BINSIGHT_CLASSES])
{
    static int8_t values[2][PLAN_LARGEST];
    const int8_t *in = input;
    for (int i = 0; i < plan_length; i++) {
        int8_t *out = i == plan_length - 1 ? logits : values[i % 2];
        run_layer(&plan_layers[i], in, out);
        in = out;
    }
}
