// Package pacer sets how much garbage may gather between two collections, by the size of what lives. Go's own pace, as much
// again as lives, collects a process of ten megabytes with every few thousand requests, and lets one of a gigabyte take two.
// It reads no environment and knows nothing of what the process does: cli decides who is paced.
package pacer

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// headroom is the garbage, in bytes, that a small process gathers at least.
	headroom = 24 << 20
	// share is the garbage that a large one gathers, as a percentage of what lives.
	share = 30
	// most bounds the percentage of a process in which next to nothing lives.
	most = 2000
)

// percent is GOGC for a process in which so many bytes live; it counts stacks and globals as the collector does.
func percent(live uint64) int {
	if live == 0 {
		return most
	}
	return int(min(max(headroom*100/live, share), most))
}

// cycle is garbage from the beginning: that it is cleaned up says that a collection has ended. It is too large to share a
// block with other objects, which would keep it.
type cycle struct{ _ [64]byte }

// pace is one Start.
type pace struct {
	mu        sync.Mutex
	isStopped bool
	samples   []metrics.Sample
}

// Start paces the collector, anew after each collection, until stop is called, which puts back what was set before.
func Start() (stop func()) {
	p := &pace{samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}}
	before := debug.SetGCPercent(percent(p.live()))
	p.await()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.isStopped = true
		debug.SetGCPercent(before)
	}
}

// await adjusts the pace when the next collection has ended.
func (p *pace) await() {
	runtime.AddCleanup(new(cycle), func(p *pace) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.isStopped {
			return
		}
		debug.SetGCPercent(percent(p.live()))
		p.await()
	}, p)
}

// live is what the last collection found.
func (p *pace) live() (sum uint64) {
	metrics.Read(p.samples)
	for _, s := range p.samples {
		sum += s.Value.Uint64()
	}
	return sum
}
