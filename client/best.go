package client

import (
	"errors"
	"math/rand/v2"
	"time"

	"stile/wire"
)

// ErrNoServer says that no server is open to the account now.
var ErrNoServer = errors.New("client: no server is open to this account now")

const (
	// fullPenalty is what a load of 100 % is worth in round-trip time. It grows with the square of the load: how busy
	// a server is matters little until it is busy.
	fullPenalty = 100 * time.Millisecond
	// jitter spreads clients over servers that are about equally good.
	jitter = 0.10
)

// Usable reports whether the account may use a server now.
func Usable(server wire.Server) bool { return server.Accessible && server.Status == "online" }

// BestServer chooses among the usable servers the one with the least ping plus a penalty for its load, each jittered
// by up to 10 %, so that clients that see the same do not all choose the same. pings are as PingAll gives them; a server
// without one is chosen only when none has one, and then by the score that the API gives. It fails with ErrNoServer.
func BestServer(servers []wire.Server, pings map[int64]time.Duration) (wire.Server, error) {
	return bestServer(servers, pings, rand.Float64)
}

// bestServer takes its chances from random, which returns [0, 1).
func bestServer(servers []wire.Server, pings map[int64]time.Duration, random func() float64) (wire.Server, error) {
	var best wire.Server
	found, bestTimed, bestCost := false, false, 0.0
	for _, server := range servers {
		if !Usable(server) {
			continue
		}
		ping, timed := pings[server.ID]
		cost := server.Score
		if timed {
			load := float64(server.Load) / 100
			cost = float64(ping) + float64(fullPenalty)*load*load
		}
		cost *= 1 + jitter*random()
		if !found || timed && !bestTimed || timed == bestTimed && cost < bestCost {
			best, found, bestTimed, bestCost = server, true, timed, cost
		}
	}
	if !found {
		return wire.Server{}, ErrNoServer
	}
	return best, nil
}
