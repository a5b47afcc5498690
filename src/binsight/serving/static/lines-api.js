/* The calls of a line's pages, and its stream of events. Comes back by itself when the connection or the server is gone. */

import { Failure, call as callOnce, keyHeader } from "./api.js";
import { $ } from "./dom.js";
import { withKey } from "./key.js";

const SILENT_MS = 6_000; // the server says something every second
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

const { root, line } = document.body.dataset;

/** The address of something of this page's line, or of another one. */
export const address = (path, name = line) => `${root}/${encodeURIComponent(name)}/${path}`;

/** The answer to GET, or to POST where there is something to `send`. Asks for a key when the server wants one. */
export const call = (path, send) => withKey(() => callOnce(path, send));

/** The same as JSON. */
export const json = async (path, send) => (await call(path, send)).json();

/** A picture as an address that an <img> can show; to be revoked. */
export async function picture(path) {
  return URL.createObjectURL(await (await call(path)).blob());
}

/** The lines, as the server lists them. */
export const lines = async () => (await json(`${root}.json`)).lines;

/** Show in the page's head whether there is a connection. */
export function showServer(state, text) {
  $("server").dataset.state = state;
  $("server-text").textContent = text;
}

/**
 * Listen to the events of a line: `onEvent(name, data)`. `onState("live" | "away" | "paused")` says how it is.
 *
 * A page that nobody sees does not listen: the server then encodes no pictures.
 */
export class Stream {
  constructor(path, { onEvent, onState }) {
    this.path = path;
    this.onEvent = onEvent;
    this.onState = onState;
    this.attempt = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.start()));
    window.addEventListener("online", () => this.again());
    window.addEventListener("pagehide", () => this.stop());
    window.addEventListener("pageshow", () => this.start());
    if (!document.hidden) this.start();
  }

  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.run(this.abort.signal);
  }

  stop() {
    this.abort?.abort();
    this.abort = undefined;
    this.onState("paused");
  }

  again() {
    this.attempt = 0;
    this.wake?.();
  }

  async run(signal) {
    while (!signal.aborted) {
      try {
        await this.listen(signal);
        this.attempt = 0; // it ended in good order: the server restarts
      } catch {
        // away, silent, or refused
      }
      if (signal.aborted) return;
      this.onState("away");
      await this.pause(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempt) * (0.75 + Math.random() / 2));
      this.attempt += 1;
    }
  }

  async listen(signal) {
    let silent;
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENT_MS);
    };
    try {
      const answer = await withKey(async () => {
        silent = new AbortController();
        wait();
        const found = await fetch(this.path, { headers: keyHeader(), cache: "no-store", signal: AbortSignal.any([signal, silent.signal]) });
        if (found.status === 401) clearTimeout(timer);
        if (found.ok && found.headers.get("Content-Type")?.startsWith("text/event-stream")) return found;
        throw new Failure({ code: found.status === 401 ? "unauthorized" : "unexpected" });
      });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        wait();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        blocks.forEach((block) => this.take(block));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  take(block) {
    let name = "";
    let data = "";
    for (const row of block.split("\n")) {
      if (row.startsWith("event: ")) name = row.slice(7);
      else if (row.startsWith("data: ")) data += row.slice(6);
    }
    if (!name) return;
    this.attempt = 0;
    this.onState("live");
    this.onEvent(name, JSON.parse(data));
  }

  pause(wait) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
