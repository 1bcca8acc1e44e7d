// Definitions: export, and import with a look at what it would change.

import { h } from "../dom.js";
import { get, post, path } from "../api.js";
import { plural } from "../format.js";
import { attempt, button, card, download, field, notice, toast } from "../ui.js";
import { compare, diffView } from "../definitionsdiff.js";
import { refresh } from "../live.js";

export function definitions(ctx) {
  ctx.title("Definitions");
  const state = { over: false, totals: null, text: "", name: "", parsed: null, error: null, result: null, busy: false, ignored: [] };
  const url = () => (ctx.vhost() ? path("definitions", ctx.vhost()) : "/api/definitions");
  const read = async (file) => {
    Object.assign(state, { name: file.name, result: null, error: null, parsed: null });
    try {
      state.parsed = JSON.parse(await file.text());
    } catch (error) {
      state.error = `${file.name} is not JSON: ${error.message}`;
    }
    ctx.redraw();
  };
  const send = async (dry) => {
    state.busy = true;
    state.error = null;
    ctx.redraw();
    try {
      // The broker checks the whole file as an import would; the comparison says what that means.
      const answer = await post(url() + (dry ? "?dry_run=true" : ""), state.parsed);
      state.ignored = answer?.ignored ?? [];
      state.result = dry ? compare(await get(url()), state.parsed, ctx.vhost()) : null;
      if (!dry) {
        toast("Definitions imported");
        state.parsed = null;
        refresh("/api/");
      }
    } catch (error) {
      state.error = error.message;
    }
    state.busy = false;
    ctx.redraw();
  };
  const drop = (event) => {
    event.preventDefault();
    state.over = false;
    if (event.dataTransfer?.files[0]) read(event.dataTransfer.files[0]);
    ctx.redraw();
  };
  const over = (on) => (event) => {
    event.preventDefault();
    if (state.over === on) return;
    state.over = on;
    ctx.redraw();
  };
  ctx.watch("/api/overview?columns=object_totals", (data) => (state.totals = data.object_totals));
  const words = (key) => key.replaceAll("_", " ").replace("vhosts", "virtual hosts");
  const counts = () => Object.entries(state.parsed ?? {}).filter(([, value]) => Array.isArray(value) && value.length).map(([key, value]) => plural(value.length, words(key).replace(/ies$/, "y").replace(/s$/, ""), words(key)));
  return {
    draw: () => [
      h("h1", "Definitions"), h("p.quiet", "Users, virtual hosts, permissions, parameters, policies, queues, exchanges and bindings as one JSON file, in RabbitMQ's format, both ways."),
      h("div.columns",
        card("Export", h("p", ctx.vhost() ? `Everything in virtual host ${ctx.vhost()}.` : "Everything on this broker", !ctx.vhost() && (state.totals ? `, ${plural(state.totals.queues ?? 0, "queue")} and ${plural(state.totals.exchanges ?? 0, "exchange")} among it.` : ".")), h("p.quiet", "Passwords only as salted hashes. Messages are not part of it."), button("Download definitions", () => attempt(async () => download(`definitions-${new Date().toISOString().slice(0, 10)}.json`, JSON.stringify(await get(url()), null, 2)), "Downloaded"), { kind: "primary" })),
        card("Import", h("div", { class: `field drop ${state.over ? "over" : ""}`, ondragover: over(true), ondragleave: over(false), ondrop: drop }, h("label", { for: "file" }, "Definitions file, dropped here or chosen"), h("input", { id: "file", type: "file", accept: ".json,application/json", onchange: (event) => event.target.files[0] && read(event.target.files[0]) })),
          state.error && notice("bad", state.error),
          state.parsed && [h("p", `${state.name}: ${counts().join(", ") || "nothing"}.`), h("p.quiet", "Importing adds and changes; it deletes nothing. All or nothing: one bad entry refuses the whole file."),
            state.result && [notice("good", h("strong", "The file is sound. "), "Importing it would change this:"), state.ignored.length > 0 && notice("warn", h("strong", "Without effect here: "), state.ignored.slice(0, 20).join("; "), state.ignored.length > 20 && " …"), diffView(state.result)],
            h("div.actions", button("Try without changing", () => send(true), { why: state.busy ? "Working…" : undefined }), button("Import", () => send(false), { kind: "primary", why: state.busy ? "Working…" : undefined }))])),
    ],
  };
}
