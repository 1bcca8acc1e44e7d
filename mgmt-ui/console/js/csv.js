// Rows of a list as a file for spreadsheets: values within values become columns of their own.

const FIRST = ["name", "vhost", "user_provided_name", "type", "state"];

/** `{a: {b: 1}}` becomes `{"a.b": 1}`; what a person wrote (arguments) stays in one piece. */
function flat(row, prefix = "", out = {}) {
  for (const [key, value] of Object.entries(row)) {
    const inside = value !== null && typeof value === "object" && !Array.isArray(value) && !/arguments|client_properties/.test(key);
    if (inside) flat(value, `${prefix}${key}.`, out);
    else out[prefix + key] = value;
  }
  return out;
}

function quoted(value) {
  const text = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  // A cell that begins like a formula would be run by a spreadsheet.
  const harmless = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
}

export function csv(rows) {
  const all = rows.map((row) => flat(row));
  const place = (column) => (FIRST.includes(column) ? FIRST.indexOf(column) : FIRST.length);
  const columns = [...new Set(all.flatMap((row) => Object.keys(row)))].sort((a, b) => place(a) - place(b));
  return [columns.map(quoted).join(","), ...all.map((row) => columns.map((column) => quoted(row[column])).join(","))].join("\r\n");
}
