/* What the page says: errors, reasons and numbers in words. No DOM, no network. */

const STREAMS = {
  recycling: { title: "Recycling", tone: "recycling" },
  compost: { title: "Compost", tone: "compost" },
  "e-waste": { title: "E-waste", tone: "ewaste" },
  landfill: { title: "General waste", tone: "landfill" },
};

/** A stream's name for people, and the tone its colours come from. */
export function streamOf(stream) {
  return STREAMS[stream] ?? { title: sentence(stream), tone: "other" };
}

/** "metal_cans" → "Metal cans": for a class whose title is not known. */
export function sentence(id) {
  const text = String(id).replaceAll("_", " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** 0.9812 → "98 %"; never "100 %" or "0 %", which nothing here is. The spaces do not break. */
export function percent(probability) {
  if (probability >= 0.9995) return ">\u00a099.9\u00a0%";
  if (probability >= 0.985) return `${(100 * probability).toFixed(1)}\u00a0%`;
  if (probability < 0.005) return "<\u00a01\u00a0%";
  return `${Math.round(100 * probability)}\u00a0%`;
}

/** Why a result is not to be relied on. */
export function reasonFor(result, title) {
  const share = percent(result.confidence);
  switch (result.reason) {
    case "unfamiliar":
      return `This does not look like anything the model has learned. The closest is ${title}, but do not rely on it.`;
    case "heads_disagree":
      return `The shape suggests ${title}, but a second check, whether it rots, says the opposite.`;
    case "new_camera":
      return `It looks like ${title}, but this camera is new: nothing of it is accepted until its photos have shown that the model knows such photos.`;
    case "strange_camera":
      return `It looks like ${title}, but photos of this camera are unlike those the model knows, so it may be wrong where it is sure.`;
    case "low_confidence":
      if (result.confidence < 0.6) return `Several categories fit. The closest is ${title}, with ${share}.`;
      return `It looks most like ${title}, but ${share} is not enough to be sure.`;
    default:
      return `The closest is ${title}, with ${share}.`;
  }
}

/** What to do for a better result. */
export function retakeFor(result) {
  if (result.reason === "strange_camera") return "Another photo will not help before the model has learned this camera: whoever runs this server can teach it.";
  if (result.reason === "new_camera") return "About 15 to 30 photos of different things show it. Until then a person should look.";
  return "Another photo may help: one item, close up, on a plain background, in good light.";
}

const FAILURES = {
  no_file: ["No photo arrived", "Choose the photo again."],
  empty: ["This file is empty", "It has no content. Choose it again, or take a new photo."],
  too_large: ["This photo is too large", "Make it smaller, or take a new one with a lower resolution."],
  not_an_image: ["This is not a photo", "Choose a JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC picture."],
  broken: ["This photo is damaged", "It cannot be opened. Take or download it again."],
  truncated: ["This photo is cut off", "Its end is missing. Copy or download it again."],
  unreachable: ["The server does not answer", "Your photo is still here. Try again when the connection is back."],
  intercepted: ["Something else answered", "Not this server, but perhaps your network's sign-in page. Sign in there, or reload this page; then try again. Your photo is still here."],
  busy: ["The server is busy", "Too many photos at once. Try again in a moment."],
  unknown_model: ["This model is gone", "The server no longer has it. Reload the page and choose another."],
  feedback_unavailable: ["The correction could not be stored", "Nothing of it was kept. Try again later, or tell whoever runs this server."],
  feedback_full: ["The store for corrections is full", "Tell whoever runs this server; your answer was not stored."],
  unauthorized: ["A key is needed", "This server answers only with its API key."],
  cancelled: ["Cancelled", "This photo was not classified."],
  device_format: ["This browser cannot read this photo", "It may be damaged, or of a format that only the server reads, such as TIFF or HEIC. Turn “On this device” off and try again, or choose a JPEG."],
  device_transparent: ["This photo is transparent", "Save it without transparency, or turn “On this device” off and try again."],
  device_memory: ["This device has too little memory", "Close other pages and try again, or turn “On this device” off."],
  device_broken: ["This browser cannot run the model", "Try again; if it stays, turn “On this device” off: the server still classifies."],
  device_large: ["This model is too large for a browser", "It has more than 100 MB. Choose another, or let the server classify."],
  device_full: ["There is no room on this device", "The browser could not keep the model. Free some storage, then turn “On this device” on again."],
  device_changed: ["The model changed meanwhile", "Turn “On this device” on again."],
};

const HOPELESS = new Set(["empty", "too_large", "not_an_image", "broken", "truncated"]);

/** Whether sending the same photo again cannot help. */
export const isHopeless = (failure) => HOPELESS.has(failure.code);

/** A failure's title and advice. `failure` has `code`, and `title` and `detail` where the server sent them. */
export function failureWords(failure) {
  const known = FAILURES[failure.code];
  if (known) return { title: known[0], advice: known[1] };
  return { title: failure.title || "That did not work", advice: "Try again; if it stays, tell whoever runs this server." };
}

const WAITS = {
  unreachable: "No answer from the server",
  restarting: "The server is starting",
  busy: "The server is busy",
  slow: "The connection is stuck",
  intercepted: "Something else answered, perhaps this network's sign-in page",
};

/** Why a photo waits, and for how long. */
export function waitWords(kind, seconds, attempt) {
  return { title: WAITS[kind] ?? WAITS.unreachable, text: `Trying again in ${seconds} s (attempt ${attempt}). Your photo is safe here.` };
}

/** The same in one line. */
export function waiting({ why, seconds, attempt }) {
  const { title, text } = waitWords(why, seconds, attempt);
  return `${title}. ${text}`;
}

/** What the header X-Binsight-Camera says: `strange;unlike=37;photos=40`. */
export function strange(camera) {
  const { unlike, photos } = Object.fromEntries(camera.split(";").map((part) => part.split("=")));
  const seen = photos ? `${unlike} of your last ${photos} photos look unlike those it learned from. ` : "";
  return `${seen}It may be wrong also where it is sure. Whoever runs this server can teach it this camera with about 20 photos of each kind of waste.`;
}

/** The command that classifies the same photo from a terminal. */
export function curlCommand({ name, url, keyHeader }) {
  const plain = /^[\w.-]+$/.test(name);
  // curl reads ; and , in a bare file name as its own syntax, and " and \ inside a quoted one.
  const file = plain ? name : `"${name.replace(/[\\"]/g, "\\$&")}"`;
  const parts = ["curl -X POST"];
  if (keyHeader) parts.push(`-H ${quote(`${keyHeader}`)}`);
  parts.push(`-F ${quote(`file=@${file}`)}`, quote(url));
  return parts.join(" ");
}

/** A POSIX shell word. */
function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** One sentence for a screen reader. */
export function spoken(entry, titleOf) {
  if (entry.state === "failed") return `${entry.name}: ${failureWords(entry.failure).title}.`;
  const { result } = entry;
  const title = titleOf(result);
  if (result.decision === "review") return `${entry.name}: not sure. ${reasonFor(result, title)}`;
  const rots = { biodegradable: ", biodegradable", non_biodegradable: ", not biodegradable" }[result.biodegradability] ?? "";
  return `${entry.name}: ${title}, ${percent(result.confidence)}${rots}. ${streamOf(result.stream).title}. ${result.advice}`;
}
