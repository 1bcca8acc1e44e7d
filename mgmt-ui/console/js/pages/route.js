// The route tester: why a message would or would not reach a queue, without publishing it.

import { h } from "../dom.js";
import { post } from "../api.js";
import { href } from "../router.js";
import { number, peer } from "../format.js";
import { badge, button, card, field, time, heading } from "../ui.js";
import { argumentEditor, argumentsOf } from "../arguments.js";
import { liveTrace } from "../livetrace.js";
import { names } from "../names.js";
import { routeView } from "../routeview.js";

export function routeTest(ctx) {
  ctx.title("Route tester");
  const v = { vhost: ctx.vhost() || ctx.vhosts()[0] || "/", exchange: "", routing_key: "", headers: [] };
  const list = names(ctx);
  const tracing = liveTrace(ctx, () => v);
  let route = null;
  let lost = null;
  let timer = 0;
  const test = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        route = await post("/api/console/route-test", { ...v, headers: argumentsOf(v.headers) });
      } catch (error) {
        route = { error: error.message };
      }
      ctx.redraw();
    }, 150);
  };
  const set = (name) => (value) => {
    v[name] = value;
    test();
    ctx.redraw();
  };
  test();
  ctx.watch("/api/console/unroutable", (data) => (lost = data.items));
  return {
    query: (query) => {
      if (query.exchange !== undefined && query.exchange !== v.exchange) {
        Object.assign(v, { vhost: query.vhost || v.vhost, exchange: query.exchange, routing_key: query.key ?? "" });
        test();
      }
    },
    draw: () => [
      h("h1", "Route tester"), h("p.quiet", "Where would a message go, and why? Every hop is shown: bindings between exchanges and alternate exchanges too. Nothing is published."),
      h("div.columns",
        card("Message",
          ctx.vhosts().length > 1 && field("Virtual host", v.vhost, set("vhost"), { kind: "select", options: ctx.vhosts() }),
          list("route-exchanges", "exchanges", v.vhost), field("Exchange", v.exchange, set("exchange"), { id: "filter", list: "route-exchanges", hint: "Empty is the default exchange." }), field("Routing key", v.routing_key, set("routing_key")),
          argumentEditor(v.headers, "headers", () => { test(); ctx.redraw(); }, "Headers")),
        card("Result", routeView(route))),
      tracing(),
      unroutable(),
    ],
  };

  /** What clients published lately that reached no queue: each can be tried above. */
  function unroutable() {
    const items = (lost ?? []).filter((item) => !ctx.vhost() || item.vhost === ctx.vhost());
    const attempt = (item) => {
      Object.assign(v, { vhost: item.vhost, exchange: item.exchange, routing_key: item.routing_key });
      test();
      ctx.redraw();
      scrollTo({ top: 0 });
    };
    return card("Reached no queue lately", !lost ? h("p.quiet", "Loading…") : !items.length ? h("p.quiet", "Nothing has gone astray: every message published since the start found a queue.") :
      h("div.scroll", h("table.plain", h("thead", h("tr", ["Exchange", "Routing key", "Messages", "Fate", "Last", "Publisher", ""].map(heading))),
        h("tbody", items.map((item) => h("tr", { key: `${item.vhost}|${item.exchange}|${item.routing_key}|${item.returned}` },
          h("td", item.exchange ? h("a", { href: href("exchanges", item.vhost, item.exchange) }, item.exchange) : h("span.quiet", "default"), ctx.vhosts().length > 1 && h("span.quiet.small", ` ${item.vhost}`)),
          h("td", h("code", item.routing_key || "(empty)")), h("td.num", number(item.messages)), h("td", item.returned ? badge("returned", "", "mandatory was set: the publisher got it back") : badge("dropped", "warn", "nobody was told")), h("td", time(item.last_ms)),
          h("td", item.connection ? h("a", { href: href("connections", item.connection), title: item.connection }, peer(item.connection)) : h("span.quiet", "gone, or by hand")), h("td", button("Why?", () => attempt(item), { small: true, title: `Test the route of ${item.routing_key || "the empty key"}` }))))))));
  }
}
