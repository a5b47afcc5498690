#ifndef BINSIGHT_CHECKS_H
#define BINSIGHT_CHECKS_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the place when it does not hold. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Frames and texts drawn from a seed: of odd sizes, damaged, cut off. */
void fuzz(void);

#endif
