// A camera that orbits around what it follows, by mouse, touch and keys; the viewers of a page share one.

const FIELD = (40 * Math.PI) / 180;

class Camera {
  // direction: that the model's own camera looks in.
  constructor(direction, distance) {
    this.home = {
      azimuth: Math.hypot(direction[0], direction[1]) < 0.1 ? Math.PI / 2 : Math.atan2(direction[1], direction[0]),
      elevation: Math.min(Math.max(Math.asin(-direction[2]), 0.2), 1.3),
      distance,
    };
    this.reset();
  }

  reset() {
    Object.assign(this, this.home);
    this.shift = [0, 0];
  }

  turn(dx, dy) {
    this.azimuth -= dx * 0.008;
    this.elevation = Math.min(Math.max(this.elevation + dy * 0.008, 0.02), 1.55);
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, this.home.distance / 12), this.home.distance * 12);
  }

  // Move the target in the plane of the picture, by shares of the picture's height.
  pan(dx, dy) {
    const size = 2 * this.distance * Math.tan(FIELD / 2);
    this.shift[0] -= dx * size;
    this.shift[1] += dy * size;
  }

  view(followed, aspect, cell) {
    const ce = Math.cos(this.elevation), se = Math.sin(this.elevation);
    const ahead = [Math.cos(this.azimuth) * ce, Math.sin(this.azimuth) * ce, -se];
    const right = [Math.sin(this.azimuth), -Math.cos(this.azimuth), 0];
    const up = [Math.cos(this.azimuth) * se, Math.sin(this.azimuth) * se, ce];
    const target = add(add(followed, right, this.shift[0]), up, this.shift[1]);
    const distance = this.distance * Math.max(1, 1 / aspect);
    const eye = add(target, ahead, -distance);
    const near = distance / 50, far = distance * 60, f = 1 / Math.tan(FIELD / 2);
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const rows = [
      [right, f / aspect, 0], [up, f, 0],
      [ahead, (far + near) / (far - near), (-2 * far * near) / (far - near)], [ahead, 1, 0],
    ];
    const matrix = new Float32Array(16);
    rows.forEach(([axis, scale, offset], row) => {
      for (let k = 0; k < 3; k++) matrix[4 * k + row] = scale * axis[k];
      matrix[12 + row] = -scale * dot(axis, eye) + offset;
    });
    return { matrix, eye, target, distance: this.distance, cell };
  }
}

// Let pointers turn, zoom and move a camera over an element: one finger or the left button turns, two fingers zoom and
// move, the wheel zooms, Shift or the right button moves.
function control(element, camera, changed) {
  const pointers = new Map();
  const middle = () => {
    const all = [...pointers.values()];
    return [all.reduce((sum, p) => sum + p[0], 0) / all.length, all.reduce((sum, p) => sum + p[1], 0) / all.length];
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  element.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const centre = middle(), apart = pointers.size > 1 ? spread() : 0;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const after = middle(), dx = after[0] - centre[0], dy = after[1] - centre[1];
    if (pointers.size > 1) {
      camera.zoom(apart / Math.max(spread(), 1));
      camera.pan(dx / element.clientHeight, dy / element.clientHeight);
    } else if (event.shiftKey || event.buttons & 2) camera.pan(dx / element.clientHeight, dy / element.clientHeight);
    else camera.turn(dx, dy);
    changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    camera.zoom(Math.exp(event.deltaY * 0.0015));
    changed();
  }, { passive: false });
  element.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, 12], ArrowDown: [0, -12] };
    if (steps[event.key]) camera.turn(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") camera.zoom(1 / 1.15);
    else if (event.key === "-") camera.zoom(1.15);
    else if (event.key === "Home") camera.reset();
    else return;
    event.preventDefault();
    changed();
  });
}
