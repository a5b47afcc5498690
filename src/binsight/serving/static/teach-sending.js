/* Photos on their way to the lesson: a few at a time, again while the server is away, until all are there or refused. */

import { Failure, post } from "./api.js";
import { withKey } from "./key.js";

const AT_ONCE = 2;

export class Sending {
  /** `onChange(added)` after each step, with what the server said of a photo; `onRefused(file, failure)`. */
  constructor({ address, maxBytes, onChange, onRefused }) {
    Object.assign(this, { address, maxBytes, onChange, onRefused });
    this.queue = [];
    this.running = 0;
    this.sent = 0;
    this.total = 0;
    this.wait = null; // why it waits, and for how long
  }

  get isBusy() {
    return this.running > 0 || this.queue.length > 0;
  }

  /** Send photos of a class. */
  add(files, category) {
    if (!this.isBusy) Object.assign(this, { sent: 0, total: 0 });
    this.total += files.length;
    const path = `${this.address()}/photos?${new URLSearchParams({ category })}`;
    this.queue.push(...files.map((file) => ({ file, path })));
    this.work();
  }

  work() {
    while (this.running < AT_ONCE && this.queue.length) {
      const next = this.queue.shift();
      this.running += 1;
      this.send(next)
        .catch((failure) => {
          this.onRefused(next.file, failure);
          return null;
        })
        .then((added) => {
          this.running -= 1;
          this.sent += 1;
          this.wait = null;
          this.work();
          this.onChange(added);
        });
    }
  }

  async send({ file, path }) {
    if (!file.size) throw new Failure({ code: "empty" });
    if (file.size > this.maxBytes) throw new Failure({ code: "too_large" });
    const body = new Blob([file], { type: "application/octet-stream" }); // the server looks at the bytes
    const onState = (state) => {
      this.wait = state.kind === "waiting" ? state : null;
      if (this.wait) this.onChange(null);
    };
    return withKey(() => post(path, () => body, { isAnswer: (answer) => typeof answer.outcome === "string", onState }));
  }
}
