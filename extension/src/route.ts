// Where requests go, in the way of each browser. Chromium keeps a setting, which outlives the worker and the browser:
// that is what fails closed. Firefox asks for every request, and waits until the worker knows.

import { hostOf, matches } from "./bypass";
import type { Key } from "./machine";

export type Way = "direct" | "nowhere" | Key;

/** A port that nothing listens on: a request that is sent there fails at once and never leaves this machine. */
const deadEnd = { host: "127.0.0.1", port: 9 };

export interface Route {
  /** Takes effect before it resolves. It resolves to false when another extension holds the settings. */
  set(way: Way, bypass: string[]): Promise<boolean>;
}

/** controlled is called when another extension takes the settings (false) or gives them back (true). */
export function newRoute(controlled: (isOurs: boolean) => void): Route {
  return chrome.proxy.onRequest ? new AskedRoute(chrome.proxy.onRequest) : new SettingRoute(controlled);
}

/** Chromium's. */
class SettingRoute implements Route {
  constructor(controlled: (isOurs: boolean) => void) {
    chrome.proxy.settings.onChange.addListener(d => controlled(isOurs(d.levelOfControl)));
  }

  async set(way: Way, bypass: string[]): Promise<boolean> {
    if (way === "direct") {
      await chrome.proxy.settings.clear({ scope: "regular" });
      return true;
    }
    const to = way === "nowhere" ? { scheme: "http", ...deadEnd } : { scheme: "https", host: way.https.host, port: way.https.port };
    const value: ProxySettings = { mode: "fixed_servers", rules: { singleProxy: to, bypassList: bypass } };
    const now = await chrome.proxy.settings.get({});
    if (now.levelOfControl !== "controlled_by_this_extension" || JSON.stringify(now.value) !== JSON.stringify(value)) {
      await chrome.proxy.settings.set({ value });
    }
    return isOurs((await chrome.proxy.settings.get({})).levelOfControl);
  }
}

function isOurs(levelOfControl: string): boolean {
  return levelOfControl === "controlled_by_this_extension" || levelOfControl === "controllable_by_this_extension";
}

/** Firefox's. */
class AskedRoute implements Route {
  private way: Way = "nowhere";
  private bypass: string[] = [];
  private known!: () => void;
  private readonly isKnown = new Promise<void>(resolve => { this.known = resolve; });

  constructor(onRequest: NonNullable<BrowserAPI["proxy"]["onRequest"]>) {
    onRequest.addListener(async details => {
      await this.isKnown;
      return this.find(details.url);
    }, { urls: ["<all_urls>"] });
  }

  async set(way: Way, bypass: string[]): Promise<boolean> {
    [this.way, this.bypass] = [way, bypass];
    this.known();
    return true;
  }

  private find(url: string): ProxyInfo {
    const host = hostOf(url);
    if (this.way === "direct" || (host !== null && matches(host, this.bypass))) {
      return { type: "direct" };
    }
    if (this.way === "nowhere") {
      return { type: "http", ...deadEnd };
    }
    const { https } = this.way;
    return {
      type: "https", host: https.host, port: https.port,
      proxyAuthorizationHeader: "Basic " + btoa(https.username + ":" + https.password),
      // A connection that began with another key is not used again, and sites do not share one: when a download over HTTP/1.1 is
      // cancelled, Firefox often closes the whole HTTP/2 connection that carries its tunnel, with all others in it.
      connectionIsolationKey: https.username + " " + (host ?? ""),
    };
  }
}
