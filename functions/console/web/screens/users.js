// All users.

import { linkTo } from "../address.js";
import { Badge, Moment, Text } from "../parts.js";
import { html } from "../vendor/preact-htm.js";
import { Records } from "./records.js";

/** @type {import("../filters.js").Filter[]} */
const FILTERS = [
  { name: "q", label: "Search", hint: "Beginnings of names, addresses, ids" },
  { name: "active", label: "State", choices: ["true", "false"], names: { true: "Active", false: "Inactive" } },
  { name: "email", label: "E-mail address", type: "text" },
  { name: "site", label: "Site", type: "text" },
  { name: "customer", label: "Customer", type: "text" },
  { name: "realm", label: "Realm", type: "text" },
];

/** @type {import("../table.js").Column[]} */
const COLUMNS = [
  { name: "name", label: "User", wide: true, cell: (user) => html`<a href=${linkTo("user", user.id)} title=${user.id}><${Text} text=${user.name || user.email || user.source_id} /></a>` },
  { name: "email", label: "E-mail address", cell: (user) => html`<${Text} text=${user.email} />` },
  { name: "site", label: "Site", cell: (user) => html`<${Text} text=${user.site} />` },
  { name: "status", label: "State", cell: (user) => html`<${Badge} word=${user.status} />` },
  { name: "partition", label: "Realm", cell: (user) => html`<${Text} text=${user.partition} />` },
  { name: "changed_at", label: "Changed", cell: (user) => html`<${Moment} at=${user.changed_at} />` },
];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Users({ place, me }) {
  return html`<${Records} place=${place} me=${me} many="users" one="user" filters=${FILTERS} columns=${COLUMNS} />`;
}
