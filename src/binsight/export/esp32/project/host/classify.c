/* Classifies photos as the device would.
 *   classify [--rgb565] photo.ppm …          label and scores of each
 *   classify [--rgb565] --bytes photo.ppm …  the network's input and its output as bytes, for comparisons
 * "-" is standard input; a file may hold several pictures. */
#include "network.h"
#include "ppm.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    bool rgb565, bytes;
} options;

static void print_decision(const char *name, const binsight_decision *decision)
{
    const char *reason = binsight_reason_text(decision->reason);
    printf("%s: %s %.4f %s\n", name, binsight_classes[decision->category].id, decision->confidence,
           reason == NULL ? "accept" : reason);
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        printf("  %-16s %.4f\n", binsight_classes[c].id, decision->scores[c]);
    }
}

static bool classify(const char *name, binsight_frame *frame, options how)
{
    static binsight_workspace work;
    static int8_t input[BINSIGHT_INPUT_BYTES], logits[BINSIGHT_CLASSES];
    if (how.rgb565) {
        reduce_to_rgb565(frame);
    }
    binsight_status status = binsight_prepare(frame, &work, input);
    if (status != BINSIGHT_OK) {
        fprintf(stderr, "classify: %s: %s\n", name, binsight_status_text(status));
        return false;
    }
    run_network(input, logits);
    if (how.bytes) {
        return fwrite(input, sizeof input, 1, stdout) == 1 && fwrite(logits, sizeof logits, 1, stdout) == 1;
    }
    binsight_decision decision;
    binsight_decide(logits, &decision);
    print_decision(name, &decision);
    return true;
}

static bool classify_file(const char *name, options how)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "classify: cannot open %s\n", name);
        return false;
    }
    binsight_frame frame;
    const char *fault;
    bool is_good = true;
    int pictures = 0;
    while ((fault = read_ppm(file, &frame)) == NULL) {
        is_good = classify(name, &frame, how) && is_good;
        free((void *)frame.pixels);
        pictures++;
    }
    if (fault[0] != '\0' || pictures == 0) {
        fprintf(stderr, "classify: %s: %s\n", name, fault[0] == '\0' ? "no picture in it" : fault);
        is_good = false;
    }
    if (file != stdin) {
        fclose(file);
    }
    return is_good;
}

int main(int count, char **arguments)
{
    options how = {false, false};
    int at = 1;
    for (; at < count && strncmp(arguments[at], "--", 2) == 0; at++) {
        how.rgb565 = how.rgb565 || strcmp(arguments[at], "--rgb565") == 0;
        how.bytes = how.bytes || strcmp(arguments[at], "--bytes") == 0;
        if (strcmp(arguments[at], "--rgb565") != 0 && strcmp(arguments[at], "--bytes") != 0) {
            fprintf(stderr, "classify: expected --rgb565 or --bytes, got %s\n", arguments[at]);
            return 2;
        }
    }
    if (at == count) {
        fprintf(stderr, "usage: classify [--rgb565] [--bytes] photo.ppm ...\n");
        return 2;
    }
    bool is_good = true;
    for (; at < count; at++) {
        is_good = classify_file(arguments[at], how) && is_good;
    }
    return is_good ? 0 : 1;
}
