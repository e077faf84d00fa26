// All tickets, by what the reader looks for; and work on many at once.

import { linkTo } from "../address.js";
import { call, Refusal } from "../api.js";
import { Filters, asked } from "../filters.js";
import { count } from "../format.js";
import { usePages } from "../loading.js";
import { Badge, Dialog, Field, Form, Moment, Text, options, say } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

export const STATUSES = ["open", "in_progress", "on_hold", "resolved", "closed"];
export const PRIORITIES = ["low", "medium", "high", "critical"];

/** What a ticket can stand for; the last ones are the desk's own. */
const KINDS = [
  "new_version", "expiry", "no_expiry_date", "access_policy", "admin_grant", "import_withheld", "import_failing", "sweep_failing", "quarantine",
  "dead_letters", "poison_messages", "queue_stuck", "settings_unreadable", "secret_expiring", "token_expiring", "outbox_failing",
];

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "q", label: "Search", hint: "Beginnings of names, numbers, ids" },
  { name: "state", label: "State", choices: ["finished", "all"], none: "Open" },
  { name: "priority", label: "Priority", choices: ["critical", "high", "medium", "low"] },
  { name: "kind", label: "Kind", choices: KINDS },
  { name: "order", label: "Order", choices: ["newest", "expiry"], none: "Usual" },
  { name: "snoozed", label: "Snoozed", choices: ["show", "only"], none: "Hidden" },
  { name: "scope", label: "Vault or realm", type: "text" },
  { name: "object_name", label: "Object", type: "text" },
  { name: "team", label: "Team", type: "text" },
  { name: "assignee", label: "Assignee", type: "text" },
  { name: "site", label: "Site", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { name: "summary", label: "Ticket", wide: true, cell: (ticket) => html`<a href=${linkTo("ticket", ticket.id)} title=${ticket.summary}><${Text} text=${ticket.summary} /></a>` },
  { name: "priority", label: "Priority", cell: (ticket) => html`<${Badge} word=${ticket.priority} />` },
  { name: "status", label: "Status", cell: (ticket) => html`<${Badge} word=${ticket.status} />${ticket.snoozed_until && html` <span class="faint">snoozed</span>`}` },
  { name: "expires_at", label: "Expires", cell: (ticket) => html`<${Moment} at=${ticket.expires_at} relative />` },
  { name: "scope", label: "Vault or realm", cell: (ticket) => html`<${Text} text=${ticket.scope} />` },
  { name: "team", label: "Team", cell: (ticket) => html`<${Text} text=${ticket.team} />` },
  { name: "assignee", label: "Assignee", cell: (ticket) => html`<${Text} text=${ticket.assignee} />` },
  { name: "opened_at", label: "Opened", cell: (ticket) => html`<${Moment} at=${ticket.opened_at} />` },
];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Tickets({ place, me }) {
  const pages = usePages("tickets", asked(place, FILTERS));
  const [chosen, choose] = useState(/** @type {Set<string>} */ (new Set()));
  const [work, setWork] = useState("");
  const works = has(me, "operator");
  const here = pages.items.filter((ticket) => chosen.has(ticket.id)).map((ticket) => ticket.id);
  return html`<h1>Tickets</h1>
    <${Filters} place=${place} filters=${FILTERS} />
    ${works && html`<div class="row" role="toolbar" aria-label="Work on the chosen tickets">
      <span aria-live="polite">${count(here.length, "ticket")} chosen</span>
      ${["Assign", "Resolve", "Snooze", "Note"].map((name) => html`<button type="button" disabled=${!here.length} onClick=${() => setWork(name)}>${name}</button>`)}
    </div>`}
    <${Table} caption="Tickets" columns=${COLUMNS} pages=${pages} keyOf=${(/** @type {any} */ ticket) => ticket.id} chosen=${chosen} choose=${works ? choose : undefined}>
      ${Object.keys(place.parameters).length ? html`No ticket is so. <a href=${linkTo("tickets")}>Show all open ones</a>` : "No ticket is open. They come from Key Vault events, sweeps and users' grants."}
    </${Table}>
    ${work && html`<${Bulk} work=${work} ids=${here} close=${() => setWork("")} done=${() => { choose(new Set()); setWork(""); pages.again(); }} />`}`;
}

/**
 * One change for many tickets, one call a ticket: each is told by itself, and one that fails stops no other.
 * @param {{work: string, ids: string[], close: () => void, done: () => void}} given
 */
function Bulk({ work, ids, close, done }) {
  const [failed, setFailed] = useState(/** @type {{id: string, why: string}[]} */ ([]));
  const [left, setLeft] = useState(ids);
  const [at, setAt] = useState(0);
  /** @param {FormData} values */
  const act = async (values) => {
    const text = String(values.get("value") || "").trim();
    /** @type {{id: string, why: string}[]} */
    const refused = [];
    for (const [index, id] of left.entries()) {
      setAt(index + 1);
      try {
        if (work === "Note") await call("POST", `tickets/${encodeURIComponent(id)}/notes`, { body: { text } });
        else await call("PATCH", `tickets/${encodeURIComponent(id)}`, { version: "*", body: changeOf(work, text, String(values.get("note") || "")) });
      } catch (error) {
        if (error instanceof Refusal && error.mayPass) {
          // What is done is done: trying again goes on here, and with those that were refused.
          setFailed(refused);
          setLeft([...refused.map((one) => one.id), ...left.slice(index)]);
          throw error;
        }
        refused.push({ id, why: error instanceof Error ? error.message : String(error) });
      }
    }
    say(`${count(left.length - refused.length, "ticket")} changed, ${refused.length} not.`);
    if (!refused.length) done();
    setFailed(refused);
    setLeft(refused.map((one) => one.id));
  };
  return html`<${Dialog} title=${`${work} ${count(left.length, "ticket")}`} close=${failed.length ? done : close}>
    <${Form} act=${act} label=${failed.length ? "Try those again" : work} cancel=${failed.length ? done : close}>
      ${work === "Assign" && html`<${Field} label="To whom" name="value" required maxlength="200" autofocus />`}
      ${work === "Note" && html`<${Field} label="Note" name="value" required maxlength="8000" autofocus />`}
      ${work === "Snooze" && html`<${Field} label="Until" name="value" type="datetime-local" required autofocus hint="In your time zone" />`}
      ${work === "Resolve" && html`<${Field} label="Status" name="value" autofocus>${options(["resolved", "closed"], "resolved")}</${Field}>`}
      ${work !== "Note" && html`<${Field} label="Note (optional)" name="note" maxlength="8000" />`}
      ${at > 0 && html`<p role="status">${at} of ${left.length || ids.length}</p>`}
      ${failed.length ? html`<ul class="problem">${failed.map((one) => html`<li><a href=${linkTo("ticket", one.id)}>${one.id}</a>: ${one.why}</li>`)}</ul>` : null}
    </${Form}>
  </${Dialog}>`;
}

/**
 * @param {string} work
 * @param {string} text
 * @param {string} note
 */
export function changeOf(work, text, note) {
  /** @type {Record<string, unknown>} */
  const change = note.trim() ? { note: note.trim() } : {};
  if (work === "Assign") change.assignee = text;
  else if (work === "Snooze") change.snoozed_until = new Date(text).toISOString();
  else change.status = text;
  return change;
}
