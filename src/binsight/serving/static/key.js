/* The dialog for the API key: asked once, however many calls wait for it, and however late the refusal of one comes. */

import { useKey } from "./api.js";
import { $ } from "./dom.js";

let asked = null; // while the dialog is open
let keysGiven = 0;

/** Do `action`; where it is refused for want of a key, ask for one and do it again. `onKey()` is called with a new one. */
export async function withKey(action, onKey = () => {}) {
  const givenBefore = keysGiven;
  try {
    return await action();
  } catch (failure) {
    if (failure.code !== "unauthorized") throw failure;
    if (keysGiven === givenBefore) {
      asked ??= askKey(onKey).finally(() => { asked = null; });
      if (!(await asked)) throw failure;
    }
    return action();
  }
}

function askKey(onKey) {
  return new Promise((resolve) => {
    const dialog = $("key");
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => {
      const value = $("key-value").value.trim();
      $("key-value").value = "";
      if (dialog.returnValue !== "save" || !value) return resolve(false);
      useKey(value);
      keysGiven += 1;
      onKey();
      resolve(true);
    }, { once: true });
    dialog.showModal();
  });
}
