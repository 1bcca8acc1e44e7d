// Values as people read them: numbers with units, bytes, rates, durations, times.

const NUMBER = new Intl.NumberFormat("en");

/** 1234567 -> "1,234,567"; what is not a number is a dash. */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? NUMBER.format(value) : "–";
}

/** 1234567 -> "1.23 M". */
export function short(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]];
  for (const [limit, unit] of steps) {
    if (Math.abs(value) >= limit) {
      const scale = unit === "k" ? 1e3 : limit;
      return `${significant(value / scale)} ${unit}`;
    }
  }
  return NUMBER.format(Number.isInteger(value) ? value : Number(value.toFixed(value < 10 ? 1 : 0)));
}

function significant(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** Bytes in binary units. */
export function bytes(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (Math.abs(value) < 1024) return `${NUMBER.format(Math.round(value))} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  do {
    value /= 1024;
    unit++;
  } while (Math.abs(value) >= 1024 && unit < units.length - 1);
  return `${significant(value)} ${units[unit]}`;
}

/** Messages a second. */
export function rate(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return `${short(value >= 10 ? Math.round(value) : Math.round(value * 10) / 10)}/s`;
}

/** Bytes a second. */
export function byteRate(value) {
  return typeof value === "number" ? `${bytes(value)}/s` : "–";
}

/** Milliseconds as "3 d 4 h", "12 min", "850 ms". */
export function duration(ms) {
  if (typeof ms !== "number" || !Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const parts = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]];
  const index = parts.findIndex(([size]) => ms >= size);
  const [size, unit] = parts[index];
  const whole = Math.floor(ms / size);
  const next = parts[index + 1];
  const rest = next && whole < 10 ? Math.floor((ms % size) / next[0]) : 0;
  return rest ? `${whole} ${unit} ${rest} ${next[1]}` : `${whole} ${unit}`;
}

/** "3 min ago". */
export function ago(ms) {
  if (typeof ms !== "number" || !Number.isFinite(ms)) return "–";
  const past = Date.now() - ms;
  if (Math.abs(past) < 1500) return "now";
  const [size, unit] = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]].find(([size]) => Math.abs(past) >= size);
  const text = `${NUMBER.format(Math.floor(Math.abs(past) / size))} ${unit}`;
  return past > 0 ? `${text} ago` : `in ${text}`;
}

/** The exact local time, for a title. */
export function exact(ms) {
  return new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** A connection's or channel's name without the broker's own side of it. */
export function peer(name) {
  return String(name ?? "").replace(/ -> [^ ]+/, "");
}

/** "1 queue", "3 queues". */
export function plural(count, noun, many = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : many}`;
}

/** The text to search and show for any JSON value. */
export function json(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
