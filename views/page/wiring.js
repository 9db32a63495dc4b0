// Controls, colours of the theme, history and statistics of the page.

Object.assign(Page.prototype, {
  wire() {
    const on = (id, event, act) => this.byId(id).addEventListener(event, act);
    this.setPlaying(this.playing);
    on("play", "click", () => this.toggle());
    on("time", "input", (event) => {
      this.time = Number(event.target.value);
      this.dirty = true;
    });
    this.byId("speed").append(...SPEEDS.map((each) => make("option", { value: each }, `${each}×`)));
    this.byId("speed").value = 1;
    on("speed", "change", (event) => (this.speed = Number(event.target.value)));
    on("loop", "change", (event) => (this.loop = event.target.checked));
    on("follow", "change", (event) => {
      this.follow = event.target.checked;
      this.dirty = true;
    });
    this.byId("follow").closest("label").hidden = this.data.model.view.follow === null;
    on("home", "click", () => {
      this.scene.camera.reset();
      this.dirty = true;
    });
    on("add", "click", () => {
      const viewer = this.addViewer();
      this.say(`viewer ${viewer.letter} is added; choose for it on the map`);
    });
    on("theme", "click", () => {
      document.documentElement.dataset.theme = this.dark() ? "light" : "dark";
      this.setLook();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.setLook());
    window.addEventListener("resize", () => (this.dirty = true));
    document.addEventListener("keydown", (event) => this.key(event));
    this.wireHistory();
  },

  key(event) {
    const busy = event.target.closest("button, select, input, summary") && event.key === " ";
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") this.toggle();
    else if (event.key === "," || event.key === ".") {
      this.setPlaying(false);
      const step = this.active.motion ? this.active.motion.seconds : 0;
      this.time = Math.min(Math.max(this.time + (event.key === "." ? step : -step), 0), this.duration);
      this.dirty = true;
    } else return;
    event.preventDefault();
  },

  toggle() {
    if (!this.playing && !this.loop && this.time >= this.duration) this.time = 0;
    this.setPlaying(!this.playing);
  },

  dark() {
    const set = document.documentElement.dataset.theme;
    return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },

  setLook() {
    const dark = this.dark();
    this.byId("theme").textContent = dark ? "Light" : "Dark";
    this.byId("theme").setAttribute("aria-label", `Change to ${dark ? "light" : "dark"} colours`);
    this.look = { background: styleColour("--sky"), floor: styleColour("--floor"), shadow: dark ? 0.45 : 0.22 };
    for (const map of this.maps) map.draw();
    this.dirty = true;
  },

  showLegend() {
    this.byId("scale").style.background = this.scale.gradient();
    this.byId("low").textContent = short(this.scale.low);
    this.byId("high").textContent = short(this.scale.high);
    this.byId("value-name").textContent = this.data.value;
  },

  wireHistory() {
    const length = Math.max(...this.maps.map((map) => map.data.history.length));
    this.byId("history-box").hidden = length === 0;
    if (length === 0) return;
    const slider = this.byId("history");
    slider.max = length;
    slider.value = length;
    slider.addEventListener("input", () => {
      clearInterval(this.filling);
      this.showMoment(Number(slider.value));
    });
    this.byId("fill").addEventListener("click", () => {
      clearInterval(this.filling);
      let moment = 0;
      this.filling = setInterval(() => {
        this.showMoment(++moment);
        if (moment >= length) clearInterval(this.filling);
      }, Math.max(60, 4000 / length));
    });
    this.showMoment(length);
  },

  // Show the archives as they were at a moment 1..length of their history; the last is what they are now.
  showMoment(moment) {
    const slider = this.byId("history"), length = Number(slider.max);
    slider.value = moment;
    const words = this.maps.filter((map) => map.data.history.length).map((map) => {
      const { history, final } = map.data, n = Math.min(Math.max(Math.round((moment / length) * history.length), 1), history.length);
      const { at, values } = history[n - 1];
      map.values = moment >= length ? final : values;
      map.draw();
      if (map.pointed >= 0) this.read(map, map.pointed);
      const filled = map.values.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0);
      return `${this.maps.length > 1 ? `${map.data.name}: ` : ""}${short(at)} solutions offered, ${filled} cells`;
    });
    this.byId("moment").textContent = words.join(" · ");
    slider.setAttribute("aria-valuetext", words.join("; "));
  },

  showStatistics() {
    const names = [...new Set(this.maps.flatMap((map) => Object.keys(map.data.curves)))];
    const several = this.maps.length > 1, charts = [], rows = [];
    for (const name of names) {
      const series = this.maps.filter((map) => map.data.curves[name] && map.data.curves[name].x.length)
        .map((map) => ({ number: map.number, name: several ? map.data.name : "", ...map.data.curves[name] }));
      if (!series.length) continue;
      charts.push(chart(name, series));
      rows.push([name, this.maps.map((map) => (map.data.curves[name] ? map.data.curves[name].y.at(-1) : NaN))]);
    }
    this.byId("curves").append(...charts);
    this.byId("statistics").hidden = charts.length === 0;
    this.byId("table").append(table(this.maps.map((map) => map.data.name), rows));
  },
});
