// Events that could not become tickets, and what Event Grid gave up.

import { go, linkTo } from "../address.js";
import { Refusal, call } from "../api.js";
import { size } from "../format.js";
import { usePages, useRead } from "../loading.js";
import { Busy, Dialog, Form, Moment, Problem, Text, say } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

/** @type {import("../table.js").Column[]} */
const EVENTS = [
  { name: "reason", label: "Reason", wide: true, cell: (one) => html`<a href=${linkTo("quarantine", one.id)}><code>${one.reason}</code></a>` },
  { name: "message", label: "Message", cell: (one) => html`<span title=${one.message}><${Text} text=${one.message} /></span>` },
  { name: "received_at", label: "Received", cell: (one) => html`<${Moment} at=${one.received_at} />` },
];

/** @type {import("../table.js").Column[]} */
const LETTERS = [
  { name: "name", label: "Blob", wide: true, cell: (one) => html`<span title=${one.name}><${Text} text=${one.name} /></span>` },
  { name: "size", label: "Size", cell: (one) => size(one.size) },
  { name: "written_at", label: "Written", cell: (one) => html`<${Moment} at=${one.written_at} />` },
];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Quarantine({ place, me }) {
  return place.id ? html`<${One} id=${place.id} me=${me} />` : html`<${All} me=${me} />`;
}

/** @param {{me: any}} given */
function All({ me }) {
  const events = usePages("quarantine");
  const letters = usePages("dead-letters");
  const replay = async () => {
    const { data } = await call("POST", "dead-letters/replay");
    say(`${data.recorded} events recorded, ${data.quarantined} quarantined${data.more ? "; more are left" : ""}.`);
    letters.again();
    events.again();
  };
  return html`<h1>Quarantine</h1>
    <p>Events that could not become a ticket. Mend what the reason names, and try them again.</p>
    <${Table} caption="Quarantined events" columns=${EVENTS} pages=${events} keyOf=${(/** @type {any} */ one) => one.id}>No event is in quarantine.</${Table}>
    <h2>Dead letters</h2>
    <p>What Event Grid could not deliver in a day. The desk reads them by itself every hour.</p>
    <${Table} caption="Dead letters" columns=${LETTERS} pages=${letters} keyOf=${(/** @type {any} */ one) => one.name}>There are none.</${Table}>
    ${has(me, "operator") && letters.items.length > 0 && html`<${Form} act=${replay} label="Record them now" />`}`;
}

/** @param {{id: string, me: any}} given */
function One({ id, me }) {
  const path = `quarantine/${encodeURIComponent(id)}`;
  const { data, error, busy, again } = useRead(path);
  const [asking, setAsking] = useState(false);
  const replay = async () => {
    const answer = (await call("POST", `${path}/replay`)).data;
    if (!answer.recorded) throw new Refusal({ status: 0, reason: answer.reason || "", title: "It went into quarantine again", detail: answer.message });
    say("It is recorded.");
    go(linkTo("quarantine"));
  };
  const remove = async () => {
    await call("DELETE", path);
    say("It is removed.");
    go(linkTo("quarantine"));
  };
  return html`<p class="crumbs"><a href=${linkTo("quarantine")}>Quarantine</a></p><h1>A quarantined event</h1>
    <${Busy} busy=${busy && !data} /><${Problem} error=${error} again=${again} />
    ${data && html`<p><code>${data.reason}</code>, received <${Moment} at=${data.received_at} /></p><p><${Text} text=${data.message} /></p>
      <pre class="details">${data.event === null ? data.text : JSON.stringify(data.event, null, 2)}</pre>
      ${has(me, "operator") && html`${data.event === null ? html`<p>It is too long to be tried again from here.</p>` : html`<${Form} act=${replay} label="Try it again" />`}
        <div class="row"><button type="button" class="danger" onClick=${() => setAsking(true)}>Remove it</button></div>`}`}
    ${asking && html`<${Dialog} title="Remove this event for good?" close=${() => setAsking(false)}><${Form} act=${remove} label="Remove" danger cancel=${() => setAsking(false)} /></${Dialog}>`}`;
}
