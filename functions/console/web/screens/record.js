// One asset or user: its fields and where each comes from, why it is so, and what changed.

import { linkTo } from "../address.js";
import { Refusal, call } from "../api.js";
import { fieldName, shown, words } from "../format.js";
import { usePages, useRead } from "../loading.js";
import { Badge, Busy, Changes, Dialog, Facts, Field, Form, Moment, Problem, Scroller, Text, say } from "../parts.js";
import { has } from "../screens.js";
import { html, useEffect, useState } from "../vendor/preact-htm.js";

/** @param {{place: import("../address.js").Place, me: any, many: string}} given */
export function Record({ place, me, many }) {
  const path = `${many}/${encodeURIComponent(place.id)}`;
  const [seen, setSeen] = useState(/** @type {{record: any, version: string} | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [editing, setEditing] = useState("");
  const why = useRead(`${path}/explain`);
  const again = () => call("GET", path).then(({ data, version }) => (setSeen({ record: data, version }), setError(null)), setError);
  useEffect(() => void again(), [path]);
  const title = many === "assets" ? "Assets" : "Users";
  if (!seen) return html`<h1><${Text} text=${place.id} /></h1>${error ? html`<${Problem} error=${error} again=${again} />` : html`<p role="status">Reading …</p>`}`;
  const { record } = seen;
  const works = has(me, "operator");
  /** @param {Record<string, any>} body */
  const save = async (body) => {
    try {
      const answer = await call("PATCH", path, { version: seen.version, body });
      setSeen({ record: answer.data, version: answer.version });
    } catch (refused) {
      if (refused instanceof Refusal && refused.problem.status === 412) await again();
      throw refused;
    }
    setEditing("");
    why.again();
    say("Saved.");
  };
  return html`<p class="crumbs"><a href=${linkTo(many)}>${title}</a></p>
    <h1><${Text} text=${record.name || record.source_id} /></h1>
    <p><${Badge} word=${record.status} /> ${record.gone_since && html`<${Badge} word="vanished" label="Gone from its source" /> since <${Moment} at=${record.gone_since} /> `}<span class="faint"><${Text} text=${record.id} /></span></p>
    <${Problem} error=${error} again=${again} />
    <div class="cards">
      <section class="wide"><h2>Fields</h2><${FieldTable} record=${record} values=${why.data?.values || []} edit=${works ? setEditing : null} release=${(/** @type {string} */ name) => save({ release: [name] }).catch(setError)} /></section>
      <section><h2>Where it stands</h2><${Facts} of=${facts(record)} /></section>
      <section><h2>${many === "assets" ? "Why this type, why this site" : "Why it is so"}</h2><${Why} why=${why} /></section>
      <section class="wide"><h2>History</h2><${History} path=${path} version=${seen.version} /></section>
      ${many === "users" && record.memberships?.length ? html`<section><h2>Memberships</h2><ul>${record.memberships.map((/** @type {any} */ one) => html`<li><${Text} text=${one.org_name || one.org_id} />: <${Text} text=${(one.permissions || []).join(", ")} /></li>`)}</ul></section>` : null}
      ${why.data?.source && html`<section class="wide"><details><summary>As its source last said, <${Moment} at=${why.data.source_read_at} /></summary><pre class="details">${JSON.stringify(why.data.source, null, 2)}</pre></details></section>`}
    </div>
    ${editing && html`<${Dialog} title=${`Change ${fieldName(editing).toLowerCase()}`} close=${() => setEditing("")}>
      <${Form} label="Save" cancel=${() => setEditing("")} act=${(/** @type {FormData} */ values) => save({ fields: { [editing]: String(values.get("value") || "").trim() || null } })}>
        <${Field} label=${fieldName(editing)} name="value" value=${valueOf(record, editing) ?? ""} maxlength="1000" autofocus hint="Imports leave it alone from then on, until it is released." />
      </${Form}></${Dialog}>`}`;
}

/**
 * @param {any} record
 * @param {string} field
 */
function valueOf(record, field) {
  return field in record.fields ? record.fields[field] : record[field];
}

/**
 * @param {any} record
 * @returns {[string, any][]}
 */
function facts(record) {
  return [
    ["Comes from", record.partition],
    ["Id in its source", record.source_id],
    ["Imported by", record.imported_by],
    ["Matched by", record.claimed_by],
    ["First seen", html`<${Moment} at=${record.created_at} />`],
    ["Changed", html`<${Moment} at=${record.changed_at} />`],
    ["Deactivated", html`<${Moment} at=${record.deactivated_at} />`],
  ];
}

/** @param {{record: any, values: any[], edit: ((name: string) => void) | null, release: (name: string) => void}} given */
function FieldTable({ record, values, edit, release }) {
  const own = ["name", "email", "type", "site"].filter((name) => name in record);
  const names = [...new Set([...own, ...Object.keys(record.fields)])];
  const mapped = new Map(values.map((one) => [one.field, one]));
  return html`<${Scroller} label="Fields"><table><thead><tr><th scope="col">Field</th><th scope="col">Value</th><th scope="col">From</th>${edit && html`<th scope="col">Change</th>`}</tr></thead><tbody>
    ${names.map((name) => {
      const locked = record.locked_fields.includes(name);
      const mapping = mapped.get(name);
      const from = locked ? html`<strong>a person</strong>` : mapping ? html`<code><${Text} text=${mapping.expression ?? mapping.source ?? shown(mapping.fixed)} /></code>` : name === "type" || name === "site" ? "rules" : html`<span class="faint">–</span>`;
      return html`<tr key=${name}><th scope="row"><${Text} text=${fieldName(name)} /></th><td><${Text} text=${valueOf(record, name)} /></td><td>${from}</td>
        ${edit && html`<td><button type="button" aria-label=${`Change ${fieldName(name)}`} onClick=${() => edit(name)}>Change</button>${locked && html` <button type="button" aria-label=${`Release ${fieldName(name)} to the import`} onClick=${() => release(name)}>Release</button>`}</td>`}</tr>`;
    })}</tbody></table></${Scroller}>`;
}

/** @param {{why: any}} given */
function Why({ why }) {
  return html`<${Busy} busy=${why.busy && !why.data} /><${Problem} error=${why.error} again=${why.again} />
    ${why.data && (why.data.explanation.length ? html`<ol>${why.data.explanation.map((/** @type {string} */ line) => html`<li><${Text} text=${line} /></li>`)}</ol>` : html`<p>No import decides about it.</p>`)}`;
}

/** @param {{path: string, version: string}} given */
function History({ path, version }) {
  const pages = usePages(`${path}/history`);
  useEffect(() => void (version && pages.again()), [version]);
  return html`<${Problem} error=${pages.error} again=${pages.retry} />
    <ol class="timeline">${pages.items.map((one) => html`<li><p><strong>${words(one.action)}</strong> <span class="faint"><${Moment} at=${one.at} /> · <${Text} text=${one.by} /></span></p><${Changes} changes=${one.changes} /></li>`)}</ol>
    <${Busy} busy=${pages.busy} />
    ${pages.next && html`<button type="button" onClick=${pages.more}>Older changes</button>`}`;
}
