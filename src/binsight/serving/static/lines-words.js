/* What the pages of a line say: states, ends and reasons in words. No DOM, no network. */

/** 0.9312 → "93.1 %"; null → "–". */
export const share = (value, digits = 1) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)}\u00a0%`);

/** 12345 → "12,345". */
export const count = (value) => Number(value).toLocaleString("en");

/** Milliseconds, as short as can be read. */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return `${value.toFixed(1)}\u00a0ms`;
  return value < 10_000 ? `${Math.round(value)}\u00a0ms` : `${(value / 1000).toFixed(1)}\u00a0s`;
}

/** The time of day where the reader is. */
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The same to the millisecond. */
export const exactly = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** Day and time where the reader is. */
export const moment = (at) => new Date(at).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

const ENDS = {
  seen: "on its way",
  decided: "decided",
  commanded: "commanded",
  acknowledged: "acknowledged",
  confirmed: "confirmed",
  fail_safe: "left on the belt",
  late: "too late",
  refused: "refused by the sorter",
  unknown: "not known",
  dropped: "not sent",
};

/** A status in words. */
export const ended = (status) => ENDS[status] ?? status;

/** Which colours a status has. */
export function toneOf(status) {
  if (status === "confirmed" || status === "acknowledged") return "compost";
  if (["late", "refused", "unknown", "dropped"].includes(status)) return "failed";
  return status === "fail_safe" ? "unsure" : "busy";
}

const REASONS = {
  low_confidence: "the model was not sure enough",
  unfamiliar: "it looks like nothing that the model has learned",
  heads_disagree: "two checks of the model contradict each other",
  new_camera: "the camera is new, so nothing is accepted yet",
  strange_camera: "the camera is strange to the model, so nothing is accepted",
  views_disagree: "its views were taken for different things, each of them surely",
  two_categories: "one view shows two categories",
  several: "several pieces lay together",
  no_view: "no view of it could be judged",
  no_lane: "no lane takes its category",
  look_only: "the line only looks, and sorts nothing",
  deadline: "its ejector would have been reached before the command could be there",
  no_encoder: "the encoder had not been heard yet, so that nobody knew when to fire",
  passed_unseen: "it passed the trigger line while the camera saw nothing",
  no_link: "there was no connection to the sorter",
  ledger: "the ledger could not be written, and what is not written must not be commanded",
  restart: "the line was started anew while it was on its way",
  no_answer: "the sorter did not answer in time",
  no_confirmation: "the sorter never said what became of it",
  blocked: "the sorter says: blocked",
  full: "the sorter says: no room",
  unknown_lane: "the sorter does not know the lane",
  late: "the sorter says: too late",
  missed: "the sorter says: missed",
  double: "the sorter says: two at once",
  idle: "the line had not been started",
  held: "the line was held",
  stopped: "the line was stopped",
  suspended: "the line was suspended",
  aborted: "the line was aborted",
};

/** Why a piece went where it went. */
export function why(piece, { title, lane }) {
  const reason = REASONS[piece.reason] ?? (piece.reason ? piece.reason.replaceAll("_", " ") : "");
  const what = piece.category ? `Taken for ${title} with ${share(piece.confidence)}` : "Not recognised";
  switch (piece.status) {
    case "seen":
      return "It was seen; what it is has not been decided yet.";
    case "decided":
      return `${what}. Where it goes is being decided.`;
    case "fail_safe":
      return `${what}, and left on the belt: ${reason || "that is the safe way"}.`;
    case "late":
      return `${what}, but left on the belt: ${reason || "it was too late"}.`;
    case "dropped":
      return `${what}, but not commanded: ${reason}.`;
    case "refused":
      return `${what} and commanded, but refused: ${reason}.`;
    case "unknown":
      return `${what} and commanded to ${lane}; what became of it is not known: ${reason}.`;
    case "commanded":
      return `${what} and commanded to ${lane}; the answer is awaited.`;
    case "acknowledged":
      return `${what} and sent to ${lane}; the sorter has taken the command.`;
    default:
      if (piece.reason === "missed") return `${what} and sent to ${lane}, but the ejector missed it: it stayed on the belt.`;
      return `${what} and sent to ${lane}; the sorter confirms it${piece.reason ? ` (${reason})` : ""}.`;
  }
}

/** Whether a view counted, and what the model would have said of it alone. */
export function ofView({ voted, category, reason }) {
  if (!category) return "not judged";
  if (!voted) return "too blurred to count";
  return reason ? `alone not sure: ${REASONS[reason] ?? reason}` : "counted";
}

const STEPS = {
  captured: "The deciding picture was taken",
  seen: "It crossed the trigger line",
  decided: "It was decided",
  commanded: "The command left",
  acknowledged: "The sorter answered",
  confirmed: "The sorter confirmed",
};

/** A step of a piece's life. */
export const stepOf = (step) => STEPS[step] ?? step;

const ALARMS = {
  link: "No connection to the sorter",
  late: "Commands are late",
  ledger: "The ledger cannot be written",
  review_share: "Much goes to review",
  drift: "Review has doubled: what comes may have changed",
  no_empty_belt: "The empty belt was not seen yet",
  camera_absent: "The camera is absent",
  camera_stalled: "The camera has stalled",
  camera_frozen: "The camera is frozen",
  camera_dark: "The camera is dark",
  camera_blurred: "The camera is blurred",
  camera_unstable: "The light is unstable",
  camera_strange: "The camera is strange to the model",
  camera_new: "The camera is new: nothing is accepted yet",
};

/** An alarm's name. */
export function alarmName(code) {
  if (code.startsWith("purity_lane_")) return `Lane ${code.slice(12)} is below its purity`;
  return ALARMS[code] ?? code.replaceAll("_", " ");
}

/** What an alarm says beyond its name. */
export const alarmDetail = ({ code, detail }) => (SAY_NOTHING_MORE.has(code) ? "" : detail);

const SAY_NOTHING_MORE = new Set(["link", "no_empty_belt", "camera_absent", "camera_stalled", "camera_frozen", "camera_dark", "camera_blurred", "camera_unstable"]);

const STATES = { execute: ["Running", "compost"], suspended: ["Waiting for pieces", "recycling"], held: ["Held", "failed"], aborted: ["Aborted", "failed"] };

/** What to say of a line, and in which colours. */
export function stateOf(overview) {
  const { remote } = overview;
  if (!overview.here && !remote) return { text: "Runs elsewhere: shown from its ledger", tone: "landfill" };
  if (!overview.here && !remote.broker) return { text: "No connection to its broker: shown from its ledger", tone: "unsure" };
  if (!overview.state) return remote.online === null ? { text: "Not heard yet: shown from its ledger", tone: "landfill" } : { text: "Offline", tone: "failed" };
  const name = overview.state.state_name;
  const [text, tone] = STATES[name] ?? [name.charAt(0).toUpperCase() + name.slice(1), "unsure"];
  return { text, tone };
}

/** A lane's name. */
export function laneName(number, lanes) {
  if (number === 0) return "the belt's end";
  const name = lanes.find((lane) => lane.number === number)?.name;
  return name ? `lane ${number}, ${name}` : `lane ${number}`;
}

/** A lane's purity in words. */
export function purityWords(purity, target) {
  if (!purity || purity.purity === null) return "not audited yet";
  const between = `${share(purity.purity)}, surely between ${share(purity.low)} and ${share(purity.high)}`;
  const goal = target === null || target === undefined ? "" : `; wanted ${share(target)}`;
  return `${between}${goal} (${count(purity.audited)} of ${count(purity.pieces)} audited)`;
}
