import { t } from "./text";

const tries = 3;
const limit = 3000; // ms
const atOnce = 10;

/** Waits for one of few places, so that many pings do not disturb one another. */
class Places {
  private waiting: (() => void)[] = [];
  constructor(private free: number) {}

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.free === 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.free--;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}

const places = new Places(atOnce);

/** `<server-ping url=…>`: the best of three round trips to a server, in milliseconds. */
class ServerPing extends HTMLElement {
  async connectedCallback(): Promise<void> {
    this.textContent = "…";
    const best = await places.take(() => ping(this.getAttribute("url") ?? ""));
    this.textContent = best === undefined ? t("js.no_ping") : t("js.ms", { ms: String(Math.max(1, Math.round(best))) });
  }
}

async function ping(url: string): Promise<number | undefined> {
  let best: number | undefined;
  for (let i = 0; i < tries; i++) {
    const began = performance.now();
    try {
      await fetch(url, { cache: "no-store", mode: "cors", credentials: "omit", signal: AbortSignal.timeout(limit) });
    } catch {
      return best;
    }
    const took = performance.now() - began;
    if (best === undefined || took < best) best = took;
  }
  return best;
}

customElements.define("server-ping", ServerPing);
