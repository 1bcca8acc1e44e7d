// One exchange: its rates, what is bound to it and what it is bound to, publishing to it.

import { h } from "../dom.js";
import { path, post, del } from "../api.js";
import { go, href, setQuery } from "../router.js";
import { number, plural, rate } from "../format.js";
import { attempt, button, card, confirmDestroy, empty, facts, field, figure, formDialog, tabs, toast, heading } from "../ui.js";
import { chart, samples } from "../chart.js";
import { argumentEditor, argumentList, argumentsOf, bindingRequest } from "../arguments.js";
import { builtIn as isBuiltIn, exchangeMarks, shownName } from "./exchanges.js";
import { exchangeMap } from "../map.js";
import { publishForm } from "../publish.js";
import { refresh } from "../live.js";

export function exchange(ctx) {
  const { vhost, name } = ctx.params;
  const real = name === "amq.default" ? "" : name;
  ctx.title(shownName(real));
  const url = path("exchanges", vhost, name);
  const state = { exchange: null, source: [], destination: [], error: null, tab: "overview" };
  ctx.watch(url + "?msg_rates_age=600&msg_rates_incr=5", (data) => (state.exchange = data), (error) => (state.error = error));
  ctx.watch(url + "/bindings/source", (data) => (state.source = data));
  ctx.watch(url + "/bindings/destination", (data) => (state.destination = data));
  const publish = publishForm(ctx, { vhost, exchange: real, key: "", bound: true });
  const map = exchangeMap(ctx, vhost, state, shownName);
  const builtIn = isBuiltIn(real);
  const add = () => formDialog(`Bind to ${shownName(real)}`, { type: "q", to: "", key: "", arguments: [] }, (v, set, redraw) => [
    field("To", v.type, set("type"), { kind: "select", options: [["q", "Queue"], ["e", "Exchange"]] }), field(v.type === "q" ? "Queue" : "Exchange", v.to, set("to"), { id: "f-to", required: true, autofocus: true }), field("Routing key", v.key, set("key")), argumentEditor(v.arguments, "binding", redraw),
  ], async (v) => {
    await post(path("bindings", vhost, "e", name, v.type, v.to), { routing_key: v.key, arguments: argumentsOf(v.arguments) });
    toast("Bound");
    refresh("/api/exchanges");
  }, { action: "Bind", as: (v) => bindingRequest(vhost, name, v.type, v.to, v) });
  const unbind = async (b) => {
    if (!(await confirmDestroy("Remove this binding?", [`${shownName(b.source)} no longer sends to ${b.destination_type} ${b.destination} by key "${b.routing_key}".`], "Unbind"))) return;
    await attempt(() => del(path("bindings", vhost, "e", b.source || "amq.default", b.destination_type === "queue" ? "q" : "e", b.destination, b.properties_key)), "Unbound");
    refresh("/api/exchanges");
  };
  const table = (list, from) => h("div.scroll", h("table.plain", h("thead", h("tr", [from ? "From" : "To", "Routing key", "Arguments", ""].map(heading))),
    h("tbody", list.slice(0, 500).map((b) => h("tr", { key: `${b.source}|${b.destination_type}|${b.destination}|${b.properties_key}` },
      h("td", from ? h("a", { href: href("exchanges", vhost, b.source || "amq.default") }, shownName(b.source)) : h("a", { href: href(b.destination_type === "queue" ? "queues" : "exchanges", vhost, b.destination) }, `${b.destination_type} ${b.destination}`)),
      h("td", h("code", b.routing_key)), h("td", argumentList(b.arguments)), h("td", b.source && button("Unbind", () => unbind(b), { small: true })))))), list.length > 500 && h("p.quiet", `The first 500 of ${plural(list.length, "binding")}.`));
  return {
    query: (query) => (state.tab = query.tab || "overview"),
    draw: () => {
      if (state.error?.status === 404) return [h("h1", shownName(real)), empty("This exchange is gone", `There is no exchange ${name} in ${vhost}.`, h("a.button", { href: href("exchanges") }, "All exchanges"))];
      const x = state.exchange;
      if (!x) return [h("h1", shownName(real)), h("p.quiet", state.error ? state.error.message : "Loading…")];
      const stats = x.message_stats ?? {};
      const bodies = {
        overview: () => [
          h("div.figures", figure("In", rate(stats.publish_in_details?.rate ?? 0), `${number(stats.publish_in ?? 0)} so far`), figure("Out", rate(stats.publish_out_details?.rate ?? 0), `${number(stats.publish_out ?? 0)} copies so far`), figure("Type", x.type), figure("Bindings", real ? number(state.source.length) : "all queues", real ? (state.destination.length ? `fed by ${plural(state.destination.length, "exchange")}` : "fed by clients") : undefined)),
          card("Rates", chart({ id: `x-${vhost}-${name}`, label: "Message rates", format: rate, series: [["In", "publish_in"], ["Out", "publish_out"]].map(([label, key], i) => ({ name: label, color: i + 1, points: samples(stats[`${key}_details`], "rate") })) })),
          card("Facts", facts([["Type", x.type], ["Arguments", argumentList(x.arguments)], ["Policy", x.policy ?? "none"], ["Declared by", x.user_who_performed_action || "–"]])),
        ],
        bindings: () => [h("div.toolbar", h("span.quiet", plural(state.source.length, "binding")), h("span.grow"), real && button("Add binding", add, { kind: "primary" })),
          !real ? h("p", "Every queue is bound to the default exchange by its own name.") : state.source.length ? table(state.source, false) : empty("Nothing is bound", "Messages published here reach no queue.", button("Add binding", add, { kind: "primary" })),
          state.destination.length > 0 && [h("h2", "Fed by"), table(state.destination, true)]],
        map: () => (real ? map() : h("p", "Every queue is bound to the default exchange by its own name.")),
        publish: () => publish.draw(),
      };
      const body = bodies[state.tab] ?? bodies.overview;
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("exchanges") }, "Exchanges"), " / ", h("span", vhost)),
        h("div.pagehead.object", h("h1", shownName(real)), exchangeMarks(x), h("span.grow"), h("a.button", { href: href("route", { vhost, exchange: real }) }, "Test routes"),
          button("Delete", async () => {
            if (!(await confirmDestroy(`Delete ${name}?`, [`${plural(state.source.length + state.destination.length, "binding")} will go with it.`], "Delete exchange", state.source.length ? name : undefined))) return;
            if (await attempt(() => del(url), `Exchange ${name} is gone`)) go(href("exchanges"));
          }, { kind: "danger", why: builtIn ? "Built-in exchanges stay" : undefined })),
        tabs([["overview", "Overview"], ["bindings", "Bindings", state.source.length], ["map", "Map"], ["publish", "Publish"]], state.tab, (tab) => setQuery({ tab: tab === "overview" ? undefined : tab })),
        h("div", { role: "tabpanel", "aria-labelledby": `tab-${state.tab}`, key: state.tab }, body()),
      ];
    },
  };
}
