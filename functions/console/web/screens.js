// All screens: their titles, who may open them, and where they are.

/**
 * @typedef {{title: string, group: boolean, whole?: boolean, role?: string, load: () => Promise<{default: any}>}} ScreenEntry
 */

/** `whole`: of all customers, so nobody who is limited to some may see it. */
export const SCREENS = /** @type {Record<string, ScreenEntry>} */ ({
  overview: { title: "Overview", group: true, load: () => import("./screens/overview.js") },
  timeline: { title: "Expiry timeline", group: true, load: () => import("./screens/timeline.js") },
  objects: { title: "Objects", group: true, load: () => import("./screens/objects.js") },
  object: { title: "Object", group: false, load: () => import("./screens/object.js") },
  tickets: { title: "Tickets", group: true, load: () => import("./screens/tickets.js") },
  ticket: { title: "Ticket", group: false, load: () => import("./screens/ticket.js") },
  assets: { title: "Assets", group: true, load: () => import("./screens/assets.js") },
  asset: { title: "Asset", group: false, load: () => import("./screens/asset.js") },
  users: { title: "Users", group: true, load: () => import("./screens/users.js") },
  user: { title: "User", group: false, load: () => import("./screens/user.js") },
  imports: { title: "Imports", group: true, whole: true, load: () => import("./screens/imports.js") },
  run: { title: "Run", group: false, whole: true, load: () => import("./screens/run.js") },
  sweeps: { title: "Sweeps and vaults", group: true, whole: true, load: () => import("./screens/sweeps.js") },
  sweep: { title: "Sweep", group: false, whole: true, load: () => import("./screens/sweep.js") },
  quarantine: { title: "Quarantine", group: true, whole: true, load: () => import("./screens/quarantine.js") },
  audit: { title: "Audit trail", group: true, whole: true, role: "administrator", load: () => import("./screens/audit.js") },
  health: { title: "Health", group: true, whole: true, load: () => import("./screens/health.js") },
});

const ROLES = ["reader", "operator", "administrator"];

/**
 * Whether who is signed in has at least this role.
 * @param {{role: string}} me
 * @param {string} role
 */
export function has(me, role) {
  return ROLES.indexOf(me.role) >= ROLES.indexOf(role);
}

/**
 * @param {ScreenEntry} screen
 * @param {{role: string, customers: string[] | null}} me
 */
export function mayOpen(screen, me) {
  return has(me, screen.role || "reader") && !(screen.whole && me.customers);
}
