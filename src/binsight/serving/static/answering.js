/* Answering by button or key, and calls that wait for the connection: shared by the audit of a line and the label page. */

import { make, tell } from "./dom.js";
import { showServer } from "./lines-api.js";

const AGAIN_MS = 2_000;

/** A button for each of `answers` ({ id, title, key }) into `box`; `onAnswer(id)` when one is pressed, or its key. */
export function answerButtons(box, answers, onAnswer) {
  box.replaceChildren(...answers.map(({ id, title, key }) => {
    const parts = key ? [make("kbd", { textContent: key.toUpperCase() }), title] : [title];
    const button = make("button", { type: "button", className: "button answer-button", dataset: key ? { key } : {} }, ...parts);
    button.addEventListener("click", () => onAnswer(id));
    return button;
  }));
}

/** Keys of the whole page while `isOn()`: those in `actions`, and those of the answers in `box`. */
export function answerKeys(box, actions, isOn) {
  document.addEventListener("keydown", (event) => {
    if (!isOn() || event.repeat || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const pressed = event.key.toLowerCase();
    const act = actions[pressed] ?? (() => box.querySelector(`[data-key="${CSS.escape(pressed)}"]`)?.click());
    act();
  });
}

/** Until there is an answer; a refusal that stays one is thrown. */
export async function patiently(work) {
  for (;;) {
    try {
      const result = await work();
      showServer("ready", "Ready");
      tell("");
      return result;
    } catch (refusal) {
      if (refusal.status && refusal.status < 500 && refusal.status !== 429) throw refusal;
      showServer("away", "No connection");
      tell("There is no connection to the server. Your answer is kept and sent when it is back.");
      await new Promise((resolve) => {
        setTimeout(resolve, AGAIN_MS);
        window.addEventListener("online", resolve, { once: true });
      });
    }
  }
}
