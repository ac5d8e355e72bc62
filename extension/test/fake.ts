// A browser and a service that answer when a test lets them. They have what the worker uses, and no more.

import { blank, type Memory } from "../src/memory";

class FakeEvent<A extends unknown[]> {
  private readonly listeners: ((...args: A) => unknown)[] = [];
  addListener(f: (...args: A) => unknown): void { this.listeners.push(f); }
  tell(...args: A): void { this.listeners.forEach(f => f(...args)); }
}

class FakeStorage {
  readonly onChanged = new FakeEvent<[Record<string, { newValue?: unknown }>]>();

  constructor(readonly items: Record<string, unknown>) {}

  async get(keys: string[]): Promise<Record<string, unknown>> {
    return structuredClone(Object.fromEntries(keys.filter(k => k in this.items).map(k => [k, this.items[k]])));
  }

  async set(items: object): Promise<void> {
    Object.assign(this.items, structuredClone(items));
    this.onChanged.tell(Object.fromEntries(Object.entries(items).map(([k, newValue]) => [k, { newValue }])));
  }
}

/** The key that the service gives. */
const issued = {
  server_id: 1, ready: true, refresh_at: "2999-01-01T00:00:00Z", expires_at: null,
  https: { scheme: "https", host: "n1.test", port: 443, username: "u", password: "p", realm: "Stile", bypass: [], probe_url: "http://probe.invalid/" },
};

export class FakeBrowser {
  /** Who controls the proxy settings, in Chromium's words. */
  level = "controlled_by_this_extension";
  readonly tabs = new Map<number, { url: string; status: string }>();
  /** What happened, in order: tabs that were loaded again, and phases that were made known. */
  readonly story: string[] = [];
  readonly failed = new FakeEvent<[{ tabId: number; url: string; error: string }]>();
  private readonly local: FakeStorage;
  private readonly controlled = new FakeEvent<[{ levelOfControl: string }]>();
  private readonly messages = new FakeEvent<[unknown, { id: string }, (answer: unknown) => void]>();
  private proxy: unknown = null;
  private heldPolicy: Promise<void> = Promise.resolve();
  private heldAnswer: Promise<void> = Promise.resolve();
  /** What the browser does not let an extension do. */
  refused = new Set<"policy" | "icon">();

  constructor(state: Memory["state"]) {
    this.local = new FakeStorage({ ...blank(), device: "d", state });
    this.local.onChanged.addListener(changes => {
      const phase = (changes["state"]?.newValue as Memory["state"] | undefined)?.phase;
      if (phase) {
        this.story.push(phase);
      }
    });
  }

  /** Starts the extension's worker, whose source the Go side provides. */
  start(source: string): void {
    new Function("chrome", "fetch", source)(this.chrome(), (url: string) => this.serve(url));
  }

  get state(): Memory["state"] { return this.local.items["state"] as Memory["state"]; }

  /** Another extension takes the proxy settings, or gives them back, and the worker hears of it. */
  control(level: string): void {
    this.level = level;
    this.controlled.tell({ levelOfControl: level });
  }

  /** Whoever asks for the WebRTC policy to be written waits until what is returned is called. */
  holdPolicy(): () => void {
    let letGo = () => {};
    this.heldPolicy = new Promise(resolve => { letGo = resolve; });
    return letGo;
  }

  /** Whoever asks the service for the subscription, or to end the session, waits until what is returned is called. */
  holdAnswers(): () => void {
    let letGo = () => {};
    this.heldAnswer = new Promise(resolve => { letGo = resolve; });
    return letGo;
  }

  /** Where requests go, as Chromium has it; null: directly. */
  get route(): { rules: { singleProxy: { host: string } } } | null { return this.proxy as never; }

  /** What is kept. */
  get kept(): Memory { return this.local.items as unknown as Memory; }

  /** Sends a command as the popup does, and resolves to the answer. */
  send(command: object): Promise<unknown> { return new Promise(resolve => this.messages.tell(command, { id: "own" }, resolve)); }

  private refuse(what: "policy" | "icon"): void {
    if (this.refused.has(what)) {
      throw new Error("the browser refuses the " + what);
    }
  }

  private async serve(url: string): Promise<Response> {
    if (url.endsWith("/api/logout")) {
      await this.heldAnswer;
    }
    if (url.endsWith("/api/subscription")) {
      await this.heldAnswer;
      return Response.json({ user: { email: "e" }, access: { allowed: true, reason: null }, links: {}, poll_after: 600 });
    }
    if (url.endsWith("/api/key")) {
      return Response.json(issued);
    }
    return url === issued.https.probe_url ? new Response(null, { status: 204 }) : Response.json({}, { status: 500 });
  }

  private async writePolicy(): Promise<void> {
    this.refuse("policy");
    await this.heldPolicy;
  }

  private chrome(): object {
    return {
      runtime: { id: "own", onMessage: this.messages, onInstalled: new FakeEvent(), onStartup: new FakeEvent() },
      storage: { local: this.local, session: new FakeStorage({ awake: true }) },
      alarms: { create: () => undefined, clear: async () => true, onAlarm: new FakeEvent() },
      action: { setIcon: async () => this.refuse("icon"), setTitle: async () => undefined },
      proxy: {
        settings: {
          get: async () => ({ value: this.proxy, levelOfControl: this.level }),
          set: async (d: { value: unknown }) => { this.proxy = d.value; },
          clear: async () => { this.proxy = null; },
          onChange: this.controlled,
        },
      },
      privacy: { network: { webRTCIPHandlingPolicy: { set: () => this.writePolicy(), clear: () => this.writePolicy() } } },
      webRequest: { onAuthRequired: new FakeEvent(), onErrorOccurred: this.failed },
      tabs: {
        get: async (id: number) => this.tabs.get(id),
        reload: async (id: number) => { this.story.push(`reload ${id}`); },
      },
    };
  }
}
