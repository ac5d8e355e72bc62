// config.js is written by whoever packs the extension: the server writes it for its operator.
declare const config: {
  /** The operator's own address, without a slash at the end. */
  api: string;
  /** What the service calls itself. */
  name: string;
  /** For browsers that speak neither of our languages. */
  language: "ru" | "en";
};
export default config;
