/* The camera dialog. Where a page may not use the camera, a phone's own camera app or the file chooser steps in. */

import { $, tell } from "./dom.js";
import { frameOf } from "./photo.js";

const REFUSALS = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the browser's address bar, then open it again.",
  SecurityError: "The camera is blocked for this page. Allow it in the browser's settings, then open it again.",
  NotFoundError: "No camera was found on this device.",
  OverconstrainedError: "No camera was found on this device.",
  NotReadableError: "Another program is using the camera. Close it, then open the camera again.",
  AbortError: "The camera could not be started. Open it again.",
};

export class Camera {
  /** With `stays` it is open until it is closed: several photos are taken in a row. */
  constructor({ onPhoto, onChoose, stays = false }) {
    this.dialog = $("camera");
    this.video = $("video");
    this.onPhoto = onPhoto;
    this.stays = stays;
    this.facing = "environment";
    this.stream = null;
    this.shots = 0;
    $("shutter").addEventListener("click", () => this.shoot());
    $("camera-close").addEventListener("click", () => this.dialog.close());
    $("camera-switch").addEventListener("click", () => this.flip());
    $("camera-choose").addEventListener("click", () => {
      this.dialog.close();
      onChoose();
    });
    this.dialog.addEventListener("close", () => this.stop());
    // Also when a phone is turned: the frame is that of the picture.
    this.video.addEventListener("resize", () => {
      const { videoWidth: width, videoHeight: height } = this.video;
      if (width && height) $("viewfinder").style.aspectRatio = `${width} / ${height}`;
    });
  }

  /** Show the dialog and start the camera; without camera access for pages (plain HTTP), hand over. */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) return this.useCameraApp();
    this.dialog.showModal();
    await this.start();
  }

  useCameraApp() {
    // Over plain HTTP no page may use a camera; a phone's own camera app still can.
    if (matchMedia("(pointer: coarse)").matches) $("capture").click();
    else tell(`Browsers give pages the camera only over HTTPS or on this very computer. Choose or drop ${this.stays ? "photos" : "a photo"} instead.`);
  }

  async start() {
    this.say("Starting the camera…");
    $("shutter").disabled = true;
    $("camera-choose").hidden = true;
    $("viewfinder").hidden = false;
    try {
      const video = { facingMode: { ideal: this.facing }, width: { ideal: 1280 }, height: { ideal: 960 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (!this.dialog.open) return stream.getTracks().forEach((track) => track.stop()); // closed meanwhile
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput");
      $("camera-switch").hidden = cameras.length < 2;
      $("shutter").disabled = false;
      $("shutter").focus();
      this.say("Fill the frame with one item.");
    } catch (error) {
      if (this.dialog.open) this.refuse(error);
    }
  }

  refuse(error) {
    this.stop();
    $("viewfinder").hidden = true;
    $("camera-choose").hidden = false;
    this.say(REFUSALS[error.name] ?? "The camera could not be started.");
  }

  async shoot() {
    this.shots += 1;
    const file = await frameOf(this.video, `camera-${this.shots}.jpg`);
    if (!this.stays) this.dialog.close();
    this.onPhoto(file);
  }

  flip() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    this.stop();
    return this.start();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  say(text) {
    $("camera-message").textContent = text;
  }
}
