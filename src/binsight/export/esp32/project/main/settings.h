/* What must not be in the program: names, passwords and keys, from the partition "secrets". */
#pragma once

#include <stdbool.h>

typedef struct {
    char device[33]; /* "esp32-" and its address, if none was given */
    char wifi_ssid[33], wifi_password[65];
    char server_key[129];
    char mqtt_uri[129], mqtt_user[65], mqtt_password[129];
    char *server_ca; /* PEM; NULL: the public certificates that ESP-IDF brings along */
} settings;

/* False, with the reason in the log, when the partition holds no settings. */
bool settings_load(settings *found);
