// The way messages take around one exchange or queue: what feeds it, what it feeds, who consumes.
// Only its neighbours are drawn: a map of everything would be a map of nothing.

import { h } from "./dom.js";
import { path, query } from "./api.js";
import { href } from "./router.js";
import { number, peer, plural, rate } from "./format.js";
import { icon } from "./ui.js";

const HEIGHT = 58;
const GAP = 12;
const BETWEEN = 84;
/** Neighbours drawn on one side at most. */
const SHOWN = 40;
/** Longest regular expression the API takes. */
const PATTERN_MAX = 1000;

/**
 * Columns of nodes `{key, label, sub, to, icon, tone}` and edges `{column, from, to, rate}` from a node of a
 * column to one of the next, as keys.
 */
function draw(columns, edges, label) {
  const most = Math.max(...columns.map((nodes) => nodes.length), 1);
  const total = most * (HEIGHT + GAP) - GAP;
  const top = (nodes, i) => (total - (nodes.length * (HEIGHT + GAP) - GAP)) / 2 + i * (HEIGHT + GAP);
  const peak = Math.max(1, ...edges.map((edge) => edge.rate ?? 0));
  const wires = (column) => h("svg.wires", { key: `w${column}`, viewBox: `0 0 ${BETWEEN} ${total}`, "aria-hidden": "true", vars: { "--height": `${total}px` } },
    edges.filter((edge) => edge.column === column).map((edge) => {
      const [a, b] = [columns[column].findIndex((n) => n.key === edge.from), columns[column + 1].findIndex((n) => n.key === edge.to)];
      if (a < 0 || b < 0) return null;
      const [from, to] = [top(columns[column], a) + HEIGHT / 2, top(columns[column + 1], b) + HEIGHT / 2];
      const half = BETWEEN / 2;
      return h("path", { key: `${edge.from}|${edge.to}`, class: edge.rate > 0 ? "flows" : "", d: `M0 ${from} C${half} ${from} ${half} ${to} ${BETWEEN} ${to}`, vars: { "--width": (1.2 + 3.8 * Math.sqrt((edge.rate ?? 0) / peak)).toFixed(2) } });
    }));
  const column = (nodes, i) => h("ul", { key: `c${i}`, vars: { "--height": `${total}px` } }, nodes.map((node) => (node.space ? h("li.space", { key: node.key, role: "presentation" }) : h("li", { key: node.key, class: node.tone ?? "" },
    h(node.to ? "a" : "div", { href: node.to, title: node.title ?? node.label, class: "node" }, icon(node.icon), h("span", h("strong", node.label), h("small", node.sub ?? "")))))));
  return h("div.map", { role: "group", "aria-label": label, tabindex: 0 }, columns.flatMap((nodes, i) => (i ? [wires(i - 1), column(nodes, i)] : [column(nodes, i)])));
}

const escape = (name) => name.replace(/[.*+?^${}()|[\]\\"]/g, "\\$&");

/** Figures of these queues, live, as long as their names fit into one question. */
function watchQueues(ctx, vhost, queues, see) {
  const pattern = `name~^(?:${queues.map(escape).join("|")})$`;
  if (!queues.length || pattern.length > PATTERN_MAX || queues.some((name) => name.includes('"'))) return () => {};
  const columns = "name,messages_ready,consumers,paused,message_stats.publish_details.rate,message_stats.deliver_get_details.rate";
  return ctx.watch(path("queues", vhost) + query({ page: 1, page_size: 100, filter: `"${pattern}"`, columns }), (data) => see(new Map(data.items.map((q) => [q.name, q]))));
}

function consumersOf(q) {
  const key = `consumers of ${q.name}`;
  const out = q.message_stats?.deliver_get_details?.rate ?? 0;
  if (q.paused) return { key, label: "Paused", sub: `${number(q.messages_ready)} held back`, icon: "pause", tone: "warn" };
  if (!q.consumers) return { key, label: "Nobody", sub: q.messages_ready ? `${number(q.messages_ready)} wait` : "consumes", icon: "consumer", tone: q.messages_ready ? "warn" : "idle" };
  return { key, label: plural(q.consumers, "consumer"), sub: q.messages_ready ? `${rate(out)}, ${number(q.messages_ready)} wait` : rate(out), icon: "consumer" };
}

/** The map around an exchange. `state` has `exchange`, `source` and `destination` bindings. */
export function exchangeMap(ctx, vhost, state, shownName) {
  let stats = new Map();
  let watched = "";
  let stop = () => {};
  return () => {
    const x = state.exchange;
    const now = (key) => x.message_stats?.[`${key}_details`]?.rate ?? 0;
    const to = new Map();
    for (const b of state.source) {
      const key = `${b.destination_type} ${b.destination}`;
      const known = to.get(key) ?? { ...b, keys: [] };
      known.keys.push(b.routing_key);
      to.set(key, known);
    }
    const shown = [...to.entries()].slice(0, SHOWN);
    const queues = shown.filter(([, b]) => b.destination_type === "queue").map(([, b]) => b.destination);
    if (queues.join("\n") !== watched) {
      watched = queues.join("\n");
      stop();
      stop = watchQueues(ctx, vhost, queues, (found) => (stats = found));
    }
    const feeds = [...new Map(state.destination.map((b) => [b.source, b])).values()].slice(0, SHOWN);
    const left = [{ key: "publishers", label: "Publishers", sub: rate(now("publish_in")), icon: "out" }, ...feeds.map((b) => ({ key: `exchange ${b.source}`, label: shownName(b.source), sub: `by ${b.routing_key || "(empty key)"}`, icon: "exchange", to: href("exchanges", vhost, b.source || "amq.default") }))];
    const keys = (b) => (b.keys.length > 2 ? plural(b.keys.length, "key") : b.keys.map((key) => key || "(empty key)").join(", "));
    const right = shown.map(([key, b]) => ({ key, label: b.destination, sub: `by ${keys(b)}`, icon: b.destination_type, to: href(b.destination_type === "queue" ? "queues" : "exchanges", vhost, b.destination) }));
    const flow = (name) => stats.get(name)?.message_stats?.publish_details?.rate ?? 0;
    // One place for each destination, so that every queue has its consumers beside it.
    const ends = shown.map(([key, b]) => (b.destination_type === "queue" && stats.has(b.destination) ? consumersOf(stats.get(b.destination)) : { key: `beside ${key}`, space: true }));
    const me = { key: "me", label: shownName(x.name), sub: `${x.type}, ${rate(now("publish_out"))} out`, icon: "exchange", tone: "me" };
    const edges = [
      ...left.map((node) => ({ column: 0, from: node.key, to: "me", rate: node.key === "publishers" ? now("publish_in") : 0 })),
      ...shown.map(([key, b]) => ({ column: 1, from: "me", to: key, rate: b.destination_type === "queue" ? flow(b.destination) : 0 })),
      ...queues.map((name) => ({ column: 2, from: `queue ${name}`, to: `consumers of ${name}`, rate: stats.get(name)?.message_stats?.deliver_get_details?.rate ?? 0 })),
    ];
    return [draw([left, [me], right, ends], edges, `What feeds ${shownName(x.name)} and what it feeds`), to.size > SHOWN && h("p.quiet", `The first ${SHOWN} of ${plural(to.size, "destination")}.`)];
  };
}

/** The map around a queue. `state` has `queue`, `bindings` and `unacked`. */
export function queueMap(vhost, state, shownName) {
  const q = state.queue;
  const now = (key) => q.message_stats?.[`${key}_details`]?.rate ?? 0;
  const from = new Map();
  for (const b of state.bindings) from.set(b.source, [...(from.get(b.source) ?? []), b.routing_key]);
  const left = [...from.entries()].slice(0, SHOWN).map(([source, keys]) => ({ key: `exchange ${source}`, label: shownName(source), sub: source ? `by ${keys.map((key) => key || "(empty key)").slice(0, 2).join(", ")}${keys.length > 2 ? " …" : ""}` : "by its own name", icon: "exchange", to: href("exchanges", vhost, source || "amq.default") }));
  const me = { key: "me", label: q.name, sub: `${number(q.messages_ready)} ready, ${rate(now("publish"))} in`, icon: "queue", tone: "me" };
  const consumers = (state.unacked?.consumers ?? []).slice(0, SHOWN);
  const right = consumers.map((c) => ({ key: `${c.channel}|${c.consumer_tag}`, label: c.client || c.consumer_tag, sub: c.paused ? "paused" : `${number(c.in_flight)} unacked${c.prefetch ? ` of ${number(c.prefetch)}` : ""}`, title: peer(c.channel), icon: "consumer", tone: c.paused || (c.prefetch && c.in_flight >= c.prefetch) ? "warn" : "", to: c.channel ? href("channels", c.channel) : undefined }));
  if (!consumers.length) right.push({ key: "nobody", label: "Nobody", sub: q.messages_ready ? `${number(q.messages_ready)} wait` : "consumes", icon: "consumer", tone: q.messages_ready ? "warn" : "idle" });
  const dead = q.effective_policy_definition?.["dead-letter-exchange"] ?? q.arguments?.["x-dead-letter-exchange"];
  if (dead !== undefined) right.push({ key: "dead", label: shownName(dead), sub: "dead letters", icon: "exchange", to: href("exchanges", vhost, dead || "amq.default") });
  const each = now("deliver_get") / Math.max(1, consumers.length);
  const edges = [...left.map((node) => ({ column: 0, from: node.key, to: "me", rate: now("publish") / Math.max(1, left.length - 1) * (node.key === "exchange " ? 0 : 1) })), ...right.map((node) => ({ column: 1, from: "me", to: node.key, rate: node.key === "dead" || node.key === "nobody" ? 0 : each }))];
  return draw([left, [me], right], edges, `What feeds ${q.name} and who consumes from it`);
}
