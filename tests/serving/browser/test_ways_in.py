"""How photos get into the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image
from tests.serving.browser.steps import GREEN, RED, expect, photo, send, shows

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

# Keeps the last file that was sent, and what its own pixels say, without any EXIF orientation.
RECORD = """
    const send = XMLHttpRequest.prototype.send;
    XMLHttpRequest.prototype.send = function (form) { window.sent = form.get('file'); return send.call(this, form); };
"""
SENT = """async () => {
    const { width, height } = await createImageBitmap(window.sent, { imageOrientation: 'none' });
    return { name: window.sent.name, type: window.sent.type, size: window.sent.size, width, height };
}"""


class TestWaysIn:
    def test_paste(self, page: Page) -> None:
        """A pasted picture is classified."""
        page.evaluate(
            """async (bytes) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], 'image.png', {type: 'image/png'}));
                window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
            }""",
            list(photo(RED)["buffer"]),
        )
        shows(page, "Red things")

    def test_drop(self, page: Page) -> None:
        """A dropped photo is classified, wherever on the page it is dropped."""
        page.evaluate(
            """(bytes) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], 'can.png', {type: 'image/png'}));
                const fire = (type) => document.querySelector('footer').dispatchEvent(
                    new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
                fire('dragenter');
                if (document.getElementById('curtain').hidden) throw new Error('no sign that it may be dropped');
                fire('drop');
            }""",
            list(photo(RED)["buffer"]),
        )
        shows(page, "Red things")
        expect(page.locator("#curtain")).to_be_hidden()

    def test_drop_no_file(self, page: Page) -> None:
        """What is dropped and is no file is refused in words."""
        page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.setData('text/plain', 'https://example.org/can.jpg');
                window.dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true}));
            }"""
        )
        expect(page.locator("#notice")).to_contain_text("not a photo file")

    def test_camera(self, page: Page) -> None:
        """The camera's picture is classified, and the camera is off afterwards."""
        page.click("#open-camera")
        expect(page.locator("#shutter")).to_be_enabled()
        stream = page.evaluate_handle("document.getElementById('video').srcObject")
        page.click("#shutter")
        shows(page, "Green things")  # Chromium's fake camera shows green
        expect(page.locator("#source")).to_have_text("camera-1.jpg")
        assert stream.evaluate("(s) => s.getTracks().map((t) => t.readyState)") == ["ended"]

    def test_camera_refused(self, open_page: Callable[..., Page]) -> None:
        """A blocked camera is explained, and photos can be chosen instead."""
        page = open_page(
            script="navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
        )
        page.click("#open-camera")
        expect(page.locator("#camera-message")).to_contain_text("The camera is blocked for this page")
        with page.expect_file_chooser():
            page.click("#camera-choose")
        expect(page.locator("#camera")).to_be_hidden()

    def test_no_camera_access(self, open_page: Callable[..., Page]) -> None:
        """Where pages may not use the camera at all, as over plain HTTP, the page says why."""
        page = open_page(script="Object.defineProperty(Navigator.prototype, 'mediaDevices', {get: () => undefined})")
        page.click("#open-camera")
        expect(page.locator("#notice")).to_contain_text("only over HTTPS")

    def test_camera_app(self, open_page: Callable[..., Page]) -> None:
        """On a phone without camera access for pages, the phone's own camera is asked."""
        script = "Object.defineProperty(Navigator.prototype, 'mediaDevices', {get: () => undefined})"
        page = open_page(script=script, is_mobile=True, has_touch=True)
        with page.expect_file_chooser() as chooser:
            page.tap("#open-camera")
        assert chooser.value.element.get_attribute("capture") == "environment"

    def test_large_photo(self, open_page: Callable[..., Page]) -> None:
        """A large photo that lies on its side is sent smaller and upright."""
        page = open_page(script=RECORD)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        noise = np.random.default_rng(0).integers(0, 120, (500, 750, 3), np.uint8)
        picture = Image.fromarray(np.maximum(noise, np.array([250, 0, 0], np.uint8)))
        buffer = io.BytesIO()
        picture.resize((3000, 2000), Image.Resampling.NEAREST).save(buffer, "JPEG", quality=95, exif=exif.tobytes())
        send(page, {"name": "phone.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()})
        shows(page, "Red things")
        sent = page.evaluate(SENT)
        assert (sent["width"], sent["height"], sent["type"], sent["name"]) == (1067, 1600, "image/jpeg", "phone.jpg")
        assert sent["size"] < len(buffer.getvalue()) / 2

    def test_small_photo(self, open_page: Callable[..., Page]) -> None:
        """A small photo is sent as it is."""
        page = open_page(script=RECORD)
        data = photo(RED)
        send(page, data)
        shows(page, "Red things")
        assert page.evaluate(SENT) == {
            "name": "thing.png",
            "type": "image/png",
            "size": len(data["buffer"]),
            "width": 64,
            "height": 48,
        }

    def test_keyboard(self, page: Page) -> None:
        """Everything can be reached and done with the keyboard."""
        send(page, photo(RED, "a.png"), photo(GREEN, "b.png"))
        shows(page, "Red things")
        reached = set()
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert {"open-camera", "choose", "heat-toggle", "curl", "wrong", "clear", "tile"} <= reached
        page.locator(".tile").nth(1).focus()
        page.keyboard.press("Enter")
        shows(page, "Green things")
        page.locator("#open-camera").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#shutter")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#camera")).to_be_hidden()
        expect(page.locator("#open-camera")).to_be_focused()
