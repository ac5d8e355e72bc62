// Choosing and timing servers.

import type { Server } from "./wire";

/** Round-trip times in milliseconds by server; null: it did not answer. */
export type Pings = Record<number, number | null>;

/** What a load of 100 % is worth in milliseconds; it grows with the square, as in stile connect. */
const fullPenalty = 100;
/** Clients that see the same must not all choose the same. */
const jitter = 0.1;
const tries = 3;
const limit = 3000;
const atOnce = 10;

/** Whether this account and a browser can use a server now. */
export function isUsable(s: Server): boolean {
  return s.accessible && s.status === "online" && s.protocols.includes("https");
}

/** The usable server with the least ping plus a penalty for its load; by the API's score when none was timed. */
export function best(servers: Server[], pings: Pings, avoid: number[], random: () => number): Server | null {
  const usable = servers.filter(s => isUsable(s) && !avoid.includes(s.id));
  const timed = usable.filter(s => typeof pings[s.id] === "number");
  const cost = (s: Server) => (timed.length > 0 ? (pings[s.id] ?? 0) + fullPenalty * (s.load / 100) ** 2 : s.score) * (1 + jitter * random());
  let found: Server | null = null;
  let least = Infinity;
  for (const s of timed.length > 0 ? timed : usable) {
    const c = cost(s);
    if (c < least) {
      [found, least] = [s, c];
    }
  }
  return found;
}

/** Times a server: the best of three requests, which have three seconds together. */
export async function ping(url: string): Promise<number | null> {
  const until = AbortSignal.timeout(limit);
  let least: number | null = null;
  for (let i = 0; i < tries; i++) {
    const from = performance.now();
    try {
      await fetch(url, { cache: "no-store", credentials: "omit", signal: until });
    } catch {
      break;
    }
    const took = Math.max(1, Math.round(performance.now() - from));
    least = least === null ? took : Math.min(least, took);
  }
  return least;
}

/** Times servers, at most ten at once, and tells each as it is known. */
export async function pingAll(servers: Server[], tell: (id: number, ms: number | null) => void): Promise<void> {
  const left = [...servers];
  const work = async () => {
    for (let s = left.shift(); s; s = left.shift()) {
      tell(s.id, await ping(s.api_url));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
