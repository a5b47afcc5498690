#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

typedef struct {
    int status;
    const char *body; /* valid until the next call */
    size_t length;
} server_answer;

void server_start(const settings *with);

/* POST a JPEG over one kept connection. False when the server is away or answers nonsense. */
bool server_post(const char *path, const uint8_t *jpeg, size_t length, uint64_t sequence, uint32_t age_ms,
                 server_answer *answer);
