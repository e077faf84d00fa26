// The shell: who is signed in, where the reader is, and the screen for it.

import { go, linkTo, placeOf, tokenOfAddress } from "./address.js";
import { Refusal, onSignedOut, read, useToken } from "./api.js";
import { Announcer, Problem, say } from "./parts.js";
import { SCREENS, mayOpen } from "./screens.js";
import { SignIn } from "./sign-in.js";
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./vendor/preact-htm.js";

const KEPT = "deskbridge-token";

/** The session's storage may be turned off: then the token lives as long as the page. */
const kept = {
  get() {
    try {
      return sessionStorage.getItem(KEPT) || "";
    } catch {
      return "";
    }
  },
  /** @param {string} token */
  set(token) {
    try {
      if (token) sessionStorage.setItem(KEPT, token);
      else sessionStorage.removeItem(KEPT);
    } catch {
      // Nothing is kept.
    }
  },
};

/** @typedef {{name: string, kind: string, role: string, customers: string[] | null}} Me */

function Desk() {
  const [me, setMe] = useState(/** @type {Me | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [left, setLeft] = useState("");
  /** @param {string} token */
  const enter = async (token) => {
    useToken(token);
    try {
      setMe(await read("me"));
      kept.set(token);
      setError(null);
      setLeft("");
    } catch (refused) {
      if (refused instanceof Refusal && refused.problem.status === 401) kept.set("");
      // Whoever was signed in before is not served under another's name.
      setMe(null);
      setError(refused);
      throw refused;
    }
  };
  const leave = (/** @type {string} */ why) => {
    kept.set("");
    useToken("");
    setMe(null);
    setLeft(why);
  };
  useEffect(() => {
    const fromLink = tokenOfAddress();
    if (fromLink) kept.set(fromLink);
    enter(kept.get()).catch(() => undefined);
    // A second link, opened in a tab that shows the console already, loads no page.
    addEventListener("hashchange", () => {
      const another = tokenOfAddress();
      if (another) enter(another).catch(() => undefined);
    });
    onSignedOut(() => setMe((before) => (before && leave("The desk no longer accepts this sign-in: it expired or was revoked."), null)));
  }, []);
  if (me) return html`<${Shell} me=${me} leave=${() => leave("You have signed out.")} />`;
  if (!error && !left) return html`<p class="lone" role="status">Opening the desk …</p>`;
  return html`<${SignIn} error=${error} left=${left} enter=${enter} />`;
}

/** @param {{me: Me, leave: () => void}} given */
function Shell({ me, leave }) {
  const [place, setPlace] = useState(placeOf(location.hash));
  const [open, setOpen] = useState(false);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const screen = SCREENS[place.screen];
  useEffect(() => {
    const moved = () => {
      setOpen(false);
      setPlace(placeOf(location.hash));
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  const title = screen ? (place.id ? `${place.id} · ${screen.title}` : screen.title) : "Not found";
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} – Deskbridge`;
    // A reader who follows a link goes on at the new screen, and not at the link that is gone.
    if (!first.current) main.current?.focus();
    first.current = false;
    scrollTo(0, 0);
  }, [place.screen, place.id]);
  const groups = Object.entries(SCREENS).filter(([, one]) => one.group && mayOpen(one, me));
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
  <header class="top">
    <button type="button" class="menu" aria-expanded=${open} aria-controls="navigation" onClick=${() => setOpen(!open)}>Menu</button>
    <a class="brand" href=${linkTo("overview")}>Deskbridge</a>
    <form role="search" class="find" onSubmit=${find}><label class="hidden" for="find">Find tickets</label><input id="find" name="q" type="search" placeholder="Find tickets" maxlength="100" autocomplete="off" /></form>
    <span class="who"><bdi>${me.name}</bdi> <span class="faint">${me.role}${me.customers ? ` of ${me.customers.join(", ")}` : ""}</span></span>
    ${me.kind === "signed_in" ? html`<a class="button" href="/.auth/logout">Sign out</a>` : html`<button type="button" onClick=${leave}>Sign out</button>`}
  </header>
  <${Connection} />
  <div class="body">
    <nav id="navigation" class=${open ? "open" : ""} aria-label="Screens"><ul>
      ${groups.map(([name, one]) => html`<li><a href=${linkTo(name)} aria-current=${place.screen === name ? "page" : undefined}>${one.title}</a></li>`)}
    </ul></nav>
    <main id="main" tabindex="-1" ref=${main} aria-label=${title}>
      ${screen ? html`<${Screen} key=${`${place.screen}/${place.id}`} screen=${screen} place=${place} me=${me} />` : html`<h1>Not found</h1><p>There is no screen of this name. <a href=${linkTo("overview")}>To the overview</a></p>`}
    </main>
  </div>
  <${Announcer} />`;
}

/** @param {SubmitEvent} event */
function find(event) {
  event.preventDefault();
  const typed = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("q") || "").trim();
  if (typed.length < 2) say("Type at least two characters of a name, number or id.");
  else go(linkTo("tickets", "", { q: typed, state: "all" }));
}

/** @param {{screen: import("./screens.js").ScreenEntry, place: import("./address.js").Place, me: Me}} given */
function Screen({ screen, place, me }) {
  const [module, setModule] = useState(/** @type {any} */ (null));
  const [failed, setFailed] = useState(/** @type {any} */ (null));
  const [error, reset] = useErrorBoundary();
  useEffect(() => {
    screen.load().then((found) => setModule(() => found.default), setFailed);
  }, [screen]);
  if (error) return html`<h1>${screen.title}</h1><${Problem} error=${error} again=${reset} />`;
  if (failed) return html`<h1>${screen.title}</h1><${Problem} error=${new Refusal({ status: 0, reason: "offline", title: "The screen could not be loaded", remedy: "Check the network, or load the page again: the desk may have a new release." })} again=${() => location.reload()} />`;
  if (!module) return html`<p class="faint" role="status">Opening …</p>`;
  return html`<${module} place=${place} me=${me} />`;
}

function Connection() {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const on = () => setOnline(true);
    const off = () => setOnline(false);
    addEventListener("online", on);
    addEventListener("offline", off);
    return () => {
      removeEventListener("online", on);
      removeEventListener("offline", off);
    };
  }, []);
  return online ? null : html`<p class="offline" role="alert">▲ You are offline. What you see may be old, and nothing can be saved.</p>`;
}

const place = document.getElementById("desk");
if (place) {
  place.replaceChildren();
  render(html`<${Desk} />`, place);
}
