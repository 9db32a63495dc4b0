// Numbers inside the page: what views/blocks.py writes, as typed arrays.

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };
const LEVELS = 65535;

function readArray(block) {
  return new TYPES[block.kind](Uint8Array.from(atob(block.data), (character) => character.charCodeAt(0)).buffer);
}

// Columns quantised to 16 bits, back in their own ranges: rows, one after another.
function readPacked(block) {
  const steps = readArray(block.steps), columns = block.low.length, values = new Float64Array(steps.length);
  const low = block.low.map(Math.fround), width = block.high.map((high, q) => (Math.fround(high) - low[q]) / LEVELS);
  for (let i = 0; i < steps.length; i++) values[i] = low[i % columns] + steps[i] * width[i % columns];
  return values;
}
