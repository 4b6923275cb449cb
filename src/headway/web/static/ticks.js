// Which numbers stand along an axis, and how they are written.

const LETTERS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];

/** At most so many [value, text] along an axis: those it brings along, or round values. */
export function ticks(spec, most) {
  if (spec.ticks) return thinned(spec.ticks, most);
  return values(spec, most).map((value) => [value, tickText(value, spec.log)]);
}

/** The first, which is wide, and of those beyond its neighbour every so many. */
function thinned([first, , ...others], most) {
  const stride = Math.ceil(others.length / Math.max(most - 1, 1));
  return [first, ...others.filter((_, i) => (others.length - 1 - i) % stride === 0)];
}

/** Round values between the ends, two at least where there is room for them. */
function values({ log, range: [low, high] }, most) {
  if (!log) return d3.ticks(low, high, most);
  for (const round of candidates(low, high)) if (round.length <= most && round.length >= 2) return round;
  return d3.ticks(low, high, most);
}

/** Round values from many to few: 1-2-5, 1-3, then every power of ten, every second, every third ... */
function* candidates(low, high) {
  yield inside(low, high, 1, [1, 2, 5]);
  yield inside(low, high, 1, [1, 3]);
  for (let stride = 1; stride <= 6; stride += 1) yield inside(low, high, stride, [1]);
}

function inside(low, high, stride, digits) {
  const first = Math.floor(Math.log10(low) / stride) * stride;
  const round = [];
  for (let power = first; 10 ** power <= high; power += stride) {
    for (const digit of digits) round.push(Number(`${digit}e${power}`));
  }
  return round.filter((value) => value >= low && value <= high);
}

/** 1k, 100M, 0.05; along an even axis plainly, so that a year stays a year. */
function tickText(value, log) {
  const [size, letter] = (log && LETTERS.find(([least]) => Math.abs(value) >= least)) || [1, ""];
  return `${d3.format("~r")(Number((value / size).toPrecision(12)))}${letter}`;
}

/** A value read off the chart, to the three digits that a pointer can find. */
export function readText(value) {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}
