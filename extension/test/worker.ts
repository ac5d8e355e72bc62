// The worker in a browser that answers when the test lets it: orders of events that a real one shows once in a thousand runs.

import { initial, type State } from "../src/machine";
import { is, test } from "./check";
import { FakeBrowser } from "./fake";

declare const workerSource: string;

const signedIn: State = { ...initial, phase: "idle", token: "t", email: "e", choice: 1 };

function begin(state: State): FakeBrowser {
  const browser = new FakeBrowser(state);
  browser.start(workerSource);
  return browser;
}

/** Waits for what the worker does by itself. */
async function until(what: string, check: () => boolean): Promise<void> {
  for (const late = Date.now() + 10_000; !check(); await new Promise(resolve => setTimeout(resolve, 5))) {
    if (Date.now() > late) {
      throw new Error("never: " + what);
    }
  }
}

test("who controls the proxy is not told by an answer older than the news", async () => {
  const browser = begin(signedIn);
  await browser.send({ do: "connect", server: 1 });
  is("phase", browser.state.phase, "connected");
  const letGo = browser.holdPolicy();
  browser.control("controlled_by_other_extensions");
  await until("the worker hears of the other extension", () => browser.state.phase === "blocked");
  is("reason", browser.state.reason, "other_extension");
  await new Promise(resolve => setTimeout(resolve, 20)); // as far as it gets
  browser.control("controlled_by_this_extension");
  await until("the worker tries again", () => browser.state.phase !== "blocked");
  letGo();
  await browser.send({ do: "retry" }); // after all that waited
  await until("it is decided", () => browser.state.phase !== "connecting");
  is("phase", browser.state.phase, "connected");
  is("reason", browser.state.reason, null);
});

test("only a tab that still shows the page that failed is loaded again, and before it is said that we are connected", async () => {
  const browser = begin(signedIn);
  browser.tabs.set(1, { url: "https://a.test/#here", status: "complete" });
  browser.tabs.set(2, { url: "https://a.test/", status: "loading" });
  browser.tabs.set(3, { url: "https://b.test/", status: "complete" });
  for (const tabId of [1, 2, 3, 4]) {
    browser.failed.tell({ tabId, url: "https://a.test/", error: "net::ERR_PROXY_CONNECTION_FAILED" });
  }
  await browser.send({ do: "connect", server: 1 });
  is("story", browser.story.filter(s => s !== "connecting"), ["reload 1", "connected"]);
});

test("what the browser refuses beside the proxy does not leave requests on their own way", async () => {
  for (const what of ["policy", "icon"] as const) {
    const browser = begin(signedIn);
    browser.refused.add(what);
    await browser.send({ do: "connect", server: 1 });
    is("phase without " + what, browser.state.phase, "connected");
    is("route without " + what, browser.route?.rules.singleProxy.host, "n1.test");
    await browser.send({ do: "disconnect" });
    is("route after", browser.route, null);
  }
});

test("nothing of an account is kept after the sign-out, also when the service answers late", async () => {
  const browser = begin(signedIn);
  await browser.send({ do: "refresh", isForced: false });
  is("e-mail", browser.kept.account?.user.email, "e");
  const letGo = browser.holdAnswers();
  const late = [browser.send({ do: "refresh", isForced: false }), browser.send({ do: "sign_out" })];
  await until("the account is forgotten", () => browser.kept.account === null);
  letGo();
  await Promise.all(late);
  is("account", browser.kept.account, null);
  is("phase", browser.state.phase, "signed_out");
});
