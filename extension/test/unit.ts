import { best, isUsable } from "../src/best";
import { matches, parse } from "../src/bypass";
import { Words } from "../src/language";
import { placeOf } from "../src/list";
import { initial, isWanted, step, type Effect, type Event, type Key, type State } from "../src/machine";
import type { Server } from "../src/wire";
import { is, test } from "./check";

const now = 1_000_000;

function key(server: number, password = "p", expiresAt: number | null = null): Key {
  return {
    server, refreshAt: now + 1000, expiresAt,
    https: { scheme: "https", host: `n${server}.test`, port: 443, username: "u", password, realm: "Stile", bypass: [], probe_url: "http://x.invalid/" },
  };
}

/** A machine that remembers its effects. */
class Run {
  state: State = initial;
  effects: Effect[] = [];

  take(...events: Event[]): this {
    for (const e of events) {
      [this.state, this.effects] = step(this.state, e);
    }
    return this;
  }

  /** The same, for events that answer the present attempt. */
  hear(make: (run: number) => Event): this { return this.take(make(this.state.run)); }

  did(): string[] { return this.effects.map(e => e.do); }
}

const signedIn: Event = { type: "signed_in", token: "t", email: "e" };
const connect: Event = { type: "connect", choice: null };

function connected(): Run {
  return new Run().take(signedIn, connect).hear(run => ({ type: "key", run, key: key(1) })).hear(run => ({ type: "probed", run, ok: true }));
}

function expect(r: Run, phase: State["phase"], way: State["way"], reason: string | null, did: string[]): void {
  is("phase", r.state.phase, phase);
  is("way", r.state.way, way);
  is("reason", r.state.reason, reason);
  is("effects", r.did(), did);
}

test("sign in, connect, disconnect, sign out", () => {
  const r = new Run().take(signedIn);
  expect(r, "idle", "direct", null, []);
  expect(r.take(connect), "connecting", "nowhere", null, ["proxy", "key"]);
  expect(r.hear(run => ({ type: "key", run, key: key(1) })), "connecting", "key", null, ["proxy", "probe"]);
  expect(r.hear(run => ({ type: "probed", run, ok: true })), "connected", "key", null, []);
  expect(r.take({ type: "disconnect" }), "idle", "direct", null, ["proxy"]);
  expect(r.take(connect, { type: "sign_out" }), "signed_out", "direct", null, ["proxy", "logout"]);
  is("token", r.state.token, null);
  is("key", r.state.key, null);
});

test("what an earlier attempt asked for is not listened to", () => {
  const r = new Run().take(signedIn, connect);
  const old = r.state.run;
  r.take({ type: "disconnect" }, { type: "key", run: old, key: key(1) });
  expect(r, "idle", "direct", null, []);
  r.take(connect, { type: "refused", run: old, server: 1, code: "server_full" });
  is("phase", r.state.phase, "connecting");
});

test("a switch stays on the old proxy until the new key is there", () => {
  const r = connected().take({ type: "connect", choice: 2 });
  expect(r, "connecting", "key", null, ["key"]);
  is("server", r.state.key?.server, 1);
  expect(r.hear(run => ({ type: "key", run, key: key(2) })), "connecting", "key", null, ["proxy", "probe"]);
});

test("refusals block and say why", () => {
  for (const code of ["subscription_expired", "traffic_quota_exceeded", "account_blocked", "no_server"]) {
    expect(new Run().take(signedIn, connect).hear(run => ({ type: "refused", run, server: 1, code })), "blocked", "nowhere", code, []);
  }
});

test("access that comes back connects again", () => {
  const r = connected().take({ type: "account", allowed: false, reason: "subscription_expired" });
  expect(r, "blocked", "nowhere", "subscription_expired", ["proxy"]);
  expect(r.take({ type: "account", allowed: false, reason: "subscription_expired" }), "blocked", "nowhere", "subscription_expired", []);
  expect(r.take({ type: "account", allowed: true, reason: null }), "connecting", "nowhere", null, ["key"]);
});

test("a dead server is replaced when the choice is ours, and named when it is the user's", () => {
  const r = new Run().take(signedIn, connect);
  for (const server of [1, 2, 3]) {
    r.hear(run => ({ type: "key", run, key: key(server) })).hear(run => ({ type: "probed", run, ok: false }));
    expect(r, "connecting", "nowhere", null, ["proxy", "key"]);
    is("avoided", (r.effects[1] as { avoid: number[] }).avoid.length, server);
  }
  r.hear(run => ({ type: "key", run, key: key(4) })).hear(run => ({ type: "probed", run, ok: false }));
  expect(r, "blocked", "nowhere", "server_down", ["proxy"]);
  const chosen = new Run().take(signedIn, { type: "connect", choice: 1 }).hear(run => ({ type: "key", run, key: key(1) }));
  expect(chosen.hear(run => ({ type: "probed", run, ok: false })), "blocked", "nowhere", "server_down", ["proxy"]);
  expect(chosen.take({ type: "retry", now }), "connecting", "nowhere", null, ["key"]);
});

test("without the API the last good key goes on", () => {
  const r = connected().take({ type: "challenged" });
  is("asks", r.did(), ["key"]);
  expect(r.hear(run => ({ type: "unreachable", run, now })), "connected", "key", null, []);
  r.take({ type: "disconnect" }, connect);
  expect(r.hear(run => ({ type: "unreachable", run, now })), "connecting", "key", null, ["proxy", "probe"]);
  const none = new Run().take(signedIn, connect);
  expect(none.hear(run => ({ type: "unreachable", run, now })), "blocked", "nowhere", "unreachable", []);
  const over = connected().take({ type: "disconnect" });
  over.state = { ...over.state, key: key(1, "p", now - 1) };
  expect(over.take(connect).hear(run => ({ type: "unreachable", run, now })), "blocked", "nowhere", "unreachable", []);
});

test("a rotated key takes the place of the old one without a pause", () => {
  const r = connected().take({ type: "challenged" });
  expect(r.hear(run => ({ type: "key", run, key: key(1, "new") })), "connected", "key", null, ["proxy"]);
  is("password", r.state.key?.https.password, "new");
});

test("a key that is refused twice is asked for again, then the subscription is read, then it is said", () => {
  const r = connected().take({ type: "rejected", username: "u" });
  expect(r, "connecting", "key", null, ["key"]);
  expect(r.hear(run => ({ type: "key", run, key: key(1) })), "connecting", "key", null, ["proxy", "account"]);
  expect(r.take({ type: "account", allowed: true, reason: null }), "blocked", "nowhere", "key_refused", ["proxy"]);
  expect(connected().take({ type: "rejected", username: "older" }), "connected", "key", null, []);
});

test("signed out elsewhere: nothing goes out, and a new sign-in connects", () => {
  const r = connected().take({ type: "unauthenticated", token: "another" });
  is("phase", r.state.phase, "connected");
  expect(r.take({ type: "unauthenticated", token: "t" }), "blocked", "nowhere", "unauthenticated", ["proxy"]);
  expect(r.take({ type: "retry", now }), "blocked", "nowhere", "unauthenticated", []);
  expect(r.take(signedIn), "connecting", "nowhere", null, ["key"]);
  r.take({ type: "unauthenticated", token: "t" });
  expect(r.take({ type: "disconnect" }), "signed_out", "direct", null, ["proxy"]);
  const idle = new Run().take(signedIn, { type: "unauthenticated", token: "t" });
  expect(idle, "signed_out", "direct", null, []);
});

test("another extension", () => {
  const r = connected().take({ type: "control", isOurs: false });
  expect(r, "blocked", "nowhere", "other_extension", ["proxy"]);
  expect(r.take({ type: "account", allowed: true, reason: null }), "blocked", "nowhere", "other_extension", []);
  expect(r.take({ type: "control", isOurs: true }), "connecting", "nowhere", null, ["key"]);
  expect(new Run().take(signedIn, { type: "control", isOurs: false }), "idle", "direct", null, []);
});

test("a worker that wakes", () => {
  const r = connected();
  expect(r.take({ type: "wake", isFresh: false, now }), "connected", "key", null, ["proxy"]);
  expect(r.take({ type: "wake", isFresh: true, now }), "connecting", "key", null, ["proxy", "probe"]);
  const over = connected();
  over.state = { ...over.state, key: key(1, "p", now) };
  expect(over.take({ type: "wake", isFresh: false, now }), "connecting", "key", null, ["proxy", "key"]);
  const blocked = connected().take({ type: "account", allowed: false, reason: "account_blocked" });
  expect(blocked.take({ type: "wake", isFresh: true, now }), "blocked", "nowhere", "account_blocked", ["proxy", "account"]);
  expect(new Run().take(signedIn, { type: "wake", isFresh: true, now }), "idle", "direct", null, ["proxy"]);
});

test("a page that fails makes us look at the proxy", () => {
  const r = connected().take({ type: "failed" });
  expect(r, "connected", "key", null, ["probe"]);
  expect(r.hear(run => ({ type: "probed", run, ok: true })), "connected", "key", null, []);
  expect(r.take({ type: "failed" }).hear(run => ({ type: "probed", run, ok: false })), "connecting", "nowhere", null, ["proxy", "key"]);
});

// The rule above all: whatever happens in whatever order, nothing goes direct while the user wants to be connected,
// there is a way through a proxy only with a key, and a reason exactly when blocked.
test("nothing goes direct while connected", () => {
  let seed = 7;
  const chance = (n: number) => { seed = (seed * 48271) % 2147483647; return seed % n; };
  const codes = ["subscription_expired", "server_full", "server_offline", "unauthenticated", "device_not_found", "plan_upgrade_required"];
  for (let walk = 0; walk < 2000; walk++) {
    const r = new Run();
    for (let i = 0; i < 60; i++) {
      const wanted = isWanted(r.state);
      const run = r.state.run - (chance(4) === 0 ? 1 : 0);
      const events: Event[] = [
        signedIn, { type: "connect", choice: chance(2) ? null : chance(3) }, { type: "retry", now }, { type: "rotate" }, { type: "challenged" },
        { type: "wake", isFresh: chance(2) === 0, now }, { type: "key", run, key: key(chance(3), chance(2) ? "p" : "q", chance(4) ? null : now - 1) },
        { type: "refused", run, server: chance(3), code: codes[chance(codes.length)] ?? "" }, { type: "unreachable", run, now }, { type: "rejected", username: "u" },
        { type: "probed", run, ok: chance(2) === 0 }, { type: "failed" }, { type: "account", allowed: chance(2) === 0, reason: chance(2) ? null : "account_blocked" },
        { type: "unauthenticated", token: chance(2) ? "t" : "x" }, { type: "control", isOurs: chance(2) === 0 },
        ...(chance(6) === 0 ? [{ type: "disconnect" } as const, { type: "sign_out" } as const] : []),
      ];
      const event = events[chance(events.length)] as Event;
      const before = r.state;
      r.take(event);
      const told = JSON.stringify(event);
      is(told + ": direct", r.state.way === "direct", !isWanted(r.state));
      is(told + ": reason", r.state.reason !== null, r.state.phase === "blocked");
      if (r.state.way === "key" && !r.state.key) {
        throw new Error(told + ": a way without a key");
      }
      if (wanted && !isWanted(r.state) && event.type !== "disconnect" && event.type !== "sign_out") {
        throw new Error(told + ": left the connection without being told to");
      }
      if ((r.state.way !== before.way || (r.state.way === "key" && r.state.key !== before.key)) && r.effects[0]?.do !== "proxy") {
        throw new Error(told + ": the proxy was not told");
      }
    }
  }
});

function server(id: number, more: Partial<Server> = {}): Server {
  return {
    id, name: "", country: "", country_code: "NL", city: "", api_url: "", load: 0, score: id, status: "online", accessible: true,
    locked_reason: null, protocols: ["https"], ...more,
  };
}

test("the best server", () => {
  const even = () => 0;
  const all = [server(1), server(2), server(3, { status: "full" }), server(4, { accessible: false }), server(5, { protocols: ["shadowsocks"] })];
  is("usable", all.filter(isUsable).map(s => s.id), [1, 2]);
  is("by score", best(all, {}, [], even)?.id, 1);
  is("by ping", best(all, { 1: 50, 2: 20 }, [], even)?.id, 2);
  is("timed before untimed", best(all, { 1: null, 2: 900 }, [], even)?.id, 2);
  is("avoided", best(all, { 1: 50, 2: 20 }, [2], even)?.id, 1);
  is("busy", best([server(1, { load: 100 }), server(2)], { 1: 20, 2: 100 }, [], even)?.id, 2);
  is("none", best(all, {}, [1, 2], even), null);
});

test("patterns of the bypass list", () => {
  const good: Record<string, string> = {
    "example.com": "example.com", " Example.COM ": "example.com", "https://example.com/path": "example.com", "*.example.com": ".example.com",
    ".example.com": ".example.com", "10.0.0.0/8": "10.0.0.0/8", "192.168.1.1": "192.168.1.1", "fd00::/8": "fd00::/8", "пример.рф": "xn--e1afmkfd.xn--p1ai",
    "example.com/path": "example.com", "localhost": "localhost",
  };
  for (const [text, want] of Object.entries(good)) {
    is(text, parse(text), want);
  }
  for (const text of ["", " ", "*", "a b", "10.0.0.0/33", "fd00::/129", "<local>", "exa$mple.com", "-"]) {
    is(text, parse(text), null);
  }
});

test("hosts of the bypass list", () => {
  const list = ["example.com", ".example.org", "10.0.0.0/8", "fd00::/8", "192.168.1.1"];
  for (const host of ["example.com", "EXAMPLE.com", "www.example.org", "10.1.2.3", "fd12::1", "192.168.1.1", "localhost", "a.localhost", "127.0.0.5", "::1"]) {
    is(host, matches(host, list), true);
  }
  for (const host of ["www.example.com", "example.org", "notexample.com", "11.0.0.1", "fe80::1", "192.168.1.2", "10.example.net", "127.example.net"]) {
    is(host, matches(host, list), false);
  }
});

test("where a server is", () => {
  const at = (city: string, country: string, country_code: string) => placeOf({ city, country, country_code } as Server);
  is("both", at("Амстердам", "Нидерланды", "NL"), "Амстердам, Нидерланды");
  is("no city", at("", "Нидерланды", "NL"), "Нидерланды");
  is("a country that nobody named", at("Рига", "ZZ", "ZZ"), "Рига");
  is("nothing", at("", "ZZ", "ZZ"), "");
});

test("traffic in the units of plans, as the dashboard says it", () => {
  const w = new Words("en");
  const said = (n: number) => w.bytes(n).replace(/\s/gu, " ");
  is("a plan of 100 GB", said(100e9), "100 GB");
  is("one digit", said(1.5e9), "1.5 GB");
  is("less", said(999e6), "999 MB");
  is("much", said(2e12), "2 TB");
});
