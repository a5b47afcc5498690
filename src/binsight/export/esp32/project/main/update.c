#include "update.h"

#include <string.h>

#include "esp_app_desc.h"
#include "esp_crt_bundle.h"
#include "esp_http_client.h"
#include "esp_https_ota.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_task_wdt.h"
#include "esp_timer.h"
#include "sdkconfig.h"

#define PROBATION_US (5 * 60 * 1000000ull)

static const char *TAG = "update";
static esp_timer_handle_t probation;
static volatile bool is_new;

static void give_up(void *unused)
{
    (void)unused;
    update_give_up();
}

void update_guard(void)
{
    esp_ota_img_states_t state;
    if (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) != ESP_OK ||
        state != ESP_OTA_IMG_PENDING_VERIFY) {
        return;
    }
    const esp_timer_create_args_t timer = {.callback = give_up, .name = "probation"};
    is_new = true;
    ESP_ERROR_CHECK(esp_timer_create(&timer, &probation));
    ESP_ERROR_CHECK(esp_timer_start_once(probation, PROBATION_US));
}

void update_confirm(void)
{
    if (is_new) {
        is_new = false;
        esp_timer_stop(probation);
        ESP_ERROR_CHECK(esp_ota_mark_app_valid_cancel_rollback());
        ESP_LOGI(TAG, "this program works and is kept");
    }
}

void update_give_up(void)
{
    if (is_new) {
        ESP_LOGE(TAG, "this program does not work: back to the one before");
        esp_ota_mark_app_invalid_rollback_and_reboot(); /* returns only when there is none */
    }
}

/* Another version than this one, and than the one that was given up last. */
static bool is_wanted(const esp_app_desc_t *offered)
{
    const esp_partition_t *invalid = esp_ota_get_last_invalid_partition();
    esp_app_desc_t failed;
    if (strncmp(offered->version, esp_app_get_description()->version, sizeof offered->version) == 0) {
        return false;
    }
    return invalid == NULL || esp_ota_get_partition_description(invalid, &failed) != ESP_OK ||
           strncmp(offered->version, failed.version, sizeof failed.version) != 0;
}

static void fetch(const settings *with)
{
    const esp_http_client_config_t http = {
        .url = CONFIG_BINSIGHT_UPDATE_URL,
        .cert_pem = with->server_ca,
        .crt_bundle_attach = with->server_ca == NULL ? esp_crt_bundle_attach : NULL,
        .timeout_ms = 10000,
        .keep_alive_enable = true,
    };
    const esp_https_ota_config_t config = {.http_config = &http};
    esp_https_ota_handle_t handle = NULL;
    esp_app_desc_t offered;
    if (esp_https_ota_begin(&config, &handle) != ESP_OK) {
        ESP_LOGW(TAG, "nothing at %s", CONFIG_BINSIGHT_UPDATE_URL);
        return;
    }
    if (esp_https_ota_get_img_desc(handle, &offered) != ESP_OK || !is_wanted(&offered)) {
        esp_https_ota_abort(handle);
        return;
    }
    ESP_LOGI(TAG, "from %s to %s", esp_app_get_description()->version, offered.version);
    esp_err_t error;
    while ((error = esp_https_ota_perform(handle)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS) {
        esp_task_wdt_reset();
    }
    if (error != ESP_OK || !esp_https_ota_is_complete_data_received(handle)) {
        ESP_LOGE(TAG, "it broke off: %s", esp_err_to_name(error));
        esp_https_ota_abort(handle);
        return;
    }
    if (esp_https_ota_finish(handle) == ESP_OK) { /* checks its SHA-256, and its signature where that is on */
        esp_restart();
    }
}

void update_look(const settings *with)
{
    static int64_t next_us;
    int64_t now_us = esp_timer_get_time();
    /* A program on probation looks for no other: there must be one to go back to. */
    if (CONFIG_BINSIGHT_UPDATE_URL[0] == '\0' || is_new || now_us < next_us) {
        return;
    }
    next_us = now_us + (int64_t)CONFIG_BINSIGHT_UPDATE_HOURS * 3600 * 1000000;
    fetch(with);
}
