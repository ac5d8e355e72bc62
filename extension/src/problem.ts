// What is wrong, in words, and what helps.

import type { Word, Words } from "./language";
import { isServerFault, isWanted, reasons } from "./machine";
import type { Memory } from "./memory";

/** What the card's button does. */
export type Remedy = "renew" | "support" | "retry" | "switch" | "choose" | "which" | "extensions" | "allow";

export interface Problem {
  title: string;
  text: string;
  remedy: Remedy | null;
}

/** What the card says, or null when nothing is wrong. offender is the other extension's name, as far as known. */
export function problemOf(m: Memory, w: Words, isAllowed: boolean, offender: string | null): Problem | null {
  const access = m.account?.access;
  const reason = m.state.phase === "blocked" ? m.state.reason : !isAllowed ? "permission" : access && !access.allowed ? access.reason ?? "other" : null;
  if (reason === null || (isWanted(m.state) && m.state.phase !== "blocked" && isAllowed)) {
    return null;
  }
  const title = `problem.${reason}.title`;
  if (!w.has(title)) {
    return { title: w.say("problem.other.title"), text: access?.message ?? w.say("problem.other.text", { code: reason }), remedy: "retry" };
  }
  return { title: w.say(title), text: textOf(reason, m, w, offender), remedy: remedyOf(reason, m, offender) };
}

function textOf(reason: string, m: Memory, w: Words, offender: string | null): string {
  const resetsAt = m.account?.traffic.resets_at;
  if (reason === "traffic_quota_exceeded" && resetsAt) {
    return w.say("problem.traffic_quota_exceeded.until", { date: w.date(resetsAt) });
  }
  if (reason === reasons.otherExtension && offender !== null) {
    return w.say("problem.other_extension.named", { name: offender });
  }
  return w.say(`problem.${reason}.text` as Word);
}

function remedyOf(reason: string, m: Memory, offender: string | null): Remedy | null {
  const links = m.account?.links;
  if (["subscription_required", "subscription_expired", "traffic_quota_exceeded"].includes(reason)) {
    return links?.renew ? "renew" : null;
  }
  if (reason === "account_blocked") {
    return links?.support ? "support" : null;
  }
  if (reason === reasons.otherExtension) {
    return offender === null ? "which" : "extensions";
  }
  if (reason === "permission") {
    return "allow";
  }
  if (isServerFault(reason)) {
    return m.servers.length > 1 ? (reason === "plan_upgrade_required" ? "choose" : "switch") : "retry";
  }
  return "retry";
}
