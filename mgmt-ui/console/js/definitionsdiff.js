// What a definitions file would change, object by object: a comparison with what is there now.

import { h } from "./dom.js";
import { number, plural } from "./format.js";
import { badge } from "./ui.js";

/** The kinds of objects, what makes one the same as another, and what is not compared. */
const KINDS = [
  ["users", "user", (o) => [o.name]], ["vhosts", "virtual host", (o) => [o.name]], ["permissions", "permission", (o) => [o.user, o.vhost]], ["topic_permissions", "topic permission", (o) => [o.user, o.vhost, o.exchange]],
  ["parameters", "parameter", (o) => [o.component, o.name, o.vhost]], ["global_parameters", "global parameter", (o) => [o.name]], ["policies", "policy", (o) => [o.name, o.vhost]],
  ["queues", "queue", (o) => [o.name, o.vhost]], ["exchanges", "exchange", (o) => [o.name, o.vhost]],
  ["bindings", "binding", (o) => [o.source, o.destination_type, o.destination, o.routing_key, o.vhost, JSON.stringify(sorted(o.arguments ?? {}))]],
];
const LISTED = 200;

/** JSON with its names in order, for comparing. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const plain = (value) => value === undefined || value === null || value === "" || value === false || (typeof value === "object" && !Object.keys(value).length);

/** What differs between two descriptions of an object: [[field, before, after]]. */
function differences(before, after) {
  const fields = Object.keys(after).filter((field) => field !== "metadata" && field !== "limits");
  return fields.filter((field) => !same(before[field], after[field]) && !(plain(before[field]) && plain(after[field])) && !(field === "tags" && same([before.tags].flat().join(), [after.tags].flat().join()))).map((field) => [field, before[field], after[field]]);
}

/** What is in a virtual host: all else in a file is of no account when one is chosen. */
const IN_VHOST = new Set(["parameters", "policies", "queues", "exchanges", "bindings"]);

/** `{added, changed, unchanged}` of each kind; with a virtual host, all is taken to be there. */
export function compare(now, file, vhost) {
  const placed = (o) => (vhost ? { ...o, vhost } : o);
  return KINDS.filter(([key]) => !vhost || IN_VHOST.has(key)).map(([key, noun, identity]) => {
    const id = (o) => JSON.stringify(identity(placed(o)));
    const known = new Map((now[key] ?? []).map((o) => [id(o), placed(o)]));
    const result = { key, noun, added: [], changed: [], unchanged: 0 };
    for (const object of file[key] ?? []) {
      const before = known.get(id(object));
      const after = placed(object);
      const changes = before && differences(before, after);
      if (!before) result.added.push({ object: after });
      else if (changes.length) result.changed.push({ object: after, changes });
      else result.unchanged++;
    }
    return result;
  }).filter((kind) => kind.added.length || kind.changed.length || kind.unchanged);
}

function named(kind, o) {
  if (kind === "bindings") return `${o.source} → ${o.destination}${o.routing_key ? ` by ${o.routing_key}` : ""}`;
  if (kind === "permissions" || kind === "topic_permissions") return o.user;
  return o.name;
}

const shown = (field, value) => (/password/.test(field) ? "…" : plain(value) ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** The comparison as a page shows it. */
export function diffView(kinds) {
  const total = (what) => kinds.reduce((sum, kind) => sum + kind[what].length, 0);
  const unchanged = kinds.reduce((sum, kind) => sum + kind.unchanged, 0);
  const rows = kinds.flatMap((kind) => [...kind.changed.map((entry) => [kind, entry, true]), ...kind.added.map((entry) => [kind, entry, false])]);
  return h("div.diff",
    h("p", { role: "status" }, h("strong", `${plural(total("added"), "object")} new`), ", ", h("strong", `${number(total("changed"))} different`), `, ${number(unchanged)} as they are now. Nothing is deleted.`),
    rows.length > 0 && h("div.scroll", h("table.plain", h("thead", h("tr", ["", "Object", "What changes"].map((label) => h("th", { scope: "col", key: label }, label || h("span.sr", "Change"))))),
      h("tbody", rows.slice(0, LISTED).map(([kind, { object, changes }, changed]) => h("tr", { key: `${kind.key}|${JSON.stringify([object.name, object.user, object.vhost, object.source, object.destination, object.routing_key, object.component, object.arguments])}` },
        h("td", changed ? badge("different", "warn") : badge("new", "good")), h("td", h("span.quiet", `${kind.noun} `), h("strong", named(kind.key, object)), object.vhost && h("span.quiet.small", ` in ${object.vhost}`)),
        h("td", changed ? changes.map(([field, before, after]) => h("div", { key: field }, h("code", field), ": ", h("del", shown(field, before)), " → ", h("ins", shown(field, after)))) : h("span.quiet", "is created"))))))),
    rows.length > LISTED && h("p.quiet", `The first ${number(LISTED)} of ${number(rows.length)}.`));
}
