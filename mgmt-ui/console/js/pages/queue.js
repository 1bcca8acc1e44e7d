// One queue: how it does, its messages, who holds what, its bindings, and where each setting
// comes from.

import { h } from "../dom.js";
import { path, post, del } from "../api.js";
import { go, href, setQuery } from "../router.js";
import { bytes, duration, number, plural, rate, short } from "../format.js";
import { attempt, badge, button, card, confirmDestroy, empty, facts, field, figure, formDialog, icon, stateMark, tabs, time, toast, heading } from "../ui.js";
import { chart, samples } from "../chart.js";
import { argumentEditor, argumentList, argumentsOf, bindingRequest } from "../arguments.js";
import { features } from "./queues.js";
import { messageBrowser } from "../messages.js";
import { publishForm } from "../publish.js";
import { consumerViews, pauseButton } from "../consumers.js";
import { queueMap } from "../map.js";
import { refresh } from "../live.js";
import { shownName } from "./exchanges.js";

// As far back as numbers of single objects are kept.
const RANGES = [["60", "1 min", 5], ["600", "10 min", 5], ["3600", "1 h", 60]];
const samplesOf = (range) => RANGES.filter(([age]) => age === range).map(([age, , incr]) => `?lengths_age=${age}&lengths_incr=${incr}&msg_rates_age=${age}&msg_rates_incr=${incr}`)[0];

export function queue(ctx) {
  const { vhost, name } = ctx.params;
  ctx.title(name);
  const url = path("queues", vhost, name);
  const state = { queue: null, bindings: [], settings: null, unacked: null, error: null, tab: "overview", range: "600", oldest: null };
  const holders = consumerViews(vhost, name);
  let unwatch = null;
  let stop = () => {};
  const follow = (range) => {
    stop();
    state.range = range;
    stop = ctx.watch(url + samplesOf(range), (data) => (state.queue = data), (error) => (state.error = error));
    ctx.redraw();
  };
  follow(state.range);
  // Who may not read the queue is not told the age of its messages.
  ctx.watch(path("console", "queues", vhost, name, "messages") + "?limit=1&max_bytes=0", (data) => (state.oldest = data.items[0] ?? {}), () => (state.oldest = null));
  ctx.watch(url + "/bindings", (data) => (state.bindings = data));
  ctx.watch(path("console", "queues", vhost, name, "settings"), (data) => (state.settings = data));
  const browser = messageBrowser(ctx, vhost, name);
  const publish = publishForm(ctx, { vhost, exchange: "", key: name, bound: true });
  return {
    query: (query) => {
      state.tab = query.tab || "overview";
      if (state.tab === "messages") browser.load();
      const holding = ["unacked", "consumers", "map"].includes(state.tab);
      if (holding && !unwatch) unwatch = ctx.watch(path("console", "queues", vhost, name, "unacked"), (data) => (state.unacked = data));
      else if (!holding && unwatch) {
        unwatch();
        unwatch = null;
      }
    },
    draw: () => {
      if (state.error?.status === 404) return [h("h1", name), empty("This queue is gone", `There is no queue ${name} in ${vhost}.`, h("a.button", { href: href("queues") }, "All queues"))];
      const q = state.queue;
      if (!q) return [h("h1", name), h("p.quiet", state.error ? state.error.message : "Loading…")];
      const bodies = { overview, map: () => queueMap(vhost, state, shownName), bindings, settings, consumers: () => holders.consumers(state.unacked), unacked: () => holders.unacked(state.unacked), messages: () => browser.draw(), publish: () => publish.draw() };
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("queues") }, "Queues"), " / ", h("span", vhost)),
        h("div.pagehead.object", h("h1", name), stateMark(q.paused ? "paused" : q.state), features(q), h("span.grow"), pauseButton(q),
          button("Purge", () => purge(q), { why: q.messages_ready ? undefined : "Nothing is ready" }),
          button("Delete", () => remove(q), { kind: "danger" })),
        tabs([["overview", "Overview"], ["messages", "Messages", q.messages_ready], ["unacked", "Unacked", q.messages_unacknowledged], ["consumers", "Consumers", q.consumers], ["bindings", "Bindings", state.bindings.length], ["map", "Map"], ["settings", "Settings"], ["publish", "Publish"]], state.tab, (tab) => setQuery({ tab: tab === "overview" ? undefined : tab })),
        h("div", { role: "tabpanel", "aria-labelledby": `tab-${state.tab}`, key: state.tab }, (bodies[state.tab] ?? bodies.overview)(ctx, state, follow)),
      ];
    },
  };

  async function purge(q) {
    if (!(await confirmDestroy(`Purge ${name}?`, [`${plural(q.messages_ready, "ready message")} (${bytes(q.message_bytes_ready ?? q.message_bytes)}) will be gone for good.`, `${plural(q.messages_unacknowledged, "unacked message")} stay with their consumers.`], "Purge", name))) return;
    await attempt(() => del(url + "/contents"), `Purged ${plural(q.messages_ready, "message")}`);
    refresh("/api/queues");
  }

  async function remove(q) {
    if (!(await confirmDestroy(`Delete ${name}?`, [`${plural(q.messages, "message")} will be gone for good; they are not dead-lettered.`, `${plural(q.consumers, "consumer")} will be cancelled, ${plural(state.bindings.length - 1, "binding")} removed.`], "Delete queue", q.messages || q.consumers ? name : undefined))) return;
    if (await attempt(() => del(url), `Queue ${name} is gone`)) go(href("queues"));
  }
}

function overview(ctx, { queue: q, range, oldest }, follow) {
  const stats = q.message_stats ?? {};
  const now = (key) => stats[`${key}_details`]?.rate ?? 0;
  const drain = now("ack") + now("deliver_no_ack") + now("get_no_ack") - now("publish");
  const drains = q.messages_ready > 0 && drain > 0;
  const eta = drains ? duration((q.messages_ready / drain) * 1000) : q.messages_ready > 0 ? (q.paused ? "paused" : q.consumers ? "not draining" : "no consumers") : "nothing waits";
  return [
    h("div.figures",
      figure("Ready", short(q.messages_ready), bytes(q.message_bytes_ready ?? 0)),
      figure("Unacked", short(q.messages_unacknowledged), bytes(q.message_bytes_unacknowledged ?? 0)),
      figure("In", rate(now("publish"))), figure("Out", rate(now("deliver_get")), `${rate(now("ack"))} acked`),
      figure("Consumers", number(q.consumers), q.single_active_consumer_tag ? "one at a time" : undefined),
      figure("Oldest", oldest?.enqueued_ms ? duration(Math.max(0, Date.now() - oldest.enqueued_ms)) : "–", oldest?.enqueued_ms ? "waits since then" : q.messages_ready ? "not to be read by you" : "nothing waits"),
      figure("Drained in", drains ? eta : "–", drains ? `at ${rate(drain)} net` : eta)),
    h("div.pagehead.section", h("h2", "Depth and rates"), h("div.segmented", { role: "group", "aria-label": "Time range" }, RANGES.map(([seconds, label]) => h("button", { key: seconds, type: "button", "aria-pressed": String(seconds === range), onclick: () => follow(seconds) }, label)))),
    h("div.columns.even",
      card("Depth", chart({ id: `depth-${q.vhost}-${q.name}`, label: "Depth", format: short, series: [["Ready", "messages_ready"], ["Unacked", "messages_unacknowledged"]].map(([name, key], i) => ({ name, color: i + 1, points: samples(q[`${key}_details`]) })), limits: q.arguments?.["x-max-length"] ? [{ name: "max-length", value: q.arguments["x-max-length"] }] : [] })),
      card("Rates", chart({ id: `rates-${q.vhost}-${q.name}`, label: "Message rates", format: rate, series: [["Publish", "publish"], ["Deliver", "deliver_get"], ["Ack", "ack"], ["Redeliver", "redeliver"]].map(([name, key], i) => ({ name, color: i + 1, points: samples(stats[`${key}_details`], "rate") })) }))),
    card("Facts", facts([
      ["Timestamp of the first message", q.head_message_timestamp ? time(q.head_message_timestamp * (q.head_message_timestamp < 1e11 ? 1000 : 1)) : "–"],
      ["Idle since", q.idle_since ? time(Date.parse(q.idle_since)) : "busy"], ["Type", q.type], ["Node", q.node],
      ["Policy", q.policy ? h("a", { href: href("policies", { filter: q.policy }) }, q.policy) : "none"], ["Operator policy", q.operator_policy ?? "none"],
      ["Arguments", argumentList(q.arguments)], ["Memory", bytes(q.memory)],
      ["Mean message size", q.messages ? bytes(q.message_bytes / q.messages) : "–"], ["Exclusive to", q.owner_pid_details?.name ?? "nobody"],
    ])),
  ];
}

function bindings(ctx, { queue: q, bindings: list }) {
  const own = list.filter((b) => b.source !== "");
  const add = () => formDialog(`Bind ${q.name}`, { source: "", key: "", arguments: [] }, (v, set, redraw) => [
    field("From exchange", v.source, set("source"), { required: true, autofocus: true }), field("Routing key", v.key, set("key")), argumentEditor(v.arguments, "binding", redraw),
  ], async (v) => {
    await post(path("bindings", q.vhost, "e", v.source, "q", q.name), { routing_key: v.key, arguments: argumentsOf(v.arguments) });
    toast("Bound");
    refresh("/api/queues");
  }, { action: "Bind", as: (v) => bindingRequest(q.vhost, v.source, "q", q.name, v) });
  return [h("div.toolbar", h("span.quiet", plural(own.length, "binding"), ", besides the default exchange's"), h("span.grow"), button("Add binding", add, { kind: "primary" })),
    own.length ? h("div.scroll", h("table.plain", h("thead", h("tr", ["From exchange", "Routing key", "Arguments", ""].map(heading))),
      h("tbody", own.map((b) => h("tr", { key: b.source + b.properties_key }, h("td", h("a", { href: href("exchanges", b.vhost, b.source) }, b.source)), h("td", h("code", b.routing_key)), h("td", argumentList(b.arguments)),
        h("td", button("Unbind", async () => {
          if (!(await confirmDestroy("Remove this binding?", [`Messages published to ${b.source} with key "${b.routing_key}" no longer reach ${q.name} this way.`], "Unbind"))) return;
          await attempt(() => del(path("bindings", b.vhost, "e", b.source, "q", q.name, b.properties_key)), "Unbound");
          refresh("/api/queues");
        }, { small: true }))))))) : empty("No bindings", `Only messages published to the default exchange with key "${q.name}" get here.`, button("Add binding", add, { kind: "primary" }))];
}

function settings(ctx, { queue: q, settings: list }) {
  if (!list) return h("p.quiet", "Loading…");
  const names = { argument: ["argument", "accent"], policy: ["policy", "good"], "operator policy": ["operator policy", "warn"], default: ["default", ""] };
  const units = { "message-ttl": duration, expires: duration, "consumer-timeout": duration, "max-length-bytes": bytes, "max-length": (n) => plural(n, "message") };
  const set = (s) => s.value !== null && s.value !== undefined;
  const shown = (s) => (!set(s) ? "–" : typeof s.value === "number" && units[s.key] ? [units[s.key](s.value), h("span.quiet.small", ` ${s.value}`)] : h("code", String(s.value)));
  return [h("p.aside", icon("help"), h("span", "Each value in force, and where it comes from. Change it with a ", h("a", { href: href("policies", { create: "1", pattern: `^${q.name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$` }) }, "policy"), " at any time; messages stay.")),
    h("div.scroll", h("table.plain", h("thead", h("tr", ["Setting", "Value", "Source"].map(heading))),
      h("tbody", [...list.settings].sort((a, b) => set(b) - set(a)).map((s) => h("tr", { key: s.key, class: set(s) ? "" : "unset" }, h("td", s.key), h("td", shown(s)), h("td", set(s) ? [badge(...(names[s.source] ?? [s.source])), " ", s.name ?? ""] : "not set")))))),
    list.policies && h("section", { "aria-label": "Policies that match" }, h("h2.between", "Policies that match, in order"), !list.policies.length ? h("p.quiet", "None: what is set comes from arguments.") :
      h("div.scroll", h("table.plain", h("thead", h("tr", ["Policy", "Pattern", "Priority", "Definition", ""].map(heading))),
        h("tbody", list.policies.map((p) => h("tr", { key: `${p.operator}|${p.name}`, class: p.in_force ? "" : "unset" }, h("td", h("a", { href: href("policies", { filter: p.name }) }, p.name), p.operator && [" ", badge("operator policy")]), h("td", h("code", p.pattern)), h("td.num", number(p.priority)), h("td", argumentList(p.definition)), h("td", p.in_force ? badge("in force", "good") : badge("outranked")))))))),
  ];
}
