// Filters of a list: they stand in the address, so that a list can be sent to somebody and found again.

import { go, linkTo } from "./address.js";
import { Field, options } from "./parts.js";
import { html } from "./vendor/preact-htm.js";

/**
 * @typedef {{name: string, label: string, choices?: readonly string[], none?: string, names?: Record<string, string>, type?: string, hint?: string}} Filter
 */

/**
 * @param {{place: import("./address.js").Place, filters: Filter[]}} given
 */
export function Filters({ place, filters }) {
  /** @param {SubmitEvent} event */
  const apply = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const known = new Set(filters.map((filter) => filter.name));
    const kept = Object.entries(place.parameters).filter(([name]) => !known.has(name));
    const given = filters.map((filter) => [filter.name, String(form.get(filter.name) || "").trim()]);
    go(linkTo(place.screen, place.id, Object.fromEntries([...kept, ...given])));
  };
  /** @param {Event} event */
  const now = (event) => /** @type {HTMLSelectElement} */ (event.target).form?.requestSubmit();
  const set = filters.some((filter) => place.parameters[filter.name]);
  // A new address draws new fields: what was typed and not applied does not stay beside another list.
  return html`<form class="filters" role="search" onSubmit=${apply} key=${JSON.stringify(place.parameters)}>
    ${filters.map((filter) => {
      const value = place.parameters[filter.name] || "";
      return filter.choices
        ? html`<${Field} label=${filter.label} name=${filter.name} onChange=${now} hint=${filter.hint}>${options(filter.choices, value, filter.none || "Any", filter.names)}</${Field}>`
        : html`<${Field} label=${filter.label} name=${filter.name} type=${filter.type || "search"} defaultValue=${value} value=${value} maxlength="200" hint=${filter.hint} />`;
    })}
    <div class="row"><button type="submit">Apply</button>${set && html` <a class="button" href=${linkTo(place.screen, place.id)}>Clear</a>`}</div>
  </form>`;
}

/**
 * Those parameters of the place that the API takes.
 * @param {import("./address.js").Place} place
 * @param {Filter[]} filters
 */
export function asked(place, filters) {
  return Object.fromEntries(filters.map((filter) => [filter.name, place.parameters[filter.name]]).filter(([, value]) => value));
}
