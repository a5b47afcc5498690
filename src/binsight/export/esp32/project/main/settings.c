#include "settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "esp_log.h"
#include "esp_mac.h"
#include "nvs.h"
#include "nvs_flash.h"

#define PARTITION "secrets"
#define NAMESPACE "binsight"

static const char *TAG = "settings";

/* Missing is empty; too long is an error. */
static bool read_text(nvs_handle_t from, const char *key, char *text, size_t size)
{
    text[0] = '\0';
    esp_err_t error = nvs_get_str(from, key, text, &size);
    if (error != ESP_OK && error != ESP_ERR_NVS_NOT_FOUND) {
        ESP_LOGE(TAG, "%s: %s", key, esp_err_to_name(error));
        return false;
    }
    return true;
}

static char *read_certificate(nvs_handle_t from)
{
    size_t size = 0;
    if (nvs_get_str(from, "server_ca", NULL, &size) != ESP_OK || size < 2) {
        return NULL;
    }
    char *text = malloc(size);
    if (text != NULL && nvs_get_str(from, "server_ca", text, &size) != ESP_OK) {
        free(text);
        text = NULL;
    }
    return text;
}

static void name_by_address(char *name, size_t size)
{
    uint8_t mac[6] = {0};
    esp_read_mac(mac, ESP_MAC_WIFI_STA);
    snprintf(name, size, "esp32-%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

bool settings_load(settings *found)
{
    nvs_handle_t from;
    esp_err_t error = nvs_flash_init_partition(PARTITION);
    if (error == ESP_OK) {
        error = nvs_open_from_partition(PARTITION, NAMESPACE, NVS_READONLY, &from);
    }
    if (error != ESP_OK) {
        ESP_LOGE(TAG, "no settings in the partition " PARTITION " (%s): write them as README.md says",
                 esp_err_to_name(error));
        return false;
    }
    bool is_good = read_text(from, "device", found->device, sizeof found->device) &&
                   read_text(from, "wifi_ssid", found->wifi_ssid, sizeof found->wifi_ssid) &&
                   read_text(from, "wifi_password", found->wifi_password, sizeof found->wifi_password) &&
                   read_text(from, "server_key", found->server_key, sizeof found->server_key) &&
                   read_text(from, "mqtt_uri", found->mqtt_uri, sizeof found->mqtt_uri) &&
                   read_text(from, "mqtt_user", found->mqtt_user, sizeof found->mqtt_user) &&
                   read_text(from, "mqtt_password", found->mqtt_password, sizeof found->mqtt_password);
    found->server_ca = read_certificate(from);
    nvs_close(from);
    if (found->device[0] == '\0') {
        name_by_address(found->device, sizeof found->device);
    }
    if (is_good && found->wifi_ssid[0] == '\0') {
        ESP_LOGE(TAG, "wifi_ssid is empty");
        is_good = false;
    }
    return is_good;
}
