// The route tester: why a message would or would not reach a queue, without publishing it.

import { h } from "../dom.js";
import { post } from "../api.js";
import { card, field } from "../ui.js";
import { argumentEditor, argumentsOf } from "../arguments.js";
import { routeView } from "../publish.js";

export function routeTest(ctx) {
  ctx.title("Route tester");
  const v = { vhost: ctx.vhost() || ctx.vhosts()[0] || "/", exchange: "", routing_key: "", headers: [] };
  let route = null;
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
    ],
  };
}
