#include "server.h"

#include <stdio.h>
#include <string.h>

#include "binsight_core.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "esp_tls.h"
#include "sdkconfig.h"

#define TIMEOUT_MS 5000

static const char *TAG = "server";
static const settings *own;
static esp_tls_t *connection;

void server_start(const settings *with)
{
    own = with;
}

static void disconnect(void)
{
    if (connection != NULL) {
        esp_tls_conn_destroy(connection);
        connection = NULL;
    }
}

static bool connect(void)
{
    esp_tls_cfg_t config = {
        .timeout_ms = TIMEOUT_MS,
#if CONFIG_BINSIGHT_ALLOW_PLAIN
        .is_plain_tcp = true,
#endif
    };
    if (own->server_ca != NULL) {
        config.cacert_buf = (const unsigned char *)own->server_ca;
        config.cacert_bytes = strlen(own->server_ca) + 1; /* PEM counts its end mark */
    } else {
        config.crt_bundle_attach = esp_crt_bundle_attach;
    }
    connection = esp_tls_init();
    if (connection == NULL) {
        return false;
    }
    const char *host = CONFIG_BINSIGHT_SERVER_HOST;
    if (esp_tls_conn_new_sync(host, strlen(host), CONFIG_BINSIGHT_SERVER_PORT, &config, connection) != 1) {
        ESP_LOGW(TAG, "no connection to %s:%d", host, CONFIG_BINSIGHT_SERVER_PORT);
        disconnect();
    }
    return connection != NULL;
}

/* The socket gives up after its timeout, which shows as WANT_READ or WANT_WRITE: an error too. */
static bool write_all(const void *data, size_t length)
{
    const char *from = data;
    while (length > 0) {
        ssize_t written = esp_tls_conn_write(connection, from, length);
        if (written <= 0) {
            return false;
        }
        from += written;
        length -= (size_t)written;
    }
    return true;
}

/* The head and as much of the body as it announces; an answer that does not fit is none. */
static bool read_answer(server_answer *answer)
{
    static char buffer[4096];
    size_t length = 0;
    binsight_answer head = {0};
    int state = 0;
    for (;;) {
        if (state == 0) {
            state = binsight_read_answer(buffer, length, &head);
        }
        size_t whole = head.body_length >= 0 ? head.head_length + (size_t)head.body_length : sizeof buffer;
        if (state < 0 || length == sizeof buffer || (state == 1 && whole > sizeof buffer)) {
            return false;
        }
        if (state == 1 && head.body_length >= 0 && !head.chunked && length >= whole) {
            break;
        }
        ssize_t arrived = esp_tls_conn_read(connection, buffer + length, sizeof buffer - length);
        if (arrived <= 0) {
            if (state == 1 && arrived == 0 && head.body_length < 0) {
                break; /* it ends with the connection */
            }
            return false;
        }
        length += (size_t)arrived;
        if (state == 1 && head.chunked && length >= 5 && memcmp(buffer + length - 5, "0\r\n\r\n", 5) == 0) {
            break;
        }
    }
    *answer = (server_answer){head.status, buffer + head.head_length, length - head.head_length};
    if (!head.keeps_alive || head.body_length < 0 || head.chunked) {
        disconnect();
    }
    return true;
}

bool server_post(const char *path, const uint8_t *jpeg, size_t length, uint64_t sequence, uint32_t age_ms,
                 server_answer *answer)
{
    char head[640];
    const binsight_request request = {
        .host = CONFIG_BINSIGHT_SERVER_HOST,
        .path = path,
        .key = own->server_key,
        .device = own->device,
        .sequence = sequence,
        .age_ms = age_ms,
        .body_length = length,
    };
    size_t head_length = binsight_request_head(head, sizeof head, &request);
    if (head_length == 0) {
        ESP_LOGE(TAG, "the server's name, the device's name or its key cannot be sent in a header");
        return false;
    }
    /* A kept connection may be gone: once more over a new one. The sequence number keeps it from counting twice. */
    for (bool is_kept = connection != NULL;; is_kept = false) {
        if (connection == NULL && !connect()) {
            return false;
        }
        if (write_all(head, head_length) && write_all(jpeg, length) && read_answer(answer)) {
            return true;
        }
        disconnect();
        if (!is_kept) {
            ESP_LOGW(TAG, "no answer");
            return false;
        }
    }
}
