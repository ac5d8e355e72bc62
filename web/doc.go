// Package web is the dashboard that people use in a browser, and the reference of the API: pages rendered on the server
// that work as plain links and forms, with small custom elements where something should happen without a new page.
//
// It calls the same use cases as the API and never the API itself. A browser is known by a session of its own, which is
// no device. Every answer carries a Content-Security-Policy without exceptions: there is no script, style or handler
// inside a page, and nothing comes from another host. Every text is in messages/, in Russian and English.
package web
