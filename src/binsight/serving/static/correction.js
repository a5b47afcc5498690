/* "This is wrong": a person names the right category, and the photo is stored with it. */

import { post } from "./api.js";
import { $, make, write } from "./dom.js";
import { failureWords, waiting } from "./words.js";


export class Correction {
  /** `onStored(entry, id)` is called when the server has the correction. */
  constructor({ onStored }) {
    this.form = $("correction");
    this.entry = null;
    this.onStored = onStored;
    $("wrong").addEventListener("click", () => (this.form.hidden ? this.open() : this.close()));
    $("correction-cancel").addEventListener("click", () => this.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  /** Offer corrections for another photo. */
  show(entry, classes) {
    if (entry === this.entry && this.classes === classes) return;
    this.entry = entry;
    this.classes = classes;
    this.hide();
  }

  open() {
    const { result } = this.entry;
    // An accepted category was called wrong; that of an unsure result may well be right.
    const offered = this.classes.filter((c) => result.decision === "review" || c.id !== result.predicted_category);
    $("choices").replaceChildren(...offered.map(choice));
    $("correction-error").hidden = true;
    this.form.hidden = false;
    $("wrong").setAttribute("aria-expanded", "true");
    $("choices").querySelector("input")?.focus();
  }

  hide() {
    this.form.hidden = true;
    $("wrong").setAttribute("aria-expanded", "false");
  }

  close() {
    this.hide();
    $("wrong").focus();
  }

  async send() {
    const { entry } = this;
    const corrected = new FormData(this.form).get("corrected");
    if (!corrected) return this.fail("Choose what it is first.");
    const makeForm = () => {
      const form = new FormData();
      form.set("file", entry.upload ?? entry.file, entry.name);
      form.set("predicted", entry.result.predicted_category);
      form.set("corrected", corrected);
      form.set("model_name", entry.result.served || entry.result.model.name);
      form.set("model_version", entry.result.model.version);
      return form;
    };
    const submit = this.form.querySelector("[type=submit]");
    submit.disabled = true;
    try {
      await post("feedback", makeForm, { isAnswer: (answer) => typeof answer.outcome === "string", onState: (state) => state.kind === "waiting" && this.fail(waiting(state)) });
      this.onStored(entry, corrected);
      if (entry === this.entry) this.close();
    } catch (failure) {
      const { title, advice } = failureWords(failure);
      this.fail(`${title}. ${advice}`);
    } finally {
      submit.disabled = false;
    }
  }

  fail(text) {
    write("correction-error", text);
  }
}

function choice({ id, title }) {
  return make("label", {}, make("input", { type: "radio", name: "corrected", value: id }), make("span", { textContent: title }));
}
