// Potentials over the head at any moment, by the spherical spline that the still maps use, too.

const GRID = 112;
const FIRM = 0.15; // over which a map fades beyond the electrodes

class HeadMap {
  /** `head` holds places of the electrodes, the spline's kernel as a table, and its coefficients. */
  constructor(head, stops) {
    const xy = decode(head.xy);
    this.n = xy.length / 2;
    this.coefficients = decode(head.coefficients); // (n + 1, n)
    this.colours = lookup(stops.map((code, i) => [i / (stops.length - 1), code]));
    this.pixels = [];
    this.alpha = [];
    const kernel = decode(head.kernel);
    const rows = [];
    const { reach, trusted } = head;
    const sensors = Array.from({ length: this.n }, (_, i) => lift(xy[2 * i], xy[2 * i + 1]));
    for (let p = 0; p < GRID * GRID; p++) {
      const x = ((2 * ((p % GRID) + 0.5)) / GRID - 1) * reach;
      const y = (1 - (2 * (Math.floor(p / GRID) + 0.5)) / GRID) * reach;
      if (Math.hypot(x, y) > reach) continue;
      const at = lift(x, y);
      let gap = Infinity;
      const row = new Float32Array(this.n);
      for (let i = 0; i < this.n; i++) {
        const [a, b, c] = sensors[i];
        const cosine = Math.min(1, Math.max(-1, at[0] * a + at[1] * b + at[2] * c));
        const place = ((cosine + 1) / 2) * (kernel.length - 1);
        const k = Math.min(kernel.length - 2, Math.floor(place));
        row[i] = kernel[k] + (place - k) * (kernel[k + 1] - kernel[k]);
        gap = Math.min(gap, Math.hypot(x - xy[2 * i], y - xy[2 * i + 1]));
      }
      rows.push(row);
      this.pixels.push(p);
      this.alpha.push(255 * Math.min(1, Math.max(0.1, 1 - (gap - trusted) / FIRM)));
    }
    this.rows = rows;
  }

  /** Draw potentials, channel by channel, with the strongest colours at plus and minus `limit`. */
  draw(canvas, potentials, limit) {
    const { n, coefficients: c } = this;
    const weights = new Float32Array(n + 1);
    for (let i = 0; i <= n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += c[i * n + j] * potentials[j];
      weights[i] = sum / limit;
    }
    canvas.width = canvas.height = GRID;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(GRID, GRID);
    this.rows.forEach((row, p) => {
      let value = weights[n];
      for (let i = 0; i < n; i++) value += row[i] * weights[i];
      const at = 3 * Math.min(STEPS - 1, Math.max(0, Math.round(((value + 1) / 2) * (STEPS - 1))));
      image.data.set(this.colours.subarray(at, at + 3), 4 * this.pixels[p]);
      image.data[4 * this.pixels[p] + 3] = this.alpha[p];
    });
    pen.putImageData(image, 0, 0);
  }
}

/** Undo the azimuthal equidistant projection. */
function lift(x, y) {
  const radius = Math.hypot(x, y);
  const aside = radius > 0 ? Math.sin((radius * Math.PI) / 2) / radius : Math.PI / 2;
  return [x * aside, y * aside, Math.cos((radius * Math.PI) / 2)];
}
