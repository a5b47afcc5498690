#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "settings.h"

/* Connect to the broker, where the settings name one; `fault` goes into the retained state, NULL: none. */
void publish_start(const settings *with, const char *fault);

/* Whether the broker is there, or none is used. */
bool publish_is_connected(void);

/* A result. While the broker is away some wait, for half a minute at most; what finds no room is dropped. */
void publish_result(const char *json, size_t length);
