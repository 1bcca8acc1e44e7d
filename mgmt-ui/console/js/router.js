// Addresses: the path says the page and its object, the query its view (filter, sort, tab).

const routes = [];
let changed = () => {};

/** Registers a page: pattern segments beginning with ":" are parameters. */
export function route(pattern, page) {
  routes.push({ parts: pattern.split("/").filter(Boolean), page });
}

/** The page of the current address, its parameters and its query. */
export function current() {
  // Everything lives behind the hash, so that a reload asks the broker for the one page it has.
  const [where, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = where.split("/").filter(Boolean);
  for (const { parts: pattern, page } of routes) {
    if (pattern.length !== parts.length) continue;
    const params = {};
    const fits = pattern.every((part, i) => {
      if (!part.startsWith(":")) return part === parts[i];
      params[part.slice(1)] = decodeURIComponent(parts[i]);
      return true;
    });
    if (fits) return { page, params, query: Object.fromEntries(new URLSearchParams(search)), where };
  }
  return { page: null, params: {}, query: {}, where };
}

/** The address of a page: `href("queues", "/", "orders")`; a last object is the query. */
export function href(...segments) {
  const last = segments.at(-1);
  const params = typeof last === "object" ? segments.pop() : {};
  const pairs = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return "#/" + segments.map(encodeURIComponent).join("/") + (pairs.length ? "?" + new URLSearchParams(pairs) : "");
}

export function go(address) {
  location.hash = address.replace(/^#/, "");
}

/** Changes the query of this page without a new history entry. */
export function setQuery(changes) {
  const { where, query } = current();
  const merged = { ...query, ...changes };
  const pairs = Object.entries(merged).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = pairs.length ? "?" + new URLSearchParams(pairs) : "";
  history.replaceState(null, "", `#/${where}${search}`);
  changed();
}

export function start(listener) {
  changed = listener;
  addEventListener("hashchange", listener);
  listener();
}
