// The frame around every page: session, navigation, theme, keyboard, and which page is shown.

import { h, render } from "./dom.js";
import { get, del, session } from "./api.js";
import * as live from "./live.js";
import { route, current, href, go, start } from "./router.js";
import { badge, button, dialog, icon } from "./ui.js";
import { palette } from "./palette.js";
import { login } from "./pages/login.js";
import { home } from "./pages/home.js";
import { queues } from "./pages/queues.js";
import { queue } from "./pages/queue.js";
import { exchanges } from "./pages/exchanges.js";
import { exchange } from "./pages/exchange.js";
import { connections, connection } from "./pages/connections.js";
import { channels, channel } from "./pages/channels.js";
import { consumers } from "./pages/consumers.js";
import { publishPage } from "./pages/publish.js";
import { routeTest } from "./pages/route.js";
import { vhosts, vhost } from "./pages/vhosts.js";
import { users, user } from "./pages/users.js";
import { policies } from "./pages/policies.js";
import { limits } from "./pages/limits.js";
import { definitions } from "./pages/definitions.js";
import { node } from "./pages/node.js";
import { logs } from "./pages/logs.js";
import { audit } from "./pages/audit.js";

const NAV = [
  [null, [["", "Overview", "home"]]],
  ["Messaging", [["queues", "Queues", "queue"], ["exchanges", "Exchanges", "exchange"], ["publish", "Publish", "out"], ["route", "Route tester", "route"]]],
  ["Clients", [["connections", "Connections", "plug"], ["channels", "Channels", "channel"], ["consumers", "Consumers", "consumer"]]],
  ["Admin", [["vhosts", "Virtual hosts", "vhost"], ["users", "Users", "user"], ["policies", "Policies", "policy"], ["limits", "Limits", "limit"], ["definitions", "Definitions", "file"]]],
  ["Node", [["node", "Node", "node"], ["logs", "Log", "log"], ["audit", "Audit", "audit"]]],
];
const SHORTCUTS = { o: "", q: "queues", e: "exchanges", p: "publish", r: "route", c: "connections", h: "channels", n: "consumers", v: "vhosts", u: "users", l: "policies", d: "definitions", g: "logs", a: "audit" };

for (const [pattern, page] of [
  ["", home], ["queues", queues], ["queues/:vhost/:name", queue], ["exchanges", exchanges], ["exchanges/:vhost/:name", exchange],
  ["connections", connections], ["connections/:name", connection], ["channels", channels], ["channels/:name", channel], ["consumers", consumers],
  ["publish", publishPage], ["route", routeTest], ["vhosts", vhosts], ["vhosts/:name", vhost], ["users", users], ["users/:name", user],
  ["policies", policies], ["limits", limits], ["definitions", definitions], ["node", node], ["logs", logs], ["audit", audit],
]) route(pattern, page);

const root = document.getElementById("app");
const frame = { vhosts: [], vhost: localStorage.getItem("vhost") || "", menu: false, page: null, key: null, title: "", alarms: [] };

/** What a page gets: where it is, who asks, which vhost is chosen, and how to draw itself again. */
function context(where) {
  const stops = [];
  return {
    ...where,
    user: session.user,
    vhost: () => frame.vhost,
    vhosts: () => frame.vhosts,
    may: (tag) => allowed(tag),
    redraw: draw,
    watch: (url, see, failed) => {
      const stop = live.watch(url, (data) => {
        see(data);
        draw();
      }, (error) => {
        failed?.(error);
        draw();
      });
      stops.push(stop);
      return stop;
    },
    title: (text) => {
      frame.title = text;
      document.title = text ? `${text} · Warren` : "Warren";
    },
    onEnd: (stop) => stops.push(stop),
    end: () => stops.splice(0).forEach((stop) => stop()),
  };
}

function allowed(tag) {
  const tags = session.user?.tags ?? [];
  const ranks = { management: ["management", "policymaker", "monitoring", "administrator"], policymaker: ["policymaker", "administrator"], monitoring: ["monitoring", "administrator"], administrator: ["administrator"] };
  return ranks[tag].some((t) => tags.includes(t));
}

/** The page of the address: made anew when its pattern or object changes, else only told. */
function navigate() {
  if (!session.user) return draw();
  const where = current();
  const key = where.where;
  if (frame.key !== key) {
    frame.context?.end();
    frame.context = context(where);
    frame.key = key;
    frame.title = "";
    frame.menu = false;
    frame.view = where.page ? where.page(frame.context) : missing();
    scrollTo(0, 0);
  }
  frame.context.query = where.query;
  frame.view.query?.(where.query);
  draw();
}

function missing() {
  return { draw: () => h("div.empty", h("h1", "No such page"), h("p", "The address leads nowhere here."), h("a", { href: href("") }, "To the overview")) };
}

let pending = 0;
function draw() {
  if (pending) return;
  pending = requestAnimationFrame(() => {
    pending = 0;
    render(root, session.user ? shell() : login(entered));
    if (innerWidth < 720) labelCells(root);
  });
}

/** On narrow screens small tables are shown as lists: each value says what it is. */
function labelCells(host) {
  for (const table of host.querySelectorAll("table.plain")) {
    const labels = [...table.querySelectorAll("thead th")].map((th) => th.textContent);
    for (const row of table.tBodies[0]?.rows ?? []) {
      for (const [i, cell] of [...row.cells].entries()) if (labels[i] && cell.dataset.label !== labels[i]) cell.dataset.label = labels[i];
    }
  }
}

function shell() {
  const at = (frame.key ?? "").split("/")[0];
  const mode = live.mode();
  return h("div", { class: `shell ${frame.menu ? "open" : ""}` },
    h("a.skip", { href: "#main", onclick: (event) => { event.preventDefault(); document.getElementById("main")?.focus(); } }, "Skip to content"),
    h("header.top",
      h("button.burger", { type: "button", "aria-label": "Menu", "aria-expanded": String(frame.menu), onclick: () => { frame.menu = !frame.menu; draw(); } }, icon("menu")),
      h("a.brand", { href: href(""), "aria-label": "Warren, overview" }, h("img", { src: "/console/icon.svg", alt: "", width: 24, height: 24 }), h("span", "Warren")),
      h("button.find", { type: "button", onclick: () => palette(actions()) }, icon("search"), h("span", "Go to anything"), h("kbd", "Ctrl K")),
      h("span.grow"),
      frame.vhosts.length > 1 && h("label.vhost", h("span", "Virtual host"), h("select", { "aria-label": "Virtual host", value: frame.vhost, onchange: (event) => chooseVhost(event.target.value) }, h("option", { value: "" }, "all"), frame.vhosts.map((name) => h("option", { value: name, key: name }, name)))),
      h("button", { class: `live ${mode}`, type: "button", title: mode === "paused" ? "Updates are paused: press to go on" : "Press to pause updates", onclick: () => { live.togglePause(); draw(); }, "aria-pressed": String(mode === "paused") },
        icon(mode === "paused" ? "play" : "pause"), h("span", { role: "status" }, { live: "Live", polling: "Every 5 s", stale: "Reconnecting…", paused: "Paused", idle: "Live" }[mode])),
      h("button.theme", { type: "button", onclick: cycleTheme, title: `Theme: ${theme()}`, "aria-label": `Theme: ${theme()}. Change` }, icon({ light: "sun", dark: "moon", auto: "auto" }[theme()])),
      h("details.menu.me", h("summary", { "aria-label": `Signed in as ${session.user.name}` }, icon("user"), h("span", session.user.name)),
        h("div", h("p.quiet", session.user.tags.length ? session.user.tags.map((tag) => badge(tag)) : "no tags"), button("Keyboard shortcuts", help, { small: true, icon: "help" }), button("Log out", leave, { small: true })))),
    h("nav.side", { "aria-label": "Pages" }, NAV.map(([title, items]) => h("div", { key: title ?? "top" }, title && h("h2", title),
      h("ul", items.map(([path, label, name]) => h("li", { key: path }, h("a", { href: href(...(path ? [path] : [""])), "aria-current": at === path ? "page" : undefined }, icon(name), h("span", label)))))))),
    h("main", { id: "main", tabindex: -1, key: frame.key }, frame.view?.draw()));
}

/** What the palette can do beside going somewhere. */
function actions() {
  const pausing = live.mode() === "paused" ? "Resume updates" : "Pause updates";
  return [[pausing, () => { live.togglePause(); draw(); }], [`Theme: ${theme()}, change`, cycleTheme], ["Keyboard shortcuts", help], ["Log out", leave]];
}

function chooseVhost(name) {
  frame.vhost = name;
  localStorage.setItem("vhost", name);
  frame.key = null;
  navigate();
}

export function theme() {
  return localStorage.getItem("theme") || "auto";
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
  dispatchEvent(new Event("warren-theme"));
}

function cycleTheme() {
  const order = ["auto", "light", "dark"];
  localStorage.setItem("theme", order[(order.indexOf(theme()) + 1) % 3]);
  applyTheme();
  draw();
}

function help() {
  const rows = [["Ctrl K", "Go to anything"], ["/", "Filter this list"], ["?", "This help"], ["Esc", "Close, or leave the field"],
    ...Object.entries(SHORTCUTS).map(([key, path]) => [`g ${key}`, NAV.flatMap(([, items]) => items).find(([p]) => p === path)[1]]),
    ["↑ ↓ or j k", "Move in a list"], ["Enter", "Open the row"], ["Space or x", "Select the row"], ["p", "Pause or resume live updates"]];
  dialog("Keyboard", () => h("dl.keys", rows.map(([keys, what]) => h("div", h("dt", keys.split(" ").map((k) => (k === "or" ? " or " : h("kbd", k)))), h("dd", what)))));
}

let prefix = 0;
addEventListener("keydown", (event) => {
  if (!session.user) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return palette(actions());
  }
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "Escape") {
    document.querySelectorAll("details.menu[open]").forEach((menu) => (menu.open = false));
    if (typing && event.target.closest("main")) event.target.blur();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (Date.now() - prefix < 1500 && event.key in SHORTCUTS) {
    prefix = 0;
    event.preventDefault();
    return go(href(...[SHORTCUTS[event.key]]));
  }
  if (event.key === "g") prefix = Date.now();
  else if (event.key === "/") {
    const field = document.getElementById("filter");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (event.key === "?") help();
  else if (event.key === "p") {
    live.togglePause();
    draw();
  }
});
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

async function entered(user) {
  session.user = { ...user, tags: Array.isArray(user.tags) ? user.tags : String(user.tags).split(",").filter(Boolean) };
  frame.key = null;
  live.watch("/api/vhosts?columns=name", (list) => {
    frame.vhosts = list.map((v) => v.name).sort();
    if (frame.vhost && !frame.vhosts.includes(frame.vhost)) frame.vhost = "";
    draw();
  });
  navigate();
}

async function leave() {
  await del("/api/console/session").catch(() => {});
  session.ended();
}

session.ended = () => {
  session.user = null;
  frame.context?.end();
  frame.context = null;
  frame.key = null;
  live.stop();
  document.title = "Warren";
  draw();
};

live.onMode(draw);
addEventListener("warren-redraw", draw);
applyTheme();
start(navigate);
get("/api/console/session").then(entered, () => draw());
