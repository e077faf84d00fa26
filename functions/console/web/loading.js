// Reading for screens: one thing, or a list page by page. What was shown stays while it is read again.

import { Refusal, read } from "./api.js";
import { useEffect, useRef, useState } from "./vendor/preact-htm.js";

/** @typedef {import("./api.js").Parameters} Parameters */

/**
 * @param {() => void} again
 * @param {any} error
 */
function useRetry(again, error) {
  useEffect(() => {
    if (!(error instanceof Refusal && error.mayPass)) return undefined;
    const timer = setTimeout(again, Math.min(60, error.retryAfter || 10) * 1000);
    addEventListener("online", again);
    return () => {
      clearTimeout(timer);
      removeEventListener("online", again);
    };
  }, [error]);
}

/**
 * @param {string} path empty reads nothing
 * @param {Parameters} [parameters]
 * @param {number} [everySeconds] read again so often while the page is seen; 0 is never
 */
export function useRead(path, parameters = {}, everySeconds = 0) {
  const [state, setState] = useState(/** @type {{data: any, error: any, busy: boolean, of: string}} */ ({ data: null, error: null, busy: true, of: "" }));
  const [turn, setTurn] = useState(0);
  const asked = JSON.stringify([path, parameters]);
  const again = () => setTurn((before) => before + 1);
  useEffect(() => {
    if (!path) return undefined;
    const stop = new AbortController();
    setState((before) => ({ ...before, busy: true, data: before.of === asked ? before.data : null }));
    read(path, parameters, stop.signal).then(
      (data) => setState({ data, error: null, busy: false, of: asked }),
      (error) => stop.signal.aborted || setState((before) => ({ ...before, error, busy: false, of: asked })),
    );
    return () => stop.abort();
  }, [asked, turn]);
  useEffect(() => {
    if (!everySeconds) return undefined;
    const timer = setInterval(() => document.hidden || again(), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, asked]);
  useRetry(again, state.error);
  return { ...state, again };
}

/**
 * A list with its continuation.
 * @param {string} path
 * @param {Parameters} [parameters]
 */
export function usePages(path, parameters = {}) {
  const asked = JSON.stringify([path, parameters]);
  const empty = { items: /** @type {any[]} */ ([]), next: /** @type {string | null} */ (null), asOf: "", error: /** @type {any} */ (null), failedAt: "", busy: true, of: asked };
  const [state, setState] = useState(empty);
  const [turn, setTurn] = useState(0);
  const stop = useRef(new AbortController());
  /** @param {string} after @param {any[]} before @param {AbortSignal} signal */
  const load = async (after, before, signal) => {
    setState((now) => ({ ...now, busy: true, error: null }));
    try {
      let page = await read(path, { ...parameters, limit: 200, after }, signal);
      // A page may be empty although there is more: a reader would see nothing and think that this is all.
      for (let tries = 0; !page.items.length && page.next && tries < 20; tries++)
        page = await read(path, { ...parameters, limit: 200, after: page.next }, signal);
      setState({ items: [...before, ...page.items], next: page.next, asOf: page.as_of || "", error: null, failedAt: "", busy: false, of: asked });
    } catch (error) {
      if (!signal.aborted) setState((now) => ({ ...now, error, failedAt: after, busy: false }));
    }
  };
  useEffect(() => {
    stop.current.abort();
    stop.current = new AbortController();
    // What another question was answered with must not stand beside this one, nor be gone on with.
    setState((now) => (now.of === asked ? { ...now, busy: true } : empty));
    load("", [], stop.current.signal);
    return () => stop.current.abort();
  }, [asked, turn]);
  const again = () => setTurn((before) => before + 1);
  const more = () => state.next && !state.busy && load(state.next, state.items, stop.current.signal);
  const retry = () => (state.failedAt ? more() : again());
  useRetry(retry, state.error);
  return { ...state, again, more, retry };
}
