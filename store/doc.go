// Package store keeps the state of Stile: it implements vpn.Store on SQLite (embedded, the default) and on PostgreSQL
// 15 or newer (for replicas), with one SQL text for both.
//
// Reads go to a pool of connections. Writes of a process go through one goroutine that gathers what its callers want,
// commits once and then answers everyone (writer.go); issued keys of such a group are merged into multi-row statements
// (issue.go). Beside other processes, which on PostgreSQL hold single rows, only issued keys share a transaction. A method
// that returned nil has made its change durable.
//
// Every change of a key raises the revision of its node and moves the node's count and digest in the same transaction
// (node.go). Seeds are sealed with a key that is not in the database (seal.go).
//
// What the processes that serve one PostgreSQL tell each other goes past the writer (replicas.go).
//
// The package holds no rules of the service: who may have a key, and until when, is decided in package vpn. It stores
// no address and no destination. Of a user's traffic it keeps the day; of sign-ins and keys that were made, the instant.
package store
