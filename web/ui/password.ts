import { t } from "./text";

const svg = "http://www.w3.org/2000/svg";

/** `<reveal-password>`: shows the password in the field inside while its button is pressed in. */
class RevealPassword extends HTMLElement {
  connectedCallback(): void {
    const field = this.querySelector("input");
    if (!field) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", t("js.show_password"));
    button.setAttribute("aria-pressed", "false");
    button.append(eye());
    button.addEventListener("click", () => {
      const isShown = field.type === "password";
      field.type = isShown ? "text" : "password";
      button.setAttribute("aria-pressed", String(isShown));
    });
    field.form?.addEventListener("submit", () => {
      field.type = "password"; // so that browsers offer to keep it
    });
    this.append(button);
  }
}

function eye(): SVGElement {
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("width", "22");
  picture.setAttribute("height", "22");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg, "path");
  path.setAttribute("d", "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Zm9.5 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z");
  path.setAttribute("fill", "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1.7");
  picture.append(path);
  return picture;
}

customElements.define("reveal-password", RevealPassword);
