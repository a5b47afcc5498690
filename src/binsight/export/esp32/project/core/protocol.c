/* What the device writes and reads: a result as JSON, the head of an HTTP request, the server's answer. */
#include "binsight_core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char *out;
    size_t size, used;
    bool failed;
} writer;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void put(writer *to, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    size_t room = to->size - to->used;
    int length = vsnprintf(to->out + to->used, room, format, values);
    va_end(values);
    if (length < 0 || (size_t)length >= room) {
        to->failed = true;
    } else {
        to->used += (size_t)length;
    }
}

static size_t finish(const writer *to)
{
    if (to->failed && to->size > 0) {
        to->out[0] = '\0';
    }
    return to->failed ? 0 : to->used;
}

/* Text that may stand in JSON and in a header as it is: printable ASCII without quotes and backslashes. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

/* A number from 0 to 1 with four digits; written so, because printf follows the locale. */
static void put_share(writer *to, double share)
{
    unsigned digits = share > 0.0 ? (unsigned)((share < 1.0 ? share : 1.0) * 10000.0 + 0.5) : 0;
    put(to, "%u.%04u", digits / 10000, digits % 10000);
}

static void put_word(writer *to, const char *key, const char *word)
{
    if (word == NULL) {
        put(to, ",\"%s\":null", key);
    } else {
        put(to, ",\"%s\":\"%s\"", key, word);
    }
}

/* The position of a class; -1 for one that this model does not know. */
static int find_class(const char *id)
{
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        if (strcmp(binsight_classes[c].id, id) == 0) {
            return c;
        }
    }
    return -1;
}

static void put_scores(writer *to, const binsight_decision *decision)
{
    put(to, ",\"confidence\":");
    put_share(to, decision->confidence);
    if (BINSIGHT_KNOWS_BIODEGRADABLE) {
        put(to, ",\"biodegradable_probability\":");
        put_share(to, decision->biodegradable);
    }
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        put(to, "%s\"%s\":", c == 0 ? ",\"scores\":{" : ",", binsight_classes[c].id);
        put_share(to, decision->scores[c]);
    }
    put(to, "}");
}

size_t binsight_result_json(char *out, size_t size, const binsight_result *result, const binsight_decision *decision)
{
    writer to = {out, size, 0, size == 0};
    bool is_own = result->category == NULL;
    int category = is_own ? decision->category : find_class(result->category);
    bool is_known = category >= 0 && category < BINSIGHT_CLASSES;
    const char *id = !is_own ? result->category : is_known ? binsight_classes[category].id : NULL;
    const char *reason = binsight_reason_text(decision->reason);
    if (to.failed || !is_plain(result->device) || (id != NULL && !is_plain(id))) {
        return 0;
    }
    put(&to, "{\"device\":\"%s\",\"seq\":%llu,\"age_ms\":%lu,\"took_ms\":%lu,\"frames\":%lu", result->device,
        (unsigned long long)result->sequence, (unsigned long)result->age_ms, (unsigned long)result->took_ms,
        (unsigned long)decision->frames);
    put(&to, ",\"decided\":\"%s\",\"decision\":\"%s\"", is_own ? "device" : "server",
        reason == NULL ? "accept" : "review");
    put_word(&to, "reason", reason);
    put_word(&to, "category", id);
    put_word(&to, "stream", is_known ? binsight_classes[category].stream : NULL);
    if (is_own && is_known) {
        put_scores(&to, decision);
    }
    put(&to, ",\"model\":\"%s\"}", BINSIGHT_MODEL);
    return finish(&to);
}

size_t binsight_request_head(char *out, size_t size, const binsight_request *request)
{
    writer to = {out, size, 0, size == 0};
    bool has_key = request->key != NULL && request->key[0] != '\0';
    /* A line end in a value would begin another header; a blank in the path, another part of the first line. */
    if (to.failed || request->path[0] != '/' || strchr(request->path, ' ') != NULL || !is_plain(request->path) ||
        !is_plain(request->host) || !is_plain(request->device) || (has_key && !is_plain(request->key))) {
        return 0;
    }
    put(&to, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: image/jpeg\r\nContent-Length: %lu\r\n", request->path,
        request->host, (unsigned long)request->body_length);
    if (has_key) {
        put(&to, "Authorization: Bearer %s\r\n", request->key);
    }
    put(&to, "X-Binsight-Device: %s\r\nX-Binsight-Sequence: %llu\r\nX-Binsight-Age-Ms: %lu\r\n\r\n", request->device,
        (unsigned long long)request->sequence, (unsigned long)request->age_ms);
    return finish(&to);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The value of a header line called `name` (in small letters); NULL if it is another. */
static const char *value_of(const char *line, const char *end, const char *name)
{
    for (; *name != '\0'; name++, line++) {
        if (line == end || lower(*line) != *name) {
            return NULL;
        }
    }
    if (line == end || *line++ != ':') {
        return NULL;
    }
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    return line;
}

static bool contains(const char *text, const char *end, const char *word)
{
    size_t length = strlen(word);
    for (; (size_t)(end - text) >= length; text++) {
        size_t i = 0;
        while (i < length && lower(text[i]) == word[i]) {
            i++;
        }
        if (i == length) {
            return true;
        }
    }
    return false;
}

/* A whole number of at most nine digits up to the end of the line; -1 if it is none. */
static int64_t number(const char *text, const char *end)
{
    int64_t value = 0;
    int digits = 0;
    for (; text < end && *text >= '0' && *text <= '9'; text++) {
        value = 10 * value + (*text - '0');
        if (++digits > 9) {
            return -1;
        }
    }
    while (text < end && (*text == ' ' || *text == '\t')) {
        text++;
    }
    return digits > 0 && text == end ? value : -1;
}

static bool read_header(const char *line, const char *end, binsight_answer *answer)
{
    const char *value;
    if ((value = value_of(line, end, "content-length")) != NULL) {
        answer->body_length = number(value, end);
        return answer->body_length >= 0;
    }
    if ((value = value_of(line, end, "transfer-encoding")) != NULL) {
        answer->chunked = contains(value, end, "chunked");
    } else if ((value = value_of(line, end, "connection")) != NULL) {
        answer->keeps_alive = !contains(value, end, "close") && (answer->keeps_alive || contains(value, end, "keep"));
    }
    return true;
}

static bool read_first_line(const char *line, const char *end, binsight_answer *answer)
{
    if (end - line < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ') {
        return false;
    }
    answer->status = (int)number(line + 9, line + 12);
    answer->keeps_alive = line[7] == '1';
    answer->body_length = -1;
    answer->chunked = false;
    return answer->status >= 100 && (end - line == 12 || line[12] == ' ');
}

int binsight_read_answer(const char *data, size_t length, binsight_answer *answer)
{
    const char *line = data, *limit = data + length;
    for (;;) {
        const char *feed = line == limit ? NULL : memchr(line, '\n', (size_t)(limit - line));
        if (feed == NULL) {
            return 0;
        }
        const char *end = feed > line && feed[-1] == '\r' ? feed - 1 : feed;
        if (line == data ? !read_first_line(line, end, answer) : end > line && !read_header(line, end, answer)) {
            return -1;
        }
        if (end == line) {
            answer->head_length = (size_t)(feed + 1 - data);
            return 1;
        }
        line = feed + 1;
    }
}

/* The place after a string whose opening quote is at `at`; NULL without its end. */
static const char *after_string(const char *at, const char *end)
{
    bool is_escaped = false;
    for (at++; at < end; at++) {
        if (*at == '"' && !is_escaped) {
            return at + 1;
        }
        is_escaped = *at == '\\' && !is_escaped;
    }
    return NULL;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) {
        at++;
    }
    return at;
}

size_t binsight_json_string(const char *json, size_t length, const char *key, char *out, size_t size)
{
    const char *at = json, *end = json + length;
    size_t key_length = strlen(key);
    int depth = 0;
    while (at < end) {
        if (*at != '"') {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            at++;
            continue;
        }
        const char *next = after_string(at, end);
        if (next == NULL) {
            return 0;
        }
        bool is_key = depth == 1 && (size_t)(next - at) == key_length + 2 && memcmp(at + 1, key, key_length) == 0;
        at = skip_blanks(next, end);
        if (!is_key || at == end || *at != ':') {
            continue;
        }
        at = skip_blanks(at + 1, end);
        next = at < end && *at == '"' ? after_string(at, end) : NULL;
        size_t found = next == NULL ? 0 : (size_t)(next - at) - 2;
        if (found == 0 || found >= size || memchr(at + 1, '\\', found) != NULL) {
            return 0;
        }
        memcpy(out, at + 1, found);
        out[found] = '\0';
        return found;
    }
    return 0;
}
