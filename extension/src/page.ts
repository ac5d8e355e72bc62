// What both pages share: finding elements, filling in words, colours.

import config from "./config.js";
import { languageOf, Words, type Word } from "./language";
import type { Prefs } from "./memory";

/** An element of the page by its id; its absence is a mistake of ours. */
export function get<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error("no element " + id);
  }
  return found as T;
}

/** Writes a text, unless it is there already: what is written is read out. */
export function put(e: HTMLElement, text: string): void {
  if (e.textContent !== text) {
    e.textContent = text;
  }
}

/** A new element with a class and children. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  e.className = className;
  e.append(...children);
  return e;
}

/** Puts the page into a language and a theme. */
export function dress(prefs: Prefs, title: Word | null): Words {
  const words = new Words(languageOf(prefs));
  const root = document.documentElement;
  root.lang = words.language;
  root.style.colorScheme = prefs.theme === "auto" ? "light dark" : prefs.theme;
  document.title = title ? `${words.say(title)} · ${config.name}` : config.name;
  put(get("brand"), config.name);
  for (const e of document.querySelectorAll<HTMLElement>("[data-text]")) {
    put(e, words.say(e.dataset["text"] as Word));
  }
  for (const e of document.querySelectorAll<HTMLElement>("[data-label]")) {
    e.setAttribute("aria-label", words.say(e.dataset["label"] as Word));
    if (e.tagName === "BUTTON") {
      e.title = words.say(e.dataset["label"] as Word);
    }
  }
  for (const e of document.querySelectorAll<HTMLInputElement>("[data-hint]")) {
    e.placeholder = words.say(e.dataset["hint"] as Word);
  }
  return words;
}
