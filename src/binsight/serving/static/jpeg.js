/* What the server does with a JPEG and a browser does not: missing pixels are noticed, and a large one is decoded at reduced scale. */

const START_OF_SCAN = 0xda;
const END = Uint8Array.of(0xff, 0xd9);
const BLOCK = 8; // pixels; what a JPEG is coded in
// No two bytes of it are a marker, and it does not repeat soon.
const OTHER_BITS = Uint8Array.from({ length: 5000 }, (_, i) => (((i % 250) + 1) * 37) % 251);

/** Its bytes up to the end marker, and whether it had one; null for what is no JPEG. */
export async function readJpeg(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  let at = 2;
  while (at < bytes.length && bytes[at + 1] !== START_OF_SCAN) at += bytes[at] === 0xff && bytes[at + 1] !== 0xff ? 2 + 256 * bytes[at + 2] + bytes[at + 3] : 1;
  do at = bytes.indexOf(0xff, at + 1); while (at >= 0 && bytes[at + 1] !== END[1]);
  const hasEnd = at >= 0;
  let end = hasEnd ? at : bytes.length;
  while (!hasEnd && [0, 0xff].includes(bytes[end - 1])) end -= 1; // what a camera's buffer has behind, and half a marker
  return { bytes: bytes.subarray(0, end), hasEnd };
}

/** A file of what `readJpeg` found; browsers want an end marker. */
export const asFile = ({ bytes }, more = []) => new Blob([bytes, ...more, END]);

/**
 * Whether pixels are missing, `bitmap` being what the browser made of it.
 *
 * One that could be cut off, since a corner is flat or there is no end marker, is decoded with other bits behind its
 * data: they change what was made up.
 */
export async function isCutOff(jpeg, bitmap) {
  if (jpeg.hasEnd && !hasFlatCorner(bitmap)) return false;
  const [given, other] = await Promise.all([asFile(jpeg), asFile(jpeg, [OTHER_BITS])].map(readLastRows));
  return given.some((value, i) => value !== other[i]);
}

function hasFlatCorner(bitmap) {
  const right = Math.max(0, bitmap.width - BLOCK);
  const bottom = Math.max(0, bitmap.height - BLOCK);
  return [[0, 0], [right, 0], [0, bottom], [right, bottom]].some(([x, y]) => {
    const pixels = new Uint32Array(readPixels(bitmap, x, y, Math.min(BLOCK, bitmap.width), Math.min(BLOCK, bitmap.height)).buffer);
    return pixels.every((pixel) => pixel === pixels[0]);
  });
}

async function readLastRows(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "none" });
  const rows = Math.min(2 * BLOCK, bitmap.height);
  const found = readPixels(bitmap, 0, bitmap.height - rows, bitmap.width, rows);
  bitmap.close();
  return found;
}

function readPixels(bitmap, x, y, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, -x, -y);
  return context.getImageData(0, 0, width, height).data;
}

/** By how much a JPEG is reduced when it is decoded, 1, 2, 4 or 8: so that no side is shorter than `least` (width, height). */
export function reduction(width, height, least) {
  const most = Math.min(Math.floor(width / least[0]), Math.floor(height / least[1]));
  return [8, 4, 2].find((scale) => most >= scale) ?? 1;
}

/**
 * Rows of RGBA, a multiple of 8 unless they are the last, at 1/`scale` of their size: as libjpeg decodes them.
 *
 * Of each block of 8 x 8 the lower frequencies are kept: a cosine transform, and back by a smaller one. Beyond the
 * borders the last pixels are repeated, as encoders do.
 */
export function reduceRows(rgba, width, scale) {
  const size = BLOCK / scale;
  const matrix = reducing(size);
  const height = rgba.length / 4 / width;
  const blocks = Math.ceil(width / BLOCK);
  const [wide, high] = [Math.ceil(width / scale), Math.ceil(height / scale)];
  const result = new Uint8ClampedArray(4 * wide * high);
  const narrow = new Float32Array(BLOCK * blocks * size * 3); // eight rows, reduced across
  for (let top = 0; top < height; top += BLOCK) {
    for (let y = 0; y < BLOCK; y += 1) reduceRow(rgba, 4 * width * Math.min(top + y, height - 1), width, matrix, size, narrow, y * blocks * size * 3);
    for (let i = 0; i < size && top / scale + i < high; i += 1) reduceColumns(narrow, blocks * size * 3, matrix, i, wide, result, 4 * wide * (top / scale + i));
  }
  return result;
}

function reduceRow(rgba, row, width, matrix, size, target, place) {
  for (let left = 0; left < width; left += BLOCK) {
    for (let i = 0; i < size; i += 1) {
      let [r, g, b] = [0, 0, 0];
      for (let x = 0; x < BLOCK; x += 1) {
        const at = row + 4 * Math.min(left + x, width - 1);
        const weight = matrix[i * BLOCK + x];
        r += weight * rgba[at];
        g += weight * rgba[at + 1];
        b += weight * rgba[at + 2];
      }
      target[place] = r;
      target[place + 1] = g;
      target[place + 2] = b;
      place += 3;
    }
  }
}

function reduceColumns(rows, stride, matrix, i, wide, target, place) {
  for (let x = 0; x < wide; x += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      let sum = 0;
      for (let y = 0; y < BLOCK; y += 1) sum += matrix[i * BLOCK + y] * rows[y * stride + 3 * x + channel];
      target[place + 4 * x + channel] = sum; // rounded and clamped
    }
  }
}

/* `size` x 8: what a row of eight becomes. */
function reducing(size) {
  const wave = (i, u, n) => Math.cos(((2 * i + 1) * u * Math.PI) / (2 * n)) * Math.sqrt((u ? 2 : 1) / n);
  return Float64Array.from({ length: size * BLOCK }, (_, at) => {
    let sum = 0;
    for (let u = 0; u < size; u += 1) sum += wave(Math.floor(at / BLOCK), u, size) * wave(at % BLOCK, u, BLOCK);
    return sum * Math.sqrt(size / BLOCK);
  });
}
