// One asset.

import { html } from "../vendor/preact-htm.js";
import { Record } from "./record.js";

/** @param {{place: import("../address.js").Place, me: any}} given */
export default function One({ place, me }) {
  return html`<${Record} place=${place} me=${me} many="assets" />`;
}
