// Policies and operator policies; a preview says what a policy would change before it does.

import { h } from "../dom.js";
import { path, put, del, post } from "../api.js";
import { setQuery } from "../router.js";
import { number, plural } from "../format.js";
import { attempt, button, confirmDestroy, empty, field, formDialog, notice, tabs, toast, heading } from "../ui.js";
import { argumentEditor, argumentList, argumentsOf, rowsOf } from "../arguments.js";
import { refresh } from "../live.js";

const APPLY = [["all", "queues and exchanges"], ["queues", "queues"], ["classic_queues", "classic queues"], ["quorum_queues", "quorum queues"], ["exchanges", "exchanges"]];

export function policies(ctx) {
  ctx.title("Policies");
  const state = { policies: null, operator: null, tab: "policies", error: null, filter: "" };
  ctx.watch("/api/policies", (data) => (state.policies = data), (error) => (state.error = error.message));
  if (ctx.may("administrator")) ctx.watch("/api/operator-policies", (data) => (state.operator = data));
  const why = ctx.may("policymaker") ? undefined : "Needs the policymaker tag";
  const kind = () => (state.tab === "operator" ? "operator-policies" : "policies");
  const edit = (old, start = {}) => {
    const values = { vhost: old?.vhost ?? (ctx.vhost() || ctx.vhosts()[0] || "/"), name: old?.name ?? "", pattern: old?.pattern ?? start.pattern ?? "", apply: old?.["apply-to"] ?? "all", priority: String(old?.priority ?? 0), definition: rowsOf(old?.definition), preview: null };
    const body = (v) => ({ pattern: v.pattern, "apply-to": v.apply, priority: Number(v.priority), definition: argumentsOf(v.definition) });
    let timer = 0;
    const look = (v, redraw) => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        if (!v.pattern) v.preview = null;
        else {
          try {
            v.preview = await post("/api/console/policies/preview", { vhost: v.vhost, name: v.name || "(new)", kind: kind(), ...body(v) });
          } catch (error) {
            v.preview = { error: error.message };
          }
        }
        redraw();
      }, 250);
    };
    const first = (v, redraw) => { if (v.pattern && !v.preview) look(v, redraw); };
    return formDialog(old ? `Change ${old.name}` : `New ${state.tab === "operator" ? "operator policy" : "policy"}`, values, (v, set, redraw) => h("div", { oninput: () => look(v, redraw), onclick: () => look(v, redraw), hook: { mount: () => first(v, redraw) } },
      field("Virtual host", v.vhost, set("vhost"), { kind: "select", id: "policy-vhost", options: ctx.vhosts().length ? ctx.vhosts() : [v.vhost], disabled: !!old }),
      field("Name", v.name, set("name"), { required: true, disabled: !!old, id: "policy-name", autofocus: !old }),
      field("Pattern", v.pattern, set("pattern"), { required: true, id: "policy-pattern", hint: "A regular expression over names, not anchored: ^orders\\. for all that begin so." }),
      h("div.columns", field("Applies to", v.apply, set("apply"), { kind: "select", id: "policy-apply", options: APPLY }), field("Priority", v.priority, set("priority"), { kind: "number", id: "policy-priority", hint: "The highest that matches wins." })),
      argumentEditor(v.definition, "policy", redraw, "Definition"),
      preview(v.preview)),
    async (v) => {
      await put(path(kind(), v.vhost, v.name), body(v));
      toast(`Policy ${v.name} is in force`);
      refresh("/api/");
    }, { action: "Save and apply", wide: true, as: (v) => ({
      method: "PUT", url: path(kind(), v.vhost, v.name), body: body(v), vhost: v.vhost,
      admin: [`${kind().replace("-", "_")} declare`, { name: v.name, pattern: v.pattern, "apply-to": v.apply, priority: Number(v.priority), definition: argumentsOf(v.definition) }],
      definition: kind() === "policies" ? { policies: [{ vhost: v.vhost, name: v.name, ...body(v) }] } : { parameters: [{ vhost: v.vhost, component: "operator_policy", name: v.name, value: body(v) }] },
    }) });
  };
  return {
    query: (query) => {
      state.filter = query.filter ?? "";
      if (query.create) {
        setQuery({ create: undefined, pattern: undefined });
        edit(null, { pattern: query.pattern });
      }
    },
    draw: () => {
      const list = (state.tab === "operator" ? state.operator : state.policies)?.filter((p) => (!ctx.vhost() || p.vhost === ctx.vhost()) && p.name.includes(state.filter));
      return [
        h("div.pagehead", h("h1", "Policies"), h("span.grow"), button("New policy", () => edit(null), { kind: "primary", why })),
        h("p.quiet", "A policy sets arguments of all queues and exchanges whose names match, at once and without redeclaring anything. Operator policies set limits users cannot lift."),
        ctx.may("administrator") && tabs([["policies", "Policies", state.policies?.length], ["operator", "Operator policies", state.operator?.length]], state.tab, (tab) => { state.tab = tab; ctx.redraw(); }),
        state.error ? notice("warn", state.error) : !list ? h("p.quiet", "Loading…") : !list.length ? empty("No policies", "Set limits, time to live or dead-lettering for many queues with one entry.", button("New policy", () => edit(null), { kind: "primary", why })) :
          h("div.scroll", h("table.plain", h("thead", h("tr", ["Name", "Virtual host", "Pattern", "Applies to", "Definition", "Priority", ""].map(heading))),
            h("tbody", list.map((p) => h("tr", { key: `${p.vhost}|${p.name}` }, h("td", p.name), h("td", p.vhost), h("td", h("code", p.pattern)), h("td", p["apply-to"]), h("td", argumentList(p.definition)), h("td.num", number(p.priority)),
              h("td", button("Change", () => edit(p), { small: true, why }), " ", button("Delete", async () => {
                if (!(await confirmDestroy(`Delete policy ${p.name}?`, [`Queues and exchanges matching ${p.pattern} fall back to the next policy, or to their own arguments, at once.`], "Delete policy"))) return;
                await attempt(() => del(path(kind(), p.vhost, p.name)), "Deleted");
                refresh("/api/");
              }, { small: true, kind: "danger", why }))))))),
      ];
    },
  };
}

function preview(result) {
  if (!result) return null;
  if (result.error) return notice("bad", result.error);
  return h("div.previewed", { role: "status" },
    h("p", h("strong", plural(result.matched, "object")), ` ${result.matched === 1 ? "matches" : "match"}; `, h("strong", number(result.changed.length < result.changed_total ? result.changed_total : result.changed.length)), " would change."),
    result.changed.length > 0 && h("div.scroll", h("table.plain", h("thead", h("tr", ["Object", "Policy now", "Key", "Before", "After"].map(heading))),
      h("tbody", result.changed.flatMap((c) => (c.changes.length ? c.changes : [{ key: "–", before: null, after: null }]).map((change) => h("tr", { key: c.kind + c.name + change.key }, h("td", `${c.kind} ${c.name}`), h("td", c.policy ?? "none"), h("td", h("code", change.key)), h("td", h("code", JSON.stringify(change.before ?? null))), h("td", h("code", JSON.stringify(change.after ?? null))))))))),
    result.shadowed_by?.length > 0 && notice("warn", `For some objects a policy of higher priority wins: ${result.shadowed_by.join(", ")}.`));
}
