// One map of cells: picture, axes, sliders for the measures that are not shown, pointer and keyboard.

class CellMap {
  // data: one of the page's maps; chosen(map, cell) is called for what is clicked, read(map, cell) for what is pointed at.
  constructor(data, number, scale, { chosen, read }) {
    Object.assign(this, { data, number, scale, chosen, read });
    this.values = data.final;
    this.slice = {
      x: 0, y: data.axes.length > 1 ? 1 : null,
      at: data.axes.map((axis) => (axis.low + axis.high) / 2),
    };
    this.pointed = -1;
    this.marks = []; // {cell, label, active} of viewers
    this.element = this.build();
    this.canvas = this.element.querySelector("canvas");
    this.listen();
  }

  build() {
    const figure = make("figure", { class: "map" });
    const title = make("figcaption", {}, this.data.name);
    this.selectors = make("div", { class: "axes" });
    const canvas = make("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "map of cells", "aria-label": this.label(),
      "aria-describedby": "keys",
    });
    this.yName = make("span", { class: "y-name" });
    this.yEnds = make("span", { class: "y-ends" }, make("span"), make("span"));
    this.xEnds = make("span", { class: "x-ends" }, make("span"), make("span", { class: "x-name" }), make("span"));
    const frame = make("div", { class: `frame${this.slice.y === null ? " single" : ""}` },
      this.yName, this.yEnds, canvas, this.xEnds);
    this.sliders = make("div", { class: "sliders" });
    figure.append(title, this.selectors, frame, this.sliders);
    if (this.data.axes.length > 2) this.buildSelectors();
    return figure;
  }

  label() {
    const { axes, points, name, cells, tessellation } = this.data, count = points.cell.length;
    const what = tessellation.kind === "points" ? `${count} ${this.data.noun}s` : `${count} elites of ${cells} cells`;
    return `${name}: ${what}, by ${axes.map((axis) => axis.name).join(", ")}`;
  }

  buildSelectors() {
    for (const side of ["x", "y"]) {
      const select = make("select", { "aria-label": `${side} axis of ${this.data.name}` });
      this.data.axes.forEach((axis, m) => select.append(make("option", { value: m }, axis.name)));
      select.value = this.slice[side];
      select.addEventListener("change", () => {
        const other = side === "x" ? "y" : "x", before = this.slice[side];
        this.slice[side] = Number(select.value);
        if (this.slice[other] === this.slice[side]) this.slice[other] = before;
        for (const [k, each] of [...this.selectors.querySelectorAll("select")].entries()) {
          each.value = this.slice["xy"[k]];
        }
        this.refresh();
      });
      this.selectors.append(make("label", {}, side === "x" ? "across" : "up", select));
    }
  }

  // Show another slice: what is where is found anew.
  refresh() {
    const { axes } = this.data, { x, y } = this.slice;
    const others = this.data.tessellation.kind === "points" ? [] : [...axes.keys()].filter((m) => m !== x && m !== y);
    this.sliders.replaceChildren(...others.map((m) => this.slider(axes[m], m)));
    const ends = (element, axis) => {
      element.firstChild.textContent = short(axis.low);
      element.lastChild.textContent = short(axis.high);
    };
    ends(this.xEnds, axes[x]);
    this.xEnds.querySelector(".x-name").textContent = axes[x].name;
    this.yName.textContent = y === null ? "" : axes[y].name;
    if (y !== null) ends(this.yEnds, axes[y]);
    this.resize(true);
  }

  slider(axis, m) {
    const { kind, dims } = this.data.tessellation, count = kind === "grid" ? dims[m] : 48;
    const size = (axis.high - axis.low) / count, output = make("output");
    const input = make("input", {
      type: "range", min: 0, max: count - 1, step: 1, "aria-label": `${axis.name} of ${this.data.name}`,
      value: gridIndex(axis, count, this.slice.at[m]),
    });
    const tell = () => {
      output.textContent = short(this.slice.at[m]);
      input.setAttribute("aria-valuetext", short(this.slice.at[m]));
    };
    tell();
    input.addEventListener("input", () => {
      this.slice.at[m] = axis.low + (Number(input.value) + 0.5) * size;
      tell();
      this.resize(true);
    });
    return make("label", {}, axis.name, input, output);
  }

  // Show the slice in which a cell lies.
  reveal(cell) {
    if (this.middles.has(cell) || this.data.tessellation.kind === "points") return;
    this.slice.at = placeIn(this.data, cell);
    this.refresh();
  }

  resize(anew = false) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), box = this.canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
    if (!anew && width === this.canvas.width && height === this.canvas.height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.ratio = ratio;
    this.ids = raster(this.data, this.slice, width, height);
    this.middles = middles(this.ids, width);
    this.draw();
  }

  // Say what a cell holds, at the moment that the map shows.
  describe(cell) {
    return this.data.describe(cell, this.values[cell]);
  }

  draw() {
    if (!this.ids) return;
    const { width, height } = this.canvas, context = this.canvas.getContext("2d");
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer), ids = this.ids;
    const pack = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r;
    const style = (name) => pack(styleColour(name).map((value) => Math.round(255 * value)));
    const empty = style("--empty"), border = style("--map-border"), outside = style("--empty"), colours = new Map();
    const fill = (cell) => {
      if (cell < 0) return outside;
      if (!colours.has(cell)) {
        const value = this.values[cell];
        colours.set(cell, Number.isNaN(value) ? empty : pack(this.scale.colour(value)));
      }
      return colours.get(cell);
    };
    const fine = this.middles.size && (width * height) / this.middles.size > 60 * this.ratio ** 2;
    for (let i = 0; i < ids.length; i++) {
      const edge = fine && ((i + 1) % width && ids[i] !== ids[i + 1] || i + width < ids.length && ids[i] !== ids[i + width]);
      pixels[i] = edge ? border : fill(ids[i]);
    }
    if (this.pointed >= 0) this.outline(pixels, this.pointed, style("--text"), 0, 1.5);
    for (const mark of this.marks) {
      this.outline(pixels, mark.cell, style("--ring"), 0, mark.active ? 3 : 2);
      this.outline(pixels, mark.cell, style("--ring-edge"), mark.active ? 3 : 2, mark.active ? 4.5 : 3);
    }
    context.putImageData(image, 0, 0);
    context.font = `bold ${11 * this.ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const mark of this.marks) this.letter(context, mark);
  }

  letter(context, mark) {
    const middle = this.middles.get(mark.cell);
    if (!middle) return;
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ring-edge");
    context.beginPath();
    context.arc(middle[0], middle[1], 8 * this.ratio, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ring");
    context.fillText(mark.label, middle[0], middle[1] + this.ratio / 2);
  }

  // Paint what lies between two distances from a cell's edge, inside it.
  outline(pixels, cell, colour, from, to) {
    const { width, height } = this.canvas, ids = this.ids, near = Math.round(from * this.ratio);
    const far = Math.max(near + 1, Math.round(to * this.ratio));
    const leaves = (x, y, reach) => {
      for (const [dx, dy] of [[reach, 0], [-reach, 0], [0, reach], [0, -reach]]) {
        const u = x + dx, v = y + dy;
        if (u < 0 || v < 0 || u >= width || v >= height || ids[v * width + u] !== cell) return true;
      }
      return false;
    };
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] !== cell) continue;
      const x = i % width, y = Math.floor(i / width);
      if (leaves(x, y, far) && !(near && leaves(x, y, near))) pixels[i] = colour;
    }
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) * this.ratio), y = Math.floor((event.clientY - box.top) * this.ratio);
    return x < 0 || y < 0 || x >= this.canvas.width || y >= this.canvas.height ? -1 : this.ids[y * this.canvas.width + x];
  }

  point(cell) {
    if (cell === this.pointed) return;
    this.pointed = cell;
    this.read(this, cell);
    this.draw();
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => this.point(this.at(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(-1));
    this.canvas.addEventListener("click", (event) => this.chosen(this, this.at(event)));
    this.canvas.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const way = ways[event.key], here = this.marks.find((mark) => mark.active) || this.marks[0];
      if (way) {
        const next = neighbour(this.middles, here ? here.cell : -1, (cell) => this.data.index.has(cell), way);
        if (next !== null) this.chosen(this, next);
      } else if (event.key === "Home") this.chosen(this, this.data.best);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.ids && this.resize()).observe(this.canvas);
  }
}
