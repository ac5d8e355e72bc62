// Answers the proxy when it asks who we are: our own proxy alone, and each request at most once. A browser that is told
// wrong credentials again and again asks again and again.

import type { Key, State } from "./machine";

/** How many request ids are remembered. */
const maxSeen = 500;

export class Guard {
  private readonly seen = new Set<string>();
  /** The credentials that worked last: the browser has them, so that it asks again means that they don't any more. */
  private proven = "";
  private renewal: Promise<void> | null = null;
  private began!: () => void;
  private readonly hasBegun = new Promise<void>(resolve => { this.began = resolve; });

  /** challenged and rejected resolve when the state shows what came of it. */
  constructor(private readonly challenged: () => Promise<void>, private readonly rejected: () => Promise<void>, private readonly state: () => State) {
    chrome.webRequest.onAuthRequired.addListener((d, answer) => void this.answer(d).then(answer, () => answer({ cancel: true })),
      { urls: ["<all_urls>"] }, ["asyncBlocking"]);
  }

  async begin(): Promise<void> {
    this.proven = String((await chrome.storage.session.get(["proven"]))["proven"] ?? "");
    this.began();
  }

  /** Opens the probe through the proxy. Its address is secret, and the proxy asks for credentials there. */
  async probe(key: Key, signal: AbortSignal): Promise<boolean> {
    try {
      const answer = await fetch(key.https.probe_url, { cache: "no-store", redirect: "manual", signal });
      if (answer.status !== 204) {
        return false;
      }
    } catch {
      return false;
    }
    this.proven = credentials(key);
    await chrome.storage.session.set({ proven: this.proven });
    return true;
  }

  private async answer(d: AuthDetails): Promise<AuthAnswer> {
    await this.hasBegun;
    if (!d.isProxy || !this.isOurs(d)) {
      return {}; // a web site's, or another proxy's: none of our business
    }
    if (this.seen.has(d.requestId)) {
      void this.rejected();
      return { cancel: true };
    }
    this.remember(d.requestId);
    const asked = this.state().key;
    if (asked && credentials(asked) === this.proven) {
      await this.renew();
    }
    const { key, phase } = this.state();
    if (!key || (phase !== "connected" && phase !== "connecting") || !this.isOurs(d)) {
      return { cancel: true };
    }
    return { authCredentials: { username: key.https.username, password: key.https.password } };
  }

  /** Many requests are challenged at once; one of them asks for the key. */
  private renew(): Promise<void> {
    this.renewal ??= this.challenged().finally(() => { this.renewal = null; });
    return this.renewal;
  }

  private isOurs(d: AuthDetails): boolean {
    const https = this.state().key?.https;
    return https !== undefined && d.challenger.host === https.host && d.challenger.port === https.port &&
      (d.realm === undefined || d.realm === "" || d.realm === https.realm);
  }

  private remember(id: string): void {
    this.seen.add(id);
    if (this.seen.size > maxSeen) {
      this.seen.delete(this.seen.values().next().value as string);
    }
  }
}

function credentials(key: Key): string { return `${key.https.host}:${key.https.port} ${key.https.username}:${key.https.password}`; }
