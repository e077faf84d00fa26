// All assets.

import { linkTo } from "../address.js";
import { Badge, Moment, Text } from "../parts.js";
import { html } from "../vendor/preact-htm.js";
import { Records } from "./records.js";

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "q", label: "Search", hint: "Beginnings of names, ids, addresses" },
  { name: "active", label: "State", choices: ["true", "false"], names: { true: "Active", false: "Inactive" } },
  { name: "type", label: "Type", type: "text" },
  { name: "site", label: "Site", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
  { name: "account", label: "Account", type: "text" },
  { name: "region", label: "Region", type: "text", hint: "With an account" },
  { name: "tenant", label: "Tenant", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { name: "name", label: "Asset", wide: true, cell: (asset) => html`<a href=${linkTo("asset", asset.id)} title=${asset.id}><${Text} text=${asset.name || asset.source_id} /></a>` },
  { name: "type", label: "Type", cell: (asset) => html`<${Text} text=${asset.type} />` },
  { name: "site", label: "Site", cell: (asset) => html`<${Text} text=${asset.site} />` },
  { name: "status", label: "State", cell: (asset) => html`<${Badge} word=${asset.status} />` },
  { name: "partition", label: "Account and region", cell: (asset) => html`<${Text} text=${asset.partition} />` },
  { name: "source_id", label: "Instance", cell: (asset) => html`<${Text} text=${asset.source_id} />` },
  { name: "changed_at", label: "Changed", cell: (asset) => html`<${Moment} at=${asset.changed_at} />` },
];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Assets({ place, me }) {
  return html`<${Records} place=${place} me=${me} many="assets" one="asset" filters=${FILTERS} columns=${COLUMNS} />`;
}
