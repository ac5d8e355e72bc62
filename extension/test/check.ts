// Runs tests in a browser's page, one after the other, and tells the Go side what failed.

interface Results { passed: number; failures: string[] }

const tests: { name: string; run: () => void | Promise<void> }[] = [];

export function test(name: string, run: () => void | Promise<void>): void { tests.push({ name, run }); }

export async function runAll(): Promise<Results> {
  const results: Results = { passed: 0, failures: [] };
  for (const { name, run } of tests) {
    try {
      await run();
      results.passed++;
    } catch (e) {
      results.failures.push(`${name}: ${e instanceof Error ? e.message : String(e)}`);
    }
  }
  return results;
}

export function is<T>(what: string, got: T, want: T): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) {
    throw new Error(`${what} is ${a}, want ${b}`);
  }
}
