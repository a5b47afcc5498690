#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

/* Join the network and stay in it: a lost connection is made again for ever. */
void wifi_start(const settings *with);

/* Whether there is a connection, waiting for one at most so long. */
bool wifi_wait(uint32_t timeout_ms);
