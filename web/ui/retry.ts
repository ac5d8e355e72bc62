import { n } from "./text";

/** `<retry-after seconds=N code=…>`: counts its sentence down, and keeps the form from being sent before its time. */
class RetryAfter extends HTMLElement {
  private timer = 0;

  connectedCallback(): void {
    const until = Date.now() + Number(this.getAttribute("seconds")) * 1000;
    const note = this.closest("[role=alert]");
    const button = this.closest("form")?.querySelector<HTMLButtonElement>("button.primary");
    note?.removeAttribute("role"); // it was read out once, and is not again with every second
    const show = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (button) button.disabled = left > 0;
      if (left > 0) {
        this.textContent = n(`js.retry.${this.getAttribute("code")}`, left);
        return;
      }
      clearInterval(this.timer);
      note?.remove();
    };
    this.timer = window.setInterval(show, 500);
    show();
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
  }
}

customElements.define("retry-after", RetryAfter);
