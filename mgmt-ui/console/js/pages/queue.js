// One queue: how it does, its messages, who holds what, its bindings, and where each setting
// comes from.

import { h } from "../dom.js";
import { path, post, del } from "../api.js";
import { go, href, setQuery } from "../router.js";
import { bytes, duration, number, plural, rate, short } from "../format.js";
import { attempt, badge, button, card, confirmDestroy, empty, facts, field, figure, formDialog, notice, stateMark, tabs, time, toast } from "../ui.js";
import { chart, samples } from "../chart.js";
import { argumentEditor, argumentList, argumentsOf } from "../arguments.js";
import { features } from "./queues.js";
import { messageBrowser } from "../messages.js";
import { publishForm } from "../publish.js";
import { refresh } from "../live.js";

const SAMPLES = "?lengths_age=600&lengths_incr=5&msg_rates_age=600&msg_rates_incr=5";

export function queue(ctx) {
  const { vhost, name } = ctx.params;
  ctx.title(name);
  const url = path("queues", vhost, name);
  const state = { queue: null, bindings: [], settings: null, error: null, tab: "overview" };
  ctx.watch(url + SAMPLES, (data) => (state.queue = data), (error) => (state.error = error));
  ctx.watch(url + "/bindings", (data) => (state.bindings = data));
  ctx.watch(path("console", "queues", vhost, name, "settings"), (data) => (state.settings = data));
  const browser = messageBrowser(ctx, vhost, name);
  const publish = publishForm(ctx, { vhost, exchange: "", key: name });
  return {
    query: (query) => {
      state.tab = query.tab || "overview";
      if (state.tab === "messages") browser.load();
    },
    draw: () => {
      if (state.error?.status === 404) return [h("h1", name), empty("This queue is gone", `There is no queue ${name} in ${vhost}.`, h("a.button", { href: href("queues") }, "All queues"))];
      const q = state.queue;
      if (!q) return [h("h1", name), h("p.quiet", state.error ? state.error.message : "Loading…")];
      const bodies = { overview, consumers, bindings, settings, messages: () => browser.draw(), publish: () => publish.draw() };
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("queues") }, "Queues"), " / ", h("span", vhost)),
        h("div.pagehead", h("h1", name), stateMark(q.state), features(q), h("span.grow"),
          button("Purge", () => purge(q), { why: q.messages_ready ? undefined : "Nothing is ready" }),
          button("Delete", () => remove(q), { kind: "danger" })),
        tabs([["overview", "Overview"], ["messages", "Messages", q.messages_ready], ["consumers", "Consumers", q.consumers], ["bindings", "Bindings", state.bindings.length], ["settings", "Settings"], ["publish", "Publish"]], state.tab, (tab) => setQuery({ tab: tab === "overview" ? undefined : tab })),
        h("div", { role: "tabpanel", "aria-labelledby": `tab-${state.tab}`, key: state.tab }, bodies[state.tab](ctx, state)),
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

function overview(ctx, { queue: q }) {
  const stats = q.message_stats ?? {};
  const now = (key) => stats[`${key}_details`]?.rate ?? 0;
  const drain = now("ack") + now("deliver_no_ack") + now("get_no_ack") - now("publish");
  const eta = q.messages > 0 && drain > 0 ? duration((q.messages / drain) * 1000) : q.messages > 0 ? (q.consumers ? "not draining" : "no consumers") : "empty";
  return [
    h("div.figures",
      figure("Ready", short(q.messages_ready), bytes(q.message_bytes_ready ?? 0)),
      figure("Unacked", short(q.messages_unacknowledged), bytes(q.message_bytes_unacknowledged ?? 0)),
      figure("In", rate(now("publish"))), figure("Out", rate(now("deliver_get")), `${rate(now("ack"))} acked`),
      figure("Consumers", number(q.consumers), q.consumer_capacity !== undefined ? `${Math.round(q.consumer_capacity * 100)} % of the time ready` : undefined),
      figure("Drained in", eta, drain > 0 ? `at ${rate(drain)} net` : undefined)),
    h("div.columns",
      card("Depth", chart({ id: `depth-${q.vhost}-${q.name}`, label: "Depth", format: short, series: [["Ready", "messages_ready"], ["Unacked", "messages_unacknowledged"], ["Total", "messages"]].map(([name, key], i) => ({ name, color: i + 1, points: samples(q[`${key}_details`]) })), limits: q.arguments?.["x-max-length"] ? [{ name: "max-length", value: q.arguments["x-max-length"] }] : [] })),
      card("Rates", chart({ id: `rates-${q.vhost}-${q.name}`, label: "Message rates", format: rate, series: [["Publish", "publish"], ["Deliver", "deliver_get"], ["Ack", "ack"], ["Redeliver", "redeliver"]].map(([name, key], i) => ({ name, color: i + 1, points: samples(stats[`${key}_details`], "rate") })) }))),
    card("Facts", facts([
      ["Oldest message", q.head_message_timestamp ? time(q.head_message_timestamp * (q.head_message_timestamp < 1e11 ? 1000 : 1)) : "–"],
      ["Idle since", q.idle_since ? time(Date.parse(q.idle_since)) : "busy"], ["Type", q.type], ["Node", q.node],
      ["Policy", q.policy ? h("a", { href: href("policies", { filter: q.policy }) }, q.policy) : "none"], ["Operator policy", q.operator_policy ?? "none"],
      ["Arguments", argumentList(q.arguments)], ["Memory", bytes(q.memory)],
      ["Mean message size", q.messages ? bytes(q.message_bytes / q.messages) : "–"], ["Exclusive to", q.owner_pid_details?.name ?? "nobody"],
    ])),
  ];
}

function consumers(ctx, { queue: q }) {
  const list = q.consumer_details ?? [];
  if (!list.length) return empty("No consumers", "Messages wait here until a client consumes from this queue.");
  return h("div.scroll", h("table.plain", h("thead", h("tr", ["Tag", "Channel", "User", "Prefetch", "Acks", "Active"].map((label) => h("th", { scope: "col", key: label }, label || h("span.sr", "Actions"))))),
    h("tbody", list.map((c) => h("tr", { key: c.consumer_tag + c.channel_details?.name },
      h("td", h("code", c.consumer_tag)), h("td", h("a", { href: href("channels", c.channel_details?.name ?? "") }, c.channel_details?.name)), h("td", c.channel_details?.user ?? "–"),
      h("td.num", c.prefetch_count ? number(c.prefetch_count) : "unlimited"), h("td", c.ack_required ? "manual" : "automatic"), h("td", stateMark(c.activity_status ?? (c.active ? "up" : "waiting"))))))));
}

function bindings(ctx, { queue: q, bindings: list }) {
  const own = list.filter((b) => b.source !== "");
  const add = () => formDialog(`Bind ${q.name}`, { source: "", key: "", arguments: [] }, (v, set, redraw) => [
    field("From exchange", v.source, set("source"), { required: true, autofocus: true }), field("Routing key", v.key, set("key")), argumentEditor(v.arguments, "binding", redraw),
  ], async (v) => {
    await post(path("bindings", q.vhost, "e", v.source, "q", q.name), { routing_key: v.key, arguments: argumentsOf(v.arguments) });
    toast("Bound");
    refresh("/api/queues");
  }, { action: "Bind" });
  return [h("div.toolbar", h("span.quiet", plural(own.length, "binding"), ", besides the default exchange's"), h("span.grow"), button("Add binding", add, { kind: "primary" })),
    own.length ? h("div.scroll", h("table.plain", h("thead", h("tr", ["From exchange", "Routing key", "Arguments", ""].map((label) => h("th", { scope: "col", key: label }, label || h("span.sr", "Actions"))))),
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
  return [notice("", "Each value in force, and where it comes from. Change it with a ", h("a", { href: href("policies", { create: "1", pattern: `^${q.name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$` }) }, "policy"), " at any time; messages stay."),
    h("div.scroll", h("table.plain", h("thead", h("tr", ["Setting", "Value", "Source"].map((label) => h("th", { scope: "col", key: label }, label)))),
      h("tbody", list.settings.map((s) => h("tr", { key: s.key }, h("td", s.key), h("td", h("code", s.value === null ? "–" : String(s.value))), h("td", badge(...(names[s.source] ?? [s.source])), " ", s.name ?? ""))))))];
}
