// Package client is the client side of Stile in Go: the calls of the public API, the choice of a server, a tunnel through
// an issued access key, and a local SOCKS5 and HTTP proxy over that tunnel. The command line and the end-to-end tests
// use it; others may.
//
// It keeps nothing on disk, asks no questions and prints nothing: that is the command line's part. Traffic given to a
// Tunnel, a Line or a Proxy leaves through the access key or not at all; there is no way around it to a direct connection.
package client
