// The button in the browser's toolbar.

import config from "./config.js";
import type { State } from "./machine";

export async function face(s: State): Promise<void> {
  const look = s.phase === "connected" ? "on" : s.phase === "blocked" ? "stop" : "off";
  await chrome.action.setIcon({ path: { 16: `icon-${look}-16.png`, 32: `icon-${look}-32.png` } });
  await chrome.action.setTitle({ title: s.phase === "connected" ? config.name + " ✓" : config.name });
}
