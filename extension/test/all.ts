// All tests that need no extension.
import { runAll } from "./check";
import "./unit";
import "./worker";

(globalThis as { results?: Promise<unknown> }).results = runAll();
