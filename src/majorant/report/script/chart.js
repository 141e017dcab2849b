// Lines over time, as SVG that takes its colours from the page.

const MARGIN = { left: 62, right: 14, top: 32, bottom: 26 };
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

/** A chart whose cursor follows the slider, and which sets the time where it is clicked. */
class Chart {
  constructor(svg, times, clock, peaks, onTime) {
    Object.assign(this, { svg, times, clock, peaks });
    this.height = Number(svg.dataset.height);
    const seek = (e) => {
      const x = e.clientX - svg.getBoundingClientRect().left;
      const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
      onTime(times[0] + Math.min(1, Math.max(0, share)) * (times[times.length - 1] - times[0]));
    };
    svg.addEventListener("pointerdown", (e) => {
      svg.setPointerCapture(e.pointerId);
      seek(e);
    });
    svg.addEventListener("pointermove", (e) => e.buttons && seek(e));
    new ResizeObserver(() => this.curves && this.draw(this.curves, this.axis)).observe(svg.parentNode);
  }

  x(time) {
    const { times } = this;
    const span = times[times.length - 1] - times[0] || 1;
    return MARGIN.left + ((time - times[0]) / span) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(value) {
    const { low, high } = this;
    return this.height - MARGIN.bottom - ((value - low) / (high - low)) * (this.height - MARGIN.top - MARGIN.bottom);
  }

  /** `curves`: values, colour, optionally a band to each side or a fill down to zero. */
  draw(curves, axis) {
    Object.assign(this, { curves, axis });
    this.width = Math.max(280, this.svg.parentNode.clientWidth);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren();
    [this.low, this.high] = range(curves);
    this.grid(axis);
    for (const curve of curves) this.curve(curve);
    this.marks();
    this.cursor = element("line", { class: "cursor", y1: MARGIN.top - 4, y2: this.height - MARGIN.bottom }, this.svg);
    this.dot = element("circle", { class: "dot", r: 4.5 }, this.svg);
    if (this.sample !== undefined) this.move(this.sample);
  }

  grid(axis) {
    const { svg, clock, times } = this;
    const right = this.width - MARGIN.right;
    const values = ticks(this.low, this.high, Math.max(2, this.height / 36));
    for (const value of values.found) {
      const y = this.y(value);
      element("line", { class: value === 0 ? "zero" : "rule", x1: MARGIN.left, x2: right, y1: y, y2: y }, svg);
      const text = value.toFixed(values.digits).replace("-", "−");
      element("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, svg, text);
    }
    const [first, last] = [times[0], times[times.length - 1]].map((t) => t * clock.factor);
    const marks = ticks(first, last, this.width / 90);
    for (const mark of marks.found) {
      const x = this.x(mark / clock.factor);
      if (mark === 0) element("line", { class: "zero", x1: x, x2: x, y1: MARGIN.top, y2: this.height - MARGIN.bottom }, svg);
      const text = mark.toFixed(marks.digits).replace("-", "−");
      element("text", { x, y: this.height - 8, "text-anchor": "middle" }, svg, text);
    }
    const title = element("text", { x: 4, y: 11, class: "axis" }, svg, axis);
    for (const { name, colour } of this.curves.filter((curve) => curve.name)) {
      element("tspan", { dx: 12, style: `fill:var(--${colour})`, "font-weight": 650 }, title, name);
    }
    if (this.peaks.every(({ label }) => !label)) return;
    element("text", { x: right, y: 11, class: "axis", "text-anchor": "end" }, svg, clock.axis);
  }

  curve({ values, colour, band, fill }) {
    const { times, svg } = this;
    const at = (v) => Array.from(v, (value, i) => `${this.x(times[i]).toFixed(1)} ${this.y(value).toFixed(1)}`);
    if (band) {
      const upper = at(values.map((v, i) => v + band[i]));
      const lower = at(values.map((v, i) => v - band[i])).reverse();
      element("path", { d: `M${upper.concat(lower).join("L")}Z`, style: `fill:var(--${colour})`, class: "band" }, svg);
    }
    const line = at(values);
    if (fill) {
      const base = this.y(0).toFixed(1);
      const ends = [this.x(times[times.length - 1]), this.x(times[0])].map((x) => `${x.toFixed(1)} ${base}`);
      element("path", { d: `M${line.concat(ends).join("L")}Z`, style: `fill:var(--${colour})`, class: "band" }, svg);
    }
    element("path", { d: `M${line.join("L")}`, style: `stroke:var(--${colour})`, class: "curve" }, svg);
  }

  marks() {
    const groups = [];
    for (const { time, label } of [...this.peaks].sort((a, b) => a.time - b.time)) {
      const x = this.x(time);
      element("line", { class: "peak", x1: x, x2: x, y1: MARGIN.top, y2: this.height - MARGIN.bottom }, this.svg);
      if (!label) continue;
      const last = groups[groups.length - 1];
      if (last && x - last.to < 8 * (last.text.length + label.length + 1) / 2 + 6) {
        last.text += `, ${label}`;
        last.to = x;
      } else groups.push({ from: x, to: x, text: label });
    }
    for (const { from, to, text } of groups) {
      element("text", { x: (from + to) / 2, y: 27, class: "rank", "text-anchor": "middle" }, this.svg, text);
    }
  }

  /** Put the cursor on a sample. */
  move(sample) {
    this.sample = sample;
    if (!this.cursor) return;
    const x = this.x(this.times[sample]);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", this.y(this.curves[0].values[sample]));
  }
}

/** Lowest and highest value of all curves and bands, with some room. */
function range(curves) {
  let [low, high] = [0, 0];
  for (const { values, band } of curves) {
    for (let i = 0; i < values.length; i++) {
      const aside = band ? band[i] : 0;
      low = Math.min(low, values[i] - aside);
      high = Math.max(high, values[i] + aside);
    }
  }
  const room = 0.06 * (high - low) || 1;
  return [low < 0 ? low - room : 0, high + room];
}
