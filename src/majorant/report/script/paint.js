// From values of regions to colours of vertices.

const STEPS = 256;
const BLENDS = 6;
const FADE = 0.2; // of the largest value, over which colour fades in

/** Look-up table of a colour ramp: STEPS times red, green, blue, 0 to 255. */
function lookup(stops) {
  const table = new Uint8Array(3 * STEPS);
  for (let i = 0; i < STEPS; i++) {
    const at = i / (STEPS - 1);
    let k = 0;
    while (k < stops.length - 2 && at > stops[k + 1][0]) k++;
    const [low, from] = stops[k];
    const [high, to] = stops[k + 1];
    const share = Math.min(1, Math.max(0, (at - low) / (high - low)));
    for (let c = 0; c < 3; c++) {
      const [a, b] = [from, to].map((code) => parseInt(code.slice(1 + 2 * c, 3 + 2 * c), 16));
      table[3 * i + c] = Math.round(a + share * (b - a));
    }
  }
  return table;
}

/** Neighbours of the vertices of one hemisphere, as offsets and one long list. */
function neighbours(faces, n) {
  const sets = Array.from({ length: n }, () => new Set());
  for (let f = 0; f < faces.length; f += 3) {
    for (let c = 0; c < 3; c++) {
      const [i, j] = [faces[f + c], faces[f + ((c + 1) % 3)]];
      sets[i].add(j);
      sets[j].add(i);
    }
  }
  const start = new Uint32Array(n + 1);
  sets.forEach((set, i) => (start[i + 1] = start[i] + set.size));
  return { start, list: Uint16Array.from(sets.flatMap((set) => [...set])) };
}

/** Spreads the values of regions over the vertices and blends them where regions meet. */
class Spreader {
  constructor(surface, cells) {
    this.n = surface.n;
    this.cells = cells;
    this.graph = surface.graph;
    this.values = new Float32Array(2 * this.n);
    this.border = [];
    for (let i = 0; i < 2 * this.n; i++) {
      if (cells[i] >= 0 && this.around(i).some((j) => cells[j] !== cells[i])) this.border.push(i);
    }
    this.inner = this.border.map((i) => this.around(i).filter((j) => cells[j] >= 0));
    this.next = new Float32Array(this.border.length);
  }

  around(i) {
    const side = i >= this.n ? this.n : 0;
    const { start, list } = this.graph;
    return Array.from(list.subarray(start[i - side], start[i - side + 1]), (j) => j + side);
  }

  /** Values at vertices, NaN where the estimate says nothing. */
  spread(ofRegion) {
    const { values, cells, border, inner, next } = this;
    for (let i = 0; i < values.length; i++) values[i] = cells[i] < 0 ? NaN : ofRegion(cells[i]);
    for (let pass = 0; pass < BLENDS; pass++) {
      for (let b = 0; b < border.length; b++) {
        let sum = values[border[b]];
        for (const j of inner[b]) sum += values[j];
        next[b] = sum / (inner[b].length + 1);
      }
      for (let b = 0; b < border.length; b++) values[border[b]] = next[b];
    }
    return values;
  }
}

/** Grey folds below the threshold; above, colour fades in, for a hard edge makes any map look focal. */
function paint(values, folds, look, out) {
  const { limit, threshold, warm, cold } = look;
  const low = threshold * limit;
  const width = Math.max(FADE * limit, 1e-30);
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    const opacity = threshold === 0 ? 1 : Math.min(1, (size - low) / width);
    const grey = folds[i];
    if (!(opacity > 0)) {
      out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = grey;
      continue;
    }
    const at = 3 * Math.min(STEPS - 1, Math.round((size / limit) * (STEPS - 1)));
    const table = values[i] < 0 && cold ? cold : warm;
    for (let c = 0; c < 3; c++) out[3 * i + c] = grey + opacity * (table[at + c] - grey);
  }
}
