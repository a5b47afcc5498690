/* Photos before they are sent: made smaller where they are large, and small pictures of them to look at. */

// A network sees a few hundred pixels a side; this leaves plenty for its anti-aliased resizing and for the heat map.
const MAX_SIDE = 1600;
const KEEP_BELOW = 1_000_000; // bytes: what is small is sent as it is
const QUALITY = 0.9;
const THUMB_SIDE = 360;

/** The photo to upload: the file itself when it is small, or cannot be decoded here; otherwise a smaller JPEG. */
export async function shrink(file) {
  if (file.size <= KEEP_BELOW) return file;
  const bitmap = await decode(file);
  if (!bitmap) return file;
  try {
    const blob = await draw(bitmap, MAX_SIDE, QUALITY);
    return blob && blob.size < file.size ? blob : file;
  } finally {
    bitmap.close();
  }
}

/** A small JPEG of the photo as a data URL, or null where this browser cannot decode it. */
export async function thumbnail(blob) {
  const bitmap = await decode(blob);
  if (!bitmap) return null;
  try {
    return await toDataUrl(await draw(bitmap, THUMB_SIDE, 0.8));
  } finally {
    bitmap.close();
  }
}

/** What a video shows at this moment, as a JPEG file. */
export async function frameOf(video, name) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })], name, { type: "image/jpeg" });
}

async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    return null; // HEIC, TIFF, or no picture at all: the server says which
  }
}

async function draw(bitmap, maxSide, quality) {
  const scale = Math.min(1, maxSide / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "#fff"; // transparency over white, as the server does it
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality });
}

function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
