// The worker: it carries out what the machine asks for. It may be ended at any moment and begins again here, so nothing
// that matters is kept in its variables alone.

import config from "./config.js";
import { best, isUsable, pingAll, type Pings } from "./best";
import { hostOf, privateRanges } from "./bypass";
import { API, CallError, isPassing } from "./call";
import { login, type Command, type Reply } from "./command";
import { languageOf } from "./language";
import { isTransient, isWanted, reasons, step, type Effect, type Event, type Key, type State } from "./machine";
import { load, save, watch, type Memory } from "./memory";
import { Guard } from "./guard";
import { newRoute } from "./route";
import { face } from "./face";

/** How old the list and the pings may be, in milliseconds. */
const listAge = 5 * 60_000;
const pingAge = 10 * 60_000;
/** How long a probe may take, and how often a key is probed that the server has not confirmed yet. */
const probePatience = 8000;
const probeTries = 3;
const probePause = 500;
/** How long after a page failed we look at the proxy, in milliseconds. */
const checkPause = 300;

let memory: Memory;
const api = new API(config.api, () => languageOf(memory.prefs));
const route = newRoute(isOurs => void dispatch({ type: "control", isOurs }));
const guard = new Guard(() => dispatch({ type: "challenged" }), username => dispatch({ type: "rejected", username }), () => memory.state);
const ready = begin();

async function begin(): Promise<void> {
  // Neither the memory nor Chromium's setting is touched until both are known: until then what was in force stays so.
  const [kept, session] = await Promise.all([load(), chrome.storage.session.get(["awake"])]);
  memory = kept;
  if (memory.device === "") {
    memory.device = crypto.randomUUID();
    await save({ device: memory.device });
  }
  await chrome.storage.session.set({ awake: true });
  await guard.begin();
  void run({ type: "wake", isFresh: session["awake"] !== true, now: Date.now() });
}

/** Takes an event once the worker knows its state, and resolves when all that follows from it is done. */
async function dispatch(event: Event): Promise<void> {
  await ready;
  await run(event);
}

async function run(event: Event): Promise<void> {
  const before = memory.state.phase;
  const [next, effects] = step(memory.state, event);
  if (next !== memory.state) {
    memory.state = next;
    if (next.phase === "connected" && before !== "connected") {
      await reloadFailed(); // before anybody is told: whoever then goes on in the tab must not lose that page
    }
    // Neither a full disk nor a browser without icons keeps the proxy from being set.
    await save({ state: memory.state }).catch(() => undefined);
    await face(memory.state).catch(() => undefined);
    setAlarms(memory.state);
  }
  for (const effect of effects) {
    const follows = await carryOut(effect);
    if (follows) {
      await run(follows);
    }
  }
}

async function carryOut(e: Effect): Promise<Event | null> {
  switch (e.do) {
    case "proxy": return setProxy();
    case "key": return askKey(e);
    case "probe": return { type: "probed", run: e.run, ok: await probe(e.key) };
    case "account": return readAccount();
    case "logout": await api.logout(e.token).catch(() => undefined); return null; // the token is forgotten either way
  }
}

/** Settings are written one after the other, each as the state is at that moment. */
let proxyTurn: Promise<unknown> = Promise.resolve();

async function setProxy(): Promise<Event | null> {
  const turn = proxyTurn.then(async () => {
    await setWebRTC().catch(() => undefined); // a browser that does not let us must not keep the proxy from being set
    // Last, for who controls the settings must be news: an answer that waits would undo what onChange says meanwhile.
    const { way, key } = memory.state;
    return route.set(way === "key" ? key ?? "nowhere" : way, bypass());
  });
  proxyTurn = turn.catch(() => undefined);
  return await turn ? null : { type: "control", isOurs: false };
}

async function setWebRTC(): Promise<void> {
  const policy = chrome.privacy.network.webRTCIPHandlingPolicy;
  await (isWanted(memory.state) && memory.prefs.webrtc ? policy.set({ value: "disable_non_proxied_udp" }) : policy.clear({}));
}

/**
 * What never goes through the proxy: the API, or a dead proxy would lock its user out; the pings, or they would measure
 * the way through it; where people renew; what is private; what the user says.
 */
function bypass(): string[] {
  const links = Object.values(memory.account?.links ?? {});
  const addresses = [config.api, ...memory.servers.map(s => s.api_url), ...links.filter(l => l !== null)];
  const hosts = addresses.map(hostOf).filter(h => h !== null);
  return [...new Set([...hosts, ...privateRanges, ...memory.state.key?.https.bypass ?? [], ...memory.prefs.bypass])];
}

async function askKey(e: Extract<Effect, { do: "key" }>): Promise<Event> {
  const token = memory.state.token;
  let server = e.choice;
  try {
    if (token === null) {
      return { type: "refused", run: e.run, server, code: reasons.signedOut };
    }
    if (server === null) {
      await readServers(token, listAge);
      server = best(memory.servers, memory.pings, e.avoid, Math.random)?.id ?? null;
      if (server === null) {
        return { type: "refused", run: e.run, server, code: await whyNoServer() };
      }
    }
    const issued = await api.key(token, server, e.rotate);
    if (issued.https === null) {
      return { type: "refused", run: e.run, server, code: "protocol_unavailable" };
    }
    const key: Key = {
      server, https: issued.https, refreshAt: Date.parse(issued.refresh_at),
      expiresAt: issued.expires_at === null ? null : Date.parse(issued.expires_at),
    };
    return { type: "key", run: e.run, key };
  } catch (err) {
    if (isPassing(err)) {
      return { type: "unreachable", run: e.run, now: Date.now() };
    }
    return { type: "refused", run: e.run, server, code: (err as CallError).code };
  }
}

/** No server can be used: because of the subscription, or because there is none for a browser. */
async function whyNoServer(): Promise<string> {
  await readAccount();
  return memory.account?.access.reason ?? (memory.state.failed.length > 0 ? reasons.serverDown : reasons.noServer);
}

async function probe(key: Key): Promise<boolean> {
  const from = memory.state.run;
  for (let i = 0; i < probeTries && memory.state.run === from; i++) {
    if (i > 0) {
      await new Promise(resolve => setTimeout(resolve, probePause));
    }
    if (await guard.probe(key, AbortSignal.timeout(probePatience))) {
      return true;
    }
  }
  return false;
}

async function readAccount(): Promise<Event | null> {
  const token = memory.state.token;
  if (token === null) {
    return null;
  }
  try {
    const account = await api.account(token);
    if (memory.state.token !== token) { // signed out meanwhile, and perhaps in as another
      return null;
    }
    memory.account = account;
    await save({ account: memory.account });
    return { type: "account", allowed: memory.account.access.allowed, reason: memory.account.access.reason };
  } catch (err) {
    return err instanceof CallError && err.code === "unauthenticated" ? { type: "unauthenticated", token } : null;
  }
}

async function readServers(token: string, age: number): Promise<void> {
  if (Date.now() - memory.serversAt < age) {
    return;
  }
  const servers = await api.servers(token);
  if (memory.state.token !== token) {
    return;
  }
  [memory.servers, memory.serversAt] = [servers, Date.now()];
  await save({ servers: memory.servers, serversAt: memory.serversAt });
}

/** What the popup shows, read anew: it opens with what is kept and follows. */
async function refresh(isForced: boolean): Promise<void> {
  const token = memory.state.token;
  if (token === null) {
    return;
  }
  const account = readAccount();
  await readServers(token, isForced ? 0 : 30_000).catch(() => undefined); // the account's answer tells why
  const follows = await account;
  if (follows) {
    await run(follows);
  }
  if (isForced || Date.now() - memory.pingsAt > pingAge) {
    await measure();
  }
}

async function measure(): Promise<void> {
  const token = memory.state.token;
  memory.pingsAt = Date.now();
  const pings: Pings = {};
  await pingAll(memory.servers.filter(isUsable), (id, ms) => {
    if (memory.state.token !== token) {
      return;
    }
    pings[id] = ms;
    memory.pings = { ...memory.pings, [id]: ms };
    void save({ pings: memory.pings });
  });
  if (memory.state.token === token) {
    memory.pings = pings; // servers that are gone are forgotten
    await save({ pings, pingsAt: memory.pingsAt });
  }
}

function setAlarms(s: State): void {
  if (s.token === null) {
    void chrome.alarms.clear("look");
  } else {
    void chrome.alarms.create("look", { periodInMinutes: Math.max(1, (memory.account?.poll_after ?? 600) / 60) });
  }
  if (s.phase === "blocked" && isTransient(s.reason)) {
    void chrome.alarms.create("retry", { delayInMinutes: 1 });
  }
  if (isWanted(s) && s.key?.expiresAt) {
    void chrome.alarms.create("expiry", { when: Math.max(s.key.expiresAt, Date.now()) + 1000 });
  }
}

chrome.alarms.onAlarm.addListener(alarm => void (async () => {
  await ready;
  if (alarm.name === "retry" ? isTransient(memory.state.reason) : memory.state.phase === "connected") {
    await run({ type: "retry", now: Date.now() });
  }
  if (alarm.name !== "retry") {
    const follows = await readAccount();
    await (follows && run(follows));
  }
})());

async function obey(c: Command): Promise<Reply> {
  await ready;
  switch (c.do) {
    case "sign_in": {
      const reply = await login(api, memory.device, c);
      if (reply.ok && reply.token !== undefined) {
        if (memory.state.email !== c.email) {
          [memory.account, memory.servers, memory.serversAt] = [null, [], 0];
          await save({ account: null, servers: [], serversAt: 0 });
        }
        await run({ type: "signed_in", token: reply.token, email: c.email });
        void refresh(true);
      }
      return { ok: reply.ok, ...(reply.problem ? { problem: reply.problem } : {}) };
    }
    case "sign_out": {
      const isDone = run({ type: "sign_out" }); // it waits for the service, which may not answer
      [memory.account, memory.servers, memory.serversAt, memory.pings, memory.pingsAt] = [null, [], 0, {}, 0];
      await save({ account: null, servers: [], serversAt: 0, pings: {}, pingsAt: 0 });
      await isDone;
      return { ok: true };
    }
    case "connect": await run({ type: "connect", choice: c.server }); return { ok: true };
    case "disconnect": await run({ type: "disconnect" }); return { ok: true };
    case "retry": await run({ type: "retry", now: Date.now() }); return { ok: true };
    case "rotate": await run({ type: "rotate" }); return { ok: true };
    case "refresh": await refresh(c.isForced); return { ok: true };
  }
}

chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== chrome.runtime.id) {
    return false;
  }
  void obey(message as Command).then(answer, () => answer({ ok: false }));
  return true;
});

// The pages change preferences; what follows from them is done here.
watch(part => void (async () => {
  await ready;
  if (part.prefs && JSON.stringify(part.prefs) !== JSON.stringify(memory.prefs)) {
    memory.prefs = part.prefs;
    await setProxy();
  }
})());

/** Failures behind which the proxy could be. A probe is cheap, so some of them may be a site's own. */
const suspicious = /PROXY|TUNNEL|HTTP2|REFUSED|RESET|CLOSED|TIMED?_?OUT/;

/** Tabs with the page that failed there. They are loaded again when that helps: the browser has new credentials, or a new way. */
const failedTabs = new Map<number, string>();
let check: Promise<void> | null = null;

async function reloadFailed(): Promise<void> {
  const tabs = [...failedTabs];
  failedTabs.clear();
  await Promise.all(tabs.map(([id, url]) => reload(id, url).catch(() => undefined)));
}

/** Loads a page that failed again. A tab that shows another page by now, or is on its way to one, is left alone. */
async function reload(id: number, url: string): Promise<void> {
  const tab = await chrome.tabs.get(id);
  if (tab.status !== "loading" && withoutHash(tab.url ?? "") === withoutHash(url)) {
    await chrome.tabs.reload(id);
  }
}

function withoutHash(url: string): string { return url.replace(/#.*/, ""); }

async function checkProxy(): Promise<void> {
  await ready;
  await new Promise(resolve => setTimeout(resolve, checkPause)); // failures come in swarms
  const answered = guard.answered;
  await run({ type: "failed" });
  if (memory.state.phase === "connected") {
    await (guard.answered === answered ? failedTabs.clear() : reloadFailed());
  }
}

chrome.webRequest.onErrorOccurred.addListener(d => {
  if (suspicious.test(d.error) && d.tabId >= 0) {
    failedTabs.set(d.tabId, d.url);
    check ??= checkProxy().finally(() => { check = null; });
  }
}, { urls: ["<all_urls>"], types: ["main_frame"] });

// Listening is enough: it makes the browser start the worker, which then does what is to be done.
chrome.runtime.onStartup.addListener(() => undefined);
chrome.runtime.onInstalled.addListener(() => undefined);
