#ifndef BINSIGHT_PPM_H
#define BINSIGHT_PPM_H

#include "binsight_core.h"

#include <stdio.h>

/* Read the next picture of a PPM file (P6, 8 bits); `frame->pixels` is to be freed.
 * NULL when there is one, "" at the end of the file, else what is wrong with it. */
const char *read_ppm(FILE *file, binsight_frame *frame);

/* The same picture as a camera gives it, in 16 bits for each pixel, in place. */
void reduce_to_rgb565(binsight_frame *frame);

#endif
