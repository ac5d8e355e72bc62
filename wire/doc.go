// Package wire holds what crosses a network and nothing else: the requests and responses of the public API as JSON
// types, and the frames of the link between a node and its control plane with their binary codec, the canonical sum of
// a key and the digest of a set of keys.
//
// It decides nothing and keeps nothing: rules live in vpn, the link's behaviour in feed.
package wire
