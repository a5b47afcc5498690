#include "camera.h"

#include "esp_log.h"
#include "esp_timer.h"
#include "sdkconfig.h"

#define ATTEMPTS 4

static const char *TAG = "camera";

#if CONFIG_BINSIGHT_BOARD_AI_THINKER
#define PINS                                                                                                           \
    .pin_pwdn = 32, .pin_reset = -1, .pin_xclk = 0, .pin_sccb_sda = 26, .pin_sccb_scl = 27, .pin_d7 = 35,              \
    .pin_d6 = 34, .pin_d5 = 39, .pin_d4 = 36, .pin_d3 = 21, .pin_d2 = 19, .pin_d1 = 18, .pin_d0 = 5, .pin_vsync = 25,  \
    .pin_href = 23, .pin_pclk = 22
#elif CONFIG_BINSIGHT_BOARD_ESP32_S3_EYE
#define PINS                                                                                                           \
    .pin_pwdn = -1, .pin_reset = -1, .pin_xclk = 15, .pin_sccb_sda = 4, .pin_sccb_scl = 5, .pin_d7 = 16, .pin_d6 = 17, \
    .pin_d5 = 18, .pin_d4 = 12, .pin_d3 = 10, .pin_d2 = 8, .pin_d1 = 9, .pin_d0 = 11, .pin_vsync = 6, .pin_href = 7,   \
    .pin_pclk = 13
#else
#error "choose a board: idf.py menuconfig, binsight"
#endif

bool camera_start(void)
{
    const camera_config_t config = {
        PINS,
        .xclk_freq_hz = 20000000,
        .ledc_timer = LEDC_TIMER_0,
        .ledc_channel = LEDC_CHANNEL_0,
#if CONFIG_BINSIGHT_MODE_SERVER
        .pixel_format = PIXFORMAT_JPEG,
        .frame_size = FRAMESIZE_VGA,
#else
        .pixel_format = PIXFORMAT_RGB565,
        .frame_size = FRAMESIZE_QVGA,
#endif
        .jpeg_quality = 12,
        /* With one buffer, or without "latest", pictures are one or more shots old; one more while the last is kept. */
        .fb_count = 3,
        .fb_location = CAMERA_FB_IN_PSRAM,
        .grab_mode = CAMERA_GRAB_LATEST,
    };
    esp_err_t error = esp_camera_init(&config);
    if (error != ESP_OK) {
        ESP_LOGE(TAG, "no camera: 0x%x; is its ribbon in, and is there PSRAM?", error);
    }
    return error == ESP_OK;
}

static int64_t exposed_us(const camera_fb_t *picture)
{
    return (int64_t)picture->timestamp.tv_sec * 1000000 + picture->timestamp.tv_usec;
}

camera_fb_t *camera_take(int64_t after_us)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        camera_fb_t *picture = esp_camera_fb_get();
        if (picture == NULL) {
            return NULL; /* the driver has waited for seconds */
        }
        if (exposed_us(picture) >= after_us) {
            return picture;
        }
        esp_camera_fb_return(picture);
    }
    return NULL;
}

void camera_release(camera_fb_t *picture)
{
    esp_camera_fb_return(picture);
}

uint32_t camera_age_ms(const camera_fb_t *picture)
{
    int64_t age_us = esp_timer_get_time() - exposed_us(picture);
    return age_us > 0 ? (uint32_t)(age_us / 1000) : 0;
}
