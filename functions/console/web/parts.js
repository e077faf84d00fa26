// What screens are made of: moments, badges, refusals, forms, dialogs.

import { Refusal } from "./api.js";
import { distance, localTime, momentOf, shown, utcTime, words } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";

/** @typedef {import("./vendor/preact-htm.js").Element} Element */

/**
 * A moment in the reader's zone; UTC in its title.
 * @param {{at: string | null | undefined, relative?: boolean}} given
 */
export function Moment({ at, relative = false }) {
  const moment = momentOf(at);
  if (!moment) return html`<span class="faint">–</span>`;
  const far = moment.getUTCFullYear() > 9000;
  const text = far ? "never" : relative ? distance(moment, new Date()) : localTime(moment);
  const other = relative ? `${localTime(moment)} · ` : "";
  return html`<time dateTime=${moment.toISOString()} title=${other + utcTime(moment)}>${text}</time>`;
}

/**
 * A text from outside: whatever its script and direction, it stays in its place.
 * @param {{text: unknown}} given
 */
export function Text({ text }) {
  return html`<bdi>${shown(text)}</bdi>`;
}

/** How much a word should stand out. Shape and word say the same as the colour. */
const TONES = /** @type {Record<string, string>} */ ({
  critical: "bad", high: "warn", medium: "note", low: "calm",
  failed: "bad", partly_failed: "bad", failing: "bad", error: "bad", expired: "bad", refused: "bad", quarantined: "bad",
  degraded: "warn", held_back: "warn", withheld: "warn", deactivate: "warn", disabled: "warn", gone: "calm", not_yet_valid: "note", usable: "good", on_hold: "warn", vanished: "warn", unfinished: "warn",
  running: "note", queued: "note", in_progress: "note", open: "note", create: "note", update: "note",
  succeeded: "good", ready: "good", active: "good", resolved: "good", finished: "good", closed: "calm", inactive: "calm",
});
const SHAPES = /** @type {Record<string, string>} */ ({ bad: "◆", warn: "▲", note: "●", good: "✓", calm: "○" });

/** @param {{word: string | null | undefined, label?: string}} given */
export function Badge({ word, label }) {
  if (!word) return html`<span class="faint">–</span>`;
  const tone = TONES[word] || "calm";
  return html`<span class=${`badge ${tone}`}><span aria-hidden="true">${SHAPES[tone]}</span> ${label || words(word)}</span>`;
}

/**
 * Why something did not work, and what to do.
 * @param {{error: any, again?: () => void, acts?: boolean}} given acts: somebody asked for it, and has to ask again
 */
export function Problem({ error, again, acts = false }) {
  if (!error) return null;
  const problem = error instanceof Refusal ? error.problem : { title: "The console failed", detail: String(error?.message || error), remedy: "Load the page again.", reason: "console", faults: [], status: -1 };
  const wait = !acts && error instanceof Refusal && error.mayPass;
  return html`<div class="problem" role="alert">
    <strong>${problem.title || words(problem.reason)}</strong>
    ${problem.detail && html`<p><${Text} text=${problem.detail} /></p>`}
    ${problem.faults?.length ? html`<ul>${problem.faults.map((/** @type {any} */ fault) => html`<li>${fault.path && html`<code>${fault.path}</code> `}${fault.message}</li>`)}</ul>` : null}
    ${problem.remedy && html`<p><strong>What to do:</strong> <${Text} text=${problem.remedy} /></p>`}
    <p class="faint">${problem.reason && html`Reason <code>${problem.reason}</code>. `}${wait && "It is tried again by itself."}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </div>`;
}

/**
 * What may be wider than the window scrolls in itself, by keyboard too.
 * @param {{label: string, children?: any}} given
 */
export function Scroller({ label, children }) {
  return html`<div class="scroller" role="region" aria-label=${label} tabindex="0">${children}</div>`;
}

/** @param {{children?: any}} given */
export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** @param {{busy: boolean}} given */
export function Busy({ busy }) {
  return busy ? html`<p class="faint" role="status">Reading …</p>` : null;
}

/**
 * Names and values.
 * @param {{of: [string, any][]}} given
 */
export function Facts({ of }) {
  return html`<dl class="facts">${of.map(([name, value]) => html`<div><dt>${name}</dt><dd>${typeof value === "object" && value !== null ? value : html`<${Text} text=${value} />`}</dd></div>`)}</dl>`;
}

/**
 * @param {{changes: {field: string, before: any, after: any}[]}} given
 */
export function Changes({ changes }) {
  if (!changes.length) return null;
  return html`<${Scroller} label="Changed fields"><table class="diff"><thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
    <tbody>${changes.map((one) => html`<tr><th scope="row"><${Text} text=${one.field} /></th><td><del><${Text} text=${one.before} /></del></td><td><ins><${Text} text=${one.after} /></ins></td></tr>`)}</tbody></table></${Scroller}>`;
}

/**
 * A dialog over the page: Escape closes it, and the focus returns to where it was.
 * @param {{title: string, close: () => void, children?: any}} given
 */
export function Dialog({ title, close, children }) {
  const place = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const before = document.activeElement;
    place.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return html`<dialog ref=${place} aria-labelledby="dialog-title" onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); close(); }}>
    <h2 id="dialog-title">${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * A form whose button works once at a time; a refusal stands beneath it, and nothing that was typed is lost.
 * @param {{act: (values: FormData) => Promise<unknown>, label: string, cancel?: () => void, danger?: boolean, children?: any}} given
 */
export function Form({ act, label, cancel, danger = false, children }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await act(new FormData(/** @type {HTMLFormElement} */ (event.target)));
    } catch (refused) {
      setError(refused);
    }
    setBusy(false);
  };
  return html`<form onSubmit=${submit} aria-busy=${busy}>
    ${children}
    <${Problem} error=${error} acts />
    <div class="row"><button type="submit" class=${danger ? "danger" : "main"} aria-disabled=${busy}>${busy ? "Working …" : label}</button>
    ${cancel && html`<button type="button" onClick=${cancel}>Cancel</button>`}</div>
  </form>`;
}

let made = 0;

/**
 * @param {{label: string, name: string, hint?: string, children?: any, [more: string]: any}} given
 */
export function Field({ label, name, hint, children, ...more }) {
  const [id] = useState(() => `field-${(made += 1)}`);
  const about = hint ? `${id}-hint` : undefined;
  return html`<div class="field"><label for=${id}>${label}</label>
    ${children ? html`<select id=${id} name=${name} aria-describedby=${about} ...${more}>${children}</select>` : html`<input id=${id} name=${name} aria-describedby=${about} autocomplete="off" ...${more} />`}
    ${hint && html`<small id=${about}>${hint}</small>`}</div>`;
}

/**
 * Options of a select.
 * @param {readonly string[]} choices
 * @param {string} chosen
 * @param {string} [none] the word for no choice
 * @param {Record<string, string>} [names] of choices that do not say themselves what they are
 */
export function options(choices, chosen, none, names = {}) {
  const all = none === undefined ? choices : ["", ...choices];
  return all.map((choice) => html`<option value=${choice} selected=${choice === chosen}>${choice ? names[choice] || words(choice) : none}</option>`);
}

/** @type {((message: string) => void)[]} */
const listeners = [];

/**
 * Tell what was done, to eyes and ears.
 * @param {string} message
 */
export function say(message) {
  listeners.forEach((tell) => tell(message));
}

/** Where `say` speaks. */
export function Announcer() {
  const [message, setMessage] = useState("");
  useEffect(() => {
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const tell = (/** @type {string} */ text) => {
      setMessage(text);
      clearTimeout(timer);
      timer = setTimeout(() => setMessage(""), 8000);
    };
    listeners.push(tell);
    return () => void listeners.splice(listeners.indexOf(tell), 1);
  }, []);
  return html`<p class=${`announcer${message ? " seen" : ""}`} role="status" aria-live="polite">${message}</p>`;
}

/**
 * Bars of a few numbers, each with its word and number: no colour alone.
 * @param {{of: {label: string, number: number, link?: string, tone?: string}[], what: string}} given
 */
export function Bars({ of, what }) {
  const most = Math.max(1, ...of.map((one) => one.number));
  return html`<ul class="bars">${of.map((one) => {
    const words_ = html`<span class="bar-label">${one.label}</span><span class="bar" aria-hidden="true"><span class=${one.tone || "note"} style=${{ width: `${(one.number / most) * 100}%` }}></span></span><strong>${one.number.toLocaleString()}<span class="hidden"> ${one.number === 1 ? what : `${what}s`}</span></strong>`;
    return html`<li>${one.link ? html`<a href=${one.link}>${words_}</a>` : html`<span>${words_}</span>`}</li>`;
  })}</ul>`;
}
