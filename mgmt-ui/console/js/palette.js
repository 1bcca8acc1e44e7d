// The command palette: type a few letters of any queue, exchange, connection, user or page.

import { h } from "./dom.js";
import { get, query } from "./api.js";
import { href, go } from "./router.js";
import { dialog, icon } from "./ui.js";

const PAGES = [["Overview", "", "home"], ["Queues", "queues", "queue"], ["Exchanges", "exchanges", "exchange"], ["Publish a message", "publish", "out"], ["Route tester", "route", "route"], ["Connections", "connections", "plug"], ["Channels", "channels", "channel"], ["Consumers", "consumers", "consumer"],
  ["Virtual hosts", "vhosts", "vhost"], ["Users", "users", "user"], ["Policies", "policies", "policy"], ["Limits", "limits", "limit"], ["Definitions", "definitions", "file"], ["Node", "node", "node"], ["Log", "logs", "log"], ["Audit", "audit", "audit"]];
const ICONS = { queue: "queue", exchange: "exchange", connection: "plug", user: "user", action: "play" };
/** What can be done from anywhere: label, where it is done. */
const ACTIONS = [["New queue", href("queues", { create: "1" })], ["New exchange", href("exchanges", { create: "1" })], ["New policy", href("policies", { create: "1" })], ["New user", href("users", { create: "1" })], ["New virtual host", href("vhosts", { create: "1" })]];
let open = false;

/** `actions`: more that can be done, [label, run]. */
export async function palette(actions = []) {
  if (open) return;
  open = true;
  let text = "";
  let found = [];
  let at = 0;
  let asked = 0;
  const fits = ([label]) => label.toLowerCase().includes(text.toLowerCase());
  const results = () => [...PAGES.filter(fits).map(([label, path, shown]) => ({ kind: "page", name: label, to: href(path), shown })), ...found, ...(text ? [...ACTIONS.filter(fits).map(([label, to]) => ({ kind: "action", name: label, to })), ...actions.filter(fits).map(([label, run]) => ({ kind: "action", name: label, to: label, run }))] : [])];
  await dialog("Go to", (close, redraw) => {
    const choose = (item) => {
      close();
      if (item.run) item.run();
      else go(item.to);
    };
    const type = async (event) => {
      text = event.target.value;
      at = 0;
      const mine = ++asked;
      if (text.length > 0) {
        const answer = await get("/api/console/search" + query({ q: text, limit: 20 })).catch(() => ({ items: [] }));
        if (mine !== asked) return;
        found = answer.items.map((item) => ({ ...item, to: item.vhost !== undefined && item.kind !== "connection" ? href(`${item.kind}s`, item.vhost, item.name || "amq.default") : href(`${item.kind}s`, item.name) }));
      } else found = [];
      redraw();
    };
    const keys = (event) => {
      const list = results();
      if (event.key === "ArrowDown") at = Math.min(list.length - 1, at + 1);
      else if (event.key === "ArrowUp") at = Math.max(0, at - 1);
      else if (event.key === "Enter" && list[at]) return choose(list[at]);
      else return;
      event.preventDefault();
      redraw();
    };
    return h("div.palette",
      h("input", { role: "combobox", "aria-expanded": "true", "aria-controls": "found", "aria-activedescendant": `found-${at}`, "aria-label": "Name of anything", placeholder: "Queue, exchange, connection, user, page, action…", oninput: type, onkeydown: keys, autofocus: true, autocomplete: "off", spellcheck: "false" }),
      h("ul", { id: "found", role: "listbox", "aria-label": "Matches" }, results().slice(0, 30).map((item, i) => h("li", {
        key: item.to + item.kind, id: `found-${i}`, role: "option", "aria-selected": String(i === at), onclick: () => choose(item),
      }, icon(item.shown ?? ICONS[item.kind]), h("span", item.label ?? item.name ?? ""), item.label && h("span.quiet", item.name), item.vhost && h("span.quiet", item.vhost), h("span.quiet.kind", item.kind)))));
  });
  open = false;
}
