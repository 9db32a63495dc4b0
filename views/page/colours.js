// Colours of values: viridis, whose lightness grows evenly, so that order is seen without telling hues apart.

const VIRIDIS = [
  [68, 1, 84], [71, 19, 101], [72, 36, 117], [70, 52, 128], [65, 68, 135], [59, 82, 139], [53, 95, 141], [47, 108, 142],
  [42, 120, 142], [37, 132, 142], [33, 145, 140], [30, 156, 137], [34, 168, 132], [47, 180, 124], [68, 191, 112],
  [94, 201, 98], [122, 209, 81], [155, 217, 60], [189, 223, 38], [223, 227, 24], [253, 231, 37],
];

function between(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
  return stops[k].map((value, i) => Math.round(value + (at - k) * (stops[k + 1][i] - value)));
}

// Values low..high as [r, g, b].
class Scale {
  constructor(low, high) {
    this.low = low;
    this.high = high > low ? high : low + 1;
  }

  share(value) {
    return (value - this.low) / (this.high - this.low);
  }

  colour(value) {
    return between(VIRIDIS, this.share(value));
  }

  gradient() {
    return `linear-gradient(to right, ${VIRIDIS.map((stop) => `rgb(${stop.join(" ")})`).join(", ")})`;
  }
}

// A number for people: as many digits as tell it apart.
function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-3)) return value.toExponential(2);
  if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en");
  return size >= 100 ? value.toFixed(1) : size >= 10 ? value.toFixed(2) : value.toFixed(3);
}

// A colour of the style sheet as [r, g, b] in 0..1.
function styleColour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255);
}
