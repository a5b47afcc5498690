#include "publish.h"

#include <stdio.h>
#include <string.h>

#include "binsight_core.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "mqtt_client.h"
#include "sdkconfig.h"

#define OUTBOX_BYTES 16384

static const char *TAG = "mqtt";
static const char OFFLINE[] = "{\"online\":false}";
static esp_mqtt_client_handle_t client;
static volatile bool is_connected;
static char state_topic[192], result_topic[192], state[192];

static void on_event(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    (void)unused;
    (void)base;
    (void)data;
    if (id == MQTT_EVENT_CONNECTED) {
        is_connected = true;
        esp_mqtt_client_enqueue(client, state_topic, state, 0, 1, 1, true);
    } else if (id == MQTT_EVENT_DISCONNECTED) {
        is_connected = false;
    }
}

static bool may_be_used(const char *uri)
{
#if CONFIG_BINSIGHT_ALLOW_PLAIN
    (void)uri;
    return true;
#else
    return strncmp(uri, "mqtts://", 8) == 0 || strncmp(uri, "wss://", 6) == 0;
#endif
}

void publish_start(const settings *with, const char *fault)
{
    if (with->mqtt_uri[0] == '\0') {
        return;
    }
    if (!may_be_used(with->mqtt_uri)) {
        ESP_LOGE(TAG, "mqtt_uri must begin with mqtts://, or set BINSIGHT_ALLOW_PLAIN");
        return;
    }
    const char *prefix = CONFIG_BINSIGHT_MQTT_PREFIX;
    snprintf(state_topic, sizeof state_topic, "%s/device/%s/state", prefix, with->device);
    snprintf(result_topic, sizeof result_topic, "%s/device/%s/result", prefix, with->device);
    const char *quote = fault == NULL ? "" : "\"";
    snprintf(state, sizeof state, "{\"online\":true,\"model\":\"%s\",\"fault\":%s%s%s}", BINSIGHT_MODEL, quote,
             fault == NULL ? "null" : fault, quote);
    const esp_mqtt_client_config_t config = {
        .broker.address.uri = with->mqtt_uri,
        .broker.verification.certificate = with->server_ca,
        .broker.verification.crt_bundle_attach = with->server_ca == NULL ? esp_crt_bundle_attach : NULL,
        .credentials.client_id = with->device,
        .credentials.username = with->mqtt_user[0] == '\0' ? NULL : with->mqtt_user,
        .credentials.authentication.password = with->mqtt_password[0] == '\0' ? NULL : with->mqtt_password,
        .session.last_will = {.topic = state_topic, .msg = OFFLINE, .qos = 1, .retain = 1},
        .session.keepalive = 15,
        .outbox.limit = OUTBOX_BYTES,
    };
    client = esp_mqtt_client_init(&config);
    if (client == NULL) {
        ESP_LOGE(TAG, "the client cannot be made: is mqtt_uri an address?");
        return;
    }
    esp_mqtt_client_register_event(client, MQTT_EVENT_ANY, on_event, NULL);
    esp_mqtt_client_start(client);
}

bool publish_is_connected(void)
{
    return client == NULL || is_connected;
}

void publish_result(const char *json, size_t length)
{
    ESP_LOGI(TAG, "%.*s", (int)length, json);
    if (client != NULL && esp_mqtt_client_enqueue(client, result_topic, json, (int)length, 1, 0, true) < 0) {
        ESP_LOGW(TAG, "the outbox is full: a result is dropped");
    }
}
