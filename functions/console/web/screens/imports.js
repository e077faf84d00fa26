// What is imported, when it last went well, and the buttons for it.

import { go, linkTo } from "../address.js";
import { call } from "../api.js";
import { Filters, asked } from "../filters.js";
import { changesOf, count, kindName, words } from "../format.js";
import { usePages } from "../loading.js";
import { Badge, Dialog, Form, Moment, Problem, Text } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "status", label: "Status", choices: ["running", "succeeded", "withheld", "partly_failed", "failed"] },
  { name: "name", label: "Document", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const RUNS = [
  { name: "name", label: "Run", wide: true, cell: (run) => html`<a href=${linkTo("run", run.id)}><${Text} text=${run.name} /></a> <span class="faint">${kindName(run.kind)}</span>` },
  { name: "mode", label: "What", cell: (run) => words(run.mode) },
  { name: "status", label: "Status", cell: (run) => html`<${Badge} word=${run.status} />` },
  { name: "started_at", label: "Started", cell: (run) => html`<${Moment} at=${run.started_at} />` },
  { name: "started_by", label: "By", cell: (run) => html`<${Text} text=${run.started_by || run.trigger} />` },
  { name: "counts", label: "Changes", cell: (run) => html`<${Text} text=${changesOf(run.counts, run.mode)} />` },
];

/**
 * Start a run, and go to it.
 * @param {string} kind
 * @param {string} name
 * @param {Record<string, unknown>} body
 */
export async function start(kind, name, body) {
  const { data } = await call("POST", `${kind}/${encodeURIComponent(name)}/imports`, { body });
  go(linkTo("run", data.id));
}

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Imports({ place, me }) {
  const imports = usePages("imports");
  const runs = usePages("runs", asked(place, FILTERS));
  const [asking, setAsking] = useState(/** @type {any} */ (null));
  const [check, setCheck] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const works = has(me, "operator");
  /** @type {import("../table.js").Column[]} */
  const columns = [
    { name: "name", label: "Import", wide: true, cell: (one) => html`<${Text} text=${one.name} /> <span class="faint">${kindName(one.kind)}</span>` },
    ...(works ? [{ name: "do", label: "Do", cell: (/** @type {any} */ one) => html`<span class="row">
      <button type="button" aria-label=${`Preview ${one.name}`} onClick=${() => start(one.kind, one.name, { mode: "preview" }).catch(setError)}>Preview</button>
      <button type="button" aria-label=${`Import ${one.name}`} onClick=${() => setAsking(one)}>Import</button>
      <button type="button" aria-label=${`Test ${one.name}`} onClick=${() => test(one)}>Test</button></span>` }] : []),
    { name: "status", label: "Last run", cell: (one) => (one.last_run ? html`<a href=${linkTo("run", one.last_run)}><${Badge} word=${one.status} /></a> <${Moment} at=${one.last_run_at} relative />` : html`<${Badge} word=${one.status} />`) },
    { name: "withheld", label: "Withheld", cell: (one) => (one.withheld ? html`<a href=${linkTo("run", one.withheld.run_id)} title=${one.withheld.names.join(", ")}><${Badge} word="withheld" label=${count(one.withheld.count, "change")} /></a>` : "–") },
    { name: "last", label: "Last success", cell: (one) => html`<${Moment} at=${one.last_success_at} relative />` },
    { name: "next", label: "Next run", cell: (one) => html`<${Moment} at=${one.next_run_at} relative />` },
    { name: "warning", label: "Why to look", cell: (one) => (one.warning ? html`<span title=${one.warning}><${Text} text=${one.warning} /></span>` : one.unread.length ? html`<span title=${one.unread.map((/** @type {any} */ part) => part.message).join(" ")}>${count(one.unread.length, "part")} nobody reads</span>` : "–") },
  ];
  /** @param {any} one */
  const test = (one) => {
    setError(null);
    setCheck({ of: one, answer: null });
    call("POST", `${one.kind}/${encodeURIComponent(one.name)}/check`).then(({ data }) => setCheck({ of: one, answer: data }), (refused) => (setCheck(null), setError(refused)));
  };
  return html`<h1>Imports</h1>
    <${Problem} error=${error} />
    <${Table} caption="Imports" columns=${columns} pages=${imports} keyOf=${(/** @type {any} */ one) => `${one.kind}/${one.name}`}>
      Nothing is imported yet. A settings document of the kind aws-tenants or authrocket-realms makes an import.
    </${Table}>
    <h2>Runs</h2>
    <${Filters} place=${place} filters=${FILTERS} />
    <${Table} caption="Runs" columns=${RUNS} pages=${runs} keyOf=${(/** @type {any} */ run) => run.id}>No run yet.</${Table}>
    ${asking && html`<${Dialog} title=${`Import ${asking.name} now?`} close=${() => setAsking(null)}>
      <p>It writes what is new and what changed, and deactivates nothing. A preview shows first what would be done.</p>
      <${Form} act=${() => start(asking.kind, asking.name, { mode: "import" })} label="Import now" cancel=${() => setAsking(null)} /></${Dialog}>`}
    ${check && html`<${Dialog} title=${`Test of ${check.of.name}`} close=${() => setCheck(null)}><${Check} answer=${check.answer} />
      <div class="row"><button type="button" autofocus onClick=${() => setCheck(null)}>Close</button></div></${Dialog}>`}`;
}

/** @param {{answer: any}} given */
function Check({ answer }) {
  if (!answer) return html`<p role="status">Trying …</p>`;
  // A tenant answers for each account and region, a realm for itself.
  const items = answer.items || [answer];
  return html`<p role="status"><${Badge} word=${answer.ok ? "ready" : "failing"} label=${answer.ok ? "All is well" : "Something is wrong"} /> ${count(items.length, "finding")}</p>
    <ul class="feed">${items.map((/** @type {any} */ one) => html`<li><${Badge} word=${one.ok ? "ready" : "failing"} label=${one.ok ? "Works" : "Fails"} /> ${one.account && html`<${Text} text=${`${one.account} ${one.region}`} />: `}<${Text} text=${one.message} />
      ${one.remedy && html`<br /><strong>What to do:</strong> <${Text} text=${one.remedy} />`}</li>`)}</ul>`;
}
