// Who changed what: definitions, and an operator's hand on messages and clients.

import { h } from "../dom.js";
import { query as search } from "../api.js";
import { href, setQuery } from "../router.js";
import { number } from "../format.js";
import { badge, empty, heading, icon, notice, time } from "../ui.js";

const WORDS = ["deleted", "user.", "policy.", "queue.purged", "over:http"];
const PAGES = { queue: "queues", messages: "queues", replay: "queues", exchange: "exchanges", binding: "exchanges" };

/** Where the object of a change is shown, if it is likely to be there still. */
function where({ action, vhost, name }) {
  const kind = action.split(".")[0];
  if (action.endsWith("deleted") && kind !== "messages") return null;
  if (PAGES[kind]) return href(PAGES[kind], vhost, name || "amq.default");
  if (kind === "user" || kind === "permission") return href("users", name);
  if (kind === "vhost") return href("vhosts", name);
  if (kind === "policy" || kind === "operator") return href("policies", { filter: name });
  return null;
}

const tone = (action) => (/deleted|purged|cleared|closed|cancelled/.test(action) ? "bad" : /created|declared/.test(action) ? "good" : "");

export function audit(ctx) {
  ctx.title("Audit");
  const state = { data: null, filter: "", error: null };
  const allowed = ctx.may("monitoring");
  let asked = null;
  let stop = () => {};
  let typing = 0;
  const type = (event) => {
    clearTimeout(typing);
    const filter = event.target.value;
    typing = setTimeout(() => setQuery({ filter: filter || undefined }), 200);
  };
  return {
    query: (query) => {
      const filter = query.filter ?? "";
      if (!allowed || filter === asked) return;
      asked = filter;
      state.filter = filter;
      stop();
      stop = ctx.watch("/api/console/audit" + search({ filter: filter.replace("over:", "") }), (data) => (state.data = data), (error) => (state.error = error.message));
    },
    draw: () => {
      const items = (state.data?.items ?? []).filter((c) => !ctx.vhost() || !c.vhost || c.vhost === ctx.vhost());
      return [
        h("h1", "Audit"), h("p.quiet", "Who changed what over AMQP and the HTTP API: definitions, purged and moved messages, closed connections. The last 1,000 since the node started."),
        !allowed ? notice("warn", "Reading the audit needs the monitoring or the administrator tag.") : [
          h("div.toolbar", h("form.search", { role: "search", onsubmit: (event) => event.preventDefault() }, icon("search"), h("input", { id: "filter", type: "search", "aria-label": "Filter changes", placeholder: "user, name, deleted, policy…", value: state.filter, oninput: type, spellcheck: "false", "aria-describedby": "filter-words" }),
            h("div.words", { id: "filter-words", "aria-label": "Filters to start from" }, WORDS.map((word) => h("button", { key: word, type: "button", onclick: () => setQuery({ filter: word }) }, word)))),
          state.data && h("span.quiet.counted", { role: "status" }, state.filter ? `${number(items.length)} of ${number(state.data.total)}` : number(items.length) + " changes")),
          state.error ? notice("bad", state.error) : !state.data ? h("p.quiet", "Loading…") : !items.length ? empty(state.filter ? "No change fits" : "Nothing was changed yet", state.filter ? "None of the remembered changes has all these words." : "Declare a queue, or add a user: it appears here at once.") :
            h("div.scroll", h("table.plain", h("thead", h("tr", ["When", "Who", "What", "Object", "Details"].map(heading))),
              h("tbody", items.map((c) => h("tr", { key: c.number }, h("td", time(c.at_ms)), h("td", c.user === "rmq-internal" ? h("span.quiet", "the broker itself") : [h("strong", c.user), " ", badge(c.over === "http" ? "HTTP" : "AMQP")]), h("td", badge(c.action.replaceAll(".", " "), tone(c.action))),
                h("td", where(c) ? h("a", { href: where(c) }, c.name || "(default)") : c.name, c.vhost && h("span.quiet.small", ` in ${c.vhost}`)), h("td.details", h("code", c.details))))))),
        ],
      ];
    },
  };
}
