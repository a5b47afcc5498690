/* Starts everything in the order that weak supplies and small memories ask for, then looks at picture after picture. */
#include <stdio.h>
#include <stdlib.h>

#include "binsight_core.h"
#include "camera.h"
#include "driver/gpio.h"
#include "esp_attr.h"
#include "esp_log.h"
#include "esp_task_wdt.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "img_converters.h"
#include "inference.h"
#include "nvs_flash.h"
#include "publish.h"
#include "sdkconfig.h"
#include "server.h"
#include "settings.h"
#include "update.h"
#include "wifi.h"

static const char *TAG = "binsight";
static settings own;
static uint64_t sequence;

#if CONFIG_BINSIGHT_MODE_SERVER

/* Send one picture; the server's line decides. */
static bool look(void)
{
    server_answer answer;
    camera_fb_t *picture = camera_take(0);
    if (picture == NULL) {
        return false;
    }
    bool is_sent = server_post("/lines/" CONFIG_BINSIGHT_LINE "/frames", picture->buf, picture->len, ++sequence,
                               camera_age_ms(picture), &answer);
    camera_release(picture);
    if (is_sent && answer.status != 200) {
        ESP_LOGW(TAG, "HTTP %d: %.*s", answer.status, (int)answer.length, answer.body);
    }
    return is_sent && answer.status == 200;
}

#else

#if CONFIG_BINSIGHT_TRIGGER_GPIO >= 0

static TaskHandle_t main_task;
static portMUX_TYPE trigger_lock = portMUX_INITIALIZER_UNLOCKED;
static int64_t triggered_us;

/* In fast memory: the camera's driver lets interrupts come while the flash is written. */
static void IRAM_ATTR on_trigger(void *unused)
{
    (void)unused;
    portENTER_CRITICAL_ISR(&trigger_lock);
    triggered_us = esp_timer_get_time();
    portEXIT_CRITICAL_ISR(&trigger_lock);
    vTaskNotifyGiveFromISR(main_task, NULL);
}

static void watch_trigger(void)
{
    main_task = xTaskGetCurrentTaskHandle();
    const gpio_config_t pin = {
        .pin_bit_mask = 1ull << CONFIG_BINSIGHT_TRIGGER_GPIO,
        .mode = GPIO_MODE_INPUT,
        .pull_up_en = GPIO_PULLUP_ENABLE,
        .intr_type = GPIO_INTR_NEGEDGE,
    };
    ESP_ERROR_CHECK(gpio_config(&pin));
    esp_err_t error = gpio_install_isr_service(0);
    if (error != ESP_ERR_INVALID_STATE) { /* the camera's driver may have done it */
        ESP_ERROR_CHECK(error);
    }
    ESP_ERROR_CHECK(gpio_isr_handler_add(CONFIG_BINSIGHT_TRIGGER_GPIO, on_trigger, NULL));
}

/* Until there is a piece, and when it came; false when there is none for a second. */
static bool wait_for_piece(int64_t *since_us)
{
    if (ulTaskNotifyTake(pdTRUE, pdMS_TO_TICKS(1000)) == 0) {
        return false;
    }
    portENTER_CRITICAL(&trigger_lock);
    *since_us = triggered_us;
    portEXIT_CRITICAL(&trigger_lock);
    return true;
}

#else

static void watch_trigger(void)
{
}

static bool wait_for_piece(int64_t *since_us)
{
    *since_us = 0;
    return true;
}

#endif

static bool classify(const camera_fb_t *picture, binsight_decision *decision)
{
    static binsight_workspace work;
    int8_t logits[BINSIGHT_CLASSES];
    const binsight_frame frame = {picture->buf, picture->len, picture->width, picture->height, 0, BINSIGHT_RGB565_BE};
    binsight_frame part;
    binsight_status status = binsight_region(&frame, CONFIG_BINSIGHT_REGION_LEFT, CONFIG_BINSIGHT_REGION_TOP,
                                             CONFIG_BINSIGHT_REGION_RIGHT, CONFIG_BINSIGHT_REGION_BOTTOM, &part);
    if (status == BINSIGHT_OK) {
        status = binsight_prepare(&part, &work, inference_input());
    }
    if (status != BINSIGHT_OK) {
        ESP_LOGW(TAG, "a frame cannot be used: %s", binsight_status_text(status));
        return false;
    }
    if (!inference_run(logits)) {
        return false;
    }
    binsight_decide(logits, decision);
    return true;
}

#if CONFIG_BINSIGHT_MODE_ASK
/* The server's category for a picture that the device is not sure of. */
static bool ask(camera_fb_t *picture, uint32_t age_ms, char *category, size_t size, bool *is_accepted)
{
    uint8_t *jpeg = NULL;
    size_t length = 0;
    server_answer answer;
    char decision[16];
    if (!wifi_wait(0) || !frame2jpg(picture, 85, &jpeg, &length)) {
        return false;
    }
    bool is_answered = server_post("/predict", jpeg, length, sequence, age_ms, &answer) && answer.status == 200 &&
                       binsight_json_string(answer.body, answer.length, "predicted_category", category, size) > 0 &&
                       binsight_json_string(answer.body, answer.length, "decision", decision, sizeof decision) > 0;
    free(jpeg);
    *is_accepted = is_answered && decision[0] == 'a';
    return is_answered;
}
#endif

static void tell(binsight_decision *decision, camera_fb_t *last, uint32_t took_ms)
{
    char json[1024];
    uint32_t age_ms = camera_age_ms(last);
    binsight_result result = {own.device, NULL, ++sequence, age_ms, took_ms};
#if CONFIG_BINSIGHT_MODE_ASK
    char category[64];
    bool is_accepted;
    if (decision->reason != BINSIGHT_ACCEPTED && ask(last, age_ms, category, sizeof category, &is_accepted)) {
        result.category = category;
        result.age_ms = camera_age_ms(last);
        decision->reason = is_accepted ? BINSIGHT_ACCEPTED : BINSIGHT_LOW_CONFIDENCE;
    }
#endif
    size_t length = binsight_result_json(json, sizeof json, &result, decision);
    if (length > 0) {
        publish_result(json, length);
    } else {
        ESP_LOGE(TAG, "a result does not fit");
    }
}

/* Several pictures of one piece, one result. */
static bool look(void)
{
    binsight_vote vote;
    binsight_decision decision;
    camera_fb_t *last = NULL;
    uint32_t took_ms = 0;
    int64_t since_us;
    if (!wait_for_piece(&since_us)) {
        return true;
    }
    binsight_vote_start(&vote);
    for (int i = 0; i < CONFIG_BINSIGHT_VOTE_FRAMES; i++) {
        camera_fb_t *picture = camera_take(since_us);
        int64_t began_us = esp_timer_get_time();
        if (picture == NULL || !classify(picture, &decision)) {
            if (picture != NULL) {
                camera_release(picture);
            }
            continue;
        }
        took_ms = (uint32_t)((esp_timer_get_time() - began_us) / 1000);
        binsight_vote_add(&vote, &decision);
        if (last != NULL) {
            camera_release(last);
        }
        last = picture;
    }
    if (last == NULL) {
        return false;
    }
    binsight_vote_end(&vote, &decision);
    tell(&decision, last, took_ms);
    camera_release(last);
    return true;
}

#endif

/* For ever, without looking at anything: a mended program may still come over the air. */
static void stand_still(const char *fault)
{
    ESP_LOGE(TAG, "%s: this device does not work", fault);
    update_give_up();
    publish_start(&own, fault);
    for (;;) {
        esp_task_wdt_reset();
        if (wifi_wait(1000)) {
            update_look(&own);
        }
        vTaskDelay(pdMS_TO_TICKS(1000));
    }
}

static void start_flash(void)
{
    esp_err_t error = nvs_flash_init(); /* of the radio; nothing in it was written by a person */
    if (error == ESP_ERR_NVS_NO_FREE_PAGES || error == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        error = nvs_flash_init();
    }
    ESP_ERROR_CHECK(error);
}

void app_main(void)
{
    update_guard();
    start_flash();
    if (!settings_load(&own)) {
        update_give_up();
        return;
    }
#if !CONFIG_BINSIGHT_MODE_SERVER
    bool is_sound = inference_start(); /* before the watchdog: slow kernels take seconds for the golden pictures */
#else
    bool is_sound = true;
#endif
    ESP_ERROR_CHECK(esp_task_wdt_add(NULL));
    server_start(&own);
    wifi_start(&own);
    wifi_wait(10000);
    esp_task_wdt_reset();
    if (!is_sound) {
        stand_still("self_test");
    }
    if (!camera_start()) {
        stand_still("camera");
    }
    publish_start(&own, NULL);
#if !CONFIG_BINSIGHT_MODE_SERVER
    watch_trigger();
#endif
    for (;;) {
        int64_t began_us = esp_timer_get_time();
        esp_task_wdt_reset();
        if (look() && wifi_wait(0) && publish_is_connected()) {
            update_confirm();
        }
        if (wifi_wait(0)) {
            update_look(&own);
        }
        int64_t left_ms = CONFIG_BINSIGHT_INTERVAL_MS - (esp_timer_get_time() - began_us) / 1000;
        vTaskDelay(left_ms > 0 ? pdMS_TO_TICKS(left_ms) : 1);
    }
}
