// All secrets, keys and certificates of all vaults: what an auditor asks for.

import { linkTo } from "../address.js";
import { Filters, asked } from "../filters.js";
import { usePages } from "../loading.js";
import { Badge, Moment, Text } from "../parts.js";
import { Table } from "../table.js";
import { html } from "../vendor/preact-htm.js";

export const STATES = ["usable", "not_yet_valid", "expired", "disabled", "gone"];
export const TYPES = ["secret", "key", "certificate"];

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "q", label: "Search", hint: "Beginnings of names" },
  { name: "state", label: "State", choices: STATES, none: "All but gone" },
  { name: "object_type", label: "Type", choices: TYPES },
  { name: "order", label: "Order", choices: ["expiry", "name"], none: "Usual" },
  { name: "scope", label: "Vault", type: "text" },
  { name: "owner", label: "Owner", type: "text" },
  { name: "site", label: "Site", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { name: "object_name", label: "Object", wide: true, cell: (one) => html`<a href=${linkTo("object", one.id)}><${Text} text=${one.object_name} /></a> <span class="faint">${one.object_type}</span>` },
  { name: "state", label: "State", cell: (one) => html`<${Badge} word=${one.state} />` },
  { name: "expires_at", label: "Expires", cell: (one) => (one.expires_at ? html`<${Moment} at=${one.expires_at} /> <span class="faint"><${Moment} at=${one.expires_at} relative /></span>` : "never") },
  { name: "scope", label: "Vault", cell: (one) => html`<${Text} text=${one.scope} />` },
  { name: "owner", label: "Owner", cell: (one) => html`<${Text} text=${one.owner} />` },
  { name: "tickets", label: "Open tickets", cell: (one) => (one.tickets.length ? one.tickets.map((/** @type {string} */ id) => html`<a href=${linkTo("ticket", id)}>${id}</a> `) : "–") },
  { name: "last_seen_at", label: "Last seen", cell: (one) => html`<${Moment} at=${one.last_seen_at} relative />` },
];

/** @param {{place: import("../address.js").Place}} given */
export default function Objects({ place }) {
  const pages = usePages("objects", asked(place, FILTERS));
  return html`<h1>Objects</h1>
    <${Filters} place=${place} filters=${FILTERS} />
    <${Table} caption="Objects" columns=${COLUMNS} pages=${pages} keyOf=${(/** @type {any} */ one) => one.id}>
      ${Object.keys(place.parameters).length ? html`None is so. <a href=${linkTo("objects")}>Show all</a>` : html`None is known yet. A <a href=${linkTo("sweeps")}>sweep</a> reads them.`}
    </${Table}>`;
}
