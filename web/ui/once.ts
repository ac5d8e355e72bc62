/** How long a form that was sent is not sent again, in ms: what it does, such as a month for a thousand accounts, would be done twice. */
const patience = 5_000;

let sent = new WeakMap<HTMLFormElement, number>();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.method !== "post" || event.defaultPrevented) return;
  const now = performance.now();
  if (now - (sent.get(form) ?? -patience) < patience) event.preventDefault();
  else sent.set(form, now);
});

// Who comes back to a page that the browser kept may mean it.
addEventListener("pageshow", (event) => {
  if (event.persisted) sent = new WeakMap();
});
