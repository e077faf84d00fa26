// What there is and what needs somebody's hand, on one page.

import { linkTo } from "../address.js";
import { count, kindName, words } from "../format.js";
import { useRead } from "../loading.js";
import { Badge, Bars, Busy, Empty, Moment, Problem, Scroller, Text } from "../parts.js";
import { html } from "../vendor/preact-htm.js";

const PRIORITIES = [["critical", "bad"], ["high", "warn"], ["medium", "note"], ["low", "calm"]];
const BANDS = [
  ["expired", "Expired", "bad"], ["within_7_days", "Within 7 days", "warn"], ["within_14_days", "Within 14 days", "note"],
  ["within_30_days", "Within 30 days", "note"], ["within_90_days", "Within 90 days", "calm"], ["later", "Later", "calm"],
  ["without_expiry_date", "Without an expiry date", "calm"],
];

/** @param {any} ticket */
function ticketLine(ticket) {
  return html`<li><${Badge} word=${ticket.priority} /> <a href=${linkTo("ticket", ticket.id)}><${Text} text=${ticket.summary} /></a> <span class="faint">${ticket.expires_at && html`<${Moment} at=${ticket.expires_at} relative />`}</span></li>`;
}

/** @param {{me: {customers: string[] | null}}} given */
export default function Overview({ me }) {
  const summary = useRead("summary", {}, 60);
  // Of all customers, and so not for whoever is limited to some.
  const ready = useRead(me.customers ? "" : "/api/health/ready", {}, 120);
  // What is wrong with the desk itself is a ticket too, and ends when it is over.
  const own = useRead(me.customers ? "" : "tickets", { object_type: "desk", limit: 10 }, 60);
  const urgent = useRead("tickets", { priority: "critical,high", limit: 8 }, 60);
  const { data } = summary;
  return html`<h1>Overview</h1>
    <${Problem} error=${summary.error} again=${summary.again} />
    <${Busy} busy=${summary.busy && !data} />
    <div class="cards">
      ${data && html`<section><h2>Open tickets: ${data.tickets.open.toLocaleString()}</h2>
        <${Bars} what="ticket" of=${PRIORITIES.map(([name, tone]) => ({ label: words(name), number: data.tickets.by_priority[name], tone, link: linkTo("tickets", "", { priority: name }) }))} />
      </section>
      <section><h2>Expiry of objects</h2>
        <${Bars} what="object" of=${BANDS.map(([name, label, tone]) => ({ label, number: data.objects[name], tone }))} />
        <p><a href=${linkTo("timeline")}>The timeline of expiries</a></p>
      </section>`}
      ${!me.customers && html`<${Hand} ready=${ready} own=${own} />`}
      <section><h2>Most urgent</h2>
        <${Problem} error=${urgent.error} />
        ${urgent.data && (urgent.data.items.length ? html`<ul class="feed">${urgent.data.items.map(ticketLine)}</ul>` : html`<${Empty}>No open ticket is critical or high.</${Empty}>`)}
      </section>
      ${data?.runs && html`<${Runs} runs=${data.runs} />`}
      ${data && html`<${Records} data=${data} />`}
    </div>
    ${data && html`<p class="foot">As of <${Moment} at=${data.as_of} relative />.</p>`}`;
}

/**
 * What is wrong with the desk itself: its own tickets, and what readiness says now.
 * @param {{ready: any, own: any}} given
 */
function Hand({ ready, own }) {
  const problem = ready.error?.problem;
  // Readiness answers 503 with its parts when the desk cannot work.
  const parts = (ready.data?.items || problem?.items || []).filter((/** @type {any} */ part) => part.state !== "ready");
  const tickets = own.data?.items || [];
  return html`<section><h2>Needs somebody's hand</h2>
    ${!ready.data && !problem?.items && html`<${Problem} error=${ready.error} again=${ready.again} /><${Busy} busy=${ready.busy} />`}
    ${!parts.length && !tickets.length && ready.data && own.data && html`<${Empty}>Nothing. Vaults, queues, imports and settings are as they should be.</${Empty}>`}
    <ul class="feed">
      ${tickets.map(ticketLine)}
      ${parts.map((/** @type {any} */ part) => html`<li><${Badge} word=${part.state} /> <a href=${linkTo("health")}><${Text} text=${part.name} /></a>: <${Text} text=${part.message} /></li>`)}
    </ul></section>`;
}

/** @param {{runs: any[]}} given */
function Runs({ runs }) {
  return html`<section><h2>Imports</h2>
    ${runs.length ? html`<${Scroller} label="Last runs"><table><thead><tr><th scope="col">Import</th><th scope="col">Last run</th><th scope="col">Last success</th></tr></thead><tbody>
      ${runs.map((run) => html`<tr><th scope="row"><${Text} text=${run.name} /><br /><span class="faint">${kindName(run.kind)}</span></th>
        <td>${run.run ? html`<a href=${linkTo("run", run.run)}><${Badge} word=${run.status} /></a> <span class="faint">${run.mode}</span>` : "never"}</td>
        <td><${Moment} at=${run.last_success_at} relative /></td></tr>`)}
    </tbody></table></${Scroller}>` : html`<${Empty}>No import is set up. Documents of the kinds aws-tenants and authrocket-realms are imported.</${Empty}>`}
  </section>`;
}

/** @param {{data: any}} given */
function Records({ data }) {
  const types = data.assets.by_type.slice(0, 8);
  return html`<section><h2>Assets and users</h2>
    <p><a href=${linkTo("assets")}>${count(data.assets.by_status.active, "active asset")}</a>, <a href=${linkTo("assets", "", { active: "false" })}>${data.assets.by_status.inactive.toLocaleString()} inactive</a></p>
    <${Bars} what="asset" of=${types.map((/** @type {any} */ one) => ({ label: one.type || "without a type", number: one.count, link: one.type ? linkTo("assets", "", { type: one.type }) : undefined }))} />
    <p><a href=${linkTo("users")}>${count(data.users.by_status.active, "active user")}</a>, <a href=${linkTo("users", "", { active: "false" })}>${data.users.by_status.inactive.toLocaleString()} inactive</a></p>
  </section>`;
}
