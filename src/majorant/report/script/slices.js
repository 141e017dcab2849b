// Three planes through the place chosen, in MNI space: outlines of the head, and the estimate where
// a plane cuts the cortex.

const PLANES = {
  sagittal: { axis: 0, across: 1, up: 2, ends: ["P", "A"], letter: "x" },
  coronal: { axis: 1, across: 0, up: 2, ends: ["L", "R"], letter: "y" },
  axial: { axis: 2, across: 0, up: 1, ends: ["L", "R"], letter: "z" },
};
const SHADES = 32; // colours of a cut, each drawn with one stroke
const EDGE = 4; // millimetres around the head

/** Where a plane cuts a closed mesh: points with the vertices they lie between, and loops of them. */
function cut(vertices, faces, axis, at) {
  const [ends, shares, links, known] = [[], [], [], new Map()];
  const node = (a, b) => {
    const key = a < b ? a * 65536 + b : b * 65536 + a;
    let found = known.get(key);
    if (found === undefined) {
      found = links.length;
      known.set(key, found);
      const [low, high] = [vertices[3 * a + axis], vertices[3 * b + axis]];
      ends.push(a, b);
      shares.push((at - low) / (high - low));
      links.push([]);
    }
    return found;
  };
  for (let f = 0; f < faces.length; f += 3) {
    const above = [0, 1, 2].map((k) => vertices[3 * faces[f + k] + axis] > at);
    const count = above[0] + above[1] + above[2];
    if (count === 0 || count === 3) continue;
    const lone = above.indexOf(count === 1);
    const [a, b] = [1, 2].map((k) => node(faces[f + lone], faces[f + ((lone + k) % 3)]));
    links[a].push(b);
    links[b].push(a);
  }
  const [loops, seen] = [[], new Uint8Array(links.length)];
  for (let start = 0; start < links.length; start++) {
    if (seen[start]) continue;
    const loop = [];
    for (let at = start; at !== undefined; at = links[at].find((next) => !seen[next])) {
      seen[at] = 1;
      loop.push(at);
    }
    loops.push(loop);
  }
  return { ends, shares, loops };
}

/** The cortex and the head of a page in MNI millimetres, once for all of its explorers. */
function inMni(surface, stored) {
  const { n, pial, faces } = surface;
  const [rows, all] = [stored.affine, new Float32Array(6 * n)];
  for (let i = 0; i < 2 * n; i++) {
    rows.forEach(([a, b, c, d], k) => {
      all[3 * i + k] = 1e3 * (a * pial[3 * i] + b * pial[3 * i + 1] + c * pial[3 * i + 2]) + d;
    });
  }
  const sides = [0, 1].map((side) => ({ vertices: all.subarray(3 * n * side, 3 * n * (side + 1)), faces }));
  const outlines = stored.outlines.map(({ name, vertices, faces: own }) => {
    return { name, vertices: decode(vertices), faces: decode(own) };
  });
  const [low, high] = [[1e9, 1e9, 1e9], [-1e9, -1e9, -1e9]];
  for (const { vertices } of outlines) {
    vertices.forEach((v, i) => {
      low[i % 3] = Math.min(low[i % 3], v);
      high[i % 3] = Math.max(high[i % 3], v);
    });
  }
  low[2] = Math.max(low[2], -95); // the neck
  return { sides, outlines, low: low.map((v) => v - EDGE), high: high.map((v) => v + EDGE) };
}

class Slices {
  /** `canvases` by plane; `onPick` is told the MNI place of a click. */
  constructor(canvases, mni, n, onPick) {
    Object.assign(this, { canvases, mni, n });
    for (const [name, canvas] of Object.entries(canvases)) {
      const { across, up, axis } = PLANES[name];
      canvas.style.aspectRatio = `${this.span(across)} / ${this.span(up)}`;
      canvas.addEventListener("click", (e) => {
        const box = canvas.getBoundingClientRect();
        const place = [];
        place[axis] = this.place[axis];
        place[across] = mni.low[across] + ((e.clientX - box.left) / box.width) * this.span(across);
        place[up] = mni.high[up] - ((e.clientY - box.top) / box.height) * this.span(up);
        onPick(place);
      });
      new ResizeObserver(() => this.values && this.draw(this.values, this.look)).observe(canvas);
    }
  }

  span(axis) {
    return this.mni.high[axis] - this.mni.low[axis];
  }

  /** Cut through a place. */
  at(place) {
    this.place = place;
    this.cuts = {};
    for (const name of Object.keys(this.canvases)) {
      const { axis } = PLANES[name];
      const through = ({ vertices, faces }) => ({ vertices, ...cut(vertices, faces, axis, place[axis]) });
      this.cuts[name] = { outlines: this.mni.outlines.map(through), sides: this.mni.sides.map(through) };
    }
  }

  /** Colour the cuts by values at the vertices, as the cortex is coloured. */
  draw(values, look) {
    Object.assign(this, { values, look });
    for (const name of Object.keys(this.canvases)) this.plane(name);
  }

  plane(name) {
    const [canvas, plane] = [this.canvases[name], PLANES[name]];
    const width = canvas.clientWidth;
    if (!width) return;
    const scale = width / this.span(plane.across);
    const height = scale * this.span(plane.up);
    const dense = Math.min(3, devicePixelRatio || 1);
    canvas.width = Math.round(dense * width);
    canvas.height = Math.round(dense * height);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const style = getComputedStyle(canvas);
    const colour = (which) => style.getPropertyValue(`--${which}`).trim();
    const { low, high } = this.mni;
    const to = (own, i) => {
      const [a, b, s] = [3 * own.ends[2 * i], 3 * own.ends[2 * i + 1], own.shares[i]];
      const along = (axis) => own.vertices[a + axis] + s * (own.vertices[b + axis] - own.vertices[a + axis]);
      return [scale * (along(plane.across) - low[plane.across]), scale * (high[plane.up] - along(plane.up))];
    };
    const path = (owns) => {
      const found = new Path2D();
      for (const own of owns) {
        for (const loop of own.loops) {
          loop.forEach((i, k) => found[k ? "lineTo" : "moveTo"](...to(own, i)));
          found.closePath();
        }
      }
      return found;
    };
    const { outlines, sides } = this.cuts[name];
    pen.strokeStyle = colour("muted");
    outlines.forEach((own, k) => {
      pen.lineWidth = k ? 0.8 : 1.4;
      pen.stroke(path([own]));
    });
    const cortex = path(sides);
    pen.globalAlpha = 0.4;
    pen.fillStyle = colour("veil");
    pen.fill(cortex, "evenodd");
    pen.globalAlpha = 1;
    pen.lineWidth = 0.8;
    pen.stroke(cortex);
    this.paint(pen, sides, to, Math.max(2.5, 2.4 * scale));
    this.cross(pen, plane, [width, height], scale, colour);
  }

  paint(pen, sides, to, width) {
    const { limit, threshold, warm, cold } = this.look;
    const strokes = new Map();
    sides.forEach((own, side) => {
      const value = (i) => {
        const [a, b, s] = [own.ends[2 * i], own.ends[2 * i + 1], own.shares[i]];
        const first = side * this.n;
        return (1 - s) * this.values[first + a] + s * this.values[first + b];
      };
      for (const loop of own.loops) {
        loop.forEach((i, k) => {
          const next = loop[(k + 1) % loop.length];
          const mean = (value(i) + value(next)) / 2;
          const share = Math.min(1, Math.abs(mean) / limit);
          if (!(share > threshold)) return; // also where there is none
          const shade = Math.sign(mean || 1) * (1 + Math.round((SHADES - 1) * share));
          if (!strokes.has(shade)) strokes.set(shade, new Path2D());
          strokes.get(shade).moveTo(...to(own, i));
          strokes.get(shade).lineTo(...to(own, next));
        });
      }
    });
    pen.lineWidth = width;
    pen.lineCap = "round";
    for (const [shade, stroke] of [...strokes].sort(([a], [b]) => Math.abs(a) - Math.abs(b))) {
      const share = (Math.abs(shade) - 1) / (SHADES - 1);
      const table = shade < 0 && cold ? cold : warm;
      const at = 3 * Math.round(share * (STEPS - 1));
      pen.globalAlpha = threshold === 0 ? 1 : Math.min(1, Math.max(0.15, (share - threshold) / FADE));
      pen.strokeStyle = `rgb(${table.slice(at, at + 3).join(" ")})`;
      pen.stroke(stroke);
    }
    pen.globalAlpha = 1;
  }

  cross(pen, plane, [width, height], scale, colour) {
    const { low, high } = this.mni;
    const x = scale * (this.place[plane.across] - low[plane.across]);
    const y = scale * (high[plane.up] - this.place[plane.up]);
    pen.strokeStyle = colour("mark");
    pen.lineWidth = 1;
    pen.beginPath();
    for (const [from, end] of [[[0, y], [x - 7, y]], [[x + 7, y], [width, y]], [[x, 0], [x, y - 7]], [[x, y + 7], [x, height]]]) {
      pen.moveTo(...from);
      pen.lineTo(...end);
    }
    pen.globalAlpha = 0.55;
    pen.stroke();
    pen.globalAlpha = 1;
    pen.fillStyle = colour("muted");
    pen.font = "600 12px system-ui, sans-serif";
    pen.fillText(plane.ends[0], 3, height - 5);
    pen.textAlign = "right";
    pen.fillText(plane.ends[1], width - 3, height - 5);
    pen.textAlign = "left";
    const at = String(Math.round(this.place[plane.axis])).replace("-", "−");
    pen.fillText(`${plane.letter} = ${at}\u202fmm`, 3, 13);
  }
}
