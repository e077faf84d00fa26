// Calls of the desk's API: the only way in which the console reads or changes anything.

/**
 * @typedef {{path: string, message: string}} Fault
 * @typedef {{status: number, reason: string, title?: string, detail?: string, remedy?: string, faults?: Fault[],
 *   present_version?: string}} Problem
 * @typedef {Record<string, string | number | boolean | null | undefined>} Parameters
 * @typedef {{parameters?: Parameters, body?: unknown, version?: string, signal?: AbortSignal}} Asked
 * @typedef {{data: any, version: string, text: string}} Answered
 */

const ROOT = "/api/v1/";
let token = "";
/** @type {(() => void)[]} */
const leavers = [];

/** A refusal of the desk, or what the browser says when the desk cannot be reached. */
export class Refusal extends Error {
  /**
   * @param {Problem} problem
   * @param {number} retryAfter seconds, or 0
   */
  constructor(problem, retryAfter = 0) {
    super(problem.detail || problem.title || problem.reason);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed by itself, later. */
  get mayPass() {
    return this.problem.reason === "offline" || this.problem.status === 429 || this.retryAfter > 0;
  }
}

/** @param {string} value the access token; empty where the platform signs people in */
export function useToken(value) {
  token = value;
}

/** @param {() => void} leave called when the desk no longer knows who calls */
export function onSignedOut(leave) {
  leavers.push(leave);
}

/**
 * @param {string} path what follows /api/v1/, or all of it when it begins with a slash
 * @param {Parameters} [parameters]
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  const text = query.toString();
  return (path.startsWith("/") ? path : ROOT + path) + (text ? `?${text}` : "");
}

/**
 * One call. Raises Refusal.
 * @param {string} method
 * @param {string} path
 * @param {Asked} [asked]
 * @returns {Promise<Answered>}
 */
export async function call(method, path, asked = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-Deskbridge-Console": "1" };
  if (token) headers["X-Api-Key"] = token;
  if (asked.version) headers["If-Match"] = asked.version === "*" ? "*" : `"${asked.version}"`;
  // Every write has a body: another site cannot send JSON without asking first.
  const writes = method !== "GET";
  if (writes) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path, asked.parameters), {
      method,
      headers,
      body: writes && asked.body !== undefined ? JSON.stringify(asked.body) : undefined,
      signal: asked.signal,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    throw new Refusal({
      status: 0,
      reason: "offline",
      title: "The desk cannot be reached",
      detail: "The browser got no answer from the desk.",
      remedy: "Check the network. What you see is from before; it is read again when the desk answers.",
    });
  }
  const text = await answer.text();
  if (!answer.ok) throw refused(answer, text);
  const json = (answer.headers.get("Content-Type") || "").includes("json");
  return { data: json && text ? JSON.parse(text) : null, version: versionOf(answer), text };
}

/** @param {Response} answer */
function versionOf(answer) {
  return (answer.headers.get("ETag") || "").replace(/^W\//, "").replaceAll('"', "");
}

/**
 * @param {Response} answer
 * @param {string} text
 */
function refused(answer, text) {
  /** @type {Problem} */
  let problem = { status: answer.status, reason: "", title: `The desk answered ${answer.status}` };
  try {
    problem = { ...problem, ...JSON.parse(text) };
  } catch {
    // The host or something before it refused: it has no problem document.
    problem.remedy = answer.status === 429 ? "The desk has too much to do. Wait a moment." : "Try again in a moment.";
  }
  if (answer.status === 401) leavers.forEach((leave) => leave());
  const asked = Number(answer.headers.get("Retry-After"));
  const usual = answer.status === 429 ? 5 : 0;
  return new Refusal(problem, Number.isFinite(asked) && asked > 0 ? asked : usual);
}

/**
 * The data of one reading.
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 */
export async function read(path, parameters, signal) {
  return (await call("GET", path, { parameters, signal })).data;
}
