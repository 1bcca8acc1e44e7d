// The answer of the route tester: queues reached and each hop with its reason.

import { h } from "./dom.js";
import { plural } from "./format.js";
import { badge, icon, notice } from "./ui.js";

export function routeView(route) {
  if (!route) return h("p.quiet", "…");
  if (route.error) return notice("warn", route.error);
  const [first] = route.hops;
  if (first && !first.exchange && !first.routing_key) return h("p.quiet", "Name an exchange, or a queue as routing key, and this shows every hop.");
  return [
    route.queues.length ? h("p", `Reaches ${plural(route.queues.length, "queue")}: `, h("span.marks", route.queues.map((name) => badge(name, "good")))) : notice("warn", "Reaches no queue: the message would be dropped, or returned when mandatory."),
    h("ol.hops", route.hops.map((hop, i) => h("li", { key: i },
      h("header", icon("exchange"), h("strong", hop.exchange || "default exchange"), badge(hop.type), hop.routing_key && h("code", hop.routing_key)),
      // What matched comes first: the rest explains itself when asked.
      h("ul", [...hop.bindings].sort((a, b) => b.matched - a.matched).map((b, n) => h("li", { key: n, class: b.matched ? "yes" : "no" },
        icon(b.matched ? "ok" : "close"), h("span", h("span.sr", b.matched ? "matched: " : "not matched: "), h("span.quiet", `${b.destination_type} `), h("strong", b.destination), h("span.quiet", " by "), h("code", b.routing_key || "(empty key)"), b.why && h("div.quiet.small", b.why))))),
      hop.note && h("p.quiet.small", hop.note)))),
  ];
}
