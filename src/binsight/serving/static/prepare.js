/* From a photo's file to what the network sees: decoded by the browser, resized as the server does it. */

import { asFile, isCutOff, readJpeg, reduceRows, reduction } from "./jpeg.js";
import { Resampler, leastSize, placement } from "./resample.js";

const MAX_PIXELS = 65_000_000; // as `ImageLimits` has it
const MAX_SIDE = 16_384; // of a canvas
const STRIP = 1 << 20; // pixels that are read at a time
const LEAST_ALPHA = 16; // below it nothing can be made out

/** What is wrong with a photo; `code` as the page's own failures. */
export class Refusal extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** The network's input, `size` x RGB, of a photo's file; a `Refusal` where this browser cannot read it. */
export async function prepare(file, spec) {
  const { bitmap, isJpeg } = await decode(file);
  try {
    const { width, height } = bitmap;
    if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) throw new Refusal("too_large");
    const scale = isJpeg ? reduction(width, height, leastSize(spec)) : 1;
    const [wide, high] = [Math.ceil(width / scale), Math.ceil(height / scale)];
    const place = placement(spec, wide, high);
    const resampler = new Resampler(wide, high, place, spec.filter);
    for (const rows of readRows(bitmap)) resampler.push(scale === 1 ? rows : reduceRows(rows, width, scale), wide);
    return onCanvas(resampler.result(), place, spec);
  } finally {
    bitmap.close();
  }
}

/* The network was trained on pixels as they are stored: no colour profile is applied. */
async function decode(file) {
  const jpeg = await readJpeg(file);
  const bitmap = await createImageBitmap(jpeg ? asFile(jpeg) : file, { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" })
    .catch(() => { throw new Refusal("device_format"); });
  if (!jpeg || !(await isCutOff(jpeg, bitmap).catch(() => true))) return { bitmap, isJpeg: Boolean(jpeg) };
  bitmap.close();
  throw new Refusal("truncated");
}

/* The photo over white, strip by strip, as RGBA. */
function* readRows(bitmap) {
  const { width, height } = bitmap;
  const rows = Math.min(height, 8 * Math.ceil(STRIP / width / 8)); // whole blocks of a JPEG
  const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Refusal("device_memory");
  if (!isVisible(context, bitmap, rows)) throw new Refusal("device_transparent");
  context.fillStyle = "#fff";
  for (let y = 0; y < height; y += rows) {
    const count = Math.min(rows, height - y);
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, y, width, count, 0, 0, width, count);
    yield context.getImageData(0, 0, width, count).data;
  }
}

/* Whether anything of the photo is not transparent. */
function isVisible(context, bitmap, rows) {
  const { width, height } = bitmap;
  for (let y = 0; y < height; y += rows) {
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -y);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let i = 3; i < data.length; i += 4) if (data[i] >= LEAST_ALPHA) return true;
  }
  return false;
}

/* With bars of grey where the photo is kept whole. */
function onCanvas(pixels, { inner, offset }, { size: [high, wide], pad_value }) {
  if (inner[0] === wide && inner[1] === high) return pixels;
  const canvas = new Uint8ClampedArray(high * wide * 3).fill(pad_value);
  for (let y = 0; y < inner[1]; y += 1) {
    canvas.set(pixels.subarray(3 * y * inner[0], 3 * (y + 1) * inner[0]), 3 * ((y + offset[1]) * wide + offset[0]));
  }
  return canvas;
}
