/* What the page that teaches says. No DOM, no network. */

import { failureWords } from "./words.js";

const FEWEST = 3; // different photos of a class, without which nothing is learned from it

/** An interval: "95.0 % (83.5 to 98.6)"; a share of nothing is a dash. */
export function interval({ value, low, high }) {
  if (value === null) return "–";
  const number = (share) => (100 * share).toFixed(1);
  return `${number(value)}\u00a0% (${number(low)}\u00a0to\u00a0${number(high)})`;
}

/** "7 of about 15", and the tone of it. */
export function countOf(photos, enough) {
  if (!photos) return { text: "no photos yet", tone: "busy" };
  if (photos >= enough) return { text: `${photos} photos`, tone: "compost" };
  return { text: `${photos} of about ${enough}`, tone: photos < FEWEST ? "failed" : "unsure" };
}

/** What there is, and what is missing before it can be taught; `ready` says that nothing is. */
export function summaryOf({ classes, enough }) {
  const shown = classes.filter((c) => c.photos.length);
  const total = shown.reduce((sum, c) => sum + c.photos.length, 0);
  if (!total) return { ready: false, text: `Add photos of two classes or more: ${FEWEST} of each at least, about ${enough} for a good result.` };
  const few = shown.filter((c) => c.photos.length < FEWEST).map((c) => c.title);
  const what = `${total} ${total === 1 ? "photo" : "photos"} of ${shown.length} ${shown.length === 1 ? "class" : "classes"}.`;
  if (shown.length < 2) return { ready: false, text: `${what} It needs another class, or this camera's empty places: from one alone it would learn to say nothing else.` };
  if (few.length) return { ready: false, text: `${what} Too few of ${few.join(" and ")}: take ${FEWEST} at least, or remove them.` };
  const short = shown.filter((c) => c.photos.length < enough).map((c) => c.title);
  return { ready: true, text: short.length ? `${what} It can be taught; better with about ${enough} of ${short.join(", ")} too.` : `${what} That is enough.` };
}

/** "Looking: 12 of 60". */
export function progressOf({ stage, done, total }) {
  return total ? `${stage}: ${done} of ${total}` : `${stage}…`;
}

/** The rows of the table before and after. */
export function figureRows(figures) {
  return [
    ["Right on this camera", figures.accuracy_before, figures.accuracy],
    ["Accepted without review", figures.accepted_before, figures.accepted],
    ["Right among the accepted", figures.accepted_right_before, figures.accepted_right],
    ["Right on the photos it knew before", figures.known_before, figures.known],
  ].map(([name, ...both]) => [name, ...both.map(interval)]);
}

/** What is to be said above the figures; empty where all is well. */
export function noteOf(result) {
  if (!result.is_current) return "Photos were added, moved or removed since: teach it again, then these figures are of all of them.";
  const { accuracy, accuracy_before: before, accepted, accepted_before: passed, known, known_before: knew } = result.figures;
  const faultless = before.value === 1 && accuracy.value === 1;
  if (faultless && accepted.value <= passed.value) return "It was right on all of these photos before, and accepts no more of them now: this camera needs no lesson.";
  if (!faultless && accuracy.value <= before.value) return "No better than before on these photos. Look for photos in the wrong class, or take more of other pieces.";
  if (known.value < knew.value - 0.005) return "It now knows less of other photos than before: this camera's are hard to reconcile with them.";
  return "";
}

/** What is wrong, for an operator: the server's own words where it has some. */
export function faultOf(failure) {
  const { title, advice } = failureWords(failure);
  return failure.detail ? `${failure.title ?? title}: ${failure.detail}` : `${title}. ${advice}`;
}

/** A class's id from what people call it. */
export const idOf = (title) => title.trim().toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "_").replace(/^_+|_+$/g, "");
