/* From the network's outputs to the answer that the server would give: `binsight.probability.decision` in JavaScript. */

const ROTS = new Map([[true, "biodegradable"], [false, "non_biodegradable"], [null, "unknown"]]);
const rounded = (value) => Math.round(value * 1e8) / 1e8;

/** Probabilities; the largest logit is subtracted first, so that nothing overflows. */
export function softmax(logits, temperature) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (z) => Math.exp((z - most) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export const sigmoid = (logit, temperature) => 0.5 * (1 + Math.tanh((0.5 * logit) / temperature));

/**
 * The answer of `POST /predict` for one photo.
 *
 * `outputs`: name → numbers of the network; `manifest`: the bundle's `bundle.json`.
 */
export function interpret(outputs, manifest) {
  const { classes } = manifest.taxonomy;
  const scores = softmax(outputs.logits, manifest.temperature);
  const best = scores.indexOf(Math.max(...scores));
  const second = outputs.biodegradable_logit && manifest.biodegradable_temperature !== null
    ? sigmoid(outputs.biodegradable_logit[0], manifest.biodegradable_temperature) : null;
  const reason = reasonToReview(scores, best, second, outputs.unfamiliarity?.[0] ?? null, manifest);
  return {
    predicted_category: classes[best].id,
    biodegradability: ROTS.get(classes[best].biodegradable),
    confidence_scores: Object.fromEntries(classes.map(({ id }, i) => [id, rounded(scores[i])])),
    confidence: rounded(scores[best]),
    biodegradable_probability: second === null ? null : rounded(second),
    decision: reason ? "review" : "accept",
    reason,
    stream: classes[best].stream,
    advice: classes[best].advice,
    model: { name: manifest.name, version: manifest.version, precision: "float" },
  };
}

/* The most fundamental first: a picture unlike all that was learned makes its confidence meaningless. */
function reasonToReview(scores, best, second, strangeness, { review, taxonomy: { classes } }) {
  if (exceeds(strangeness, review.unfamiliarity)) return "unfamiliar";
  if (!(scores[best] >= review.confidence[classes[best].id])) return "low_confidence";
  const total = scores.filter((_, i) => classes[i].biodegradable).reduce((a, b) => a + b, 0);
  if (second !== null && exceeds(Math.abs(second - total), review.disagreement)) return "heads_disagree";
  return null;
}

/* Not-a-number counts as above. */
const exceeds = (value, limit) => value !== null && limit !== null && !(value <= limit);
