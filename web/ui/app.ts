// The custom elements of all pages. Each makes a page that works without it better, and asks nothing of the others.
import "./copy";
import "./job";
import "./live";
import "./passkey";
import "./password";
import "./ping";
import "./retry";
import "./tryit";
