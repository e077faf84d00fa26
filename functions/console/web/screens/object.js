// One secret, key or certificate: its dates, its versions, its tickets. Never a value.

import { linkTo } from "../address.js";
import { words } from "../format.js";
import { useRead } from "../loading.js";
import { Badge, Busy, Empty, Facts, Moment, Problem, Scroller, Text } from "../parts.js";
import { html } from "../vendor/preact-htm.js";

/** @param {{place: import("../address.js").Place}} given */
export default function One({ place }) {
  const { data, error, busy, again } = useRead(`objects/${encodeURIComponent(place.id)}`);
  if (!data) return html`<h1><${Text} text=${place.id} /></h1><${Busy} busy=${busy} /><${Problem} error=${error} again=${again} />`;
  return html`<p class="crumbs"><a href=${linkTo("objects")}>Objects</a></p>
    <h1><${Text} text=${data.object_name} /></h1>
    <p><${Badge} word=${data.state} /> <span class="faint">${words(data.object_type)} in <${Text} text=${data.scope} />${data.managed ? ", of a certificate" : ""}</span></p>
    <${Problem} error=${error} again=${again} />
    <div class="cards">
      <section><h2>Dates</h2><${Facts} of=${dates(data)} /></section>
      <section><h2>Whose it is</h2><${Facts} of=${/** @type {[string, any][]} */ ([["Owner", data.owner], ["Sites", data.sites.join(", ")], ["Teams", data.teams.join(", ")], ["Current version", data.version]])} /></section>
      <section><h2>Tickets</h2>${data.all_tickets.length ? html`<ul class="feed">${data.all_tickets.map((/** @type {any} */ one) => html`<li><${Badge} word=${one.open ? "open" : "closed"} /> <a href=${linkTo("ticket", one.id)}>${one.id}</a> ${words(one.kind)}</li>`)}</ul>` : html`<${Empty}>No ticket is about it.</${Empty}>`}</section>
      <section class="wide"><h2>Versions</h2><${Scroller} label="Versions"><table><thead><tr><th scope="col">Version</th><th scope="col">Created</th><th scope="col">Expires</th><th scope="col">Enabled</th><th scope="col">In its vault</th></tr></thead><tbody>
        ${data.versions.map((/** @type {any} */ one) => html`<tr key=${one.version}><th scope="row"><${Text} text=${one.version} /></th><td><${Moment} at=${one.created_at} /></td><td>${one.expires_at ? html`<${Moment} at=${one.expires_at} />` : "never"}</td><td><${Text} text=${one.enabled} /></td><td><${Text} text=${one.in_vault} /></td></tr>`)}
      </tbody></table></${Scroller}></section>
      ${data.absences.length ? html`<section><h2>When it was gone</h2><ul>${data.absences.map((/** @type {any} */ one) => html`<li><${Moment} at=${one.gone_at} /> to ${one.back_at ? html`<${Moment} at=${one.back_at} />` : "now"}</li>`)}</ul></section>` : null}
    </div>`;
}

/** @param {any} data @returns {[string, any][]} */
function dates(data) {
  return [
    ["Expires", data.expires_at ? html`<${Moment} at=${data.expires_at} /> <${Moment} at=${data.expires_at} relative />` : "never"],
    ["Valid from", html`<${Moment} at=${data.not_before} />`],
    ["Created", html`<${Moment} at=${data.created_at} />`],
    ["Changed", html`<${Moment} at=${data.changed_at} />`],
    ["Last seen", html`<${Moment} at=${data.last_seen_at} relative />`],
    ["Gone", html`<${Moment} at=${data.gone_at} />`],
  ];
}
