// A map as the page holds it: typed arrays of what views/archives.py wrote, and words for each cell.

// lone: whether there is no other map to tell it from.
function readMap(map, valueName, lone) {
  const { points, tessellation } = map;
  const names = ["cell", "value", "measures", "evaluations", "spread"];
  const [cell, value, measures, evaluations, spread] = names.map((name) => readArray(points[name]));
  const index = new Map(Array.from(cell, (each, n) => [each, n])), final = new Float32Array(map.cells).fill(NaN);
  let best = cell.length ? cell[0] : -1;
  cell.forEach((each, n) => {
    final[each] = value[n];
    if (value[n] > value[index.get(best)]) best = each;
  });
  const history = map.history.map(({ at, values }) => ({ at, values: readArray(values) }));
  const read = {
    ...map, lone, points: { cell, value, measures, evaluations, spread }, index, final, best, history,
    tessellation: tessellation.kind === "cvt"
      ? { ...tessellation, centroids: readArray(tessellation.centroids) } : tessellation,
  };
  read.describe = (chosen, shown = final[chosen]) => describe(read, valueName, chosen, shown);
  return read;
}

// Say what a cell holds: its value, where it lies, and what its elite did when it was recorded.
// shown: the value at the moment that the map shows.
function describe(map, valueName, cell, shown) {
  const n = map.index.get(cell), title = `${map.lone ? "" : `${map.name}, `}${map.noun} ${cell}`;
  if (n === undefined) {
    return { caption: Number.isNaN(shown) ? `${title}: empty` : `${title}: ${valueName} ${short(shown)}, left since`, at: "", note: "" };
  }
  const { measures, evaluations, spread } = map.points, dims = map.axes.length, motion = map.motions[n];
  const told = (values) => map.axes.map((axis, m) => `${axis.name} ${short(values[m])}`).join(", ");
  const std = Number.isFinite(spread[n]) ? ` ± ${short(spread[n])}` : "";
  const times = `${short(evaluations[n])} evaluation${evaluations[n] === 1 ? "" : "s"}`;
  if (map.tessellation.kind === "points") {
    return { caption: `${title}: ${valueName} ${short(shown)}`, at: told(measures.slice(n * dims, n * dims + dims)), note: "" };
  }
  const played = motion.measures.length ? `; as played: ${valueName} ${short(motion.total)}, ${told(motion.measures)}` : "";
  let caption = `${title}: ${valueName} ${short(map.final[cell])}${std}`;
  if (Number.isNaN(shown)) caption = `${title}: empty then; now ${valueName} ${short(map.final[cell])}`;
  else if (shown !== map.final[cell]) caption = `${title}: ${valueName} ${short(shown)} then, now ${short(map.final[cell])}`;
  return { caption, at: told(measures.slice(n * dims, n * dims + dims)), note: times + played };
}
