// The part of the browsers' extension API that we use, as both have it. Where they differ, members are optional.

interface BrowserEvent<F> {
  addListener(f: F, filter?: { urls: string[]; types?: string[] }, extra?: string[]): void;
}

interface ProxyInfo {
  type: "direct" | "http" | "https";
  host?: string;
  port?: number;
  proxyAuthorizationHeader?: string;
  connectionIsolationKey?: string;
}

interface ProxySettings {
  mode: string;
  rules?: { singleProxy: { scheme: string; host: string; port: number }; bypassList: string[] };
}

interface Setting<T> {
  get(details: object): Promise<{ value: T; levelOfControl: string }>;
  set(details: { value: T }): Promise<void>;
  clear(details: object): Promise<void>;
  onChange: BrowserEvent<(details: { levelOfControl: string }) => void>;
}

interface StorageArea {
  get(keys: string[]): Promise<Record<string, unknown>>;
  set(items: object): Promise<void>;
  onChanged: BrowserEvent<(changes: Record<string, { newValue?: unknown }>) => void>;
}

interface AuthDetails {
  requestId: string;
  isProxy: boolean;
  realm?: string;
  challenger: { host: string; port: number };
}

interface AuthAnswer {
  cancel?: boolean;
  authCredentials?: { username: string; password: string };
}

interface ExtensionInfo {
  id: string;
  name: string;
  enabled: boolean;
  permissions?: string[];
}

interface BrowserAPI {
  runtime: {
    id: string;
    getURL(path: string): string;
    getManifest(): { version: string };
    sendMessage(message: unknown): Promise<unknown>;
    openOptionsPage(): Promise<void>;
    onMessage: BrowserEvent<(message: unknown, sender: { id?: string; url?: string }, answer: (value: unknown) => void) => boolean>;
    onInstalled: BrowserEvent<() => void>;
    onStartup: BrowserEvent<() => void>;
    getPlatformInfo(): Promise<{ os: string }>;
  };
  storage: { local: StorageArea; session: StorageArea };
  alarms: {
    create(name: string, when: { periodInMinutes?: number; delayInMinutes?: number; when?: number }): Promise<void> | void;
    clear(name: string): Promise<boolean>;
    onAlarm: BrowserEvent<(alarm: { name: string }) => void>;
  };
  action: {
    setIcon(details: { path: Record<string, string> }): Promise<void>;
    setTitle(details: { title: string }): Promise<void>;
  };
  proxy: {
    settings: Setting<ProxySettings>;
    /** Firefox alone. */
    onRequest?: BrowserEvent<(details: { url: string }) => Promise<ProxyInfo>>;
  };
  privacy: { network: { webRTCIPHandlingPolicy: Setting<string> } };
  webRequest: {
    onAuthRequired: BrowserEvent<(details: AuthDetails, answer: (a: AuthAnswer) => void) => void>;
    onErrorOccurred: BrowserEvent<(details: { tabId: number; url: string; error: string }) => void>;
  };
  permissions: {
    contains(what: { origins?: string[]; permissions?: string[] }): Promise<boolean>;
    request(what: { origins?: string[]; permissions?: string[] }): Promise<boolean>;
  };
  tabs: {
    create(details: { url: string }): Promise<unknown>;
    get(id: number): Promise<{ status?: string; url?: string }>;
    reload(id: number): Promise<void>;
  };
  extension: { isAllowedIncognitoAccess(): Promise<boolean> };
  /** Only once the user allowed it. */
  management?: { getAll(): Promise<ExtensionInfo[]> };
}

declare const chrome: BrowserAPI;
