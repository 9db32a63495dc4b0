// Forward kinematics as MuJoCo's mj_kinematics: generalised coordinates to the poses of bodies. Quaternions are w, x, y, z.

function multiply(a, b) {
  return [
    a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
    a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
    a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
    a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
  ];
}

function normalised(q) {
  const length = Math.hypot(...q);
  return length > 1e-12 ? q.map((value) => value / length) : [1, 0, 0, 0];
}

function rotate(q, v) {
  const [w, x, y, z] = q;
  const a = 2 * (y * v[2] - z * v[1]), b = 2 * (z * v[0] - x * v[2]), c = 2 * (x * v[1] - y * v[0]);
  return [v[0] + w * a + y * c - z * b, v[1] + w * b + z * a - x * c, v[2] + w * c + x * b - y * a];
}

function add(a, b, scale = 1) {
  return [a[0] + scale * b[0], a[1] + scale * b[1], a[2] + scale * b[2]];
}

function turned(axis, angle) {
  const s = Math.sin(angle / 2);
  return [Math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s];
}

// Where a body or a shape sits in its parent: the model's place, unless this episode had its own.
function placeOf(places, table, number, fallback) {
  const own = places && places[table] && places[table][number];
  return own || fallback;
}

// Poses of all bodies in the world: {positions: [[x, y, z], ...], quaternions: [[w, x, y, z], ...]}.
function forward(model, qpos, places) {
  const positions = [[0, 0, 0]], quaternions = [[1, 0, 0, 0]];
  for (let n = 1; n < model.bodies.length; n++) {
    const body = model.bodies[n], free = body.joints.find((joint) => joint.kind === "free");
    let position, quaternion;
    if (free) {
      position = Array.from(qpos.slice(free.address, free.address + 3));
      quaternion = normalised(Array.from(qpos.slice(free.address + 3, free.address + 7)));
    } else {
      const turn = quaternions[body.parent];
      const place = placeOf(places, "body_pos", n, body.position);
      position = add(positions[body.parent], rotate(turn, place));
      quaternion = multiply(turn, placeOf(places, "body_quat", n, body.quaternion));
      for (const joint of body.joints) {
        const anchor = add(position, rotate(quaternion, joint.anchor));
        if (joint.kind === "slide") {
          position = add(position, rotate(quaternion, joint.axis), qpos[joint.address] - joint.reference);
          continue;
        }
        const own = joint.kind === "hinge"
          ? turned(joint.axis, qpos[joint.address] - joint.reference)
          : normalised(Array.from(qpos.slice(joint.address, joint.address + 4)));
        quaternion = multiply(quaternion, own);
        position = add(anchor, rotate(quaternion, joint.anchor), -1);
      }
    }
    positions.push(position);
    quaternions.push(normalised(quaternion));
  }
  return { positions, quaternions };
}

// Coordinates between two recorded rows; a quaternion's sign does not change from row to row.
function interpolate(motion, columns, time) {
  const at = Math.min(Math.max(time / motion.seconds, 0), motion.rows - 1);
  const row = Math.min(Math.floor(at), Math.max(motion.rows - 2, 0)), share = at - row;
  const next = Math.min(row + 1, motion.rows - 1), qpos = new Float64Array(columns);
  for (let q = 0; q < columns; q++) {
    const from = motion.values[row * columns + q];
    qpos[q] = from + share * (motion.values[next * columns + q] - from);
  }
  return qpos;
}
