// The explorer: one state, and everything that follows from it.

const SWEEP = 9000; // milliseconds that the whole window takes to play
const LETTERS = [
  ["R", [1, 0, 0]], ["L", [-1, 0, 0]], ["A", [0, 1, 0]],
  ["P", [0, -1, 0]], ["S", [0, 0, 1]], ["I", [0, 0, -1]],
]; // prettier-ignore

class Explorer {
  constructor(root, surface) {
    this.root = root;
    this.surface = surface;
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.times = this.data.times;
    this.cells = Int16Array.from(decode(this.data.cells), (cell) => (cell === 65535 ? -1 : cell));
    this.values = decode(this.data.values);
    this.deviation = decode(this.data.deviation);
    this.state = { sample: 0, region: 0, map: "estimate", playing: false };
    this.scales = this.measure();
    this.spreader = new Spreader(this.surface, this.cells);
    root.hidden = false;
    this.heads();
    this.charts();
    this.stage();
    this.cuts();
    this.controls();
    this.peaks();
    const first = this.data.start;
    this.set({ sample: first.sample, region: first.region });
    if (this.scene) this.look(first.view, true);
    root.dataset.ready = this.scene ? "3d" : "flat";
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  all(name) {
    return [...this.root.querySelectorAll(`[data-${name}]`)];
  }

  // ---- numbers ----------------------------------------------------------------------------

  value(region, sample = this.state.sample) {
    return this.values[region * this.times.length + sample];
  }

  spread(region, sample = this.state.sample) {
    const n = this.deviation.length / this.data.regions.length;
    return this.deviation[n === 1 ? region : region * n + sample];
  }

  ratio(region, sample) {
    const width = this.spread(region, sample);
    return width > 0 ? this.value(region, sample) / width : 0;
  }

  shown(region, map = this.state.map, sample = this.state.sample) {
    if (map === "estimate") return this.value(region, sample);
    return map === "ratio" ? this.ratio(region, sample) : this.spread(region, sample);
  }

  /** Colours, largest value and threshold of every map. */
  measure() {
    const { ramps, signed, unit, stands } = this.data;
    const largest = (map) => {
      let most = 0;
      for (let r = 0; r < this.data.regions.length; r++) {
        for (let s = 0; s < this.times.length; s++) most = Math.max(most, Math.abs(this.shown(r, map, s)));
      }
      return most || 1;
    };
    const warm = lookup(ramps.warm);
    const cold = signed ? lookup(ramps.cold) : null;
    const scales = {
      estimate: { limit: this.data.limit || largest("estimate"), threshold: 0.3, warm, cold, unit },
    };
    if (this.deviation) {
      const limit = largest("ratio");
      const share = stands && stands < limit ? stands / limit : 0.3;
      scales.ratio = { limit, threshold: share, warm, cold, unit: this.data.ratioUnit };
      scales.deviation = { limit: largest("deviation"), threshold: 0, warm: lookup(ramps.doubt), cold: null, unit };
    }
    return scales;
  }

  // ---- parts ------------------------------------------------------------------------------

  stage() {
    const stage = this.part("stage");
    try {
      this.scene = new Scene3D(stage, this.surface, this.cells, (region) => this.set({ region }));
    } catch (error) {
      this.root.classList.add("flat");
      this.part("no3d").hidden = false;
      return;
    }
    this.colours = new Uint8Array(6 * this.surface.n);
    this.hover();
    const { peaks, truth } = this.data;
    this.scene.mark(truth.map((t) => ({ vertex: t.vertex, label: "", cross: true })));
    this.scene.mark(peaks.map((p) => ({ vertex: p.vertex, label: String(p.rank), pale: Boolean(p.doubt) })));
    const compass = this.part("compass");
    const letters = LETTERS.map(([text, axis]) => {
      const letter = document.createElement("span");
      letter.textContent = text;
      compass.append(letter);
      return { letter, axis: new THREE.Vector3(...axis) };
    });
    this.scene.onRender = ({ camera }) => {
      const right = new THREE.Vector3().setFromMatrixColumn(camera.matrix, 0);
      const up = new THREE.Vector3().setFromMatrixColumn(camera.matrix, 1);
      for (const { letter, axis } of letters) {
        const [x, y] = [axis.dot(right), axis.dot(up)];
        letter.hidden = Math.hypot(x, y) < 0.8;
        letter.style.left = `${50 + 47 * x}%`;
        letter.style.top = `${50 - 46 * y}%`;
      }
    };
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.scene.canvas.addEventListener("keydown", (e) => {
      const step = steps[e.key];
      if (step) this.scene.turn(0.15 * step[0], 0.15 * step[1]);
      else if (e.key === "+" || e.key === "=") this.scene.zoom(1.2);
      else if (e.key === "-") this.scene.zoom(1 / 1.2);
      else if (e.key === "Enter") {
        const region = this.scene.regionAt(0, 0);
        if (region >= 0) this.set({ region });
      } else return;
      e.preventDefault();
    });
  }

  /** What the pointer rests on: name and value, beside it. */
  hover() {
    const [canvas, tip] = [this.scene.canvas, this.part("tip")];
    let waiting = null;
    const hide = () => {
      waiting = null;
      tip.hidden = true;
    };
    const show = () => {
      if (!waiting) return;
      const { x, y, w, h } = waiting;
      waiting = null;
      const region = this.scene.regionAt((2 * x) / w - 1, 1 - (2 * y) / h);
      tip.hidden = region < 0;
      if (region < 0) return;
      const { unit } = this.scales[this.state.map];
      const value = `${number(this.shown(region) * unit.factor)}\u202f${unit.label}`.trim();
      tip.textContent = `${this.data.regions[region].place}: ${value}`;
      tip.style.left = `${Math.min(x + 14, Math.max(0, w - tip.offsetWidth - 6))}px`;
      tip.style.top = `${Math.max(4, y - 34)}px`;
    };
    canvas.addEventListener("pointermove", (e) => {
      if (e.pointerType === "touch" || e.buttons) return hide();
      const box = canvas.getBoundingClientRect();
      if (!waiting) requestAnimationFrame(show);
      waiting = { x: e.clientX - box.left, y: e.clientY - box.top, w: box.width, h: box.height };
    });
    canvas.addEventListener("pointerleave", hide);
  }

  /** Slices; a click goes to the region nearest to it. */
  cuts() {
    const canvases = Object.fromEntries(this.all("plane").map((canvas) => [canvas.dataset.plane, canvas]));
    this.slices = new Slices(canvases, this.surface.mni, this.surface.n, (place) => {
      let [best, least] = [0, Infinity];
      this.data.regions.forEach(({ mni }, r) => {
        const away = Math.hypot(...mni.map((v, k) => v - place[k]));
        if (away < least) [best, least] = [r, away];
      });
      this.set({ region: best });
    });
  }

  heads() {
    const { head } = this.data;
    if (!head) return;
    this.headMap = new HeadMap(head, this.data.ramps.diverging);
    this.recorded = decode(head.recorded);
    this.explained = decode(head.explained);
    this.all("head").forEach((canvas) => (canvas.hidden = false));
  }

  charts() {
    if (this.times.length < 2) return;
    const seek = (time) => this.set({ sample: this.nearest(time), playing: false });
    const peaks = this.data.peaks.map((p) => ({ time: p.time, label: String(p.rank) }));
    const make = (name, marks) => new Chart(this.part(name), this.times, this.data.clock, marks, seek);
    this.course = make("course", peaks);
    this.part("field").parentNode.hidden = !this.data.field;
    if (!this.data.field) return;
    this.field = make("field", peaks.map((p) => ({ time: p.time })));
    const { recorded, unexplained } = this.data.field;
    const curves = [
      { name: "recorded", values: recorded, colour: "ink", fill: true },
      { name: "unexplained", values: unexplained, colour: "s2" },
    ];
    this.field.draw(curves, "At the sensors (µV, RMS)");
  }

  controls() {
    const on = (name, act) => this.all(name).forEach((b) => b.addEventListener("click", () => act(b.dataset[name])));
    on("view", (view) => this.look(view));
    on("hemispheres", (which) => this.hemispheres(which));
    on("surface", (which) => this.scene?.look(this.scene.direction().toArray(), which === "inflated", () => this.press()));
    on("map", (map) => this.set({ map }));
    const slider = this.part("time");
    slider.max = this.times.length - 1;
    slider.addEventListener("input", () => this.set({ sample: Number(slider.value), playing: false }));
    this.part("play").addEventListener("click", () => this.set({ playing: !this.state.playing }));
    const threshold = this.part("threshold");
    threshold.addEventListener("input", () => {
      this.scales[this.state.map].threshold = Number(threshold.value) / 100;
      this.set({});
    });
    this.root.addEventListener("keydown", (e) => this.key(e));
    this.part("save").addEventListener("click", () => save(this));
    this.part("means").textContent = `Value: ${this.data.means}.`;
  }

  key(event) {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
    if (key === " " && !typing && !/^(BUTTON|SUMMARY|A)$/.test(target.tagName)) {
      this.set({ playing: !this.state.playing });
    } else if (key === "," || key === ".") {
      this.set({ sample: this.clamp(this.state.sample + (key === "." ? 1 : -1)), playing: false });
    } else if ((key === "s" || key === "S") && !typing) save(this);
    else if (key === "n" || key === "N") this.next(event.shiftKey ? -1 : 1);
    else if (/^[1-8]$/.test(key) && !typing) this.look(Object.keys(VIEWS)[Number(key) - 1]);
    else return;
    event.preventDefault();
  }

  peaks() {
    const list = this.part("peaks");
    for (const peak of this.data.peaks) {
      const button = document.createElement("button");
      button.type = "button";
      const rank = document.createElement("b");
      rank.textContent = String(peak.rank);
      button.append(rank, ` ${instant(peak.time, this.data.clock)}, ${peak.place}`);
      if (peak.doubt) button.classList.add("doubted");
      if (peak.doubt || peak.note) {
        const why = document.createElement("small");
        why.textContent = peak.doubt || peak.note;
        button.append(why);
      }
      button.addEventListener("click", () => {
        this.set({ sample: peak.sample, region: peak.region, playing: false });
        this.look(peak.view);
      });
      list.append(button);
    }
  }

  // ---- acts -------------------------------------------------------------------------------

  nearest(time) {
    let best = 0;
    this.times.forEach((t, i) => {
      if (Math.abs(t - time) < Math.abs(this.times[best] - time)) best = i;
    });
    return best;
  }

  clamp(sample) {
    return Math.min(this.times.length - 1, Math.max(0, sample));
  }

  /** Select the region that is next in strength at this moment. */
  next(step) {
    const order = this.data.regions.map((_, r) => r);
    order.sort((a, b) => Math.abs(this.shown(b)) - Math.abs(this.shown(a)));
    const at = order.indexOf(this.state.region) + step;
    this.set({ region: order[(at + order.length) % order.length] });
  }

  look(name) {
    if (!this.scene) return;
    const view = VIEWS[name];
    this.scene.show(view.hemispheres);
    this.scene.look(view.from, view.inflated, () => this.press());
    this.view = { name, hemispheres: view.hemispheres, inflated: view.inflated };
    this.press();
  }

  hemispheres(which) {
    if (!this.scene) return;
    this.scene.show(which);
    this.view = { ...this.view, name: "", hemispheres: which };
    this.scene.look(this.scene.direction().toArray(), this.scene.inflation > 0.5, () => this.press());
    this.press();
  }

  /** Say which buttons are in force. */
  press() {
    const { name, hemispheres } = this.view || {};
    const surface = this.scene?.inflation > 0.5 ? "inflated" : "folded";
    const now = { view: name, hemispheres, surface, map: this.state.map };
    for (const [kind, value] of Object.entries(now)) {
      this.all(kind).forEach((b) => b.setAttribute("aria-pressed", String(b.dataset[kind] === value)));
    }
  }

  play(now) {
    if (!this.state.playing) return;
    const share = (now - this.began) / SWEEP;
    const last = this.times.length - 1;
    const sample = Math.min(last, this.from + Math.floor(share * this.times.length));
    if (sample !== this.state.sample) this.set({ sample });
    if (sample >= last) this.set({ playing: false });
    else requestAnimationFrame((later) => this.play(later));
  }

  // ---- what follows -------------------------------------------------------------------------

  set(change) {
    const before = this.state;
    this.state = { ...before, ...change };
    const { state, root } = this;
    if (state.playing && !before.playing) {
      if (state.sample === this.times.length - 1) state.sample = 0;
      this.from = state.sample;
      this.began = performance.now();
      requestAnimationFrame((now) => this.play(now));
    }
    root.dataset.sample = state.sample;
    root.dataset.region = state.region;
    root.dataset.playing = state.playing;
    this.colour();
    if (state.sample !== before.sample || !this.drawn) this.potentials();
    if (state.region !== before.region || !this.drawn) this.chosen();
    if (state.map !== before.map || !this.drawn) this.press();
    this.say();
    this.drawn = true;
  }

  colour() {
    const scale = this.scales[this.state.map];
    const values = this.spreader.spread((region) => this.shown(region));
    if (this.scene) {
      paint(values, this.surface.folds, scale, this.colours);
      this.scene.recolour(this.colours);
    }
    if (this.state.region !== this.cutAt) {
      this.cutAt = this.state.region;
      this.slices.at(this.data.regions[this.cutAt].mni);
    }
    this.slices.draw(values, scale);
    const { unit, limit, threshold, warm, cold } = scale;
    this.part("ramp").style.background = gradient(warm, cold, threshold);
    this.part("low").textContent = cold ? `−${number(limit * unit.factor)}` : "0";
    this.part("middle").textContent = cold ? "0" : "";
    this.part("high").textContent = number(limit * unit.factor);
    const doubt = this.state.map === "deviation";
    this.part("axis").textContent = doubt ? this.data.deviationAxis : unit.axis;
    const slider = this.part("threshold");
    slider.value = 100 * threshold;
    const least = `${number(threshold * limit * unit.factor)}\u202f${unit.label}`.trim();
    this.part("threshold-says").textContent = threshold > 0 ? `from ${least}` : "everything";
    slider.setAttribute("aria-valuetext", this.part("threshold-says").textContent);
    const noise = this.part("noise");
    if (!noise) return;
    noise.hidden = !(this.state.map === "ratio" && this.data.stands < limit);
    const share = (100 * this.data.stands) / limit;
    noise.style.left = `${cold ? 50 + share / 2 : share}%`;
  }

  potentials() {
    const { sample } = this.state;
    const when = instant(this.times[sample], this.data.clock);
    const slider = this.part("time");
    slider.value = sample;
    slider.setAttribute("aria-valuetext", when);
    this.part("when").textContent = when;
    this.course?.move(sample);
    this.field?.move(sample);
    if (!this.headMap) return;
    const { n } = this.headMap;
    const of = (array, i) => array[i * this.times.length + sample];
    const recorded = Float32Array.from({ length: n }, (_, i) => of(this.recorded, i));
    const explained = Float32Array.from({ length: n }, (_, i) => of(this.explained, i));
    const parts = { recorded, explained, unexplained: recorded.map((v, i) => v - explained[i]) };
    for (const canvas of this.all("head")) {
      this.headMap.draw(canvas, parts[canvas.dataset.head], this.data.head.limit);
    }
  }

  chosen() {
    const { region } = this.state;
    this.scene?.select(region);
    this.scene?.render();
    const { place, mni } = this.data.regions[region];
    this.part("place").textContent = `${place}`;
    this.part("mni").textContent = `MNI ${mni.map((v) => String(Math.round(v)).replace("-", "−")).join(", ")}\u202fmm`;
    if (!this.course) return;
    const { unit } = this.data;
    const over = (of) => Float32Array.from(this.times, (_, s) => of(region, s) * unit.factor);
    const values = over((r, s) => this.value(r, s));
    const band = this.deviation ? over((r, s) => this.spread(r, s)) : null;
    this.course.draw([{ values, colour: "s1", band }], unit.axis);
  }

  say() {
    const { unit, clock } = this.data;
    const { region, sample, playing } = this.state;
    const value = number(this.value(region) * unit.factor);
    let text = value;
    if (this.deviation) text += ` ± ${number(this.spread(region) * unit.factor, 2)}`;
    this.part("value").textContent = `${text}\u202f${unit.label}`;
    const play = this.part("play");
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.dataset.playing = playing;
    this.part("beside").textContent = this.deviation ? `${number(Math.abs(this.ratio(region)), 2)} times its ${this.data.deviationName}` : "";
    if (playing) return; // a reader of the screen is told where it stops, not every frame
    const { place } = this.data.regions[region];
    this.part("told").textContent = `${instant(this.times[sample], clock)}, ${place}: ${text} ${unit.label}`;
  }
}

/** The colour bar: the ramp, and grey where the threshold hides it. */
function gradient(warm, cold, threshold) {
  const stops = [];
  for (let i = cold ? -32 : 0; i <= 32; i++) {
    const table = i < 0 ? cold : warm;
    const at = 3 * Math.round((Math.abs(i) / 32) * (STEPS - 1));
    const hidden = Math.abs(i) / 32 < threshold;
    const rgb = hidden ? "var(--veil)" : `rgb(${table.slice(at, at + 3).join(" ")})`;
    stops.push(`${rgb} ${cold ? 50 + (50 * i) / 32 : (100 * i) / 32}%`);
  }
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** The cortex that all explorers of a page share. */
function readSurface(block) {
  const stored = JSON.parse(block.textContent);
  const faces = decode(stored.faces);
  const surface = { n: stored.n, faces, pial: decode(stored.pial), inflated: decode(stored.inflated) };
  surface.folds = decode(stored.folds);
  surface.graph = neighbours(faces, stored.n);
  surface.mni = inMni(surface, stored);
  return surface;
}

/** Of several conditions one is shown: the next shows the same place, moment and view. */
function link(tabs, explorers) {
  const inputs = [...tabs.querySelectorAll(":scope > input")];
  const shown = inputs.map((_, i) => explorers.get(tabs.querySelector(`:scope > .panels > .panel${i} .explorer`)));
  if (!shown.some(Boolean)) return;
  let last = inputs.findIndex((input) => input.checked);
  inputs.forEach((input, i) =>
    input.addEventListener("change", () => {
      const [from, to] = [shown[last], shown[i]];
      last = i;
      if (!from || !to) return;
      to.set({ sample: to.nearest(from.times[from.state.sample]), region: from.state.region });
      if (to.scene && from.view?.name) to.look(from.view.name);
    }),
  );
}

const block = document.getElementById("surface");
if (block) {
  const surface = readSurface(block);
  const explorers = new Map();
  document.querySelectorAll(".explorer").forEach((root) => explorers.set(root, new Explorer(root, surface)));
  document.querySelectorAll(".tabs").forEach((tabs) => link(tabs, explorers));
}
