// A small virtual DOM: `h` describes, `render` makes the page look like the description while
// keeping elements (and so focus, scroll and what is typed) wherever the description allows.
// Data only ever becomes text nodes, attributes and properties: nothing here parses HTML.

const EMPTY = [];
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: tag with classes ("td.num"), properties, children. Properties: `onx` are listeners,
 * `key` keeps identity among siblings, `hook: {mount, update, unmount}` hands the element to
 * code of its own, everything else is an attribute (or a property, for value and checked).
 */
export function h(tag, props, ...children) {
  if (props === null || typeof props !== "object" || Array.isArray(props) || "tag" in props) {
    if (props !== undefined) children.unshift(props);
    props = {};
  }
  const [name, ...classes] = tag.split(".");
  if (classes.length) props = { ...props, class: [...classes, props.class].filter(Boolean).join(" ") };
  return { tag: name, props, children: flatten(children), key: props.key, el: null };
}

function flatten(children, out = []) {
  for (const child of children) {
    if (Array.isArray(child)) flatten(child, out);
    else if (child === null || child === undefined || child === false || child === true) continue;
    else out.push(typeof child === "object" ? child : { tag: null, text: String(child), el: null });
  }
  return out;
}

/** Makes `parent`'s children what `next` (a description or a list of them) says. */
export function render(parent, next) {
  const children = flatten([next]);
  patchChildren(parent, parent.vnodes || EMPTY, children, false);
  parent.vnodes = children;
}

/** Removes what `render` made, telling its hooks. */
export function clear(parent) {
  render(parent, []);
}

function create(vnode, svg) {
  if (vnode.tag === null) return (vnode.el = document.createTextNode(vnode.text));
  const inSvg = svg || vnode.tag === "svg";
  const el = inSvg ? document.createElementNS(SVG, vnode.tag) : document.createElement(vnode.tag);
  vnode.el = el;
  patchProps(el, {}, vnode.props);
  for (const child of vnode.children) el.append(create(child, inSvg));
  // A select knows its value only once it has its options.
  if (vnode.tag === "select" && "value" in vnode.props) el.value = vnode.props.value;
  vnode.props.hook?.mount?.(el);
  return el;
}

function patch(old, next, svg) {
  const el = (next.el = old.el);
  if (next.tag === null) {
    if (old.text !== next.text) el.data = next.text;
    return;
  }
  patchProps(el, old.props, next.props);
  patchChildren(el, old.children, next.children, svg || next.tag === "svg");
  if (next.tag === "select" && "value" in next.props) el.value = next.props.value;
  next.props.hook?.update?.(el);
}

function same(a, b) {
  return a.tag === b.tag && a.key === b.key;
}

function patchChildren(parent, old, next, svg) {
  const keyed = new Map();
  for (const vnode of old) if (vnode.key !== undefined) keyed.set(vnode.key, vnode);
  const used = new Set();
  let at = 0;
  let place = old.length ? old[0].el : null;
  for (const vnode of next) {
    let match = null;
    if (vnode.key !== undefined) {
      const candidate = keyed.get(vnode.key);
      if (candidate && same(candidate, vnode) && !used.has(candidate)) match = candidate;
    } else {
      while (at < old.length && (used.has(old[at]) || old[at].key !== undefined)) at++;
      if (at < old.length && same(old[at], vnode)) match = old[at];
    }
    if (match) {
      used.add(match);
      patch(match, vnode, svg);
      if (match.el !== place) parent.insertBefore(match.el, place);
      else place = place.nextSibling;
      if (vnode.key === undefined) at++;
    } else {
      parent.insertBefore(create(vnode, svg), place);
    }
  }
  for (const vnode of old) {
    if (used.has(vnode)) continue;
    unmount(vnode);
    vnode.el.remove();
  }
}

function unmount(vnode) {
  if (vnode.tag === null) return;
  vnode.props.hook?.unmount?.(vnode.el);
  vnode.children.forEach(unmount);
}

function patchProps(el, old, next) {
  for (const name in old) if (!(name in next)) setProp(el, name, null);
  for (const name in next) {
    if ((name === "value" && el.tagName !== "OPTION") || name === "checked") {
      // What the user types stays: only a change of the description overrides it.
      if (old[name] !== next[name] && el[name] !== next[name]) el[name] = next[name];
    } else if (old[name] !== next[name]) {
      setProp(el, name, next[name]);
    }
  }
}

function setProp(el, name, value) {
  if (name === "key" || name === "hook") return;
  if (name.startsWith("on")) {
    el.handlers ??= {};
    const type = name.slice(2);
    if (!(type in el.handlers)) el.addEventListener(type, (event) => el.handlers[type]?.(event));
    el.handlers[type] = value;
  } else if (name === "vars") {
    for (const key in value) el.style.setProperty(key, value[key]);
  } else if (value === null || value === undefined || value === false) {
    el.removeAttribute(name);
  } else {
    el.setAttribute(name, value === true ? "" : value);
  }
}
