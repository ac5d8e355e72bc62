// What the API answers, as far as the extension reads it. doc: api/openapi.yaml.

/** The answer of GET /api/subscription. */
export interface Account {
  user: { email: string; name: string };
  subscription: {
    status: string;
    plan: { code: string; name: string; tier: number } | null;
    expires_at: string | null;
    days_left: number | null;
    is_trial: boolean;
  };
  access: { allowed: boolean; reason: string | null; message: string | null };
  traffic: { used_bytes: number; limit_bytes: number | null; left_bytes: number | null; resets_at: string | null };
  devices: { used: number; limit: number };
  recommended_server_id: number | null;
  links: { account: string | null; renew: string | null; support: string | null };
  /** Seconds until it is worth asking again. */
  poll_after: number;
}

/** One server of POST /api/servers. */
export interface Server {
  id: number;
  name: string;
  country: string;
  country_code: string;
  city: string;
  /** What a client times. */
  api_url: string;
  load: number;
  /** Lower is better. */
  score: number;
  /** online, full, maintenance; more may come. */
  status: string;
  accessible: boolean;
  locked_reason: string | null;
  protocols: string[];
}

/** The https object of POST /api/key: an HTTP proxy behind TLS. */
export interface HTTPSKey {
  scheme: string;
  host: string;
  port: number;
  username: string;
  password: string;
  realm: string;
  /** Hosts and ranges that must not go through the proxy. */
  bypass: string[];
  /** What is opened through the proxy first, so that the browser learns the credentials. */
  probe_url: string;
}

/** The answer of POST /api/key. */
export interface IssuedKey {
  server_id: number;
  ready: boolean;
  /** When to ask again. */
  refresh_at: string;
  expires_at: string | null;
  https: HTTPSKey | null;
}

/** A signed-in device, as a full plan lists them. */
export interface Device {
  id: number;
  name: string;
  platform: string;
  last_seen_at: string | null;
}

/** What helps to act on a refusal. */
export interface Details {
  retry_after?: number;
  limit?: number;
  devices?: Device[];
  renew_url?: string;
  resets_at?: string | null;
  alternatives?: number[];
}
