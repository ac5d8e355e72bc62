import { n } from "./text";

/** `<retry-after seconds=N>`: counts down, and keeps the form from being sent until a new try can succeed. */
class RetryAfter extends HTMLElement {
  private timer = 0;

  connectedCallback(): void {
    const until = Date.now() + Number(this.getAttribute("seconds")) * 1000;
    const button = this.closest("form")?.querySelector<HTMLButtonElement>("button.primary");
    this.setAttribute("aria-hidden", "true"); // the sentence before it says it once
    const show = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (button) button.disabled = left > 0;
      this.textContent = left > 0 ? n("js.seconds", left) : "";
      if (left <= 0) clearInterval(this.timer);
    };
    this.timer = window.setInterval(show, 500);
    show();
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
  }
}

customElements.define("retry-after", RetryAfter);
