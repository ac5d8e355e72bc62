package hub

import (
	"sync/atomic"
	"testing"

	"stile/vpn"
	"stile/wire"
)

// BenchmarkKey makes keys on PostgreSQL and waits until the node has them: one after the other, and 32 at a time, on the
// replica that has the node's stream and on the other one. "written" waits for no node.
func BenchmarkKey(b *testing.B) {
	for _, work := range []struct {
		name               string
		elsewhere, written bool
	}{{"written", false, true}, {"here", false, false}, {"elsewhere", true, false}} {
		for _, callers := range []int{1, 32} {
			name := map[int]string{1: "one", 32: "32"}[callers]
			b.Run(work.name+"/"+name, func(b *testing.B) { benchmarkKey(b, work.elsewhere, work.written, callers) })
		}
	}
}

func benchmarkKey(b *testing.B, elsewhere, written bool, callers int) {
	r := newReplicas(b)
	at := r.b
	if elsewhere {
		at = r.a
	}
	r.follow(r.b, wire.Hello{})
	r.applied(at, r.change(at))
	devices := make([]int64, callers)
	for i := range devices {
		n := vpn.NewSession{UserID: r.key.UserID, ClientID: string(rune('a' + i)), TokenHash: vpn.TokenHash{9, byte(i)}, DeviceLimit: 100}
		in, err := at.store.SignIn(b.Context(), n, vpn.Audit{Action: "device.sign_in"})
		r.ok(err)
		devices[i] = in.DeviceID
	}
	var next atomic.Int64
	b.SetParallelism(max(1, callers/2))
	b.ResetTimer()
	make1 := func() {
		k := r.key
		k.DeviceID = devices[int(next.Add(1))%callers]
		key, err := at.store.IssueKey(b.Context(), k, vpn.Audit{Action: "key.issue"})
		if err != nil {
			b.Error(err)
			return
		}
		if written {
			return
		}
		at.Wake(vpn.NodeRev{NodeID: key.ServerID, Rev: key.Rev})
		if !at.WaitApplied(b.Context(), key.ServerID, key.Rev) {
			b.Error("not applied")
		}
	}
	if callers == 1 {
		for b.Loop() {
			make1()
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			make1()
		}
	})
}
