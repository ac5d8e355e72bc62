// What the extension keeps, in storage.local. The worker alone writes the state; the pages write the preferences.

import type { Pings } from "./best";
import { initial, type State } from "./machine";
import type { Account, Server } from "./wire";

export interface Prefs {
  favourites: number[];
  language: "auto" | "ru" | "en";
  theme: "auto" | "light" | "dark";
  /** Patterns of hosts that the user wants to reach directly. */
  bypass: string[];
  /** Whether web pages are kept from learning addresses through WebRTC while connected. */
  webrtc: boolean;
}

export interface Memory {
  state: State;
  account: Account | null;
  servers: Server[];
  /** When servers was read, unix milliseconds. */
  serversAt: number;
  pings: Pings;
  pingsAt: number;
  prefs: Prefs;
  /** What this device calls itself. */
  device: string;
}

export function blank(): Memory {
  return {
    state: initial, account: null, servers: [], serversAt: 0, pings: {}, pingsAt: 0, device: "",
    prefs: { favourites: [], language: "auto", theme: "auto", bypass: [], webrtc: true },
  };
}

/** Reads everything. What an older version kept is completed. */
export async function load(): Promise<Memory> {
  const kept = await chrome.storage.local.get(Object.keys(blank())) as Partial<Memory>;
  const whole = { ...blank(), ...kept };
  whole.state = { ...initial, ...kept.state };
  whole.prefs = { ...blank().prefs, ...kept.prefs };
  return whole;
}

export function save(part: Partial<Memory>): Promise<void> { return chrome.storage.local.set(part); }

/** Reads everything and calls back with each later change. One that is made while we read is in what is returned. */
export async function follow(changed: (part: Partial<Memory>) => void): Promise<Memory> {
  let early: Partial<Memory> = {};
  let isRead = false;
  watch(part => {
    if (isRead) {
      changed(part);
    } else {
      early = { ...early, ...part };
    }
  });
  const kept = await load();
  isRead = true;
  return { ...kept, ...early };
}

/** Calls back whenever something is written, by whichever part. */
export function watch(changed: (part: Partial<Memory>) => void): void {
  chrome.storage.local.onChanged.addListener(changes => {
    changed(Object.fromEntries(Object.entries(changes).map(([name, c]) => [name, c.newValue])) as Partial<Memory>);
  });
}
