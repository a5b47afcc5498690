#include "wifi.h"

#include <string.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_timer.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"

#define CONNECTED BIT0
#define FIRST_PAUSE_MS 500
#define LAST_PAUSE_MS 16000

static const char *TAG = "wifi";
static EventGroupHandle_t state;
static esp_timer_handle_t pause;
static uint32_t pause_ms = FIRST_PAUSE_MS;

static void connect(void *unused)
{
    (void)unused;
    esp_wifi_connect();
}

static void on_event(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    (void)unused;
    (void)data;
    if (base == IP_EVENT && id == IP_EVENT_STA_GOT_IP) {
        pause_ms = FIRST_PAUSE_MS;
        xEventGroupSetBits(state, CONNECTED);
    } else if (base == WIFI_EVENT && id == WIFI_EVENT_STA_START) {
        esp_wifi_connect();
    } else if (base == WIFI_EVENT && id == WIFI_EVENT_STA_DISCONNECTED) {
        xEventGroupClearBits(state, CONNECTED);
        ESP_LOGW(TAG, "no connection; again in %lu ms", (unsigned long)pause_ms);
        esp_timer_start_once(pause, (uint64_t)pause_ms * 1000);
        pause_ms = 2 * pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : LAST_PAUSE_MS;
    }
}

void wifi_start(const settings *with)
{
    const esp_timer_create_args_t timer = {.callback = connect, .name = "wifi"};
    wifi_init_config_t init = WIFI_INIT_CONFIG_DEFAULT();
    wifi_config_t config = {0};
    state = xEventGroupCreate();
    ESP_ERROR_CHECK(esp_timer_create(&timer, &pause));
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    esp_netif_create_default_wifi_sta();
    ESP_ERROR_CHECK(esp_wifi_init(&init));
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_event, NULL));
    ESP_ERROR_CHECK(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_event, NULL));
    /* Names of 32 and passwords of 64 characters fill their fields, without an end mark. */
    memcpy(config.sta.ssid, with->wifi_ssid, strnlen(with->wifi_ssid, sizeof config.sta.ssid));
    memcpy(config.sta.password, with->wifi_password, strnlen(with->wifi_password, sizeof config.sta.password));
    config.sta.threshold.authmode = with->wifi_password[0] == '\0' ? WIFI_AUTH_OPEN : WIFI_AUTH_WPA2_PSK;
    ESP_ERROR_CHECK(esp_wifi_set_storage(WIFI_STORAGE_RAM)); /* the password stays in "secrets" alone */
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_STA));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_STA, &config));
    ESP_ERROR_CHECK(esp_wifi_start());
    ESP_ERROR_CHECK(esp_wifi_set_ps(WIFI_PS_NONE)); /* sleeping radios answer late */
}

bool wifi_wait(uint32_t timeout_ms)
{
    return xEventGroupWaitBits(state, CONNECTED, pdFALSE, pdTRUE, pdMS_TO_TICKS(timeout_ms)) & CONNECTED;
}
