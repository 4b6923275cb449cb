// Which numbers stand along an axis, and how they are written.

const LETTERS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];

/** At most so many round values between the ends of an axis; two at least where there is room for them. */
export function ticks({ log, range: [low, high] }, most) {
  if (!log) return d3.ticks(low, high, most);
  for (const values of candidates(low, high)) if (values.length <= most && values.length >= 2) return values;
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
  const values = [];
  for (let power = first; 10 ** power <= high; power += stride) {
    for (const digit of digits) values.push(Number(`${digit}e${power}`));
  }
  return values.filter((value) => value >= low && value <= high);
}

/** 1k, 100M, 0.05; along an even axis plainly, so that a year stays a year. */
export function tickText(value, log) {
  const [size, letter] = (log && LETTERS.find(([least]) => Math.abs(value) >= least)) || [1, ""];
  return `${d3.format("~r")(Number((value / size).toPrecision(12)))}${letter}`;
}

/** A value read off the chart, to the three digits that a pointer can find. */
export function readText(value) {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}
