/* From the network's numbers to accept or not, by the same rules as binsight's review and the line's vote. */
#include "binsight_core.h"

#include <math.h>

#define SECOND_CATEGORY 0.3 /* a second category this probable in one frame: there may be two things in it */
#define NONE (-1)
#define SEVERAL (-2)

const char *binsight_reason_text(binsight_reason reason)
{
    static const char *const texts[] = {NULL, "no_view", "low_confidence", "two_categories", "views_disagree"};
    return (size_t)reason < sizeof texts / sizeof *texts ? texts[reason] : "unknown";
}

/* Everything that follows from the scores. */
static void conclude(binsight_decision *decision)
{
    decision->category = 0;
    decision->biodegradable = 0.0;
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        if (decision->scores[c] > decision->scores[decision->category]) {
            decision->category = c;
        }
        if (binsight_classes[c].biodegradable) {
            decision->biodegradable += decision->scores[c];
        }
    }
    decision->confidence = decision->scores[decision->category];
    bool is_sure = decision->confidence >= binsight_classes[decision->category].threshold;
    decision->reason = is_sure ? BINSIGHT_ACCEPTED : BINSIGHT_LOW_CONFIDENCE;
}

void binsight_decide(const int8_t logits[BINSIGHT_CLASSES], binsight_decision *decision)
{
    int largest = logits[0];
    double sum = 0.0;
    for (int c = 1; c < BINSIGHT_CLASSES; c++) {
        largest = logits[c] > largest ? logits[c] : largest;
    }
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        decision->scores[c] = exp(BINSIGHT_LOGIT_SCALE * (logits[c] - largest) / BINSIGHT_TEMPERATURE);
        sum += decision->scores[c];
    }
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        decision->scores[c] /= sum;
    }
    decision->frames = 1;
    conclude(decision);
}

void binsight_vote_start(binsight_vote *vote)
{
    static const binsight_vote nothing;
    *vote = nothing;
    vote->sure = NONE;
}

void binsight_vote_add(binsight_vote *vote, const binsight_decision *frame)
{
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        vote->sums[c] += frame->scores[c];
        if (c != frame->category && frame->scores[c] >= SECOND_CATEGORY) {
            vote->two_categories = true;
        }
    }
    vote->frames++;
    if (frame->reason == BINSIGHT_ACCEPTED && vote->sure != frame->category) {
        vote->sure = vote->sure == NONE ? frame->category : SEVERAL;
    }
}

void binsight_vote_end(const binsight_vote *vote, binsight_decision *decision)
{
    static const binsight_decision nothing;
    *decision = nothing;
    if (vote->frames == 0) {
        decision->category = NONE;
        decision->reason = BINSIGHT_NO_VIEW;
        return;
    }
    for (int c = 0; c < BINSIGHT_CLASSES; c++) {
        decision->scores[c] = vote->sums[c] / vote->frames;
    }
    conclude(decision);
    decision->frames = vote->frames;
    if (vote->two_categories) {
        decision->reason = BINSIGHT_TWO_CATEGORIES;
    } else if (vote->sure == SEVERAL) {
        decision->reason = BINSIGHT_VIEWS_DISAGREE;
    }
}
