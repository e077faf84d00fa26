// Who is not signed in yet: a token, or Entra where the platform signs people in.

import { Refusal } from "./api.js";
import { Field, Form, Problem } from "./parts.js";
import { html } from "./vendor/preact-htm.js";

const ENTRA = "/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fconsole%2F";
// What the desk says to nobody, where it takes tokens.
const NOT_A_FAULT = new Set(["access_token_missing"]);

/** @param {{error: any, left: string, enter: (token: string) => Promise<void>}} given */
export function SignIn({ error, left, enter }) {
  const problem = error instanceof Refusal ? error.problem : null;
  // The platform's own 401 has no reason; the app's says that tokens are off.
  const entra = problem?.status === 401 && (!problem.reason || problem.reason === "access_tokens_off");
  const refused = problem && !entra && !NOT_A_FAULT.has(problem.reason);
  /** @param {FormData} values */
  const submit = (values) => enter(String(values.get("token") || "").trim());
  return html`<main class="lone sign-in">
    <h1>Deskbridge</h1>
    ${left && html`<p role="status">${left}</p>`}
    ${entra
      ? html`<p>This desk signs people in with Microsoft Entra.</p><p><a class="button main" href=${ENTRA}>Sign in with Microsoft</a></p>`
      : html`<${Form} act=${submit} label="Sign in">
          <${Field} label="Access token" name="token" type="password" required spellcheck="false" hint="It begins with desk_. An administrator of this desk makes it." />
        </${Form}>
        ${refused ? html`<${Problem} error=${error} />` : null}
        <p class="faint">The token stays in this tab, and goes when the tab is closed.</p>`}
  </main>`;
}
