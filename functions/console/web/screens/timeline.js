// When things expire: a year of it as a picture, and the same as a table.

import { linkTo } from "../address.js";
import { Filters, asked } from "../filters.js";
import { daysLeft, momentOf } from "../format.js";
import { usePages } from "../loading.js";
import { Badge, Empty, Moment, Text } from "../parts.js";
import { Table } from "../table.js";
import { html } from "../vendor/preact-htm.js";

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "q", label: "Search" },
  { name: "object_type", label: "Type", choices: ["secret", "key", "certificate"] },
  { name: "scope", label: "Vault", type: "text" },
  { name: "owner", label: "Owner", type: "text" },
  { name: "site", label: "Site", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { name: "object", label: "Object", wide: true, cell: (one) => html`<a href=${linkTo("object", one.id)}><${Text} text=${one.object_name} /></a> <span class="faint">${one.object_type}</span>` },
  { name: "expires_at", label: "Expires", cell: (one) => html`<${Moment} at=${one.expires_at} />` },
  { name: "left", label: "From now", cell: (one) => html`<${Moment} at=${one.expires_at} relative />` },
  { name: "scope", label: "Vault", cell: (one) => html`<${Text} text=${one.scope} />` },
  { name: "state", label: "State", cell: (one) => html`<${Badge} word=${one.state} />` },
  { name: "tickets", label: "Open tickets", cell: (one) => (one.tickets.length ? one.tickets.map((/** @type {string} */ id) => html`<a href=${linkTo("ticket", id)}>${id}</a> `) : "–") },
];
const MARKS = [0, 30, 60, 90, 180, 365];
const LANES = 12;

/**
 * Where a day stands: the next weeks have more room than the far ones.
 * @param {number} days from now
 */
export function position(days) {
  return Math.sqrt(Math.min(365, Math.max(0, days)) / 365) * 100;
}

/** @param {{place: import("../address.js").Place}} given */
export default function Timeline({ place }) {
  // To the day, so that the same list is asked for until tomorrow.
  const until = new Date(Date.now() + 366 * 86400000).toISOString().slice(0, 10);
  const pages = usePages("objects", { order: place.parameters.q ? "" : "expiry", expires_before: `${until}T00:00:00Z`, ...asked(place, FILTERS) });
  const dated = pages.items.filter((one) => one.expires_at);
  return html`<h1>Expiry timeline</h1>
    <${Filters} place=${place} filters=${FILTERS} />
    ${dated.length ? html`<${Lanes} items=${dated} />` : !pages.busy && !pages.error && html`<${Empty}>Nothing that is known expires within a year.</${Empty}>`}
    <${Table} caption="Expiries, soonest first" columns=${COLUMNS} pages=${pages} keyOf=${(/** @type {any} */ one) => one.id}>Nothing expires within a year.</${Table}>`;
}

/** @param {{items: any[]}} given */
function Lanes({ items }) {
  const now = new Date();
  /** @type {Map<string, any[]>} */
  const lanes = new Map();
  for (const item of items) lanes.set(item.scope, [...(lanes.get(item.scope) || []), item]);
  const shown = [...lanes].slice(0, LANES);
  const height = 34 * shown.length + 26;
  // The table below says the same to who does not see the picture.
  return html`<figure class="scroller"><svg class="lanes" viewBox=${`0 0 1000 ${height}`} aria-hidden="true" focusable="false">
    ${MARKS.map((days) => html`<g><line x1=${180 + position(days) * 8} x2=${180 + position(days) * 8} y1="20" y2=${height} stroke="var(--line)" /><text x=${180 + position(days) * 8} y="14" font-size="13" fill="var(--faint)" text-anchor=${days === 365 ? "end" : "middle"}>${days ? `${days} days` : "now"}</text></g>`)}
    ${shown.map(([name, many], lane) => html`<g><text x="4" y=${44 + lane * 34} font-size="14" fill="currentColor">${name.length > 22 ? `${name.slice(0, 21)}…` : name}</text>
      <line x1="180" x2="990" y1=${40 + lane * 34} y2=${40 + lane * 34} stroke="var(--line)" />
      ${many.map((one) => {
        const moment = momentOf(one.expires_at);
        const days = moment ? daysLeft(moment, now) : 0;
        return html`<circle cx=${180 + position(days) * 8} cy=${40 + lane * 34} r="6" class=${days < 0 ? "bad" : days < 30 ? "warn" : "note"} fill="currentColor" fill-opacity=".75"><title>${`${one.object_name}: ${one.expires_at.slice(0, 10)}`}</title></circle>`;
      })}</g>`)}
  </svg><figcaption class="foot">${lanes.size > LANES ? `The first ${LANES} of ${lanes.size} vaults. ` : ""}Past ones stand at now. Everything stands in the table below, too.</figcaption></figure>`;
}
