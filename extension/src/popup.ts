// The popup. It opens with what is kept and follows the worker; it decides nothing.

import config from "./config.js";
import { ask, type Problem as Refusal } from "./command";
import type { Words } from "./language";
import { countryOf, drawFlag, drawList, pingText, placeOf } from "./list";
import { isWanted, reasons } from "./machine";
import { follow, save, type Memory } from "./memory";
import { dress, get, make, put } from "./page";
import { problemOf, type Remedy } from "./problem";
import type { Device, Server } from "./wire";

/** Days before the end from which on it is shown in another colour. */
const soonDays = 3;

let m: Memory;
let w: Words;
let isAllowed = true;
let offender: string | null = null;
let view: "home" | "servers" | "devices" | "code" = "home";
/** The device that is to make room when the code is there. */
let replaced: number | null = null;

function draw(): void {
  const { phase, token } = m.state;
  document.body.dataset["phase"] = phase;
  const isOut = token === null;
  const shown = isOut ? (view === "devices" || view === "code" ? view : "sign_in") : view === "servers" ? "servers" : "home";
  for (const id of ["sign_in", "code", "devices", "home", "servers"]) {
    get(id).hidden = id !== shown;
  }
  get("ended").hidden = m.state.reason !== reasons.signedOut;
  if (shown === "home") {
    drawHome();
  } else if (shown === "servers") {
    const current = m.state.choice ?? null;
    drawList({ servers: m.servers, pings: m.pings, favourites: m.prefs.favourites, search: get<HTMLInputElement>("search").value, current }, w,
      { choose, favour });
  }
}

function drawHome(): void {
  const { phase, key } = m.state;
  const server = serverInUse();
  const isOn = isWanted(m.state);
  const power = get("power");
  power.ariaLabel = w.say(phase === "connecting" ? "button.cancel" : isOn ? "button.disconnect" : "button.connect");
  power.title = power.ariaLabel;
  // What another extension does with the requests is not in our hand: then nothing is stopped.
  const shown = phase === "signed_out" || m.state.reason === reasons.otherExtension ? "idle" : phase;
  put(get("status"), w.say(`status.${shown}`));
  const place = server ? server.city || countryOf(server) || server.name : "";
  put(get("hint"), shown === "connected" ? (place && w.say("hint.connected", { place })) : w.say(`hint.${shown}`));
  drawServer(key && isOn ? server : null);
  drawProblem();
  drawPlan();
  put(get("who"), m.account?.user.email ?? m.state.email ?? "");
}

/** The server that the key at hand opens, or that was chosen. */
function serverInUse(): Server | null {
  const id = isWanted(m.state) && m.state.key ? m.state.key.server : m.state.choice;
  return m.servers.find(s => s.id === id) ?? null;
}

function drawServer(inUse: Server | null): void {
  const s = inUse ?? m.servers.find(x => x.id === m.state.choice) ?? null;
  const isBest = m.state.choice === null;
  if (s) {
    drawFlag(get("server_flag"), s.country_code);
    put(get("server_name"), s.name);
    put(get("server_place"), isBest ? w.say("server.best") : placeOf(s));
    put(get("server_ping"), pingText(m.pings[s.id], w));
  } else {
    get("server_flag").classList.remove("code");
    put(get("server_flag"), "⚡");
    put(get("server_name"), w.say("server.best"));
    put(get("server_place"), w.say("server.best_hint"));
    put(get("server_ping"), "");
  }
}

function drawProblem(): void {
  const problem = problemOf(m, w, isAllowed, offender);
  const card = get("problem");
  document.body.toggleAttribute("data-crowded", problem !== null);
  if (problem) {
    put(get("problem_title"), problem.title);
    put(get("problem_text"), problem.text);
    const button = get("problem_action");
    button.hidden = problem.remedy === null;
    button.dataset["remedy"] = problem.remedy ?? "";
    put(button, problem.remedy ? w.say(`action.${problem.remedy}`) : "");
    get("leave").hidden = m.state.phase !== "blocked";
  }
  card.hidden = problem === null;
}

function drawPlan(): void {
  const a = m.account;
  get("plan").hidden = a === null;
  if (!a) {
    return;
  }
  const { subscription: s, traffic: t } = a;
  put(get("plan_name"), s.plan?.name ?? w.say("plan.none"));
  const days = get("plan_days");
  put(days, !s.plan ? "" : s.status === "expired" ? w.say("plan.expired") : s.days_left === null ? w.say("plan.for_life") : w.count("plan.days", s.days_left));
  days.classList.toggle("soon", s.days_left !== null && s.days_left <= soonDays);
  const meter = get<HTMLMeterElement>("traffic");
  meter.hidden = t.limit_bytes === null;
  meter.value = t.limit_bytes === null ? 0 : Math.min(1, t.used_bytes / t.limit_bytes);
  const used = w.bytes(t.used_bytes);
  put(get("traffic_text"), t.limit_bytes === null ? w.say("traffic.unlimited", { used }) : w.say("traffic.of", { used, limit: w.bytes(t.limit_bytes) }));
}

function show(next: typeof view, focus: string): void {
  view = next;
  draw();
  get(focus).focus();
}

function choose(server: number | null): void {
  show("home", "server");
  void ask({ do: "connect", server });
}

function favour(server: number): void {
  const has = m.prefs.favourites.includes(server);
  m.prefs = { ...m.prefs, favourites: has ? m.prefs.favourites.filter(id => id !== server) : [...m.prefs.favourites, server] };
  void save({ prefs: m.prefs });
  draw();
}

/** Signs in with what the forms hold. Each step that the service asks for has a view of its own. */
async function signIn(replace: number | null): Promise<void> {
  const [email, password, otp] = [get<HTMLInputElement>("email"), get<HTMLInputElement>("password"), get<HTMLInputElement>("otp")];
  const buttons = [get<HTMLButtonElement>("sign_in_button"), get<HTMLButtonElement>("code_button"), get<HTMLButtonElement>("replace_button")];
  const words = buttons.map(button => button.textContent);
  for (const button of buttons) {
    button.disabled = true;
    put(button, w.say("sign_in.busy"));
  }
  get("sign_in_error").hidden = get("code_error").hidden = get("replace_error").hidden = true;
  const command = { email: email.value.trim(), password: password.value, otp: view === "code" ? otp.value : "", replace };
  const reply = await ask({ do: "sign_in", ...command, name: await deviceName() });
  for (const [i, button] of buttons.entries()) {
    button.disabled = false;
    put(button, words[i] ?? "");
  }
  otp.value = ""; // a code is taken once
  if (reply.ok) {
    password.value = "";
    show("home", "power");
  } else if (reply.problem?.code === "otp_required") {
    replaced = replace;
    put(get("code_text"), w.say(replace === null ? "code.text" : "code.next"));
    show("code", "otp");
  } else if (reply.problem?.code === "device_limit_reached" && replace === null) {
    drawDevices(reply.problem.details.devices ?? [], reply.problem.details.limit ?? 0);
  } else {
    refuse(reply.problem);
  }
}

function refuse(problem: Refusal | undefined): void {
  if (problem?.code === "invalid_credentials" && view !== "home") { // changed meanwhile
    show("home", "password");
  }
  const where = get(view === "devices" ? "replace_error" : view === "code" ? "code_error" : "sign_in_error");
  put(where, refusalText(problem));
  where.hidden = false;
  if (view === "code") {
    get("otp").focus();
  }
}

function refusalText(p: Refusal | undefined): string {
  const key = `error.${p?.code ?? "unreachable"}`;
  return w.has(key) ? w.say(key, { seconds: p?.details.retry_after ?? 60 }) : p?.message || w.say("error.other", { code: p?.code ?? "" });
}

function drawDevices(devices: Device[], limit: number): void {
  put(get("devices_text"), w.say("devices.text", { limit }));
  get("device_list").replaceChildren(...devices.map((d, i) => {
    const radio = make("input", "");
    [radio.type, radio.name, radio.value, radio.checked] = ["radio", "device", String(d.id), i === 0];
    const seen = d.last_seen_at ? w.say("devices.seen", { date: w.date(d.last_seen_at) }) : d.platform;
    const li = make("li", "", make("label", "", radio, make("span", "names", make("b", "", d.name), make("small", "muted", seen))));
    li.role = "presentation"; // the list is a group of radio buttons
    return li;
  }));
  get("device_list").setAttribute("aria-label", w.say("devices.title"));
  show("devices", "device_list");
  get("device_list").querySelector("input")?.focus();
}

async function deviceName(): Promise<string> {
  const systems: Record<string, string> = { win: "Windows", mac: "macOS", linux: "Linux", android: "Android", cros: "ChromeOS" };
  const { os } = await chrome.runtime.getPlatformInfo();
  const browsers: [string, string][] = [["Firefox/", "Firefox"], ["Edg/", "Edge"], ["OPR/", "Opera"], ["YaBrowser/", "Yandex"]];
  const browser = browsers.find(([mark]) => navigator.userAgent.includes(mark))?.[1] ?? "Chrome";
  return w.say("device.name", { browser, system: systems[os] ?? os });
}

async function help(remedy: Remedy): Promise<void> {
  const links = m.account?.links;
  switch (remedy) {
    case "renew": await open(links?.renew); break;
    case "support": await open(links?.support); break;
    case "retry": await ask({ do: "retry" }); break;
    case "switch": await ask({ do: "connect", server: null }); break;
    case "choose": show("servers", "search"); break;
    case "extensions": await open("chrome://extensions/"); break;
    case "allow": isAllowed = await chrome.permissions.request({ origins: ["<all_urls>"] }); draw(); break;
    case "which": await findOffender(); break;
  }
}

async function open(url: string | null | undefined): Promise<void> {
  if (url) {
    await chrome.tabs.create({ url });
  }
}

/** Asks to see the other extensions, and names the one that may control the proxy. */
async function findOffender(): Promise<void> {
  if (!await chrome.permissions.request({ permissions: ["management"] })) {
    return;
  }
  const all = await chrome.management?.getAll() ?? [];
  offender = all.find(x => x.enabled && x.id !== chrome.runtime.id && x.permissions?.includes("proxy"))?.name ?? null;
  draw();
}

function listen(): void {
  const on = (id: string, act: () => void) => get(id).addEventListener("click", act);
  on("power", () => void ask(isWanted(m.state) ? { do: "disconnect" } : { do: "connect", server: m.state.choice }));
  on("leave", () => void ask({ do: "disconnect" }));
  on("leave_ended", () => void ask({ do: "disconnect" }));
  on("problem_action", () => void help(get("problem_action").dataset["remedy"] as Remedy));
  on("server", () => show("servers", "search"));
  on("back", () => show("home", "server"));
  on("measure", () => void ask({ do: "refresh", isForced: true }));
  on("settings", () => void chrome.runtime.openOptionsPage());
  on("sign_out", () => { view = "home"; void ask({ do: "sign_out" }); });
  on("devices_back", () => show("home", "email"));
  on("code_back", () => show("home", "email"));
  get("search").addEventListener("input", draw);
  get("credentials").addEventListener("submit", e => { e.preventDefault(); void signIn(null); });
  get("second").addEventListener("submit", e => { e.preventDefault(); void signIn(replaced); });
  get("replace").addEventListener("submit", e => {
    e.preventDefault();
    const chosen = document.querySelector<HTMLInputElement>("[name=device]:checked");
    void signIn(chosen ? Number(chosen.value) : null);
  });
  document.addEventListener("keydown", e => {
    if (e.key === "Escape" && view !== "home") {
      e.preventDefault();
      show("home", m.state.token === null ? "email" : "server");
    }
  });
}

m = await follow(part => {
  m = { ...m, ...part };
  if (part.prefs) {
    w = dress(m.prefs, null);
  }
  draw();
});
w = dress(m.prefs, null);
get<HTMLAnchorElement>("site").href = config.api;
get<HTMLInputElement>("email").value = m.state.email ?? "";
listen();
draw();
void ask({ do: "refresh", isForced: false });
isAllowed = await chrome.permissions.contains({ origins: ["<all_urls>"] });
draw();
document.body.dataset["ready"] = "";
