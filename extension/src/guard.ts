// Answers the proxy when it asks who we are: our own proxy alone, and each request at most once. A browser that is told
// wrong credentials again and again asks again and again.

import type { Key, State } from "./machine";

/** For how long the answer about a key is not asked for again, in milliseconds. */
const renewPause = 1000;
/** How many request ids are remembered. */
const maxSeen = 500;

/** Firefox sends the credentials with every request, so whenever the proxy asks, it has refused them. */
const isSentAtOnce = chrome.proxy.onRequest !== undefined;

export class Guard {
  /** How often the proxy was given credentials. */
  answered = 0;
  /** The user name that a request was answered with. */
  private readonly seen = new Map<string, string>();
  /** The credentials that the browser was given last. It keeps them, so when it asks again, they may work no more. */
  private given = "";
  /** When the key was last asked for because of that. */
  private renewedAt = 0;
  private renewal: Promise<void> | null = null;
  private began!: () => void;
  private readonly hasBegun = new Promise<void>(resolve => { this.began = resolve; });

  /** challenged and rejected resolve when the state shows what came of it. */
  constructor(private readonly challenged: () => Promise<void>, private readonly rejected: (username: string) => Promise<void>, private readonly state: () => State) {
    chrome.webRequest.onAuthRequired.addListener((d, answer) => void this.answer(d).then(answer, () => answer({ cancel: true })),
      { urls: ["<all_urls>"] }, ["asyncBlocking"]);
  }

  async begin(): Promise<void> {
    this.given = String((await chrome.storage.session.get(["given"]))["given"] ?? "");
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
    return true;
  }

  private async answer(d: AuthDetails): Promise<AuthAnswer> {
    await this.hasBegun;
    if (!d.isProxy || !this.isOurs(d)) {
      return {}; // a web site's, or another proxy's: none of our business
    }
    const username = this.seen.get(d.requestId);
    if (username !== undefined) {
      void this.rejected(username);
      return { cancel: true };
    }
    this.remember(d.requestId, "");
    const asked = this.state().key;
    if (asked && (isSentAtOnce || credentials(asked) === this.given)) {
      await this.renew();
    }
    const { key, phase } = this.state();
    if (!key || (phase !== "connected" && phase !== "connecting") || !this.isOurs(d)) {
      return { cancel: true };
    }
    this.answered++;
    this.remember(d.requestId, key.https.username);
    this.given = credentials(key);
    void chrome.storage.session.set({ given: this.given });
    return { authCredentials: { username: key.https.username, password: key.https.password } };
  }

  /** Many requests are challenged at once; one of them asks for the key, and its answer holds for those that come late. */
  private renew(): Promise<void> {
    if (this.renewal === null && Date.now() - this.renewedAt < renewPause) {
      return Promise.resolve();
    }
    this.renewal ??= this.challenged().finally(() => { [this.renewal, this.renewedAt] = [null, Date.now()]; });
    return this.renewal;
  }

  private isOurs(d: AuthDetails): boolean {
    const https = this.state().key?.https;
    return https !== undefined && d.challenger.host === https.host && d.challenger.port === https.port &&
      (d.realm === undefined || d.realm === "" || d.realm === https.realm);
  }

  private remember(id: string, username: string): void {
    this.seen.set(id, username);
    if (this.seen.size > maxSeen) {
      this.seen.delete(this.seen.keys().next().value as string);
    }
  }
}

function credentials(key: Key): string { return `${key.https.host}:${key.https.port} ${key.https.username}:${key.https.password}`; }
