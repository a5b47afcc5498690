#pragma once

#include "binsight_core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Load the network and put the golden pictures through it. False, with the reason in the log, when it cannot be loaded
 * or answers other bytes than it should: then nothing it says may be believed. */
bool inference_start(void);

/* Where the network's input goes; then run it. */
int8_t *inference_input(void);
bool inference_run(int8_t logits[BINSIGHT_CLASSES]);

#ifdef __cplusplus
}
#endif
