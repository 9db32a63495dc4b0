// Curves of statistics, as one small picture each, with the values under the pointer.

const SIZE = { width: 320, height: 150, left: 46, right: 10, top: 8, bottom: 22 };
const AGAINST = "environment steps";

// series: [{number, name, x, y}], of finite numbers: the map's number, and its name where there are several.
function chart(title, series) {
  const xs = series.flatMap((line) => line.x), ys = series.flatMap((line) => line.y);
  const [x0, x1] = [Math.min(0, ...xs), Math.max(...xs)], low = Math.min(...ys), high = Math.max(...ys);
  const pad = (high - low || Math.abs(high) || 1) * 0.06, [y0, y1] = [low - pad, high + pad];
  const { width, height, left, right, top, bottom } = SIZE;
  const px = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
  const py = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const words = (line, at) => `${line.name} ${short(line.y.at(at))}`;
  const label = `${title} against ${AGAINST}; at the end: ${series.map((line) => words(line, -1)).join(", ")}`;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const y of [low, high]) {
    svg.append(drawn("line", { class: "rule", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
    svg.append(drawn("text", { x: left - 5, y: py(y) + 4, "text-anchor": "end" }, short(y)));
    if (low === high) break;
  }
  svg.append(drawn("text", { x: left, y: height - 6 }, short(x0)));
  const axis = drawn("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, AGAINST);
  svg.append(axis, drawn("text", { x: width - right, y: height - 6, "text-anchor": "end" }, short(x1)));
  for (const line of series) {
    const look = `line line-${line.number}`;
    const points = line.x.map((x, i) => `${px(x).toFixed(1)},${py(line.y[i]).toFixed(1)}`).join(" ");
    svg.append(drawn("polyline", { class: look, points }));
    if (line.x.length === 1) svg.append(drawn("circle", { class: look, cx: px(line.x[0]), cy: py(line.y[0]), r: 4 }));
  }
  const cursor = drawn("line", { class: "cursor", y1: top, y2: height - bottom, x1: -9, x2: -9 });
  svg.append(cursor);
  const value = make("span", { class: "value" });
  const tell = (at) => value.replaceChildren(...series.flatMap((line, n) => [
    n ? ", " : "", make("span", { class: "told" }, ...(line.name ? [key(line.number)] : []), words(line, at[n])),
  ]));
  const last = series.map(() => -1);
  tell(last);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = x0 + (((event.clientX - box.left) / box.width * width - left) / (width - left - right)) * (x1 - x0);
    const near = series.map((line) => line.x.reduce((best, each, i) => (Math.abs(each - x) < Math.abs(line.x[best] - x) ? i : best), 0));
    tell(near);
    axis.textContent = `${short(series[0].x[near[0]])} steps`; // here, as another line above would push the chart down
    cursor.setAttribute("x1", px(series[0].x[near[0]]));
    cursor.setAttribute("x2", px(series[0].x[near[0]]));
  });
  svg.addEventListener("pointerleave", () => {
    tell(last);
    axis.textContent = AGAINST;
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
  });
  return make("figure", { class: "chart" }, make("figcaption", {}, make("strong", {}, title), value), svg);
}

// How the lines of a map are drawn.
function key(number) {
  return drawn("svg", { class: "key", viewBox: "0 0 24 4", "aria-hidden": "true" },
    drawn("line", { class: `line line-${number}`, x1: 0, x2: 24, y1: 2, y2: 2 }));
}

// The same numbers for those who read: the end of each curve, a column for each map.
function table(titles, rows) {
  const head = make("tr", {}, make("th", { scope: "col" }, "at the end"), ...titles.map((each) => make("th", { scope: "col" }, each)));
  const body = rows.map(([name, values]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, short(value)))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
