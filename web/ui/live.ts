/** What is shown of a number: as text, as a measure, or as a line of the last readings. */
type Place = Element & { readings?: number[] };

/**
 * `<live-values src=…>`: keeps what is marked inside with data-live=KEY as the server says, by server-sent events, while the
 * page is seen. Without it the page shows what was true when it was made.
 */
class LiveValues extends HTMLElement {
  private source: EventSource | undefined;
  private isOver = false;
  private isFirst = true;
  private readonly places = new Map<string, Place[]>();
  private readonly turn = () => this.follow();

  connectedCallback(): void {
    for (const place of this.querySelectorAll("[data-live]")) {
      const key = place.getAttribute("data-live") ?? "";
      this.places.set(key, [...(this.places.get(key) ?? []), place]);
    }
    document.addEventListener("visibilitychange", this.turn);
    this.follow();
  }

  disconnectedCallback(): void {
    document.removeEventListener("visibilitychange", this.turn);
    this.stop();
  }

  /** Browsers have few connections to one host: a page that is not seen takes none. */
  private follow(): void {
    if (document.hidden || this.isOver) return this.stop();
    if (this.source) return;
    this.isFirst = true;
    this.source = new EventSource(this.getAttribute("src") ?? "");
    this.source.addEventListener("values", (event) => this.show(JSON.parse(event.data)));
    this.source.addEventListener("end", () => {
      this.isOver = true;
      this.stop();
    });
    this.source.addEventListener("error", () => {
      this.isFirst = true;
      this.removeAttribute("data-on");
    });
  }

  private stop(): void {
    this.source?.close();
    this.source = undefined;
    this.removeAttribute("data-on");
  }

  /**
   * A line goes on with each frame, also with what did not change and so is not in it. Only the first frame of a stream, which
   * is whole, is the reading that the line has already.
   */
  private show(values: Record<string, string | number>): void {
    this.setAttribute("data-on", "");
    for (const [key, places] of this.places) {
      const value = values[key];
      for (const place of places) {
        if (place instanceof SVGPolylineElement) this.draw(place, key, value);
        else if (value !== undefined) put(place, String(value));
      }
    }
    this.isFirst = false;
  }

  private draw(line: SVGPolylineElement & Place, key: string, value: string | number | undefined): void {
    const width = line.ownerSVGElement?.viewBox.baseVal.width ?? 0;
    const readings = (line.readings ??= parse(line.getAttribute("points") ?? ""));
    const last = this.isFirst ? readings.pop() : readings.at(-1);
    readings.push(value === undefined ? (last ?? 0) : Number(value));
    if (readings.length > width + 1) readings.shift();
    const high = Math.max(...readings);
    line.setAttribute("points", readings.map((y, i) => `${width + 1 - readings.length + i},${y}`).join(" "));
    line.ownerSVGElement?.setAttribute("viewBox", `0 0 ${width} ${Math.max(1, high)}`);
    for (const place of this.places.get(key + "-low") ?? []) put(place, String(Math.min(...readings)));
    for (const place of this.places.get(key + "-high") ?? []) put(place, String(high));
  }
}

function put(place: Element, text: string): void {
  if (place instanceof HTMLMeterElement) place.value = Number(text);
  else if (place.textContent !== text) place.textContent = text;
}

/** The readings of a line as the server drew it: it leaves out points between equal ones. */
function parse(points: string): number[] {
  const readings: number[] = [];
  let first: number | undefined;
  for (const point of points.split(" ").filter(Boolean)) {
    const [x = 0, y = 0] = point.split(",").map(Number);
    first ??= x;
    while (readings.length < x - first) readings.push(readings.at(-1) ?? y);
    readings.push(y);
  }
  return readings;
}

customElements.define("live-values", LiveValues);
