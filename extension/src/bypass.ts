// What does not go through the proxy: patterns as Chromium's bypass list has them, a part of its syntax.
//   example.net     this host alone
//   .example.net    hosts below it; *.example.net is the same
//   10.0.0.0/8      addresses

/** Private and link-local ranges: what is there is not reachable through a server anyway. */
export const privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/** Normalises what a person typed, or returns null when it is no pattern: an address bar's content becomes its host. */
export function parse(text: string): string | null {
  const s = text.trim().toLowerCase();
  if (s.includes("://")) {
    return hostOf(s);
  }
  const [address, bits, ...rest] = s.split("/");
  if (bits !== undefined && /^\d{1,3}$/.test(bits) && rest.length === 0 && address) {
    const bytes = parseAddress(address);
    return bytes && Number(bits) <= bytes.length * 8 ? s : null;
  }
  const host = s.replace(/^\*?\./, ".").replace(/\/.*$/, "");
  if (parseAddress(host)) {
    return host;
  }
  const ascii = hostOf("http://" + host.replace(/^\./, ""));
  return ascii && /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(ascii) ? (host.startsWith(".") ? "." : "") + ascii : null;
}

/** The host of an address, without brackets; null when it has none. */
export function hostOf(url: string): string | null {
  try {
    return new URL(url).hostname.replace(/^\[|\]$/g, "") || null;
  } catch {
    return null;
  }
}

/** Whether a host is among the patterns. Loopback always is: it is this machine. */
export function matches(host: string, patterns: string[]): boolean {
  const name = host.toLowerCase();
  const address = parseAddress(name);
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1" || (address?.length === 4 && address[0] === 127)) {
    return true;
  }
  return patterns.some(p => {
    const [prefix = "", bits] = p.split("/");
    if (bits !== undefined) {
      const range = parseAddress(prefix);
      return address !== null && range !== null && isIn(address, range, Number(bits));
    }
    const below = p.replace(/^\*/, "");
    return below.startsWith(".") ? name.endsWith(below) : name === p;
  });
}

function isIn(address: number[], range: number[], bits: number): boolean {
  if (address.length !== range.length) {
    return false;
  }
  return address.every((byte, i) => {
    const left = Math.min(8, Math.max(0, bits - i * 8));
    const mask = (0xff00 >> left) & 0xff;
    return (byte & mask) === ((range[i] ?? 0) & mask);
  });
}

/** The bytes of an IP address, or null. */
function parseAddress(s: string): number[] | null {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(s)) {
    const bytes = s.split(".").map(Number);
    return bytes.every(b => b < 256) ? bytes : null;
  }
  if (!s.includes(":")) {
    return null;
  }
  const host = hostOf(`http://[${s}]/`); // the browser writes all forms of an address in one way
  if (host === null) {
    return null;
  }
  const [head = "", tail] = host.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return all.flatMap(g => [parseInt(g, 16) >> 8, parseInt(g, 16) & 0xff]);
}
