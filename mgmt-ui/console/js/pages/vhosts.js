// Virtual hosts: all of them, and one with its permissions.

import { h } from "../dom.js";
import { path, put, del } from "../api.js";
import { go, href, setQuery } from "../router.js";
import { number, plural, rate } from "../format.js";
import { attempt, badge, button, card, confirmDestroy, empty, facts, field, figure, formDialog, toast, heading } from "../ui.js";
import { refresh } from "../live.js";
import { permissionTable } from "./users.js";

export function vhosts(ctx) {
  ctx.title("Virtual hosts");
  let list = null;
  let error = null;
  ctx.watch("/api/vhosts", (data) => (list = data), (failure) => (error = failure.message));
  const admin = ctx.may("administrator") ? undefined : "Needs the administrator tag";
  const body = (v) => ({ description: v.description, tags: v.tags, ...(v.type ? { default_queue_type: v.type } : {}) });
  const create = () => formDialog("New virtual host", { name: "", description: "", tags: "", type: "" }, (v, set) => [
    field("Name", v.name, set("name"), { required: true, autofocus: true }), field("Description", v.description, set("description")), field("Tags", v.tags, set("tags"), { hint: "Words separated by commas." }),
    field("Default queue type", v.type, set("type"), { kind: "select", options: [["", "not set (classic)"], ["classic", "classic"], ["quorum", "quorum"]] }),
  ], async (v) => {
    await put(path("vhosts", v.name), body(v));
    toast(`Virtual host ${v.name} is there`);
    refresh("/api/vhosts");
  }, { action: "Create", as: (v) => ({
    method: "PUT", url: path("vhosts", v.name), body: body(v),
    admin: ["vhosts declare", { name: v.name, description: v.description || undefined, "default-queue-type": v.type || undefined }],
    definition: { vhosts: [{ name: v.name, ...body(v) }] },
  }) });
  return {
    query: (query) => {
      if (!query.create) return;
      setQuery({ create: undefined });
      create();
    },
    draw: () => [
      h("div.pagehead", h("h1", "Virtual hosts"), h("span.grow"), button("New virtual host", create, { kind: "primary", why: admin })),
      error && h("p", error),
      list && h("div.scroll", h("table.plain", h("thead", h("tr", ["Name", "Description", "Ready", "Unacked", "Publish", "Deliver", ""].map(heading))),
        h("tbody", list.map((v) => h("tr", { key: v.name }, h("td", h("a", { href: href("vhosts", v.name) }, v.name), " ", (v.tags ?? []).map((tag) => badge(tag)), v.tracing && badge("tracing", "warn")), h("td", v.description || h("span.quiet", "–")),
          h("td.num", number(v.messages_ready ?? 0)), h("td.num", number(v.messages_unacknowledged ?? 0)), h("td.num", rate(v.message_stats?.publish_details?.rate ?? 0)), h("td.num", rate(v.message_stats?.deliver_get_details?.rate ?? 0)),
          h("td", button("Delete", () => remove(v), { small: true, kind: "danger", why: admin }))))))),
    ],
  };
}

async function remove(v, after) {
  if (!(await confirmDestroy(`Delete virtual host ${v.name}?`, ["All its queues, exchanges, bindings, policies and permissions go with it.", `${plural(v.messages ?? 0, "message")} will be gone for good; clients in it are disconnected.`], "Delete virtual host", v.name))) return;
  if (await attempt(() => del(path("vhosts", v.name)), `Virtual host ${v.name} is gone`)) {
    refresh("/api/vhosts");
    after?.();
  }
}

export function vhost(ctx) {
  const { name } = ctx.params;
  ctx.title(name);
  const state = { vhost: null, permissions: [], error: null };
  ctx.watch(path("vhosts", name), (data) => (state.vhost = data), (error) => (state.error = error));
  if (ctx.may("administrator")) ctx.watch(path("vhosts", name, "permissions"), (data) => (state.permissions = data));
  return {
    draw: () => {
      const v = state.vhost;
      if (!v) return [h("h1", name), state.error ? empty("Not here", state.error.message, h("a.button", { href: href("vhosts") }, "All virtual hosts")) : h("p.quiet", "Loading…")];
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("vhosts") }, "Virtual hosts")),
        h("div.pagehead.object", h("h1", name), h("span.grow"),
          button("Delete", () => remove(v, () => go(href("vhosts"))), { kind: "danger", why: ctx.may("administrator") ? undefined : "Needs the administrator tag" })),
        h("div.figures", figure("Ready", number(v.messages_ready ?? 0)), figure("Unacked", number(v.messages_unacknowledged ?? 0)), figure("Publish", rate(v.message_stats?.publish_details?.rate ?? 0)), figure("Deliver", rate(v.message_stats?.deliver_get_details?.rate ?? 0))),
        card("Facts", facts([["Description", v.description || "–"], ["Tags", (v.tags ?? []).join(", ") || "–"], ["Default queue type", v.default_queue_type], ["Tracing", v.tracing ? "on" : "off"], ["Protected from deletion", v.protected_from_deletion ? "yes" : "no"]])),
        ctx.may("administrator") && card("Permissions", permissionTable(ctx, state.permissions, { vhost: name })),
      ];
    },
  };
}
