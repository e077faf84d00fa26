// One sweep and its report.

import { linkTo } from "../address.js";
import { count, words } from "../format.js";
import { usePages, useRead } from "../loading.js";
import { Badge, Busy, Facts, Moment, Problem, Text } from "../parts.js";
import { Table } from "../table.js";
import { html, useEffect, useState } from "../vendor/preact-htm.js";

/** @type {import("../table.js").Column[]} */
const REPORT = [
  { name: "vault", label: "Vault", cell: (line) => html`<${Text} text=${line.vault} />` },
  { name: "what", label: "What", cell: (line) => html`<${Badge} word=${line.what} />` },
  { name: "reason", label: "Reason", cell: (line) => html`<code>${line.reason || "–"}</code>` },
  { name: "message", label: "Message", wide: true, cell: (line) => html`<span title=${line.message}><${Text} text=${line.message} /></span>` },
];

/** @param {{place: import("../address.js").Place}} given */
export default function Sweep({ place }) {
  const path = `sweeps/${encodeURIComponent(place.id)}`;
  const [running, setRunning] = useState(true);
  const { data: sweep, error, busy, again } = useRead(path, { limit: 1 }, running ? 3 : 0);
  const pages = usePages(path);
  useEffect(() => {
    if (!sweep) return;
    setRunning(sweep.state === "running");
    if (sweep.state !== "running") pages.again();
  }, [sweep?.state]);
  if (!sweep) return html`<h1>Sweep</h1><${Busy} busy=${busy} /><${Problem} error=${error} again=${again} />`;
  return html`<p class="crumbs"><a href=${linkTo("sweeps")}>Sweeps and vaults</a></p>
    <h1>Sweep of <${Moment} at=${sweep.started_at} /></h1>
    <p role="status"><${Badge} word=${sweep.state} /> ${count(sweep.done, "vault")} read, ${sweep.failed} failed.</p>
    <${Problem} error=${error} again=${again} />
    <${Facts} of=${/** @type {[string, any][]} */ ([["Started by", sweep.started_by], ["Vaults", Array.isArray(sweep.vaults) ? sweep.vaults.join(", ") : words(sweep.vaults)], ["Last vault", html`<${Moment} at=${sweep.last_at} />`]])} />
    <h2>Report</h2>
    <${Table} caption="Report" columns=${REPORT} pages=${pages} keyOf=${(/** @type {any} */ line) => `${line.vault}/${line.what}/${line.reason}`}>Every vault was read to its end.</${Table}>`;
}
