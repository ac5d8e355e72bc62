// The options page. Preferences take effect as they are changed.

import config from "./config.js";
import { parse } from "./bypass";
import { ask } from "./command";
import type { Words } from "./language";
import { isWanted } from "./machine";
import { follow, save, type Memory, type Prefs } from "./memory";
import { dress, get, make, put } from "./page";

let m: Memory = await follow(part => {
  m = { ...m, ...part };
  draw();
});
let w: Words = dress(m.prefs, "options.title");

function draw(): void {
  w = dress(m.prefs, "options.title");
  get<HTMLSelectElement>("language").value = m.prefs.language;
  get<HTMLSelectElement>("theme").value = m.prefs.theme;
  get<HTMLInputElement>("webrtc").checked = m.prefs.webrtc;
  get("rotation").hidden = !isWanted(m.state) || m.state.key === null;
  get("patterns").replaceChildren(...m.prefs.bypass.map(row));
  get("no_patterns").hidden = m.prefs.bypass.length > 0;
  put(get("about"), w.say("options.about", { version: chrome.runtime.getManifest().version, address: new URL(config.api).host }));
}

function row(pattern: string): HTMLElement {
  const remove = make("button", "icon");
  remove.type = "button";
  remove.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><path d="m6 6 8 8m0-8-8 8"/></svg>`;
  remove.ariaLabel = w.say("options.bypass_remove", { name: pattern });
  remove.addEventListener("click", () => {
    void change({ bypass: m.prefs.bypass.filter(p => p !== pattern) });
    get("pattern").focus();
  });
  return make("li", "", make("span", "", pattern), remove);
}

async function change(part: Partial<Prefs>): Promise<void> {
  m.prefs = { ...m.prefs, ...part };
  await save({ prefs: m.prefs });
  draw();
  put(get("saved"), w.say("options.saved"));
}

function addPattern(): void {
  const input = get<HTMLInputElement>("pattern");
  const pattern = parse(input.value);
  const error = get("pattern_error");
  error.hidden = pattern !== null;
  input.setAttribute("aria-invalid", String(pattern === null));
  if (pattern === null) {
    put(error, w.say("options.bypass_wrong"));
    input.focus();
    return;
  }
  input.value = "";
  void change({ bypass: [...new Set([...m.prefs.bypass, pattern])].sort() });
}

get("language").addEventListener("change", () => void change({ language: get<HTMLSelectElement>("language").value as Prefs["language"] }));
get("theme").addEventListener("change", () => void change({ theme: get<HTMLSelectElement>("theme").value as Prefs["theme"] }));
get("webrtc").addEventListener("change", () => void change({ webrtc: get<HTMLInputElement>("webrtc").checked }));
get("bypass").addEventListener("submit", e => { e.preventDefault(); addPattern(); });
get("rotate").addEventListener("click", () => void (async () => {
  await ask({ do: "rotate" });
  put(get("rotate_text"), w.say("options.rotated"));
})());
draw();
put(get("private"), w.say(await chrome.extension.isAllowedIncognitoAccess() ? "options.private_on" : "options.private_off"));
document.querySelector("main")!.hidden = false;
