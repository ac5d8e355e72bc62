import { t } from "./text";

/**
 * `<use-passkey kind=create|get options=PATH>`: before the form inside is sent, asks the browser for a passkey, by options that
 * it gets for the form's fields. What the passkey says goes with the form, in its field "credential".
 */
class UsePasskey extends HTMLElement {
  connectedCallback(): void {
    const form = this.querySelector("form");
    if (!form) return;
    if (!("PublicKeyCredential" in window) || !PublicKeyCredential.parseRequestOptionsFromJSON) {
      const note = document.createElement("p");
      note.className = "soft";
      note.textContent = t("js.passkey.none");
      form.replaceWith(note);
      return;
    }
    const said = document.createElement("p");
    said.className = "note bad";
    said.setAttribute("role", "alert");
    said.hidden = true;
    form.before(said);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      said.hidden = true;
      if (button) button.disabled = true;
      try {
        const made = await this.ask(new FormData(form));
        form.querySelector<HTMLInputElement>("input[name=credential]")!.value = JSON.stringify(made);
        form.querySelector<HTMLInputElement>("input[name=password]")?.removeAttribute("name"); // it has done its work
        form.submit();
      } catch (problem) {
        said.textContent = problem instanceof Refusal ? problem.message : t("js.passkey.cancelled");
        said.hidden = false;
      } finally {
        if (button) button.disabled = false;
      }
    });
  }

  private async ask(fields: FormData): Promise<unknown> {
    const body = new URLSearchParams();
    const password = fields.get("password");
    if (typeof password === "string") body.set("password", password);
    const answer = await fetch(this.getAttribute("options") ?? "", { method: "POST", body, headers: { Accept: "application/json" } });
    const options = await answer.json();
    if (!answer.ok) throw new Refusal(options.message);
    const made =
      this.getAttribute("kind") === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
    if (!(made instanceof PublicKeyCredential)) throw new Error("no passkey");
    return made.toJSON();
  }
}

/** What the service answers in place of options, in words for the visitor. */
class Refusal extends Error {}

customElements.define("use-passkey", UsePasskey);
