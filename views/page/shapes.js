// Shapes as triangles, at size 1: a vertex is [x, y, z, normal x, y, z, cap], cap moving it along z by half a capsule.

function sphereShape(capped) {
  const vertices = [], faces = [], around = 24, along = 16, rows = [];
  for (let i = 0; i <= along; i++) rows.push([(i / along) * Math.PI, i < along / 2 ? 1 : -1]);
  if (capped) rows.splice(along / 2, 1, [Math.PI / 2, 1], [Math.PI / 2, -1]); // the cylinder between two halves
  for (const [polar, cap] of rows) {
    for (let j = 0; j <= around; j++) {
      const turn = (j / around) * 2 * Math.PI;
      const p = [Math.sin(polar) * Math.cos(turn), Math.sin(polar) * Math.sin(turn), Math.cos(polar)];
      vertices.push(...p, ...p, capped ? cap : 0);
    }
  }
  strips(faces, rows.length, around + 1);
  return { vertices, faces };
}

function strips(faces, rows, columns) {
  for (let i = 0; i + 1 < rows; i++) {
    for (let j = 0; j + 1 < columns; j++) {
      const a = i * columns + j, b = a + columns;
      faces.push(a, b, a + 1, a + 1, b, b + 1);
    }
  }
}

function cylinderShape() {
  const vertices = [], faces = [], around = 32;
  for (const [z, normal] of [[1, 1], [1, 0], [-1, 0], [-1, -1]]) {
    for (let j = 0; j <= around; j++) {
      const turn = (j / around) * 2 * Math.PI, x = Math.cos(turn), y = Math.sin(turn);
      vertices.push(x, y, z, normal ? 0 : x, normal ? 0 : y, normal, 0);
    }
  }
  for (const row of [1]) {
    for (let j = 0; j < around; j++) {
      const a = row * (around + 1) + j, b = a + around + 1;
      faces.push(a, b, a + 1, a + 1, b, b + 1);
    }
  }
  for (const row of [0, 3]) {
    for (let j = 1; j + 1 < around; j++) {
      const first = row * (around + 1);
      faces.push(first, first + j, first + j + 1);
    }
  }
  return { vertices, faces };
}

function boxShape() {
  const vertices = [], faces = [];
  for (let axis = 0; axis < 3; axis++) {
    for (const side of [-1, 1]) {
      const first = vertices.length / 7, normal = [0, 0, 0];
      normal[axis] = side;
      for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
        const p = [0, 0, 0];
        p[axis] = side;
        p[(axis + 1) % 3] = u;
        p[(axis + 2) % 3] = v;
        vertices.push(...p, ...normal, 0);
      }
      faces.push(first, first + 1, first + 2, first, first + 2, first + 3);
    }
  }
  return { vertices, faces };
}

function planeShape() {
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  return { vertices: corners.flatMap(([x, y]) => [x, y, 0, 0, 0, 1, 0]), faces: [0, 1, 2, 0, 2, 3] };
}

// Triangles with a normal each, of vertices [x, y, z, ...] and faces [a, b, c, ...].
function meshShape(points, triangles) {
  const vertices = [], faces = [];
  for (let i = 0; i < triangles.length; i += 3) {
    const [a, b, c] = [0, 1, 2].map((k) => points.slice(3 * triangles[i + k], 3 * triangles[i + k] + 3));
    const u = [b[0] - a[0], b[1] - a[1], b[2] - a[2]], v = [c[0] - a[0], c[1] - a[1], c[2] - a[2]];
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const length = Math.hypot(...n) || 1;
    for (const p of [a, b, c]) vertices.push(...p, n[0] / length, n[1] / length, n[2] / length, 0);
    faces.push(i, i + 1, i + 2);
  }
  return { vertices, faces };
}

function unitShapes() {
  return {
    sphere: sphereShape(false), ellipsoid: sphereShape(false), capsule: sphereShape(true),
    cylinder: cylinderShape(), box: boxShape(), plane: planeShape(),
  };
}

// What a shape's size means: scale of the unit shape along x, y, z, and half the length of a capsule.
function scaleOf(geom, far) {
  const [a, b, c] = geom.size;
  switch (geom.shape) {
    case "sphere": return { scale: [a, a, a], half: 0 };
    case "capsule": return { scale: [a, a, a], half: b };
    case "cylinder": return { scale: [a, a, b], half: 0 };
    case "plane": return { scale: [a || far, b || far, 1], half: 0 };
    case "mesh": return { scale: [1, 1, 1], half: 0 };
    default: return { scale: [a, b, c], half: 0 };
  }
}
