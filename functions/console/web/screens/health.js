// Whether all that the desk needs is there, and what is still to follow from changes.

import { call } from "../api.js";
import { usePages, useRead } from "../loading.js";
import { Badge, Busy, Moment, Problem, Scroller, Text, say } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

/** @param {{me: any}} given */
export default function Health({ me }) {
  const { data, error, busy, again } = useRead("/api/health/ready");
  // Readiness answers 503 with its parts when the desk cannot work.
  const found = data || (error?.problem?.items ? error.problem : null);
  return html`<h1>Health</h1>
    <${Busy} busy=${busy && !found} />
    ${!found && html`<${Problem} error=${error} again=${again} />`}
    ${found && html`<p role="status">All in all: <${Badge} word=${found.status} /></p>
      <${Scroller} label="What the desk needs"><table><thead><tr><th scope="col">What</th><th scope="col">State</th><th scope="col">Message</th><th scope="col">What to do</th></tr></thead><tbody>
      ${found.items.map((/** @type {any} */ part) => html`<tr key=${part.name}><th scope="row"><${Text} text=${part.name} /></th><td><${Badge} word=${part.state} /></td><td><${Text} text=${part.message} />${part.reason && html` <code>${part.reason}</code>`}</td><td>${part.remedy && html`<${Text} text=${part.remedy} />`}</td></tr>`)}
      </tbody></table></${Scroller}>`}
    <div class="row"><button type="button" onClick=${again}>Look again</button></div>
    ${has(me, "administrator") && html`<${Outbox} />`}`;
}

function Outbox() {
  const pages = usePages("outbox");
  const [error, setError] = useState(/** @type {any} */ (null));
  /** @param {string} id */
  const retry = (id) => call("POST", `outbox/${encodeURIComponent(id)}/retry`).then(() => (say("It is tried again."), pages.again()), setError);
  /** @type {import("../table.js").Column[]} */
  const columns = [
    { name: "partition", label: "Change of", wide: true, cell: (one) => html`<${Text} text=${`${one.table} ${one.partition}`} />` },
    { name: "kinds", label: "What follows", cell: (one) => html`<${Text} text=${one.kinds.join(", ")} />` },
    { name: "state", label: "State", cell: (one) => html`<${Badge} word=${one.state} />` },
    { name: "at", label: "Since", cell: (one) => html`<${Moment} at=${one.at} />` },
    { name: "attempts", label: "Attempts", cell: (one) => one.attempts },
    { name: "why", label: "Why", cell: (one) => html`<${Text} text=${one.explanation || one.reason} />` },
    { name: "do", label: "Do", cell: (one) => html`<button type="button" onClick=${() => retry(one.id)}>Try again</button>` },
  ];
  return html`<h2>Still to follow from changes</h2><${Problem} error=${error} />
    <${Table} caption="Outbox" columns=${columns} pages=${pages} keyOf=${(/** @type {any} */ one) => one.id}>Nothing waits.</${Table}>`;
}
