declare module "messages" {
  const messages: Record<string, string>;
  export default messages;
}
