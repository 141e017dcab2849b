// The cortex in three dimensions: turning, zooming, picking, outlines and marks. Draws on demand.

const SIZE = 10; // from metres
const GAP = 0.43; // moves inflated hemispheres apart
const MARK = 62; // pixels across the picture of a mark
const NEARER = 0.1; // marks are drawn a centimetre towards the viewer, so that gyri do not hide them

/** Where a standard view looks from, which hemispheres it shows, and whether inflated. */
const VIEWS = {
  "left-outer": { from: [-1, 0, 0], hemispheres: "left", inflated: true },
  "left-inner": { from: [1, 0, 0], hemispheres: "left", inflated: true },
  "right-outer": { from: [1, 0, 0], hemispheres: "right", inflated: true },
  "right-inner": { from: [-1, 0, 0], hemispheres: "right", inflated: true },
  above: { from: [0, -1e-3, 1], hemispheres: "both", inflated: false },
  below: { from: [0, 1e-3, -1], hemispheres: "both", inflated: false },
  front: { from: [0, 1, 0], hemispheres: "both", inflated: false },
  behind: { from: [0, -1, 0], hemispheres: "both", inflated: false },
};

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

class Scene3D {
  /** Throws where the browser has no WebGL. */
  constructor(stage, surface, cells, onPick) {
    this.stage = stage;
    this.surface = surface;
    this.cells = cells;
    this.shown = [true, true];
    this.inflation = 0;
    this.canvas = stage.querySelector("canvas");
    THREE.ColorManagement.enabled = false;
    const options = { canvas: this.canvas, antialias: true, alpha: true, preserveDrawingBuffer: true };
    this.renderer = new THREE.WebGLRenderer(options);
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.scene = new THREE.Scene();
    this.camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 0.01, 60);
    this.camera.up.set(0, 0, 1);
    this.light();
    this.meshes = [0, 1].map((side) => this.mesh(side));
    this.outlines = [this.outline(0x000000, 6), this.outline(0xffffff, 2.5)];
    this.marks = [];
    this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    this.controls.enablePan = false;
    this.controls.enableZoom = false; // the page scrolls until the cortex is chosen
    this.controls.minZoom = 0.6;
    this.controls.maxZoom = 9;
    this.controls.addEventListener("change", () => this.render());
    this.canvas.addEventListener("focus", () => (this.controls.enableZoom = true));
    this.canvas.addEventListener("blur", () => (this.controls.enableZoom = false));
    this.pick(onPick);
    new ResizeObserver(() => this.resize()).observe(stage);
    this.morph(0);
    this.resize();
  }

  light() {
    this.scene.add(new THREE.AmbientLight(0xffffff, 0.5 * Math.PI));
    const lamp = new THREE.DirectionalLight(0xffffff, 0.56 * Math.PI);
    lamp.position.set(-0.25, 0.45, 0.86);
    this.camera.add(lamp, lamp.target);
    this.scene.add(this.camera);
  }

  mesh(side) {
    const geometry = new THREE.BufferGeometry();
    const positions = new Float32Array(3 * this.surface.n);
    geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
    const colours = new Uint8Array(3 * this.surface.n);
    geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3, true));
    geometry.setIndex(new THREE.BufferAttribute(this.surface.faces, 1));
    const mesh = new THREE.Mesh(geometry, new THREE.MeshLambertMaterial({ vertexColors: true }));
    this.scene.add(mesh);
    return mesh;
  }

  outline(colour, linewidth) {
    const lines = new THREE.LineSegments2(
      new THREE.LineSegmentsGeometry(),
      new THREE.LineMaterial({ color: colour, linewidth }),
    );
    lines.visible = false;
    lines.frustumCulled = false;
    this.scene.add(lines);
    return lines;
  }

  /** Move the vertices between folded (0) and inflated (1). */
  morph(share) {
    const { n, pial, inflated } = this.surface;
    this.inflation = share;
    this.meshes.forEach((mesh, side) => {
      const to = mesh.geometry.attributes.position.array;
      const first = 3 * n * side;
      for (let i = 0; i < 3 * n; i++) {
        const apart = i % 3 === 0 ? (side ? GAP : -GAP) : 0;
        const round = SIZE * inflated[first + i] + apart;
        to[i] = (1 - share) * SIZE * pial[first + i] + share * round;
      }
      mesh.geometry.attributes.position.needsUpdate = true;
      mesh.geometry.computeVertexNormals();
      mesh.geometry.computeBoundingSphere();
    });
    if (this.region !== undefined) this.select(this.region);
  }

  place(vertex) {
    const { n } = this.surface;
    const side = vertex >= n ? 1 : 0;
    const at = this.meshes[side].geometry.attributes.position;
    return new THREE.Vector3().fromBufferAttribute(at, vertex - side * n);
  }

  /** Colours of all vertices, left first. */
  recolour(colours) {
    this.meshes.forEach((mesh, side) => {
      const { color } = mesh.geometry.attributes;
      color.array.set(colours.subarray(side * color.array.length, (side + 1) * color.array.length));
      color.needsUpdate = true;
    });
    this.render();
  }

  show(hemispheres) {
    this.shown = [hemispheres !== "right", hemispheres !== "left"];
    this.meshes.forEach((mesh, side) => (mesh.visible = this.shown[side]));
    if (this.region !== undefined) this.select(this.region);
  }

  /** Extent of what is shown along the axes of a direction of sight. */
  extent(from) {
    const to = new THREE.Vector3(...from).normalize();
    const right = new THREE.Vector3(0, 0, 1).cross(to).normalize();
    const up = to.clone().cross(right);
    const low = [1e9, 1e9, 1e9];
    const high = [-1e9, -1e9, -1e9];
    const p = new THREE.Vector3();
    this.meshes.forEach((mesh, side) => {
      if (!this.shown[side]) return;
      const at = mesh.geometry.attributes.position;
      for (let i = 0; i < at.count; i += 7) {
        p.fromBufferAttribute(at, i);
        [right, up, to].forEach((axis, k) => {
          const d = p.dot(axis);
          low[k] = Math.min(low[k], d);
          high[k] = Math.max(high[k], d);
        });
      }
    });
    const middle = [right, up, to].reduce(
      (sum, axis, k) => sum.addScaledVector(axis, (low[k] + high[k]) / 2),
      new THREE.Vector3(),
    );
    return { middle, width: high[0] - low[0], height: high[1] - low[1] };
  }

  /** Look from a direction, filling the stage; turns there unless motion is unwanted. */
  look(from, inflated, done = () => {}) {
    const before = this.inflation;
    const goal = inflated ? 1 : 0;
    const start = new THREE.Spherical().setFromVector3(this.swapped(this.direction()));
    const end = new THREE.Spherical().setFromVector3(this.swapped(new THREE.Vector3(...from)));
    let turn = end.theta - start.theta;
    if (turn > Math.PI) turn -= 2 * Math.PI;
    if (turn < -Math.PI) turn += 2 * Math.PI;
    this.morph(goal); // the extent of the end
    const { middle, width, height } = this.extent(from);
    const oldTarget = this.controls.target.clone();
    const oldFrame = this.frame || { width, height };
    const oldZoom = this.camera.zoom;
    if (before !== goal) this.morph(before);
    const step = (share) => {
      const s = share * share * (3 - 2 * share);
      const blend = (a, b) => a + s * (b - a);
      if (before !== goal) this.morph(blend(before, goal));
      const sphere = new THREE.Spherical(1, blend(start.phi, end.phi), start.theta + s * turn);
      const direction = this.unswapped(new THREE.Vector3().setFromSpherical(sphere));
      this.controls.target.lerpVectors(oldTarget, middle, s);
      this.frame = { width: blend(oldFrame.width, width), height: blend(oldFrame.height, height) };
      this.camera.zoom = blend(oldZoom, 1);
      this.camera.position.copy(this.controls.target).addScaledVector(direction.normalize(), 20);
      this.resize();
    };
    cancelAnimationFrame(this.flight);
    if (calm() || !this.frame) {
      step(1);
      done();
      return;
    }
    const began = performance.now();
    const fly = (now) => {
      const share = Math.min(1, Math.max(0, (now - began) / 420));
      step(share);
      if (share < 1) this.flight = requestAnimationFrame(fly);
      else done();
    };
    this.flight = requestAnimationFrame(fly);
  }

  // three.js counts angles about y; here z points up.
  swapped(v) {
    return new THREE.Vector3(v.y, v.z, v.x);
  }

  unswapped(v) {
    return new THREE.Vector3(v.z, v.x, v.y);
  }

  direction() {
    const d = this.camera.position.clone().sub(this.controls.target);
    return d.lengthSq() > 0 ? d.normalize() : new THREE.Vector3(0, -1e-3, 1);
  }

  turn(right, up) {
    const sphere = new THREE.Spherical().setFromVector3(this.swapped(this.direction()));
    sphere.theta += right;
    sphere.phi = Math.min(Math.PI - 0.01, Math.max(0.01, sphere.phi - up));
    const direction = this.unswapped(new THREE.Vector3().setFromSpherical(sphere));
    this.camera.position.copy(this.controls.target).addScaledVector(direction, 20);
    this.render();
  }

  zoom(factor) {
    this.camera.zoom = Math.min(9, Math.max(0.6, this.camera.zoom * factor));
    this.camera.updateProjectionMatrix();
    this.render();
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (!w || !h) return;
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio || 1));
    this.renderer.setSize(w, h, false);
    const frame = this.frame || { width: 2, height: 2 };
    const half = 0.54 * Math.max(frame.height, (frame.width * h) / w);
    Object.assign(this.camera, { top: half, bottom: -half, left: (-half * w) / h, right: (half * w) / h });
    this.camera.updateProjectionMatrix();
    for (const line of this.outlines) line.material.resolution.set(w, h);
    this.render();
  }

  render() {
    this.camera.lookAt(this.controls.target);
    const towards = this.direction();
    for (const line of this.outlines) line.position.copy(towards).multiplyScalar(0.09);
    this.outlines[1].position.multiplyScalar(1.2);
    const scale = MARK / ((this.stage.clientHeight || 1) * this.camera.zoom);
    for (const mark of this.marks) {
      mark.visible = this.shown[mark.userData.vertex >= this.surface.n ? 1 : 0];
      mark.position.copy(this.place(mark.userData.vertex)).addScaledVector(towards, NEARER);
      mark.scale.setScalar(scale * (this.camera.top - this.camera.bottom));
    }
    this.renderer.render(this.scene, this.camera);
    this.onRender?.(this);
  }

  /** Rings with a number for peaks, crosses for simulated sources. */
  mark(marks) {
    for (const { vertex, label, cross, pale } of marks) {
      const sprite = new THREE.Sprite(
        new THREE.SpriteMaterial({ map: badge(label, cross), transparent: true, depthWrite: false, opacity: pale ? 0.45 : 1 }),
      );
      sprite.userData.vertex = vertex;
      this.scene.add(sprite);
      this.marks.push(sprite);
    }
  }

  /** Draw the border of a region; undefined draws none. */
  select(region) {
    this.region = region;
    const points = [];
    const { n, faces } = this.surface;
    this.meshes.forEach((mesh, side) => {
      if (region === undefined || !this.shown[side]) return;
      const at = mesh.geometry.attributes.position.array;
      const of = (i) => (this.cells[i + side * n] === region ? 1 : 0);
      for (let f = 0; f < faces.length; f += 3) {
        const corners = [faces[f], faces[f + 1], faces[f + 2]];
        const inside = corners.map(of);
        const count = inside[0] + inside[1] + inside[2];
        if (count === 0 || count === 3) continue;
        const lone = inside.indexOf(count === 1 ? 1 : 0);
        // The border runs half way between the lone corner and the other two.
        for (const other of [(lone + 1) % 3, (lone + 2) % 3]) {
          const [a, b] = [3 * corners[lone], 3 * corners[other]];
          for (let k = 0; k < 3; k++) points.push((at[a + k] + at[b + k]) / 2);
        }
      }
    });
    for (const line of this.outlines) {
      line.visible = points.length > 0;
      if (!points.length) continue;
      line.geometry.dispose();
      line.geometry = new THREE.LineSegmentsGeometry();
      line.geometry.setPositions(points);
    }
  }

  /** Region under a point of the canvas, from -1 to 1 in both directions; -1 where there is none. */
  regionAt(x, y) {
    const ray = new THREE.Raycaster();
    ray.setFromCamera(new THREE.Vector2(x, y), this.camera);
    const [hit] = ray.intersectObjects(this.meshes.filter((_, side) => this.shown[side]));
    if (!hit) return -1;
    const at = hit.object.geometry.attributes.position;
    const corners = [hit.face.a, hit.face.b, hit.face.c];
    const apart = corners.map((i) => new THREE.Vector3().fromBufferAttribute(at, i).distanceTo(hit.point));
    const vertex = corners[apart.indexOf(Math.min(...apart))];
    return this.cells[vertex + this.meshes.indexOf(hit.object) * this.surface.n];
  }

  /** Where a vertex is on the canvas, in CSS pixels. */
  onCanvas(vertex) {
    const p = this.place(vertex).project(this.camera);
    const { clientWidth: w, clientHeight: h } = this.stage;
    return { x: ((p.x + 1) / 2) * w, y: ((1 - p.y) / 2) * h };
  }

  pick(onPick) {
    let down = null;
    this.canvas.addEventListener("pointerdown", (e) => {
      this.canvas.focus({ preventScroll: true });
      down = [e.clientX, e.clientY];
    });
    this.canvas.addEventListener("pointerup", (e) => {
      if (!down || Math.hypot(e.clientX - down[0], e.clientY - down[1]) > 5) return;
      const box = this.canvas.getBoundingClientRect();
      const x = (2 * (e.clientX - box.left)) / box.width - 1;
      const region = this.regionAt(x, 1 - (2 * (e.clientY - box.top)) / box.height);
      if (region >= 0) onPick(region);
    });
  }
}

/** Picture of a mark: white on black, so that it shows on any colour. */
function badge(label, cross) {
  const size = 128;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  pen.lineCap = "round";
  for (const [colour, width] of [["#000", 16], ["#fff", 7]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    if (cross) {
      pen.moveTo(46, 46);
      pen.lineTo(82, 82);
      pen.moveTo(82, 46);
      pen.lineTo(46, 82);
    } else pen.arc(64, 64, 22, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.font = "700 40px system-ui, sans-serif";
  pen.lineWidth = 11;
  pen.lineJoin = "round";
  pen.strokeStyle = "#000";
  pen.strokeText(label, 88, 46);
  pen.fillStyle = "#fff";
  pen.fillText(label, 88, 46);
  return new THREE.CanvasTexture(canvas);
}
