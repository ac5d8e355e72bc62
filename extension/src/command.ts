// What the pages ask of the worker.

import { CallError, type API } from "./call";
import type { Details } from "./wire";

export type Command =
  | { do: "sign_in"; email: string; password: string; otp: string; replace: number | null; name: string }
  | { do: "sign_out" }
  /** server null: the best one. */
  | { do: "connect"; server: number | null }
  | { do: "disconnect" }
  | { do: "retry" }
  | { do: "rotate" }
  | { do: "refresh"; isForced: boolean };

export interface Problem {
  code: string;
  /** What the API said, in the language asked for; "" when it said nothing. */
  message: string;
  details: Details;
}

export interface Reply {
  ok: boolean;
  problem?: Problem;
}

export async function ask(c: Command): Promise<Reply> { return await chrome.runtime.sendMessage(c) as Reply; }

/** Signs in. The token stays in the worker. */
export async function login(api: API, device: string, c: Extract<Command, { do: "sign_in" }>): Promise<Reply & { token?: string }> {
  try {
    return { ok: true, token: await api.login(c.email, c.password, c.otp, device, c.name, c.replace) };
  } catch (err) {
    const problem = err instanceof CallError ? { code: err.code, message: err.message, details: err.details } : { code: "unreachable", message: "", details: {} };
    return { ok: false, problem };
  }
}
