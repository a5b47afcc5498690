/* The network on the host, without any library: plain int8 operators, bit for bit those of TensorFlow Lite Micro's
 * reference kernels. For tests and for trying photos; the firmware runs esp-tflite-micro instead. */
#ifndef BINSIGHT_NETWORK_H
#define BINSIGHT_NETWORK_H

#include "binsight_core.h"

typedef enum { CONVOLUTION, DEPTHWISE_CONVOLUTION, AVERAGE_POOLING } operator_kind;

typedef struct {
    int height, width, channels;
} shape;

typedef struct {
    operator_kind kind;
    shape in, out;
    int kernel_height, kernel_width, stride_y, stride_x, pad_top, pad_left;
    int in_zero, out_zero; /* what stands for 0.0 */
    int least, most;       /* of the output: the activation's bounds */
    size_t filter, bias;   /* where they begin in `binsight_model`, in bytes */
    const int32_t *multipliers; /* of each channel: 31 bits after the point … */
    const int8_t *shifts;       /* … and then so many places to the left */
} layer;

extern const layer plan_layers[];
extern const int plan_length;

/* Run the network; `logits` as the file's output holds them. */
void run_network(const int8_t input[BINSIGHT_INPUT_BYTES], int8_t logits[BINSIGHT_CLASSES]);

#endif
