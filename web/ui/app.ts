// The custom elements of all pages, and what all forms share. Each makes a page that works without it better, and asks nothing of
// the others.
import "./copy";
import "./job";
import "./live";
import "./once";
import "./passkey";
import "./password";
import "./ping";
import "./retry";
import "./tryit";
