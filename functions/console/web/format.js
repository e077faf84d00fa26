// How values are shown. Pure: no page is needed to test it.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** @param {string | null | undefined} text */
export function momentOf(text) {
  if (!text) return null;
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? null : moment;
}

/**
 * In the reader's zone, to the minute.
 * @param {Date} moment
 * @param {string} [zone]
 */
export function localTime(moment, zone) {
  return new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZone: zone,
  }).format(moment);
}

/** @param {Date} moment */
export function utcTime(moment) {
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/**
 * "in 3 days", "5 minutes ago".
 * @param {Date} moment
 * @param {Date} now
 */
export function distance(moment, now) {
  const seconds = (moment.getTime() - now.getTime()) / 1000;
  const far = Math.abs(seconds);
  if (far < MINUTE) return seconds < 0 ? "just now" : "in a moment";
  /** @type {[number, string]} */
  const [size, unit] = far < HOUR ? [MINUTE, "minute"] : far < DAY ? [HOUR, "hour"] : far < 730 * DAY ? [DAY, "day"] : [365.25 * DAY, "year"];
  const count = Math.floor(far / size);
  const words = `${count.toLocaleString()} ${unit}${count === 1 ? "" : "s"}`;
  return seconds < 0 ? `${words} ago` : `in ${words}`;
}

/**
 * Whole days until then; negative when it is past.
 * @param {Date} moment
 * @param {Date} now
 */
export function daysLeft(moment, now) {
  return Math.floor((moment.getTime() - now.getTime()) / (DAY * 1000));
}

/** @param {string} name such as `new_version` or `asset-number` */
export function words(name) {
  const text = String(name).replaceAll(/[_-]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} name of a field of a record, such as `custom.power-state` */
export function fieldName(name) {
  return name.startsWith("custom.") ? `${words(name.slice(7))} (custom)` : words(name);
}

const KINDS = /** @type {Record<string, string>} */ ({ "aws-tenants": "AWS tenant", "authrocket-realms": "AuthRocket realm" });

/** @param {string} kind of settings documents */
export function kindName(kind) {
  return KINDS[kind] || words(kind);
}

/** What a run did with records, and what a preview would do. */
const DONE = /** @type {Record<string, string>} */ ({ create: "created", update: "updated", deactivate: "deactivated", skip: "skipped", held_back: "held back", error: "refused", changed_since_preview: "changed since the preview" });

/**
 * "225 created, 3 held back".
 * @param {Record<string, number>} counts
 * @param {string} mode
 */
export function changesOf(counts, mode) {
  const told = ["create", "update", "deactivate", "held_back", "error"].filter((name) => counts[name]);
  const verb = (/** @type {string} */ name) => (mode === "preview" && ["create", "update", "deactivate"].includes(name) ? `to ${name}` : DONE[name]);
  return told.length ? told.map((name) => `${counts[name].toLocaleString()} ${verb(name)}`).join(", ") : "none";
}

/** @param {unknown} value */
export function shown(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

/**
 * "1 ticket", "3 tickets".
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}
