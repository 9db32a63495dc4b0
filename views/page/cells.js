// Where cells lie: which one each pixel of a map shows. Grids, Voronoi cells of centroids, or points with a motion each.

// slice: {x, y: numbers of measures, y null where there is one measure; at: a value for each other measure}.
// Returns an Int32Array, one number a pixel from the top left, -1 for none.
function raster(map, slice, width, height) {
  const kind = map.tessellation.kind;
  return (kind === "grid" ? gridRaster : kind === "cvt" ? voronoiRaster : pointRaster)(map, slice, width, height);
}

function gridRaster(map, slice, width, height) {
  const dims = map.tessellation.dims, strides = stridesOf(dims);
  const ids = new Int32Array(width * height);
  let first = 0;
  dims.forEach((count, m) => {
    if (m !== slice.x && m !== slice.y) first += gridIndex(map.axes[m], count, slice.at[m]) * strides[m];
  });
  for (let row = 0; row < height; row++) {
    const y = slice.y === null ? 0 : Math.floor((1 - (row + 0.5) / height) * dims[slice.y]) * strides[slice.y];
    for (let column = 0; column < width; column++) {
      ids[row * width + column] = first + y + Math.floor(((column + 0.5) / width) * dims[slice.x]) * strides[slice.x];
    }
  }
  return ids;
}

// How far the numbers of neighbouring cells lie apart, along each measure: the last one changes fastest.
function stridesOf(dims) {
  return dims.map((_, m) => dims.slice(m + 1).reduce((a, b) => a * b, 1));
}

function gridIndex(axis, count, value) {
  return Math.min(Math.max(Math.floor(((value - axis.low) / (axis.high - axis.low)) * count), 0), count - 1);
}

// In each row of pixels the nearest centroid is the lower envelope of parabolas (Felzenszwalb and Huttenlocher, 2012).
// Distances count in the tessellation's units, one for each measure.
function voronoiRaster(map, slice, width, height) {
  const { centroids, units } = map.tessellation, dims = map.axes.length, count = centroids.length / dims;
  const place = (c, m) => centroids[c * dims + m] / units[m];
  const order = [...Array(count).keys()].sort((a, b) => place(a, slice.x) - place(b, slice.x));
  const along = order.map((c) => place(c, slice.x));
  const rest = order.map((c) => {
    let sum = 0;
    for (let m = 0; m < dims; m++) {
      if (m !== slice.x && m !== slice.y) sum += (place(c, m) - slice.at[m] / units[m]) ** 2;
    }
    return sum;
  });
  const ids = new Int32Array(width * height), axis = map.axes[slice.x];
  const hull = new Int32Array(count), starts = new Float64Array(count), offsets = new Float64Array(count);
  for (let row = 0; row < (slice.y === null ? 1 : height); row++) {
    const y = slice.y === null ? 0 : valueAt(map.axes[slice.y], 1 - (row + 0.5) / height) / units[slice.y];
    for (let i = 0; i < count; i++) {
      offsets[i] = rest[i] + (slice.y === null ? 0 : (place(order[i], slice.y) - y) ** 2);
    }
    const last = envelope(along, offsets, hull, starts);
    for (let column = 0, k = 0; column < width; column++) {
      const x = valueAt(axis, (column + 0.5) / width) / units[slice.x];
      while (k < last && starts[k + 1] <= x) k++;
      ids[row * width + column] = order[hull[k]];
    }
  }
  if (slice.y === null) for (let row = 1; row < height; row++) ids.copyWithin(row * width, 0, width);
  return ids;
}

// Parabolas (x - along[i])^2 + offsets[i], along ascending: which are lowest somewhere, and from where on.
function envelope(along, offsets, hull, starts) {
  let last = -1;
  for (let i = 0; i < along.length; i++) {
    let from = -Infinity;
    while (last >= 0) {
      const j = hull[last], apart = along[i] - along[j];
      if (apart === 0) {
        if (offsets[i] >= offsets[j]) { from = Infinity; break; }
      } else {
        from = (along[i] + along[j]) / 2 + (offsets[i] - offsets[j]) / (2 * apart);
        if (from > starts[last]) break;
      }
      from = -Infinity;
      last--;
    }
    if (from === Infinity) continue;
    hull[++last] = i;
    starts[last] = from;
  }
  return last;
}

// Discs around points, the nearest on top.
function pointRaster(map, slice, width, height) {
  const ids = new Int32Array(width * height).fill(-1), nearest = new Float32Array(width * height).fill(Infinity);
  const { measures, cell } = map.points, dims = map.axes.length, radius = Math.max(5, width / 90);
  for (let n = 0; n < cell.length; n++) {
    const x = shareOf(map.axes[slice.x], measures[n * dims + slice.x]) * width;
    const y = (slice.y === null ? 0.5 : 1 - shareOf(map.axes[slice.y], measures[n * dims + slice.y])) * height;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(width - 1, x + radius); column++) {
        const distance = (column - x) ** 2 + (row - y) ** 2, i = row * width + column;
        if (distance <= radius * radius && distance < nearest[i]) {
          nearest[i] = distance;
          ids[i] = cell[n];
        }
      }
    }
  }
  return ids;
}

function valueAt(axis, share) {
  return axis.low + share * (axis.high - axis.low);
}

function shareOf(axis, value) {
  return (value - axis.low) / (axis.high - axis.low);
}

// A place in a cell of a grid or of a centroid, in measures: not its elite's, which may lie on the cell's edge.
function placeIn(map, cell) {
  const { kind, dims, centroids } = map.tessellation, count = map.axes.length;
  if (kind === "cvt") return Array.from(centroids.slice(cell * count, cell * count + count));
  const strides = stridesOf(dims);
  return map.axes.map((axis, m) => valueAt(axis, (Math.floor(cell / strides[m]) % dims[m] + 0.5) / dims[m]));
}

// The middle of what each cell shows, in pixels: {cell: [x, y, pixels]}.
function middles(ids, width) {
  const found = new Map();
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] < 0) continue;
    const sum = found.get(ids[i]) || [0, 0, 0];
    sum[0] += i % width;
    sum[1] += Math.floor(i / width);
    sum[2]++;
    found.set(ids[i], sum);
  }
  for (const sum of found.values()) {
    sum[0] /= sum[2];
    sum[1] /= sum[2];
  }
  return found;
}

// The next of some cells in a direction [dx, dy]: near, and not far off the direction. Null at the edge.
function neighbour(found, from, allowed, [dx, dy]) {
  const start = found.get(from);
  let best = null, least = Infinity;
  for (const [cell, [x, y]] of found) {
    if (cell === from || !allowed(cell)) continue;
    const ahead = start ? (x - start[0]) * dx + (y - start[1]) * dy : 1;
    const aside = start ? Math.abs((x - start[0]) * dy) + Math.abs((y - start[1]) * dx) : 0;
    const cost = ahead + 2 * aside;
    if (ahead > 0.5 && aside <= ahead * 1.01 && cost < least) [best, least] = [cell, cost];
  }
  return best;
}
