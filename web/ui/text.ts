// The messages of one language: the bundler puts its file in place of "messages".
import messages from "messages";

const rules = new Intl.PluralRules(document.documentElement.lang);

/** A message with its places filled. A key that is not there is its own message. */
export function t(key: string, places: Record<string, string> = {}): string {
  let message = messages[key] ?? key;
  for (const [name, value] of Object.entries(places)) {
    message = message.replaceAll(":" + name, value);
  }
  return message;
}

/** The form of a message that goes with a number. */
export function n(key: string, count: number): string {
  return t(`${key}.${rules.select(count)}`, { count: String(count) });
}
