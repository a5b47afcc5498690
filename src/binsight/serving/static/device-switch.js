/* The switch "On this device": what it does, and how the page says so. */

import { Device, hindrance } from "./device.js";
import { $ } from "./dom.js";
import { withKey } from "./key.js";
import { failureWords } from "./words.js";


/** `onChange(switch)` whenever `status` is another; `tell(text)` shows a notice. */
export class DeviceSwitch {
  constructor({ onChange, tell }) {
    Object.assign(this, { onChange, tell, status: null });
    this.device = new Device((state) => this.draw(state));
  }

  /** As it was left; where the server no longer offers it, nothing is kept. */
  begin() {
    const { device } = this;
    const isOffered = document.body.dataset.device === "on";
    $("device-choice").hidden = !isOffered;
    if (!device.name) return;
    if (isOffered) this.turn(true, () => device.name);
    else device.turnOff();
  }

  /** Turn it on, for the model that `nameOf()` gives, or off. */
  async turn(isOn, nameOf) {
    if (!isOn) return this.device.turnOff();
    const reason = hindrance();
    if (reason) {
      $("device").checked = false;
      return this.tell(reason);
    }
    this.tell("");
    try {
      await withKey(async () => this.device.turnOn(await nameOf()));
    } catch (failure) {
      if (failure.code === "cancelled") return;
      this.draw({ kind: "off" });
      const { title, advice } = failureWords(failure);
      this.tell(`${title}. ${failure.code === "unreachable" ? "It is needed once, to turn “On this device” on." : advice}`);
    }
  }

  draw({ kind, progress }) {
    const isOn = kind === "preparing" || kind === "ready";
    $("device").checked = isOn;
    $("privacy").hidden = isOn;
    $("privacy-device").hidden = !isOn;
    this.status = null;
    if (kind === "preparing") this.status = ["starting", `Getting ready, ${Math.floor(100 * progress)}\u00a0%`];
    if (kind === "ready") this.status = ["ready", "Works offline"];
    this.onChange(this);
  }
}
