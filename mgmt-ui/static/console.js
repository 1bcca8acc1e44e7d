// The start page: connection strings for this host, and totals polled from the API.
// Credentials stay in this page's memory: nothing is stored.
"use strict";

const INTERVAL_MS = 2000;
const byId = (id) => document.getElementById(id);
let authorization = null;

function showConnect() {
  const ports = document.body.dataset.amqpPorts.split(" ").filter(Boolean);
  const host = location.hostname || "localhost";
  byId("connect").textContent = ports.length
    ? ports.map((port) => `amqp://USER:PASSWORD@${host}:${port}/`).join("\n")
    : "AMQP is not served by this node.";
}

function basic(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return "Basic " + btoa(String.fromCharCode(...bytes));
}

function lookUp(object, path) {
  return path.split(".").reduce((value, key) => (value === undefined ? value : value[key]), object);
}

function showTotals(overview) {
  for (const cell of document.querySelectorAll("[data-value]")) {
    const value = lookUp(overview, cell.dataset.value);
    cell.parentElement.hidden = value === undefined;
    cell.textContent = typeof value === "number" ? value.toLocaleString() : String(value);
  }
  byId("login").hidden = true;
  byId("totals").hidden = false;
}

async function refused(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).reason;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

async function poll() {
  try {
    // "omit" keeps the browser from opening its own password dialog.
    const response = await fetch("/api/overview", {
      headers: { authorization },
      credentials: "omit",
      cache: "no-store",
    });
    if (response.status === 401) {
      byId("status").textContent = await refused(response);
      byId("login").hidden = false;
      byId("totals").hidden = true;
      authorization = null;
      return;
    }
    if (!response.ok) throw new Error(await refused(response));
    showTotals(await response.json());
    byId("status").textContent = "";
  } catch (error) {
    byId("status").textContent = `No answer from the broker (${error.message}); trying again.`;
  }
  setTimeout(poll, INTERVAL_MS);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  authorization = basic(byId("user").value, byId("password").value);
  byId("password").value = "";
  poll();
});
showConnect();
