/* The list of lines: one card each, kept up to date. */

import { Stream, address, showServer } from "./lines-api.js";
import { count, stateOf } from "./lines-words.js";

const states = new Map();

for (const card of document.querySelectorAll(".line-card")) {
  const { name } = card.dataset;
  new Stream(address("events?frames=0", name), {
    onEvent: (event, data) => {
      if (event === "anew") draw(card, data.overview);
      if (event === "overview") draw(card, data);
    },
    onState: (state) => {
      states.set(name, state);
      const away = [...states.values()].includes("away");
      showServer(away ? "away" : "ready", away ? "No connection" : "Live");
    },
  });
}

function draw(card, overview) {
  const { text, tone } = stateOf(overview);
  const part = (name) => card.querySelector(`[data-part=${name}]`);
  const alarms = overview.alarms.length;
  part("state").textContent = alarms ? `${alarms} ${alarms === 1 ? "alarm" : "alarms"}` : text;
  part("state").dataset.tone = alarms ? "failed" : tone;
  part("text").textContent = `${count(overview.per_minute)} a minute, ${count(overview.pieces)} in this shift`;
}
