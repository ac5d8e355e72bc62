// Package vpn is the domain of Stile: accounts, devices, tokens, plans, subscriptions, servers, access keys and
// usage, the rules between them, and the use cases that the API, the dashboards and the command line share.
//
// It knows nothing of HTTP, SQL or sockets. What it needs of the world it names as ports: Store (kept state), Nodes
// (the machines that carry traffic) and Passwords (hashing). Service is the only way in: every method takes the Actor
// who asks, checks the rules in the order the API documents, writes the audit entry with the change, and returns an
// *Error with a stable Code when it refuses.
//
// All instants are time.Time in UTC with millisecond resolution; a zero time means "none". All sizes are bytes.
package vpn
