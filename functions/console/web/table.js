// A table of which only the rows in view are drawn, and which reads on when its end comes into view.

import { Busy, Empty, Moment, Problem } from "./parts.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";

/**
 * @typedef {{name: string, label: string, cell: (row: any) => any, wide?: boolean}} Column
 * @typedef {{items: any[], next: string | null, asOf: string, error: any, busy: boolean, again: () => void, more: () => void, retry: () => void}} Pages
 */

const OUTSIDE = 12;
const USUAL_HEIGHT = 37;

/**
 * Which rows are drawn: those in view and some around them.
 * @param {number} above pixels of the table above the window
 * @param {number} seen pixels of the window
 * @param {number} height of a row
 * @param {number} rows
 */
export function drawn(above, seen, height, rows) {
  const first = Math.max(0, Math.floor(above / height) - OUTSIDE);
  return { first: Math.min(first, Math.max(0, rows - 1)), last: Math.min(rows, Math.ceil((above + seen) / height) + OUTSIDE) };
}

/**
 * @param {{caption: string, columns: Column[], pages: Pages, keyOf: (row: any) => string, chosen?: Set<string>,
 *   choose?: (next: Set<string>) => void, children?: any}} given children are shown when there is nothing
 */
export function Table({ caption, columns, pages, keyOf, chosen, choose, children }) {
  const body = useRef(/** @type {HTMLElement | null} */ (null));
  const [height, setHeight] = useState(USUAL_HEIGHT);
  const [view, setView] = useState({ first: 0, last: 60 });
  const { items } = pages;
  useEffect(() => {
    let waiting = 0;
    const look = () => {
      waiting = 0;
      const box = body.current?.getBoundingClientRect();
      if (!box) return;
      const next = drawn(Math.max(0, -box.top), innerHeight, height, items.length);
      setView((now) => (now.first === next.first && now.last === next.last ? now : next));
      if (next.last >= items.length && !pages.error) pages.more();
    };
    const soon = () => (waiting ||= requestAnimationFrame(look));
    look();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
      cancelAnimationFrame(waiting);
    };
  }, [items.length, height, pages.busy]);
  useLayoutEffect(() => {
    const row = body.current?.querySelector("tr[data-row]");
    const measured = row?.getBoundingClientRect().height || 0;
    if (measured > 8 && Math.abs(measured - height) > 1) setHeight(measured);
  });
  if (!items.length && !pages.busy && !pages.error) return html`<${Empty}>${children || "There is nothing here."}</${Empty}>`;
  const last = Math.min(items.length, view.last);
  const first = Math.min(view.first, last);
  const rows = items.slice(first, last);
  const all = items.length > 0 && items.every((row) => chosen?.has(keyOf(row)));
  /** @param {string} key */
  const toggle = (key) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    choose?.(next);
  };
  return html`<div class="scroller" role="region" aria-label=${caption} tabindex="0">
    <table class="list" aria-rowcount=${pages.next ? -1 : items.length + 1} aria-busy=${pages.busy}>
      <caption class="hidden">${caption}</caption>
      <thead><tr aria-rowindex="1">
        ${choose && html`<th scope="col" class="choice"><input type="checkbox" aria-label="Choose all that are shown" checked=${all} onChange=${() => choose(all ? new Set() : new Set(items.map(keyOf)))} /></th>`}
        ${columns.map((column) => html`<th scope="col" class=${column.wide ? "wide" : ""}>${column.label}</th>`)}
      </tr></thead>
      <tbody ref=${body}>
        ${first > 0 && html`<tr aria-hidden="true" class="gap"><td colspan=${columns.length + 1} style=${{ height: `${first * height}px` }}></td></tr>`}
        ${rows.map((row, index) => html`<tr key=${keyOf(row)} data-row=${first + index} aria-rowindex=${first + index + 2}>
          ${choose && html`<td class="choice"><input type="checkbox" aria-label=${`Choose ${keyOf(row)}`} checked=${chosen?.has(keyOf(row))} onChange=${() => toggle(keyOf(row))} /></td>`}
          ${columns.map((column, place) => (place ? html`<td>${column.cell(row)}</td>` : html`<th scope="row">${column.cell(row)}</th>`))}
        </tr>`)}
        ${last < items.length && html`<tr aria-hidden="true" class="gap"><td colspan=${columns.length + 1} style=${{ height: `${(items.length - last) * height}px` }}></td></tr>`}
      </tbody>
    </table>
  </div>
  <${Busy} busy=${pages.busy} />
  <${Problem} error=${pages.error} again=${pages.retry} />
  <p class="foot">${items.length.toLocaleString()} shown${pages.next ? " so far" : ""}.
    ${pages.asOf && html` As of <${Moment} at=${pages.asOf} />.`}
    ${pages.next && !pages.busy && html` <button type="button" onClick=${pages.more}>Read more</button>`}
    ${" "}<button type="button" onClick=${pages.again}>Read again</button></p>`;
}
