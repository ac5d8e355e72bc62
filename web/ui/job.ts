/** What the server says of a job. */
type Progress = { percent: number; said: string; is_over: boolean };

/**
 * `<job-progress src=…>`: asks every second how far a job is, while the page is seen, and loads the page again when it is over:
 * then there is more to show. Without it the page says how far the job was when it was made.
 */
class JobProgress extends HTMLElement {
  private timer = 0;

  connectedCallback(): void {
    if (this.hasAttribute("src")) this.timer = window.setInterval(() => void this.ask(), 1000);
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
  }

  private async ask(): Promise<void> {
    if (document.hidden) return;
    try {
      const answer = await fetch(this.getAttribute("src") ?? "", { cache: "no-store" });
      if (!answer.ok) return;
      const now = (await answer.json()) as Progress;
      const bar = this.querySelector("progress");
      const said = this.querySelector(".said");
      if (bar) bar.value = now.percent;
      if (said && said.textContent !== now.said) said.textContent = now.said;
      if (!now.is_over) return;
      clearInterval(this.timer);
      location.reload();
    } catch {
      // the service may be starting again: the next second tells
    }
  }
}

customElements.define("job-progress", JobProgress);
