"use strict";
// Numbers and times, written as the rest of the page has them (src/text.rs, src/clock.rs).

const NOT_THERE = "N/A";

function fixed(value, decimals) {
  if (Math.abs(value) >= 1e15) return value.toExponential(3);
  const [whole, fraction] = value.toFixed(decimals).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (fraction ? `.${fraction}` : "");
  return /[1-9]/.test(text) ? text : text.replace("-", "");
}

function signed(value, decimals) {
  const text = fixed(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  const parts = [days && `${fixed(days, 0)} d`, hours && `${hours} h`, !days && rest && `${rest} min`];
  return parts.filter(Boolean).join(" ");
}

// Seconds since 1970 as "2024-01-31 09:30". The years before 0 and after 9999 have a sign and two more digits.
function minute(seconds) {
  return new Date(seconds * 1000).toISOString().replace("T", " ").replace(/:\d\d\.\d+Z$/, "");
}

// How a column of a table writes its values, by the name of its kind. `row` knows the decimals of its prices.
const formats = {
  text: (value) => value,
  plain: String,
  side: (value) => (value === "long" ? "▲ long" : "▼ short"),
  time: minute,
  price: (value, row) => fixed(value, row.decimals),
  count: (value) => fixed(value, 0),
  percent: (value) => `${fixed(value, 2)} %`,
  gain: (value) => `${signed(value, 2)} %`,
  money: (value) => signed(value, 2),
  ratio: (value) => fixed(value, 3),
  duration,
};

function written(kind, value, row) {
  const isText = kind === "text" || kind === "plain";
  return value === null || value === undefined ? (isText ? "" : NOT_THERE) : formats[kind](value, row);
}
