// Limits of virtual hosts and users.

import { h } from "../dom.js";
import { path, put, del } from "../api.js";
import { number } from "../format.js";
import { attempt, button, card, confirmDestroy, field, formDialog, notice, toast, heading } from "../ui.js";
import { refresh } from "../live.js";

const KINDS = { vhost: { title: "Virtual hosts", url: "vhost-limits", names: ["max-connections", "max-queues"], key: "vhost" }, user: { title: "Users", url: "user-limits", names: ["max-connections", "max-channels"], key: "user" } };

export function limits(ctx) {
  ctx.title("Limits");
  const state = { vhost: null, user: null, error: null };
  for (const [id, kind] of Object.entries(KINDS)) ctx.watch(`/api/${kind.url}`, (data) => (state[id] = data), (error) => (state.error = error.message));
  const admin = ctx.may("administrator") ? undefined : "Needs the administrator tag";
  const add = (kind) => formDialog(`Limit a ${kind.key === "vhost" ? "virtual host" : "user"}`, { object: "", name: kind.names[0], value: "" }, (v, set) => [
    kind.key === "vhost" ? field("Virtual host", v.object || ctx.vhosts()[0], set("object"), { kind: "select", id: "limit-object", options: ctx.vhosts() }) : field("User", v.object, set("object"), { required: true, id: "limit-object" }),
    field("Limit", v.name, set("name"), { kind: "select", id: "limit-name", options: kind.names }), field("Value", v.value, set("value"), { kind: "number", required: true, id: "limit-value", hint: "0 allows none; a negative number lifts the limit." }),
  ], async (v) => {
    await put(path(kind.url, v.object || ctx.vhosts()[0], v.name), { value: Number(v.value) });
    toast("Limit set");
    refresh(`/api/${kind.url}`);
  }, { as: (v) => ({
    method: "PUT", url: path(kind.url, v.object || ctx.vhosts()[0], v.name), body: { value: Number(v.value) }, vhost: kind.key === "vhost" ? v.object || ctx.vhosts()[0] : undefined,
    admin: kind.key === "vhost" ? ["vhost_limits declare", { name: v.name, value: v.value }] : ["user_limits declare", { username: v.object, name: v.name, value: v.value }],
    definition: kind.key === "vhost" ? { parameters: [{ vhost: v.object || ctx.vhosts()[0], component: "vhost-limits", name: "limits", value: { [v.name]: Number(v.value) } }] } : null,
  }) });
  return {
    draw: () => [h("h1", "Limits"), state.error && notice("warn", state.error), Object.entries(KINDS).map(([id, kind]) => card(kind.title, { key: id, aside: button("Set a limit", () => add(kind), { small: true, kind: "primary", why: admin }) },
      !state[id] ? h("p.quiet", "…") : !state[id].length ? h("p.quiet", kind.key === "vhost" ? "No limits: a virtual host may have any number of connections and queues." : "No limits: a user may open any number of connections and channels.") : h("table.plain", h("thead", h("tr", ["Name", "Limit", "Value", ""].map(heading))),
        h("tbody", state[id].flatMap((entry) => Object.entries(entry.value).map(([name, value]) => h("tr", { key: entry[kind.key] + name }, h("td", entry[kind.key]), h("td", name), h("td", number(value)),
          h("td", button("Lift", async () => {
            if (!(await confirmDestroy("Lift this limit?", [`${entry[kind.key]}: ${name} is no longer limited to ${number(value)}.`], "Lift"))) return;
            await attempt(() => del(path(kind.url, entry[kind.key], name)), "Lifted");
            refresh(`/api/${kind.url}`);
          }, { small: true, why: admin }))))))))) ],
  };
}
