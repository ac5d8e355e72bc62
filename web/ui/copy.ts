import { t } from "./text";

/** `<copy-text for=ID>`: a button that copies the value of a field. */
class CopyText extends HTMLElement {
  connectedCallback(): void {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "primary";
    button.textContent = t("js.copy");
    const said = document.createElement("span");
    said.className = "hidden";
    said.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      const field = document.getElementById(this.getAttribute("for") ?? "");
      if (!(field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement)) return;
      const isCopied = await copy(field);
      button.textContent = said.textContent = t(isCopied ? "js.copied" : "js.select");
      setTimeout(() => {
        button.textContent = t("js.copy");
        said.textContent = "";
      }, 2000);
    });
    this.append(button, said);
  }
}

/** Copies a field's value. Without https there is no clipboard: then the text is selected, to be copied by hand. */
async function copy(field: HTMLInputElement | HTMLTextAreaElement): Promise<boolean> {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return false;
  }
}

customElements.define("copy-text", CopyText);
