// A line chart on a canvas: hover shows every value, dragging zooms, the legend switches series,
// limits are lines, and the same numbers stand in a table for those who cannot see it.

import { h } from "./dom.js";
import { byteRate, bytes, exact } from "./format.js";
import { button } from "./ui.js";

// Told apart without colour by their dashes.
const DASHES = [[], [10, 3], [3, 3], [10, 3, 3, 3], [5, 5], [2, 4], [1, 2]];
const PAD = { right: 12, top: 10, bottom: 22 };

/**
 * `series`: [{name, color: 1..6, points: [[ms, value]]}]; `format` makes labels; `limits`:
 * [{name, value}]. `id` keeps what the viewer switched off and zoomed to.
 */
export function chart({ id, series, format, limits = [], height = 180, label }) {
  const view = views.get(id) ?? { hidden: new Set(), zoom: null, hover: null };
  views.set(id, view);
  view.data = { series, format, limits, height };
  return h("figure.chart", { key: id },
    h("canvas", {
      role: "img", "aria-label": `${label}: ${series.map((s) => `${s.name} ${format(last(s))}`).join(", ")}`, vars: { "--height": `${height}px` },
      hook: { mount: (el) => attach(el, view), update: () => view.draw?.(), unmount: () => view.detach?.() },
    }),
    h("figcaption",
      series.map((s, i) => h("button.legend", {
        key: s.name, type: "button", "aria-pressed": String(!view.hidden.has(s.name)),
        onclick: () => {
          view.hidden.has(s.name) ? view.hidden.delete(s.name) : view.hidden.add(s.name);
          view.draw?.();
          again();
        },
      }, h("svg.swatch", { viewBox: "0 0 22 6", "aria-hidden": "true" }, h("path", { d: "M0 3h22", class: `c${s.color ?? i + 1}`, "stroke-dasharray": DASHES[i % DASHES.length].join(" ") })), s.name, h("strong", format(last(s))))),
      view.zoom && button("Whole range", () => { view.zoom = null; view.draw?.(); again(); }, { small: true, title: "Show the whole range again" }),
      h("details.aslist", h("summary", "Table"), table(series, format))));
}

const views = new Map();

/** What is around the canvas has changed, too. */
const again = () => dispatchEvent(new Event("warren-redraw"));

function last(series) {
  return series.points.length ? series.points.at(-1)[1] : NaN;
}

function table(series, format) {
  const times = [...new Set(series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => b - a).slice(0, 12);
  return h("table", h("thead", h("tr", h("th", { scope: "col" }, "Time"), series.map((s) => h("th", { scope: "col" }, s.name)))),
    h("tbody", times.map((t) => h("tr", h("th", { scope: "row" }, new Date(t).toLocaleTimeString("en-GB")), series.map((s) => {
      const point = s.points.find((p) => p[0] === t);
      return h("td.num", point ? format(point[1]) : "–");
    })))));
}

function attach(canvas, view) {
  const context = canvas.getContext("2d");
  let frame = 0;
  let drag = null;
  view.draw = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => paint(canvas, context, view, drag));
  };
  const at = (event) => event.clientX - canvas.getBoundingClientRect().left;
  canvas.onpointermove = (event) => {
    view.hover = at(event);
    view.draw();
  };
  canvas.onpointerleave = () => {
    view.hover = null;
    drag = null;
    view.draw();
  };
  canvas.onpointerdown = (event) => {
    drag = at(event);
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointerup = (event) => {
    const [a, b] = [drag, at(event)].sort((x, y) => x - y);
    if (drag !== null && b - a > 8 && view.scale) view.zoom = [view.scale.time(a), view.scale.time(b)];
    drag = null;
    view.draw();
    again();
  };
  canvas.ondblclick = () => {
    view.zoom = null;
    view.draw();
    again();
  };
  const observer = new ResizeObserver(view.draw);
  observer.observe(canvas);
  addEventListener("warren-theme", view.draw);
  view.detach = () => {
    observer.disconnect();
    removeEventListener("warren-theme", view.draw);
    view.draw = null;
  };
  view.draw();
}

/** The top of the scale: round in tens, or in binary units for bytes. */
function niceCeiling(value, binary) {
  if (value <= 0) return binary ? 1024 : 1;
  const unit = binary ? 1024 ** Math.floor(Math.log2(Math.max(1, value)) / 10) : 1;
  const base = 10 ** Math.floor(Math.log10(value / unit));
  const steps = binary ? [1, 2, 4, 8, 10, 16] : [1, 2, 2.5, 4, 5, 8, 10];
  return steps.map((m) => m * base * unit).find((v) => v >= value) ?? 16 * base * unit;
}

function paint(canvas, c, view, drag) {
  const { series, format, limits } = view.data;
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  c.scale(ratio, ratio);
  const css = getComputedStyle(canvas);
  const color = (name) => css.getPropertyValue(name).trim();
  const shown = series.map((s, i) => ({ ...s, dash: DASHES[i % DASHES.length], stroke: color(`--c${s.color ?? i + 1}`) })).filter((s) => !view.hidden.has(s.name));
  const all = shown.flatMap((s) => s.points);
  let from = Math.min(...all.map((p) => p[0]));
  let to = Math.max(...all.map((p) => p[0]));
  if (view.zoom) [from, to] = view.zoom;
  const inside = all.filter((p) => p[0] >= from && p[0] <= to);
  const peak = Math.max(0, ...inside.map((p) => p[1]));
  const near = limits.filter((l) => l.value <= peak * 1.6);
  const top = niceCeiling(Math.max(peak, ...near.map((l) => l.value)) * 1.05, format === bytes || format === byteRate);
  c.font = `11px ${css.fontFamily}`;
  const left = Math.ceil(Math.max(...[0, 0.5, 1].map((share) => c.measureText(format(top * share)).width))) + 14;
  const w = width - left - PAD.right;
  const hgt = height - PAD.top - PAD.bottom;
  const x = (t) => left + (to > from ? ((t - from) / (to - from)) * w : w);
  const y = (v) => PAD.top + hgt - (v / top) * hgt;
  view.scale = { time: (px) => from + ((px - left) / w) * (to - from) };
  c.textBaseline = "middle";
  for (let i = 0; i <= 4; i++) {
    const v = (top * i) / 4;
    c.strokeStyle = color("--line");
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(left, Math.round(y(v)) + 0.5);
    c.lineTo(width - PAD.right, Math.round(y(v)) + 0.5);
    c.stroke();
    c.fillStyle = color("--quiet");
    c.textAlign = "right";
    if (i % 2 === 0) c.fillText(format(v), left - 8, y(v));
  }
  if (!inside.length) {
    c.textAlign = "center";
    c.fillText("No samples yet", left + w / 2, PAD.top + hgt / 2);
    return;
  }
  c.textBaseline = "top";
  for (const [share, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) {
    c.textAlign = align;
    c.fillText(clock(from + (to - from) * share, to - from), left + w * share, height - PAD.bottom + 7);
  }
  c.save();
  c.beginPath();
  c.rect(left, PAD.top - 4, w + 4, hgt + 8);
  c.clip();
  for (const limit of near) {
    c.strokeStyle = color("--bad");
    c.setLineDash([3, 3]);
    c.beginPath();
    c.moveTo(left, y(limit.value));
    c.lineTo(left + w, y(limit.value));
    c.stroke();
    c.fillStyle = color("--bad");
    c.textAlign = "right";
    c.fillText(limit.name, left + w, y(limit.value) + 2);
  }
  c.lineJoin = "round";
  // A line that never leaves zero says nothing that its legend does not say.
  const flat = (s) => peak > 0 && s.points.every((p) => p[1] === 0);
  for (const [i, s] of shown.entries()) {
    if (flat(s)) continue;
    c.strokeStyle = s.stroke;
    c.setLineDash(s.dash);
    c.lineWidth = 1.75;
    c.beginPath();
    s.points.forEach(([t, v], n) => (n ? c.lineTo(x(t), y(v)) : c.moveTo(x(t), y(v))));
    c.stroke();
    if (i === 0 && s.points.length > 1) {
      c.globalAlpha = 0.09;
      c.fillStyle = s.stroke;
      c.lineTo(x(s.points.at(-1)[0]), y(0));
      c.lineTo(x(s.points[0][0]), y(0));
      c.fill();
      c.globalAlpha = 1;
    }
  }
  c.restore();
  c.setLineDash([]);
  if (drag !== null && view.hover !== null) {
    c.globalAlpha = 0.12;
    c.fillStyle = color("--accent");
    c.fillRect(Math.min(drag, view.hover), PAD.top, Math.abs(view.hover - drag), hgt);
    c.globalAlpha = 1;
  }
  if (view.hover !== null && view.hover >= left && view.hover <= left + w) crosshair(c, view, shown, format, { x, y, width, hgt, color });
}

/** A time on the axis: as exact as the range makes sense of. */
function clock(ms, range) {
  return new Date(ms).toLocaleTimeString("en-GB", range > 7200000 ? { hour: "2-digit", minute: "2-digit" } : undefined);
}

function crosshair(c, view, shown, format, { x, y, width, hgt, color }) {
  const t = view.scale.time(view.hover);
  const rows = shown.map((s) => {
    const point = s.points.reduce((best, p) => (!best || Math.abs(p[0] - t) < Math.abs(best[0] - t) ? p : best), null);
    return point && { s, point };
  }).filter(Boolean);
  if (!rows.length) return;
  const px = x(rows[0].point[0]);
  c.strokeStyle = color("--quiet");
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(px, PAD.top);
  c.lineTo(px, PAD.top + hgt);
  c.stroke();
  for (const { s, point } of rows) {
    c.fillStyle = s.stroke;
    c.beginPath();
    c.arc(x(point[0]), y(point[1]), 3, 0, 7);
    c.fill();
  }
  const lines = [exact(rows[0].point[0]), ...rows.map(({ s, point }) => `${s.name}  ${format(point[1])}`)];
  const boxWidth = Math.max(...lines.map((line) => c.measureText(line).width)) + 24;
  const boxHeight = lines.length * 16 + 10;
  const at = px + boxWidth + 12 > width ? px - boxWidth - 8 : px + 8;
  c.fillStyle = color("--raised");
  c.strokeStyle = color("--line-strong");
  c.beginPath();
  c.roundRect(at, PAD.top, boxWidth, boxHeight, 6);
  c.fill();
  c.stroke();
  c.textAlign = "left";
  c.textBaseline = "top";
  lines.forEach((line, i) => {
    c.fillStyle = i ? color("--ink") : color("--quiet");
    c.fillText(line, at + (i ? 18 : 8), PAD.top + 7 + i * 16);
    if (i) {
      c.fillStyle = rows[i - 1].s.stroke;
      c.fillRect(at + 8, PAD.top + 10 + i * 16, 6, 6);
    }
  });
}

/** A small line without axes, drawn as SVG. */
export function sparkline(values, label) {
  const peak = Math.max(1e-9, ...values) * 1.15;
  const still = values.every((value) => value === values[0]);
  if (values.length < 2 || (still && !values[0])) return h("span.sr", "nothing");
  const d = values.map((v, i) => `${i ? "L" : "M"}${((i / Math.max(1, values.length - 1)) * 60).toFixed(1)} ${(15 - (v / peak) * 14).toFixed(1)}`).join("");
  return h("svg.spark", { class: still ? "still" : "", viewBox: "0 0 60 16", role: "img", "aria-label": label, preserveAspectRatio: "none" }, d && h("path", { d }));
}

/** The points of `stats.name_details.samples`, oldest first, as rates or as values. */
export function samples(details, kind = "value") {
  const list = (details?.samples ?? []).map((s) => [s.timestamp, s.sample]).sort((a, b) => a[0] - b[0]);
  if (kind === "value") return list;
  return list.slice(1).map(([t, v], i) => [t, Math.max(0, ((v - list[i][1]) * 1000) / Math.max(1, t - list[i][0]))]);
}

/** The values alone, without the last: that is now. */
export const before = (details, kind) => samples(details, kind).map(([, value]) => value).slice(0, -1);

/** Two rows of values added up, from their ends. */
export const sums = (a, b) => (a.length < b.length ? sums(b, a) : a.map((value, i) => value + (b[i - a.length + b.length] ?? 0)));
