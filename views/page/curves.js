// Curves of statistics, as one small picture each, with the value under the pointer.

const SIZE = { width: 320, height: 150, left: 46, right: 10, top: 8, bottom: 22 };

// series: [{name, x, y}], of finite numbers.
function chart(title, series) {
  const xs = series.flatMap((line) => line.x), ys = series.flatMap((line) => line.y);
  const [x0, x1] = [Math.min(0, ...xs), Math.max(...xs)], low = Math.min(...ys), high = Math.max(...ys);
  const pad = (high - low || Math.abs(high) || 1) * 0.06, [y0, y1] = [low - pad, high + pad];
  const { width, height, left, right, top, bottom } = SIZE;
  const px = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
  const py = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const last = series.map((line) => `${line.name} ${short(line.y[line.y.length - 1])}`).join(", ");
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}; at the end: ${last}` });
  for (const y of [low, high]) {
    svg.append(drawn("line", { class: "rule", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
    svg.append(drawn("text", { x: left - 5, y: py(y) + 4, "text-anchor": "end" }, short(y)));
    if (low === high) break;
  }
  svg.append(drawn("text", { x: left, y: height - 6 }, short(x0)));
  svg.append(drawn("text", { x: width - right, y: height - 6, "text-anchor": "end" }, short(x1)));
  series.forEach((line, n) => {
    const points = line.x.map((x, i) => `${px(x).toFixed(1)},${py(line.y[i]).toFixed(1)}`).join(" ");
    svg.append(drawn("polyline", { class: `line line-${n}`, points }));
    if (line.x.length === 1) svg.append(drawn("circle", { class: `dot line-${n}`, cx: px(line.x[0]), cy: py(line.y[0]), r: 3 }));
  });
  const cursor = drawn("line", { class: "cursor", y1: top, y2: height - bottom, x1: -9, x2: -9 });
  svg.append(cursor);
  const value = make("span", { class: "value" }, last);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = x0 + (((event.clientX - box.left) / box.width * width - left) / (width - left - right)) * (x1 - x0);
    const near = series.map((line) => line.x.reduce((best, each, i) => (Math.abs(each - x) < Math.abs(line.x[best] - x) ? i : best), 0));
    value.textContent = `${short(series[0].x[near[0]])}: ` + series.map((line, n) => `${line.name} ${short(line.y[near[n]])}`).join(", ");
    cursor.setAttribute("x1", px(series[0].x[near[0]]));
    cursor.setAttribute("x2", px(series[0].x[near[0]]));
  });
  svg.addEventListener("pointerleave", () => {
    value.textContent = last;
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
  });
  return make("figure", { class: "chart" }, make("figcaption", {}, make("strong", {}, title), value), svg);
}

// The same numbers for those who read: the end of each curve, a column for each map.
function table(titles, rows) {
  const head = make("tr", {}, make("th", { scope: "col" }, "at the end"), ...titles.map((each) => make("th", { scope: "col" }, each)));
  const body = rows.map(([name, values]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, short(value)))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
