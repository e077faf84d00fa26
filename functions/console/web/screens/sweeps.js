// Sweeps of vaults, and each vault that is known with its age.

import { go, linkTo } from "../address.js";
import { call } from "../api.js";
import { usePages } from "../loading.js";
import { Badge, Dialog, Field, Form, Moment, Text } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

/** @type {import("../table.js").Column[]} */
const SWEEPS = [
  { name: "started_at", label: "Started", wide: true, cell: (sweep) => html`<a href=${linkTo("sweep", sweep.id)}><${Moment} at=${sweep.started_at} /></a>` },
  { name: "state", label: "State", cell: (sweep) => html`<${Badge} word=${sweep.state} />` },
  { name: "started_by", label: "By", cell: (sweep) => html`<${Text} text=${sweep.started_by} />` },
  { name: "vaults", label: "Vaults", cell: (sweep) => html`<${Text} text=${Array.isArray(sweep.vaults) ? sweep.vaults.join(", ") : sweep.vaults} />` },
  { name: "done", label: "Read", cell: (sweep) => sweep.done.toLocaleString() },
  { name: "failed", label: "Failed", cell: (sweep) => (sweep.failed ? html`<${Badge} word="failed" label=${String(sweep.failed)} />` : "0") },
];

/** @type {import("../table.js").Column[]} */
const VAULTS = [
  { name: "name", label: "Vault", wide: true, cell: (vault) => html`<a href=${linkTo("tickets", "", { scope: vault.name })}><${Text} text=${vault.name} /></a>` },
  { name: "swept_at", label: "Last swept", cell: (vault) => html`<${Moment} at=${vault.swept_at} relative />` },
  { name: "reason", label: "Came of it", cell: (vault) => (vault.vanished_at ? html`<${Badge} word="vanished" />` : vault.reason ? html`<${Badge} word="failed" label=${vault.reason} /> <${Text} text=${vault.message} />` : vault.swept_at ? html`<${Badge} word="ready" label="Read to its end" />` : "–") },
  { name: "store", label: "Store", cell: (vault) => html`<${Text} text=${vault.store} />` },
  { name: "site", label: "Site", cell: (vault) => html`<${Text} text=${vault.site} />` },
  { name: "owner", label: "Owner", cell: (vault) => html`<${Text} text=${vault.owner} />` },
  { name: "objects", label: "Objects", cell: (vault) => vault.objects.toLocaleString() },
  { name: "near", label: "Near or past expiry", cell: (vault) => vault.near_or_past_expiry.toLocaleString() },
  { name: "event", label: "Last event", cell: (vault) => html`<${Moment} at=${vault.last_event_at} relative />` },
];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Sweeps({ me }) {
  const sweeps = usePages("sweeps");
  const vaults = usePages("vaults");
  const [asking, setAsking] = useState(false);
  /** @param {FormData} values */
  const act = async (values) => {
    const names = String(values.get("vaults") || "").split(/[\s,]+/).filter(Boolean);
    const { data } = await call("POST", "sweeps", { body: { vaults: names.length ? names : "all" } });
    go(linkTo("sweep", data.id));
  };
  return html`<h1>Sweeps and vaults</h1>
    ${has(me, "operator") && html`<div class="row"><button type="button" class="main" onClick=${() => setAsking(true)}>Sweep now</button></div>`}
    <h2>Vaults</h2>
    <${Table} caption="Vaults" columns=${VAULTS} pages=${vaults} keyOf=${(/** @type {any} */ vault) => vault.name}>
      No vault is known yet. They come with the first event or sweep: the settings document key-vault-events says which are allowed.
    </${Table}>
    <h2>Sweeps</h2>
    <${Table} caption="Sweeps" columns=${SWEEPS} pages=${sweeps} keyOf=${(/** @type {any} */ sweep) => sweep.id}>No sweep yet. One begins by itself each day.</${Table}>
    ${asking && html`<${Dialog} title="Sweep vaults now" close=${() => setAsking(false)}>
      <${Form} act=${act} label="Sweep" cancel=${() => setAsking(false)}>
        <${Field} label="Vaults" name="vaults" autofocus hint="Names with commas; empty sweeps all that have a store" />
      </${Form}></${Dialog}>`}`;
}
