// Runs tests in a browser's page and leaves what failed in a global that the Go side reads.

declare global {
  // eslint-disable-next-line no-var
  var results: { passed: number; failures: string[] };
}

globalThis.results = { passed: 0, failures: [] };

export function test(name: string, f: () => void): void {
  try {
    f();
    globalThis.results.passed++;
  } catch (e) {
    globalThis.results.failures.push(`${name}: ${e instanceof Error ? e.message : String(e)}`);
  }
}

export function is<T>(what: string, got: T, want: T): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) {
    throw new Error(`${what} is ${a}, want ${b}`);
  }
}
