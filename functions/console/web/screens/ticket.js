// One ticket: what it is about, why it is there, what was done, and what to do.

import { linkTo } from "../address.js";
import { Refusal, call } from "../api.js";
import { localTime, words } from "../format.js";
import { Badge, Changes, Dialog, Facts, Field, Form, Moment, Problem, Text, options, say } from "../parts.js";
import { has } from "../screens.js";
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { PRIORITIES, STATUSES } from "./tickets.js";

/** @typedef {{ticket: any, version: string}} Seen */

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Ticket({ place, me }) {
  const path = `tickets/${encodeURIComponent(place.id)}`;
  const [seen, setSeen] = useState(/** @type {Seen | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [snoozing, setSnoozing] = useState(false);
  const again = () => call("GET", path).then(({ data, version }) => (setSeen({ ticket: data, version }), setError(null)), setError);
  useEffect(() => void again(), [path]);
  if (!seen) return html`<h1><${Text} text=${place.id} /></h1>${error ? html`<${Problem} error=${error} again=${again} />` : html`<p role="status">Reading …</p>`}`;
  const { ticket } = seen;
  const works = has(me, "operator");
  /** @param {any} answer */
  const changed = (answer) => (setSeen({ ticket: answer.data, version: answer.version }), say("Saved."));
  /** @param {FormData} values */
  const note = async (values) => {
    await call("POST", `${path}/notes`, { body: { text: String(values.get("text")) } });
    await again();
    say("The note is written.");
  };
  return html`<p class="crumbs"><a href=${linkTo("tickets")}>Tickets</a></p>
    <h1><${Text} text=${ticket.summary} /></h1>
    <p><${Badge} word=${ticket.priority} /> <${Badge} word=${ticket.status} /> <span class="faint">${ticket.id}</span>
      ${ticket.snoozed_until && html` Snoozed until <${Moment} at=${ticket.snoozed_until} />`}</p>
    <${Problem} error=${error} again=${again} />
    <div class="cards">
      <section><h2>What it is about</h2>
        <${Facts} of=${facts(ticket)} />
        ${ticket.details && html`<pre class="details"><${Text} text=${ticket.details} /></pre>`}
      </section>
      <section><h2>Why it is there</h2><${Why} ticket=${ticket} /></section>
      ${works && html`<section><h2>Work on it</h2>
        <${Work} key=${seen.version} seen=${seen} path=${path} changed=${changed} again=${again} />
        <div class="row"><button type="button" onClick=${() => setSnoozing(true)}>Snooze</button>
        ${ticket.snoozed_until && html`<button type="button" onClick=${() => call("PATCH", path, { version: "*", body: { snoozed_until: null } }).then(changed, setError)}>Wake it</button>`}</div>
      </section>`}
      <section><h2>Timeline</h2>
        <ol class="timeline">${ticket.notes.map((/** @type {any} */ one) => html`<li><p class="faint"><${Moment} at=${one.at} /> · <${Text} text=${one.author} /></p><pre><${Text} text=${one.text} /></pre></li>`)}</ol>
        ${works && html`<${Form} key=${ticket.notes.length} act=${note} label="Write the note">
          <div class="field"><label for="note-text">Note</label><textarea id="note-text" name="text" rows="3" maxlength="8000" required></textarea></div>
        </${Form}>`}
      </section>
    </div>
    ${snoozing && html`<${Snooze} path=${path} close=${() => setSnoozing(false)} changed=${(/** @type {any} */ answer) => { changed(answer); setSnoozing(false); }} />`}`;
}

/**
 * @param {any} ticket
 * @returns {[string, any][]}
 */
function facts(ticket) {
  return [
    ["Object", html`<a href=${linkTo("tickets", "", { object_name: ticket.object_name, scope: ticket.scope, state: "all" })}><${Text} text=${ticket.object_name || ticket.scope} /></a> <span class="faint">${ticket.object_type}</span>`],
    ["Version", ticket.version],
    ["Vault or realm", html`<a href=${linkTo("tickets", "", { scope: ticket.scope })}><${Text} text=${ticket.scope} /></a>`],
    ["Expires", html`<${Moment} at=${ticket.expires_at} /> <${Moment} at=${ticket.expires_at} relative />`],
    ["Team", ticket.team],
    ["Assignee", ticket.assignee],
    ["Site", ticket.site],
    ["Opened", html`<${Moment} at=${ticket.opened_at} />`],
    ["Changed", html`<${Moment} at=${ticket.updated_at} />`],
    ["Finished", html`<${Moment} at=${ticket.finished_at} />`],
  ];
}

/** @param {{ticket: any}} given */
function Why({ ticket }) {
  const kind = words(ticket.kind).toLowerCase();
  return html`<p>The condition is <strong>${kind}</strong>, told by <strong><${Text} text=${words(ticket.source).toLowerCase()} /></strong>.</p>
    <p>${ticket.rule ? html`The ticket rule <strong><${Text} text=${ticket.rule} /></strong> decided its type, priority, team and site.` : "No ticket rule fits: its type and priority are the defaults."}</p>
    ${ticket.notes[0] && html`<p>It was opened with: <q><${Text} text=${ticket.notes[0].text} /></q></p>`}`;
}

/**
 * @param {{seen: Seen, path: string, changed: (answer: any) => void, again: () => Promise<void>}} given
 */
function Work({ seen, path, changed, again }) {
  const { ticket } = seen;
  const [conflict, setConflict] = useState(/** @type {{mine: Record<string, any>, theirs: any} | null} */ (null));
  /** @param {Record<string, any>} body @param {string} version */
  const save = async (body, version) => {
    try {
      changed(await call("PATCH", path, { version, body }));
    } catch (error) {
      if (!(error instanceof Refusal && error.problem.status === 412)) throw error;
      setConflict({ mine: body, theirs: (await call("GET", path)).data });
    }
  };
  /** @param {FormData} values */
  const act = async (values) => {
    /** @type {Record<string, any>} */
    const body = {};
    for (const name of ["status", "priority", "team", "assignee", "site"]) {
      const value = String(values.get(name) || "").trim();
      if (value !== (ticket[name] || "")) body[name] = value || null;
    }
    const note = String(values.get("note") || "").trim();
    if (note) body.note = note;
    if (!Object.keys(body).length) return say("Nothing is different.");
    await save(body, seen.version);
    return undefined;
  };
  const texts = [["team", "Team"], ["assignee", "Assignee"], ["site", "Site"]];
  return html`<${Form} act=${act} label="Save">
      <${Field} label="Status" name="status">${options(STATUSES, ticket.status)}</${Field}>
      <${Field} label="Priority" name="priority">${options(PRIORITIES, ticket.priority)}</${Field}>
      ${texts.map(([name, label]) => html`<${Field} label=${label} name=${name} value=${ticket[name] || ""} maxlength="200" />`)}
      <${Field} label="Note with the change (optional)" name="note" maxlength="8000" />
    </${Form}>
    ${conflict && html`<${Dialog} title="Somebody changed it meanwhile" close=${() => setConflict(null)}>
      <p>Before is what is stored now, after is what you asked for.</p>
      <${Changes} changes=${Object.entries(conflict.mine).map(([field, after]) => ({ field, before: conflict.theirs[field], after }))} />
      <${Form} label="Save mine over it" act=${async () => { await save(conflict.mine, conflict.theirs.etag); setConflict(null); }} cancel=${() => { setConflict(null); again(); }}><p>Cancel shows theirs.</p></${Form}>
    </${Dialog}>`}`;
}

/** @param {{path: string, close: () => void, changed: (answer: any) => void}} given */
function Snooze({ path, close, changed }) {
  const tomorrow = new Date(Date.now() + 86400000);
  /** @param {FormData} values */
  const act = async (values) => {
    const note = String(values.get("note") || "").trim();
    const until = new Date(String(values.get("until"))).toISOString();
    changed(await call("PATCH", path, { version: "*", body: { snoozed_until: until, ...(note ? { note } : {}) } }));
  };
  const local = new Date(tomorrow.getTime() - tomorrow.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  return html`<${Dialog} title="Snooze until" close=${close}><${Form} act=${act} label="Snooze" cancel=${close}>
    <${Field} label="Until" name="until" type="datetime-local" value=${local} required autofocus hint=${`In your time zone. Tomorrow is ${localTime(tomorrow)}.`} />
    <${Field} label="Reason" name="note" required maxlength="8000" />
  </${Form}></${Dialog}>`;
}
