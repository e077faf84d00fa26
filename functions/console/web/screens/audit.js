// Who did what.

import { Filters, asked } from "../filters.js";
import { words } from "../format.js";
import { usePages } from "../loading.js";
import { Busy, Changes, Empty, Moment, Problem, Text } from "../parts.js";
import { html } from "../vendor/preact-htm.js";

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "by", label: "By whom", type: "text" },
  { name: "kind", label: "Of what kind", type: "text" },
  { name: "thing", label: "What it was done to", type: "text", hint: "Such as sites/london-hq" },
];

/** @param {{place: import("../address.js").Place}} given */
export default function Audit({ place }) {
  const pages = usePages("audit", asked(place, FILTERS));
  return html`<h1>Audit trail</h1><${Filters} place=${place} filters=${FILTERS} />
    ${!pages.items.length && !pages.busy && !pages.error && html`<${Empty}>Nothing was done so.</${Empty}>`}
    <ol class="timeline">${pages.items.map((one) => html`<li key=${one.id}>
      <p><strong>${words(one.action)}</strong> <${Text} text=${one.thing} /> <span class="faint"><${Moment} at=${one.at} /> · <${Text} text=${one.by} />${one.role ? ` · ${one.role}` : ""} · ${one.origin}</span></p>
      ${one.changes.length ? html`<details><summary>${one.changes.length + one.more} fields</summary><${Changes} changes=${one.changes} />${one.more ? html`<p class="faint">And ${one.more} more.</p>` : null}</details>` : null}
    </li>`)}</ol>
    <${Busy} busy=${pages.busy} /><${Problem} error=${pages.error} again=${pages.retry} />
    ${pages.next && !pages.busy && html`<button type="button" onClick=${pages.more}>Older</button>`}`;
}
