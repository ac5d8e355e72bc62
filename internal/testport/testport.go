// Package testport finds ports for programs that a test starts and that cannot say which one they took. Whatever can listen on port 0
// does that instead.
package testport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// The ports from which Free chooses lie below those that the system gives to whoever asks for any (32768 and up on Linux): what others
// open meanwhile takes none of them.
const (
	first = 10_000
	last  = 32_000
)

// Free returns the first of so many ports in a row that nobody uses on 127.0.0.1 just now, neither for streams nor for datagrams.
func Free(t testing.TB, count int) int {
	t.Helper()
	for range 1000 {
		port := first + rand.IntN(last-first-count)
		if areFree(t, port, count) {
			return port
		}
	}
	t.Fatalf("no %d ports in a row are free between %d and %d", count, first, last)
	return 0
}

func areFree(t testing.TB, port, count int) bool {
	t.Helper()
	for n := range count {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+n))
		stream, err := net.Listen("tcp", address)
		if err == nil {
			err = stream.Close()
		}
		var datagrams net.PacketConn
		if err == nil {
			datagrams, err = net.ListenPacket("udp", address)
		}
		if err == nil {
			err = datagrams.Close()
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return true
}
