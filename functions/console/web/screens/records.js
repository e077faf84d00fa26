// What the lists of assets and of users share: filters, table, adding one by hand.

import { go, linkTo } from "../address.js";
import { call } from "../api.js";
import { Filters, asked } from "../filters.js";
import { usePages } from "../loading.js";
import { Dialog, Field, Form } from "../parts.js";
import { has } from "../screens.js";
import { Table } from "../table.js";
import { html, useState } from "../vendor/preact-htm.js";

/**
 * @param {{place: import("../address.js").Place, me: any, many: string, one: string, filters: import("../filters.js").Filter[],
 *   columns: import("../table.js").Column[]}} given
 */
export function Records({ place, me, many, one, filters, columns }) {
  const pages = usePages(many, asked(place, filters));
  const [adding, setAdding] = useState(false);
  /** @param {FormData} values */
  const add = async (values) => {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const name of ["name", "email", "type", "site"]) {
      const value = String(values.get(name) || "").trim();
      if (value) fields[name] = value;
    }
    const { data } = await call("POST", many, { body: { id: String(values.get("id")).trim(), fields } });
    go(linkTo(one, data.id));
  };
  const title = many === "assets" ? "Assets" : "Users";
  const filtered = Object.keys(place.parameters).length > 0;
  return html`<h1>${title}</h1>
    <${Filters} place=${place} filters=${filters} />
    ${has(me, "operator") && html`<div class="row"><button type="button" onClick=${() => setAdding(true)}>Add by hand</button></div>`}
    <${Table} caption=${title} columns=${columns} pages=${pages} keyOf=${(/** @type {any} */ record) => record.id}>
      ${filtered ? html`None is so. <a href=${linkTo(many)}>Show all</a>` : html`There are none yet. <a href=${linkTo("imports")}>Imports</a> bring them.`}
    </${Table}>
    ${adding && html`<${Dialog} title=${`Add ${many === "assets" ? "an asset" : "a user"} by hand`} close=${() => setAdding(false)}>
      <${Form} act=${add} label="Add" cancel=${() => setAdding(false)}>
        <${Field} label="Id" name="id" required maxlength="100" autofocus hint="Your own number for it, such as SERV-100" />
        <${Field} label="Name" name="name" maxlength="200" />
        ${many === "users" ? html`<${Field} label="E-mail address" name="email" type="email" maxlength="320" />` : html`<${Field} label="Type" name="type" maxlength="63" hint="The name of an asset type" />`}
        <${Field} label="Site" name="site" maxlength="63" hint="The name of a site" required=${Boolean(me.customers)} />
      </${Form}></${Dialog}>`}`;
}
