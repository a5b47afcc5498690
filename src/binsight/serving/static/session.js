/* The photos of this session. The newest ones survive a reload, as small pictures with their results. */

const KEY = "binsight.session.1";
const KEPT = 40;
const HELD = 200; // photos in memory

let nextId = 1;

const BLANK = { file: null, upload: null, thumb: null, progress: 0, wait: null, result: null, failure: null, heat: null, showsHeat: false, corrected: null, abort: null };

/** One photo and all that is known of it. `state`: "waiting", "sending", "retrying", "done" or "failed". */
export const newEntry = (file) => ({
  ...BLANK, id: nextId++, name: file.name || "pasted photo.png", file, preview: URL.createObjectURL(file), isShowable: true, state: "waiting",
});

/** The entries, newest first. */
export class Session {
  constructor() {
    this.entries = load();
  }

  add(entries) {
    this.entries.unshift(...entries);
    for (const old of this.entries.splice(HELD)) release(old);
  }

  clear() {
    for (const entry of this.entries) release(entry);
    this.entries = [];
    sessionStorage.removeItem(KEY);
  }

  /** Keep what a reload should bring back: as many of the newest as fit. */
  save() {
    let kept = this.entries.filter((e) => e.state === "done").slice(0, KEPT);
    while (kept.length) {
      try {
        sessionStorage.setItem(KEY, JSON.stringify(kept.map(({ name, thumb, result, corrected }) => ({ name, thumb, result, corrected }))));
        return;
      } catch {
        kept = kept.slice(0, Math.floor(kept.length / 2)); // the quota is used up
      }
    }
  }
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]").map((saved) => ({
      ...BLANK, ...saved, id: nextId++, preview: saved.thumb, isShowable: Boolean(saved.thumb), state: "done", progress: 1,
    }));
  } catch {
    return [];
  }
}

function release(entry) {
  entry.abort?.abort();
  if (entry.preview?.startsWith("blob:")) URL.revokeObjectURL(entry.preview);
}
