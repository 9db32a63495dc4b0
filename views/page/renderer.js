// A scene of simple shapes in WebGL: one light, a hemisphere of ambient light, shadows on the floor, a grid on planes.

const VERTEX = `#version 300 es
in vec3 unit; in vec3 normal; in float cap;
uniform mat4 camera; uniform mat3 turn; uniform vec3 place, scale, light; uniform float halfLength, floorHeight;
uniform bool shadow;
out vec3 world, facing;
void main() {
  world = turn * (unit * scale + vec3(0, 0, cap * halfLength)) + place;
  facing = turn * (normal / scale);
  if (shadow) world = vec3(world.xy - light.xy / light.z * max(world.z - floorHeight, 0.0), floorHeight);
  gl_Position = camera * vec4(world, 1);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 world, facing;
uniform vec4 colour; uniform vec3 eye, light, background; uniform float cell, reach; uniform bool shadow, ground;
uniform vec3 centre;
out vec4 pixel;
void main() {
  if (shadow) { pixel = colour; return; }
  vec3 n = normalize(facing), to = normalize(eye - world);
  if (dot(n, to) < 0.0) n = -n;
  float diffuse = max(dot(n, light), 0.0), sky = 0.5 + 0.5 * n.z;
  float shine = pow(max(dot(n, normalize(light + to)), 0.0), 40.0);
  vec3 lit = colour.rgb * (0.36 + 0.22 * sky + 0.5 * diffuse) + 0.10 * shine;
  float alpha = colour.a;
  if (ground) {
    vec2 at = world.xy / cell, width = max(fwidth(at), 1e-4);
    vec2 near = abs(fract(at - 0.5) - 0.5) / width;
    float line = 1.0 - min(min(near.x, near.y), 1.0);
    float square = mod(floor(at.x) + floor(at.y), 2.0);
    float fine = clamp(1.5 - max(width.x, width.y) * 2.0, 0.0, 1.0);
    lit = colour.rgb * (1.0 - fine * (0.05 * square + 0.12 * line));
    lit = mix(lit, background, smoothstep(0.35, 1.0, length(world.xy - centre.xy) / reach));
  }
  pixel = vec4(lit, alpha);
}`;

const LIGHT = [-0.35, -0.45, 0.82];

function compile(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

class Renderer {
  // model: see views/kinematics.py; meshes: {number: {vertices, faces}} of unit shapes.
  constructor(canvas, model, meshes) {
    const gl = canvas.getContext("webgl2", { antialias: true, stencil: true, alpha: false });
    if (!gl) throw new Error("this browser has no WebGL 2");
    this.gl = gl;
    this.canvas = canvas;
    this.model = model;
    const program = gl.createProgram();
    gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.program = program;
    this.uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const name = gl.getActiveUniform(program, i).name;
      this.uniforms[name] = gl.getUniformLocation(program, name);
    }
    this.shapes = {};
    for (const [name, shape] of Object.entries({ ...unitShapes(), ...meshes })) this.shapes[name] = this.upload(shape);
    gl.enable(gl.DEPTH_TEST);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE);
  }

  upload({ vertices, faces }) {
    const gl = this.gl, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(vertices), gl.STATIC_DRAW);
    for (const [name, size, offset] of [["unit", 3, 0], ["normal", 3, 12], ["cap", 1, 24]]) {
      const place = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, 28, offset);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(faces), gl.STATIC_DRAW);
    return { array, count: faces.length };
  }

  // pose: of `forward`; places: of the episode; view: of Camera.view; look: colours of the theme.
  draw(pose, places, view, look) {
    const gl = this.gl, set = this.uniforms;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...look.background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.uniformMatrix4fv(set.camera, false, view.matrix);
    gl.uniform3fv(set.eye, view.eye);
    gl.uniform3fv(set.light, LIGHT);
    gl.uniform3fv(set.background, look.background);
    gl.uniform3fv(set.centre, view.target);
    gl.uniform1f(set.reach, view.distance * 6);
    gl.uniform1f(set.cell, view.cell);
    const parts = this.model.geoms.map((geom) => this.part(geom, pose, places, look, view));
    const floors = parts.filter((part) => part.ground), solid = parts.filter((part) => !part.ground);
    gl.disable(gl.BLEND);
    for (const part of floors) this.drawPart(part);
    if (floors.length) this.drawShadows(solid, floors[0].position[2], view.distance, look);
    for (const part of solid.filter((each) => each.colour[3] >= 1)) this.drawPart(part);
    gl.enable(gl.BLEND);
    gl.depthMask(false);
    for (const part of solid.filter((each) => each.colour[3] < 1)) this.drawPart(part);
    gl.depthMask(true);
  }

  // Where and how a shape is drawn. The floor has no end: it goes with the view, and fades.
  part(geom, pose, places, look, view) {
    const turn = pose.quaternions[geom.body];
    const place = placeOf(places, geom.table, geom.number, geom.position);
    const quaternion = multiply(turn, geom.quaternion);
    const position = add(pose.positions[geom.body], rotate(turn, place));
    const ground = geom.shape === "plane" && geom.body === 0 && rotate(quaternion, [0, 0, 1])[2] > 0.99;
    const colour = ground ? [...look.floor, 1] : geom.colour;
    const shape = this.shapes[geom.mesh === undefined ? geom.shape : geom.mesh];
    const far = view.distance * 8, part = { shape, quaternion, position, ground, colour, casts: geom.body > 0 };
    if (!ground) return Object.assign(part, scaleOf(geom, far));
    return Object.assign(part, { position: [view.target[0], view.target[1], position[2]], scale: [far, far, 1], half: 0 });
  }

  drawShadows(parts, height, distance, look) {
    const gl = this.gl, set = this.uniforms;
    gl.enable(gl.BLEND);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.uniform1i(set.shadow, 1);
    gl.uniform1f(set.floorHeight, height + distance * 1e-3);
    for (const part of parts) if (part.casts && part.colour[3] > 0.5) this.drawPart(part, [0, 0, 0, look.shadow]);
    gl.uniform1i(set.shadow, 0);
    gl.disable(gl.STENCIL_TEST);
    gl.disable(gl.BLEND);
  }

  drawPart(part, colour = part.colour) {
    if (!part.shape) return;
    const gl = this.gl, set = this.uniforms, [w, x, y, z] = part.quaternion;
    gl.uniformMatrix3fv(set.turn, false, [
      1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
      2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
      2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y),
    ]);
    gl.uniform3fv(set.place, part.position);
    gl.uniform3fv(set.scale, part.scale);
    gl.uniform1f(set.halfLength, part.half);
    gl.uniform4fv(set.colour, colour);
    gl.uniform1i(set.ground, part.ground ? 1 : 0);
    gl.bindVertexArray(part.shape.array);
    gl.drawElements(gl.TRIANGLES, part.shape.count, gl.UNSIGNED_INT, 0);
  }
}
