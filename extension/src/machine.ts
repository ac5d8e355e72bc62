// The life of a connection as a pure function: state and event in, state and effects out. It knows no browser, no
// network and no clock. The one rule above all: from connect to disconnect or sign-out the proxy is never "none", so
// nothing goes direct, whatever fails in between.

import type { HTTPSKey } from "./wire";

export type Phase = "signed_out" | "idle" | "connecting" | "connected" | "blocked";

/** A key with the server that it opens. */
export interface Key {
  server: number;
  https: HTTPSKey;
  /** Unix milliseconds. */
  refreshAt: number;
  /** Unix milliseconds; null: never. */
  expiresAt: number | null;
}

/** Why nothing goes through: a code of the API, or one of ours. */
export type Reason = string;

/** Reasons of our own, beside the API's codes. */
export const reasons = {
  /** The API does not answer and there is no key to go on with. */
  unreachable: "unreachable",
  /** The proxy does not answer. */
  serverDown: "server_down",
  /** The proxy refuses a key that the API says is right. */
  keyRefused: "key_refused",
  /** This device was signed out: on another device, by the operator, or by a new password. */
  signedOut: "unauthenticated",
  /** Another extension holds the proxy settings. */
  otherExtension: "other_extension",
  /** No server can be used by a browser now. */
  noServer: "no_server",
} as const;

export interface State {
  phase: Phase;
  /**
   * Where requests go. "direct" if, and only if, the user does not want to be connected; "key" is through the proxy of
   * the key. Whoever applies it reads it here at that moment, so that a late one can't undo a newer.
   */
  way: "direct" | "nowhere" | "key";
  /** Set when, and only when, blocked. */
  reason: Reason | null;
  token: string | null;
  email: string | null;
  /** The server chosen by hand; null: the best one. */
  choice: number | null;
  /** The key in use, and the last good one when idle. */
  key: Key | null;
  /** Servers that did not work since the user last asked to connect. */
  failed: number[];
  /** Whether the key at hand was asked for again after the proxy refused it. */
  renewed: boolean;
  /** Counts attempts: what was asked for by an earlier one is not listened to. */
  run: number;
}

export const initial: State = {
  phase: "signed_out", way: "direct", reason: null, token: null, email: null, choice: null, key: null, failed: [], renewed: false, run: 0,
};

export type Event =
  /** The worker has started; the browser too if isFresh, which then knows no credentials. */
  | { type: "wake"; isFresh: boolean; now: number }
  | { type: "signed_in"; token: string; email: string }
  | { type: "sign_out" }
  | { type: "connect"; choice: number | null }
  | { type: "disconnect" }
  /** Time to look again: an alarm, or the user. */
  | { type: "retry"; now: number }
  /** A new key, please. */
  | { type: "rotate" }
  | { type: "key"; run: number; key: Key }
  | { type: "refused"; run: number; server: number | null; code: Reason }
  /** The API does not answer. */
  | { type: "unreachable"; run: number; now: number }
  | { type: "probed"; run: number; ok: boolean }
  /** The proxy asks for credentials although it was given some before. */
  | { type: "challenged" }
  /** The proxy refused these credentials twice. */
  | { type: "rejected"; username: string }
  /** A page failed at the proxy. */
  | { type: "failed" }
  /** What the subscription says. */
  | { type: "account"; allowed: boolean; reason: Reason | null }
  /** Some call was answered with unauthenticated. */
  | { type: "unauthenticated"; token: string }
  | { type: "control"; isOurs: boolean };

export type Effect =
  /** Apply the state's way. */
  | { do: "proxy" }
  /** Ask for the key of a server, or of the best one that is not to be avoided. */
  | { do: "key"; run: number; choice: number | null; avoid: number[]; rotate: boolean }
  /** Open the probe through the proxy. */
  | { do: "probe"; run: number; key: Key }
  /** Read the subscription. */
  | { do: "account" }
  /** End the session at the API. */
  | { do: "logout"; token: string };

type Step = [State, Effect[]];

/** The server that is tried instead when one fails, at most so often. */
const maxFailed = 3;

/** Reason when the API names none. */
const noAccess = "subscription_required";

/** Whether the user wants to be connected: then nothing may go direct. */
export function isWanted(s: State): boolean {
  return s.phase === "connecting" || s.phase === "connected" || s.phase === "blocked";
}

/** Reasons that go away by themselves. */
export function isTransient(reason: Reason | null): boolean {
  return reason === reasons.unreachable || reason === reasons.noServer || isServerFault(reason);
}

/** Reasons that lie with one server, so that another one helps. */
export function isServerFault(reason: Reason | null): boolean {
  return reason === reasons.serverDown || (reason !== null &&
    ["server_offline", "server_full", "server_maintenance", "server_not_found", "protocol_unavailable", "plan_upgrade_required"].includes(reason));
}

/** step is the whole machine. */
export function step(s: State, e: Event): Step {
  const [next, effects] = decide(s, e);
  const isMoved = next.way !== s.way || (next.way === "key" && next.key !== s.key);
  return [next, isMoved || e.type === "wake" ? [{ do: "proxy" }, ...effects] : effects];
}

function decide(s: State, e: Event): Step {
  switch (e.type) {
    case "wake": return wake(s, e.isFresh, e.now);
    case "signed_in": return signedIn(s, e.token, e.email);
    case "sign_out": return [{ ...initial, run: s.run + 1 }, s.token === null ? [] : [{ do: "logout", token: s.token }]];
    case "connect": return s.token === null ? [s, []] : attempt({ ...s, choice: e.choice, failed: [], renewed: false });
    case "disconnect": return [{ ...s, phase: s.token === null ? "signed_out" : "idle", way: "direct", reason: null, renewed: false, run: s.run + 1 }, []];
    case "unauthenticated": return s.token === e.token ? signedOutElsewhere(s) : [s, []];
    case "control": return control(s, e.isOurs);
    case "account": return account(s, e.allowed, e.reason);
    case "retry": return retry(s, e.now);
    case "key": return e.run === s.run && isWanted(s) ? gotKey(s, e.key) : [s, []];
    case "refused": return e.run === s.run && isWanted(s) ? refused(s, e.server, e.code) : [s, []];
    case "unreachable": return e.run === s.run && isWanted(s) ? unreachable(s, e.now) : [s, []];
    case "probed": return e.run === s.run && (s.phase === "connecting" || s.phase === "connected") ? probed(s, e.ok) : [s, []];
    case "rotate": return isWanted(s) && s.key ? [s, [askAgain(s, s.key, true)]] : [s, []];
    case "challenged": return s.phase === "connected" && s.key ? [s, [askAgain(s, s.key, false)]] : [s, []];
    case "rejected": return rejected(s, e.username);
    case "failed": return s.phase === "connected" && s.key ? [s, [{ do: "probe", run: s.run, key: s.key }]] : [s, []];
  }
}

/** A worker that was ended forgets what it had asked for. */
function wake(s: State, isFresh: boolean, now: number): Step {
  if (!isWanted(s)) {
    return [s, []];
  }
  if (s.phase === "blocked") {
    return isTransient(s.reason) ? attempt(s) : [s, [{ do: "account" }]];
  }
  if (!s.key || isOver(s.key, now)) {
    return attempt(s);
  }
  return s.phase === "connected" && !isFresh ? [s, []] : probe(s, s.key);
}

function signedIn(s: State, token: string, email: string): Step {
  const key = s.email === email ? s.key : null; // another account's key is none of ours
  const next: State = { ...s, token, email, key };
  return isWanted(s) ? attempt({ ...next, failed: [], renewed: false }) : [{ ...next, phase: "idle" }, []];
}

/** A new attempt. A proxy that is in use stays in use until the next key is there; otherwise nothing goes out. */
function attempt(s: State): Step {
  const next: State = { ...s, phase: "connecting", reason: null, run: s.run + 1, way: s.way === "key" && s.key ? "key" : "nowhere" };
  return [next, [{ do: "key", run: next.run, choice: s.choice, avoid: s.failed, rotate: false }]];
}

function askAgain(s: State, key: Key, rotate: boolean): Effect {
  return { do: "key", run: s.run, choice: key.server, avoid: [], rotate };
}

function gotKey(s: State, key: Key): Step {
  const same = s.key !== null && isSame(s.key, key);
  if (s.phase === "connected" && s.key?.server === key.server) { // right all the time, or rotated
    return [{ ...s, key }, []];
  }
  if (same && s.renewed) { // the proxy refused what the API says is right: perhaps the subscription explains it
    return [{ ...s, key }, [{ do: "account" }]];
  }
  return probe({ ...s, key }, key);
}

function probe(s: State, key: Key): Step {
  return [{ ...s, phase: "connecting", reason: null, way: "key" }, [{ do: "probe", run: s.run, key }]];
}

function probed(s: State, ok: boolean): Step {
  if (ok && s.phase === "connected") {
    return [s, []];
  }
  if (ok) {
    return [{ ...s, phase: "connected", reason: null, failed: [], renewed: false }, []];
  }
  return refused(s, s.key ? s.key.server : null, reasons.serverDown);
}

/** The API refuses a key, or the server does not work. Another server is tried when the user left the choice to us. */
function refused(s: State, server: number | null, code: Reason): Step {
  if (code === reasons.signedOut) {
    return signedOutElsewhere(s);
  }
  if (isServerFault(code) && server !== null && s.choice === null && s.failed.length < maxFailed) {
    return attempt({ ...s, way: "nowhere", failed: [...s.failed, server] });
  }
  return block(s, code);
}

/** Without the API, the last good key goes on. */
function unreachable(s: State, now: number): Step {
  const fits = s.key !== null && !isOver(s.key, now) && (s.choice === null || s.choice === s.key.server) && !s.failed.includes(s.key.server);
  if (!s.key || !fits) {
    return block(s, s.failed.length > 0 ? reasons.serverDown : reasons.unreachable);
  }
  return s.phase === "connected" ? [s, []] : probe(s, s.key);
}

/** Refused credentials count only while they are those at hand: requests that began with older ones come late. */
function rejected(s: State, username: string): Step {
  if ((s.phase !== "connected" && s.phase !== "connecting") || !s.key || s.key.https.username !== username) {
    return [s, []];
  }
  if (s.renewed) {
    return [s, [{ do: "account" }]];
  }
  const next: State = { ...s, phase: "connecting", renewed: true, run: s.run + 1 };
  return [next, [askAgain(next, s.key, false)]];
}

function account(s: State, allowed: boolean, reason: Reason | null): Step {
  if (!isWanted(s) || s.token === null) {
    return [s, []];
  }
  if (!allowed) {
    return s.reason === (reason ?? noAccess) ? [s, []] : block(s, reason ?? noAccess);
  }
  if (s.phase === "blocked") { // paid, unblocked, or a new month
    return healsWithAccess(s.reason) ? attempt({ ...s, failed: [], renewed: false }) : [s, []];
  }
  return s.renewed ? block(s, reasons.keyRefused) : [s, []];
}

function retry(s: State, now: number): Step {
  if (s.phase === "blocked" && s.token !== null) {
    return attempt({ ...s, failed: [], renewed: false });
  }
  return s.phase === "connected" && s.key && s.key.refreshAt <= now ? [s, [askAgain(s, s.key, false)]] : [s, []];
}

function signedOutElsewhere(s: State): Step {
  const next: State = { ...s, token: null, key: null };
  return isWanted(s) ? block(next, reasons.signedOut) : [{ ...next, phase: "signed_out", run: s.run + 1 }, []];
}

function control(s: State, isOurs: boolean): Step {
  if (isOurs) {
    return s.reason === reasons.otherExtension ? attempt(s) : [s, []];
  }
  return isWanted(s) && s.reason !== reasons.otherExtension ? block(s, reasons.otherExtension) : [s, []];
}

function block(s: State, reason: Reason): Step {
  return [{ ...s, phase: "blocked", way: "nowhere", reason, run: s.run + 1 }, []];
}

/** Whether a reason is over once the account has access. */
function healsWithAccess(reason: Reason | null): boolean {
  return reason !== reasons.signedOut && reason !== reasons.otherExtension && reason !== reasons.keyRefused && !isServerFault(reason);
}

function isSame(a: Key, b: Key): boolean {
  return a.server === b.server && a.https.host === b.https.host && a.https.port === b.https.port &&
    a.https.username === b.https.username && a.https.password === b.https.password;
}

function isOver(key: Key, now: number): boolean {
  return key.expiresAt !== null && key.expiresAt <= now;
}
