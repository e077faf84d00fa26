// One run: how far it is, what it does or would do, record by record, and what to confirm.

import { linkTo } from "../address.js";
import { Refusal } from "../api.js";
import { Filters, asked } from "../filters.js";
import { count, words } from "../format.js";
import { usePages, useRead } from "../loading.js";
import { Badge, Busy, Changes, Dialog, Facts, Field, Form, Moment, Problem, Scroller, Text } from "../parts.js";
import { has } from "../screens.js";
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { start } from "./imports.js";

const OPEN = new Set(["queued", "running", "open"]);
const ACTIONS = ["create", "update", "deactivate", "held_back", "skip", "unchanged", "changed_since_preview", "error"];
const SIGNS = /** @type {Record<string, string>} */ ({ create: "+", update: "~", deactivate: "−", held_back: "‖", error: "!" });
/** @type {import("../filters.js").Filter[]} */
const FILTERS = [{ name: "action", label: "Show", choices: ACTIONS, none: "Everything" }, { name: "part", label: "Part", type: "text" }];

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function Run({ place, me }) {
  const [open, setOpen] = useState(true);
  const path = `runs/${encodeURIComponent(place.id)}`;
  const { data: run, error, busy, again } = useRead(path, {}, open ? 2 : 0);
  const [asking, setAsking] = useState("");
  const [failed, setFailed] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (run) setOpen(OPEN.has(run.status));
  }, [run]);
  if (!run) return html`<h1>Run</h1><${Busy} busy=${busy} /><${Problem} error=${error} again=${again} />`;
  const works = has(me, "operator");
  const held = run.counts.held_back || 0;
  const done = !OPEN.has(run.status);
  return html`<p class="crumbs"><a href=${linkTo("imports")}>Imports</a></p>
    <h1>${words(run.mode)} of <${Text} text=${run.name} /></h1>
    <p><${Badge} word=${run.status} /> <span class="faint">${run.id}</span></p>
    <${Problem} error=${error} again=${again} />
    ${run.message && html`<div class="problem"><strong><${Text} text=${run.message} /></strong>${run.remedy && html`<p><strong>What to do:</strong> <${Text} text=${run.remedy} /></p>`}</div>`}
    <${Progress} run=${run} />
    <div class="cards"><section><h2>What came of it</h2><${Counts} run=${run} place=${place} /></section>
      <section><h2>About it</h2><${Facts} of=${facts(run)} /></section></div>
    ${works && done && html`<div class="row">
      ${run.mode === "preview" && html`<button type="button" class="main" onClick=${() => setAsking("apply")}>Start exactly this plan</button>`}
      ${run.mode !== "preview" && held > 0 && html`<button type="button" class="danger" onClick=${() => setAsking("confirm")}>Confirm ${count(held, "withheld change")}</button>`}
      <button type="button" onClick=${() => start(run.kind, run.name, { mode: "preview" }).catch(setFailed)}>Preview again</button></div>`}
    <${Problem} error=${failed} acts />
    ${held > 0 && html`<p><${Badge} word="withheld" label="A guard holds something back" /> ${count(held, "change")} would take something away. They wait until somebody confirms them, or the source shows everything again.</p>`}
    <h2>${run.mode === "preview" ? "The plan" : "What went wrong"}</h2>
    <${Plan} place=${place} path=${path} ready=${done} />
    <${Parts} path=${path} done=${done} />
    ${asking && html`<${Confirm} run=${run} mode=${asking} number=${asking === "confirm" ? held : changes(run.counts)} close=${() => setAsking("")} />`}`;
}

/** @param {Record<string, number>} counts */
function changes(counts) {
  return ["create", "update", "deactivate"].reduce((sum, name) => sum + (counts[name] || 0), 0);
}

/** @param {any} run @returns {[string, any][]} */
function facts(run) {
  return [
    ["Started", html`<${Moment} at=${run.started_at} />`],
    ["Started by", run.started_by || run.trigger],
    ["Finished", html`<${Moment} at=${run.finished_at} />`],
    ["Applies", run.applies ? html`<a href=${linkTo("run", run.applies)}><${Text} text=${run.applies} /></a>` : null],
    ["Confirms", run.confirms ? html`<a href=${linkTo("run", run.confirms)}><${Text} text=${run.confirms} /></a>` : null],
  ];
}

/** @param {{run: any}} given */
function Progress({ run }) {
  if (!OPEN.has(run.status)) return null;
  const parts = run.counts.parts || 0;
  const done = parts - (run.counts.parts_open || 0);
  return html`<p role="status" aria-live="polite"><progress max=${parts || 1} value=${done} aria-label="Parts that are done"></progress> ${done.toLocaleString()} of ${parts.toLocaleString()}${run.counts_at_least ? " or more" : ""} parts are done.</p>`;
}

/** @param {{run: any, place: import("../address.js").Place}} given */
function Counts({ run, place }) {
  const known = ACTIONS.filter((name) => run.counts[name]);
  if (!known.length) return html`<p>${OPEN.has(run.status) ? "It is not known yet." : "Nothing is different."}</p>`;
  return html`<ul class="bars">${known.map((name) => html`<li><a href=${linkTo("run", place.id, { action: name })}><span class="bar-label"><span class="sign" aria-hidden="true">${SIGNS[name] || "·"}</span> ${words(name)}</span> <strong>${run.counts[name].toLocaleString()}</strong></a></li>`)}</ul>`;
}

/** @param {{place: import("../address.js").Place, path: string, ready: boolean}} given */
function Plan({ place, path, ready }) {
  const pages = usePages(`${path}/plan`, asked(place, FILTERS));
  useEffect(() => void (ready && pages.again()), [ready]);
  return html`<${Filters} place=${place} filters=${FILTERS} />
    <ol class="plan">${pages.items.map((one) => html`<li key=${`${one.part}/${one.id}/${one.action}`} class=${`entry ${one.action}`}>
      <p><span class="sign" aria-hidden="true">${SIGNS[one.action] || "·"}</span> <strong>${words(one.action)}</strong> <${Text} text=${one.label || one.id} /> <span class="faint"><${Text} text=${`${one.part} · ${one.id}`} /></span></p>
      ${one.message && html`<p><${Text} text=${one.message} /></p>`}
      <${Changes} changes=${one.changes} />
      ${one.explanation.length ? html`<details><summary>Why</summary><ol>${one.explanation.map((/** @type {string} */ line) => html`<li><${Text} text=${line} /></li>`)}</ol></details>` : null}
    </li>`)}</ol>
    ${!pages.items.length && !pages.busy && !pages.error && html`<p class="empty">${ready ? "Nothing." : "It is not known yet."}</p>`}
    <${Busy} busy=${pages.busy} /><${Problem} error=${pages.error} again=${pages.retry} />
    ${pages.next && !pages.busy && html`<button type="button" onClick=${pages.more}>Read more</button>`}`;
}

/** @param {{path: string, done: boolean}} given */
function Parts({ path, done }) {
  const pages = usePages(`${path}/parts`);
  useEffect(() => void pages.again(), [done]);
  return html`<details open=${!done}><summary><h2>Parts</h2></summary>
    <${Scroller} label="Parts"><table><thead><tr><th scope="col">Part</th><th scope="col">State</th><th scope="col">Counts</th><th scope="col">What went wrong</th></tr></thead><tbody>
    ${pages.items.map((one) => html`<tr key=${one.name}><th scope="row"><${Text} text=${one.name} /></th><td><${Badge} word=${one.state} /></td>
      <td><${Text} text=${Object.entries(one.counts).map(([name, number]) => `${number} ${words(name).toLowerCase()}`).join(", ")} /></td>
      <td>${one.message && html`<${Text} text=${one.message} />`}${one.remedy && html`<br /><strong>What to do:</strong> <${Text} text=${one.remedy} />`}</td></tr>`)}
    </tbody></table></${Scroller}><${Problem} error=${pages.error} again=${pages.retry} />
    ${pages.next && html`<button type="button" onClick=${pages.more}>Read more</button>`}</details>`;
}

/**
 * What takes away is asked for by its number: a click alone is too little.
 * @param {{run: any, mode: string, number: number, close: () => void}} given
 */
function Confirm({ run, mode, number, close }) {
  const takes = mode === "confirm" || (run.counts.deactivate || 0) > 0;
  /** @param {FormData} values */
  const act = async (values) => {
    if (takes && String(values.get("number")).trim() !== String(number)) throw new Refusal({ status: 0, reason: "", title: "That is not the number", detail: `It is ${number}.` });
    await start(run.kind, run.name, { mode, run_id: run.id });
  };
  return html`<${Dialog} title=${mode === "confirm" ? `Carry out ${count(number, "withheld change")}?` : `Start exactly this plan?`} close=${close}>
    <p>${mode === "confirm" ? "The source is read again, and what is still gone is deactivated or emptied." : `It makes ${count(number, "change")}. What changed since the preview is left alone.`}</p>
    <${Form} act=${act} label=${mode === "confirm" ? "Carry them out" : "Start"} danger=${takes} cancel=${close}>
      ${takes && html`<${Field} label=${`Type ${number} to confirm`} name="number" inputmode="numeric" required autofocus />`}
    </${Form}></${Dialog}>`;
}

