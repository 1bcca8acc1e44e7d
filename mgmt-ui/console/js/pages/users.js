// Users, their permissions, and a tester that says what a user may do with a name.

import { h } from "../dom.js";
import { path, put, del } from "../api.js";
import { go, href, setQuery } from "../router.js";
import { attempt, badge, button, card, confirmDestroy, empty, facts, field, formDialog, notice, toast, heading } from "../ui.js";
import { refresh } from "../live.js";
import { plural } from "../format.js";

const TAGS = ["administrator", "monitoring", "policymaker", "management", "impersonator"];
const tagsOf = (user) => (Array.isArray(user.tags) ? user.tags : String(user.tags ?? "").split(",").filter(Boolean));

export function users(ctx) {
  ctx.title("Users");
  let list = null;
  let error = null;
  ctx.watch("/api/users", (data) => (list = data), (failure) => (error = failure.message));
  return {
    query: (query) => {
      if (!query.create) return;
      setQuery({ create: undefined });
      edit();
    },
    draw: () => [
      h("div.pagehead", h("h1", "Users"), h("span.grow"), button("New user", () => edit(), { kind: "primary", why: ctx.may("administrator") ? undefined : "Needs the administrator tag" })),
      error ? notice("warn", error) : !list ? h("p.quiet", "Loading…") : h("div.scroll", h("table.plain", h("thead", h("tr", ["Name", "Tags", "Password", "Limits", ""].map(heading))),
        h("tbody", list.map((u) => h("tr", { key: u.name }, h("td", h("a", { href: href("users", u.name) }, u.name)), h("td", tagsOf(u).map((tag) => badge(tag, tag === "administrator" ? "accent" : ""))), h("td", u.password_hash ? "set" : h("span.quiet", "none: no login by password")), h("td", Object.entries(u.limits ?? {}).map(([k, v]) => badge(`${k} ${v}`))),
          h("td", button("Delete", () => remove(u), { small: true, kind: "danger", why: u.name === ctx.user.name ? "That is you" : undefined }))))))),
    ],
  };
}

async function remove(u, after) {
  if (!(await confirmDestroy(`Delete user ${u.name}?`, ["Its permissions go with it; its connections are closed."], "Delete user", u.name))) return;
  if (await attempt(() => del(path("users", u.name)), `User ${u.name} is gone`)) {
    refresh("/api/users");
    after?.();
  }
}

function edit(user) {
  const values = { name: user?.name ?? "", password: "", again: "", tags: new Set(user ? tagsOf(user) : []), keep: !!user };
  const body = (v, password) => ({ tags: [...v.tags].join(","), ...(v.keep ? { password_hash: user.password_hash, hashing_algorithm: user.hashing_algorithm } : { password }) });
  return formDialog(user ? `Change ${user.name}` : "New user", values, (v, set, redraw) => [
    !user && field("Name", v.name, set("name"), { required: true, autofocus: true, id: "user-name" }),
    user && field("Keep the password", v.keep, set("keep"), { kind: "checkbox" }),
    !v.keep && [field("Password", v.password, set("password"), { kind: "password", autocomplete: "new-password", id: "new-password", required: true }), field("Password again", v.again, set("again"), { kind: "password", autocomplete: "new-password", error: v.again && v.again !== v.password ? "Not the same" : undefined })],
    h("fieldset.arguments", h("legend", "Tags: what the user may do here"), TAGS.map((tag) => field(tag, v.tags.has(tag), (on) => { on ? v.tags.add(tag) : v.tags.delete(tag); redraw(); }, { kind: "checkbox", id: `tag-${tag}` }))),
  ], async (v) => {
    if (!v.keep && v.password !== v.again) throw new Error("The two passwords are not the same");
    await put(path("users", user?.name ?? v.name), body(v, v.password));
    toast(user ? "Changed" : `User ${v.name} is there. Give it permissions next.`);
    refresh("/api/users");
    if (!user) go(href("users", v.name));
  }, { action: user ? "Save" : "Create user", as: (v) => ({
    // A password that was typed is nobody else's business.
    method: "PUT", url: path("users", user?.name ?? v.name), body: body(v, "PASSWORD"),
    admin: ["users declare", { name: user?.name ?? v.name, tags: [...v.tags].join(","), ...(v.keep ? { "password-hash": user.password_hash } : { password: "PASSWORD" }) }],
    definition: v.keep ? { users: [{ name: user.name, ...body(v), tags: [...v.tags] }] } : null,
  }) });
}

export function user(ctx) {
  const { name } = ctx.params;
  ctx.title(name);
  const state = { user: null, permissions: [], topics: [], error: null };
  const tester = { vhost: "/", name: "", chosen: false };
  ctx.watch(path("users", name), (data) => (state.user = data), (error) => (state.error = error));
  ctx.watch(path("users", name, "permissions"), (data) => {
    // It begins where the user may do anything.
    if (!tester.chosen && data.length) tester.vhost = data[0].vhost;
    state.permissions = data;
  });
  ctx.watch(path("users", name, "topic-permissions"), (data) => (state.topics = data));
  return {
    draw: () => {
      const u = state.user;
      if (!u) return [h("h1", name), state.error ? empty("Not here", state.error.message, h("a.button", { href: href("users") }, "All users")) : h("p.quiet", "Loading…")];
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("users") }, "Users")),
        h("div.pagehead.object", h("h1", name), tagsOf(u).map((tag) => badge(tag)), h("span.grow"), button("Change", () => edit(u)), button("Delete", () => remove(u, () => go(href("users"))), { kind: "danger", why: name === ctx.user.name ? "That is you" : undefined })),
        card("Facts", facts([["Password", u.password_hash ? `set (${hashing(u.hashing_algorithm)})` : "none"], ["Limits", Object.entries(u.limits ?? {}).map(([k, v]) => `${k} ${v}`).join(", ") || "none"]])),
        card("Permissions", permissionTable(ctx, state.permissions, { user: name })),
        card("May it?", h("p.quiet", "Type the name of a queue or exchange to see what this user may do with it."),
          h("div.columns", field("Virtual host", tester.vhost, (v) => { Object.assign(tester, { vhost: v, chosen: true }); ctx.redraw(); }, { kind: "select", id: "tester-vhost", options: ctx.vhosts().length ? ctx.vhosts() : ["/"] }), field("Name", tester.name, (v) => { tester.name = v; ctx.redraw(); }, { id: "tester-name" })), verdict(state.permissions, tester)),
        state.topics.length > 0 && card("Topic permissions", h("div.scroll", h("table.plain", h("thead", h("tr", ["Virtual host", "Exchange", "Write", "Read"].map(heading))), h("tbody", state.topics.map((t) => h("tr", { key: t.vhost + t.exchange }, h("td", t.vhost), h("td", t.exchange), h("td", h("code", t.write)), h("td", h("code", t.read)))))))),
      ];
    },
  };
}

function verdict(permissions, { vhost, name }) {
  const own = permissions.find((p) => p.vhost === vhost);
  if (!own) return notice("warn", `No permissions in ${vhost}: it cannot even connect there.`);
  const fits = (pattern) => {
    try {
      return new RegExp(pattern || "^$").test(name);
    } catch {
      return null;
    }
  };
  return h("ul.verdict", [["configure", "declare and delete it"], ["write", "publish to it, bind to it"], ["read", "consume, get and purge it, bind from it"]].map(([kind, what]) => {
    const yes = fits(own[kind]);
    return h("li", { key: kind, class: yes ? "yes" : "no" }, yes ? "✓ may " : yes === null ? "? " : "✗ may not ", what, " ", h("code", own[kind]));
  }));
}

/** Permissions of one user or in one vhost, with setting and clearing. */
export function permissionTable(ctx, list, { user: name, vhost }) {
  const set = (old) => formDialog("Permissions", { user: name ?? old?.user ?? "", vhost: vhost ?? old?.vhost ?? "/", configure: old?.configure ?? ".*", write: old?.write ?? ".*", read: old?.read ?? ".*" }, (v, change) => [
    !name && field("User", v.user, change("user"), { required: true, id: "perm-user" }), !vhost && field("Virtual host", v.vhost, change("vhost"), { kind: "select", id: "perm-vhost", options: ctx.vhosts() }),
    ...["configure", "write", "read"].map((kind) => field(kind[0].toUpperCase() + kind.slice(1), v[kind], change(kind), { id: `perm-${kind}`, hint: "A regular expression over names; empty for nothing." })),
  ], async (v) => {
    await put(path("permissions", v.vhost, v.user), { configure: v.configure, write: v.write, read: v.read });
    toast("Permissions set");
    refresh("/api/");
  }, { as: (v) => ({
    method: "PUT", url: path("permissions", v.vhost, v.user), body: { configure: v.configure, write: v.write, read: v.read }, vhost: v.vhost,
    admin: ["permissions declare", { username: v.user, configure: v.configure || "^$", write: v.write || "^$", read: v.read || "^$" }],
    definition: { permissions: [{ user: v.user, vhost: v.vhost, configure: v.configure, write: v.write, read: v.read }] },
  }) });
  return [
    list.length ? h("div.scroll", h("table.plain", h("thead", h("tr", [name ? "Virtual host" : "User", "Configure", "Write", "Read", ""].map(heading))),
      h("tbody", list.map((p) => h("tr", { key: `${p.user}|${p.vhost}` }, h("td", name ? h("a", { href: href("vhosts", p.vhost) }, p.vhost) : h("a", { href: href("users", p.user) }, p.user)), ...["configure", "write", "read"].map((kind) => h("td", h("code", p[kind]))),
        h("td", button("Change", () => set(p), { small: true }), " ", button("Clear", async () => {
          if (!(await confirmDestroy("Clear these permissions?", [`${p.user} may no longer use ${p.vhost}; ${plural(1, "entry", "entries")} removed.`], "Clear"))) return;
          await attempt(() => del(path("permissions", p.vhost, p.user)), "Cleared");
          refresh("/api/");
        }, { small: true }))))))) : h("p.quiet", name ? "No virtual host may be used yet." : "Nobody may use it yet."),
    h("div.actions", button("Set permissions", () => set(null), { kind: "primary" })),
  ];
}

/** The name people know an algorithm by. */
function hashing(algorithm) {
  const [, name] = String(algorithm).match(/hashing_(.+)$/) ?? [];
  return name ? name.toUpperCase().replace(/^SHA(\d)/, "SHA-$1") : algorithm;
}
