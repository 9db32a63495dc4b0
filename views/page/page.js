// The page: what it holds, who is asked what, and the clock.

const LETTERS = ["A", "B", "C", "D"];
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];

class Page {
  static open() {
    const data = JSON.parse(document.getElementById("data").textContent), meshes = {};
    for (const [number, mesh] of Object.entries(data.model.meshes)) {
      meshes[number] = meshShape(readArray(mesh.vertices), readArray(mesh.faces));
    }
    return new Page(data, data.maps.map((map) => readMap(map, data.value, data.maps.length === 1)), meshes);
  }

  constructor(data, maps, meshes) {
    Object.assign(this, { data, time: 0, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches });
    Object.assign(this, { speed: 1, loop: true, follow: true, viewers: [], active: null, dirty: true });
    this.scene = this.makeScene(data.model, meshes, maps);
    const all = maps.flatMap((map) => [...map.final, ...map.history.flatMap((moment) => [...moment.values])]);
    const finite = all.filter(Number.isFinite);
    this.scale = new Scale(finite.reduce((a, b) => Math.min(a, b), Infinity), finite.reduce((a, b) => Math.max(a, b), -Infinity));
    const asked = { chosen: (map, cell) => this.choose(map, cell), read: (map, cell) => this.read(map, cell) };
    this.maps = maps.map((map, number) => new CellMap(map, number, this.scale, asked));
    this.byId = (id) => document.getElementById(id);
    this.byId("maps").append(...this.maps.map((map) => map.element));
    this.byId("maps").dataset.count = this.maps.length;
    this.setLook();
    this.wire();
    for (const map of this.maps) map.refresh();
    this.showLegend();
    this.showStatistics();
  }

  makeScene(model, meshes, maps) {
    const first = maps[0].motions[0], start = new Float64Array(model.coordinates);
    for (const body of model.bodies) {
      for (const joint of body.joints) {
        if (joint.kind === "hinge" || joint.kind === "slide") start[joint.address] = joint.reference;
      }
    }
    return { model, meshes, start, first, camera: null, centre: model.view.centre, cell: 1 };
  }

  // Look from where all of the body is in the picture, as it starts or, if it is not followed, wherever it goes.
  aim() {
    const { scene } = this, { model, first } = scene;
    if (first) {
      first.values ||= readPacked(first);
      scene.start = first.values.slice(0, model.coordinates);
    }
    const pose = forward(model, scene.start, first ? first.places : {});
    const followed = model.view.follow;
    if (followed !== null) scene.centre = pose.positions[followed];
    const poses = followed === null && first ? this.glimpses() : [pose];
    const most = Math.max(...poses.map((each) => reach(model, each, scene.centre)));
    const distance = (1.15 * most) / Math.tan(FIELD / 2);
    scene.camera = new Camera(model.view.direction, distance);
    scene.cell = gridStep(distance);
  }

  // Poses of some motions at some times.
  glimpses() {
    const { model } = this.scene, motions = this.maps[0].data.motions, poses = [];
    for (let n = 0; n < motions.length; n += Math.ceil(motions.length / 8)) {
      motions[n].values ||= readPacked(motions[n]);
      const { rows, seconds, places } = motions[n];
      for (let k = 0; k < 6; k++) {
        poses.push(forward(model, interpolate(motions[n], model.coordinates, (k / 5) * rows * seconds), places));
      }
    }
    return poses;
  }

  start() {
    this.aim();
    this.addViewer();
    this.choose(this.maps[0], this.maps[0].data.best);
    if (this.maps.length > 1) {
      this.addViewer();
      this.choose(this.maps[1], this.maps[1].data.best);
    }
    this.advance(0);
    const tick = (now) => {
      this.advance((now - (this.before || now)) / 1000);
      this.before = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  addViewer() {
    const letter = LETTERS.find((each) => !this.viewers.some((viewer) => viewer.letter === each));
    const changed = () => (this.dirty = true);
    const viewer = new Viewer(this.scene, letter, {
      activate: (each) => this.activate(each), close: (each) => this.closeViewer(each), changed,
    });
    this.viewers.push(viewer);
    this.byId("viewers").append(viewer.element);
    this.activate(viewer);
    return viewer;
  }

  closeViewer(viewer) {
    viewer.renderer.gl.getExtension("WEBGL_lose_context")?.loseContext();
    viewer.element.remove();
    this.viewers = this.viewers.filter((each) => each !== viewer);
    this.activate(this.viewers.includes(this.active) ? this.active : this.viewers[0]);
    this.active.canvas.focus();
    this.say(`viewer ${viewer.letter} is closed`);
  }

  activate(viewer) {
    this.active = viewer;
    for (const each of this.viewers) each.element.classList.toggle("active", each === viewer && this.viewers.length > 1);
    for (const each of this.viewers) each.closer.hidden = this.viewers.length === 1;
    this.byId("viewers").dataset.count = this.viewers.length;
    this.byId("add").disabled = this.viewers.length === LETTERS.length;
    this.mark();
  }

  mark() {
    for (const map of this.maps) {
      map.marks = this.viewers.filter((viewer) => viewer.map === map)
        .map((viewer) => ({ cell: viewer.cell, label: viewer.letter, active: viewer === this.active }));
      map.draw();
    }
    this.dirty = true;
  }

  // Play a cell's motion in the active viewer.
  choose(map, cell) {
    if (cell < 0) return;
    const told = map.describe(cell);
    if (!map.data.index.has(cell)) return this.say(told.caption);
    const viewer = this.active;
    map.reveal(cell);
    viewer.show(map, cell);
    this.time = 0;
    if (this.ended) this.setPlaying(true);
    this.mark();
    this.say(`Viewer ${viewer.letter}: ${told.caption}, ${told.at}. ${told.note}`);
  }

  say(text) {
    this.byId("said").textContent = text;
  }

  // Tell what is under the pointer.
  read(map, cell) {
    const value = cell < 0 ? NaN : map.values[cell], told = cell < 0 ? null : map.describe(cell);
    this.byId("pointed").textContent = told ? told.caption + (told.at && `, ${told.at}`) : "";
    const marker = this.byId("marker");
    marker.hidden = Number.isNaN(value);
    if (!marker.hidden) marker.style.left = `${100 * Math.min(Math.max(this.scale.share(value), 0), 1)}%`;
  }

  get duration() {
    return Math.max(0, ...this.viewers.map((viewer) => viewer.duration));
  }

  advance(seconds) {
    const duration = this.duration;
    if (this.playing && duration > 0) {
      this.time += Math.min(seconds, 0.1) * this.speed;
      if (this.time >= duration) {
        this.time = this.loop ? this.time % duration : duration;
        if (!this.loop) {
          this.setPlaying(false);
          this.ended = true; // nobody asked for this pause: what is chosen next plays
        }
      }
      this.dirty = true;
    }
    if (!this.dirty) return;
    this.dirty = false;
    for (const viewer of this.viewers) viewer.draw(this.time, this.look, this.follow);
    const slider = this.byId("time");
    slider.max = duration;
    slider.value = this.time;
    const text = `${this.time.toFixed(1)} of ${duration.toFixed(1)} s`;
    this.byId("clock").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  setPlaying(playing) {
    this.playing = playing;
    this.ended = false;
    const control = this.byId("play");
    control.textContent = playing ? "❚❚" : "▶";
    control.setAttribute("aria-label", playing ? "Pause" : "Play");
  }
}
