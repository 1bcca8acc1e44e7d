// The route tester: why a message would or would not reach a queue, without publishing it.

import { h } from "../dom.js";
import { post } from "../api.js";
import { card, field, time } from "../ui.js";
import { argumentEditor, argumentsOf } from "../arguments.js";
import { routeView } from "../publish.js";
import { href } from "../router.js";

export function routeTest(ctx) {
  ctx.title("Route tester");
  const v = { vhost: ctx.vhost() || ctx.vhosts()[0] || "/", exchange: "", routing_key: "", headers: [] };
  let route = null;
  let unroutable = [];
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
  ctx.watch("/api/console/unroutable", (data) => (unroutable = data.items));
  test();
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
          field("Exchange", v.exchange, set("exchange"), { id: "filter", hint: "Empty is the default exchange." }), field("Routing key", v.routing_key, set("routing_key")),
          argumentEditor(v.headers, "headers", () => { test(); ctx.redraw(); }, "Headers")),
        card("Result", routeView(route))),
      card("Recently unroutable", unroutable.length ? h("div.scroll", h("table.plain", h("thead", h("tr", ["When", "Virtual host", "Exchange", "Routing key", "Count"].map((label) => h("th", { scope: "col", key: label }, label)))),
        h("tbody", unroutable.map((u) => h("tr", { key: `${u.vhost} ${u.exchange} ${u.routing_key}` }, h("td", time(u.last_ms)), h("td", u.vhost), h("td", h("a", { href: href("route", { vhost: u.vhost, exchange: u.exchange, key: u.routing_key }) }, u.exchange || "default")), h("td", h("code", u.routing_key)), h("td.num", u.count)))))) : h("p.quiet", "Nothing published lately reached no queue.")),
    ],
  };
}
