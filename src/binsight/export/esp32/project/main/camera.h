#pragma once

#include <stdbool.h>

#include "binsight_core.h"
#include "esp_camera.h"

/* Call it when Wi-Fi is up: both together draw more than weak supplies give. */
bool camera_start(void);

/* The next picture that was exposed after `after_us` (of esp_timer_get_time); give it back with camera_release. NULL
 * when none comes. */
camera_fb_t *camera_take(int64_t after_us);
void camera_release(camera_fb_t *picture);

/* Milliseconds since it was exposed. */
uint32_t camera_age_ms(const camera_fb_t *picture);
