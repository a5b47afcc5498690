/* Photos come in: chosen, dropped or pasted. */

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

/**
 * Take photos from file inputs, and from what is dropped or pasted anywhere on the page.
 *
 * `onPhotos(files, place)`: `place` is the element that they were chosen with, dropped on or pasted into.
 * `onDragging(isDragging, place)` while files are held over the page; `tell(text)` says what could not be taken.
 */
export function takeIn(inputs, { onPhotos, onDragging, tell }) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      onPhotos([...input.files], input);
      input.value = ""; // so that the same photo may be chosen again
    });
  }
  let depth = 0;
  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    onDragging(true, event.target);
  });
  window.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) onDragging(false);
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    onDragging(false);
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const isFolder = items.map((item) => item.webkitGetAsEntry?.()?.isDirectory === true);
    const files = items.map((item) => item.getAsFile()).filter((file, i) => file && !isFolder[i]);
    onPhotos(files, event.target);
    if (isFolder.includes(true)) tell("Folders cannot be dropped here. Open the folder and drop the photos in it.");
    else if (!files.length) tell("That was not a photo file. Save the picture first, then drop the file.");
  });
  window.addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) event.preventDefault();
    onPhotos(files, event.target);
  });
}
