import { t } from "./text";

/** What all calls of the page are made with. It is kept in this page alone and goes when the page goes. */
let token = "";

/** `<shared-token>`: the one field for the token that all calls of the page use. */
class SharedToken extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("input")?.addEventListener("input", (event) => {
      token = (event.target as HTMLInputElement).value.trim();
    });
  }
}

/** `<try-it method path>`: sends the call that its form describes and shows the answer. */
class TryIt extends HTMLElement {
  connectedCallback(): void {
    const form = this.querySelector("form");
    const out = this.querySelector("pre");
    if (!form || !out) return;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      out.hidden = false;
      out.textContent = "…";
      try {
        out.textContent = await this.call(new FormData(form));
      } catch {
        out.textContent = t("js.no_answer");
      }
    });
  }

  private async call(fields: FormData): Promise<string> {
    let path = this.getAttribute("path") ?? "";
    const query = new URLSearchParams();
    for (const [name, value] of fields) {
      if (typeof value !== "string" || name === "body") continue;
      if (path.includes(`{${name}}`)) path = path.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== "") query.set(name, value);
    }
    if (query.size > 0) path += "?" + query;
    const headers: Record<string, string> = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
    if (token) headers["Authorization"] = `Bearer ${token}`;
    const body = fields.get("body");
    if (body) headers["Content-Type"] = "application/json";
    const answer = await fetch(path, { method: this.getAttribute("method") ?? "GET", headers, body, credentials: "omit", cache: "no-store" });
    const text = await answer.text();
    return `${answer.status} ${answer.statusText}\n\n${pretty(text)}`;
  }
}

/** JSON with line breaks, anything else as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

customElements.define("shared-token", SharedToken);
customElements.define("try-it", TryIt);
