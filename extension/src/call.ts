// Calls of the API. Every failure is a CallError with a code: the API's own, or "unreachable" when it gave none.

import type { Account, Details, IssuedKey, Server } from "./wire";

export class CallError extends Error {
  constructor(readonly code: string, message: string, readonly details: Details) { super(message); }
}

/** How long an answer may take, in milliseconds. */
const patience = 10_000;

/** What only says that the API can't answer now; a key that worked goes on working. */
const passing = ["temporarily_unavailable", "too_many_attempts", "payload_too_large"];

export class API {
  constructor(private readonly base: string, private readonly language: () => string) {}

  /** otp is the code of the account's second factor, "" as long as none was asked for. */
  async login(email: string, password: string, otp: string, device: string, name: string, replace: number | null): Promise<string> {
    const input = {
      email, password, device_id: device, device_name: name, ...(otp === "" ? {} : { otp }), ...(replace === null ? {} : { replace_device_id: replace }),
    };
    return (await this.send<{ token: string }>("POST", "/api/login", null, input)).token;
  }

  async logout(token: string): Promise<void> { await this.send("POST", "/api/logout", token, {}); }

  account(token: string): Promise<Account> { return this.send("GET", "/api/subscription", token); }

  async servers(token: string): Promise<Server[]> {
    return (await this.send<{ data: Server[] }>("POST", "/api/servers", token, {})).data;
  }

  key(token: string, server: number, rotate: boolean): Promise<IssuedKey> {
    return this.send("POST", "/api/key", token, { server_id: server, protocol: "https", rotate });
  }

  private async send<T>(method: string, path: string, token: string | null, body?: object): Promise<T> {
    const headers: Record<string, string> = { "Accept": "application/json", "Accept-Language": this.language() };
    if (token !== null) {
      headers["Authorization"] = "Bearer " + token;
    }
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
    }
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(this.base + path, {
        method, headers, body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(patience),
      });
      text = await answer.text();
    } catch {
      throw new CallError("unreachable", "", {});
    }
    return read<T>(answer, text);
  }
}

function read<T>(answer: Response, text: string): T {
  let body: { message?: string; error?: string; details?: Details } & object;
  try {
    body = JSON.parse(text);
  } catch { // a captive portal, or a proxy in front of the API
    throw new CallError("unreachable", "", {});
  }
  if (answer.ok) {
    return body as T;
  }
  const code = answer.headers.get("X-Error-Code") ?? "";
  // A 401 that isn't the API's own must not sign anybody out.
  throw new CallError(code === "" || answer.status === 500 ? "unreachable" : code, body.message ?? body.error ?? "", body.details ?? {});
}

/** Whether a failure says nothing about the account, the key or the server. */
export function isPassing(e: unknown): boolean {
  return !(e instanceof CallError) || e.code === "unreachable" || passing.includes(e.code);
}
