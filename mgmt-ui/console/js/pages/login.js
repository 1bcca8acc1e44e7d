// Logging in: the password is exchanged for a session cookie that scripts cannot read.

import { h } from "../dom.js";
import { post } from "../api.js";
import { button, field } from "../ui.js";

const form = { name: "", password: "", error: "", busy: false };

export function login(entered) {
  const submit = async (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    form.busy = true;
    form.error = "";
    entered.redraw?.();
    try {
      const user = await post("/api/console/session", { username: data.get("username"), password: data.get("password") });
      form.password = "";
      entered(user);
    } catch (error) {
      form.error = error.status === 401 ? error.message || "Login failed" : error.message;
      const host = document.getElementById("login-error");
      if (host) host.textContent = form.error;
    } finally {
      form.busy = false;
    }
  };
  return h("main.alone", { key: "login" },
    h("form.card.login", { onsubmit: submit },
      h("img", { src: "/console/icon.svg", alt: "", width: 48, height: 48 }),
      h("h1", "Warren"),
      h("p.quiet", "Message broker console"),
      field("User name", "", () => {}, { id: "username", name: "username", autocomplete: "username", required: true, autofocus: true }),
      field("Password", "", () => {}, { id: "password", name: "password", kind: "password", autocomplete: "current-password" }),
      h("p.error", { id: "login-error", role: "alert" }),
      button("Log in", null, { kind: "primary", type: "submit" }),
      h("p.quiet.small", "A new broker has the user guest with password guest, who may log in from the broker's own machine only.")));
}
