// Words. Both languages are in the bundle: together they are smaller than the code that would fetch one.

import config from "./config.js";
import en from "../messages/en.json";
import ru from "../messages/ru.json";
import type { Prefs } from "./memory";

export type Language = "ru" | "en";
export type Word = keyof typeof en;

const texts: Record<Language, Record<string, string>> = { ru, en };

/** The user's choice; else the browser's, if we speak it; else the operator's. */
export function languageOf(prefs: Pick<Prefs, "language">): Language {
  if (prefs.language !== "auto") {
    return prefs.language;
  }
  const ours = navigator.languages.map(l => l.slice(0, 2).toLowerCase()).find(l => l === "ru" || l === "en");
  return ours === "ru" || ours === "en" ? ours : config.language;
}

export class Words {
  private readonly plural: Intl.PluralRules;

  constructor(readonly language: Language) { this.plural = new Intl.PluralRules(language); }

  /** A message with its :places filled. */
  say(key: Word, places: Record<string, string | number> = {}): string {
    return (texts[this.language][key] ?? key).replace(/:([a-z_]+)/g, (whole, name: string) => String(places[name] ?? whole));
  }

  /** Whether there is such a message. */
  has(key: string): key is Word { return key in texts[this.language]; }

  /** The form of a message that goes with a number. */
  count(key: string, n: number, places: Record<string, string | number> = {}): string {
    return this.say(`${key}.${this.plural.select(n)}` as Word, { ...places, count: n.toLocaleString(this.language) });
  }

  /** Bytes as people read them: 1.5 GB. Units are powers of ten, as plans count traffic. */
  bytes(n: number): string {
    const units: Word[] = ["unit.mb", "unit.gb", "unit.tb"];
    let value = n / 1e6;
    let i = 0;
    for (; value >= 1000 && i < units.length - 1; i++) {
      value /= 1000;
    }
    const number = value.toLocaleString(this.language, { maximumFractionDigits: value < 10 && i > 0 ? 1 : 0 });
    return this.say(units[i] as Word, { n: number });
  }

  date(iso: string): string { return new Date(iso).toLocaleDateString(this.language, { day: "numeric", month: "long" }); }
}
