// Where the reader is: `#/tickets/KV-1?state=open`. All that a screen shows again after a reload stands there.

/**
 * @typedef {{screen: string, id: string, parameters: Record<string, string>}} Place
 */

/**
 * @param {string} fragment
 * @returns {Place}
 */
export function placeOf(fragment) {
  const [path, query = ""] = fragment.replace(/^#?\/?/, "").split("?", 2);
  const [screen, ...rest] = path.split("/");
  return { screen: screen || "overview", id: decoded(rest.join("/")), parameters: Object.fromEntries(new URLSearchParams(query)) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * @param {string} screen
 * @param {string} [id]
 * @param {Record<string, string | undefined>} [parameters]
 */
export function linkTo(screen, id = "", parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return `#/${screen}${id ? `/${encodeURIComponent(id)}` : ""}${text ? `?${text}` : ""}`;
}

/**
 * @param {string} link
 * @param {{replace?: boolean}} [how]
 */
export function go(link, how = {}) {
  if (how.replace) {
    history.replaceState(null, "", link);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = link;
}

/**
 * The token of a one-click link, taken out of the address at once.
 * @returns {string}
 */
export function tokenOfAddress() {
  const found = /^#token=(desk_[A-Za-z0-9_-]+)(?:&to=(.*))?$/.exec(location.hash);
  if (!found) return "";
  history.replaceState(null, "", found[2] ? `#/${found[2].replace(/^\/+/, "")}` : "#/");
  return found[1];
}
