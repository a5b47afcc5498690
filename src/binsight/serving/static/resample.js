/* A photo brought to the network's size, byte for byte as Pillow does it on the server; the browser's own scaling differs from one to the next. */

const PRECISION = 22; // bits behind the point of the weights: what 32 leave beside 8 of the pixel and 2 of the sum
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/* Each with its reach, in pixels of the smaller picture. Pillow's `Resample.c` has the same, after Turkowski 1990. */
const FILTERS = {
  box: { reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { reach: 1, weight: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x))) },
  bicubic: { reach: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function cubic(x) {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Where a photo of `width` x `height` goes: `box` of it (left, top, right, bottom) fills `inner` (width, height), at `offset`. */
export function placement({ size: [high, wide], fit, crop_fraction }, width, height) {
  if (fit === "stretch") return { box: [0, 0, width, height], inner: [wide, high], offset: [0, 0] };
  if (fit === "letterbox") {
    const scale = Math.min(wide / width, high / height);
    const inner = [width, height].map((side) => Math.max(1, roundHalfEven(side * scale)));
    return { box: [0, 0, width, height], inner, offset: [Math.floor((wide - inner[0]) / 2), Math.floor((high - inner[1]) / 2)] };
  }
  const scale = Math.max(high / height, wide / width) / crop_fraction;
  const [x, y] = [wide / scale / 2, high / scale / 2];
  const box = [Math.max(0, width / 2 - x), Math.max(0, height / 2 - y), Math.min(width / 2 + x, width), Math.min(height / 2 + y, height)];
  return { box, inner: [wide, high], offset: [0, 0] };
}

/** Width and height below which a photo is not reduced before it is resized: `least_size` of `binsight.imaging.preprocess`. */
export function leastSize({ size: [high, wide], fit, crop_fraction }) {
  const margin = 2 / (fit === "crop" ? crop_fraction : 1);
  return [wide, high].map((side) => roundHalfEven(side * margin));
}

function roundHalfEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/**
 * Resizes row by row: `push` the rows of a photo in order, then take the `result()`, RGB.
 *
 * Rows are held at the width of the result where they can be; so a large photo takes little memory.
 */
export class Resampler {
  constructor(width, height, { box, inner }, filter) {
    const [left, top, right, bottom] = box.map(Math.fround); // Pillow takes the box in single precision
    this.across = weights(width, left, right, inner[0], filter);
    this.down = weights(height, top, bottom, inner[1], filter);
    // Rounding between the passes makes their order matter: tall, narrow photos shrink along their height first.
    const excess = height - inner[1];
    this.isTall = excess > 0 && excess > 2 * (width - inner[0]);
    this.inner = inner;
    this.stride = 4 * (this.isTall ? width : inner[0]);
    this.rows = new Uint8ClampedArray(height * this.stride);
    this.filled = 0;
  }

  /** Take rows of RGBA of the photo's width. */
  push(rgba, width) {
    if (this.isTall) this.rows.set(rgba, this.filled);
    for (let at = 0; at < rgba.length; at += 4 * width, this.filled += this.stride) {
      if (!this.isTall) narrow(rgba, at, this.across, this.rows, this.filled);
    }
  }

  result() {
    const [wide, high] = this.inner;
    let result = new Uint8ClampedArray(high * this.stride);
    for (let y = 0; y < high; y += 1) flatten(this.rows, this.stride, this.down, y, result);
    if (this.isTall) {
      const tall = result;
      result = new Uint8ClampedArray(4 * wide * high);
      for (let y = 0; y < high; y += 1) narrow(tall, y * this.stride, this.across, result, 4 * y * wide);
    }
    return result.filter((_, at) => at % 4 !== 3);
  }
}

/* For every pixel of the result: the first pixel it is made of, how many, and their weights as whole numbers. */
function weights(length, begin, end, count, name) {
  const isSame = count === length && begin === 0 && end === length;
  if (isSame || name === "nearest") return pick(count, begin, Math.fround(end - begin) / count);
  const { reach, weight } = FILTERS[name];
  const scale = Math.fround(end - begin) / count;
  const stretch = Math.max(1, scale);
  const support = reach * stretch;
  const most = 2 * Math.ceil(support) + 1;
  const found = { first: new Int32Array(count), count: new Int32Array(count), values: new Int32Array(count * most), most, shift: PRECISION };
  for (let i = 0; i < count; i += 1) {
    const centre = begin + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(length, Math.trunc(centre + support + 0.5));
    const values = Array.from({ length: last - first }, (_, x) => weight((x + first - centre + 0.5) * (1 / stretch)));
    const sum = values.reduce((a, b) => a + b, 0);
    found.first[i] = first;
    found.count[i] = values.length;
    values.forEach((value, x) => { found.values[i * most + x] = fixed(sum === 0 ? value : value / sum); });
  }
  return found;
}

function fixed(value) {
  return Math.trunc((value < 0 ? -0.5 : 0.5) + value * (1 << PRECISION));
}

/* One pixel each, as it is. */
function pick(count, begin, scale) {
  const first = new Int32Array(count);
  let place = begin + scale * 0.5;
  for (let i = 0; i < count; i += 1, place += scale) first[i] = Math.floor(place);
  return { first, count: new Int32Array(count).fill(1), values: new Int32Array(count).fill(1), most: 1, shift: 0 };
}

/* One row of RGBA that begins at `start` → a narrower one at `place`; alpha is left out. */
function narrow(rgba, start, { first, count, values, most, shift }, target, place) {
  const half = (1 << shift) >> 1;
  for (let i = 0; i < first.length; i += 1) {
    let [r, g, b] = [half, half, half];
    for (let k = i * most, at = start + 4 * first[i]; k < i * most + count[i]; k += 1, at += 4) {
      r += rgba[at] * values[k];
      g += rgba[at + 1] * values[k];
      b += rgba[at + 2] * values[k];
    }
    target[place + 4 * i] = r >> shift;
    target[place + 4 * i + 1] = g >> shift;
    target[place + 4 * i + 2] = b >> shift;
  }
}

/* Row `y` of the result, from the rows that it is made of. */
function flatten(rows, stride, { first, count, values, most, shift }, y, target) {
  const half = (1 << shift) >> 1;
  for (let x = 0; x < stride; x += 1) {
    let sum = half;
    for (let k = 0, at = first[y] * stride + x; k < count[y]; k += 1, at += stride) sum += rows[at] * values[y * most + k];
    target[y * stride + x] = sum >> shift;
  }
}
