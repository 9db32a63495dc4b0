// One viewer: the motion of one cell, in 3-D.

class Viewer {
  // scene: {model, meshes, camera}; activate and close are called with this viewer.
  constructor(scene, letter, { activate, close, changed }) {
    Object.assign(this, { scene, letter, map: null, cell: -1, motion: null, pose: null, qpos: null });
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "3-D view", "aria-describedby": "view-keys" });
    this.caption = make("span", { class: "caption" });
    this.note = make("span", { class: "note" });
    this.closer = button("×", `Close viewer ${letter}`, () => close(this));
    const badge = make("span", { class: "badge", "aria-hidden": "true" }, letter);
    this.element = make("section", { class: "viewer", "aria-label": `Viewer ${letter}` },
      make("header", {}, badge, this.caption, this.closer), this.canvas, this.note);
    this.element.addEventListener("pointerdown", () => activate(this));
    this.canvas.addEventListener("focus", () => activate(this));
    this.renderer = new Renderer(this.canvas, scene.model, scene.meshes);
    control(this.canvas, scene.camera, changed);
    this.describe();
  }

  // Play the motion of a cell of a map.
  show(map, cell) {
    this.map = map;
    this.cell = cell;
    this.motion = map.data.motions[map.data.index.get(cell)];
    this.motion.values ||= readPacked(this.motion); // decoded once it is asked for
    this.describe();
  }

  describe() {
    if (this.map === null) {
      this.caption.textContent = "choose on the map";
      this.canvas.setAttribute("aria-label", `Viewer ${this.letter}: empty`);
      return;
    }
    const { caption, at, note } = this.map.data.describe(this.cell);
    this.caption.textContent = caption;
    this.note.textContent = note ? `${at}. ${note}` : at;
    this.canvas.setAttribute("aria-label", `Viewer ${this.letter}: ${caption}, ${at}`);
  }

  get duration() {
    return this.motion ? (this.motion.rows - 1) * this.motion.seconds : 0;
  }

  // Draw the pose at a time, in seconds; what is drawn stays to be looked at.
  draw(time, look, follow) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), box = this.canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const { model, camera, centre, cell } = this.scene;
    this.time = Math.min(time, this.duration);
    this.qpos = this.motion ? interpolate(this.motion, model.coordinates, this.time) : this.scene.start;
    this.places = this.motion ? this.motion.places : {};
    this.pose = forward(model, this.qpos, this.places);
    let target = centre;
    if (follow && model.view.follow !== null) {
      const [x, y, z] = this.pose.positions[model.view.follow], free = model.bodies[model.view.follow].joints[0];
      target = [x, y, free && free.kind === "free" ? z * 0.7 + centre[2] * 0.3 : centre[2]];
    }
    this.renderer.draw(this.pose, this.places, camera.view(target, width / height, cell), look);
  }
}

// How large what moves is, about a point: the farthest that its shapes reach in a pose.
function reach(model, pose, centre) {
  let most = 0.05;
  for (const geom of model.geoms) {
    if (geom.body === 0) continue;
    const at = add(pose.positions[geom.body], rotate(pose.quaternions[geom.body], geom.position));
    const size = geom.shape === "mesh" ? 0.05 : geom.shape === "capsule" ? geom.size[0] + geom.size[1] : Math.max(...geom.size);
    most = Math.max(most, Math.hypot(...add(at, centre, -1)) + size);
  }
  return most;
}

// A step of the floor's grid: 1, 2 or 5 times a power of ten.
function gridStep(distance) {
  const power = 10 ** Math.floor(Math.log10(distance / 4)), lead = distance / 4 / power;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}
