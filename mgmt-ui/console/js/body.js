// A message's body as people want to see it: JSON and XML laid out, text, bytes in hex; what its
// publisher compressed as it was before, and as it was sent.

const HEX_BYTES = 8192;

/** The body to work with: bytes, and whether there is more of it. `whole`: all bytes, once fetched. */
export function bodyOf(m, asSent, whole) {
  if (whole) return { bytes: whole, more: false };
  const source = m.decoded && !asSent ? m.decoded : m;
  const bytes = source.payload_encoding === "base64" ? Uint8Array.from(atob(source.payload), (c) => c.charCodeAt(0)) : new TextEncoder().encode(source.payload);
  return { bytes, more: source.truncated };
}

/** The ways this body can be shown, the best first: [[id, label]]. */
export function waysOf({ bytes, more }) {
  const text = textOf(bytes);
  const ways = [];
  if (text !== null && !more && parsed(text) !== undefined) ways.push(["json", "JSON"]);
  if (text !== null && /^\s*<[?!a-zA-Z]/.test(text)) ways.push(["xml", "XML"]);
  if (text !== null) ways.push(["text", "Text"]);
  return [...ways, ["hex", "Hex"]];
}

/** The body shown that way. */
export function shown({ bytes }, way) {
  if (way === "hex") return hex(bytes);
  const text = textOf(bytes) ?? new TextDecoder().decode(bytes);
  if (way === "json") return JSON.stringify(parsed(text), null, 2);
  if (way === "xml") return layOut(text);
  return text || "(empty)";
}

/** The bytes as text, if that is what they are. */
function textOf(bytes) {
  try {
    // A last letter that was cut in two is left out.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return /[\0\x01-\x08\x0e-\x1a]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function parsed(text) {
  if (!/^\s*[[{"\dtfn-]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hex(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES); at += 16) {
    const row = [...bytes.slice(at, at + 16)];
    const codes = row.map((b, i) => (i === 8 ? " " : "") + b.toString(16).padStart(2, "0")).join(" ");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(48)}  ${row.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("")}`);
  }
  if (bytes.length > HEX_BYTES) lines.push(`… ${bytes.length - HEX_BYTES} bytes more`);
  return lines.join("\n") || "(empty)";
}

/** XML with each element on a line of its own; what holds only text stays on one. */
function layOut(text) {
  const tokens = text.match(/<!--[^]*?-->|<!\[CDATA\[[^]*?\]\]>|<[^>]*>|[^<]+/g) ?? [];
  const lines = [];
  let depth = 0;
  let open = false; // the last line is an opening tag that text may follow
  for (const token of tokens) {
    if (!token.trim()) continue;
    const opens = /^<[^/?!]/.test(token) && !token.endsWith("/>");
    const closes = token.startsWith("</");
    if (closes) depth = Math.max(0, depth - 1);
    const inline = (closes && open) || (open && !token.startsWith("<"));
    if (inline && lines.length) lines[lines.length - 1] += token.trim();
    else lines.push("  ".repeat(depth) + token.trim());
    if (opens) depth++;
    open = opens || (open && !token.startsWith("<"));
  }
  return lines.join("\n");
}
