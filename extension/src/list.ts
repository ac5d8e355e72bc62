// The list of servers in the popup.

import { isUsable, type Pings } from "./best";
import type { Word, Words } from "./language";
import { get, make, put } from "./page";
import type { Server } from "./wire";

/** A load from which on the bar changes its colour, in percent. */
const busy = 80;

export interface ListView {
  servers: Server[];
  pings: Pings;
  favourites: number[];
  search: string;
  /** The server in use, or chosen; null: the best one. */
  current: number | null;
}

export interface ListActions {
  choose(server: number | null): void;
  favour(server: number): void;
}

/** The order people look in: favourites, then the quickest, and last what can't be used. */
export function ordered(v: ListView): Server[] {
  const wanted = v.search.trim().toLowerCase();
  const rank = (s: Server) => (isUsable(s) ? 0 : 2) - (v.favourites.includes(s.id) ? 1 : 0);
  const time = (s: Server) => v.pings[s.id] ?? 1e6;
  return v.servers
    .filter(s => [s.name, s.country, s.city, s.country_code].some(t => t.toLowerCase().includes(wanted)))
    .sort((a, b) => rank(a) - rank(b) || time(a) - time(b) || a.score - b.score);
}

/** Draws the list. The focus stays on the same button, as far as that is still there. */
export function drawList(v: ListView, w: Words, act: ListActions): void {
  const list = get("server_list");
  const focused = (document.activeElement as HTMLElement | null)?.dataset["key"];
  const scroll = list.scrollTop;
  const found = ordered(v);
  const rows = found.map(s => row(s, v, w, act));
  if (v.search.trim() === "" && v.servers.length > 0) {
    rows.unshift(bestRow(v, w, act));
  }
  list.replaceChildren(...rows);
  list.scrollTop = scroll;
  if (focused) {
    list.querySelector<HTMLElement>(`[data-key="${focused}"]`)?.focus();
  }
  get("none").hidden = found.length > 0;
  put(get("none"), w.say(v.servers.length > 0 ? "servers.none" : "servers.empty"));
}

function bestRow(v: ListView, w: Words, act: ListActions): HTMLElement {
  const names = make("span", "names", make("b", "", w.say("server.best")), make("small", "muted", w.say("server.best_hint")));
  const bolt = make("span", "flag", "⚡");
  bolt.ariaHidden = "true";
  const button = make("button", "server", bolt, names);
  return finish(button, "best", v.current === null, () => act.choose(null));
}

function row(s: Server, v: ListView, w: Words, act: ListActions): HTMLElement {
  const place = isUsable(s) ? placeOf(s) : w.say(whyLocked(s));
  const names = make("span", "names", make("b", "", s.name), make("small", "muted", place));
  const button = make("button", "server", flag(s.country_code), names);
  button.disabled = !isUsable(s);
  if (isUsable(s)) {
    const bar = make("span", "load", make("i", ""));
    (bar.firstElementChild as HTMLElement).style.width = Math.max(4, s.load) + "%";
    bar.toggleAttribute("data-busy", s.load >= busy);
    bar.title = w.say("server.load", { n: s.load });
    const spoken = make("span", "hidden", ", " + w.say("server.load", { n: s.load }));
    button.append(make("span", "right", make("span", "ping", pingText(v.pings[s.id], w)), bar, spoken));
  }
  const li = finish(button, "s" + s.id, v.current === s.id, () => act.choose(s.id));
  li.append(star(s, v.favourites.includes(s.id), w, act));
  return li;
}

function finish(button: HTMLButtonElement, key: string, isCurrent: boolean, choose: () => void): HTMLElement {
  button.type = "button";
  button.dataset["key"] = key;
  button.addEventListener("click", choose);
  const li = make("li", "", button);
  if (isCurrent) {
    li.dataset["current"] = "";
    button.ariaCurrent = "true";
  }
  return li;
}

function star(s: Server, isFavourite: boolean, w: Words, act: ListActions): HTMLElement {
  const button = make("button", "icon star");
  button.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><path d="m10 3 2.1 4.5 4.9.6-3.6 3.4.9 4.9-4.3-2.4-4.3 2.4.9-4.9L3 8.1l4.9-.6z"/></svg>`;
  button.type = "button";
  button.dataset["key"] = "f" + s.id;
  button.ariaPressed = String(isFavourite);
  button.ariaLabel = w.say(isFavourite ? "favourite.remove" : "favourite.add", { name: s.name });
  button.addEventListener("click", () => act.favour(s.id));
  return button;
}

function whyLocked(s: Server): Word {
  if (!s.protocols.includes("https") && s.accessible) {
    return "locked.protocol";
  }
  switch (s.locked_reason ?? "server_" + s.status) {
    case "plan_upgrade_required": return "locked.plan_upgrade_required";
    case "server_full": return "locked.server_full";
    case "server_maintenance": return "locked.server_maintenance";
    default: return "locked.other";
  }
}

export function pingText(ms: number | null | undefined, w: Words): string {
  return ms === undefined ? "" : ms === null ? w.say("server.no_answer") : w.say("server.ms", { n: ms });
}

/** The country of a server; "" where nobody said which it is: ZZ is CLDR's code for that, and nothing for people to read. */
export function countryOf(s: Server): string {
  return s.country_code === "ZZ" ? "" : s.country;
}

export function placeOf(s: Server): string {
  return [s.city, countryOf(s)].filter(Boolean).join(", ");
}

/** A country's flag; its letters where the system has no pictures of flags, as on Windows, or no such country. */
export function flag(code: string): HTMLElement {
  const e = make("span", "flag");
  e.ariaHidden = "true";
  drawFlag(e, code);
  return e;
}

export function drawFlag(e: HTMLElement, code: string): void {
  const isCountry = /^[A-Z]{2}$/.test(code) && code !== "ZZ";
  const picture = isCountry && hasFlags();
  e.classList.toggle("code", isCountry && !picture);
  put(e, !isCountry ? "🌐" : picture ? String.fromCodePoint(...[...code].map(c => 0x1f1a5 + c.charCodeAt(0))) : code);
}

let flags: boolean | undefined;

/** Whether the system draws flags: then a flag has colours, and otherwise it is letters. */
function hasFlags(): boolean {
  if (flags === undefined) {
    const canvas = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
    flags = false;
    if (canvas) {
      canvas.font = "14px sans-serif";
      canvas.textBaseline = "top";
      canvas.fillText("🇳🇱", 0, 0);
      const pixels = canvas.getImageData(0, 0, 16, 16).data;
      flags = pixels.some((v, i) => i % 4 < 2 && Math.abs(v - (pixels[i + 1] ?? 0)) > 40);
    }
  }
  return flags;
}
