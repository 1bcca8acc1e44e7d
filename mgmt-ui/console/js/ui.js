// Parts pages are made of: buttons, badges, fields, cards, dialogs, toasts, tabs, copyable code.

import { h, render, clear } from "./dom.js";
import { ago, exact, number } from "./format.js";
import { copyAs } from "./copyas.js";

let ids = 0;
export const newId = () => `f${++ids}`;

export function icon(name) {
  const paths = {
    home: "M3 11 12 4l9 7M6 9v11h12V9",
    queue: "M4 6h16M4 12h16M4 18h10",
    exchange: "M4 8h13l-4-4M20 16H7l4 4",
    plug: "M9 3v6M15 3v6M6 9h12v3a6 6 0 0 1-12 0zM12 18v3",
    channel: "M4 12h4l2-6 4 12 2-6h4",
    consumer: "M12 4v10m0 0-4-4m4 4 4-4M5 20h14",
    route: "M6 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM18 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8 17h6a3 3 0 0 0 3-3V9",
    user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20c1-4 4-6 8-6s7 2 8 6",
    policy: "M12 3 5 6v6c0 4 3 7 7 9 4-2 7-5 7-9V6z",
    vhost: "M4 6h16v5H4zM4 13h16v5H4zM7 8.500h2M7 15.500h2",
    node: "M5 4h14v16H5zM8 8h8M8 12h8M8 16h4",
    file: "M6 3h8l4 4v14H6zM14 3v4h4",
    limit: "M4 18a8 8 0 1 1 16 0M12 18l4-6",
    search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5",
    menu: "M4 7h16M4 12h16M4 17h16",
    sun: "M12 17a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM12 1v3M12 20v3M1 12h3M20 12h3M4 4l2 2M18 18l2 2M4 20l2-2M18 6l2-2",
    moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z",
    auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
    close: "M6 6l12 12M18 6 6 18",
    pause: "M8 5v14M16 5v14",
    play: "M7 5l12 7-12 7z",
    warn: "M12 4 2 20h20zM12 10v5M12 17.500v.5",
    ok: "M5 12l5 5L20 7",
    help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17.500v.5M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
    columns: "M4 5h16v14H4zM9 5v14M15 5v14",
    log: "M5 5h14M5 10h14M5 15h9M5 20h6",
    audit: "M9 4h6v3H9zM7 5H5v16h14V5h-2M9 13l2 2 4-4",
    out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  };
  return h("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: paths[name] || "" }));
}

/** A button; `kind` is "primary", "danger" or nothing. `why` disables it and says the reason. */
export function button(label, onclick, { kind, why, small, icon: name, title, type = "button", expanded } = {}) {
  return h("button", {
    type, onclick, class: ["button", kind, small && "small"].filter(Boolean).join(" "),
    disabled: !!why, title: why || title, "aria-expanded": expanded,
  }, name && icon(name), label && h("span", label));
}

export function badge(text, tone = "", title) {
  return h("span", { class: `badge ${tone}`, title }, text);
}

/** State as a word with a mark of its own shape, not colour alone. */
export function stateMark(state) {
  const tones = { running: "good", up: "good", idle: "", paused: "warn", full: "warn", flow: "warn", blocked: "bad", blocking: "warn", down: "bad", crashed: "bad", closing: "warn", single_active: "good", waiting: "" };
  return h("span", { class: `state ${tones[state] ?? ""}` }, String(state ?? "–").replace("_", " "));
}

export function time(ms) {
  return typeof ms === "number" ? h("time", { title: exact(ms), datetime: new Date(ms).toISOString() }, ago(ms)) : "–";
}

export function card(title, ...children) {
  const props = typeof children[0] === "object" && children[0] && !("tag" in children[0]) && !Array.isArray(children[0]) ? children.shift() : {};
  return h("section", { class: `card ${props.class || ""}`, key: props.key, "aria-label": title },
    title && h("header", h("h2", title), props.aside), ...children);
}

const NUMERIC = new Set(["#", "Consumers", "Deliver", "Messages", "Port", "Prefetch", "Priority", "Publish", "Ready", "Size", "Unacked", "Unconfirmed"]);

/** The head of a column of a small table; without a label, of its buttons. */
export function heading(label) {
  return h("th", { scope: "col", key: label, class: NUMERIC.has(label) ? "num" : "" }, label || h("span.sr", "Actions or state"));
}

/** Pairs of a label and a value. */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(Boolean).map(([label, value, title]) => h("div", h("dt", label), h("dd", { title }, value ?? "–"))));
}

/** One large figure with its label. */
export function figure(label, value, sub, tone = "") {
  return h("div", { class: `figure ${tone}` }, h("span.label", label), h("strong", value), sub && h("span.sub", sub));
}

export function meter(label, used, limit, format, tone = "") {
  const share = limit > 0 ? Math.min(1, used / limit) : 0;
  return h("div.meter",
    h("div.row", h("span", label), h("span.num", `${format(used)} of ${format(limit)}`)),
    h("div", { class: `bar ${tone || (share > 0.9 ? "bad" : share > 0.7 ? "warn" : "")}`, role: "meter", "aria-label": label,
      "aria-valuemin": 0, "aria-valuemax": limit || 0, "aria-valuenow": used || 0 },
      h("i", { vars: { "--share": share.toFixed(4) } })));
}

/** What an empty list says: what it is for and what to do next. */
export function empty(title, text, ...actions) {
  return h("div.empty", h("h2", title), h("p", text), actions.length ? h("div.actions", actions) : null);
}

export function notice(tone, ...children) {
  return h("div", { class: `notice ${tone}`, role: tone === "bad" ? "alert" : "note" }, icon(tone === "good" ? "ok" : tone ? "warn" : "help"), h("div", children));
}

export function tabs(list, active, choose) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const index = list.findIndex(([id]) => id === active);
    const next = list[(index + step + list.length) % list.length][0];
    choose(next);
    requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
  };
  const show = (el) => {
    const chosen = el.querySelector("[aria-selected=true]");
    if (!chosen || el.dataset.at === chosen.id) return;
    el.dataset.at = chosen.id;
    el.scrollLeft = chosen.offsetLeft - (el.clientWidth - chosen.offsetWidth) / 2;
  };
  return h("div.tabs", { role: "tablist", onkeydown: move, hook: { mount: show, update: show } },
    list.map(([id, label, count]) => h("button", {
      key: id, id: `tab-${id}`, role: "tab", type: "button", "aria-selected": String(id === active),
      tabindex: id === active ? 0 : -1, onclick: () => choose(id),
    }, label, count !== undefined && h("span.count", number(count)))));
}

/** A labelled field. `kind`: text, password, number, textarea, select, checkbox. */
export function field(label, value, oninput, { kind = "text", hint, options, id = newIdFor(label), error, ...rest } = {}) {
  const describe = hint || error ? `${id}-hint` : undefined;
  const common = { id, "aria-describedby": describe, "aria-invalid": error ? "true" : undefined, ...rest };
  const change = (event) => oninput(event.target.type === "checkbox" ? event.target.checked : event.target.value);
  let control;
  if (kind === "select") control = h("select", { ...common, value, onchange: change }, options.map((o) => (Array.isArray(o) ? h("option", { value: o[0] }, o[1]) : h("option", { value: o }, o))));
  else if (kind === "textarea") control = h("textarea", { ...common, value, oninput: change, rows: rest.rows || 6, spellcheck: "false" });
  else if (kind === "checkbox") {
    return h("div.field.check", h("input", { ...common, type: "checkbox", checked: value, onchange: change }), h("label", { for: id }, label), hint && h("p.hint", { id: describe }, hint));
  } else control = h("input", { autocomplete: "off", ...common, type: kind, value, oninput: change });
  return h("div.field", h("label", { for: id }, label), control, (error || hint) && h("p", { class: error ? "hint bad" : "hint", id: describe }, error || hint));
}

function newIdFor(label) {
  return "f-" + String(label).toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

/** Code with a button that copies it. */
export function code(text, label = "code") {
  return h("div.code", h("pre", { tabindex: 0, "aria-label": label }, h("code", text)),
    button("Copy", () => copy(text), { small: true, title: `Copy ${label}` }));
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not allow copying here", "bad");
  }
}

export function download(name, text, type = "application/json") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A short message that goes by itself; errors stay until closed. */
export function toast(text, tone = "good") {
  let host = document.getElementById("toasts");
  if (!host) {
    host = document.createElement("div");
    host.id = "toasts";
    host.setAttribute("role", "status");
    host.setAttribute("aria-live", "polite");
    document.body.append(host);
  }
  const item = document.createElement("div");
  host.append(item);
  const close = () => item.remove();
  item.className = `toast ${tone}`;
  render(item, [h("span", text), button("", close, { icon: "close", small: true, title: "Dismiss" })]);
  if (tone !== "bad") setTimeout(close, 4000);
}

/** Runs an action and shows how it ended. True when it worked. */
export async function attempt(action, done) {
  try {
    const result = await action();
    if (done) toast(typeof done === "function" ? done(result) : done);
    return true;
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
}

/**
 * A modal dialog; `body(close, redraw)` describes it. Resolves with what it is closed with
 * (undefined when dismissed).
 */
export function dialog(title, body, { wide } = {}) {
  return new Promise((resolve) => {
    const el = document.createElement("dialog");
    el.className = wide ? "wide" : "";
    el.setAttribute("aria-label", title);
    let result;
    const close = (value) => {
      result = value;
      el.close();
    };
    const redraw = () => render(el, [
      h("header", h("h2", title), button("", () => close(), { icon: "close", small: true, title: "Close" })),
      h("div.body", body(close, redraw)),
    ]);
    // Going elsewhere leaves it behind.
    const leave = () => el.close();
    addEventListener("hashchange", leave);
    el.addEventListener("close", () => {
      removeEventListener("hashchange", leave);
      clear(el);
      el.remove();
      resolve(result);
    });
    el.addEventListener("click", (event) => event.target === el && close());
    document.body.append(el);
    redraw();
    el.showModal();
    (el.querySelector("[autofocus]") || el.querySelector(".body input, .body select, .body button"))?.focus();
  });
}

/** Asks before something is destroyed: says what and how many; `word` must be typed when given. */
export function confirmDestroy(title, lines, action, word) {
  let typed = "";
  return dialog(title, (close, redraw) => h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      if (!word || typed === word) close(true);
    },
  },
  h("ul.consequences", lines.map((line) => h("li", line))),
  word && field(`Type ${word} to go on`, typed, (value) => {
    typed = value;
    redraw();
  }, { id: "confirm-word", autofocus: true }),
  h("div.actions", button("Cancel", () => close()), button(action, null, { kind: "danger", type: "submit", why: word && typed !== word ? `Type ${word} first` : undefined }))));
}

/**
 * A dialog with a form: `draw(values, set)` describes the fields; `send(values)` may throw; `as`
 * describes the request it makes, for those who want it in a script.
 */
export function formDialog(title, values, draw, send, { action = "Save", kind = "primary", wide, as } = {}) {
  let error = "";
  let busy = false;
  const copying = {};
  return dialog(title, (close, redraw) => {
    const set = (name) => (value) => {
      values[name] = value;
      redraw();
    };
    return h("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        busy = true;
        redraw();
        try {
          const result = await send(values);
          close(result ?? true);
        } catch (failure) {
          error = failure.message;
          busy = false;
          redraw();
        }
      },
    }, draw(values, set, redraw), as && copyAs(copying, () => as(values), redraw), error && notice("bad", error),
    h("div.actions", button("Cancel", () => close()), button(action, null, { kind, type: "submit", why: busy ? "Working…" : undefined })));
  }, { wide });
}
